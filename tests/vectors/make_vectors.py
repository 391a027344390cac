#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Turns the readable vectors below this directory (*.v, see README) into pcap and pcapng files. Only
# the standard library; what it writes goes to the directory given, never beside the vectors. It knows
# packets and capture files, and nothing of what pinholed makes of them.

import codecs
import ipaddress
import json
import os
import re
import struct
import sys

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
FLAGS = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK}
START = 1700000000  # seconds since 1970 of the first frame


# --- packets -------------------------------------------------------------------------------------

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


# IPv6 extension headers: name -> (its protocol number, its bytes behind the next-header byte)
EXTENSIONS = {
    "hop": (0, bytes([0, 1, 4, 0, 0, 0, 0])),
    "routing": (43, bytes([2, 4, 0, 0, 0, 0, 0]) + bytes(16)),
    "atomic": (44, bytes([0, 0, 0, 0, 0, 0, 7])),
    "fragment": (44, bytes([0, 0, 1, 0, 0, 0, 7])),
    "auth": (51, bytes([4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]) + bytes(12)),
    "dest": (60, bytes([1]) + bytes([1, 12]) + bytes(12)),
}


def ip(src, dst, proto, body, extensions=(), fragment=0, ttl=64):
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 4:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, fragment, ttl, proto, 0,
                           a.packed, b.packed)
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body
    chain, numbers = b"", [EXTENSIONS[e][0] for e in extensions] + [proto]
    for i, e in enumerate(extensions):
        chain += bytes([numbers[i + 1]]) + EXTENSIONS[e][1]
    return struct.pack("!IHBB16s16s", 0x60000000, len(chain + body), numbers[0], ttl, a.packed,
                       b.packed) + chain + body


def tcp(src, sport, dst, dport, seq, ack, flags, payload=b"", options=b""):
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                       (20 + len(options)) // 4 << 4, flags, 64240, 0, 0) + options
    pseudo = a.packed + b.packed + struct.pack("!II", len(head + payload), 6)
    return head[:16] + struct.pack("!H", checksum(pseudo + head + payload)) + head[18:] + payload


def udp(sport, dport, payload):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


BFD_STATES = ("admin-down", "down", "init", "up")
BFD_FLAGS = {"poll": 0x20, "final": 0x10, "cpi": 8, "auth": 4, "demand": 2, "multipoint": 1}


def bfd(state, my, your, version=1, diag=0, flags="", mult=3, length=None, tx=1000, rx=300, echo=0,
        auth=None, cut=None):
    """A control packet (RFC 5880 section 4.1); intervals in ms, or in us behind a u. auth: TYPE:LEN,
    and :HAS when there are more or fewer bytes than it says."""
    bits = sum(BFD_FLAGS[f] for f in flags.split(",") if f)
    body = b""
    if auth:
        kind, says, *has = (int(n) for n in auth.split(":"))
        bits |= BFD_FLAGS["auth"]
        body = (bytes([kind, says]) + bytes(64))[:has[0] if has else says]

    def us(interval):
        text = str(interval)
        return int(text[:-1]) if text.endswith("u") else int(text) * 1000

    data = struct.pack("!BBBBIIIII", int(version) << 5 | int(diag), BFD_STATES.index(state) << 6 | bits,
                       int(mult), 24 + len(body) if length is None else int(length), int(my), int(your),
                       us(tx), us(rx), us(echo)) + body
    return data if cut is None else data[:int(cut)]


# --- link layers: name -> (number in the file, function of the packet and the file's byte order) ----

def ethertype(packet):
    return b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"


def null_family(packet, order):
    family = 2 if packet[0] >> 4 == 4 else 30
    return struct.pack(order + "I", family)


MACS = bytes.fromhex("020000000002020000000001")
LINKS = {
    "ethernet": (1, lambda p, o: MACS + ethertype(p) + p),
    "vlan": (1, lambda p, o: MACS + b"\x81\x00\x00\x0a" + ethertype(p) + p),
    "qinq": (1, lambda p, o: MACS + b"\x88\xa8\x00\x0a\x81\x00\x00\x0b" + ethertype(p) + p),
    "vlan3": (1, lambda p, o: MACS + b"\x91\x00\x00\x01\x81\x00\x00\x02\x81\x00\x00\x03" +
              ethertype(p) + p),
    "padded": (1, lambda p, o: (MACS + ethertype(p) + p).ljust(60, b"\xee") + b"\xee" * 4),
    "sll": (113, lambda p, o: b"\0\0\0\x01\0\x06" + MACS[:6] + b"\0\0" + ethertype(p) + p),
    "sll-vlan": (113, lambda p, o: b"\0\0\0\x01\0\x06" + MACS[:6] + b"\0\0\x81\0\0\x0a" +
                 ethertype(p) + p),
    "sll2": (276, lambda p, o: ethertype(p) + b"\0\0\0\0\0\x02\0\x01\0\x06" + MACS[:6] + b"\0\0" + p),
    "raw": (101, lambda p, o: p),
    "raw12": (12, lambda p, o: p),
    "raw-family": (None, lambda p, o: p),  # 228 or 229
    "null": (0, lambda p, o: null_family(p, o) + p),
    "loop": (108, lambda p, o: null_family(p, ">") + p),
}


