#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile and broken RPC peers, made by hand. Whatever they say, nothing opens that should not, the
counters explain it, memory stays bounded, and another client's session goes on unharmed."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import contextlib
import time

from lab import nfs, oncrpc, poll, suite, tap, topology
from lab.daemon import BUILD
from lab.dialogue import connected, listen, port_of, receive, start_connect
from lab.nfs import MOUNTD, NFS, NLOCKMGR, OTHER, STATUS
from lab.oncrpc import (
    BCAST, CALLIT, DUMP, DUMP2, GETADDR, GETADDRLIST, GETPORT, GETVERSADDR, INDIRECT, LAST, Exchange,
    call, datagrams, endpoint, listing, mapping, opaque, record, reply, rpcb, uaddr, words,
)  # fmt: skip
from lab.topology import ADDRESS, CLIENT, ROUTER, SERVER

THIRD = {4: "10.77.2.99", 6: "fd77:2::99"}
UNLISTED = 100007  # ypbind
PORT = 41234  # an ordinary port, where it matters that nothing opens
TRANSPORTS = ("tcp", "udp")
SANITIZED = os.path.basename(BUILD) == "san"
QUESTION_SECONDS = 60  # that a question may wait for its answer


class Bystander:
    """An honest client at another address, with a session and a flow that must not suffer."""

    def __init__(self, scene):
        self.scene = scene
        self.x = Exchange(scene.service, scene.net.client, OTHER[scene.family])
        self.waiting = listen(scene.net.server, scene.family, scene.server)
        self.x.getport(MOUNTD, 3, "tcp", port_of(self.waiting))
        self.flow = self._connect(port_of(self.waiting))
        self.far, _ = self.waiting.accept()

    def _connect(self, port):
        flow = nfs.start_from(
            self.scene.net.client, self.scene.family, OTHER[self.scene.family], self.scene.server, port
        )
        tap.true(connected(flow, 3), "the bystander's connection failed")
        return flow

    def unharmed(self):
        self.x.usable()
        for source, target in ((self.flow, self.far), (self.far, self.flow)):
            source.sendall(b"still here")
            tap.equal(receive(target, 10), b"still here")
        with self._connect(port_of(self.waiting)):
            self.waiting.accept()[0].close()

    def served(self):
        """A new question is answered, and acted on, as at the first day."""
        with listen(self.scene.net.server, self.scene.family, self.scene.server) as waiting:
            self.x.getport(STATUS, 1, "tcp", port_of(waiting))
            self._connect(port_of(waiting)).close()

    def close(self):
        for s in (self.flow, self.far, self.waiting, self.x):
            s.close()


