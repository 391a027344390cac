# 256 is no octet: neither in the address nor in the port.
dialogue
> PASV
< 227 ok (10,0,0,2,256,22)
> PASV
< 227 ok (10,0,0,258,156,64)
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"malformed"}
{"frame":7,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"malformed"}
