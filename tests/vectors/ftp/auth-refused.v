# The server does not do TLS: the session goes on in clear.
dialogue
> AUTH TLS
< 502 not implemented
> PASV
< 227 ok (10,0,0,2,156,64)
expect
{"frame":7,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
