# Two commands in one segment, and two replies in one.
dialogue
>> NOOP\r\nPASV\r\n
<< 200 ok\r\n227 Entering Passive Mode (10,0,0,2,156,64).\r\n
expect
{"frame":5,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
