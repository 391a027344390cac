# The same over IPv6.
service: tftp
proto: udp
client: [2001:db8::1]:2070
server: [2001:db8::2]:69
dialogue
= [2001:db8::1]:2070 > [2001:db8::2]:69 \0\1a\0netascii\0
= [2001:db8::2]:40000 > [2001:db8::1]:2070 \0\3\0\1data
expect
{"frame":1,"event":"open","src":"2001:db8::2","sport":null,"dst":"2001:db8::1","dport":2070,"reason":"announced"}
{"frame":2,"event":"bind","src":"2001:db8::2","sport":40000,"dst":"2001:db8::1","dport":2070,"reason":"first-packet"}
