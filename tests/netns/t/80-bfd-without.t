#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The ground of the BFD tests: behind the strict firewalls no session comes up without pinholed, since
neither direction of BFD is ever the reply to the other; with no firewall, and with the static rule
that pinholed makes unnecessary, all of them do. Tells how long that takes, and what each daemon
sends: 81-bfd-matrix.t relies on it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import time

from lab import bfd, poll, suite, tap
from lab.bfdpkt import SINGLE_HOP, Wire
from lab.topology import CLIENT, ROUTER

UP_SECONDS = 8  # more than anybody needs
PTM_FIRST = 49142


def start_fresh(parties, wire):
    """As if no session had ever been."""
    for party in parties:
        party.stop()
        party.net.forget_flows()
    wire.forget()
    bfd.each(parties, bfd.Party.start)


def all_up(t, name, parties):
    for party in parties:
        with t.case(f"{name}: {party.name}: all its sessions are Up, and the daemons say so too"):
            party.wait_up(UP_SECONDS)
            party.agree()


def none_up(t, name, parties, seconds):
    """For longer than it would take without a firewall."""
    poll.stays(
        lambda: not any(s.ever_up() for p in parties for s in p.sessions), "no session Up", seconds
    )
    for party in parties:
        with t.case(f"{name}: {party.name}: no session comes up"):
            for session in party.sessions:
                tap.true(not session.ever_up(), f"is Up: {session}")
                tap.true(session.flow(CLIENT).packets >= 2, f"has not tried: {session}")


def shapes(t, parties):
    """What each daemon sends: the facts that a helper has to live with."""
    for party in parties:
        with t.case(f"on the wire: {party.name}: TTL, ports and intervals are what is expected"):
            for session in party.sessions:
                for host in session.hosts():
                    flow, kind = session.flow(host), party.speakers[host].kind
                    ttl = 64 if kind == bfd.BIRD and session.multihop else 255
                    tap.equal(flow.ttl, {ttl}, f"TTL of {kind}, {session}")
                    tap.equal(len(flow.ports), 1, f"source ports of {kind}")
                    tap.equal(flow.packet.mult, bfd.MULTIPLIER, "detect mult")
                    if kind == bfd.PTM:
                        tap.true(PTM_FIRST <= flow.ports[0] < PTM_FIRST + 10, f"{flow}")
    for kind in sorted({s.kind for p in parties for s in p.speakers.values()}):
        ports = [
            session.flow(host).ports[0]
            for party in parties for session in party.sessions for host in session.hosts()
            if party.speakers[host].kind == kind
        ]  # fmt: skip
        t.say(f"{kind}: source ports {min(ports)}-{max(ports)}, of {len(ports)} sessions")


def without_firewall(t, wire, parties):
    baseline = bfd.Baseline()
    start_fresh(parties, wire)
    all_up(t, "no firewall", parties)
    for party in parties:
        baseline.measure(party)
    for line in baseline.lines():
        t.say(line)
    for party in parties:
        with t.case(f"no firewall: {party.name}: Up within the slow interval of either side"):
            # One lost chance, where the first packet came before the other side could listen.
            tap.true(baseline.limit(party) <= party.slow() + 1, baseline.seen[party.pair])
    shapes(t, parties)
    return baseline


def with_firewall(t, wire, parties, baseline, place):
    """Strict at first, so that each session has lost packets; then the static rule comes."""
    for party in parties:
        party.net.firewall(place, bfd.strict(place))
    start_fresh(parties, wire)
    none_up(t, f"{place} strict", parties, max(map(baseline.limit, parties)) + 1)
    for party in parties:
        with t.case(f"{place} strict: {party.name}: it was the firewall; each lost packets there"):
            tap.true(party.net.dropped(place) >= len(party.sessions), party.log())
    for party in parties:
        party.net.firewall(place, bfd.strict(place, accept=True))
    opened = time.time()
    all_up(t, f"{place} with the static rule", parties)
    for pair in dict.fromkeys(p.pair for p in parties):
        since = [f.since() for p in parties if p.pair == pair for s in p.sessions for f in s.flows()]
        t.say(f"{'-'.join(pair)}: all Up {max(since) - opened:.3f} s after the rule had come")
    for party in parties:
        party.net.clear_firewall(place)


def without_conntrack_reply(t, party):
    """Why `established` never helps."""
    with t.case("conntrack has two flows for each session, and no reply in either"):
        for session in party.sessions:
            if session.family == 6 or session.port != SINGLE_HOP:
                continue
            listing = session.a[1].sh("conntrack", "-L", "-p", "udp", "--dport", str(session.port))
            for here, there in ((session.a, session.b), (session.b, session.a)):
                original = f"src={here[3]} dst={there[3]} "
                lines = [x for x in listing.splitlines() if original in x.split("[")[0]]
                tap.true(lines and all("[UNREPLIED]" in x for x in lines), listing)


def echoes(t, wire, party):
    """What FRR's echoes need, beside their session. Over IPv4 the peer's firewall sees them forwarded,
    from the sender to itself; over IPv6 the peer's bfdd sends them back."""
    start_fresh([party], wire)
    with t.case("echo: no firewall: Up, each side's echoes come back, no flap"):
        party.wait_steady(2, UP_SECONDS)
        party.wait_echoes(20)
    party.net.firewall(CLIENT, bfd.strict(CLIENT, accept=(SINGLE_HOP,)))
    with t.case("echo: client strict but for 3784: echoes over IPv4 are lost, and the session with them"):
        before = party.sessions[0].downs()
        poll.until(lambda: party.sessions[0].downs() > before + 1, lambda: f"flaps: {party.log()}", UP_SECONDS)
    party.net.firewall(CLIENT, bfd.strict(CLIENT, accept=True))
    with t.case("echo: client with the static rule for 3785 too: Up again, echoes come back"):
        party.wait_steady(2, UP_SECONDS)
        party.wait_echoes(20)
    party.stop()
    party.net.clear_firewall(CLIENT)


with suite.laboratory(needs_daemon=False) as (t, lab, _):
    here = bfd.pairs(t)
    with Wire() as wire:
        parties = bfd.parties(lab, wire, here)
        baseline = without_firewall(t, wire, parties)
        for place in (CLIENT, ROUTER):
            with_firewall(t, wire, parties, baseline, place)
        if not bfd.missing(bfd.FRR):
            echoes(t, wire, bfd.echo_party(lab, wire))
        if parties:
            parties[0].net.firewall(CLIENT, bfd.strict(CLIENT, accept=True))
            start_fresh(parties[:1], wire)
            parties[0].wait_up(UP_SECONDS)
            without_conntrack_reply(t, parties[0])
