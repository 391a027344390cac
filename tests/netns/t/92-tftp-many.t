#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""TFTP on a router: 200 nodes that boot at once, strangers who send what is no request or far too
many of them, clients that repeat themselves, a daemon that is killed or only looks at copies."""

import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import poll, suite, tap, tftp, topology
from lab.topology import ADDRESS, CLIENT, ROUTER, SERVER

NODES = 200
SECONDS = 60  # a burst of 200 on a busy machine


def node(i, family):
    return f"10.77.1.{i + 11}" if family == 4 else f"fd77:1::1:{i:x}"


def add_nodes(net):
    lines = "".join(
        f"address add {node(i, 4)}/24 dev eth0\naddress add {node(i, 6)}/64 dev eth0 nodad preferred_lft 0\n"
        for i in range(NODES)
    )
    net.client.sh("ip", "-batch", "-", stdin=lines)


def boots(net, i, twice):
    """A node, over IPv4 or IPv6: its loader, then its kernel, from one port. Into `twice` goes who was
    answered from a port of before: to conntrack that is the flow of before, which needs no pinhole. So
    what was opened for it is there for the next request, or left over."""
    family = 6 if i % 2 else 4
    with tftp.Rom(net.client, family, node(i, family), ADDRESS[SERVER, family]) as rom:
        for name, content in (("data", tftp.DATA), ("kernel", tftp.KERNEL)):
            rom.size(name, SECONDS)
            tap.true(rom.read(name, SECONDS) == content, f"{name} is not the file")
        twice += [node(i, family)] * (len(rom.answered_from) - len(set(rom.answered_from)))


def refused(daemon):
    return {w: n for w in WORDS if (n := daemon.counter(w))}


WORDS = ("malformed", "port-zero", "port-reserved", "stranger", "limit-sessions", "limit-sessions-client",
         "limit-pinholes", "limit-pinholes-client", "limit-burst", "commit-failed", "bad-packet")  # fmt: skip


def storm(t, net, daemon, admit):
    with t.case(f"{admit}: {NODES} nodes boot at once, from one port each"):
        began = time.monotonic()
        twice = []
        errors = suite.at_once([lambda i=i: boots(net, i, twice) for i in range(NODES)], workers=NODES)
        took = time.monotonic() - began
        failed = [e for e in errors if e]
        tap.equal(len(failed), 0, f"nodes that did not boot, the first one: {failed[:1]}")
        opened = daemon.counter("opened")
        tap.true(4 * NODES - len(twice) <= opened <= 4 * NODES, f"{opened} pinholes, {len(twice)} answered twice")
        tap.equal(refused(daemon), {})
        daemon.close_unused(twice)
        daemon.nothing_open()
        t.say(f"{2 * NODES} files in {took:.1f} s")
    with t.case(f"{admit}: {NODES} times curl at once"):
        before = daemon.counter("opened")
        curl = tftp.Curl(None, net.client, suite.SERVER_ADDRESS)
        running = []
        for i in range(NODES):
            family = 6 if i % 2 else 4
            command, env = curl.command(family, "data", "--interface", node(i, family), seconds=SECONDS)
            running.append(net.client.popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        wrong = 0
        for process in running:
            out, err = process.communicate(timeout=SECONDS)
            wrong += out != tftp.DATA
        tap.equal(wrong, 0, f"files that did not arrive: {err}")
        tap.true(daemon.counter("opened") - before >= NODES, "pinholes")
        tap.equal(refused(daemon), {})
        daemon.nothing_open()


HOSTILE = (
    (b"\0\1", "malformed"),
    (b"\0\1name", "malformed"),
    (b"\0\1name\0", "malformed"),
    (b"\0\1name\0octet", "malformed"),
    (b"\0\1\0octet\0", "malformed"),
    (b"\0\2name\0binary\0", "malformed"),
    (b"\0\1" + b"x" * 1400, "malformed"),
    (b"\0\2" + b"\xff" * 60, "malformed"),
    (b"\0\3\0\1data", None),
    (b"\0\4\0\1", None),
    (b"\0\5\0\1error\0", None),
    (b"\0\6blksize\0001432\0", None),
    (b"\0\0name\0octet\0", None),
    (b"\1\1name\0octet\0", None),
    (b"\xff\xff\xff\xff", None),
    (b"\0", None),
)


def hostile(t, net, daemon):
    seen = [0]

    def delivered(sink):
        sink.settimeout(5)
        sink.recv(65536)

    with net.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((ADDRESS[SERVER, 4], tftp.PORT))
        for payload, word in HOSTILE:
            with t.case(f"hostile: {payload[:24]!r} is {word or 'left alone'}, and goes its way"):
                before, opened = daemon.counter("malformed"), daemon.counter("opened")
                with tftp.Rom(net.client, 4, ADDRESS[CLIENT, 4], ADDRESS[SERVER, 4], 2200 + seen[0]) as rom:
                    rom.send(payload)
                    delivered(sink)
                seen[0] += 1
                tap.equal(daemon.counter("malformed") - before, int(word is not None))
                tap.equal(daemon.counter("opened"), opened)
        for port, word in ((1023, "port-reserved"), (69, "port-reserved")):
            with t.case(f"hostile: a request from port {port} is {word}"):
                with tftp.Rom(net.client, 4, ADDRESS[CLIENT, 4], ADDRESS[SERVER, 4], port) as rom:
                    rom.ask("name")
                    delivered(sink)
                tap.true(daemon.counter(word) > 0, word)
                tap.equal(daemon.in_kernel(), set())


def flood(t, net, daemon):
    """Ten thousand requests, and somebody else who wants one file."""
    curl = tftp.Curl(None, net.client, suite.SERVER_ADDRESS)
    with t.case("10 000 requests from one port are one pinhole, or one after the other"):
        before = daemon.counter("opened")
        with tftp.Rom(net.client, 4, node(0, 4), "10.77.2.77", 2300) as rom:
            for _ in range(10000):
                rom.ask("name")
        done = curl.get(4, "data", 10, "--interface", node(1, 4))
        tap.true(done.stdout == tftp.DATA, f"somebody else got no file: {done.stderr}")
        tap.equal(daemon.counter("opened") - before, 2)
        tap.equal(len(daemon.pinholes("open")), 1)
    with t.case("10 000 requests from 10 000 ports end at the limit, for that client alone"):
        with net.client.entered():
            for port in range(20000, 30000):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind((node(2, 4), port))
                    sock.sendto(b"\0\1name\0octet\0", ("10.77.2.77", tftp.PORT))
        done = curl.get(4, "data", 10, "--interface", node(3, 4))
        tap.true(done.stdout == tftp.DATA, f"somebody else got no file: {done.stderr}")
        poll.until(lambda: daemon.counter("limit-sessions-client") > 0, "the limit to be reached")
        tap.true(len(daemon.pinholes("open")) <= 1025, "pinholes of one client")


def repeated(t, net, daemon):
    with t.case("a repeated request keeps its pinhole"):
        with tftp.Rom(net.client, 4, node(4, 4), "10.77.2.77", 2301) as rom:
            rom.ask("name")
            first = poll.until(lambda: daemon.pinholes("open"), "the pinhole")
            packets = daemon.counter("packets")
            for i in range(20):
                rom.ask("name")
                poll.until(lambda: daemon.counter("packets") > packets + i, "the request to be seen")
                found = daemon.pinholes("open")
                tap.equal([p["id"] for p in found], [first[0]["id"]])
                tap.equal(len(daemon.in_kernel()), 1)


def same_port(t, net, daemon):
    """A server whose ports are few, or whose choice falls on the one of before."""
    with (
        t.case("answered twice from one port: let in as the flow of before; what was opened for it waits"),
        net.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as control,
        net.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as data,
        tftp.Rom(net.client, 4, node(7, 4), ADDRESS[SERVER, 4], 2302) as rom,
    ):
        control.bind((ADDRESS[SERVER, 4], tftp.PORT))
        control.settimeout(5)
        data.bind((ADDRESS[SERVER, 4], 0))
        for _ in range(2):
            rom.ask("name")
            _, peer = control.recvfrom(2048)
            data.sendto(struct.pack("!HH", tftp.BLOCK, 1), peer)
            tap.equal(rom.packet(5)[3], data.getsockname())
        mine = [p for p in daemon.pinholes() if p["dst"] == node(7, 4)]
        tap.equal(sorted((p["state"], p["sport"]) for p in mine), [("bound", data.getsockname()[1]), ("open", None)])
        daemon.close_unused([node(7, 4)])


def killed(t, net, daemon):
    with t.case("the daemon is killed: transfers go on, requests pass, and nothing opens"):
        block = 512
        with tftp.Rom(net.client, 4, node(5, 4), ADDRESS[SERVER, 4]) as rom:
            rom.ask("data")
            content, peer = b"", None
            for i in range(1, len(tftp.DATA) // block + 2):
                opcode, number, rest, peer = rom.packet(5)
                tap.equal((opcode, number), (tftp.BLOCK, i))
                content += rest
                if i == 3:
                    daemon.kill()
                    tap.true(daemon.table() is None, "the table is still there")
                rom.sock.sendto(struct.pack("!HH", tftp.ACK, number), peer)
            tap.true(content == tftp.DATA, f"{len(content)} bytes")
        before = net.dropped(ROUTER)
        with tftp.Rom(net.client, 4, node(6, 4), ADDRESS[SERVER, 4]) as rom:
            rom.ask("data")
            poll.until(lambda: net.dropped(ROUTER) > before, "the answer to be dropped")


tftp.require()
with suite.laboratory() as (t, lab, net):
    add_nodes(net)
    # Who is asked there never answers.
    net.server.sh("ip", "address", "add", "10.77.2.77/24", "dev", "eth0")
    net.server.sh("nft", "-f", "-", stdin="table ip quiet { chain input { "
                  "type filter hook input priority 0; ip daddr 10.77.2.77 drop\n }\n }\n")  # fmt: skip
    for admit in topology.ADMITS:
        net.firewall(ROUTER, tftp.strict(ROUTER, admit))
        net.forget_flows()
        with tftp.BootDaemon(lab, net.router, admit, f"pinholed-{admit}") as daemon:
            t.explain = daemon.log
            server = tftp.Tftpd(lab, net.server)
            storm(t, net, daemon, admit)
            server.stop()
            same_port(t, net, daemon)
            if admit == "mark":
                continue
            server = tftp.Tftpd(lab, net.server)
            killed(t, net, daemon)
            daemon.start()
            server.stop()
            net.forget_flows()
            hostile(t, net, daemon)
            server = tftp.Tftpd(lab, net.server)
            flood(t, net, daemon)
            net.forget_flows()
            poll.until(lambda: not daemon.sessions(), "the flood's sessions to end", 20)
            repeated(t, net, daemon)
            server.stop()
            with t.case("it ends well"):
                tap.equal(daemon.stop(), 0, daemon.log())
    net.firewall(ROUTER, tftp.strict(ROUTER, "mark"))
    net.forget_flows()
    server = tftp.Tftpd(lab, net.server)
    with tftp.BootDaemon(lab, net.router, "mark", "pinholed-passive", more="capture = passive\n") as daemon:
        t.explain = daemon.log
        with t.case("capture = passive: the request outruns us, the server's next try gets through"):
            curl = tftp.Curl(lab, net.client, suite.SERVER_ADDRESS)
            done = curl.get(4, "data", 20)
            tap.true(done.stdout == tftp.DATA, f"no file: {done.stderr}")
            tap.true(daemon.counter("opened") >= 1, "no pinhole")
