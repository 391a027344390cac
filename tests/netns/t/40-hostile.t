#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile and broken peers. Whatever they say, nothing opens that should not, the counters explain
it, and the control connection stays usable."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import contextlib

from lab import poll, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Listener, connected, host_port, listen, start_connect
from lab.rawtcp import RawClient
from lab.topology import ADDRESS, CLIENT, SERVER

THIRD = {4: "10.77.2.99", 6: "fd77:2::99"}
PORT = 41234  # an ordinary data port, where it matters that nothing opens
MEGABYTE = 1 << 20


class Scene:
    """One place and one way of admission; hands out a fresh control connection for each case."""

    def __init__(self, t, lab, net, place, admit, family):
        self.t, self.net, self.place, self.family = t, net, place, family
        self.name = f"on the {place}, {admit}, IPv{family}"
        self.client, self.server = ADDRESS[CLIENT, family], ADDRESS[SERVER, family]
        net.firewall(place, topology.strict(place, admit))
        net.forget_flows()
        self.listener = Listener(net, family)
        self.daemon = Daemon(lab, net.spaces[place], admit=admit).start()
        t.explain = self.daemon.log

    def close(self):
        with self.t.case(f"{self.name}: nothing is left"):
            self.daemon.nothing_left()
            poll.until(lambda: not self.daemon.sessions(), "all sessions to end")
            tap.true(self.daemon.process.running(), "the daemon has ended")
        self.daemon.stop()
        self.listener.close()

    @contextlib.contextmanager
    def case(self, name, reason=None, refusals=1):
        """A case that must leave nothing open, be counted under `reason`, and harm nobody."""
        with self.t.case(f"{self.name}: {name}"):
            before = self.daemon.counter(reason) if reason else 0
            with self.listener.dialogue() as d:
                yield d
                self.nothing_open()
                if reason:
                    counted = self.daemon.counter(reason) - before
                    tap.equal(counted, refusals, f"counted as {reason}")
                d.usable()

    def nothing_open(self):
        tap.equal(self.daemon.pinholes(), [], "pinholes")
        tap.equal(self.daemon.elements(), [], "elements in the kernel")

    def only_open(self, port):
        tap.equal([p["dport"] for p in self.daemon.pinholes("open")], [port], "open pinholes")
        tap.equal(len(self.daemon.elements()), 1, "elements in the kernel")

    def blocked(self, start):
        """start() sends a SYN; it has to end at the firewall."""
        before = self.net.dropped(self.place)
        with start() as sock:
            poll.until(lambda: self.net.dropped(self.place) > before, "the SYN to be dropped")
            tap.true(not connected(sock, 0), "it got through")

    def server_blocked(self, port):
        """Somebody listens there, and the client cannot reach him."""
        with listen(self.net.server, self.family, self.server, port):
            self.blocked(lambda: start_connect(self.net.client, self.family, self.server, port))

    def client_blocked(self, port):
        with listen(self.net.client, self.family, self.client, port):
            self.blocked(lambda: start_connect(self.net.server, self.family, self.client, port))

    def passes(self, port, d):
        """An honest data connection to this announced port works."""
        with listen(self.net.server, self.family, self.server, port), d.connect_data(port) as s:
            tap.true(connected(s, 3), f"the connection to {port} failed")


def replies(s):
    """What servers say that they should not."""
    for code, text in passive_replies(s, PORT):
        with s.case(f"{code} that nobody asked for", "unsolicited") as d:
            d.server_sends(text)
            s.server_blocked(PORT)
        other = "EPSV" if code == 227 else "PASV"
        with s.case(f"{code} as the answer to {other}", "unsolicited") as d:
            d.client_sends(f"{other}\r\n")
            d.server_sends(text)
        with s.case(f"{code} after the question was answered with 500", "unsolicited") as d:
            d.exchange(verb_of(code), "500 no")
            d.server_sends(text)
        with s.case(f"{code} within an error line") as d:
            d.exchange(verb_of(code), f"500 {text.strip()}")
            s.server_blocked(PORT)
        with s.case(f"{code} within an error line behind a bare LF", "bare-lf") as d:
            d.client_sends(f"{verb_of(code)}\r\n")
            d.server_sends(f"550 no file x\n{text}")
            s.server_blocked(PORT)
        with s.case(f"{code} within a multi-line reply") as d:
            d.client_sends("STAT x\r\n")
            d.client_sends(f"{verb_of(code)}\r\n")
            d.server_sends(f"213-Status follows\r\n{text} {text}213 End\r\n")
            s.nothing_open()
            d.server_sends("500 no\r\n")
        with s.case(f"{code} echoed as a file name") as d:
            d.client_sends(f"NLST {text.strip()}\r\n")
            d.server_sends(f"550 {text.strip()}: no such file\r\n")
            s.server_blocked(PORT)


