#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""FTPS. With `tls = closed` nothing opens once the session is encrypted; with `tls = window` the
server's passive range is open for this client while its control connection lives."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import clients, poll, servers, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Listener, connected, port_of, start_connect

WINDOW = "32768-60999"


def refused_when_closed(t, daemon, place, admit, programs):
    t.explain = daemon.log
    for client in programs:
        with t.case(f"on the {place}, {admit}: {client.name} with tls = closed opens nothing"):
            refused = daemon.counter("encrypted")
            result = client.run(4, "PASV", "download", "none", 2, 2, True)
            tap.true(result.status != 0, "the transfer worked")
            tap.contains(result.trace, "227 ", "it did not get as far as the reply")
            tap.equal(daemon.counter("opened"), 0, "opened")
            tap.equal(daemon.counter("encrypted"), refused + 1, "refusals")
    with t.case(f"on the {place}, {admit}: plain FTP goes on beside it"):
        programs[0].transfer((4, "EPSV"), "download", server.site)


def window(t, daemon, place, admit, programs):
    t.explain = daemon.log
    work = [(client, mode) for client in programs for mode in clients.PASSIVE]

    def transfers(client, mode):
        for operation in clients.OPERATIONS:
            client.transfer(mode, operation, server.site, tls=True)

    errors = suite.at_once([lambda w=w: transfers(*w) for w in work])
    for (client, (family, verb)), error in zip(work, errors):
        with t.case(f"on the {place}, {admit}: {client.name} IPv{family} {verb} over TLS"):
            if error:
                raise error
    with t.case(f"on the {place}, {admit}: the windows closed with their sessions"):
        daemon.nothing_left()


def window_bounds(t, net, daemon, listener, place, admit, family):
    """The window is the client's alone, is no wider than it says, and ends with the session."""
    name = f"on the {place}, {admit}, IPv{family}"
    t.explain = daemon.log
    address = suite.SERVER_ADDRESS[family]
    with listener.dialogue() as d:
        with t.case(f"{name}: the window opens with the answer to AUTH TLS"):
            d.client_sends("AUTH TLS\r\n")
            tap.equal(daemon.pinholes(), [], "before the answer")
            d.server_sends("234 go on\r\n")
            found = daemon.pinholes()
            tap.equal([(p["dst"], p["dport"], p["sport"]) for p in found], [(address, WINDOW, None)])
        with t.case(f"{name}: several connections pass, outside the window none"):
            waiting = [d.passive_listener() for _ in range(3)]
            flows = [d.connect_data(port_of(w)) for w in waiting]
            for flow in flows:
                tap.true(connected(flow, 3), "a connection into the window failed")
            before = net.dropped(place)
            outside = start_connect(net.client, family, address, 61000)
            poll.until(lambda: net.dropped(place) > before, "port 61000 to be dropped")
            for s in [*flows, *waiting, outside]:
                s.close()
        with t.case(f"{name}: a 227 after AUTH TLS opens nothing"):
            d.pasv(40001)
            tap.equal([p["dport"] for p in daemon.pinholes("open")], [WINDOW])
    with t.case(f"{name}: two sessions of one client; the end of one leaves the other its window"):
        with listener.dialogue() as other, listener.dialogue() as mine:
            for d in (other, mine):
                d.exchange("AUTH TLS", "234 go on")
            other.close()
            poll.until(lambda: len(daemon.sessions()) == 1, "the first to end")
            with mine.passive_listener() as waiting, mine.connect_data(port_of(waiting)) as flow:
                tap.true(connected(flow, 3), "the other's window is gone")
    with t.case(f"{name}: the end of the session closes it"):
        daemon.nothing_left()
        before = net.dropped(place)
        late = start_connect(net.client, family, address, 45000)
        poll.until(lambda: net.dropped(place) > before, "the window to be closed")
        late.close()


with suite.laboratory() as (t, lab, net):
    programs = [
        kind(lab, net.client, suite.SERVER_ADDRESS) for kind in (clients.Curl, clients.Lftp)
    ]
    for server_name, start in servers.ALL.items():
        server = start(lab, net.server, tls=True)
        for place in topology.PLACEMENTS:
            if server_name == "proftpd" and place != topology.ROUTER:
                continue
            for admit in topology.ADMITS:
                net.firewall(place, topology.strict(place, admit))
                net.forget_flows()
                with Daemon(lab, net.spaces[place], admit=admit, tls="closed") as daemon:
                    refused_when_closed(t, daemon, place, admit, programs)
                with Daemon(lab, net.spaces[place], admit=admit, tls="window") as daemon:
                    window(t, daemon, place, admit, programs)
            net.clear_firewall(place)
        server.stop()
    for place in topology.PLACEMENTS:
        for admit in topology.ADMITS:
            net.firewall(place, topology.strict(place, admit))
            net.forget_flows()
            for family in (4, 6):
                listener = Listener(net, family)
                with Daemon(lab, net.spaces[place], admit=admit, tls="window") as daemon:
                    window_bounds(t, net, daemon, listener, place, admit, family)
                listener.close()
        net.clear_firewall(place)
