# A segment was not captured: bytes that nobody saw may have been anything, so the reply behind them is
# not trusted; from the next question on all is well.
dialogue
> PASV
<? 226 lost
< 227 ok (10,0,0,2,156,64)
> PASV
< 227 ok (10,0,0,2,156,65)
expect
{"frame":7,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40001,"reason":"announced"}
