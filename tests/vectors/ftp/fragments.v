# A real fragment is not put together by replay: nothing can be read, so nothing is opened.
client: [2001:db8::1]:4711
server: [2001:db8::2]:21
extensions: fragment
dialogue
> EPSV
< 229 ok (|||40000|)
expect
