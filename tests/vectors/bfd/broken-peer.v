# The same of the peer: it is not let in.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> down 1 0
b< down 2 0 version=0
b< down 2 0 version=2
b< down 2 0 length=0
b< down 2 0 length=23
b< down 2 0 length=25
b< down 2 0 length=255
b< down 2 0 flags=auth
b< down 2 0 auth=0:9
b< down 2 0 auth=1:0
b< down 2 0 auth=1:1
b< down 2 0 auth=4:29:28
b< down 2 0 auth=4:28 length=51
b< down 2 0 mult=0
b< down 2 0 flags=multipoint
b< down 2 0 cut=0
b< down 2 0 cut=1
b< down 2 0 cut=23
b< down 0 1
b< init 2 0
b< up 2 0
b< down 2 0
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"refuse","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"malformed"}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
