#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""BFD packets that lie, from the peer's own address and from others', at a host with a session that
is Up and on a router: nothing opens that should not, the session does not notice, and memory stays
bounded."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import ipaddress

from lab import bfd, poll, suite, tap
from lab.bfdpkt import DOWN, INIT, MULTIHOP, MULTIPOINT, SINGLE_HOP, UP, Forger, Packet, Wire
from lab.bfdscene import Scene
from lab.topology import ADDRESS, ADMITS, CLIENT, ROUTER, SERVER, Topology

SPOOFED = 10000
HOLD = 5.0  # seconds, and what the daemon may be late
LATE = 1.5


def lies(ours, theirs):
    """(what, Packet or bytes) that no BFD speaker would take, or none of this session; ours and
    theirs are the discriminators."""
    good = dict(state=UP, my=theirs, your=ours, tx=300000, rx=300000)
    yield "version 2", Packet(**good | {"version": 2})
    yield "version 0", Packet(**good | {"version": 0})
    yield "a length of 23", Packet(**good | {"length": 23})
    yield "a length beyond the datagram", Packet(**good | {"length": 25})
    yield "a length of 255", Packet(**good | {"length": 255})
    yield "authentication without a section", Packet(**good | {"flags": 4})
    yield "an authentication section that is too long", Packet(**good | {"flags": 4, "body": b"\1\xff"})
    yield "Detect Mult 0", Packet(**good | {"mult": 0})
    yield "multipoint", Packet(**good | {"flags": MULTIPOINT})
    yield "My Discriminator 0", Packet(**good | {"my": 0})
    yield "Up with Your Discriminator 0", Packet(**good | {"your": 0})
    yield "another session's discriminator", Packet(**good | {"your": ours ^ 0x5A5A5A5A})
    for length in range(24):
        yield f"{length} bytes of a packet", Packet(**good).pack()[:length]


def memory(daemon):
    with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


def stays_up(party, seconds):
    """As the daemons themselves see it; on the wire are the forged packets, too."""
    session = party.sessions[0]

    def seen():
        return [
            (speaker.downs(n), set(speaker.states().values()))
            for speaker, n in ((party.speakers[h], session.neighbor(h)) for h in session.hosts())
        ]  # fmt: skip

    tap.equal([states for _, states in seen()], [{"Up"}, {"Up"}], "states")
    tap.equal([downs for downs, _ in seen()], [0, 0], "flaps")
    poll.stays(lambda: all(s == (0, {"Up"}) for s in seen()), "the session to be Up", seconds)


def at_a_host(t, lab, wire, admit):
    """The peer's machine tells lies from ports of its own, besides the peer's good packets."""
    party = bfd.Party(lab, wire, f"lies-{admit}", (bfd.BIRD, bfd.BIRD), 300, forms=bfd.FORMS[:1])
    scene = Scene(lab, party, "client", admit)
    t.explain = scene.log
    scene.begin()
    party.wait_up(10)
    session = party.sessions[0]
    daemon = scene.daemons[CLIENT]
    _, router, device, peer = session.b
    victim = session.a[3]
    poll.until(lambda: daemon.bfd(peer, victim), "the pinhole of the session", 5)
    ours = session.flow(CLIENT).packet.my
    theirs = session.flow(session.b[0]).packet.my
    real = session.flow(session.b[0]).ports[-1]

    def bound():
        return [(p["sport"], p["state"]) for p in daemon.bfd(peer, victim) if p["dport"] == SINGLE_HOP]

    with Forger(router, device, session.a[1:3]) as forger:
        for what, packet in lies(ours, theirs):
            with t.case(f"{admit}: {what}, from the peer's port and from another"):
                for port in (real, 40000):
                    forger.send(peer, victim, port, packet)
                tap.equal(bound(), [(real, "bound")], "pinholes")
        with t.case(f"{admit}: a source port that moves with every packet"):
            for port in range(20000, 22000):
                forger.send(peer, victim, port, Packet(state=DOWN, my=theirs))
            tap.equal(bound(), [(real, "bound")], "pinholes")
            tap.true(len(daemon.pinholes()) <= 3, daemon.pinholes())
        with t.case(f"{admit}: two thousand neighbours that nobody knows, TTL 255 and below"):
            for i in range(2000):
                stranger = str(ipaddress.ip_address("203.0.113.0") + i)
                forger.send(stranger, victim, 49152, Packet(state=INIT, my=7, your=ours), ttl=255 - i % 3)
            tap.true(all(p["src"] in (peer, victim) for p in daemon.pinholes()), daemon.pinholes())
        with t.case(f"{admit}: all states, flags and diagnostics out of order, from another port"):
            for i in range(1024):
                forger.send(peer, victim, 40001, Packet(
                    state=(i * 7) % 4, diag=i % 32, flags=i % 64 & ~MULTIPOINT, my=theirs, your=ours,
                    tx=0xFFFFFFFF, rx=0,
                ))  # fmt: skip
            tap.equal(bound(), [(real, "bound")], "pinholes")
        with t.case(f"{admit}: after all of this the session is as Up as before"):
            stays_up(party, 2)
            tap.true(daemon.process.running(), daemon.log())
    scene.end()


