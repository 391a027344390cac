# Two copies of the same bytes that differ: the first one wins, as it did at the receiver.
dialogue
> PASV
<< 227 ok (10,0,0,2,156,
<@-4 022,
<< 64)\r\n
expect
{"frame":7,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
