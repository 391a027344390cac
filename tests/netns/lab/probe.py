# SPDX-License-Identifier: GPL-2.0-or-later
"""Thousands of first packets at one host's firewall in one go, and the certainty which of them got
through: `outside` puts them on the link with any source address; the host sends others itself. A
table of ours notes behind the firewall's chains what is left, and drops it there, so that the host
answers nobody and conntrack keeps nothing. It also counts what has arrived, so that a packet that
was lost on its way is not taken for one that the firewall has dropped.
"""

import contextlib
import functools
import ipaddress
import json
import random
import re
import select
import socket
import struct
import time
import typing

from . import poll
from .catalogue import FAMILIES, OTHER
from .netns import CommandFailed
from .rawtcp import mac_of
from .tap import Failure

HOST = {4: "10.80.0.1", 6: "fd80::1"}
PREFIX_LENGTH = {4: 16, 6: 16}  # everybody is on the link
ELSEWHERE = {4: "172.29.0.1", 6: "fd29::1"}  # another address of the host, of no link
STRANGER = {4: "10.80.250.2", 6: "fd80:250::2"}
MAC = bytes.fromhex("020000009b01")  # whose packets are probes
MARK = 0x9B01  # and the host's own
CHUNK = 200  # packets before the host is waited for; its queue for the link takes a thousand
NUMBER = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, OTHER: 253}  # RFC 3692
KIND = {4: b"\x08\x00", 6: b"\x86\xdd"}  # Ethernet's
ICMP = {4: (socket.IPPROTO_ICMP, 8), 6: (socket.IPPROTO_ICMPV6, 128)}  # echo request


class Probe(typing.NamedTuple):
    """The peer's address is the source where direction is `in`, the destination where it is `out`."""

    direction: str
    peer: str
    proto: str  # tcp, udp, icmp, other
    sport: int
    dport: int
    to: str = ""  # in: another destination than the host's own address

    def __str__(self):
        where = f"from {self.peer}" if self.direction == "in" else f"to {self.peer}"
        if self.proto == "icmp":
            return f"echo request {where}"
        if self.proto == OTHER:
            return f"IP protocol {NUMBER[OTHER]} {where}"
        return f"{self.proto} {self.dport} {where}" + (f", at {self.to}" if self.to else "") + (
            f", source port {self.sport}"
        )


@functools.lru_cache(None)
def version(address):
    return 6 if ":" in address else 4


@functools.lru_cache(None)
def packed(address):
    return ipaddress.ip_address(address).packed


def _sum(data):
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def _fold(total):
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


# What stands behind the two ports: a SYN, an empty datagram, nothing.
TCP_REST = struct.pack("!IIBBHHH", 1, 0, 5 << 4, 2, 1024, 0, 0)
UDP_REST = struct.pack("!HH", 8, 0)


def _ip(source, target, number, length, ttl=64):
    addresses = packed(source) + packed(target)
    if version(source) == 6:
        return struct.pack("!IHBB", 6 << 28, length, number, ttl) + addresses
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, ttl, number, 0) + addresses
    return head[:10] + struct.pack("!H", _fold(_sum(head))) + head[12:]


@functools.lru_cache(None)
def _head(source, target, proto):
    """IP header and the sum of everything but the ports; of ICMP, but the identifier."""
    family = version(source)
    if proto == "icmp":
        number, kind = ICMP[family]
        rest = struct.pack("!BBHHH", kind, 0, 0, 0, 1)
    else:
        number = NUMBER[proto]
        rest = {"tcp": TCP_REST, "udp": UDP_REST, OTHER: b"\0" * 4}[proto]
    length = len(rest) + (0 if proto == "icmp" else 4)
    total = _sum(rest)
    if proto != "icmp" or family == 6:
        total += _sum(packed(source) + packed(target)) + number + length
    return _ip(source, target, number, length), total


def packet(source, target, proto, sport, dport):
    """An IP packet with right checksums; dport is the identifier of an echo request."""
    head, total = _head(source, target, proto)
    if proto == "icmp":
        kind = ICMP[version(source)][1]
        return head + struct.pack("!BBHHH", kind, 0, _fold(total + dport), dport, 1)
    ports = struct.pack("!HH", sport, dport)
    if proto == OTHER:
        return head + ports + b"\0" * 4
    check = struct.pack("!H", _fold(total + sport + dport) or 0xFFFF)
    if proto == "tcp":
        return head + ports + TCP_REST[:12] + check + TCP_REST[14:]
    return head + ports + UDP_REST[:2] + check


