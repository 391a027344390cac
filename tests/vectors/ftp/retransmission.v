# The same segments again: one pinhole, not two.
dialogue
> PASV
>@-6 PASV\r\n
< 227 ok (10,0,0,2,156,64)
<@-28 227 ok (10,0,0,2,156,64)\r\n
expect
{"frame":6,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