def peer_without_measure(t, lab, wire, admit):
    """A peer that once was good, with intervals beyond all reason, and then is silent."""
    net_party = bfd.Party(lab, wire, f"long-{admit}", (bfd.BIRD, bfd.BIRD), 300, forms=bfd.FORMS[:1])
    scene = Scene(lab, net_party, "client", admit)
    t.explain = scene.log
    scene.begin()
    net_party.wait_up(10)
    session, daemon = net_party.sessions[0], scene.daemons[CLIENT]
    _, router, device, peer = session.b
    victim, ours = session.a[3], session.flow(CLIENT).packet.my
    good = session.flow(session.b[0]).packet
    port = session.flow(session.b[0]).ports[-1]
    with t.case(f"{admit}: 255 times 0xFFFFFFFF microseconds are five minutes, no more"):
        poll.until(lambda: daemon.bfd(peer, victim), "the pinhole of the session", 5)
        endless = Packet(state=UP, mult=255, my=good.my, your=ours, tx=0xFFFFFFFF, rx=0xFFFFFFFF)
        with Forger(router, device, session.a[1:3]) as forger:

            def counts():
                """One of these is looked at sooner or later, and shows in how long the pinhole lasts."""
                forger.send(peer, victim, port, endless)
                found = daemon.bfd(peer, victim)
                return found and all(p["expires"] > 10 for p in found if p["state"] == "bound")

            poll.until(counts, lambda: f"the packet to count: {daemon.bfd(peer, victim)}", 5)
        for p in daemon.bfd(peer, victim):
            tap.true(p["expires"] <= 301, p)
    scene.end()


def on_a_router(t, lab, admit):
    """Ten thousand sources on the trusted side speak to one server: as many sessions as one may have,
    and all gone when they say no more."""
    net = Topology(lab, f"spoof-{admit}-")
    net.firewall(ROUTER, bfd.strict(ROUTER, admit))
    daemon = bfd.pinholed(lab, net.router, admit, limits={"sessions": 2000, "pinholes": 3000})
    t.explain = daemon.log
    daemon.start()
    before = memory(daemon)
    with t.case(f"{admit}: {SPOOFED} spoofed peers: limits hold, memory is bounded, all is gone after the hold"):
        with Forger(net.client, "eth0", (net.router, CLIENT)) as forger:
            for i in range(SPOOFED):
                source = str(ipaddress.ip_address("100.64.0.0") + i)
                forger.send(source, ADDRESS[SERVER, 4], 1024 + i, Packet(state=DOWN, my=1 + i),
                            dport=MULTIHOP, ttl=64)  # fmt: skip
            poll.until(lambda: daemon.ctl_json("stats")["sessions"] > 1000, "sessions of the spoofed", 10)
            stats = daemon.ctl_json("stats")
            tap.true(stats["live_sessions"] <= 2000, stats)
            tap.true(stats["live_pinholes"] <= 3000, stats)
            tap.true(memory(daemon) - before < 16 << 20, f"{memory(daemon) - before} bytes more")
        poll.until(
            lambda: daemon.ctl_json("stats")["live_sessions"] == 0,
            lambda: f"all to be gone: {daemon.ctl_json('stats')['live_sessions']}", HOLD + LATE + 10,
        )  # fmt: skip
        tap.equal(daemon.ctl_json("stats")["live_pinholes"], 0, "pinholes")
        tap.equal(daemon.in_kernel(), [], "elements")
    tap.equal(daemon.stop(), 0, "exit status")


with suite.laboratory() as (t, lab, _):
    here = not bfd.missing(bfd.BIRD)
    if not here:
        t.skip("BFD's hostile part", f"not among the unpacked packages: {', '.join(bfd.missing(bfd.BIRD))}")
    with Wire() as wire:
        for admit in ADMITS if here else ():
            at_a_host(t, lab, wire, admit)
            peer_without_measure(t, lab, wire, admit)
            on_a_router(t, lab, admit)
