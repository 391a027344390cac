# rcmd(3): the server connects back to the announced port, from a reserved one. Later bytes announce nothing.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
dialogue
>> 1022\0
: 10.0.0.2:1023 > 10.0.0.1:1022 SYN
: 10.0.0.1:1022 > 10.0.0.2:1023 SYN,ACK
>> root\0root\0uname\0
<< \0Linux\n
>> 1021\0
: 10.0.0.2:1023 > 10.0.0.1:1022 FIN,ACK
<! FIN,ACK
>! FIN,ACK
expect
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":1022,"reason":"announced"}
{"frame":5,"event":"bind","src":"10.0.0.2","sport":1023,"dst":"10.0.0.1","dport":1022,"reason":"first-packet"}
{"frame":10,"event":"close","src":"10.0.0.2","sport":1023,"dst":"10.0.0.1","dport":1022,"reason":"flow-ended"}
