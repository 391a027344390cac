# A reserved port.
service: rexec
client: 10.0.0.1:40000
server: 10.0.0.2:512
config: service rexec { enabled = true }
dialogue
>> 1022\0user\0password\0uname\0
expect
{"frame":4,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":1022,"reason":"port-reserved"}
