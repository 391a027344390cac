# A boot ROM asks for file after file from one port; each answer comes from another one.
service: tftp
proto: udp
client: 10.0.0.1:2070
server: 10.0.0.2:69
dialogue
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1pxelinux.0\0octet\0
= 10.0.0.2:40000 > 10.0.0.1:2070 \0\6tsize\0001000\0
= 10.0.0.1:2070 > 10.0.0.2:40000 \0\5\0\10enough\0
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1pxelinux.0\0octet\0
= 10.0.0.2:40001 > 10.0.0.1:2070 \0\3\0\1data
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1pxelinux.0\0octet\0
= 10.0.0.2:40002 > 10.0.0.1:2070 \0\3\0\1data
= 10.0.0.2:40003 > 10.0.0.1:2070 \0\3\0\1data
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":40000,"dst":"10.0.0.1","dport":2070,"reason":"first-packet"}
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"announced"}
{"frame":5,"event":"bind","src":"10.0.0.2","sport":40001,"dst":"10.0.0.1","dport":2070,"reason":"first-packet"}
{"frame":6,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":2070,"reason":"announced"}
{"frame":7,"event":"bind","src":"10.0.0.2","sport":40002,"dst":"10.0.0.1","dport":2070,"reason":"first-packet"}
