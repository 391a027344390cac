# The server turns PORT down: the pinhole is withdrawn at once.
dialogue
> PORT 10,0,0,1,156,64
< 500 Illegal PORT command.
: 10.0.0.2:20 > 10.0.0.1:40000 SYN
expect
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"announced"}
{"frame":5,"event":"close","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"withdrawn"}
