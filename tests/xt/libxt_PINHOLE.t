# As libxt_pinhole.t; a line in which a table is named is for the chains after it.
:INPUT,FORWARD,OUTPUT
-j PINHOLE --track ftp;-j CONNMARK --set-xmark 0x11000000/0x3f000000;OK
-j PINHOLE --track sunrpc;-j CONNMARK --set-xmark 0x12000000/0x3f000000;OK
-j PINHOLE --track tftp;-j CONNMARK --set-xmark 0x14000000/0x3f000000;OK
-j PINHOLE --track rsh;-j CONNMARK --set-xmark 0x15000000/0x3f000000;OK
-j PINHOLE --track rexec;-j CONNMARK --set-xmark 0x17000000/0x3f000000;OK
-j PINHOLE --track ftp --mask 0x3f;-j CONNMARK --set-xmark 0x11/0x3f;OK
-j PINHOLE --mask 0xfc0 --track rsh;-j CONNMARK --set-xmark 0x540/0xfc0;OK
-p tcp --dport 2121 -m conntrack --ctstate NEW -j PINHOLE --track ftp;-p tcp -m tcp --dport 2121 -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x11000000/0x3f000000;OK
-m pinhole --service sunrpc -j PINHOLE --track sunrpc;-m connmark --mark 0x22000000/0x2f000000 -j CONNMARK --set-xmark 0x12000000/0x3f000000;OK
-m pinhole --mask 0x3f -j PINHOLE --track rsh --mask 0xfc;-m connmark --mark 0x20/0x20 -j CONNMARK --set-xmark 0x54/0xfc;OK
-j CONNMARK --set-xmark 0x11000000/0x3f000000;=;OK
-j PINHOLE;"--track" must be specified;FAIL
-j PINHOLE --mask 0x3f;"--track" must be specified;FAIL
-j PINHOLE --track;requires an argument;FAIL
-j PINHOLE --track gopher;no service is called "gopher";FAIL
-j PINHOLE --track ftp,rsh;no service is called "ftp,rsh";FAIL
-j PINHOLE --track bfd;name the port in service bfd;FAIL
-j PINHOLE --track nfs;among the nfs-ports;FAIL
-j PINHOLE ! --track ftp;cannot be inverted;FAIL
-j PINHOLE --track ftp --track rsh;only be;FAIL
-j PINHOLE --track ftp --mask 0x3e;six adjacent bits;FAIL
-j PINHOLE --track ftp --mask -1;out of range;FAIL
-j PINHOLE --track ftp --set-mark 1;--set-mark;FAIL
*mangle
:PREROUTING,INPUT,FORWARD,OUTPUT,POSTROUTING
-j PINHOLE --track ftp;-j CONNMARK --set-xmark 0x11000000/0x3f000000;OK
*nat
:PREROUTING,INPUT,OUTPUT,POSTROUTING
-j PINHOLE --track ftp;-j CONNMARK --set-xmark 0x11000000/0x3f000000;OK
