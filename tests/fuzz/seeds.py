#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the seeds of the fuzzers: seeds.py DIRECTORY makes DIRECTORY/packet/* and so on.

One function a fuzzer, each giving (name, bytes). What the bytes mean is said at the head of the
fuzzer.
"""

import pathlib
import random
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

V4 = bytes([192, 0, 2, 33]) + bytes([192, 0, 2, 21])
V6 = bytes.fromhex("20010db8000000000000000000000033" "20010db8000000000000000000000021")
HOP, TCP, UDP, ROUTING, FRAGMENT, ESP, AH, NONE, DESTINATION = 0, 6, 17, 43, 44, 50, 51, 59, 60


def ipv4(protocol, body, options=b"", fragment=0x4000):
    header = 20 + len(options)
    return struct.pack(">BBHHHBBH", 0x40 | header // 4, 0, header + len(body), 1, fragment, 64,
                       protocol, 0) + V4 + options + body


def ipv6(following, body, length=None):
    length = len(body) if length is None else length
    return struct.pack(">IHBB", 6 << 28, length, following, 64) + V6 + body


def tcp(data, options=b"", flags=0x18, sport=41072, dport=21):
    return struct.pack(">HHIIBBHHH", sport, dport, 1000, 2000, (20 + len(options)) // 4 << 4, flags,
                       512, 0, 0) + options + data


def udp(data, surplus=b"", sport=41519, dport=69):
    return struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data + surplus


def extension(following, kind, fragment=0):
    if kind == FRAGMENT:
        return struct.pack(">BBHI", following, 0, fragment, 7)
    length = 4 if kind == AH else 0
    return bytes([following, length]) + bytes(22 if kind == AH else 6)


def chain(kinds, last, body, fragment=0):
    """IPv6 with extension headers of these kinds before the body."""
    kinds = list(kinds)
    headers = b"".join(extension(following, kind, fragment)
                       for kind, following in zip(kinds, kinds[1:] + [last]))
    return ipv6((kinds + [last])[0], headers + body)


def packets():
    timestamps = bytes.fromhex("0101080a3d5134fdf6859df6")
    request = udp(b"\0\1pxelinux.0\0octet\0")
    yield "tcp4", ipv4(TCP, tcp(b"PASV\r\n", timestamps))
    yield "tcp4-syn", ipv4(TCP, tcp(b"", timestamps, flags=2))
    yield "tcp4-options", ipv4(TCP, tcp(b"PASV\r\n"), options=bytes.fromhex("94040000"))
    yield "tcp4-padded", ipv4(TCP, tcp(b"", flags=0x10)) + bytes(6)
    yield "tcp4-cut", ipv4(TCP, tcp(b"227 Entering Passive Mode (192,0,2,21,156,64)\r\n"))[:60]
    yield "udp4", ipv4(UDP, udp(b"\x5e\x55\x10\x17", dport=111))
    yield "udp4-surplus", ipv4(UDP, udp(b"data", b"surplus"))
    yield "udp4-fragment", ipv4(UDP, udp(bytes(16)), fragment=0x2000)
    yield "udp4-port-0", ipv4(UDP, udp(b"data", sport=0))
    yield "icmp4", ipv4(1, bytes(8))
    yield "tcp6", ipv6(TCP, tcp(b"EPSV\r\n", timestamps))
    yield "udp6", ipv6(UDP, request)
    yield "udp6-extensions", chain([HOP, DESTINATION, ROUTING, AH, DESTINATION], UDP, request)
    yield "udp6-atomic", chain([FRAGMENT], UDP, request)
    yield "udp6-fragment", chain([HOP, FRAGMENT], UDP, request, fragment=0x0001)
    yield "udp6-nine", chain([DESTINATION] * 9, UDP, request)
    yield "udp6-hop-late", chain([DESTINATION, HOP], UDP, request)
    yield "udp6-jumbo", ipv6(HOP, extension(UDP, HOP) + request, length=0)
    yield "esp6", chain([HOP], ESP, bytes(16))
    yield "none6", ipv6(NONE, b"")


def segment(where, count, cut=False, long=False):
    return struct.pack(">BHB", cut << 2 | long << 3, where + 32768, count)


def acked(where):
    return struct.pack(">BHB", 2, where + 32768, 0)


def syn():
    return struct.pack(">BHB", 3, 32768, 0)


def script(*steps, base=1000):
    return struct.pack(">I", base) + b"".join(steps)


def streams():
    wrap = 2**32 - 40010  # place 40000, where streams begin, is ten bytes before it
    yield "in-order", script(syn(), segment(0, 5), segment(0, 9))
    yield "no-syn", script(segment(0, 5), segment(0, 9))
    yield "retransmitted", script(syn(), segment(0, 5), segment(-5, 5), segment(-3, 9))
    yield "overtaken", script(syn(), segment(5, 5), segment(12, 2), segment(0, 5), segment(0, 9))
    yield "overlap", script(syn(), segment(4, 3), segment(2, 9), segment(3, 2), segment(0, 20))
    yield "wrapped", script(syn(), segment(8, 9), segment(20, 9), segment(0, 30), base=wrap)
    yield "pieces", script(syn(), *(segment(2 * i, 1) for i in range(1, 11)), segment(0, 2))
    yield "window", script(syn(), segment(16380, 4), segment(16380, 5), segment(0, 1))
    yield "long", script(syn(), segment(7, 3), segment(1, 204, long=True), segment(1, 255, long=True))
    yield "acked", script(syn(), segment(5, 5), segment(15, 5), acked(5), acked(7), acked(90))
    yield "cut", script(syn(), segment(0, 5, cut=True), segment(30, 4), segment(-34, 5, cut=True))
    yield "cut-parked", script(syn(), segment(5, 5, cut=True), segment(10, 1), segment(12, 0, cut=True),
                               segment(0, 5), segment(0, 7))


def words(*values):
    return struct.pack(f">{len(values)}I", *values)


def opaque(text):
    return words(len(text)) + text + bytes(-len(text) % 4)


def call(version, procedure, arguments=b""):
    return words(7, 0, 2, 100000, version, procedure, 0, 0, 0, 0) + arguments


def answer(results):
    return words(7, 1, 0, 0, 0, 0) + results


def record(message):
    return words(1 << 31 | len(message)) + message


def told(direction, message, over_tcp):
    """One step of fuzz_sunrpc: what to send, and how much."""
    message = record(message) if over_tcp else message
    more, less = divmod(len(message), 256)
    return bytes([direction | over_tcp << 1 | more << 2, less]) + message


def rpc():
    service = opaque(b"tcp") + opaque(b"") + opaque(b"")
    exchanges = {
        "getport": (call(2, 3, words(100005, 3, 6, 0)), words(20048)),
        "lock": (call(2, 3, words(100021, 4, 6, 0)), words(40000)),
        "dump2": (call(2, 4), words(1, 100005, 3, 17, 635, 1, 100003, 3, 6, 2049, 0)),
        "getaddr": (call(4, 3, words(100005, 3) + service), opaque(b"198.51.100.2.78.80")),
        "dump4": (call(4, 4), words(1, 100024, 1) + opaque(b"udp") + opaque(b"0.0.0.0.3.120")
                  + opaque(b"statd") + words(0)),
        "list": (call(4, 11, words(100005, 3) + service), words(1) + opaque(b"0.0.0.0.78.80")
                 + opaque(b"tcp") + words(3) + opaque(b"inet") + opaque(b"tcp") + words(0)),
        "callit": (call(2, 5, words(100005, 3, 1, 0)), words(20048, 0)),
    }
    for name, (question, results) in exchanges.items():
        for over_tcp in (0, 1):
            yield f"{name}-{over_tcp}", told(0, question, over_tcp) + told(1, answer(results), over_tcp)


def ftp():
    def says(direction, line):
        return bytes([direction | 16, len(line)]) + line

    start = b"\0\x02\x03"
    for name, ask, reply in (
        ("pasv", b"PASV\r\n", b"227 x (198,51,100,2,156,64)\r\n"),
        ("epsv", b"EPSV\r\n", b"229 x (|||40000|)\r\n"),
        ("port", b"PORT 192,0,2,1,156,64\r\n", b"500 no\r\n"),
        ("eprt", b"EPRT |1|192.0.2.1|40000|\r\n", b"200 ok\r\n"),
        ("tls", b"AUTH TLS\r\n", b"234 go\r\n"),
    ):
        yield name, start + says(0, ask) + says(1, reply)


def bfd():
    ours, first, reply, new, destroy, echo_ours, echo_peers, accepted = range(8)
    admin_down, down, init, up = range(4)

    def packet(state, my, your, us=50000, echo=0, flags=0, auth=b""):
        return struct.pack(">BBBBIIIII", 0x20, state << 6 | flags, 3, 24 + len(auth), my, your, us, us,
                           echo) + auth

    def sent(kind, content, sport=0, multihop=0, ttl254=0, wait=2):
        return bytes([kind | multihop << 3 | ttl254 << 4 | wait << 5, sport, len(content)]) + content

    def come_up(multihop=0, echo=0):
        return b"".join((
            sent(ours, packet(down, 1, 0), 0, multihop),
            sent(first, packet(down, 2, 0), 1, multihop),
            sent(ours, packet(init, 1, 2), 0, multihop),
            sent(reply, packet(up, 2, 1, echo=echo), 1, multihop),
            sent(ours, packet(up, 1, 2, echo=echo), 0, multihop),
        ))

    yield "up", come_up()
    yield "multihop", come_up(1) + sent(reply, packet(up, 2, 1), 1, 1, 1)
    yield "echo", come_up(0, 50000) + sent(echo_ours, b"x", 2, 0, 1) + sent(echo_peers, b"y", 3, 0, 1) \
        + sent(ours, packet(down, 1, 0))
    yield "admin-down", come_up() + sent(reply, packet(admin_down, 2, 1), 1) + sent(ours, packet(down, 1, 2)) \
        + sent(first, packet(down, 2, 1), 1) + sent(ours, packet(admin_down, 1, 2))
    yield "restart", come_up(0, 50000) + sent(ours, packet(down, 9, 0), 2) + sent(reply, packet(up, 2, 1), 1)
    yield "silent", come_up() + sent(ours, packet(up, 1, 2), wait=5) + sent(ours, packet(up, 1, 2), wait=6)
    yield "mark", sent(ours, packet(down, 1, 0)) + sent(new, b"", 1) + sent(reply, packet(down, 2, 0), 1) \
        + sent(destroy, b"", 1) + sent(ours, packet(up, 1, 2))
    yield "accepted", sent(ours, packet(down, 1, 0)) + sent(accepted, packet(down, 2, 0)) \
        + sent(ours, packet(up, 1, 2))
    yield "auth", sent(ours, packet(down, 1, 0, flags=4, auth=b"\1\x09" + bytes(7))) \
        + sent(first, packet(down, 2, 0, flags=4, auth=b"\5\x1c" + bytes(26)), 1)
    yield "long", sent(ours, packet(up, 1, 2, 0xFFFFFFFF)) + sent(first, packet(up, 2, 1, 0xFFFFFFFF), 1, wait=7)


def step(control, content=b""):
    return bytes([control, len(content)]) + content


def tftp():
    request = b"\0\1pxelinux.0\0octet\0"
    yield "rrq", step(0, request) + step(8 | 32, b"\0\3\0\1data")
    yield "wrq", step(0, b"\0\2core\0netascii\0blksize\0001432\0") + step(8 | 32, b"\0\6blksize\0001432\0")
    yield "port-69", step(0, request) + step(1, b"\0\3\0\1data") + step(8, b"\0\3\0\1data") + step(0, b"\0\4\0\1")
    yield "again", step(0, request) + step(16, request) + step(0, request) + step(16, request)
    yield "ports", b"".join(step(2 * i, request) for i in range(4))
    yield "malformed", step(0, b"\0\1name") + step(0, b"\0\1name\0mode\0") + step(0, b"\0\1\0\0")
    yield "others", b"".join(step(0, bytes([0, i]) + b"a\0b\0") for i in range(8))


def rsh():
    for name, service, said in (
        ("rsh", b"\0", (b"1022\0root\0root\0ls\0",)),
        ("split", b"\0", (b"1", b"0", b"2", b"2", b"\0")),
        ("none", b"\0", (b"0\0root\0", b"1022\0")),
        ("rexec", b"\1", (b"40001\0user\0password\0ls\0",)),
        ("high", b"\0", (b"65536\0",)),
        ("digits", b"\0", (b"99999999999999999999\0",)),
        ("syslog", b"\0", (b"<13>hello\n", b"1022\0")),
        ("counted", b"\0", (b"9 <13>hello1022\0",)),
    ):
        yield name, service + step(2) + b"".join(step(0, part) for part in said)
    yield "late", b"\0" + step(0, b"1022\0")


def profiles():
    rules = ROOT / "rules"
    for path in sorted((rules / "profiles").glob("*.nft")):
        yield path.stem, b"p" + path.read_bytes()
    yield "settled", (b"p# profile: cumulus-switch\ndefine admins4 = { 192.0.2.0/24, 198.51.100.7 }\n"
                      b"define admins6 = { 2001:db8::/32 }\ndefine ssh = off\n"
                      b"define also_in_tcp = { 8080, 9000-9010 }\n")
    for number, name in enumerate(("documents", "peers", "avi", "qumulo", "profiles")):
        yield f"catalogue-{name}", b"%d" % number + (rules / "catalogue" / f"{name}.tsv").read_bytes()


def dumped(text):
    """As nf_tables tells of this rule set, in a namespace of its own."""
    program = pathlib.Path(__file__).with_name("dump_ruleset.py")
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-B", str(program)]
    return subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout


def rulesets():
    sys.path.insert(0, str(ROOT / "tests" / "netns"))
    from lab import rulegen

    yield "profile", dumped((ROOT / "rules" / "profiles" / "cumulus-switch.nft").read_text())
    own = {4: "192.0.2.33", 6: "2001:db8::33"}
    for number in range(40):
        text = rulegen.Nft(random.Random(number), own).text()
        yield f"random-{number}", dumped(rulegen.outwards(text) if number % 4 == 0 else text)


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    for fuzzer, seeds in (
        ("packet", packets()), ("stream", streams()), ("sunrpc", rpc()), ("ftp", ftp()),
        ("bfd", bfd()),
        ("tftp", tftp()), ("rsh", rsh()), ("profile", profiles()),
        ("ruleset", rulesets()),
    ):  # fmt: skip
        directory = pathlib.Path(sys.argv[1], fuzzer)
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in seeds:
            (directory / name).write_bytes(content)


if __name__ == "__main__":
    main()
