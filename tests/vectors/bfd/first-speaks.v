# Whoever speaks first is taken for the side that the firewall trusts.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
dialogue
b< down 2 0
b> down 1 0
b< down 2 0
expect
{"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":3784,"reason":"announced","session":{"proto":"udp","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784}}
{"event":"bind","src":"10.0.0.1","sport":49152,"dst":"10.0.0.2","dport":3784,"reason":"first-packet","session":{"proto":"udp","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784}}
