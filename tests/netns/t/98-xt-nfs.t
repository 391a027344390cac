#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""NFS through default-drop policies made of iptables rules alone: the example of docs/iptables.md on
the server, word for word but for the addresses, and rules of the same kind on a router and on the client;
both backends, both ways of admission, both families. A service that --service does not name stays out,
and -j PINHOLE --track sunrpc takes the place of a port in the configuration."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import nfs, poll, suite, tap, xt
from lab.dialogue import connected
from lab.netns import ROOT
from lab.topology import ADDRESS, ADMITS, CLIENT, PLACEMENTS, SERVER

NEW = "-m conntrack --ctstate NEW"
RPCBIND = [f"-p {proto} --dport {nfs.PORTMAP_PORT} {NEW}" for proto in ("tcp", "udp")]
_numbers = iter(range(1, 1 << 30))


def example():
    """The rules of the guide by family, with the lab's client in place of its addresses."""
    with open(os.path.join(ROOT, "docs", "iptables.md")) as f:
        blocks = re.findall(r"^```\n(.*?)^```", f.read(), re.M | re.S)
    rules = next(block for block in blocks if block.startswith("*filter\n"))
    command = next(block for block in blocks if block.startswith("sed "))
    found = {4: rules, 6: rules}
    for before, after in re.findall(r"s\|([^|]*)\|([^|]*)\|", command):
        tap.true(before in rules, f"{before} is not in the example")
        found[6] = found[6].replace(before, after)
    found[4] = found[4].replace("192.0.2.0/24", ADDRESS[CLIENT, 4])
    found[6] = found[6].replace("2001:db8:1::/64", ADDRESS[CLIENT, 6])
    return found


def strict(place, *before, **options):
    """{family: rules} that accept 111 and 2049 of the client's, and have `before` before that."""
    chain = xt.TOWARD[place]
    rules = [f"-A {chain} {rule}" for rule in before]
    rules += [f"-A {chain} {rule} -j ACCEPT" for rule in RPCBIND]
    rules.append(f"-A {chain} -p tcp --dport {nfs.NFS_PORT} {NEW} -j ACCEPT")
    return {family: xt.strict(family, rules, **options) for family in xt.FAMILIES}


def load(xts, ns, rules):
    for family, ip in xts.items():
        ip.restore(ns, rules[family])


def pinholed(t, net, place, admit, **options):
    net.forget_flows()
    daemon = nfs.pinholed(lab, net.spaces[place], admit, f"pinholed-{next(_numbers)}", **options)
    t.explain = daemon.log
    return daemon


def strangers_out(net, place, xts, rpcbind, family):
    """What is open for the client is open for nobody else, and for the client nothing else is."""
    for source, program, version in (
        (nfs.OTHER[family], nfs.MOUNTD, 3),
        (ADDRESS[CLIENT, family], nfs.RQUOTAD, 2),
    ):
        port = rpcbind.port(program, version, "tcp", family)
        before = xt.dropped(xts[family], net.spaces[place])
        with nfs.start_from(net.client, family, source, ADDRESS[SERVER, family], port) as flow:
            poll.until(lambda: xt.dropped(xts[family], net.spaces[place]) > before, "the SYN to be dropped")
            tap.true(not connected(flow, 0), f"{source} got through to {nfs.LISTED[program]}")


def passes(t, net, name, place, admit, xts, rpcbind, callers):
    with pinholed(t, net, place, admit) as daemon:
        for family in xt.FAMILIES:
            for caller in callers:
                with t.case(f"{name}: {caller.name}, IPv{family}"):
                    caller.run(family)
                    if caller.name == "nfs-ls":
                        strangers_out(net, place, xts, rpcbind, family)
                daemon.close_all()
                net.forget_flows()
                poll.until(lambda: not daemon.sessions(), "the sessions of the case before to end")
        if place == SERVER and xts[4].backend == "nft":  # doctor reads no rules of iptables-legacy
            with t.case(f"{name}: doctor finds nothing wrong with the example"):
                done = daemon.ctl_run("doctor")
                tap.equal(done.returncode, 0, done.stdout + done.stderr)
                tap.contains(done.stdout, "INPUT (input) accepts pinholed's mark for sunrpc, and not for ftp, bfd")
                tap.contains(done.stdout, "this machine does not forward packets")
        with t.case(f"{name}: nothing was refused"):
            for word in ("program", "port-never", "address", "malformed", "unsolicited"):
                tap.equal(daemon.counter(word), 0, f"refused as {word}")


