# CERT VU#328867: a 227 that nobody asked for.
dialogue
> NOOP
< 227 Entering Passive Mode (10,0,0,2,156,64).
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"unsolicited"}
