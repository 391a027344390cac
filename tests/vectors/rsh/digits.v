# Digits without end: once is enough.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
dialogue
>x 5000 1
>> \0
expect
{"frame":4,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":null,"reason":"malformed"}
