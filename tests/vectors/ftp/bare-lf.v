# A line that ends in a bare LF inside a server's message: what follows looks like the beginning of a
# line, but no server ends its lines so.
dialogue
> PASV
<< 500 no such file: x\n227 Entering Passive Mode (10,0,0,2,156,64)\r\n
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"bare-lf"}
