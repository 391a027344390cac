# No NUL, no name, no mode, no mode that there is.
service: tftp
proto: udp
client: 10.0.0.1:2070
server: 10.0.0.2:69
dialogue
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1name
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1name\0
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1name\0octet
= 10.0.0.1:2070 > 10.0.0.2:69 \0\2\0octet\0
= 10.0.0.1:2070 > 10.0.0.2:69 \0\2name\0binary\0
expect
{"frame":1,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"malformed"}
{"frame":2,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"malformed"}
{"frame":3,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"malformed"}
{"frame":4,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"malformed"}
{"frame":5,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"malformed"}
{"frame":6,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"malformed"}
