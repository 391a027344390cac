# Commands sent at once: each reply belongs to the oldest command that waits for one.
dialogue
>> USER a\r\nPASV\r\nEPSV\r\n
< 331 password
< 227 ok (10,0,0,2,156,64)
< 229 ok (|||40001|)
expect
{"frame":6,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
{"frame":7,"event":"close","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"superseded"}
{"frame":7,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40001,"reason":"announced"}
