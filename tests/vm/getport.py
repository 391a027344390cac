# SPDX-License-Identifier: GPL-2.0-or-later
"""getport.py: questions to rpcbind by hand (RFC 1833, version 2 over UDP).

  time SERVER COUNT FILE   COUNT questions for mountd on one flow; a line of round trips in µs is added to FILE
  each SERVER COUNT FILE   the same, each from another address of this host
  two SERVER               two questions before the first answer; both ports must let us connect
  report NONE FILE          what FILE says, and how it compares with NONE, turn by turn
"""

import socket
import struct
import sys
import time

MOUNTD, NLOCKMGR = (100005, 3), (100021, 4)
TCP = 6
# 10.1.0.0/16 is this host's (see peer.sh).
SOURCES = (f"10.1.{n >> 8}.{n & 255}" for n in range(1, 1 << 16))


# The guest's Python has no module for these.
def percentile(values, p):
    """The least value that p per cent of them do not exceed."""
    return sorted(values)[-(-len(values) * p // 100) - 1]


def median(values):
    return percentile(values, 50)


def question(xid, program, version):
    # call, RPC version 2, portmapper version 2, GETPORT; no credential, no verifier
    return struct.pack("!14I", xid, 0, 2, 100000, 2, 3, 0, 0, 0, 0, program, version, TCP, 0)


def port(answer, xid):
    got, kind, status, _, size, accepted, number = struct.unpack("!7I", answer)
    if (got, kind, status, size, accepted) != (xid, 1, 0, 0, 0) or not number:
        raise SystemExit(f"answer {answer.hex()} to 0x{xid:x}")
    return number


def opened(server, source=""):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(3)
    sock.bind((source, 0))
    sock.connect((server, 111))
    return sock


def once(sock, xid):
    message = question(xid, *MOUNTD)
    began = time.perf_counter_ns()
    sock.send(message)
    answer = sock.recv(512)
    took = time.perf_counter_ns() - began
    port(answer, xid)
    return took / 1000


def measure(server, count, path, sources):
    sock = opened(server)
    took = []
    try:
        for i in range(count):
            if sources:
                sock.close()
                sock = opened(server, next(sources))
            took.append(f"{once(sock, 0x1000 + i):.1f}")
    finally:
        with open(path, "a") as out:
            print(*took, file=out)


def two(server):
    sock = opened(server)
    for xid, program in ((1, MOUNTD), (2, NLOCKMGR)):
        sock.send(question(xid, *program))
    for _ in range(2):
        answer = sock.recv(512)
        number = port(answer, int.from_bytes(answer[:4], "big"))
        socket.create_connection((server, number), 3).close()


def turns(path):
    with open(path) as lines:
        return [[float(word) for word in line.split()] for line in lines]


def report(none, path):
    values = sorted(value for turn in turns(path) for value in turn)
    ratios = [median(b) / median(a) for a, b in zip(turns(none), turns(path)) if a and b]
    p50, p99 = median(values), percentile(values, 99)
    print(f"{p50:.0f} / {p99:.0f} ({len(values)}; {median(ratios):.1f})")


def main(what, *words):
    if what == "report":
        report(*words)
    elif what == "two":
        two(*words)
    else:
        server, count, path = words
        measure(server, int(count), path, SOURCES if what == "each" else None)


main(*sys.argv[1:])
