# 63 where 64 is asked for may have been 64 before our own routing; 62 was not.
client: 10.0.0.1:49152
server: 10.0.0.2:4784
service: bfd
begin: middle
config: service bfd { multihop-min-ttl = 64 }
dialogue
b> down 1 0 ttl=5
b< down 2 0 ttl=62
b< down 2 0 ttl=63
b< down 2 0 ttl=62
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":4784,"reason":"announced"}
{"event":"refuse","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":4784,"reason":"hops","session":null}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":4784,"reason":"first-packet"}
{"event":"refuse","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":4784,"reason":"hops","session":null}
