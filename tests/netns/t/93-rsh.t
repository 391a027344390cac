#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""rsh and rexec through strict firewalls: without pinholed no command runs; with it every client
does, in every placement, and of what goes over the connection only the beginning is looked at. A
stream of syslog to the same port is not disturbed."""

import contextlib
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import poll, rsh, suite, tap, tftp, topology
from lab.dialogue import FAMILY
from lab.topology import ADDRESS, CLIENT, ROUTER, SERVER

FAMILIES = (4, 6)
BULK = 8 << 20
# Of each connection 16 packets are held, as the kernel carries them: up to 64 KiB, of which we get each segment.
EARLY = 16 * (65536 // 1448 + 1)
MESSAGES = 60000


def everybody(t, name, clients, what, action):
    work = [(client, family) for client in clients for family in FAMILIES]
    errors = suite.at_once([lambda w=w: action(*w) for w in work])
    for (client, family), error in zip(work, errors):
        with t.case(f"{name}: {client.name}, IPv{family}, {what}"):
            if error:
                raise error
    return len(work)


def fails(client, family):
    tap.true(client.fails(family), "it worked")


@contextlib.contextmanager
def connection(net, family, port=rsh.SHELL, sport=None, server=None):
    """A client that speaks for itself."""
    with net.client.socket(FAMILY[family]) as sock:
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sport:
            sock.bind((ADDRESS[CLIENT, family], sport))
        sock.connect((server or ADDRESS[SERVER, family], port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def drain(sock):
    content = b""
    while data := sock.recv(65536):
        content += data
    return content


def no_second_connection(t, name, net, daemon):
    for first in (b"\0", b"0\0"):
        with t.case(f"{name}: {first!r} means no second connection"):
            opened = daemon.counter("opened")
            # Clients of rsh have to come from a reserved port themselves.
            with connection(net, 4, sport=900 + len(first)) as sock:
                sock.sendall(first + b"root\0root\0echo here; echo there >&2\0")
                content = drain(sock)
            tap.equal(content[:1], b"\0")
            tap.contains(content, b"here")
            tap.equal(daemon.counter("opened"), opened)


def bulk(t, name, net, daemon, clients):
    for client in clients:
        with t.case(f"{name}: {client.name} moves {BULK >> 20} MiB, and hardly any of it is looked at"):
            before = daemon.counter("packets")
            done = client.run(4, f"head -c {BULK} /dev/zero; echo over >&2", 60)
            tap.equal((done.returncode, len(done.stdout)), (0, BULK), done.stderr[-200:])
            tap.true(daemon.counter("packets") - before <= EARLY, f"{daemon.counter('packets') - before}")


class Sink(threading.Thread):
    """A log host: takes everything on 514 and keeps it."""

    def __init__(self, ns, family):
        super().__init__()
        self.listener = ns.socket(FAMILY[family])
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((ADDRESS[SERVER, family], rsh.SHELL))
        self.listener.listen(1)
        self.content = None

    def run(self):
        sock, _ = self.listener.accept()
        self.listener.close()
        with sock:
            sock.settimeout(30)
            self.content = drain(sock)


REFUSALS = ("malformed", "port-reserved", "port-high", "port-range", "port-zero", "gap")


def syslog(t, name, net, daemon):
    line = "<13>Nov 20 18:00:00 n1 xcat: 1022 and other numbers, message {}"
    for words, frame in (
        ("lines", lambda i: line.format(i) + "\n"),
        ("counted", lambda i: f"{len(line.format(i))} {line.format(i)}"),
        ("with a NUL behind each", lambda i: line.format(i) + "\0"),
    ):
        for family in FAMILIES:
            with t.case(f"{name}: syslog ({words}) over 514/tcp, IPv{family}"):
                before = {word: daemon.counter(word) for word in (*REFUSALS, "packets", "opened")}
                sent = "".join(frame(i) for i in range(MESSAGES)).encode()
                sink = Sink(net.server, family)
                sink.start()
                with connection(net, family) as sock:
                    for at in range(0, len(sent), 1000):
                        sock.sendall(sent[at : at + 1000])
                sink.join(30)
                tap.true(sink.content == sent, f"{len(sink.content or b'')} of {len(sent)} bytes arrived")
                after = {word: daemon.counter(word) for word in before}
                tap.true(after["packets"] - before["packets"] <= EARLY, f"{before} {after}")
                before["packets"] = after["packets"]
                tap.equal(after, before)


HOSTILE = (
    (b"123456\0", "malformed"),
    (b"1" * 100000, "malformed"),
    (b"1022x\0", "malformed"),
    (b"1022\r\n", "malformed"),
    (b"1\0", "port-reserved"),
    (b"22\0", "port-reserved"),
    (b"511\0", "port-reserved"),
    (b"1024\0", "port-high"),
    (b"65535\0", "port-high"),
    (b"65536\0", "port-range"),
    (b"66558\0", "port-range"),
    (b"-1\0", None),
    (b" 1022\0", None),
    (b"\xff\xfb\x18", None),
    (b"\0" * 20 + b"1022\0", None),
    (b"0\0001022\0" * 10, None),
)


def hostile(t, net, daemon):
    """To a server that swallows everything."""
    for payload, word in HOSTILE:
        with t.case(f"hostile: {payload[:20]!r} is {word or 'left alone'}"):
            before = {w: daemon.counter(w) for w in (*REFUSALS, "opened")}
            sink = Sink(net.server, 4)
            sink.start()
            with connection(net, 4) as sock:
                sock.sendall(payload)
            sink.join(30)
            tap.true(sink.content == payload, "it did not arrive")
            after = {w: daemon.counter(w) for w in before}
            if word:
                before[word] += 1
            tap.equal(after, before)


RESERVED, OTHERS = iter(range(600, 700)), iter(range(1024, 1100))  # none twice, for TIME_WAIT's sake


def dial(net, family, sport, dport, seconds):
    """The server connects back; True when it gets through."""
    with net.server.socket(FAMILY[family]) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ADDRESS[SERVER, family], sport))
        sock.settimeout(seconds)
        try:
            sock.connect((ADDRESS[CLIENT, family], dport))
        except OSError:
            return False
        return True


def reserved_ports(t, net, daemon, admit):
    for family in FAMILIES:
        with t.case(f"{admit}: the server is let in from a reserved port alone, and once, IPv{family}"):
            sink = Sink(net.server, family)
            sink.start()
            with net.client.socket(FAMILY[family]) as listener, connection(net, family) as sock:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((ADDRESS[CLIENT, family], 700))
                listener.listen(8)
                for byte in b"700\0":
                    sock.sendall(bytes([byte]))
                poll.until(lambda: len(daemon.pinholes("open")) == 1, "the pinhole")
                tap.contains(daemon.ctl("why", daemon.pinholes("open")[0]["id"]), "stderr to port 700")
                tap.true(not dial(net, family, next(OTHERS), 700, 0.5), "let in from above 1023")
                tap.equal(len(daemon.in_kernel()), 1)
                tap.true(dial(net, family, next(RESERVED), 700, 5), "not let in")
                tap.true(not dial(net, family, next(RESERVED), 700, 0.5), "let in twice")
                daemon.nothing_open()
            sink.join(10)


def restarted(t, net, daemon):
    with t.case("after a restart nothing that a session says is an announcement"):
        sink = Sink(net.server, 4)
        sink.start()
        with connection(net, 4) as sock:
            sock.sendall(b"701\0root\0root\0")
            first = poll.until(lambda: daemon.pinholes("open"), "the pinhole")
            daemon.restart()
            poll.until(lambda: daemon.pinholes("open"), "the pinhole to be open again")
            tap.equal([(p["dport"], p["cause"]) for p in daemon.pinholes("open")],
                      [(first[0]["dport"], first[0]["cause"])])  # fmt: skip
            packets = daemon.counter("packets")
            sock.sendall(b"702\0")
            poll.until(lambda: daemon.counter("packets") > packets, "that to be seen")
            tap.equal([p["dport"] for p in daemon.pinholes("open")], [701])
        sink.join(10)
        daemon.nothing_open()


rsh.require()
with suite.laboratory() as (t, lab, net):
    clients = [kind(net.client, suite.SERVER_ADDRESS) for kind in rsh.ALL]
    rshd = rsh.servers(lab, net.server, rsh.names())
    for place in topology.PLACEMENTS:
        net.firewall(place, topology.OPEN)
        everybody(t, f"{place} open", clients, "works", lambda c, f: c.works(f))
        for admit in topology.ADMITS:
            name = f"{place} strict ({admit})"
            net.firewall(place, tftp.strict(place, admit, rsh.FIXED))
            net.forget_flows()
            failed = everybody(t, f"{name}, no pinholed", clients, "fails", fails)
            with t.case(f"{name}, no pinholed: it was the firewall"):
                tap.true(net.dropped(place) >= failed, f"{net.dropped(place)} of {failed}")
            rshd.settle()
            net.forget_flows()
            with tftp.BootDaemon(lab, net.spaces[place], admit, f"pinholed-{place}-{admit}") as daemon:
                t.explain = daemon.log
                everybody(t, name, clients, "works", lambda c, f: c.works(f))
                no_second_connection(t, name, net, daemon)
                if place == ROUTER:
                    bulk(t, name, net, daemon, clients)
                with t.case(f"{name}: as many pinholes as commands, and all are gone"):
                    daemon.nothing_open()
                    tap.equal(daemon.counter("opened"), 2 * len(clients) + (len(clients) if place == ROUTER else 0))
                    for word in (*REFUSALS, "stranger", "commit-failed"):
                        tap.equal(daemon.counter(word), 0, word)
                    tap.equal(daemon.stop(), 0, daemon.log())
        net.clear_firewall(place)
    with t.case("rsh is off unless it is switched on"):
        with tftp.BootDaemon(lab, net.router, name="pinholed-default", rsh="") as daemon:
            tap.true("514" not in daemon.table(), "514 is watched")
            clients[0].works(4)
            tap.equal(daemon.sessions(), [])
    rshd.stop()
    for admit in topology.ADMITS:
        net.firewall(ROUTER, tftp.strict(ROUTER, admit, rsh.FIXED))
        net.forget_flows()
        with tftp.BootDaemon(lab, net.router, admit, f"pinholed-{admit}") as daemon:
            t.explain = daemon.log
            syslog(t, admit, net, daemon)
            reserved_ports(t, net, daemon, admit)
            if admit == "related":
                hostile(t, net, daemon)
                restarted(t, net, daemon)
            with t.case(f"{admit}: it ends well"):
                tap.equal(daemon.stop(), 0, daemon.log())
