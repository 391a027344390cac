# A peer with a new port has to wait until the old one is silent.
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
b< up 2 1 tx=50 rx=50
b< down 7 0 sport=50000
wait 0.5
b> up 1 2 tx=50 rx=50
b< down 7 0 sport=50000
wait 0.5
b> up 1 2 tx=50 rx=50
b< down 7 0 sport=50000
b< up 2 1
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":10,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"silent"}
{"frame":10,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":11,"event":"bind","src":"10.0.0.2","sport":50000,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
