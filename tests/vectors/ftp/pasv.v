# RFC 959: the usual passive transfer. The pinhole is spent by the first SYN; the end of the data
# connection and of the session follow.
dialogue
< 220 ready
> PASV
< 227 Entering Passive Mode (10,0,0,2,156,64).
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
: 10.0.0.2:40000 > 10.0.0.1:50000 SYN,ACK
: 10.0.0.2:40000 > 10.0.0.1:50000 FIN,ACK
: 10.0.0.1:50000 > 10.0.0.2:40000 FIN,ACK
> QUIT
< 221 bye
<! FIN,ACK
>! FIN,ACK
<! ACK
expect
{"frame":6,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":7,"event":"bind","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"first-packet"}
{"frame":9,"event":"close","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"flow-ended"}
