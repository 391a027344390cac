# Whatever the peers announce, five minutes without a packet are the end.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> up 1 2 tx=4294967295u rx=4294967295u mult=255
b< up 2 1 tx=4294967295u rx=4294967295u mult=255
b> up 1 2 tx=4294967295u rx=4294967295u mult=255
wait 300.7
noise
wait 0.2
b> down 1 0
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":5,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"silent"}
{"frame":5,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
