# RFC 2428, active, over IPv4; lower case.
dialogue
> eprt |1|10.0.0.1|40000|
expect
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"announced"}