def passive_replies(s, port):
    pair = [(229, f"229 Entering Extended Passive Mode (|||{port}|)\r\n")]
    if s.family == 4:
        pair.append((227, f"227 Entering Passive Mode ({host_port(s.server, port)}).\r\n"))
    return pair


def verb_of(code):
    return "PASV" if code == 227 else "EPSV"


def ports_and_addresses(s):
    """Announcements that are numbers out of bounds, or somebody else's."""
    extended = (
        ("|||22|", "port-reserved", 22),
        ("|||1023|", "port-reserved", 1023),
        ("|||65558|", "port-range", 22),
        ("|||4294967318|", None, 22),
        ("|||0|", "port-zero", None),
        ("|||-1|", "malformed", None),
        ("||||", "malformed", None),
        (f"|1|{THIRD[4]}|{PORT}|", "malformed", PORT),
    )
    for body, reason, port in extended:
        with s.case(f"229 ({body})", reason) as d:
            d.exchange("EPSV", f"229 Extended ({body})")
            if port:
                s.server_blocked(port)
    eprt = (
        (f"|{family_digit(s)}|{s.client}|25|", "port-reserved", 25),
        (f"|{family_digit(s)}|{s.client}|65561|", "port-range", 25),
        (f"|{family_digit(s)}|{THIRD[s.family]}|{PORT}|", "address", PORT),
        (f"|{family_digit(s)}|{s.server}|{PORT}|", "address", PORT),
        (f"|3|{s.client}|{PORT}|", "malformed", PORT),
        (f"|{family_digit(s)}|{s.client}", "malformed", None),
    )
    for body, reason, port in eprt:
        with s.case(f"EPRT {body}", reason) as d:
            d.exchange(f"EPRT {body}", "200 fine")
            if port:
                s.client_blocked(port)
    if s.family == 4:
        ports_and_addresses_rfc959(s)


def family_digit(s):
    return 1 if s.family == 4 else 2


def ports_and_addresses_rfc959(s):
    mine, yours = s.server.replace(".", ","), s.client.replace(".", ",")
    wrapped = "266" + mine[2:]  # 266 is 10, if it is put into a byte
    for body, reason, port in (
        (f"{mine},0,22", "port-reserved", 22),
        (f"{mine},256,22", "malformed", 22),
        (f"{mine},161,278", "malformed", (161 << 8) + 22),
        (f"{wrapped},161,18", "malformed", (161 << 8) + 18),
        (f"{host_port(THIRD[4], PORT)}", "address", PORT),
        (f"{host_port('127.0.0.1', PORT)}", "address", PORT),
        (f"{host_port('0.0.0.0', PORT)}", "address", PORT),
        (f"{mine},161", "malformed", None),
    ):
        with s.case(f"227 ({body})", reason) as d:
            d.exchange("PASV", f"227 Passive ({body})")
            if port:
                s.server_blocked(port)
    for body, reason, port in (
        (f"{yours},0,25", "port-reserved", 25),
        (f"{yours},256,25", "malformed", 25),
        (f"{host_port(THIRD[4], PORT)}", "address", PORT),
    ):
        with s.case(f"PORT {body}", reason) as d:
            d.exchange(f"PORT {body}", "200 fine")
            if port:
                s.client_blocked(port)


def withdrawn(s):
    for reply in ("500 no", "425 cannot", "530 log in first"):
        with s.case(f"active mode, answered with {reply}", "withdrawn") as d:
            if s.family == 4:
                d.client_sends(f"PORT {host_port(s.client, PORT)}\r\n")
            else:
                d.client_sends(f"EPRT |2|{s.client}|{PORT}|\r\n")
            s.only_open(PORT)  # real servers connect before their 200 is out
            d.server_sends(f"{reply}\r\n")
            s.client_blocked(PORT)
    with s.case("active mode after EPSV ALL", "epsv-all") as d:
        d.exchange("EPSV ALL", "200 fine")
        d.port(PORT, "501 you promised")


