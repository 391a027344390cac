# A control port that is not configured is nobody's, and one that is, is.
server: 10.0.0.2:2121
config: service ftp { ports = { 2121 } }
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
