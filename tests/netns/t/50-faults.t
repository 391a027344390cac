#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults: the daemon killed, stopped, restarted and started twice, other people's rules flushed,
conntrack events lost. What was open closes, what is established goes on, control connections live."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import ftplib
import random
import signal
import threading

from lab import poll, servers, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Listener, connected, port_of
from lab.topology import PLACEMENTS, ROUTER, SERVER

KILLS = 12


def gone(daemon):
    poll.until(lambda: daemon.table() is None, "table inet pinholed to be gone")


def data_passes(d):
    with d.passive_listener() as waiting:
        d.pasv(port_of(waiting))
        with d.connect_data(port_of(waiting)) as flow:
            tap.true(connected(flow, 3), "the data connection failed")


def data_blocked(net, place, d, port):
    before = net.dropped(place)
    with d.connect_data(port) as flow:
        poll.until(lambda: net.dropped(place) > before, "the SYN to be dropped")
        tap.true(not connected(flow, 0), "it got through")


def killed_idle(t, net, place, daemon, listener, name):
    with t.case(f"{name}: killed; the session lives on, a restart resumes it"):
        with listener.dialogue() as d:
            data_passes(d)
            daemon.kill()
            gone(daemon)
            d.usable()
            daemon.start()
            tap.equal(len(daemon.sessions()), 1, "sessions resumed")
            data_passes(d)
    with t.case(f"{name}: killed with a pinhole open; it is closed, the next one works"):
        with listener.dialogue() as d, d.passive_listener() as waiting:
            d.pasv(port_of(waiting))
            daemon.kill()
            gone(daemon)
            data_blocked(net, place, d, port_of(waiting))
            daemon.start()
            d.usable()
            data_passes(d)
    with t.case(f"{name}: killed between question and answer; nothing opens, the next one works"):
        with listener.dialogue() as d, d.passive_listener() as waiting:
            d.client_sends("EPSV\r\n")
            daemon.kill()
            gone(daemon)
            d.server_sends(f"229 Passive (|||{port_of(waiting)}|)\r\n")
            data_blocked(net, place, d, port_of(waiting))
            daemon.start()
            data_passes(d)


def killed_at_any_moment(t, daemon, listener, name):
    """One session talks without a pause while the daemon is killed again and again."""
    with t.case(f"{name}: killed {KILLS} times at any moment; the dialogue never breaks"):
        with listener.dialogue() as d:
            stop, errors, rounds = threading.Event(), [], [0]

            def talk():
                try:
                    while not stop.is_set():
                        d.pasv(40000 + rounds[0] % 10000)
                        d.usable()
                        rounds[0] += 1
                except Exception as e:
                    errors.append(e)

            talker = threading.Thread(target=talk)
            talker.start()
            try:
                for _ in range(KILLS):
                    # A number of rounds, not of milliseconds, so that each kill meets a dialogue.
                    target = rounds[0] + random.randint(1, 20)
                    poll.until(lambda: rounds[0] >= target or errors, "the dialogue to go on", 10, 0)
                    daemon.kill()
                    daemon.start()
            finally:
                stop.set()
                talker.join()
            if errors:
                raise errors[0]
            data_passes(d)
            tap.equal(len(daemon.sessions()), 1, "sessions")
        daemon.nothing_left()


def restart_in_transfer(t, net, daemon, name):
    def session():
        ftp = ftplib.FTP(timeout=15)
        with net.client.entered():
            ftp.connect(suite.SERVER_ADDRESS[4])
            ftp.login()
        return ftp

    def begin(ftp, command):
        ftp.voidcmd("TYPE I")
        with net.client.entered():
            return ftp.transfercmd(command)

    def read_all(sock):
        size = 0
        while part := sock.recv(1 << 16):
            size += len(part)
        return size

    for word, end in (("restarted", daemon.stop), ("killed and started", daemon.kill)):
        for passive in (True, False):
            way = "passive" if passive else "active"
            with t.case(f"{name}: {word} in the midst of a {way} download; all bytes arrive"):
                ftp = session()
                ftp.set_pasv(passive)
                data = begin(ftp, "RETR big")
                got = len(data.recv(1000))
                end()
                daemon.start()
                got += read_all(data)
                data.close()
                ftp.voidresp()
                tap.equal(got, servers.BIG_SIZE, "bytes")
                data = begin(ftp, "RETR data")
                tap.equal(read_all(data), len(servers.DATA), "bytes of the next transfer")
                data.close()
                ftp.voidresp()
                ftp.quit()
        daemon.nothing_left()