class Scene:
    """One place and one way of admission, an rpcbind made by hand, and a bystander."""

    def __init__(self, t, lab, net, place, admit, family):
        self.t, self.net, self.place, self.admit, self.family = t, net, place, admit, family
        self.name = f"on the {place}, {admit}, IPv{family}"
        self.client, self.server = ADDRESS[CLIENT, family], ADDRESS[SERVER, family]
        self.six = "6" if family == 6 else ""
        net.firewall(place, nfs.strict(place, admit))
        net.forget_flows()
        self.service = oncrpc.Service(net.server, family, self.server, 111)
        self.daemon = nfs.pinholed(lab, net.spaces[place], admit).start()
        t.explain = self.daemon.log
        self.bystander = Bystander(self)

    def close(self):
        with self.t.case(f"{self.name}: the bystander is served as before"):
            self.bystander.unharmed()
            self.bystander.served()
        self.bystander.close()
        with self.t.case(f"{self.name}: after all that the daemon runs, and ends well"):
            tap.true(self.daemon.process.running(), "the daemon has ended")
            tap.equal(self.daemon.stop(), 0, self.daemon.log())
            tap.true(self.daemon.table() is None, "table inet pinholed is still there")
        self.service.close()
        self.net.clear_firewall(self.place)

    def exchange(self, transport="tcp"):
        return Exchange(self.service, self.net.client, self.client, transport)

    @contextlib.contextmanager
    def case(self, name, reason=None, refusals=1, transport="tcp"):
        """A case that must leave nothing open, be counted under `reason`, and harm nobody."""
        with self.t.case(f"{self.name}, {transport}: {name}"):
            before = self.daemon.counter(reason) if reason else 0
            with self.exchange(transport) as x:
                yield x
                self.nothing_open()
                if reason:
                    tap.equal(self.daemon.counter(reason) - before, refusals, f"counted as {reason}")
            self.bystander.unharmed()
        self.daemon_clean()

    @contextlib.contextmanager
    def honest(self, name, transport="tcp"):
        """A case that does open something; what, is its own affair."""
        with self.t.case(f"{self.name}, {transport}: {name}"):
            with self.exchange(transport) as x:
                yield x
            self.bystander.unharmed()
        self.daemon_clean()

    def daemon_clean(self):
        """Whatever a failed case left open must not speak for the next one."""
        for p in self.daemon.pinholes():
            if self._mine(p["src"], p["dst"]):
                self.daemon.ctl_run("close", p["id"])

    def _mine(self, src, dst):
        return OTHER[self.family] not in (src, dst)

    def mappings(self):
        return {m for m in self.daemon.mappings("open") if self._mine(*m[:2])}

    def in_kernel(self):
        return {key for key in self.daemon.in_kernel() if self._mine(*key[:2])}

    def nothing_open(self):
        self.only_open()

    def only_open(self, *wanted):
        """wanted: (program, proto, port), from client to server"""
        keys = {(self.client, self.server, proto, port, program) for program, proto, port in wanted}
        tap.equal(self.mappings(), keys, "open")
        tap.equal(self.in_kernel(), nfs.kernel_keys(keys), "in the kernel")

    def blocked(self, port):
        """Somebody listens there, and the client cannot reach him."""
        with listen(self.net.server, self.family, self.server, port):
            before = self.net.dropped(self.place)
            with start_connect(self.net.client, self.family, self.server, port) as sock:
                poll.until(lambda: self.net.dropped(self.place) > before, "the SYN to be dropped")
                tap.true(not connected(sock, 0), "it got through")

    def passes(self, port, proto="tcp"):
        if proto == "tcp":
            with listen(self.net.server, self.family, self.server, port):
                with start_connect(self.net.client, self.family, self.server, port) as s:
                    tap.true(connected(s, 3), f"the connection to {port} failed")
            return
        with (
            datagrams(self.net.server, self.family, self.server, port) as there,
            datagrams(self.net.client, self.family, self.client) as here,
        ):
            here.sendto(b"question", (self.server, port))
            data, peer = there.recvfrom(100)
            tap.equal(data, b"question")
            there.sendto(b"answer", peer)
            tap.equal(here.recv(100), b"answer")


# --- what is right, in every form: the ground under all that follows ---


def honest_forms(s):
    for tr in TRANSPORTS:
        for proto in TRANSPORTS:
            with s.honest(f"GETPORT of {proto} opens that port, and it works", tr) as x:
                x.getport(MOUNTD, 3, proto, PORT)
                s.only_open((MOUNTD, proto, PORT))
                s.passes(PORT, proto)
        # Rpcbind answers for the transport that the question came by, and ignores the netid in it
        # (RFC 1833 section 2.2.1), which libnfs leaves empty.
        for version, procedure in ((3, GETADDR), (4, GETADDR), (4, GETVERSADDR)):
            for netid in (tr + s.six, "", {"tcp": "udp", "udp": "tcp"}[tr] + s.six):
                name = f"version {version} procedure {procedure}, netid {netid or 'empty'}"
                with s.honest(f"{name}: opens the transport of the question", tr) as x:
                    x.getaddr(MOUNTD, 3, netid, uaddr(s.server, PORT), version, procedure)
                    s.only_open((MOUNTD, tr, PORT))
                    s.passes(PORT, tr)
        with s.honest("a wildcard address is that of the server", tr) as x:
            x.getaddr(MOUNTD, 3, tr + s.six, uaddr("::" if s.family == 6 else "0.0.0.0", PORT))
            s.only_open((MOUNTD, tr, PORT))
        with s.honest("GETADDRLIST opens what it lists", tr) as x:
            both = [endpoint(uaddr(s.server, PORT + i), p + s.six) for i, p in enumerate(TRANSPORTS)]
            x.ask(4, GETADDRLIST, rpcb(MOUNTD, 3, "tcp" + s.six), listing(both))
            s.only_open((MOUNTD, "tcp", PORT), (MOUNTD, "udp", PORT + 1))
        with s.honest("privileged ports are opened, as mountd and statd have them", tr) as x:
            for program, port in ((MOUNTD, 892), (STATUS, 662)):
                x.getport(program, 1, "udp", port)
            s.only_open((MOUNTD, "udp", 892), (STATUS, "udp", 662))
        with s.honest("calls and answers interleaved, answers in another order", tr) as x:
            asked = [(p, x.calls(2, GETPORT, mapping(p, 1, "tcp"))) for p in nfs.LISTED]
            s.nothing_open()
            for program, xid in reversed(asked):
                if program != NLOCKMGR:
                    x.replies(xid, words(PORT + program % 1000))
            s.only_open(*((p, "tcp", PORT + p % 1000) for p in nfs.LISTED if p != NLOCKMGR))
        with s.honest("credentials and verifiers of 400 bytes, the most there may be", tr) as x:
            xid = x.calls(
                2, GETPORT, mapping(MOUNTD, 3, "tcp"), credential=b"c" * 400, verifier=b"v" * 400
            )
            x.replies(xid, words(PORT), verifier=b"w" * 400)
            s.only_open((MOUNTD, "tcp", PORT))


