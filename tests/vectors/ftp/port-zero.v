dialogue
> PASV
< 227 ok (10,0,0,2,0,0)
> EPSV
< 229 ok (|||0|)
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"port-zero"}
{"frame":7,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"port-zero"}
