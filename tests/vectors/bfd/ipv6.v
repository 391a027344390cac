# Link-local addresses, an extension header, and the peer of RFC 5881's port range.
client: [fe80::1]:49152
server: [fe80::2]:3784
service: bfd
begin: middle
peer: 65535
extensions: hop
dialogue
b> down 1 0
b< down 2 0
b> admin-down 1 2
expect
{"event":"open","src":"fe80::2","sport":null,"dst":"fe80::1","dport":3784,"reason":"announced"}
{"event":"bind","src":"fe80::2","sport":65535,"dst":"fe80::1","dport":3784,"reason":"first-packet"}
{"event":"close","src":"fe80::2","sport":65535,"dst":"fe80::1","dport":3784,"reason":"admin-down"}
