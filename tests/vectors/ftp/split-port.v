# "PO" + "RT ...", which a helper that looks at single segments misses.
dialogue
>> PO
>> RT 10,0,0,1,156,64\r\n
expect
{"frame":5,"event":"open","src":"10.0.0.2","sport":null,"dst":"10.0.0.1","dport":40000,"reason":"announced"}
