# RFC 2428 over IPv6, in every link layer and file format: a 229 names no address, the peer's counts.
client: [2001:db8::1]:4711
server: [2001:db8::2]:21
link: all
format: all
dialogue
> EPSV
noise
< 229 Entering Extended Passive Mode (|||40000|)
: [2001:db8::1]:50000 > [2001:db8::2]:40000 SYN
expect
{"frame":6,"event":"open","src":"2001:db8::1","sport":null,"dst":"2001:db8::2","dport":40000,"reason":"announced"}
{"frame":7,"event":"bind","src":"2001:db8::1","sport":50000,"dst":"2001:db8::2","dport":40000,"reason":"first-packet"}
