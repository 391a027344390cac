# RFC 959 does not promise the parentheses.
dialogue
> PASV
< 227 Entering Passive Mode. 10,0,0,2,156,64
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
