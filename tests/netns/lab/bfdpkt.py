# SPDX-License-Identifier: GPL-2.0-or-later
"""BFD on the wire (RFC 5880 section 4): control packets made and read, right ones and wrong ones;
frames with any address, TTL and port; and an observer of what hosts really send, by which tests
measure without asking the daemons that they test."""

import collections
import ctypes
import dataclasses
import ipaddress
import select
import socket
import struct
import threading
import time

from . import poll
from .rawpkt import checksum
from .rawtcp import mac_of

SINGLE_HOP, ECHO, MULTIHOP = 3784, 3785, 4784
PORTS = (SINGLE_HOP, ECHO, MULTIHOP)
ADMIN_DOWN, DOWN, INIT, UP = range(4)
STATES = ("AdminDown", "Down", "Init", "Up")
POLL, FINAL, CPI, AUTH, DEMAND, MULTIPOINT = 0x20, 0x10, 8, 4, 2, 1  # flags
SIZE = 24
CS6 = 0xC0


@dataclasses.dataclass
class Packet:
    """A control packet; any field may be a lie. Intervals are in microseconds."""

    version: int = 1
    diag: int = 0
    state: int = DOWN
    flags: int = 0
    mult: int = 3
    length: int = None  # None: what it really has
    my: int = 1
    your: int = 0
    tx: int = 1000000
    rx: int = 1000000
    echo: int = 0
    body: bytes = b""  # behind the 24 bytes: an authentication section, or rubbish

    def pack(self):
        length = SIZE + len(self.body) if self.length is None else self.length
        head = struct.pack(
            "!BBBBIIIII", self.version << 5 | self.diag, self.state << 6 | self.flags, self.mult,
            length, self.my, self.your, self.tx, self.rx, self.echo,
        )  # fmt: skip
        return head + self.body

    @classmethod
    def parse(cls, data):
        """None for what is no control packet at all."""
        if len(data) < SIZE:
            return None
        first, second, mult, length, my, your, tx, rx, echo = struct.unpack("!BBBBIIIII", data[:SIZE])
        return cls(first >> 5, first & 31, second >> 6, second & 63, mult, length, my, your, tx, rx,
                   echo, data[SIZE:])  # fmt: skip

    def acceptable(self):
        """The checks of RFC 5880 section 6.8.6 that need no session."""
        return (
            self.version == 1
            and SIZE <= self.length <= SIZE + len(self.body)
            and self.mult != 0
            and not self.flags & MULTIPOINT
            and self.my != 0
            and (self.your != 0 or self.state in (DOWN, ADMIN_DOWN))
        )


def datagram(source, target, sport, dport, payload, ttl=255, tos=CS6):
    """An IP packet with a UDP datagram in it, from whomever to whomever. Returns (ethertype, bytes)."""
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    udp = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    pseudo = source.packed + target.packed + struct.pack("!II", len(udp), socket.IPPROTO_UDP)
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    addresses = source.packed + target.packed
    if source.version == 6:
        head = struct.pack("!IHBB", 6 << 28 | tos << 20, len(udp), socket.IPPROTO_UDP, ttl)
        return 0x86DD, head + addresses + udp
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(udp), 0, 0x4000, ttl, socket.IPPROTO_UDP, 0)
    head += addresses
    return 0x0800, head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


class Forger:
    """Puts packets on the link of `device` as if they came from there, towards the host that owns
    `towards`, (namespace, device): neither the sender's firewall nor its routes have a say."""

    def __init__(self, ns, device, towards):
        with ns.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((device, 0))
        self.header = mac_of(*towards) + mac_of(ns, device)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, source, target, sport, packet, dport=SINGLE_HOP, ttl=255):
        """packet: a Packet, or bytes."""
        payload = packet.pack() if isinstance(packet, Packet) else packet
        kind, data = datagram(source, target, sport, dport, payload, ttl)
        self.socket.send(self.header + struct.pack("!H", kind) + data)


# --- the observer -------------------------------------------------------------------------------