def protocol(probe):
    return ICMP[version(probe.peer)][0] if probe.proto == "icmp" else NUMBER[probe.proto]


# --- the host and what is around it -------------------------------------------------------------

DEVICE = "eth0"
OBSERVER = f"""
table inet probe
delete table inet probe
table inet probe {{
	set in4 {{ type ipv4_addr . inet_proto . inet_service . inet_service; size 65535; flags dynamic; }}
	set in6 {{ type ipv6_addr . inet_proto . inet_service . inet_service; size 65535; flags dynamic; }}
	set out4 {{ type ipv4_addr . inet_proto . inet_service . inet_service; size 65535; flags dynamic; }}
	set out6 {{ type ipv6_addr . inet_proto . inet_service . inet_service; size 65535; flags dynamic; }}
	counter arrived {{ }}
	chain note {{
		meta nfproto ipv4 add @in4 {{ ip saddr . meta l4proto . th sport . th dport }} drop
		meta nfproto ipv6 add @in6 {{ ip6 saddr . meta l4proto . th sport . th dport }} drop
	}}
	chain arrive {{
		type filter hook prerouting priority raw - 10;
		iifname "{DEVICE}" ether saddr {MAC.hex(":")} counter name arrived
	}}
	chain late {{
		type filter hook %s;
		iifname "{DEVICE}" ether saddr {MAC.hex(":")} jump note
	}}
	chain sent {{
		type filter hook output priority 100;
		meta mark {MARK} meta nfproto ipv4 add @out4 {{ ip daddr . meta l4proto . th sport . th dport }} drop
		meta mark {MARK} meta nfproto ipv6 add @out6 {{ ip6 daddr . meta l4proto . th sport . th dport }} drop
	}}
}}
"""
BEHIND_INPUT = "input priority 100"
BEFORE_TRANSLATION = "prerouting priority dstnat - 5"


class Unsound(Exception):
    """What was sent and what has arrived do not fit, so nothing is known of the firewall."""


