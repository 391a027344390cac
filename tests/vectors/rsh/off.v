# rsh is off unless it is switched on.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
dialogue
>> 1022\0root\0root\0uname\0
expect