class Flow:
    """What one host has sent to one peer."""

    def __init__(self):
        self.packets = 0
        self.first = self.last = None  # seconds since the epoch, as the kernel stamped them
        self.changes = []  # [(time, state), ...]: the first packet of each new state
        self.ports = []  # source ports, in order of appearance
        self.ttl = set()
        self.packet = None  # the latest
        self.slowest = 0  # seconds between two packets while Up
        self.times = collections.deque(maxlen=4096)

    def take(self, now, sport, ttl, packet):
        if self.packets == 0:
            self.first = now
        if not self.changes or self.changes[-1][1] != packet.state:
            self.changes.append((now, packet.state))
        elif packet.state == UP:
            self.slowest = max(self.slowest, now - self.last)
        if sport not in self.ports:
            self.ports.append(sport)
        self.ttl.add(ttl)
        self.times.append(now)
        self.packets += 1
        self.last, self.packet = now, packet

    def spoke(self, since):
        """When the first packet after that was sent."""
        return next(t for t in self.times if t >= since - 0.1)

    @property
    def state(self):
        return self.changes[-1][1] if self.changes else None

    def began(self):
        """Its first word; what is Up at once is the last one of a session before this one."""
        return next((when for when, state in self.changes if state != UP), self.first)

    def since(self):
        """When it began to send its present state."""
        return self.changes[-1][0]

    def downs(self):
        """How often it has stopped being Up."""
        return sum(1 for a, b in zip(self.changes, self.changes[1:]) if a[1] == UP != b[1])

    def __str__(self):
        told = ", ".join(f"{STATES[state]} {when - self.first:+.3f}" for when, state in self.changes)
        return f"{self.packets} packets from {self.ports}: {told or 'nothing'}"


PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26
_LD_PKTTYPE = (0x28, 0, 0, 0xFFFFF004)  # ldh, of SKF_AD_OFF + SKF_AD_PKTTYPE


def _filter():
    """Classic BPF: UDP that this host sends out, over IPv4 without options or IPv6 without extension
    headers, to one of the BFD ports."""
    code = [
        _LD_PKTTYPE,
        (0x15, 0, 15, PACKET_OUTGOING),
        (0x28, 0, 0, 12),
        (0x15, 0, 4, 0x0800),
        (0x30, 0, 0, 23),
        (0x15, 0, 11, socket.IPPROTO_UDP),
        (0x28, 0, 0, 36),
        (0x05, 0, 0, 5),  # to the ports
        (0x15, 0, 8, 0x86DD),
        (0x30, 0, 0, 20),
        (0x15, 0, 6, socket.IPPROTO_UDP),
        (0x28, 0, 0, 56),
        (0x05, 0, 0, 0),
        (0x15, 2, 0, SINGLE_HOP),
        (0x15, 1, 0, MULTIHOP),
        (0x15, 0, 1, ECHO),
        (0x06, 0, 0, 0x40000),
        (0x06, 0, 0, 0),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code), len(code)


class Wire:
    """Sees what hosts send, behind their own firewalls and before anybody else's. One thread for all
    taps; `with` ends it."""

    def __init__(self):
        self.flows = {}  # (namespace, source, target, port): Flow
        self.lock = threading.Lock()
        self.since = 0.0
        self.taps = {}  # fd: (socket, namespace)
        self.poll = select.epoll()
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()
        for tap, _ in self.taps.values():
            tap.close()
        self.poll.close()

    def tap(self, ns, device):
        sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        code, count = _filter()
        buffer = ctypes.create_string_buffer(code)
        program = struct.pack("HP", count, ctypes.addressof(buffer))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.setblocking(False)
        sock.bind((device, 3))  # ETH_P_ALL
        self.taps[sock.fileno()] = (sock, ns.name)
        self.poll.register(sock.fileno(), select.EPOLLIN)

    def flow(self, ns, source, target, port):
        with self.lock:
            return self.flows.setdefault((ns.name, source, target, port), Flow())

    def forget(self):
        """What is sent from now on counts, and nothing that is still to be read."""
        with self.lock:
            self.since = time.time()
            self.flows.clear()

    def _run(self):
        while not self.ending:
            for fd, _ in self.poll.poll(0.1):
                self._drain(*self.taps[fd])

    def _drain(self, sock, name):
        while True:
            try:
                frame, control, _, _ = sock.recvmsg(2048, 64)
            except BlockingIOError:
                return
            except OSError:  # the device has gone
                self.poll.unregister(sock.fileno())
                return
            now = time.time()
            for level, kind, data in control:
                if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                    seconds, ns = struct.unpack("qq", data[:16])
                    now = seconds + ns / 1e9
            if frame[12:14] == b"\x08\x00":
                source, target, ttl, udp = frame[26:30], frame[30:34], frame[22], frame[34:]
            else:
                source, target, ttl, udp = frame[22:38], frame[38:54], frame[21], frame[54:]
            sport, dport, size = struct.unpack("!HHH", udp[:6])
            packet = Packet.parse(udp[8:size])
            if packet is None:
                continue
            family = socket.AF_INET if len(source) == 4 else socket.AF_INET6
            key = (name, socket.inet_ntop(family, source), socket.inet_ntop(family, target), dport)
            with self.lock:
                if now >= self.since:
                    self.flows.setdefault(key, Flow()).take(now, sport, ttl, packet)


def wait_packets(flow, count, seconds=5):
    poll.until(lambda: flow.packets >= count, lambda: f"{count} packets: {flow}", seconds)
