# A server that answers from port 69: all of it is the session itself, and the pinhole is not used.
service: tftp
proto: udp
client: 10.0.0.1:2070
server: 10.0.0.2:69
dialogue
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1pxelinux.0\0octet\0
= 10.0.0.2:69 > 10.0.0.1:2070 \0\3\0\1data
= 10.0.0.1:2070 > 10.0.0.2:69 \0\4\0\1
wait 31
= 10.0.0.1:2070 > 10.0.0.2:69 \0\4\0\1
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"announced"}
{"frame":4,"event":"close","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"expired"}