# --- capture files ---------------------------------------------------------------------------------

class Frame:
    def __init__(self, ns, packet, ip=True):
        self.ns, self.packet, self.ip = ns, packet, ip


def link_bytes(frame, link, order):
    if not frame.ip:  # an ARP request, or what stands for it where there is no ethertype
        if link in ("raw", "raw12", "raw-family"):
            return b"\x00" + frame.packet
        if link in ("null", "loop"):
            return struct.pack(">I", 7) + frame.packet
        whole = LINKS[link][1](b"\x45", order)[:-1]
        return whole.replace(b"\x08\x00", b"\x08\x06") + frame.packet
    return LINKS[link][1](frame.packet, order)


def link_number(frames, link):
    number = LINKS[link][0]
    if number is None:
        version = next(f.packet[0] >> 4 for f in frames if f.ip)
        number = 228 if version == 4 else 229
    return number


def pcap(frames, link="ethernet", order="<", snaplen=0, nano=False):
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0,
                      snaplen or 262144, link_number(frames, link))
    for f in frames:
        data = link_bytes(f, link, order)
        kept = data[:snaplen] if snaplen else data
        fraction = f.ns % 10**9 if nano else f.ns % 10**9 // 1000
        out += struct.pack(order + "IIII", f.ns // 10**9, fraction, len(kept), len(data)) + kept
    return out


def block(order, kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(
        order + "I", len(body) + 12)


def pcapng(frames, link="ethernet", order="<", snaplen=0, nano=True):
    number = link_number(frames, link)
    out = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    resolution = struct.pack(order + "HHB3xHH", 9, 1, 9 if nano else 6, 0, 0)
    # Packets say which interface they came from. (Of several raw ones libpcap 1.10 reads none: it
    # compares the number in the file with its own one for the same thing.)
    interfaces = 1 if number == 101 else 2
    for _ in range(interfaces):
        out += block(order, 1, struct.pack(order + "HHI", number, 0, snaplen) + resolution)
    for i, f in enumerate(frames):
        data = link_bytes(f, link, order)
        kept = data[:snaplen] if snaplen else data
        ticks = f.ns if nano else f.ns // 1000
        out += block(order, 6, struct.pack(order + "IIIII", i % interfaces, ticks >> 32, ticks & 0xFFFFFFFF,
                                           len(kept), len(data)) + kept)
    return out


FORMATS = {
    "pcap": lambda f, l, s: pcap(f, l, "<", s),
    "pcap-big": lambda f, l, s: pcap(f, l, ">", s),
    "pcap-nano": lambda f, l, s: pcap(f, l, "<", s, True),
    "pcapng": lambda f, l, s: pcapng(f, l, "<", s),
    "pcapng-big": lambda f, l, s: pcapng(f, l, ">", s, False),
}


# --- vectors ---------------------------------------------------------------------------------------

def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def raw(text):
    return codecs.decode(text.encode("latin-1"), "unicode_escape").encode("latin-1")


class Vector:
    """A file of this directory: header, dialogue, expectation."""

    def __init__(self, path):
        self.name = os.path.relpath(path, os.path.dirname(os.path.abspath(__file__)))[:-2]
        self.head = {"client": "10.0.0.1:4711", "server": "10.0.0.2:21", "link": "ethernet",
                     "format": "pcap", "snaplen": "0", "extensions": "", "config": "",
                     "service": "ftp", "proto": None, "begin": "handshake", "peer": "49142"}
        self.frames, self.expect = [], []
        self.ns = START * 10**9
        with open(path, encoding="ascii") as f:
            lines = f.read().split("\n")
        section = 0
        for number, line in enumerate(lines, 1):
            try:
                if line.startswith("#") or not line.strip():
                    continue
                if line in ("dialogue", "expect"):
                    section = {"dialogue": 1, "expect": 2}[line]
                    if section == 1:
                        self.start()
                elif section == 0:
                    key, value = line.split(":", 1)
                    if key not in self.head:
                        raise ValueError(f"no such key: {key}")
                    old = self.head[key] if key == "config" else ""
                    self.head[key] = (old + "\n" + value if old else value).strip()
                elif section == 1:
                    self.step(line)
                else:
                    self.expect.append(self.whole(json.loads(line)))
            except (ValueError, IndexError, KeyError) as e:
                sys.exit(f"{path}:{number}: {e}")

    def proto(self):
        return self.head["proto"] or ("udp" if self.head["service"] == "bfd" else "tcp")

    def start(self):
        self.client, self.server = endpoint(self.head["client"]), endpoint(self.head["server"])
        self.next = {">": 1000, "<": 5000}  # the next sequence number of each side
        if self.head["begin"] == "handshake" and self.proto() == "tcp":
            self.segment(">", SYN)
            self.segment("<", SYN | ACK)
            self.segment(">", ACK)

    def add(self, packet, is_ip=True):
        self.frames.append(Frame(self.ns, packet, is_ip))
        self.ns += 10**6 + 1000

    def segment(self, side, flags, payload=b"", at=0, shown=True, fragment=0):
        other = "<" if side == ">" else ">"
        src, dst = (self.client, self.server) if side == ">" else (self.server, self.client)
        seq = self.next[side] + at
        ack = self.next[other] if flags & ACK else 0
        body = tcp(*src, *dst, seq, ack, flags, payload)
        if shown:
            self.add(ip(src[0], dst[0], 6, body, self.head["extensions"].split(), fragment))
        end = seq + len(payload) + (1 if flags & (SYN | FIN) else 0)
        self.next[side] = max(self.next[side], end)

    def control(self, side, options, words):
        """Both sides of BFD send to the same port."""
        src, dst = (self.client, self.server) if side == ">" else (self.server, self.client)
        sport = self.client[1] if side == ">" else int(self.head["peer"])
        sport, ttl = int(options.pop("sport", sport)), int(options.pop("ttl", 255))
        packet = udp(sport, self.server[1], bfd(*words, **options))
        self.add(ip(src[0], dst[0], 17, packet, self.head["extensions"].split(), ttl=ttl))

    def step(self, line):
        flow = re.fullmatch(r": (\S+) > (\S+) ([A-Z,]+)", line)
        datagram = re.fullmatch(r"= (\S+) > (\S+) (?:ttl=(\d+) )?(.*)", line)
        control = re.fullmatch(r"b([<>]) (\S+) (\d+) (\d+)((?: \w+=\S+)*)", line)
        placed = re.fullmatch(r"([<>])@(-?\d+) (.*)", line)
        word, _, rest = line.partition(" ")
        if flow:
            a, b = endpoint(flow[1]), endpoint(flow[2])
            flags = sum(FLAGS[f] for f in flow[3].split(","))
            self.add(ip(a[0], b[0], 6, tcp(*a, *b, 1, 1, flags)))
        elif datagram:
            a, b = endpoint(datagram[1]), endpoint(datagram[2])
            packet = udp(a[1], b[1], raw(datagram[4]))
            self.add(ip(a[0], b[0], 17, packet, ttl=int(datagram[3] or 64)))
        elif control:
            options = dict(o.split("=", 1) for o in control[5].split())
            self.control(control[1], options, control.group(2, 3, 4))
        elif placed:
            self.segment(placed[1], PSH | ACK, raw(placed[3]), int(placed[2]))
        elif word in (">", "<"):
            self.segment(word, PSH | ACK, raw(rest) + b"\r\n")
        elif word in (">>", "<<"):
            self.segment(word[0], PSH | ACK, raw(rest))
        elif word in (">?", "<?"):
            self.segment(word[0], PSH | ACK, raw(rest) + b"\r\n", shown=False)
        elif word in (">f", "<f"):
            self.segment(word[0], PSH | ACK, raw(rest) + b"\r\n", fragment=0x2000)
        elif word in (">x", "<x"):  # N times a byte
            count, what = rest.split(" ", 1)
            for at in range(0, int(count), 1000):
                self.segment(word[0], ACK, raw(what) * min(1000, int(count) - at))
        elif word in (">!", "<!"):
            self.segment(word[0], sum(FLAGS[f] for f in rest.split(",")))
        elif word == "wait":
            self.ns += int(float(rest) * 10**9)
        elif word == "noise":
            self.add(b"\0\x01\x08\0\x06\x04\0\x01" + bytes(20), False)
        else:
            raise ValueError(f"not understood: {line}")

    def whole(self, expected):
        """What a line leaves out is that of the vector's own session."""
        proto = self.proto()
        session = {"proto": proto, "src": self.client[0], "sport": self.client[1],
                   "dst": self.server[0], "dport": self.server[1]}
        return {"service": self.head["service"], "proto": proto, "session": session} | expected

    def captures(self):
        """(name, bytes) of each combination of formats and link layers."""
        links, formats = self.head["link"].split(), self.head["format"].split()
        for link in list(LINKS) if links == ["all"] else links:
            for form in list(FORMATS) if formats == ["all"] else formats:
                kind = "pcapng" if form.startswith("pcapng") else "pcap"
                data = FORMATS[form](self.frames, link, int(self.head["snaplen"]))
                yield f"{self.name.replace('/', '-')}.{link}.{form}.{kind}", data


def vectors():
    here = os.path.dirname(os.path.abspath(__file__))
    paths = [os.path.join(d, f) for d, _, files in os.walk(here) for f in files if f.endswith(".v")]
    return [Vector(p) for p in sorted(paths)]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make_vectors.py DIRECTORY")
    os.makedirs(sys.argv[1], exist_ok=True)
    for vector in vectors():
        for name, data in vector.captures():
            with open(os.path.join(sys.argv[1], name), "wb") as f:
                f.write(data)


if __name__ == "__main__":
    main()
