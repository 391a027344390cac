# RFC 2428 section 4: after EPSV ALL the client promised never to send PORT, EPRT or PASV.
dialogue
> EPSV ALL
< 200 ok
> PORT 10,0,0,1,156,64
< 500 no
> PASV
< 227 ok (10,0,0,2,156,64)
> EPSV
< 229 ok (|||40001|)
expect
{"frame":6,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":null,"reason":"epsv-all"}
{"frame":9,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"epsv-all"}
{"frame":11,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40001,"reason":"announced"}
