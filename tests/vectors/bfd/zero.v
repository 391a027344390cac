# Intervals of 0 are no promise at all, and still the pinhole stays for a moment.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> up 1 2 tx=0 rx=0
b< up 2 1 tx=0 rx=0
wait 0.7
b< up 2 1 tx=0 rx=0
wait 0.9
b> up 1 2 tx=0 rx=0
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":4,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"silent"}
{"frame":4,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
