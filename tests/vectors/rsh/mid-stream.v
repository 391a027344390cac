# A session whose beginning was not seen.
service: rsh
client: 10.0.0.1:1023
server: 10.0.0.2:514
config: service rsh { enabled = true }
begin: middle
dialogue
>> 1022\0
expect
