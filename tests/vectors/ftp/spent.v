# One flow: a second connection to the same port is not let in, nor one from another host before it.
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
: 10.0.0.9:50000 > 10.0.0.2:40000 SYN
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
: 10.0.0.1:50001 > 10.0.0.2:40000 SYN
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":7,"event":"bind","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"first-packet"}
