# A client on a reserved port, which the configuration may allow.
service: tftp
proto: udp
client: 10.0.0.1:700
server: 10.0.0.2:69
dialogue
= 10.0.0.1:700 > 10.0.0.2:69 \0\1a\0octet\0
expect
{"frame":1,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":700,"reason":"port-reserved"}
