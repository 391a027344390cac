# rexec(3): any port but a reserved one, and any port of the server.
service: rexec
client: 10.0.0.1:40000
server: 10.0.0.2:512
config: service rexec { enabled = true }
dialogue
>> 40001\0user\0password\0uname\0
: 10.0.0.2:50000 > 10.0.0.1:40001 SYN
<! FIN,ACK
>! FIN,ACK
: 10.0.0.2:50000 > 10.0.0.1:40001 RST
expect
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40001,"reason":"announced"}
{"frame":5,"event":"bind","src":"10.0.0.2","sport":50000,"dst":"10.0.0.1","dport":40001,"reason":"first-packet"}
{"frame":8,"event":"close","src":"10.0.0.2","sport":50000,"dst":"10.0.0.1","dport":40001,"reason":"flow-ended"}
