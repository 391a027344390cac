# A transfer under way may finish after the control connection has gone.
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
>! RST
: 10.0.0.2:40000 > 10.0.0.1:50000 FIN,ACK
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":6,"event":"bind","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"first-packet"}
{"frame":8,"event":"close","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"flow-ended"}
