config: service ftp { enabled = false }
dialogue
> PASV
< 227 ok (10,0,0,2,156,64)
expect
