# The end of the reply overtakes its beginning.
dialogue
> PASV
<@11 0,0,2,156,64)\r\n
<@-26 227 ok (10,
expect
{"frame":6,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
