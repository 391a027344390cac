#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: many transfers in one, many at once, and the pinhole that is for one flow only."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import ftplib
import io
import select

from lab import poll, servers, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Listener, connected, port_of
from lab.servers import DATA

TRANSFERS = 60
SESSIONS = 50
RACES = 25


class FTP(ftplib.FTP):
    """ftplib, whose sockets are made in the client's namespace."""

    def __init__(self, ns, family, **kw):
        self.ns = ns
        super().__init__(timeout=10, **kw)
        with ns.entered():
            self.connect(suite.SERVER_ADDRESS[family])
            self.login()

    def ntransfercmd(self, cmd, rest=None):
        with self.ns.entered():
            return super().ntransfercmd(cmd, rest)

    def fetch(self, name):
        data = io.BytesIO()
        self.retrbinary(f"RETR {name}", data.write)
        tap.equal(data.getvalue(), DATA, name)


def many_in_one(net, family, passive):
    ftp = FTP(net.client, family)
    ftp.set_pasv(passive)
    for _ in range(TRANSFERS):
        ftp.fetch("data")
    ftp.quit()


def many_at_once(net):
    """All sessions are open before the first transfers, and each transfers in its own mode."""
    sessions = []
    for i in range(SESSIONS):
        ftp = FTP(net.client, 6 if i % 2 else 4)
        ftp.set_pasv(i % 4 < 2)
        sessions.append(ftp)

    def work(ftp):
        for _ in range(3):
            ftp.fetch("data")

    for error in suite.at_once([lambda f=f: work(f) for f in sessions], workers=SESSIONS):
        if error:
            raise error
    for ftp in sessions:
        ftp.quit()


def race(net, place, start, accept_at):
    """Two connections from two ports set out at the same moment; one gets through."""
    before = net.dropped(place)
    pair = [start(), start()]
    try:
        poll.until(lambda: any(connected(s, 0) for s in pair), "one of the two to get through")
        # The other's SYN has to be seen at the firewall's end, not merely be late.
        poll.until(lambda: net.dropped(place) > before, "the other to be dropped")
        tap.equal(sum(connected(s, 0) for s in pair), 1, "connections through one pinhole")
        accept_at.accept()[0].close()
        tap.true(not select.select([accept_at], [], [], 0)[0], "a second connection arrived")
    finally:
        for s in pair:
            s.close()


def races(t, net, place, admit, family):
    listener = Listener(net, family)
    daemon = Daemon(lab, net.spaces[place], admit=admit).start()
    t.explain = daemon.log
    name = f"on the {place}, {admit}, IPv{family}"
    with listener.dialogue() as d:
        with t.case(f"{name}: of two racing connections to a passive port one gets through"):
            for _ in range(RACES):
                waiting = d.passive_listener()
                d.pasv(port_of(waiting))
                race(net, place, lambda: d.connect_data(port_of(waiting)), waiting)
                d.usable()
                waiting.close()
        with t.case(f"{name}: of two racing connections to an active port one gets through"):
            for _ in range(RACES):
                waiting = d.active_listener()
                d.port(port_of(waiting))
                race(net, place, lambda: d.connect_back(port_of(waiting), 0), waiting)
                d.usable()
                waiting.close()
        with t.case(f"{name}: a later connection to the spent port fails too"):
            waiting = d.passive_listener()
            d.pasv(port_of(waiting))
            first = d.connect_data(port_of(waiting))
            tap.true(connected(first, 3), "the first connection failed")
            before = net.dropped(place)
            second = d.connect_data(port_of(waiting))
            poll.until(lambda: net.dropped(place) > before, "the second to be dropped")
            tap.true(not connected(second, 0), "the second connection got through")
            first.close()
            second.close()
            waiting.close()
    with t.case(f"{name}: nothing is left"):
        daemon.nothing_left()
    daemon.stop()
    listener.close()


with suite.laboratory() as (t, lab, net):
    for place in topology.PLACEMENTS:
        for admit in topology.ADMITS:
            net.firewall(place, topology.strict(place, admit))
            net.forget_flows()
            server = servers.vsftpd(lab, net.server)
            daemon = Daemon(lab, net.spaces[place], admit=admit).start()
            t.explain = daemon.log
            for family in (4, 6):
                for passive in (True, False):
                    way = "passive" if passive else "active"
                    with t.case(f"on the {place}, {admit}: {TRANSFERS} {way} transfers in one IPv{family} session"):
                        many_in_one(net, family, passive)
            with t.case(f"on the {place}, {admit}: {SESSIONS} sessions at once"):
                many_at_once(net)
            with t.case(f"on the {place}, {admit}: nothing is left"):
                daemon.nothing_left()
                opened = 4 * TRANSFERS + 3 * SESSIONS
                tap.equal(daemon.counter("opened"), opened, "opened")
                tap.equal(daemon.counter("bound"), opened, "used")
                poll.until(lambda: not daemon.sessions(), "all sessions to end")
            daemon.stop()
            server.stop()
            races(t, net, place, admit, 4)
            races(t, net, place, admit, 6)
        net.clear_firewall(place)