def lists(s):
    for tr in TRANSPORTS:
        with s.honest("version 2 DUMP: what is listed opens, nothing else", tr) as x:
            x.ask(2, DUMP2, b"", listing([
                mapping(100000, 2, "tcp", 111), mapping(UNLISTED, 1, "tcp", PORT),
                mapping(MOUNTD, 3, "tcp", PORT + 1), mapping(NFS, 3, "udp", 2049),
                mapping(STATUS, 1, "udp", 22), mapping(MOUNTD, 3, "udp", 65558),
                words(MOUNTD, 1, 132, PORT + 2), mapping(400122, 1, "udp", PORT + 3),
            ]))  # fmt: skip
            s.only_open((MOUNTD, "tcp", PORT + 1), (NFS, "udp", 2049))
        for version in (3, 4):
            with s.honest(f"version {version} DUMP: likewise", tr) as x:
                x.ask(version, DUMP, b"", listing([
                    rpcb(UNLISTED, 1, "tcp" + s.six, uaddr(s.server, PORT)),
                    rpcb(MOUNTD, 3, "tcp" + s.six, uaddr(s.server, PORT + 1), "superuser"),
                    rpcb(MOUNTD, 3, "local", "/run/mountd.sock", "superuser"),
                    rpcb(STATUS, 1, "udp" + s.six, uaddr(THIRD[s.family], PORT + 2)),
                    rpcb(NFS, 3, "sctp", uaddr(s.server, PORT + 3)),
                ]))  # fmt: skip
                s.only_open((MOUNTD, "tcp", PORT + 1))
    with s.honest("a DUMP answer of 8 KB in one datagram, in fragments on its way", "udp") as x:
        entries = [rpcb(200000 + i, 1, "tcp" + s.six, uaddr(s.server, PORT), "superuser") for i in range(99)]
        entries.append(rpcb(MOUNTD, 3, "udp" + s.six, uaddr(s.server, PORT), "superuser"))
        x.ask(4, DUMP, b"", listing(entries))
        s.only_open((MOUNTD, "udp", PORT))
    with s.honest("an unlisted program in a list is passed over, not counted as refused") as x:
        before = s.daemon.counter("program")
        x.ask(2, DUMP2, b"", listing([mapping(UNLISTED, 1, "tcp", PORT)]))
        tap.equal(s.daemon.counter("program"), before)
        s.nothing_open()


# --- answers that are none ---