def restart_keeps_open(t, net, daemon, listener, name):
    with t.case(f"{name}: an orderly restart keeps an open pinhole open"):
        with listener.dialogue() as d, d.passive_listener() as waiting:
            d.pasv(port_of(waiting))
            daemon.restart()
            tap.equal([p["dport"] for p in daemon.pinholes("open")], [port_of(waiting)])
            with d.connect_data(port_of(waiting)) as flow:
                tap.true(connected(flow, 3), "the data connection failed")
    with t.case(f"{name}: what ended while the daemon was away stays closed"):
        with listener.dialogue() as d:
            d.pasv(40000)
            daemon.stop()
        net.forget_flows()
        daemon.start()
        tap.equal(daemon.pinholes(), [], "pinholes")
        tap.equal(daemon.elements(), [], "elements")
        tap.equal(daemon.sessions(), [], "sessions")


def stopped(t, lab, net, admit):
    with t.case(f"{admit}: a daemon that hangs closes its pinholes: the kernel's timeouts do it"):
        with Daemon(lab, net.router, "pinholed-hang", admit=admit, timeout=1) as daemon:
            with listener.dialogue() as d, d.passive_listener() as waiting:
                d.pasv(port_of(waiting))
                tap.equal(len(daemon.elements()), 1, "elements")
                daemon.process.signal(signal.SIGSTOP)
                poll.until(lambda: not daemon.elements(), "the kernel to remove the element", 12)
                data_blocked(net, ROUTER, d, port_of(waiting))
                daemon.process.signal(signal.SIGCONT)
                d.usable()
                daemon.nothing_left()
                data_passes(d)
            daemon.stop()


def flushed(t, lab, net, admit):
    with t.case(f"{admit}: nft flush ruleset leaves table inet pinholed alone"):
        with Daemon(lab, net.router, "pinholed-flush", admit=admit) as daemon:
            with listener.dialogue() as d, d.passive_listener() as waiting:
                d.pasv(port_of(waiting))
                net.router.sh("nft", "flush", "ruleset")
                ruleset = net.router.sh("nft", "list", "ruleset")
                tap.true("strict" not in ruleset, "nothing was flushed")
                tap.equal(len(daemon.elements()), 1, "elements")
                net.firewall(ROUTER, topology.strict(ROUTER, admit))
                with d.connect_data(port_of(waiting)) as flow:
                    tap.true(connected(flow, 3), "the data connection failed")
                data_passes(d)
                data_blocked(net, ROUTER, d, 40000)
            daemon.nothing_left()
            for command in ("delete table", "flush table"):
                done = net.router.run(["nft", *command.split(), "inet", "pinholed"])
                tap.true(done.returncode != 0, f"nft {command} inet pinholed worked")


def second_instance(t, lab, net):
    with t.case("a second instance in one namespace is refused and says why"):
        with Daemon(lab, net.router, "pinholed-first") as daemon:
            with listener.dialogue() as d, d.passive_listener() as waiting:
                d.pasv(port_of(waiting))
                second = Daemon(lab, net.router, "pinholed-second").spawn()
                tap.equal(second.wait(), 1, "exit status")
                tap.contains(second.log(), "another pinholed")
                tap.contains(second.log(), "network namespace")
                tap.equal([p["dport"] for p in daemon.pinholes()], [port_of(waiting)])
                with d.connect_data(port_of(waiting)) as flow:
                    tap.true(connected(flow, 3), "the first one does not work any more")


