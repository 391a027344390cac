# Whom the list does not name gets no pinhole.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
config: service bfd { peers = { "10.0.0.3", "10.0.1.0/24", "::/0" } }
dialogue
b> down 1 0
b< down 2 0
b> init 1 2
b< up 2 1 tx=50 rx=50
b> up 1 2 tx=50 rx=50
expect
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"peer"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"peer"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"peer"}
