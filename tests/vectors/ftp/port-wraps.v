# 65558 is 22 for whoever keeps only 16 bits of it.
dialogue
> EPSV
< 229 ok (|||65558|)
> EPRT |1|10.0.0.1|65558|
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"port-range"}
{"frame":6,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":null,"reason":"port-range"}
