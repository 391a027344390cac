# The peer is switched off, and goes on saying so: its pinhole waits for it to say something else.
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
b< admin-down 2 1
b> down 1 2
b< admin-down 2 1
wait 1
b> down 1 2
b< admin-down 2 1
wait 1
b> down 1 2
b< admin-down 2 1
wait 1
b> down 1 2
b< admin-down 2 1
wait 1
b> down 1 2
b< down 2 1
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":6,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"admin-down"}
{"frame":7,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":16,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
