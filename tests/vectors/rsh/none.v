# No second connection is wanted.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
dialogue
>> 0\0root\0root\0uname\0
<< \0Linux\n
>> 1022\0
expect
