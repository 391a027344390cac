# The capture begins in the middle. A session is followed from its first byte or not at all.
begin: middle
dialogue
< 227 ok (10,0,0,2,156,64)
> PASV
< 227 ok (10,0,0,2,156,65)
expect