class Range:
    """A shooting range: `host`, with a firewall, and `outside`, which has everybody's addresses."""

    def __init__(self, lab):
        self.lab = lab
        self.host = lab.netns("host")
        self.outside = lab.netns("outside")
        for ns in (self.host, self.outside):
            ns.sysctl("net.ipv6.conf.default.accept_dad", 0)
            for where in ("all", "default"):
                ns.sysctl(f"net.ipv4.conf.{where}.rp_filter", 0)
        self.host.sh("ip", "link", "add", DEVICE, "type", "veth", "peer", DEVICE, "netns", self.outside.name)
        for ns, addresses in ((self.host, HOST), (self.outside, STRANGER)):
            self.address(ns, addresses.values())
            ns.sh("ip", "link", "set", DEVICE, "up")
        for address in ELSEWHERE.values():
            self.host.sh("ip", "address", "add", address, "dev", "lo")
        self.send_in, self.arp, self.header = self._link_sockets()
        self.send_out = {}
        self.patience = 5.0  # seconds for what was sent to arrive
        self.asked = 0

    def address(self, ns, addresses):
        lines = []
        for a in addresses:
            length = PREFIX_LENGTH[version(a)]
            lines.append(f"address replace {a}/{length} dev {DEVICE}{' nodad' if length and ':' in a else ''}\n")
        ns.sh("ip", "-batch", "-", stdin="".join(lines))

    def container(self, device):
        """A namespace behind the host, on a link that has this name there."""
        number = len(self.lab.spaces)
        ns = self.lab.netns(f"inside{number}")
        own, there = ({4: f"172.30.{number}.{n}", 6: f"fd30:{number}::{n}"} for n in (1, 2))
        self.host.sh("ip", "link", "add", device, "type", "veth", "peer", DEVICE, "netns", ns.name)
        for where, dev, addresses in ((self.host, device, own), (ns, DEVICE, there)):
            for a in addresses.values():
                where.sh("ip", "address", "add", f"{a}/{24 if version(a) == 4 else 64}", "dev", dev,
                         *["nodad"] * (version(a) == 6))  # fmt: skip
            where.sh("ip", "link", "set", dev, "up")
        for family in FAMILIES:
            ns.sh("ip", f"-{family}", "route", "add", "default", "via", own[family])
            self.outside.sh("ip", f"-{family}", "route", "add", there[family], "via", HOST[family])
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.host.sysctl(key, 1)
        return ns, own, there

    def _link_sockets(self):
        with self.outside.entered():
            send = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        send.bind((DEVICE, 0))
        arp.bind((DEVICE, 0x0806))
        return send, arp, mac_of(self.host, DEVICE) + MAC

    # --- the firewall ---

    def load(self, text):
        self.host.sh("nft", "-f", "-", stdin=text)

    def rules(self):
        """Everything in force but for our own table and counters."""
        listing = self.host.sh("nft", "-s", "list", "ruleset")
        blocks = re.split(r"^(?=table )", listing, flags=re.M)
        return "".join(b for b in blocks if not b.startswith("table inet probe "))

    def observe(self, behind=BEHIND_INPUT):
        """Notes what gets as far as this."""
        self.host.sh("nft", "-f", "-", stdin=OBSERVER % behind)

    def beside(self, text=""):
        """These chains in a table beside the profile, in place of those before."""
        head = "table inet beside\ndelete table inet beside\n"
        self.host.sh("nft", "-f", "-", stdin=head + (f"table inet beside {{\n{text}}}\n" if text else ""))

    def clear(self):
        """No firewall of an earlier case, and no flow."""
        self.host.sh("nft", "-f", "-", stdin="add table inet strict\ndelete table inet strict\n")
        self.host.run(["conntrack", "-F"])

    def _noted(self):
        """(packets that have arrived, {(direction, peer, protocol, source port, port), ...})"""
        listing = json.loads(self.host.sh("nft", "-j", "list", "table", "inet", "probe"))["nftables"]
        arrived = next(item["counter"]["packets"] for item in listing if "counter" in item)
        found = set()
        for item in listing:
            for element in item.get("set", {}).get("elem", ()):
                peer, number, sport, dport = _value(element)["concat"]
                found.add((item["set"]["name"][:-1], peer, _number(number), sport, dport))
        return arrived, found

    def _forget(self):
        sets = ("in4", "in6", "out4", "out6")
        lines = "".join(f"flush set inet probe {name}\n" for name in sets)
        self.host.sh("nft", "-f", "-", stdin=lines + "reset counter inet probe arrived\n")

    # --- shooting ---

    def passed(self, probes):
        """Those of these probes that get through. Their source addresses have to tell them apart
        together with protocol and ports."""
        keys = {self._key(p): p for p in probes}
        if len(keys) != len(probes):
            raise ValueError("two probes are the same on the wire")
        self._forget()
        # Wherever many follow one another in the same order, something may come to depend on it.
        shuffled = random.Random(1).sample(probes, len(probes))
        incoming = [p for p in shuffled if p.direction == "in"]
        self._shoot_in([self._packet(p) for p in incoming])
        self._shoot_out([p for p in shuffled if p.direction == "out"])
        noted = self._all_of(len(incoming))
        strange = noted - set(keys)
        if strange:
            raise Unsound(f"passed, and nobody has sent it: {sorted(strange)[:5]}")
        return {keys[key] for key in noted}

    def _key(self, p):
        if p.proto != "icmp":
            return p.direction, p.peer, protocol(p), p.sport, p.dport
        sport, dport = struct.unpack("!HH", self._packet(p)[-8:-4])
        return p.direction, p.peer, protocol(p), sport, dport

    def _packet(self, p):
        own = HOST[version(p.peer)]
        if p.direction == "in":
            return packet(p.peer, p.to or own, p.proto, p.sport, p.dport)
        return packet(own, p.peer, p.proto, p.sport, p.dport)

    def _shoot_in(self, packets):
        for start in range(0, len(packets), CHUNK):
            for data in packets[start : start + CHUNK]:
                self.send_in.send(self.header + (KIND[6] if data[0] >> 4 == 6 else KIND[4]) + data)
            self._wait_for_host()

    def _all_of(self, count):
        """What is noted once so many packets have arrived."""
        arrived, noted = 0, None

        def there():
            nonlocal arrived, noted
            arrived, noted = self._noted()
            return arrived >= count

        poll.until(there, lambda: f"{count} packets to arrive; {arrived} have", self.patience)
        if arrived != count:
            raise Unsound(f"{arrived} packets have arrived, of {count}")
        return noted

    def _wait_for_host(self):
        """It answers an ARP request only after all that it has had before: no firewall of ours looks
        at ARP, and its queue is one."""
        self.asked = self.asked % 250 + 1
        asker = socket.inet_aton(f"10.80.251.{self.asked}")
        request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + MAC + asker + b"\0" * 6 + packed(HOST[4])
        self.arp.send(self.header + b"\x08\x06" + request)
        while select.select([self.arp], [], [], 5)[0]:
            frame = self.arp.recv(128)
            if frame[20:22] == b"\0\2" and frame[38:42] == asker:
                return
        raise Unsound("the host does not answer an ARP request")

    # --- ordinary traffic, of the hosts' own ---

    def forget_neighbours(self):
        for ns in (self.host, self.outside):
            ns.sh("ip", "neigh", "flush", "dev", DEVICE)

    def ping(self, ns, source, target, seconds=3):
        """Echo requests, three a second, until a reply comes: any of them may meet the rules' limit."""
        family = version(source)
        number, kind = ICMP[family]
        with ns.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, number) as sock:
            sock.bind((source, 0))
            self.asked += 1
            request = struct.pack("!BBHHH", kind, 0, 0, 0x9B01, self.asked)
            if family == 4:
                request = request[:2] + struct.pack("!H", _fold(_sum(request))) + request[4:]
            reply = {4: b"\0\0", 6: b"\x81\0"}[family]
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                sock.sendto(request, (target, 0))
                again = min(end, time.monotonic() + 0.33)
                while select.select([sock], [], [], max(0, again - time.monotonic()))[0]:
                    said = sock.recv(256)[20 if family == 4 else 0 :]
                    if said[:2] == reply and said[4:8] == request[4:8]:
                        return
        raise Failure(f"{target} does not answer an echo request of {source}")

    def too_big(self, peer, port, peer_port):
        """A router says that what the host has sent in this TCP connection is too big for it. True when
        the host's firewall lets it through."""
        family = version(peer)
        self._forget()
        inner = packet(HOST[family], peer, "tcp", port, peer_port)
        number, kind, code = {4: (1, 3, 4), 6: (58, 2, 0)}[family]
        message = struct.pack("!BBHI", kind, code, 0, 1280) + inner
        head = _ip(STRANGER[family], HOST[family], number, len(message))
        total = _sum(message)
        if family == 6:
            total += _sum(head[8:]) + number + len(message)
        message = message[:2] + struct.pack("!H", _fold(total)) + message[4:]
        self._shoot_in([head + message])
        return bool(self._all_of(1))

    def _shoot_out(self, probes):
        for p in probes:
            family = version(p.peer)
            if family not in self.send_out:
                kind = socket.AF_INET if family == 4 else socket.AF_INET6
                sock = self.host.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, DEVICE.encode())
                self.send_out[family] = sock
            with contextlib.suppress(PermissionError):  # whoever drops it, the firewall or we behind it
                self.send_out[family].sendto(self._packet(p), (p.peer, 0))
                raise CommandFailed(f"{p} has left the host: nobody has noted it")


