#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""As much of inetd as rshd and rexecd need: inetd.py PORT=PROGRAM... listens on both families and
runs the program with each connection as its standard input, output and error. SIGUSR1 ends those
that still run. Run as a program of its own, so that nothing of the tests is in it."""

import contextlib
import os
import selectors
import signal
import socket
import sys


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    selector = selectors.DefaultSelector()
    running = set()  # descriptors of processes

    def end_all(*_):
        for pidfd in running:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    signal.signal(signal.SIGUSR1, end_all)
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
            if key.data is None:
                selector.unregister(key.fd)
                running.discard(key.fd)
                os.close(key.fd)
                continue
            connection, _ = key.fileobj.accept()
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for fd in range(3):
                    os.dup2(connection.fileno(), fd)
                os.execv(key.data[0], key.data)
            connection.close()
            with contextlib.suppress(ProcessLookupError):
                running.add(pidfd := os.pidfd_open(pid))
                selector.register(pidfd, selectors.EVENT_READ)


main()
