# One PASV, two answers: the second one opens nothing and leaves the first alone.
dialogue
> PASV
<< 227 ok (10,0,0,2,156,64)\r\n227 ok (10,0,0,2,156,65)\r\n
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40001,"reason":"unsolicited"}
