# The capture kept 60 bytes of each frame: a reply whose end is missing opens nothing.
snaplen: 60
dialogue
> NOOP
< 200 ok
> PASV
< 227 Entering Passive Mode (10,0,0,2,156,64).
> QUIT
< 221 bye
expect
