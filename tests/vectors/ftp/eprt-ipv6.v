# RFC 2428, active, over IPv6; the address may be written in more than one way.
client: [2001:db8::1]:4711
server: [2001:db8::2]:21
dialogue
> EPRT |2|2001:DB8:0:0:0:0:0:1|40000|
: [2001:db8::2]:20 > [2001:db8::1]:40000 SYN
expect
{"frame":4,"event":"open","src":"2001:db8::2","sport":null,"dst":"2001:db8::1","dport":40000,"reason":"announced"}
{"frame":5,"event":"bind","src":"2001:db8::2","sport":20,"dst":"2001:db8::1","dport":40000,"reason":"first-packet"}
