# Authentication sections are passed over, and what comes behind the length.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b> down 1 0 auth=1:9
b< down 2 0 auth=5:28
b> init 1 2 auth=2:24
b< up 2 1 auth=77:2
b> up 1 2 auth=1:4:28
b< up 2 1 auth=1:9:40 length=33
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
