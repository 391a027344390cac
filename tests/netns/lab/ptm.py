#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Speaks BFD as Cumulus ptmd is known to: source ports from 49142 upwards, TTL 255 and CS6 over any
number of hops, detect mult 3, 300 ms, one packet in two seconds until a session is Up, willing to
receive echoes each 50 ms; falling back to Down it forgets the peer's discriminator.

    ptm.py '{"first_port": 49142, "sessions": [{"local": "10.77.1.2", "peer": "10.77.1.1", ...}]}'

A session's keys and their defaults are those of Session below. One word a line on stdin commands all
sessions: disable (AdminDown), enable, move (the next free source port), or the word and a peer's
address for one of them. Each change of state is one JSON line on stdout.
"""

import errno
import json
import os
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab.bfdpkt import ADMIN_DOWN, CS6, DOWN, FINAL, INIT, MULTIHOP, POLL, SINGLE_HOP, STATES, UP, Packet

SLOW = 2000000  # microseconds
ECHO_RX = 50000
NO_DIAG, EXPIRED, NEIGHBOR_DOWN, ADMIN = 0, 1, 3, 7
IP_RECVTTL, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, IPV6_UNICAST_HOPS = 12, 51, 52, 16


def tell(**words):
    print(json.dumps(dict(words, time=round(time.time(), 4))), flush=True)


class Ports:
    def __init__(self, first):
        self.next = first

    def bind(self, sock, local, scope):
        while True:
            where = (local, self.next) if sock.family == socket.AF_INET else (local, self.next, 0, scope)
            self.next += 1
            try:
                return sock.bind(where)
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    raise


class Session:
    def __init__(self, ports, number, local, peer, device=None, multihop=False, interval=300, mult=3,
                 min_ttl=250):  # fmt: skip
        self.ports, self.local, self.peer, self.device = ports, local, peer, device
        self.multihop, self.mult = multihop, mult
        self.min_ttl = min_ttl if multihop else 255
        self.interval = interval * 1000
        self.family = socket.AF_INET6 if ":" in peer else socket.AF_INET
        link_local = peer.lower().startswith("fe80:")
        self.scope = socket.if_nametoindex(device) if link_local else 0
        self.my, self.your = number, 0
        self.state, self.diag = DOWN, NO_DIAG
        self.polling = False
        self.tx = SLOW
        self.detection = self.deadline = None
        self.peer_rx = 0
        self.socket = None
        self.move()
        self.due = time.monotonic()

    def move(self):
        if self.socket:
            self.socket.close()
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        if self.device and not self.multihop:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device.encode())
        if self.family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, CS6)
        else:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, CS6)
        self.ports.bind(self.socket, self.local, self.scope)

    def send(self, final=False):
        packet = Packet(
            diag=self.diag, state=self.state, mult=self.mult, my=self.my, your=self.your,
            flags=(POLL if self.polling and not final else 0) | (FINAL if final else 0),
            tx=self.interval if self.polling else self.tx, rx=self.interval, echo=ECHO_RX,
        )  # fmt: skip
        to = (self.peer, MULTIHOP if self.multihop else SINGLE_HOP)
        if self.family == socket.AF_INET6:
            to += (0, self.scope)
        try:
            self.socket.sendto(packet.pack(), to)
        except OSError as e:  # a firewall's EPERM, an unreachable peer: the next one may get there
            if e.errno not in (errno.EPERM, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED):
                raise

    def schedule(self, now):
        interval = max(self.tx, self.peer_rx) / 1e6
        self.due = now + interval * random.uniform(0.75, 1.0 if self.mult > 1 else 0.9)

    def become(self, state, diag=NO_DIAG):
        if state == self.state:
            return
        tell(peer=self.peer, multihop=self.multihop, was=STATES[self.state], now=STATES[state], diag=diag)
        self.state, self.diag = state, diag
        self.polling = state == UP
        if state != UP:
            self.tx = SLOW
        if state == DOWN:
            self.your = 0
        if state != INIT:
            self.send()

    def receive(self, packet, ttl, now):
        if not packet.acceptable() or ttl < self.min_ttl or packet.your not in (0, self.my):
            return
        if self.state == ADMIN_DOWN:
            return
        self.your, self.peer_rx = packet.my, packet.rx
        if self.polling and packet.flags & FINAL:
            self.polling, self.tx = False, self.interval
            self.schedule(now)
        self.detection = packet.mult * max(self.interval, packet.tx) / 1e6
        self.deadline = now + self.detection
        if packet.state == ADMIN_DOWN or (self.state == UP and packet.state == DOWN):
            if self.state != DOWN:
                self.become(DOWN, NEIGHBOR_DOWN)
        elif self.state == DOWN and packet.state != UP:
            self.become(UP if packet.state == INIT else INIT)
        elif self.state == INIT and packet.state in (INIT, UP):
            self.become(UP)
        if packet.flags & POLL:
            self.send(final=True)

    def tick(self, now):
        if self.deadline and now >= self.deadline:
            self.deadline = None
            if self.state in (INIT, UP):
                self.become(DOWN, EXPIRED)
            self.your = 0
        if now >= self.due:
            self.send()
            self.schedule(now)

    def command(self, word):
        if word == "disable":
            self.become(ADMIN_DOWN, ADMIN)
        elif word == "enable":
            self.become(DOWN)
        elif word == "move":
            self.move()


def listener(family, port):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    sock.setblocking(False)
    sock.bind(("", port))
    return sock


class Speaker:
    def __init__(self, first_port, sessions):
        ports = Ports(first_port)
        self.sessions = [Session(ports, i + 1, **words) for i, words in enumerate(sessions)]
        self.listeners = {
            listener(family, port): port == MULTIHOP
            for family in (socket.AF_INET, socket.AF_INET6)
            for port in (SINGLE_HOP, MULTIHOP)
        }

    def drain(self, sock, multihop):
        while True:
            try:
                data, control, _, source = sock.recvmsg(256, 64)
            except BlockingIOError:
                return
            packet = Packet.parse(data)
            ttl = next((struct.unpack("i", d[:4])[0] for _, _, d in control), 0)
            peer = source[0].split("%")[0]
            for session in self.sessions:
                if packet and (session.peer, session.multihop) == (peer, multihop):
                    session.receive(packet, ttl, time.monotonic())

    def obey(self, line):
        word, _, peer = line.strip().partition(" ")
        for session in self.sessions:
            if peer in ("", session.peer):
                session.command(word)

    def run(self):
        tell(ready=True)
        commands = [sys.stdin.fileno()]
        while True:
            now = time.monotonic()
            for session in self.sessions:
                session.tick(now)
            times = [t for s in self.sessions for t in (s.due, s.deadline) if t is not None]
            wait = max(0.0, min(times) - time.monotonic())
            ready, _, _ = select.select([*self.listeners, *commands], [], [], wait)
            for sock in ready:
                if sock in self.listeners:
                    self.drain(sock, self.listeners[sock])
                    continue
                words = os.read(sock, 4096).decode()
                if not words:
                    commands = []  # nobody commands any more
                for line in words.splitlines():
                    self.obey(line)


Speaker(**json.loads(sys.argv[1])).run()
