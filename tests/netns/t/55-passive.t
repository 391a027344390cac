#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""capture = passive: the daemon only sees copies. A client that gives it a moment gets through, one
connection to one pinhole; what is refused elsewhere is refused here."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import poll, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Listener, connected, port_of


def opens(daemon, announce, waiting, connect):
    announce(port_of(waiting))
    poll.until(lambda: daemon.pinholes("open"), "the pinhole to open")
    with connect(port_of(waiting)) as flow:
        tap.true(connected(flow, 3), "the data connection failed")
        poll.until(lambda: not daemon.elements(), "the spent element to be removed")


def cases(t, daemon, listener, name):
    with listener.dialogue() as d, d.passive_listener() as waiting:
        with t.case(f"{name}: passive mode, once the pinhole is there"):
            opens(daemon, d.pasv, waiting, d.connect_data)
    with listener.dialogue() as d, d.active_listener() as waiting:
        with t.case(f"{name}: active mode, once the pinhole is there"):
            opens(daemon, d.port, waiting, d.connect_back)
    with t.case(f"{name}: an answer that nobody asked for opens nothing"):
        with listener.dialogue() as d:
            d.server_sends("229 Passive (|||41234|)\r\n")
            poll.until(lambda: daemon.counter("unsolicited"), "the refusal to be counted")
            tap.equal(daemon.pinholes(), [])
            d.usable()
    with t.case(f"{name}: nothing is left"):
        daemon.nothing_left()


with suite.laboratory() as (t, lab, net):
    for place in topology.PLACEMENTS:
        net.firewall(place, topology.strict(place, "mark"))
        for family in (4, 6):
            listener = Listener(net, family)
            passive = Daemon(lab, net.spaces[place], admit="mark", extra="capture = passive\n")
            with passive as daemon:
                t.explain = daemon.log
                cases(t, daemon, listener, f"on the {place}, IPv{family}")
            listener.close()
        net.clear_firewall(place)
    with t.case("it is loud about what it cannot do"):
        tap.contains(passive.log().lower(), "passive")
    with t.case("with admit = related it is refused at once, and says why"):
        daemon = Daemon(lab, net.router, "pinholed-no", extra="capture = passive\n")
        tap.equal(daemon.spawn().wait(), 1, "exit status")
        tap.contains(daemon.log(), "mark")
