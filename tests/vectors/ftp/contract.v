# Every key of the JSON contract, spelled out; the same dialogue in every link layer and file format.
link: all
format: all
dialogue
> PASV
noise
< 227 Entering Passive Mode (10,0,0,2,156,64).
: 10.0.0.1:50000 > 10.0.0.2:40000 SYN
expect
{"frame":6,"event":"open","service":"ftp","proto":"tcp","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced","session":{"proto":"tcp","src":"10.0.0.1","sport":4711,"dst":"10.0.0.2","dport":21}}
{"frame":7,"event":"bind","service":"ftp","proto":"tcp","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":40000,"reason":"first-packet","session":{"proto":"tcp","src":"10.0.0.1","sport":4711,"dst":"10.0.0.2","dport":21}}
