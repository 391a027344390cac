# The time an unused pinhole stays open is the administrator's.
config: service ftp { timeout = 300 }
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
wait 299
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":6,"event":"bind","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"first-packet"}
