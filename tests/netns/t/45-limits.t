#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits: at each of them the request is refused and counted, and nothing else suffers."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import resource
import time

from lab import poll, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Listener, connected, port_of
from lab.topology import ROUTER

CROWD = 10000


def with_limits(lab, net, **limits):
    limits = {key.replace("_", "-"): value for key, value in limits.items()}
    return Daemon(lab, net.spaces[ROUTER], admit=admit, limits=limits).start()


def opens(d, daemon):
    """A PASV exchange, and whether its port is open then."""
    with d.passive_listener() as waiting:
        d.pasv(port_of(waiting))
        with d.connect_data(port_of(waiting)) as flow:
            if port_of(waiting) in [p["dport"] for p in daemon.pinholes()]:
                tap.true(connected(flow, 3), "open, but the connection failed")
                return True
            tap.true(not connected(flow, 0), "not open, but connected")
            return False


def sessions_limit(t, lab, net, limit, word):
    with t.case(f"{admit}: {limit} = 5, 8 come: five are served, three only pass"):
        daemon = with_limits(lab, net, **{limit: 5})
        t.explain = daemon.log
        crowd = [listener.dialogue() for _ in range(8)]
        tap.equal(len(daemon.sessions()), 5, "sessions")
        tap.equal([opens(d, daemon) for d in crowd], [True] * 5 + [False] * 3)
        tap.true(daemon.counter(word) > 0, f"nothing is counted as {word}")
        for d in crowd:
            d.usable()
        crowd.pop(0).close()
        poll.until(lambda: len(daemon.sessions()) < 5, "a place to become free")
        late = listener.dialogue()
        tap.true(opens(late, daemon), "the place that became free was not given away")
        for d in [*crowd, late]:
            d.close()
        daemon.nothing_left()
        daemon.stop()


def pinholes_limit(t, lab, net, limit, word):
    with t.case(f"{admit}: {limit} = 3, five ask: two are refused until there is room again"):
        daemon = with_limits(lab, net, **{limit: 3})
        t.explain = daemon.log
        crowd = [listener.dialogue() for _ in range(5)]
        for i, d in enumerate(crowd):
            d.pasv(40000 + i)
        tap.equal([p["dport"] for p in daemon.pinholes()], [40000, 40001, 40002])
        tap.equal(len(daemon.elements()), 3, "elements")
        tap.equal(daemon.counter(word), 2, f"counted as {word}")
        for d in crowd:
            d.usable()
        crowd.pop(0).close()
        poll.until(lambda: len(daemon.pinholes()) == 2, "room to be made")
        crowd[-1].pasv(40004)
        tap.equal([p["dport"] for p in daemon.pinholes()], [40001, 40002, 40004])
        for d in crowd:
            d.close()
        daemon.nothing_left()
        daemon.stop()


def crowd_beyond(t, lab, net):
    with t.case(f"{admit}: {CROWD} sessions beyond the limit: all pass, none opens, the others work"):
        daemon = with_limits(lab, net, sessions=50, sessions_per_client=50)
        t.explain = daemon.log
        first = [listener.dialogue() for _ in range(50)]
        crowd = [listener.dialogue() for _ in range(CROWD)]
        tap.equal(len(daemon.sessions()), 50, "sessions")
        tap.true(daemon.counter("limit-sessions") >= CROWD, "not each refusal is counted")
        for d in crowd[:: CROWD // 100]:
            d.pasv(40000)
            d.usable()
        tap.equal(daemon.pinholes(), [], "opened for the crowd")
        tap.true(all(opens(d, daemon) for d in first), "a session within the limit was not served")
        for d in [*first, *crowd]:
            d.close()
        daemon.nothing_left()
        poll.until(lambda: not daemon.sessions(), "all sessions to end", 20)
        late = listener.dialogue()
        tap.true(opens(late, daemon), "after the crowd a new session is not served")
        late.close()
        daemon.nothing_left()
        daemon.stop()


def expiry(t, lab, net):
    with t.case(f"{admit}: a pinhole that nobody uses closes after its timeout"):
        daemon = Daemon(lab, net.spaces[ROUTER], admit=admit, timeout=1).start()
        t.explain = daemon.log
        with listener.dialogue() as d:
            start = time.monotonic()
            d.pasv(40000)
            tap.equal(len(daemon.elements()), 1, "elements")
            daemon.nothing_left(3)
            tap.true(time.monotonic() - start > 0.9, "too early")
            tap.equal(daemon.counter("expired"), 1, "counted as expired")
            before = net.dropped(ROUTER)
            with d.connect_data(40000):
                poll.until(lambda: net.dropped(ROUTER) > before, "the late SYN to be dropped")
            tap.true(opens(d, daemon), "the next one did not open")
        daemon.stop()


resource.setrlimit(resource.RLIMIT_NOFILE, (4 * CROWD, 4 * CROWD))
with suite.laboratory() as (t, lab, net):
    listener = Listener(net)
    for admit in topology.ADMITS:
        net.firewall(ROUTER, topology.strict(ROUTER, admit))
        net.forget_flows()
        sessions_limit(t, lab, net, "sessions", "limit-sessions")
        sessions_limit(t, lab, net, "sessions_per_client", "limit-sessions-client")
        pinholes_limit(t, lab, net, "pinholes", "limit-pinholes")
        pinholes_limit(t, lab, net, "pinholes_per_client", "limit-pinholes-client")
        crowd_beyond(t, lab, net)
        expiry(t, lab, net)
    listener.close()