def encrypted(s):
    with s.case("227 and 229 after AUTH TLS", "encrypted") as d:
        d.exchange("AUTH TLS", "234 go on")
        d.exchange("PASV", f"227 Passive ({host_port(ADDRESS[SERVER, 4], PORT)})")
        d.exchange("EPSV", f"229 Passive (|||{PORT}|)")
        s.server_blocked(PORT)
    with s.t.case(f"{s.name}: AUTH TLS that the server refuses changes nothing"):
        with s.listener.dialogue() as d:
            d.exchange("AUTH TLS", "502 what?")
            d.pasv(PORT)
            s.only_open(PORT)
            s.passes(PORT, d)


def segments(s):
    """Honest peers, whose bytes arrive in odd pieces: these must work."""
    port_line = (
        f"PORT {host_port(s.client, PORT)}\r\n" if s.family == 4 else f"EPRT |2|{s.client}|{PORT}|\r\n"
    )
    code, reply = passive_replies(s, PORT)[-1]
    with s.t.case(f"{s.name}: {port_line[:2]} + {port_line[2:4]}, split, opens one pinhole"):
        with s.listener.dialogue() as d:
            d.client_sends(port_line[:2])
            s.nothing_open()
            d.client_sends(port_line[2:])
            s.only_open(PORT)
            d.server_sends("200 fine\r\n")
            with listen(s.net.client, s.family, s.client, PORT), d.connect_back(PORT, 20) as back:
                tap.true(connected(back, 3), "the data connection failed")
    with s.t.case(f"{s.name}: {code}, one byte at a time, opens one pinhole"):
        with s.listener.dialogue() as d:
            for byte in f"{verb_of(code)}\r\n":
                d.client_sends(byte)
            for byte in reply[:-1]:
                d.server_sends(byte)
            s.nothing_open()
            d.server_sends(reply[-1])
            s.only_open(PORT)
            s.passes(PORT, d)
    with s.t.case(f"{s.name}: several commands, and several replies, in one segment"):
        with s.listener.dialogue() as d:
            d.client_sends(f"NOOP\r\n{verb_of(code)}\r\n")
            d.server_sends(f"200 ok\r\n{reply}")
            s.only_open(PORT)
            s.passes(PORT, d)
    with s.t.case(f"{s.name}: two replies to one question open one pinhole"):
        with s.listener.dialogue() as d:
            before = s.daemon.counter("unsolicited")
            second = passive_replies(s, PORT + 1)[-1][1]
            d.client_sends(f"{verb_of(code)}\r\n")
            d.server_sends(reply + second)
            s.only_open(PORT)
            tap.equal(s.daemon.counter("unsolicited") - before, 1, "unsolicited")
            s.server_blocked(PORT + 1)
            s.passes(PORT, d)
    with s.t.case(f"{s.name}: asking again takes back what was open"):
        with s.listener.dialogue() as d:
            d.pasv(PORT)
            d.pasv(PORT + 1)
            s.only_open(PORT + 1)
            s.server_blocked(PORT)
            s.passes(PORT + 1, d)
    with s.t.case(f"{s.name}: the end of the session closes what is open"):
        with s.listener.dialogue() as d:
            d.pasv(PORT)
            s.only_open(PORT)
        s.daemon.nothing_left()
        s.server_blocked(PORT)


def floods(s):
    code, reply = passive_replies(s, PORT)[-1]
    for side in ("client", "server"):
        with s.case(f"a line of 1 MB from the {side}", "line-too-long") as d:
            memory = s.daemon.memory()
            send = d.client_sends if side == "client" else d.server_sends
            send("A" * MEGABYTE)
            d.usable()
            send("\r\n")
            tap.true(s.daemon.memory() - memory < 512, "the daemon kept it in memory")
    with s.case("an announcement at the end of a line of 1 MB") as d:
        d.client_sends(f"{verb_of(code)}\r\n")
        d.server_sends("200 " + "A" * MEGABYTE + reply)
        s.server_blocked(PORT)
    with s.case("10 000 questions without an answer, and then one answer to each") as d:
        memory = s.daemon.memory()
        d.client_sends(f"{verb_of(code)}\r\n" * 10000)
        s.nothing_open()
        tap.true(s.daemon.counter("pipeline") > 0, "no refusal was counted")
        tap.true(s.daemon.memory() - memory < 512, "the daemon kept them in memory")
        d.server_sends("500 no\r\n" * 10000)
    with s.case("zeros, control characters and bytes above 127") as d:
        d.client_sends(b"\x00\xff\xf4\xff\xf2" + bytes(range(256)) + b"\r\n")
        d.server_sends(b"500 " + bytes(range(256)) + b"\r\n")


