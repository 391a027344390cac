# IPv6 extension headers in front of TCP, an atomic fragment header (RFC 6946) among them.
client: [2001:db8::1]:4711
server: [2001:db8::2]:21
extensions: hop dest routing atomic auth dest
dialogue
> EPSV
< 229 ok (|||40000|)
expect
{"frame":5,"event":"open","src":"2001:db8::1","sport":null,"dst":"2001:db8::2","dport":40000,"reason":"announced"}
