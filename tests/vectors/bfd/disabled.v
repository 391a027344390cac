# The service is off, and its packets are nobody's.
client: 10.0.0.1:49152
server: 10.0.0.2:3784
service: bfd
begin: middle
config: service bfd { enabled = false }
dialogue
b> down 1 0
expect
