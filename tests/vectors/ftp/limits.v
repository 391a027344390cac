# At a limit the request is refused with a reason, and what is open stays open.
config: limits { sessions-per-client = 1 }
config: service ftp { }
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
: 10.0.0.1:4712 > 10.0.0.2:21 SYN
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":6,"event":"refuse","service":"ftp","src":"10.0.0.1","sport":4712,"dst":"10.0.0.2","dport":21,"reason":"limit-sessions-client","session":null}
