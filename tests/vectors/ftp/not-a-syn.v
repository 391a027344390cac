# Only a SYN begins a flow.
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
: 10.0.0.1:50000 > 10.0.0.2:40000 ACK
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN,ACK
: 10.0.0.1:50000 > 10.0.0.2:40000 RST
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
