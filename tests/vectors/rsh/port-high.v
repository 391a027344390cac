# A port that no client of rsh can mean: 1024.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
dialogue
>> 1024\0root\0root\0uname\0
expect
{"frame":4,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":1024,"reason":"port-high"}
