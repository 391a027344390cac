# A second announcement takes the place of the first one.
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
> PASV
< 227 ok (10,0,0,2,156,65)
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
: 10.0.0.1:50001 > 10.0.0.2:40001 SYN
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":7,"event":"close","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"superseded"}
{"frame":7,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40001,"reason":"announced"}
{"frame":9,"event":"bind","src":"10.0.0.1","sport":50001,"dst":"10.0.0.2","dport":40001,"reason":"first-packet"}
