# With `tls = window` the server's passive range is open while the session lives; each data connection
# is a flow of its own, and all end with it.
config: service ftp { tls = window window = "40000-40100" }
dialogue
> AUTH TLS
< 234 Proceed with negotiation.
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
: 10.0.0.1:50001 > 10.0.0.2:40100 SYN
: 10.0.0.1:50002 > 10.0.0.2:40101 SYN
: 10.0.0.9:50002 > 10.0.0.2:40000 SYN
: 10.0.0.1:50000 > 10.0.0.2:40000 FIN,ACK
>! RST
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":"40000-40100","reason":"announced"}
{"frame":6,"event":"bind","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"first-packet"}
{"frame":7,"event":"bind","src":"10.0.0.1","sport":50001,"dst":"10.0.0.2","dport":40100,"reason":"first-packet"}
{"frame":10,"event":"close","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"flow-ended"}
{"frame":11,"event":"close","src":"10.0.0.1","sport":50001,"dst":"10.0.0.2","dport":40100,"reason":"session-ended"}
{"frame":11,"event":"close","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":"40000-40100","reason":"session-ended"}