def stays_out(t, net, name, place, admit, xts, callers):
    with pinholed(t, net, place, admit) as daemon:
        with t.case(f"{name}: --service ftp keeps mountd out"):
            load(xts, net.spaces[place], strict(place, admit="-m pinhole --service ftp -j ACCEPT"))
            jobs = [lambda f=f: tap.true(callers[0].fails(f), f"IPv{f} works") for f in xt.FAMILIES]
            for error in suite.at_once(jobs):
                if error:
                    raise error
            tap.true({m[4] for m in daemon.mappings()} >= {nfs.MOUNTD}, "no pinhole was open for it")
            for family, ip in xts.items():
                tap.true(xt.dropped(ip, net.spaces[place]) > 0, f"nothing was dropped, IPv{family}")


def chosen_in_iptables(t, net, name, place, admit, xts, callers):
    with pinholed(t, net, place, admit, ports=[]) as daemon:
        with t.case(f"{name}: ports = {{ }}, no -j PINHOLE: rpcbind is not followed"):
            load(xts, net.spaces[place], strict(place))
            tap.true(callers[0].fails(4), "it works")
            tap.equal(daemon.pinholes(), [], "pinholes")
        with t.case(f"{name}: ports = {{ }}, -j PINHOLE --track sunrpc: it is"):
            rules = [f"{rule} -j PINHOLE --track sunrpc" for rule in RPCBIND]
            load(xts, net.spaces[place], strict(place, *rules))
            for family in xt.FAMILIES:
                for caller in callers:
                    caller.run(family)


def translated(t, net, admit, xts, callers):
    """The example as iptables-restore-translate has it, in force by nft."""
    ns = net.server
    tables = []
    for family, ip in xts.items():
        path = lab.file(f"rules.v{family}", example()[family])
        done = xt.checked(ip.execute(ns, f"{ip.name.split('-')[0]}-restore-translate", "-f", path))
        ns.sh("nft", "-f", "-", stdin=done.stdout)
        tables.append(("ip" if family == 4 else "ip6", "filter"))
    with pinholed(t, net, SERVER, admit) as daemon:
        for family in xt.FAMILIES:
            with t.case(f"translated to nft, on the server, {admit}: all clients, IPv{family}"):
                for caller in callers:
                    caller.run(family)
        with t.case(f"translated to nft, on the server, {admit}: doctor finds nothing wrong"):
            done = daemon.ctl_run("doctor")
            tap.equal(done.returncode, 0, done.stdout + done.stderr)
            tap.contains(done.stdout, "INPUT (input) accepts pinholed's mark for sunrpc, and not for ftp, bfd")
    for table in tables:
        ns.sh("nft", "delete", "table", *table)


nfs.require()
with suite.laboratory() as (t, lab, net):
    xt.require()
    nfs.add_other_client(net)
    rpcbind = nfs.Rpcbind(lab, net.server)
    ganesha = nfs.Ganesha(lab, rpcbind)
    callers = nfs.callers(lab, net.client, suite.SERVER_ADDRESS, ganesha.local)
    for backend, xts in xt.backends(t, lab, net.client):
        for place in PLACEMENTS:
            ns = net.spaces[place]
            rules = example() if place == SERVER else strict(place, admit="-m pinhole --service sunrpc -j ACCEPT")
            for admit in ADMITS:
                name = f"iptables-{backend}, on the {place}, {admit}"
                load(xts, ns, rules)
                passes(t, net, name, place, admit, xts, rpcbind, callers)
            admit = ADMITS[PLACEMENTS.index(place) % 2]
            name = f"iptables-{backend}, on the {place}, {admit}"
            stays_out(t, net, name, place, admit, xts, callers)
            chosen_in_iptables(t, net, name, place, admit, xts, callers)
            for ip in xts.values():
                ip.clear(ns)
        if backend == "nft":  # the translators are its own
            for admit in ADMITS:
                net.server.run(["nft", "flush", "ruleset"])
                translated(t, net, admit, xts, callers)
