# SPDX-License-Identifier: GPL-2.0-or-later
"""One TCP connection made by hand over AF_PACKET, to send what no TCP stack would: segments that
overlap with different content, in any order. IPv4, Ethernet, from an address that no kernel owns,
so none answers in its place.
"""

import os
import select
import socket
import struct
import time

from .rawpkt import checksum

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def mac_of(ns, device):
    with ns.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        return sock.getsockname()[4]


class RawClient:
    """A client next to `ns`, behind the same link to the router; active open."""

    def __init__(self, topology, address, port):
        ns, router = topology.client, topology.router
        self.address, self.port = address, port
        self.mac = mac_of(ns, "eth0")
        self.gateway = mac_of(router, "client")
        router.sh("ip", "neigh", "replace", address, "lladdr", self.mac.hex(":"), "dev", "client",
                  "nud", "permanent")  # fmt: skip
        with ns.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.bind(("eth0", 0x0800))
        self.first = int.from_bytes(os.urandom(3), "big")  # sequence number of stream offset 0
        self.acked = 0  # stream offset that the peer has acknowledged
        self.peer_next = 0
        self.received = b""

    def close(self):
        self.socket.close()

    def connect(self, peer, peer_port, seconds=5):
        self.peer, self.peer_port = peer, peer_port
        self._transmit(self.first - 1, 0, SYN, b"")
        self._wait(lambda: self.peer_next, "a SYN-ACK", seconds)
        self._transmit(self.first, self.peer_next, ACK, b"")

    def segment(self, offset, data):
        """Sends bytes as being at this offset of the stream."""
        self._transmit(self.first + offset, self.peer_next, ACK | PSH, data)

    def reset(self):
        self._transmit(self.first + self.acked, self.peer_next, RST | ACK, b"")

    def wait_acked(self, offset, seconds=5):
        """Until the peer has acknowledged all bytes before this offset."""
        self._wait(lambda: self.acked >= offset, f"an ACK of {offset}", seconds)

    def wait_received(self, size, seconds=5):
        self._wait(lambda: len(self.received) >= size, f"{size} bytes", seconds)
        return self.received

    def _wait(self, condition, what, seconds):
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {what} came")
            if select.select([self.socket], [], [], left)[0]:
                self._take(self.socket.recvfrom(65536))

    def _take(self, packet):
        frame, (_, _, kind, *_rest) = packet
        if kind == socket.PACKET_OUTGOING:
            return
        ip = frame[14:]
        header = (ip[0] & 15) * 4
        total = struct.unpack("!H", ip[2:4])[0]
        if ip[9] != socket.IPPROTO_TCP or ip[16:20] != socket.inet_aton(self.address):
            return
        tcp = ip[header:total]
        source, target, seq, ack, offset, flags = struct.unpack("!HHIIBB", tcp[:14])
        if (source, target) != (self.peer_port, self.port):
            return
        data = tcp[(offset >> 4) * 4 :]
        if flags & SYN:
            self.peer_next = (seq + 1) & 0xFFFFFFFF
        elif data and seq == self.peer_next:
            self.received += data
            self.peer_next = (seq + len(data)) & 0xFFFFFFFF
            self._transmit(self.first + self.acked, self.peer_next, ACK, b"")
        if flags & ACK:
            self.acked = max(self.acked, (ack - self.first) & 0xFFFFFFFF if ack >= self.first else 0)

    def _transmit(self, seq, ack, flags, data):
        tcp = struct.pack(
            "!HHIIBBHHH", self.port, self.peer_port, seq & 0xFFFFFFFF, ack, 5 << 4, flags, 65535, 0, 0
        )  # fmt: skip
        addresses = socket.inet_aton(self.address) + socket.inet_aton(self.peer)
        pseudo = addresses + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp) + len(data))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp + data)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp) + len(data), 0, 0x4000, 64, 6, 0)
        ip += addresses
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        self.socket.send(self.gateway + self.mac + b"\x08\x00" + ip + tcp + data)
