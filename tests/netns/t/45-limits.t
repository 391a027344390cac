#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits: at each of them the request is refused and counted, and nothing else suffers."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import resource
import select
import signal
import socket
import time

from lab import poll, suite, tap, topology
from lab.daemon import Daemon
from lab.dialogue import Listener, connected, host_port, port_of, receive
from lab.topology import ADDRESS, ROUTER, SERVER

CROWD = 10000


def with_limits(lab, net, **limits):
    limits = {key.replace("_", "-"): value for key, value in limits.items()}
    return Daemon(lab, net.router, admit=admit, limits=limits)


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
    name = f"{admit}: {limit} = 5, 8 come: five are served, three only pass"
    with t.case(name), with_limits(lab, net, **{limit: 5}) as daemon:
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


def pinholes_limit(t, lab, net, limit, word):
    name = f"{admit}: {limit} = 3, five ask: two are refused until there is room again"
    with t.case(name), with_limits(lab, net, **{limit: 3}) as daemon:
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


class CrowdServer:
    """Server ends for many dialogues, in a process of their own: descriptors are limited."""

    def __init__(self, listener):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._serve(listener)
            finally:
                os._exit(1)

    @staticmethod
    def _serve(listener):
        answers = {b"PASV\r\n": PASSIVE_REPLY, b"NOOP\r\n": b"200 still here\r\n"}
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        listener.socket.setblocking(False)
        epoll, peers = select.epoll(), {}
        epoll.register(listener.socket, select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == listener.socket.fileno():
                    peer, _ = listener.socket.accept()
                    peers[peer.fileno()] = peer
                    epoll.register(peer, select.EPOLLIN)
                    peer.sendall(b"220 ready\r\n")
                    continue
                command = peers[fd].recv(100)
                if command:
                    peers[fd].sendall(answers[command])
                else:
                    peers.pop(fd).close()

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


PASSIVE_REPLY = f"227 Passive ({host_port(ADDRESS[SERVER, 4], 40000)})\r\n".encode()


def ask(client, command, answer):
    client.sendall(command)
    tap.equal(receive(client, len(answer)), answer)


def join(net):
    client = net.client.socket(socket.AF_INET)
    client.settimeout(10)
    client.connect((ADDRESS[SERVER, 4], 21))
    ask(client, b"", b"220 ready\r\n")
    return client


def crowd_beyond(t, lab, net):
    name = f"{admit}: {CROWD} sessions beyond the limit: all pass, none opens, the others work"
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < CROWD + 200:
        t.skip(name, "not that many files may be open here (ulimit -n)")
        return
    with t.case(name), with_limits(lab, net, sessions=50, sessions_per_client=50) as daemon:
        t.explain = daemon.log
        first = [listener.dialogue() for _ in range(50)]
        server = CrowdServer(listener)
        try:
            crowd = [join(net) for _ in range(CROWD)]
            tap.equal(len(daemon.sessions()), 50, "sessions")
            tap.true(refused(daemon) >= CROWD, f"of {CROWD} refusals {refused(daemon)} are counted")
            for client in crowd[:: CROWD // 100]:
                ask(client, b"PASV\r\n", PASSIVE_REPLY)
                ask(client, b"NOOP\r\n", b"200 still here\r\n")
            tap.equal(daemon.pinholes(), [], "opened for the crowd")
            tap.true(all(opens(d, daemon) for d in first), "a session within the limit was not served")
            for client in crowd:
                client.close()
        finally:
            server.stop()
        for d in first:
            d.close()
        daemon.nothing_left()
        poll.until(lambda: not daemon.sessions(), "all sessions to end", 20)
        with listener.dialogue() as late:
            tap.true(opens(late, daemon), "after the crowd a new session is not served")
        daemon.nothing_left()


def refused(daemon):
    return daemon.counter("limit-sessions") + daemon.counter("limit-sessions-client")


def expiry(t, lab, net):
    name = f"{admit}: a pinhole that nobody uses closes after its timeout"
    with t.case(name), Daemon(lab, net.router, admit=admit, timeout=1) as daemon:
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


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
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
