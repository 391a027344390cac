# One byte a segment, one of them twice, two of them in the wrong order.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
dialogue
>> 1
>@-1 1
>@2 2
>@-3 02
>> \0
expect
{"frame":8,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":1022,"reason":"announced"}
