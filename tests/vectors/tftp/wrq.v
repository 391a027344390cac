# A file is written; RFC 2347 options.
service: tftp
proto: udp
client: 10.0.0.1:2070
server: 10.0.0.2:69
dialogue
= 10.0.0.1:2070 > 10.0.0.2:69 \0\2core\0OCTET\0blksize\0001432\0
= 10.0.0.2:40000 > 10.0.0.1:2070 \0\6blksize\0001432\0
= 10.0.0.1:2070 > 10.0.0.2:40000 \0\3\0\1data
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":40000,"dst":"10.0.0.1","dport":2070,"reason":"first-packet"}
