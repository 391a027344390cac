#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""TFTP through a strict firewall: every placement, both ways of admission, both families, every
client, reading and writing. A transfer has one flow, and the pinhole is for that alone."""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import poll, suite, tap, tftp, topology
from lab.dialogue import FAMILY
from lab.topology import ADDRESS, CLIENT, SERVER

FAMILIES = (4, 6)


def check(done, content):
    tap.true(done.stdout == content, f"{len(done.stdout)} bytes arrived: {done.returncode} {done.stderr}")


def transfers(lab, net, server):
    """(name, action(family)) of everything that has to work."""
    curl = tftp.Curl(lab, net.client, suite.SERVER_ADDRESS)
    hpa = tftp.TftpHpa(lab, net.client, suite.SERVER_ADDRESS)
    counter = iter(range(1, 1 << 30))

    def put(client):
        def action(family):
            name = f"up-{next(counter)}"
            done = client.put(family, name, tftp.DATA)
            tap.equal(done.returncode, 0, str(done.stderr))
            poll.until(lambda: server.uploaded(name) == tftp.DATA, "the upload to be there")

        return action

    def rom(family):
        with tftp.Rom(net.client, family, ADDRESS[CLIENT, family], ADDRESS[SERVER, family]) as r:
            for name, content in (("data", tftp.DATA), ("kernel", tftp.KERNEL)):
                r.size(name)
                tap.true(r.read(name) == content, f"{name} is not the file")

    return (
        ("curl reads", lambda f: check(curl.get(f), tftp.DATA)),
        ("curl reads without options", lambda f: check(curl.get(f, "kernel", 10, "--tftp-no-options"), tftp.KERNEL)),
        ("curl writes", put(curl)),
        ("tftp-hpa reads", lambda f: check(hpa.get(f), tftp.DATA)),
        ("tftp-hpa reads netascii", lambda f: check(hpa.get(f, "text", mode="netascii"), tftp.TEXT)),
        ("tftp-hpa writes", put(hpa)),
        ("a boot ROM reads two files", rom),
    )


def single_port(t, name, net, daemon):
    """Answers from port 69 are the reply, and go by without us."""
    for family in FAMILIES:
        with t.case(f"{name}: a server that answers from port 69, IPv{family}"):
            before = daemon.counter("packets")
            with tftp.SinglePort(net.server, family) as single:
                with tftp.Rom(net.client, family, ADDRESS[CLIENT, family], ADDRESS[SERVER, family], 2071) as r:
                    r.ask("data")
                    content = b""
                    while single.answer(3):
                        opcode, number, rest, peer = r.packet(3)
                        tap.equal((opcode, peer[1]), (tftp.BLOCK, tftp.PORT))
                        content += rest
                        if len(rest) < 512:
                            break
                        r.send(struct.pack("!HH", tftp.ACK, number))
                    tap.true(content == tftp.DATA, f"{len(content)} bytes")
            tap.equal(daemon.counter("packets") - before, 1, "packets that were looked at")


def one_flow(t, name, net, daemon, admit):
    """From whatever port of the server, but only once, and from nobody else."""
    server, client = ADDRESS[SERVER, 4], ADDRESS[CLIENT, 4]
    with t.case(f"{name}: one flow from the server, none from its neighbour"):
        with tftp.Rom(net.client, 4, client, server, 2072) as r, net.server.socket(
            FAMILY[4], socket.SOCK_DGRAM
        ) as first, net.server.socket(FAMILY[4], socket.SOCK_DGRAM) as second, net.server.socket(
            FAMILY[4], socket.SOCK_DGRAM
        ) as stranger, net.server.socket(FAMILY[4], socket.SOCK_DGRAM) as sink:
            sink.bind((server, tftp.PORT))
            stranger.bind((tftp.OTHER_SERVER, 0))
            r.ask("nothing")
            sink.settimeout(5)
            sink.recv(2048)
            found = daemon.pinholes("open")
            tap.equal(
                [(p["service"], p["proto"], p["src"], p["sport"], p["dst"], p["dport"]) for p in found],
                [("tftp", "udp", server, None, client, 2072)],
            )
            tap.contains(daemon.ctl("why", found[0]["id"]), "RRQ octet nothing")
            tap.equal(daemon.in_kernel(), {(server, client, "udp", 2072)})
            tftp.send_quietly(stranger, b"\0\3\0\1stranger", (client, 2072))
            tftp.send_quietly(first, b"\0\3\0\1first", (client, 2072))
            tap.equal(r.packet(5)[2], b"first")
            tftp.send_quietly(second, b"\0\3\0\1second", (client, 2072))
            tftp.send_quietly(first, b"\0\3\0\2again", (client, 2072))
            tap.equal(r.packet(5)[2], b"again")
            poll.until(lambda: not daemon.in_kernel(), "the spent element to be gone")


tftp.require()
with suite.laboratory() as (t, lab, net):
    tftp.add_other_server(net)
    for place in topology.PLACEMENTS:
        for admit in topology.ADMITS:
            name = f"on the {place}, {admit}"
            net.firewall(place, tftp.strict(place, admit))
            net.forget_flows()
            rules = net.spaces[place].sh("nft", "-s", "list", "table", "inet", "strict")
            with tftp.BootDaemon(lab, net.spaces[place], admit, f"pinholed-{place}-{admit}") as daemon:
                t.explain = daemon.log
                server = tftp.Tftpd(lab, net.server)
                work = [(way, f) for way in transfers(lab, net, server) for f in FAMILIES]
                errors = suite.at_once([lambda w=w: w[0][1](w[1]) for w in work])
                for ((what, _), family), error in zip(work, errors):
                    with t.case(f"{name}: {what}, IPv{family}"):
                        if error:
                            raise error
                with t.case(f"{name}: all pinholes are spent, none refused"):
                    daemon.nothing_open()
                    # A boot ROM asks four times, all others once, in each family.
                    tap.equal(daemon.counter("opened"), 2 * (len(work) // 2 - 1 + 4))
                    for word in ("malformed", "stranger", "commit-failed"):
                        tap.equal(daemon.counter(word), 0, word)
                server.stop()
                single_port(t, name, net, daemon)
                for p in daemon.pinholes("open"):
                    daemon.ctl("close", p["id"])
                one_flow(t, name, net, daemon, admit)
                with t.case(f"{name}: the end leaves no table, and the firewall as it was"):
                    tap.equal(daemon.stop(), 0, daemon.log())
                    tap.true(daemon.table() is None, "table inet pinholed is still there")
                    tap.equal(net.spaces[place].sh("nft", "-s", "list", "table", "inet", "strict"), rules)
        net.clear_firewall(place)
