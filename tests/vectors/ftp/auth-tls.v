# RFC 4217: what follows 234 is ciphertext. With `tls = closed` nothing more is opened, even if some
# of it should look like a reply.
dialogue
> AUTH TLS
< 234 Proceed with negotiation.
>> \x16\x03\x01\x00\x05hello
> PASV
< 227 ok (10,0,0,2,156,64)
expect
{"frame":5,"event":"refuse","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"reason":"encrypted"}
