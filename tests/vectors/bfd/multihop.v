# Any TTL where none is configured.
client: 10.0.0.1:49152
server: 10.0.0.2:4784
service: bfd
begin: middle
dialogue
b> down 1 0 ttl=64
b< down 2 0 ttl=1
b> up 1 2 echo=50 ttl=64
b< up 2 1 echo=50 ttl=63
b> up 1 2 echo=50 ttl=64
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":4784,"reason":"announced"}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":4784,"reason":"first-packet"}
