# A 229 to a PASV is no answer to it either.
dialogue
> PASV
< 229 ok (|||40000|)
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"unsolicited"}
