# Nobody comes for 60 seconds. The event carries the time of its own and the frame that showed it.
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
wait 61
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":6,"event":"close","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"expired"}
