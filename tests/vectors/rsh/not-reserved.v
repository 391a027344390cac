# From a port that anybody may have the server is not let in; the pinhole waits on.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
dialogue
>> 1022\0root\0root\0uname\0
: 10.0.0.2:1024 > 10.0.0.1:1022 SYN
: 10.0.0.2:1001 > 10.0.0.1:1022 SYN
expect
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":1022,"reason":"announced"}
{"frame":6,"event":"bind","src":"10.0.0.2","sport":1001,"dst":"10.0.0.1","dport":1022,"reason":"first-packet"}