def _value(element):
    """Of a set's element, which nft wraps where there is more to say of it."""
    for word in ("elem", "val"):
        if isinstance(element, dict) and word in element:
            element = element[word]
    return element


def _number(word):
    """nft names protocols."""
    return {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "icmpv6": 58}.get(word) or int(word)


# --- from one address to another, over any route ---------------------------------------------------


def knock(client, server, source, target, ports):
    """The TCP ports at which a SYN gets through the server's firewall. It is dropped behind that."""
    family = version(source)
    word = {4: "ip", 6: "ip6"}[family]
    kind = f"{word} saddr {source} {word} daddr {target} tcp flags syn"
    server.sh("nft", "-f", "-", stdin=f"""table inet knock {{
	set noted {{ type inet_service; size 65535; flags dynamic; }}
	counter arrived {{ }}
	chain arrive {{ type filter hook prerouting priority raw - 10; {kind} counter name arrived; }}
	chain late {{ type filter hook input priority 100; {kind} add @noted {{ tcp dport }} drop; }}
}}
""")

    def listed(kind, name):
        listing = json.loads(server.sh("nft", "-j", "list", kind, "inet", "knock", name))
        return next(item[kind] for item in listing["nftables"] if kind in item)

    ports = list(ports)
    try:
        with client.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW,
                           socket.IPPROTO_RAW) as sock:  # fmt: skip
            for start in range(0, len(ports), 500):
                for port in ports[start : start + 500]:
                    sock.sendto(packet(source, target, "tcp", 50000, port), (target, 0))
                count = min(start + 500, len(ports))
                poll.until(
                    lambda: listed("counter", "arrived")["packets"] >= count, f"{count} packets to arrive", 5, 0
                )
        return {_value(e) for e in listed("set", "noted").get("elem", ())}
    finally:
        server.sh("nft", "delete", "table", "inet", "knock")