def independent(t, lab, net, admit):
    with t.case(f"{admit}: one on each host, each behind its own firewall, each with its own pinholes"):
        for place in PLACEMENTS:
            net.firewall(place, topology.strict(place, admit))
        net.forget_flows()
        with (
            Daemon(lab, net.server, admit=admit) as on_server,
            Daemon(lab, net.router, admit=admit) as on_router,
            Daemon(lab, net.client, admit=admit) as on_client,
            listener.dialogue() as d,
            d.passive_listener() as waiting,
            d.active_listener() as back,
        ):
            everywhere = (on_server, on_router, on_client)
            d.pasv(port_of(waiting))
            for daemon in everywhere:
                tap.equal([p["dport"] for p in daemon.pinholes()], [port_of(waiting)], daemon.name)
            with d.connect_data(port_of(waiting)) as flow:
                tap.true(connected(flow, 3), "the passive data connection failed")
            d.port(port_of(back))
            with d.connect_back(port_of(back)) as flow:
                tap.true(connected(flow, 3), "the active data connection failed")
            on_server.stop()
            d.pasv(40000)
            for daemon in (on_router, on_client):
                tap.equal([p["dport"] for p in daemon.pinholes("open")], [40000], daemon.name)
            data_blocked(net, SERVER, d, 40000)
            d.close()
            for daemon in (on_router, on_client):
                poll.until(lambda: not daemon.pinholes("open"), "open pinholes to close")
                tap.equal(daemon.elements(), [], daemon.name)
    for place in PLACEMENTS:
        net.clear_firewall(place)


def events_lost(t, lab, net, admit):
    with t.case(f"{admit}: conntrack events overflow; what they would have told is found out"):
        net.router.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)  # what is flushed stays away
        tiny = "event-buffer = 2048\n"
        with Daemon(lab, net.router, "pinholed-events", admit=admit, extra=tiny) as daemon:
            t.explain = daemon.log
            crowd = [listener.dialogue() for _ in range(300)]
            for i, d in enumerate(crowd):
                d.pasv(40000 + i)
            tap.equal(len(daemon.pinholes()), 300, "pinholes")
            before = daemon.counter("resyncs")
            # All of them end while the daemon is not looking.
            daemon.process.signal(signal.SIGSTOP)
            net.forget_flows()
            daemon.process.signal(signal.SIGCONT)
            poll.until(lambda: not daemon.sessions(), "the sessions to be found dead", 10)
            daemon.nothing_left()
            tap.true(daemon.counter("resyncs") > before, "nothing overflowed: this proves nothing")
            for d in crowd:
                d.close()
            with listener.dialogue() as d:
                data_passes(d)
        net.router.sysctl("net.netfilter.nf_conntrack_tcp_loose", 1)


with suite.laboratory() as (t, lab, net):
    for place in PLACEMENTS:
        for admit in topology.ADMITS:
            name = f"on the {place}, {admit}"
            net.firewall(place, topology.strict(place, admit))
            net.forget_flows()
            with Daemon(lab, net.spaces[place], admit=admit) as daemon:
                t.explain = daemon.log
                listener = Listener(net)
                killed_idle(t, net, place, daemon, listener, name)
                killed_at_any_moment(t, daemon, listener, name)
                restart_keeps_open(t, net, daemon, listener, name)
                listener.close()
                server = servers.vsftpd(lab, net.server)
                restart_in_transfer(t, net, daemon, name)
                server.stop()
        net.clear_firewall(place)
    listener = Listener(net)
    for admit in topology.ADMITS:
        net.firewall(ROUTER, topology.strict(ROUTER, admit))
        net.forget_flows()
        stopped(t, lab, net, admit)
        flushed(t, lab, net, admit)
        events_lost(t, lab, net, admit)
    net.firewall(ROUTER, topology.strict(ROUTER, "related"))
    second_instance(t, lab, net)
    for admit in topology.ADMITS:
        independent(t, lab, net, admit)
    listener.close()
