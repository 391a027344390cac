# RFC 6587 on the same port: lines.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
dialogue
>> <13>Nov 20 18:00:00 n1 root: 1022 \n
>> 1022\0
expect
