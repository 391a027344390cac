# Our side has forgotten its peer: the peer's next life may have any port.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> down 1 0
b< down 2 0
b> init 1 2
b< up 2 1 tx=50 rx=50
b> up 1 2 tx=50 rx=50
b> down 1 0
b< down 7 0 sport=50000
b< down 2 0
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":6,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"silent"}
{"frame":6,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":7,"event":"bind","src":"10.0.0.2","sport":50000,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