def answers(s):
    for tr in TRANSPORTS:
        with s.case("an answer without a question", "unsolicited", transport=tr) as x:
            x.usable()
            x.replies(0x12345678, words(PORT))
            s.blocked(PORT)
        with s.honest("200 guessed XIDs open nothing; the right one still does", tr) as x:
            before = s.daemon.counter("unsolicited")
            xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
            for i in range(1, 201):
                x.replies((xid + i) & 0xFFFFFFFF, words(PORT + i))
            s.nothing_open()
            tap.equal(s.daemon.counter("unsolicited") - before, 200, "unsolicited")
            x.replies(xid, words(PORT))
            s.only_open((MOUNTD, "tcp", PORT))
        with s.honest("a second answer, with another port, opens nothing", tr) as x:
            before = s.daemon.counter("unsolicited")
            xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
            x.replies(xid, words(PORT))
            x.replies(xid, words(PORT + 1))
            s.only_open((MOUNTD, "tcp", PORT))
            tap.equal(s.daemon.counter("unsolicited") - before, 1, "unsolicited")
            s.blocked(PORT + 1)
        with s.case("an answer after 100 younger questions", "unsolicited", transport=tr) as x:
            xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
            for _ in range(100):
                x.calls(2, GETPORT, mapping(NFS, 3, "tcp"))
            x.replies(xid, words(PORT))
        with s.case("MSG_DENIED, and then SUCCESS", "unsolicited", transport=tr) as x:
            xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
            x.server_sends(x.framed(oncrpc.denied(xid) + words(PORT)))
            x.replies(xid, words(PORT))
        with s.case("PROG_UNAVAIL with a port behind it", transport=tr) as x:
            x.replies(x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp")), words(PORT), status=1)
        with s.case("a port as the answer to NULL", transport=tr) as x:
            x.ask(2, 0, b"", words(PORT))
        with s.case("a port as the answer of another program", transport=tr) as x:
            x.ask(2, GETPORT, mapping(MOUNTD, 3, "tcp"), words(PORT), program=MOUNTD)
        for version in (0, 1, 5, 0xFFFFFFFF):
            with s.case(f"GETPORT of portmap version {version}", transport=tr) as x:
                x.ask(version, GETPORT, mapping(MOUNTD, 3, "tcp"), words(PORT))
        with s.case("client and server change places", transport=tr) as x:
            x.usable()
            x.server_sends(x.framed(call(77, 2, GETPORT, mapping(MOUNTD, 3, "tcp"))))
            x.client_sends(x.framed(reply(77, words(PORT))))
            x.client_sends(x.framed(call(78, 2, GETPORT, mapping(MOUNTD, 3, "tcp"))))
            x.client_sends(x.framed(reply(78, words(PORT))))
        with s.case("a question asked in one session, answered in another", "unsolicited", 2, tr) as x:
            with s.exchange("udp") as other:
                xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
                other.usable()
                other.replies(xid, words(PORT))
                s.bystander.x.replies(xid, words(PORT))
                tap.true(
                    not any(m[3] == PORT for m in s.daemon.mappings()), "open for the bystander"
                )


def from_elsewhere(s):
    """Right XID, right port, wrong host; or right host, wrong port."""
    for address, port in ((THIRD[s.family], 111), (s.server, 112)):
        with s.case(f"an answer from {address} port {port}", transport="udp") as x:
            xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
            with datagrams(s.net.server, s.family, address, port) as liar:
                before = s.net.dropped(s.place)
                with contextlib.suppress(PermissionError):
                    liar.sendto(reply(xid, words(PORT)), x.client.getsockname())
                poll.until(lambda: s.net.dropped(s.place) > before, "it to be dropped")
            s.nothing_open()
            x.replies(xid, words(0))


# --- announcements that cannot be ---


def numbers(s):
    for tr in TRANSPORTS:
        for port, reason in (
            (65558, "port-range"), (65536, "port-range"), (0xFFFFFFFF, "port-range"), (22, "port-never"),
            (111, "port-never"), (443, "port-never"), (0, None),
        ):  # fmt: skip
            with s.case(f"GETPORT answered with {port}", reason, transport=tr) as x:
                x.getport(MOUNTD, 3, "tcp", port)
                if port in (65558, 22):
                    s.blocked(22)
        with s.case("program 100000, whose port the client talks to already", transport=tr) as x:
            x.getport(100000, 2, "tcp", PORT)
            s.blocked(PORT)
        for program in (UNLISTED, 0, 0xFFFFFFFF):
            with s.case(f"program {program}, which is not listed", "program", transport=tr) as x:
                x.getport(program, 3, "tcp", PORT)
                s.blocked(PORT)
        for protocol in (0, 1, 132, 262, 0xFFFFFFFF):
            with s.case(f"GETPORT for protocol {protocol}", transport=tr) as x:
                x.ask(2, GETPORT, words(MOUNTD, 3, protocol, 0), words(PORT))


def addresses(s):
    me, third = s.server, THIRD[s.family]
    other_family = {4: "fd77:2::2", 6: "10.77.2.2"}[s.family]
    wrong = [
        (uaddr(third, PORT), "address"),
        (uaddr(s.client, PORT), "address"),
        (uaddr("127.0.0.1" if s.family == 4 else "::1", PORT), "address"),
        (uaddr(other_family, PORT), "family"),
        (uaddr("::" if s.family == 4 else "0.0.0.0", PORT), "family"),
        (f"{me}.0.22", "port-never"),
        (f"{me}.0.0", None),
        (f"{me}.256.22", "malformed"),
        (f"{me}.999.1", "malformed"),
        (f"{me}.161.999", "malformed"),
        (f"{me}.161.18.1", "malformed"),
        (f"{me}.161.18.", "malformed"),
        (f".{me}.161.18", "malformed"),
        (f"{me}.-1.18", "malformed"),
        (f"{me}.0xa1.18", "malformed"),
        (f"{me}. 161.18", "malformed"),
        (f"{me}.161", "malformed"),
        (me, "malformed"),
        ("161.18", "malformed"),
        (".", "malformed"),
        ("x" * 128, "malformed"),
        ("", None),
    ]
    if s.family == 4:
        wrong += [("10.77.999.2.161.18", "malformed"), ("10.77.2.161.18", "malformed"),
                  ("010.077.002.002.161.18", None), ("0x0a4d0202.161.18", "malformed")]  # fmt: skip
    else:
        wrong += [("fd77:2::2%eth0.161.18", None), ("::ffff:10.77.2.2.161.18", None),
                  ("fd77:2:::2.161.18", "malformed")]  # fmt: skip
    for text, reason in wrong:
        shown = f"{text[:40]}" if text else "nothing"
        with s.case(f"universal address {shown}", reason, transport=TRANSPORTS[len(text) % 2]) as x:
            x.getaddr(MOUNTD, 3, "tcp" + s.six, text)
    with s.case("a universal address with a zero byte in it", "malformed") as x:
        x.getaddr(MOUNTD, 3, "tcp" + s.six, f"{me}.161.18\0")
    for tr in TRANSPORTS:
        foreign = "tcp" if s.family == 6 else "tcp6"
        wildcard = "0.0.0.0" if s.family == 6 else "::"
        with s.case(f"DUMP with {foreign} only: nothing for this family", transport=tr) as x:
            x.ask(4, DUMP, b"", listing([rpcb(MOUNTD, 3, foreign, uaddr(wildcard, PORT))]))
        with s.case(f"GETADDRLIST with {foreign} only: likewise", transport=tr) as x:
            entry = endpoint(uaddr(wildcard, PORT), foreign)
            x.ask(4, GETADDRLIST, rpcb(MOUNTD, 3, foreign), listing([entry]))
        for netid in ("tcp7", "tcp\0", "TCP", "ticotsord", "sctp", "local"):
            entry = rpcb(MOUNTD, 3, netid, uaddr(me, PORT))
            with s.case(f"DUMP with netid {netid!r} only", transport=tr) as x:
                x.ask(4, DUMP, b"", listing([entry]))


def proxies(s):
    """The program is called on the spot by rpcbind; its port is in the answer, and stays shut."""
    indirect = words(MOUNTD, 3, 0) + opaque(b"")
    for tr in TRANSPORTS:
        for name, version, procedure in (
            ("CALLIT", 2, CALLIT), ("CALLIT", 3, BCAST), ("BCAST", 4, BCAST), ("INDIRECT", 4, INDIRECT)
        ):  # fmt: skip
            results = words(PORT) if version == 2 else opaque(uaddr(s.server, PORT))
            with s.case(f"version {version} {name}", "proxy", transport=tr) as x:
                x.ask(version, procedure, indirect, results + opaque(b""))
                s.blocked(PORT)


# --- sizes ---


def credentials(s):
    for tr in TRANSPORTS:
        for what, kw in (
            ("credentials", {"credential": b"c" * 401}),
            ("a verifier", {"verifier": b"v" * 401}),
        ):
            with s.case(f"a question with {what} of 401 bytes, answered", "malformed", 1, tr) as x:
                unsolicited = s.daemon.counter("unsolicited")
                x.replies(x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"), **kw), words(PORT))
                tap.equal(s.daemon.counter("unsolicited") - unsolicited, 1, "unsolicited")
        with s.case("an answer with a verifier of 401 bytes", "malformed", transport=tr) as x:
            xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
            x.replies(xid, words(PORT), verifier=b"w" * 401)
        with s.case("credentials of 4 GB, so it says", "malformed", transport=tr) as x:
            message = words(99, 0, 2, 100000, 2, GETPORT, 1, 0xFFFFFFFC, 0, 0)
            x.client_sends(x.framed(message + mapping(MOUNTD, 3, "tcp")))
            x.replies(99, words(PORT))
        with s.case("a netid and an address of 4 GB, so they say", transport=tr) as x:
            x.client_sends(x.framed(call(98, 4, GETADDR, words(MOUNTD, 3, 0xFFFFFFFF))))
            x.replies(98, opaque(uaddr(s.server, PORT)))
            x.replies(x.calls(4, GETADDR, rpcb(MOUNTD, 3, "tcp" + s.six)), words(0xFFFFFFFF, PORT))


def truncation(s):
    """Datagrams that end too early, at every byte."""
    with s.honest("answers cut at every byte open nothing, the whole one does", "udp") as x:
        xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
        whole = reply(xid, words(PORT))
        for size in range(len(whole)):
            x.server_sends(whole[:size])
        s.nothing_open()
        x.server_sends(whole)
        s.only_open((MOUNTD, "tcp", PORT))
    with s.case("questions cut at every byte, each answered", transport="udp") as x:
        whole = call(4711, 4, GETADDR, rpcb(MOUNTD, 3, "tcp" + s.six))
        for size in range(len(whole) - 8):  # the owner and its length may be missing
            x.client_sends(whole[:size])
            x.replies(4711, opaque(uaddr(s.server, PORT)))
    with s.case("records that end too early, at every word, and an honest one behind each") as x:
        xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
        whole = reply(xid, words(PORT))
        for size in range(0, len(whole), 4):
            x.server_sends(record(whole[:size]))
        s.nothing_open()
        x.getport(NFS, 3, "tcp", PORT)
        s.only_open((NFS, "tcp", PORT))
        s.daemon_clean()


# --- record marking (RFC 5531 section 11) ---


def records(s):
    with s.honest("the question split in two at every byte") as x:
        for i in range(1, 60):
            message = record(call(i, 2, GETPORT, mapping(MOUNTD, 3, "tcp")))
            x.client_sends(message[:i])
            x.client_sends(message[i:])
            x.replies(i, words(PORT + i))
            s.only_open((MOUNTD, "tcp", PORT + i))
    with s.honest("the answer split in two at every byte opens when it is whole, not before") as x:
        for i in range(1, 32):
            xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
            message = record(reply(xid, words(PORT + i)))
            x.server_sends(message[:i])
            s.only_open(*([(MOUNTD, "tcp", PORT + i - 1)] if i > 1 else []))
            x.server_sends(message[i:])
            s.only_open((MOUNTD, "tcp", PORT + i))
    with s.honest("a GETADDR dialogue, one byte a segment") as x:
        for byte in record(call(5, 4, GETADDR, rpcb(MOUNTD, 3, "tcp" + s.six))):
            x.client_sends(bytes([byte]))
        answer = record(reply(5, opaque(uaddr(s.server, PORT))))
        for byte in answer[:-1]:
            x.server_sends(bytes([byte]))
        tail = -len(opaque(uaddr(s.server, PORT))) % 4
        tap.equal(tail, 0)
        x.server_sends(answer[-1:])
        s.only_open((MOUNTD, "tcp", PORT))
    with s.honest("a DUMP answer in segments of 7 bytes") as x:
        xid = x.calls(4, DUMP, b"")
        answer = record(reply(xid, listing([
            rpcb(200000 + i, 1, "tcp" + s.six, uaddr(s.server, PORT + i), "superuser") for i in range(9)
        ] + [rpcb(MOUNTD, 3, "udp" + s.six, uaddr(s.server, PORT), "superuser")])))  # fmt: skip
        for i in range(0, len(answer), 7):
            x.server_sends(answer[i : i + 7])
        s.only_open((MOUNTD, "udp", PORT))
    with s.honest("a record in fragments of one byte") as x:
        xid = x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
        message = reply(xid, words(PORT))
        x.server_sends(record(message, *range(1, len(message))))
        s.only_open((MOUNTD, "tcp", PORT))
    with s.honest("fragments of length 0 before, within and behind a record") as x:
        message = call(6, 2, GETPORT, mapping(MOUNTD, 3, "tcp"))
        x.client_sends(words(0, 0, 0) + record(message, 0, 20, 20, 20, len(message)))
        x.server_sends(words(LAST) * 50 + record(reply(6, words(PORT)), 0, 8, 8) + words(LAST) * 50)
        s.only_open((MOUNTD, "tcp", PORT))
        x.getport(NFS, 3, "tcp", PORT + 1)
        s.only_open((MOUNTD, "tcp", PORT), (NFS, "tcp", PORT + 1))
    with s.honest("five questions in one segment, their answers in another") as x:
        asked = [(9000 + i, p) for i, p in enumerate(sorted(set(nfs.LISTED) - {NLOCKMGR}))]
        x.client_sends(b"".join(record(call(i, 2, GETPORT, mapping(p, 1, "tcp"))) for i, p in asked))
        x.server_sends(b"".join(record(reply(i, words(PORT + i % 9000))) for i, _ in asked))
        s.only_open(*((p, "tcp", PORT + i % 9000) for i, p in asked))
    for side in ("client", "server"):
        send = {"client": Exchange.client_sends, "server": Exchange.server_sends}[side]
        with s.case(f"a fragment of 2 GB from the {side}, with questions and answers in it") as x:
            memory = resident(s.daemon)
            send(x, words(LAST | 0x7FFFFFFF))
            for _ in range(64):
                send(x, record(call(8, 2, GETPORT, mapping(MOUNTD, 3, "tcp"))) * 512)
            send(x, record(reply(8, words(PORT))))
            s.nothing_open()
            bounded(s.daemon, memory, 1024)
        with s.case(f"a record that never ends, from the {side}: fragments and fragments") as x:
            memory = resident(s.daemon)
            for _ in range(256):
                send(x, (words(4) + b"abcd") * 1024)
            send(x, (words(0)) * 8192)
            s.nothing_open()
            bounded(s.daemon, memory, 1024)
        with s.case(f"a record mark of which the {side} sends three bytes") as x:
            send(x, b"\x80\0\0")
            s.nothing_open()
    with s.case("a question whose last byte never comes, and its answer", "unsolicited") as x:
        x.client_sends(record(call(10, 2, GETPORT, mapping(MOUNTD, 3, "tcp")))[:-1])
        x.replies(10, words(PORT))
    with s.case("no RPC at all: text, zeros, all bits set") as x:
        x.client_sends(b"GET / HTTP/1.0\r\n\r\n" * 100)
        x.server_sends(b"\0" * 4096 + b"\xff" * 4096)


def resident(daemon):
    """KiB of memory in use."""
    with open(f"/proc/{daemon.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def bounded(daemon, before, limit):
    """The daemon has not grown by this many KiB; a sanitizer holds 256 MB back that are free."""
    grown = resident(daemon) - before
    tap.true(grown < limit + (300 << 10 if SANITIZED else 0), f"the daemon has grown by {grown} KiB")


# --- numbers of things ---


def floods(s):
    for tr in TRANSPORTS:
        with s.honest("5 000 unanswered questions in one session", tr) as x:
            before, memory = s.daemon.counter("unsolicited"), resident(s.daemon)
            messages = [call(i, 2, GETPORT, mapping(MOUNTD, 3, "tcp")) for i in range(5000)]
            if tr == "tcp":
                x.client_sends(b"".join(map(record, messages)))
            else:
                for message in messages:
                    x.client_sends(message)
            bounded(s.daemon, memory, 1024)
            for i in (0, 1, 2500, 4000):
                x.replies(i, words(PORT + 1))
            s.nothing_open()
            tap.equal(s.daemon.counter("unsolicited") - before, 4, "unsolicited")
            x.replies(4999, words(PORT))
            s.only_open((MOUNTD, "tcp", PORT))
    with s.case("DUMP of 100 000 unlisted programs") as x:
        memory = resident(s.daemon)
        x.ask(2, DUMP2, b"", listing(mapping(200000 + i, 1, "tcp", PORT) for i in range(100000)))
        bounded(s.daemon, memory, 1024)
    with s.case("DUMP of 100 000 entries of version 4, and no end", "malformed", 0) as x:
        memory = resident(s.daemon)
        entry = rpcb(200000, 1, "tcp" + s.six, uaddr(s.server, PORT), "superuser")
        xid = x.calls(4, DUMP, b"")
        message = reply(xid, (words(1) + entry) * 100000)
        x.server_sends(words(0x7FFFFFF0) + message)
        s.nothing_open()
        bounded(s.daemon, memory, 1024)


def churn(s):
    """Lists that would open without end."""
    with s.honest("DUMP of 100 000 ports for one program: it has one port, not more") as x:
        before = resident(s.daemon)
        entries = listing(mapping(MOUNTD, 3, "tcp", 1024 + i % 64000) for i in range(100000))
        x.ask(2, DUMP2, b"", entries)
        tap.true(len(s.mappings()) <= 1, f"{len(s.mappings())} are open")
        tap.equal(s.in_kernel(), nfs.kernel_keys(s.mappings()), "in the kernel")
        memory = resident(s.daemon)
        x.ask(2, DUMP2, b"", entries)
        # Buffers of the size of one burst may stay; what comes again and again may not add to them.
        bounded(s.daemon, memory, 1024)
        bounded(s.daemon, before, 16384)
    with s.honest("DUMP of 100 000 versions, each with a port: not more than the limit") as x:
        memory = resident(s.daemon)
        entries = (mapping(MOUNTD, i, "udp", 1024 + i % 64000) for i in range(100000))
        x.ask(2, DUMP2, b"", listing(entries))
        tap.true(len(s.mappings()) <= 256, f"{len(s.mappings())} are open")
        tap.equal(s.in_kernel(), nfs.kernel_keys(s.mappings()), "in the kernel")
        bounded(s.daemon, memory, 4096)


def crowd(s):
    """One client, a new source port for each question."""
    with s.t.case(f"{s.name}: 5 000 sessions of one client: refused beyond its limit, nothing else suffers"):
        memory = resident(s.daemon)
        arguments = mapping(MOUNTD, 3, "tcp")
        for i in range(5000):
            with datagrams(s.net.client, s.family, s.client) as sock:
                sock.sendto(call(i, 2, GETPORT, arguments), (s.server, 111))
                s.service.dgram.recv(1000)
        sessions = [x for x in s.daemon.sessions() if x["src"] == s.client]
        tap.true(len(sessions) <= 1024, f"{len(sessions)} sessions")
        tap.true(s.daemon.counter("limit-sessions-client") > 3500, "the refusals are not counted")
        bounded(s.daemon, memory, 16384)
        s.nothing_open()
        s.bystander.unharmed()
        s.bystander.served()
        s.net.spaces[s.place].run(["conntrack", "-D", "-p", "udp", "-s", s.client])
        poll.until(
            lambda: not [x for x in s.daemon.sessions() if x["src"] == s.client],
            "the crowd's sessions to end", 10,
        )  # fmt: skip
        with s.exchange("udp") as x:
            x.getport(MOUNTD, 3, "tcp", PORT)
            s.only_open((MOUNTD, "tcp", PORT))
    s.daemon_clean()


class Late:
    """Hosts of their own, where a question waits for its answer a little longer than it may."""

    def __init__(self, lab):
        self.net = topology.Topology(lab, "late-")
        self.net.firewall(ROUTER, nfs.strict(ROUTER, "related"))
        self.service = oncrpc.Service(self.net.server, 4, ADDRESS[SERVER, 4], 111)
        self.daemon = nfs.pinholed(lab, self.net.router).start()
        self.x = Exchange(self.service, self.net.client, ADDRESS[CLIENT, 4])
        self.xid = self.x.calls(2, GETPORT, mapping(MOUNTD, 3, "tcp"))
        self.due = time.monotonic() + QUESTION_SECONDS + 1

    def judge(self, t):
        t.explain = self.daemon.log
        with t.case(f"an answer after {QUESTION_SECONDS} s opens nothing; a question in time does"):
            time.sleep(max(0, self.due - time.monotonic()))
            self.x.replies(self.xid, words(PORT))
            tap.equal(self.daemon.mappings(), set())
            tap.equal(self.daemon.in_kernel(), set())
            tap.equal(self.daemon.counter("unsolicited"), 1, "unsolicited")
            self.x.getport(MOUNTD, 3, "tcp", PORT)
            tap.equal(
                self.daemon.mappings(),
                {(ADDRESS[CLIENT, 4], ADDRESS[SERVER, 4], "tcp", PORT, MOUNTD)},
            )
        self.x.close()
        self.daemon.stop()
        self.service.close()


SCENES = (
    (ROUTER, "related", 4),
    (ROUTER, "mark", 6),
    (SERVER, "related", 6),
    (SERVER, "mark", 4),
    (CLIENT, "related", 4),
    (CLIENT, "mark", 6),
)
# What depends on where packets are seen, and what on their contents alone.
EVERYWHERE = (honest_forms, lists, answers, from_elsewhere, proxies, records, floods)
ONCE = (numbers, addresses, credentials, truncation, churn, crowd)

with suite.laboratory() as (t, lab, net):
    late = Late(lab)
    nfs.add_other_client(net)
    net.server.sh("ip", "address", "add", f"{THIRD[4]}/24", "dev", "eth0")
    net.server.sh("ip", "address", "add", f"{THIRD[6]}/64", "dev", "eth0", "nodad", "preferred_lft", "0")
    for place, admit, family in SCENES:
        scene = Scene(t, lab, net, place, admit, family)
        for topic in EVERYWHERE + (ONCE if place == ROUTER else ()):
            topic(scene)
        scene.close()
    late.judge(t)
