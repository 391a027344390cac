# RFC 959 section 4.2: a reply goes on until the line that has its code and a space. Lines in between
# announce nothing, whatever they look like.
dialogue
> HELP
<< 214-The following commands:\r\n227 Entering Passive Mode (10,0,0,2,156,65)\r\n 214 indented\r\n
< 214 end of help
> PASV
<< 227-Entering\r\n229 (|||4000|)\r\n
< 227 Passive Mode (10,0,0,2,156,64).
expect
{"frame":9,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
