#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""NFS through a strict firewall: every placement, both ways of admission, both families, every
client. Each starts with nothing open; after it, what is open is what it asked for, from that client
to that server, at the ports that rpcinfo tells of, in the list as in the kernel."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import nfs, poll, suite, tap, topology
from lab.dialogue import connected
from lab.topology import ADDRESS, CLIENT, SERVER

FAMILIES = (4, 6)


def fresh(net, daemon):
    """As if nobody had ever asked."""
    daemon.close_all()
    net.forget_flows()
    poll.until(lambda: not daemon.sessions(), "the sessions of the case before to end")
    daemon.nothing_left()


def only(daemon, rpcbind, caller, family, exactly):
    """What is open may be open, and is the same in the list and in the kernel."""
    registered = rpcbind.registered(family)
    may = nfs.expected(registered, family, caller.programs, caller.transports)
    is_open = daemon.mappings("open")
    tap.equal(is_open - may, set(), "open, and should not be")
    if exactly:
        tap.equal(may - is_open, set(), "not open, and should be")
    asked = {m[4] for m in is_open} - {nfs.PORTMAP}
    tap.equal(asked, caller.programs & {r[0] for r in registered}, "programs with a pinhole")
    tap.equal(daemon.in_kernel(), nfs.kernel_keys(is_open), "in the kernel")
    for p in daemon.pinholes():
        tap.equal(p["service"], "sunrpc")
        if p["program"] != nfs.PORTMAP:
            tap.equal(p["program_name"], nfs.LISTED[p["program"]])
            here = {v for program, v, proto, port in registered
                    if (program, proto, port) == (p["program"], p["proto"], p["dport"])}  # fmt: skip
            tap.true(p["versions"] and set(p["versions"]) <= here, f"{p['versions']} of {here}")
        if p["state"] == "bound":
            key = (p["src"], p["dst"], p["proto"], p["dport"], p["program"])
            tap.true(key in may, f"bound, and should not be: {key}")


def others_blocked(net, place, family, rpcbind):
    """Somebody else's packets to what is open, and the client's to what is not, end here."""
    server = ADDRESS[SERVER, family]
    for source, program, version in (
        (nfs.OTHER[family], nfs.MOUNTD, 3),
        (ADDRESS[CLIENT, family], nfs.RQUOTAD, 2),
    ):
        port = rpcbind.port(program, version, "tcp", family)
        before = net.dropped(place)
        with nfs.start_from(net.client, family, source, server, port) as flow:
            poll.until(lambda: net.dropped(place) > before, "the SYN to be dropped")
            tap.true(not connected(flow, 0), f"{source} got through to {nfs.LISTED[program]}")


def matrix(t, net, place, admit, daemon, rpcbind, needing, asking):
    for family in FAMILIES:
        for caller in needing + asking:
            with t.case(f"on the {place}, {admit}: {caller.name}, IPv{family}"):
                caller.run(family)
                only(daemon, rpcbind, caller, family, exactly=caller in asking)
                if caller.name == "nfs-ls":
                    others_blocked(net, place, family, rpcbind)
            fresh(net, daemon)


def all_at_once(t, net, name, daemon, rpcbind, callers):
    """Several rounds, so that there are many calls in flight."""
    work = [(caller, family) for caller in callers for family in FAMILIES] * 3
    errors = suite.at_once([lambda w=w: w[0].run(w[1]) for w in work], workers=16)
    with t.case(f"{name}: {len(work)} clients at once"):
        for error in errors:
            if error:
                raise error
    with t.case(f"{name}: after that crowd everything listed is open, and nothing else"):
        may = set()
        for family in FAMILIES:
            may |= nfs.expected(rpcbind.registered(family), family, set(nfs.LISTED))
        tap.equal(daemon.mappings("open"), may)
        tap.equal(daemon.in_kernel(), nfs.kernel_keys(may))
        for word in ("program", "port-never", "address", "malformed", "unsolicited"):
            tap.equal(daemon.counter(word), 0, f"refused as {word}")


nfs.require()
with suite.laboratory() as (t, lab, net):
    nfs.add_other_client(net)
    rpcbind = nfs.Rpcbind(lab, net.server)
    ganesha = nfs.Ganesha(lab, rpcbind)
    needing = nfs.callers(lab, net.client, suite.SERVER_ADDRESS, ganesha.local)
    asking = nfs.listers(net.client, suite.SERVER_ADDRESS)
    for place in topology.PLACEMENTS:
        for admit in topology.ADMITS:
            name = f"on the {place}, {admit}"
            net.firewall(place, nfs.strict(place, admit))
            net.forget_flows()
            rules = nfs.rules_in_force(net, place)
            with nfs.pinholed(lab, net.spaces[place], admit, f"pinholed-{place}-{admit}") as daemon:
                t.explain = daemon.log
                matrix(t, net, place, admit, daemon, rpcbind, needing, asking)
                all_at_once(t, net, name, daemon, rpcbind, needing + asking)
                with t.case(f"{name}: the end leaves no table, and the firewall as it was"):
                    tap.equal(daemon.stop(), 0, daemon.log())
                    tap.true(daemon.table() is None, "table inet pinholed is still there")
                    tap.equal(nfs.rules_in_force(net, place), rules)
        net.clear_firewall(place)
