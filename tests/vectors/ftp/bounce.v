# RFC 2577: an address that is not the peer's. The refusal names the flow that would have been opened.
dialogue
> PASV
< 227 ok (10,0,0,3,156,64)
> PORT 192,168,1,9,156,64
> EPRT |1|10.0.0.9|40000|
> EPRT |2|2001:db8::1|40000|
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"address"}
{"frame":6,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"address"}
{"frame":7,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"address"}
{"frame":8,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"family"}
