#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The ground of the tests of TFTP: without pinholed every transfer fails at the strict firewalls,
and with an open one the very same transfer succeeds. A server that answers from port 69 needs
nobody's help."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import suite, tap, tftp, topology
from lab.topology import ADDRESS, CLIENT, SERVER


def curl(client, family):
    return client.get(family, "data", 2).stdout == tftp.DATA


def rom(net, family):
    try:
        with tftp.Rom(net.client, family, ADDRESS[CLIENT, family], ADDRESS[SERVER, family]) as r:
            return r.read("data", seconds=2) == tftp.DATA
    except tap.Failure:
        return False


tftp.require()
with suite.laboratory(needs_daemon=False) as (t, lab, net):
    server = tftp.Tftpd(lab, net.server)
    curls, hpa = (kind(lab, net.client, suite.SERVER_ADDRESS) for kind in (tftp.Curl, tftp.TftpHpa))
    ways = {
        "curl": lambda f: curl(curls, f),
        "tftp-hpa": lambda f: hpa.get(f, "data", 3).stdout == tftp.DATA,
        "a boot ROM": lambda f: rom(net, f),
    }

    def arrives(name, family, wanted):
        tap.equal(ways[name](family), wanted, "the file arrived")

    for place in topology.PLACEMENTS:
        for admit in (None, *topology.ADMITS):
            net.firewall(place, tftp.strict(place, admit) if admit else topology.OPEN)
            net.forget_flows()
            words = f"strict ({admit})" if admit else "open"
            work = [(name, family) for name in ways for family in (4, 6)]
            errors = suite.at_once([lambda w=w: arrives(*w, admit is None) for w in work])
            for (name, family), error in zip(work, errors):
                with t.case(f"{place} {words}: {name}, IPv{family}"):
                    if error:
                        raise error
            if admit:
                with t.case(f"{place} {words}: it was the firewall"):
                    tap.true(net.dropped(place) >= 2 * len(ways), f"{net.dropped(place)} packets")
        net.clear_firewall(place)
    server.stop()
    net.firewall(topology.ROUTER, tftp.strict(topology.ROUTER, "related"))
    for family in (4, 6):
        with t.case(f"strict, IPv{family}: the answer from port 69 comes through"):
            with tftp.SinglePort(net.server, family) as single:
                with tftp.Rom(net.client, family, ADDRESS[CLIENT, family], ADDRESS[SERVER, family]) as r:
                    r.ask("data")
                    tap.true(single.answer(), "the request did not arrive")
                    opcode, number, rest, _ = r.packet(3)
                    tap.equal((opcode, number, rest), (tftp.BLOCK, 1, tftp.DATA[:512]))
