#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: many transfers in one, many at once, and the pinhole that is for one flow only."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import ftplib
import io
import select
import subprocess
import time

from lab import poll, servers, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Dialogue, Listener, connected, port_of
from lab.servers import DATA

TRANSFERS = 60
SESSIONS = 50
RACES = 25
BUSY_ELEMENTS = 100000


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


def races(t, net, listener, place, name):
    with listener.dialogue() as d:
        with t.case(f"{name}: of two racing connections to a passive port one gets through"):
            for _ in range(RACES):
                with d.passive_listener() as waiting:
                    d.pasv(port_of(waiting))
                    race(net, place, lambda: d.connect_data(port_of(waiting)), waiting)
                    d.usable()
        with t.case(f"{name}: of two racing connections to an active port one gets through"):
            for _ in range(RACES):
                with d.active_listener() as waiting:
                    d.port(port_of(waiting))
                    race(net, place, lambda: d.connect_back(port_of(waiting), 0), waiting)
                    d.usable()
        with t.case(f"{name}: a later connection to the spent port fails too"):
            with d.passive_listener() as waiting:
                d.pasv(port_of(waiting))
                with d.connect_data(port_of(waiting)) as first:
                    tap.true(connected(first, 3), "the first connection failed")
                    blocked(net, place, lambda: d.connect_data(port_of(waiting)))


def blocked(net, place, start):
    before = net.dropped(place)
    with start() as sock:
        poll.until(lambda: net.dropped(place) > before, "a SYN to be dropped")
        tap.true(not connected(sock, 0), "it got through")


def same_port_twice(t, daemon, listener, name):
    """Two sessions of one client announce the same flow; each has its own pinhole."""
    for passive in (True, False):
        way = "passive" if passive else "active"
        with t.case(f"{name}: two sessions announce the same {way} port; the end of one spares the other"):
            with listener.dialogue() as one, listener.dialogue() as two:
                with two.passive_listener() if passive else two.active_listener() as waiting:
                    announce = Dialogue.pasv if passive else Dialogue.port
                    connect = Dialogue.connect_data if passive else Dialogue.connect_back
                    for d in (one, two):
                        announce(d, port_of(waiting))
                    one.close()
                    poll.until(lambda: len(daemon.sessions()) == 1, "the first session to end")
                    with connect(two, port_of(waiting)) as flow:
                        tap.true(connected(flow, 3), "the other session's pinhole is gone")
            daemon.nothing_left()


def same_flow_again(t, daemon, listener, name):
    """The very same addresses and ports again, while conntrack remembers the flow before."""
    with t.case(f"{name}: the same two ports again right after the transfer before"):
        with listener.dialogue() as d, d.active_listener() as waiting:
            for _ in range(3):
                d.port(port_of(waiting))
                with d.connect_back(port_of(waiting), 20) as flow:
                    tap.true(connected(flow, 3), "the data connection failed")
                    waiting.accept()[0].close()
                    poll.until(lambda: flow.recv(1) == b"", "the end of the data connection")
        daemon.nothing_left()


def lost_first_packet(t, net, listener, name):
    """A SYN that the firewall has passed gets lost behind it; its retransmission is the same flow."""
    with t.case(f"{name}: the first SYN gets lost behind the firewall; the next one passes"):
        with listener.dialogue() as d, d.passive_listener() as waiting:
            net.server.sh("nft", "-f", "-", stdin=f"""table inet lossy {{
                counter lost {{ }}
                chain prerouting {{
                    type filter hook prerouting priority raw
                    tcp dport {port_of(waiting)} tcp flags syn counter name lost drop
                }}
            }}""")  # fmt: skip
            d.pasv(port_of(waiting))
            with d.connect_data(port_of(waiting)) as flow:
                poll.until(lambda: lost(net), "the SYN to get lost")
                net.server.sh("nft", "delete", "table", "inet", "lossy")
                tap.true(connected(flow, 5), "the data connection failed")


def busy_tables(t, lab, net, listener, place, name):
    """While somebody else's long transaction keeps nf_tables busy, an answer has to wait for its
    pinhole: not one SYN that follows it may come too early."""
    elements = ", ".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(BUSY_ELEMENTS))
    path = lab.file(
        "busy.nft",
        "add table inet busy\nadd set inet busy s { type ipv4_addr; }\n"
        f"add element inet busy s {{ {elements} }}\ndelete table inet busy\n",
    )
    with t.case(f"{name}: no answer overtakes its pinhole, however busy nf_tables is"):
        before, slowest = net.dropped(place), 0.0
        nft = net.spaces[place].popen(["nft", "-f", path], stderr=subprocess.DEVNULL)
        with listener.dialogue() as d:
            while nft.poll() is None:
                with d.passive_listener() as waiting:
                    start = time.monotonic()
                    d.pasv(port_of(waiting))
                    slowest = max(slowest, time.monotonic() - start)
                    with d.connect_data(port_of(waiting)) as flow:
                        tap.true(connected(flow, 5), "the data connection failed")
        tap.equal(nft.returncode, 0, "nft")
        tap.equal(net.dropped(place) - before, 0, "SYNs that came too early")
        tap.true(slowest > 0.02, f"no answer had to wait ({slowest:.3f} s): this proves nothing")


def lost(net):
    listing = net.server.sh("nft", "list", "counter", "inet", "lossy", "lost")
    return "packets 0 " not in listing


def dialogues(t, net, place, admit, family):
    listener = Listener(net, family)
    name = f"on the {place}, {admit}, IPv{family}"
    with Daemon(lab, net.spaces[place], admit=admit) as daemon:
        t.explain = daemon.log
        races(t, net, listener, place, name)
        same_port_twice(t, daemon, listener, name)
        same_flow_again(t, daemon, listener, name)
        if place != topology.SERVER:  # there, behind the firewall is nothing more to get lost in
            lost_first_packet(t, net, listener, name)
        if family == 4:
            busy_tables(t, lab, net, listener, place, name)
        with t.case(f"{name}: nothing is left"):
            daemon.nothing_left()
    listener.close()


def transfers(t, net, place, admit):
    server = servers.vsftpd(lab, net.server)
    name = f"on the {place}, {admit}"
    with Daemon(lab, net.spaces[place], admit=admit) as daemon:
        t.explain = daemon.log
        for family in (4, 6):
            for passive in (True, False):
                way = "passive" if passive else "active"
                with t.case(f"{name}: {TRANSFERS} {way} transfers in one IPv{family} session"):
                    many_in_one(net, family, passive)
        with t.case(f"{name}: {SESSIONS} sessions at once"):
            many_at_once(net)
        with t.case(f"{name}: nothing is left"):
            daemon.nothing_left()
            opened = 4 * TRANSFERS + 3 * SESSIONS
            tap.equal(daemon.counter("opened"), opened, "opened")
            tap.equal(daemon.counter("bound"), opened, "used")
            poll.until(lambda: not daemon.sessions(), "all sessions to end")
    server.stop()


with suite.laboratory() as (t, lab, net):
    for place in topology.PLACEMENTS:
        for admit in topology.ADMITS:
            net.firewall(place, topology.strict(place, admit))
            net.forget_flows()
            transfers(t, net, place, admit)
            for family in (4, 6):
                dialogues(t, net, place, admit, family)
        net.clear_firewall(place)
