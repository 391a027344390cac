#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""TFTP through default-drop policies made of iptables rules alone: with no port in the configuration,
-j PINHOLE --track tftp says which requests are followed, and -m pinhole lets the answers in; both
backends, both ways of admission, every placement, both families."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import suite, tap, tftp, xt
from lab.netns import require_tools
from lab.topology import ADMITS, PLACEMENTS

REQUEST = f"-p udp --dport {tftp.PORT} -m conntrack --ctstate NEW"
TRACK = f"{REQUEST} -j PINHOLE --track tftp"
_numbers = iter(range(1, 1 << 30))


def load(xts, place, ns, service, *before):
    chain = xt.TOWARD[place]
    rules = [f"-A {chain} {rule}" for rule in (*before, f"{REQUEST} -j ACCEPT")]
    for family, ip in xts.items():
        ip.restore(ns, xt.strict(family, rules, admit=f"-m pinhole --service {service} -j ACCEPT"))


def gets(curl, seconds=10):
    """Which families get the file, both asked at once."""
    found = {}
    errors = suite.at_once([
        lambda f=f: found.update({f: curl.get(f, seconds=seconds).stdout == tftp.DATA}) for f in xt.FAMILIES
    ])  # fmt: skip
    for error in errors:
        if error:
            raise error
    return found


require_tools(("in.tftpd", "curl"))
with suite.laboratory() as (t, lab, net):
    xt.require()
    tftp.Tftpd(lab, net.server)
    curl = tftp.Curl(lab, net.client, suite.SERVER_ADDRESS)
    works, fails = {4: True, 6: True}, {4: False, 6: False}
    for backend, xts in xt.backends(t, lab, net.client):
        for place in PLACEMENTS:
            ns = net.spaces[place]
            for admit in ADMITS:
                name = f"iptables-{backend}, on the {place}, {admit}"
                net.forget_flows()
                more = f"pinholed-{next(_numbers)}"
                with tftp.BootDaemon(lab, ns, admit, more, tftp="ports = { }") as daemon:
                    t.explain = daemon.log
                    with t.case(f"{name}: with -j PINHOLE files come"):
                        load(xts, place, ns, "tftp", TRACK)
                        tap.equal(gets(curl), works)
                    if admit != ADMITS[PLACEMENTS.index(place) % 2]:
                        continue
                    with t.case(f"{name}: --service ftp,rsh keeps them out"):
                        load(xts, place, ns, "ftp,rsh", TRACK)
                        tap.equal(gets(curl, 2), fails)
                        tap.true(daemon.counter("opened") > 2, "no pinhole was opened for it")
                    with t.case(f"{name}: without -j PINHOLE nothing is followed"):
                        before = daemon.counter("sessions")
                        load(xts, place, ns, "tftp")
                        tap.equal(gets(curl, 2), fails)
                        tap.equal(daemon.counter("sessions"), before, "sessions")
            for ip in xts.values():
                ip.clear(ns)
