# RFC 959, active: the command opens (real servers connect before their 200 is out), from any source
# port of the server.
dialogue
> PORT 10,0,0,1,156,64
: 10.0.0.2:20 > 10.0.0.1:40000 SYN
< 200 PORT command successful.
: 10.0.0.1:40000 > 10.0.0.2:20 RST,ACK
expect
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"announced"}
{"frame":5,"event":"bind","src":"10.0.0.2","sport":20,"dst":"10.0.0.1","dport":40000,"reason":"first-packet"}
{"frame":7,"event":"close","src":"10.0.0.2","sport":20,"dst":"10.0.0.1","dport":40000,"reason":"flow-ended"}
