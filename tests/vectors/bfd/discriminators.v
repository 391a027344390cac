# A peer that answers somebody else is not let in, and keeps nothing alive.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> down 1 0
b< down 2 5
b< down 2 0
wait 3
b> down 1 0
b< init 2 5
wait 3
b> down 1 0
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"discriminator"}
{"frame":3,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"discriminator"}
{"frame":6,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"silent"}
{"frame":6,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
