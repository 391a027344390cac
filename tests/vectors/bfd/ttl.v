# Single hop: neighbours only (RFC 5881 section 5), whoever speaks.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> down 1 0 ttl=254
b> down 1 0
b< down 2 0 ttl=254
b< down 2 0
b< down 2 0 ttl=1
expect
{"event":"refuse","src":"10.0.0.1","sport":49152,"dst":"10.0.0.2","dport":3784,"reason":"hops","session":null}
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"event":"refuse","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"hops","session":null}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"event":"refuse","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"hops","session":null}
