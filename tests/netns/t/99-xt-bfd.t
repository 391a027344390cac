#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""BFD through default-drop policies made of iptables rules alone, which accept what our side sends and
`-m pinhole`: on one end, and on the router between; both backends, both ways of admission, single hop and
multihop, IPv4, IPv6 and link-local. A service that --service does not name stays out."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import bfd, bfdscene, poll, suite, tap, xt
from lab.bfdpkt import PORTS, Wire
from lab.topology import ADMITS, CLIENT, ROUTER

PAIR = (bfd.BIRD, bfd.BIRD)
INTERVAL = 50  # ms
STEADY = 2  # seconds
OURS = f"-p udp -m multiport --dports {','.join(map(str, PORTS))} -j ACCEPT"


class Scene(bfdscene.Scene):
    """Its firewalls are iptables'; the rules for what is let in are these."""

    def __init__(self, party, place, admit, xts, accept):
        super().__init__(lab, party, place, admit)
        self.xts, self.accept = xts, accept

    def begin(self):
        self.party.stop()
        for host in self.hosts:
            rules = [f"-A OUTPUT {OURS}"]
            if self.place == "router":
                rules.append(f"-A FORWARD -i {CLIENT} {OURS}")
            for family, ip in self.xts.items():
                text = xt.strict(family, rules, admit=f"-m pinhole {self.accept} -j ACCEPT")
                ip.restore(self.party.net.spaces[host], text)
        self.party.net.forget_flows()
        for host in self.hosts:
            ns = self.party.net.spaces[host]
            self.daemons[host] = bfd.pinholed(lab, ns, self.admit, f"{ns.name}-{self.admit}")
            self.daemons[host].start()
        self.party.start()

    def end(self):
        super().end()
        for host in self.hosts:
            for ip in self.xts.values():
                ip.clear(self.party.net.spaces[host])
        self.party.wire.forget()

    def stays_down(self):
        """Peers ask and are asked, pinholes are open for them, and no session comes up."""
        concerned = [d[0] for d in self.directions()]
        flows = [flow for session in concerned for flow in session.flows()]
        before = [flow.packets for flow in flows]
        poll.until(
            lambda: all(flow.packets >= n + 3 for flow, n in zip(flows, before)),
            lambda: f"three packets of each side: {self.party.log()}", bfdscene.UP_SECONDS,
        )  # fmt: skip
        for session in concerned:
            tap.true(not session.ever_up(), f"{session} was Up")
        for direction in self.directions():
            tap.true(self.pinholes(*direction), f"no pinhole for {direction[0].name}")
        for host in self.hosts:
            for family, ip in self.xts.items():
                dropped = xt.dropped(ip, self.party.net.spaces[host])
                tap.true(dropped > 0, f"nothing was dropped on the {host}, IPv{family}")


def let_in(t, scene, name):
    t.explain = scene.log
    with t.case(f"{name}: -m pinhole {scene.accept}: sessions come up"):
        scene.begin()
        scene.party.wait_up(bfdscene.UP_SECONDS)
        scene.party.agree()
    with t.case(f"{name}: one pinhole a direction, at the peer's port"):
        scene.listed()
    with t.case(f"{name}: Up for {STEADY} s with no flap"):
        scene.steady(STEADY)
    scene.end()


def kept_out(t, scene, name):
    t.explain = scene.log
    with t.case(f"{name}: -m pinhole {scene.accept}: they do not"):
        scene.begin()
        scene.stays_down()
    scene.end()


with suite.laboratory() as (t, lab, net):
    xt.require()
    if bfd.missing(*PAIR):
        tap.skip_all(f"not among the unpacked packages: {', '.join(bfd.missing(*PAIR))}")
    with Wire() as wire:
        (party,) = bfd.parties(lab, wire, [PAIR], intervals=(INTERVAL,))
        for backend, xts in xt.backends(t, lab, net.client):
            for place in (CLIENT, ROUTER):
                for admit in ADMITS:
                    name = f"iptables-{backend}, on the {place}, {admit}"
                    for accept in ("", "--service bfd") if place == CLIENT else ("--service ftp,bfd",):
                        let_in(t, Scene(party, place, admit, xts, accept), name)
                    kept_out(t, Scene(party, place, admit, xts, "--service sunrpc"), name)
