#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""As much of inetd as rshd and rexecd need: inetd.py PORT=PROGRAM... listens on both families and
runs the program with each connection as its standard input, output and error. Run as a program of
its own, so that nothing of the tests is in it."""

import os
import selectors
import signal
import socket
import sys


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    selector = selectors.DefaultSelector()
    for word in sys.argv[1:]:
        port, program = word.split("=", 1)
        for family in (socket.AF_INET, socket.AF_INET6):
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # rexecd does not know what ::ffff:192.0.2.1 is
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(("", int(port)))
            listener.listen(64)
            selector.register(listener, selectors.EVENT_READ, program.split())
    while True:
        for key, _ in selector.select():
            connection, _ = key.fileobj.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for fd in range(3):
                    os.dup2(connection.fileno(), fd)
                os.execv(key.data[0], key.data)
            connection.close()


main()
