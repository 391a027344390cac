#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads the rule set on standard input into the network namespace that this runs in, which should be
one of its own, and writes what nf_tables says of it, message after message. Rules that nft has no way to
say are left out."""

import pathlib
import socket
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))
from lab import rulegen

NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES = 12, 10
NLM_F_REQUEST_DUMP, NLMSG_ERROR, NLMSG_DONE = 0x301, 2, 3
GETTABLE, GETCHAIN, GETRULE, GETSET, GETSETELEM = 1, 4, 7, 10, 13
TABLE, NAME = 1, 2  # NFTA_SET_*, NFTA_SET_ELEM_LIST_*


def dump(sock, what, family=0, attributes=b""):
    """The messages of the answer."""
    body = struct.pack("BBH", family, 0, 0) + attributes
    sock.send(struct.pack("IHHII", 16 + len(body), NFNL_SUBSYS_NFTABLES << 8 | what, NLM_F_REQUEST_DUMP, 1, 0) + body)
    found = []
    while True:
        data = sock.recv(1 << 20)
        while data:
            length, kind = struct.unpack_from("IH", data)
            if kind == NLMSG_DONE:
                return found
            if kind == NLMSG_ERROR:
                sys.exit(f"dump {what}: error {struct.unpack_from('i', data, 16)[0]}")
            found.append(data[:length])
            data = data[(length + 3) & ~3 :]


def attribute(message, wanted):
    """The first of this type, header and all."""
    at = 20
    while at < len(message):
        length, kind = struct.unpack_from("HH", message, at)
        whole = (length + 3) & ~3
        if kind & 0x3FFF == wanted:
            return message[at : at + whole]
        at += whole
    return b""


def main():
    nft = ["nft", "-f", "-"]
    rulegen.sayable(sys.stdin.read(), lambda text: subprocess.run(nft, input=text, capture_output=True, text=True))
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    said = []
    for what in (GETTABLE, GETCHAIN, GETRULE):
        said += dump(sock, what)
    sets = dump(sock, GETSET)
    for message in sets:
        # Names have the same types in both messages.
        which = attribute(message, TABLE) + attribute(message, NAME)
        said += [message, *dump(sock, GETSETELEM, message[16], which)]
    sys.stdout.buffer.write(b"".join(said))


if __name__ == "__main__":
    main()
