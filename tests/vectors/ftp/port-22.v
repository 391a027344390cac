# A port below 1024 is never a data port.
dialogue
> PASV
< 227 ok (10,0,0,2,0,22)
> PORT 10,0,0,1,0,25
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":22,"reason":"port-reserved"}
{"frame":6,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":25,"reason":"port-reserved"}
