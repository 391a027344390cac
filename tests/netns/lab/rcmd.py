#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""rsh and rexec by the C library's own rcmd_af(3) and rexec_af(3): rcmd.py rsh|rexec PORT 4|6 HOST
COMMAND. What comes on either connection goes to standard output and error. Exit status 1 when the
call fails, 2 when the C library has it no more."""

import ctypes
import os
import select
import socket
import sys

AF = {"4": socket.AF_INET, "6": socket.AF_INET6}


def main():
    kind, port, family, host, command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    name = ctypes.c_char_p(host.encode())
    errors = ctypes.c_int(-1)
    common = [ctypes.byref(name), socket.htons(int(port)), b"root", b"root", command.encode(),
              ctypes.byref(errors), AF[family]]  # fmt: skip
    try:
        call = {"rsh": libc.rcmd_af, "rexec": libc.rexec_af}[kind]
    except AttributeError:
        sys.exit(2)
    sock = call(*common)
    if sock < 0:
        sys.exit(1)
    with socket.socket(fileno=os.dup(sock)) as whole:
        whole.shutdown(socket.SHUT_WR)  # the command has nothing to read
    targets = {sock: 1, errors.value: 2}
    while targets:
        for fd in select.select(list(targets), [], [])[0]:
            data = os.read(fd, 65536)
            if data:
                os.write(targets[fd], data)
            else:
                del targets[fd]


main()
