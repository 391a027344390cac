# A line of a megabyte is no command, and the session goes on after it.
dialogue
>x 1048576 A
>> \r\n
< 500 too long
> PASV
< 227 ok (10,0,0,2,156,64)
expect
{"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"line-too-long"}
{"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
