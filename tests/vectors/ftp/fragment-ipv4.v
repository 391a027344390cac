# The reply came in fragments: its bytes are missing, and the client's next ACK makes that a gap.
dialogue
> PASV
<f 227 Entering Passive Mode (10,0,0,2,156,64).
> NOOP
< 200 ok
expect
