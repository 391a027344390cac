# SPDX-License-Identifier: GPL-2.0-or-later
"""First packets with any source address, put on the wire as they are; and conntrack emptied."""

import ipaddress
import os
import socket
import struct

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _transport(family, proto, sport, dport):
    """Bytes with a checksum of 0, and where that is."""
    if proto == TCP:
        head = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 6 << 4, 0x02, 1024, 0, 0)
        return head + struct.pack("!BBH", 2, 4, 1460 if family == 4 else 1440), 16
    if proto == UDP:
        return struct.pack("!HHHH", sport, dport, 12, 0) + b"ping", 6
    return struct.pack("!BBHHH", 8 if proto == ICMP else 128, 0, 0, 7, 1) + b"ping", 2


def packet(family, proto, source, destination, sport, dport):
    src, dst = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    data, at = _transport(family, proto, sport, dport)
    pseudo = src + dst + (struct.pack("!BBH", 0, proto, len(data)) if family == 4
                          else struct.pack("!IHBB", len(data), 0, 0, proto))  # fmt: skip
    value = checksum((b"" if proto == ICMP else pseudo) + data) or 0xFFFF
    data = data[:at] + struct.pack("!H", value) + data[at + 2 :]
    if family == 6:
        return struct.pack("!IHBB", 6 << 28, len(data), proto, 64) + src + dst + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0x4000, 64, proto, 0) + src + dst
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data


class Wire:
    """Puts packets on an interface of a namespace, for the interface at the other end."""

    def __init__(self, ns, device, to):
        with ns.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.sock.bind((device, 0))
        self.to = bytes.fromhex(to.replace(":", ""))

    def send(self, data, number):
        """number: the last two bytes of the hardware address that it comes from."""
        ethertype = b"\x08\x00" if data[0] >> 4 == 4 else b"\x86\xdd"
        self.sock.send(self.to + struct.pack("!BBBBH", 2, 0, 0, 0, number) + ethertype + data)

    def close(self):
        self.sock.close()


def forget_flows(ns):
    """Deletes all entries of conntrack (IPCTNL_MSG_CT_DELETE without a tuple)."""
    with ns.entered(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:
        body = struct.pack("=BBH", 0, 0, 0)
        s.send(struct.pack("=IHHII", 16 + len(body), 1 << 8 | 2, 1 | 4, 1, 0) + body)
        answer = s.recv(4096)
        error = -struct.unpack_from("=i", answer, 16)[0]
        if error:
            raise OSError(error, os.strerror(error))
