#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The ground of the NFS tests: without pinholed everything that needs a dynamic port fails at the
strict firewalls that the other tests use, what needs 111 and 2049 only works there, and with an
open firewall all of it works."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import nfs, suite, tap, topology

FAMILIES = (4, 6)


def check(t, name, what, callers, action):
    """One case for each client and family, all running at once since failing takes its time."""
    work = [(caller, family) for caller in callers for family in FAMILIES]
    errors = suite.at_once([lambda w=w: action(*w) for w in work], workers=32)
    for (caller, family), error in zip(work, errors):
        with t.case(f"{name}: {caller.name}, IPv{family}, {what}"):
            if error:
                raise error
    return len(work)


def works(caller, family):
    caller.run(family)


def fails(caller, family):
    tap.true(caller.fails(family), "it worked")


nfs.require()
with suite.laboratory(needs_daemon=False) as (t, lab, net):
    rpcbind = nfs.Rpcbind(lab, net.server)
    ganesha = nfs.Ganesha(lab, rpcbind)
    needing = nfs.callers(lab, net.client, suite.SERVER_ADDRESS, ganesha.local)
    not_needing = nfs.listers(net.client, suite.SERVER_ADDRESS)
    client = nfs.NfsClient(lab, net.client, suite.SERVER_ADDRESS)
    not_needing.append(nfs.Caller("nfs-ls of NFSv4", set(), set(),
                                  lambda f, s: client.list(f, version=4, seconds=s)))  # fmt: skip
    for place in topology.PLACEMENTS:
        net.firewall(place, topology.OPEN)
        check(t, f"{place} open", "works", needing + not_needing, works)
        for admit in topology.ADMITS:
            net.firewall(place, nfs.strict(place, admit))
            net.forget_flows()
            name = f"{place} strict ({admit})"
            failed = check(t, name, "fails", needing, fails)
            with t.case(f"{name}: it was the firewall; each of them lost a packet there"):
                tap.true(net.dropped(place) >= failed, f"{net.dropped(place)} of {failed}")
            check(t, name, "works", not_needing, works)
        net.clear_firewall(place)
    with t.case("the ports are fresh ones at each start, whether ganesha was stopped or killed"):
        for kill in (False, True):
            before = ganesha.dynamic()
            ganesha.restart(kill)
            tap.equal(before & ganesha.dynamic(), set())
            client.list()
    with t.case("what is registered survives a restart of rpcbind"):
        before = rpcbind.registered()
        tap.equal(rpcbind.stop(), 0, "exit status")
        tap.equal(rpcbind.registered(), None, "registered while it is away")
        rpcbind.start()
        tap.equal(rpcbind.registered(), before)
        client.list()
