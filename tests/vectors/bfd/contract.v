# A session comes up, and its peer falls silent: 3 times 50 ms, and copies may be late.
# Our side says so, and is not heard of any more.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
link: all
format: all
dialogue
b> down 1 0
b< down 2 0
b> init 1 2
b< up 2 1 tx=50 rx=50
b> up 1 2 tx=50 rx=50
b< up 2 1 tx=50 rx=50
wait 0.8
b> up 1 2 tx=50 rx=50
wait 0.3
b> down 1 0
wait 10
noise
b> down 1 0
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":8,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"silent"}
{"frame":8,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"event":"close","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"silent"}
{"frame":10,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
