# Our side's next life has another port; the peer's flow goes on, and its words for the last life
# do not count.
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
b> down 9 0 sport=50000
b< up 2 1
b< down 2 9
b> admin-down 9 2 sport=50000
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":7,"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"discriminator","session":{"proto":"udp","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":3784}}
{"frame":9,"event":"close","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"admin-down","session":{"proto":"udp","src":"10.0.0.1","sport":50000,"dst":"10.0.0.2","dport":3784}}
