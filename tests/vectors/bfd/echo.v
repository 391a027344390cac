# While Up and wanted, packets that come back to their sender, with one less on their TTL.
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
b< up 2 1 echo=50
= 10.0.0.1:50000 > 10.0.0.1:3785 ttl=254 echo
= 10.0.0.1:50000 > 10.0.0.1:3785 ttl=254 echo
b> up 1 2 echo=50
= 10.0.0.2:3785 > 10.0.0.2:3785 ttl=254 echo
b< down 2 1 echo=50
= 10.0.0.1:50000 > 10.0.0.1:3785 ttl=254 echo
expect
{"frame":1,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":3784,"reason":"announced"}
{"frame":2,"event":"bind","src":"10.0.0.2","sport":49142,"dst":"10.0.0.1","dport":3784,"reason":"first-packet"}
{"frame":6,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.1","dport":3785,"reason":"announced"}
{"frame":7,"event":"bind","src":"10.0.0.1","sport":50000,"dst":"10.0.0.1","dport":3785,"reason":"first-packet"}
{"frame":9,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.2","dport":3785,"reason":"announced"}
{"frame":10,"event":"bind","src":"10.0.0.2","sport":3785,"dst":"10.0.0.2","dport":3785,"reason":"first-packet"}
{"frame":11,"event":"close","src":"10.0.0.1","sport":50000,"dst":"10.0.0.1","dport":3785,"reason":"not-up"}
{"frame":11,"event":"close","src":"10.0.0.2","sport":3785,"dst":"10.0.0.2","dport":3785,"reason":"not-up"}
