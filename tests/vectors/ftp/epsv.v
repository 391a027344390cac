# RFC 2428: EPSV works over IPv4 as well; the delimiter is any printable character.
dialogue
> EPSV 1
< 229 Entering Extended Passive Mode (!!!40000!)
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
