# RFC 5880 section 6.8.6, each broken alone: what our side says opens nothing.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> down 1 0 version=0
b> down 1 0 version=2
b> down 1 0 length=0
b> down 1 0 length=23
b> down 1 0 length=25
b> down 1 0 length=255
b> down 1 0 flags=auth
b> down 1 0 auth=0:9
b> down 1 0 auth=1:0
b> down 1 0 auth=1:1
b> down 1 0 auth=4:29:28
b> down 1 0 auth=4:28 length=51
b> down 1 0 mult=0
b> down 1 0 flags=multipoint
b> down 1 0 cut=0
b> down 1 0 cut=1
b> down 1 0 cut=23
b> down 0 0
b> init 1 0
b> up 1 0
expect
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
