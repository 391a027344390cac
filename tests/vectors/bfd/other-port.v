# A control port of the administrator's own, where no echo is asked for.
client: 10.0.0.1:49152
server: 10.0.0.2:5000
service: bfd
begin: middle
config: service bfd { ports = { 3784, 5000 } }
dialogue
b> down 1 0
b< down 2 0
b> up 1 2 echo=50
b< up 2 1 echo=50
expect
{"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":5000,"reason":"announced"}
{"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":5000,"reason":"first-packet"}