def overlaps(t, lab, net, admit):
    """Segments that contradict each other, from a TCP made by hand."""
    s = Scene(t, lab, net, topology.ROUTER, admit, 4)
    address = "10.77.1.77"

    def line(port):
        return f"PORT {host_port(address, port)}\r\n".encode()

    ports = iter(range(20001, 20100))

    @contextlib.contextmanager
    def raw_dialogue(name):
        with t.case(f"{s.name}: {name}"):
            raw = RawClient(net, address, next(ports))
            raw.connect(s.server, 21)
            server, _ = s.listener.socket.accept()
            server.settimeout(5)
            try:
                server.sendall(b"220 ready\r\n")
                raw.wait_received(11)
                yield raw, server
                s_usable(raw, server)
            finally:
                raw.reset()
                server.close()
                raw.close()
            s.daemon.nothing_left()

    def s_usable(raw, server):
        raw.segment(raw.acked, b"NOOP\r\n")
        raw.wait_acked(raw.acked + 6)
        server.sendall(b"200 still here\r\n")
        raw.wait_received(len(raw.received) + 16)

    with raw_dialogue("a retransmission with another port changes nothing") as (raw, server):
        raw.segment(0, line(PORT))
        raw.wait_acked(len(line(PORT)))
        s.only_open(PORT)
        raw.segment(0, line(PORT + 1))
        raw.segment(len(line(PORT)), b"NOOP\r\n")
        raw.wait_acked(len(line(PORT)) + 6)
        s.only_open(PORT)
    with raw_dialogue("a segment that overlaps the one before with another port") as (raw, server):
        raw.segment(0, line(PORT)[:-4])
        raw.wait_acked(len(line(PORT)) - 4)
        raw.segment(len(line(PORT)) - 8, line(PORT + 9)[-8:])
        raw.wait_acked(len(line(PORT)))
        opened = [p["dport"] for p in s.daemon.pinholes("open")]
        seen = server.recv(1000)
        tap.equal([port_in(seen)], opened, "what the server read, and what was opened")
    with raw_dialogue("segments out of order") as (raw, server):
        raw.segment(10, line(PORT)[10:])
        s.nothing_open()
        raw.segment(0, line(PORT)[:10])
        raw.wait_acked(len(line(PORT)))
        s.only_open(PORT)
    with raw_dialogue("out of order and contradicting: one pinhole at most, the client's own") as (
        raw, server,
    ):  # fmt: skip
        raw.segment(10, line(PORT)[10:])
        raw.segment(0, line(PORT + 1))
        raw.wait_acked(len(line(PORT)))
        found = [(p["src"], p["dst"], p["dport"]) for p in s.daemon.pinholes()]
        allowed = [[], [(s.server, address, PORT)], [(s.server, address, PORT + 1)]]
        tap.true(found in allowed, f"pinholes: {found}")
        tap.true(len(s.daemon.elements()) == len(found), "elements")
    s.close()


def port_in(line):
    words = line.decode().strip().split(",")
    return (int(words[4]) << 8) + int(words[5])


SCENES = (
    (topology.ROUTER, "related", 4),
    (topology.ROUTER, "related", 6),
    (topology.ROUTER, "mark", 4),
    (topology.SERVER, "related", 4),
    (topology.SERVER, "mark", 6),
    (topology.CLIENT, "related", 6),
    (topology.CLIENT, "mark", 4),
)

with suite.laboratory() as (t, lab, net):
    for place, admit, family in SCENES:
        scene = Scene(t, lab, net, place, admit, family)
        for topic in (replies, ports_and_addresses, withdrawn, encrypted, segments, floods):
            topic(scene)
        scene.close()
        net.clear_firewall(place)
    for admit in topology.ADMITS:
        overlaps(t, lab, net, admit)
