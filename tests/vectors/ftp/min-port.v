config: service ftp { min-port = 30000 }
dialogue
> PASV
< 227 ok (10,0,0,2,117,47)
> PASV
< 227 ok (10,0,0,2,117,48)
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":29999,"reason":"port-reserved"}
{"frame":7,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":30000,"reason":"announced"}
