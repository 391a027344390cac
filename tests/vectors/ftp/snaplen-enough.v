# The same with room for all that matters: a long greeting is cut, the dialogue after it is not.
snaplen: 90
dialogue
<x 500 .
< end of greeting
> NOOP
< 200 ok
> PASV
< 227 ok (10,0,0,2,156,64)
expect
{"frame":9,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
