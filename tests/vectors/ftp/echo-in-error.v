# Error lines and listings echo what strangers wrote; a pattern in mid-line is no reply.
dialogue
> PASV
< 550 227 Entering Passive Mode (10,0,0,2,156,64): no such file
< 500 '227 ok (10,0,0,2,156,64)' not understood
expect
