# Segments end anywhere: the command in three, the reply in four.
dialogue
>> P
>> AS
>> V\r\n
<< 22
<< 7 Entering Passive Mode (10,0,0,2,1
<< 56,64).\r
<< \n
expect
{"frame":10,"event":"open","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":40000,"reason":"announced"}
