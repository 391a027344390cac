# Another host, another port of the client, and TCP are not what was asked for.
service: tftp
proto: udp
client: 10.0.0.1:2070
server: 10.0.0.2:69
dialogue
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1pxelinux.0\0octet\0
= 10.0.0.3:40000 > 10.0.0.1:2070 \0\3\0\1data
= 10.0.0.2:40000 > 10.0.0.1:2071 \0\3\0\1data
: 10.0.0.2:40000 > 10.0.0.1:2070 SYN
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"announced"}
