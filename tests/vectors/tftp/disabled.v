# Switched off.
service: tftp
proto: udp
client: 10.0.0.1:2070
server: 10.0.0.2:69
config: service tftp { enabled = false }
dialogue
= 10.0.0.1:2070 > 10.0.0.2:69 \0\1pxelinux.0\0octet\0
= 10.0.0.2:40000 > 10.0.0.1:2070 \0\3\0\1data
expect
