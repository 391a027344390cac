#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""FTP through default-drop policies made of iptables rules alone, with `-m pinhole -j ACCEPT` for all
that pinholed lets in: both backends, every placement, both ways of admission, every mode of curl, both
families. A service that --service does not name stays out. `-j PINHOLE` hands control sessions at other
ports to pinholed; without it they are none of its business."""

import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import clients, nfs, poll, servers, suite, tap, xt
from lab.daemon import Daemon
from lab.dialogue import connected, start_connect
from lab.topology import ADDRESS, ADMITS, CLIENT, PLACEMENTS, ROUTER, SERVER

OTHER_PORT = 2121
NEW = "-m conntrack --ctstate NEW"
NAMED = ("ftp", "ftp,bfd", "ftp,sunrpc,bfd")
NOT_NAMED = {SERVER: "sunrpc", ROUTER: "sunrpc,bfd", CLIENT: "tftp,rsh"}

_numbers = iter(range(1, 1 << 30))


def control(place, port=21, *more):
    """Rules for the control connection; `more` stand before the one that accepts it."""
    start = f"-A {xt.TOWARD[place]} -p tcp --dport {port} {NEW}"
    return [*(f"{start} {rule}" for rule in more), f"{start} -j ACCEPT"]


def firewall(xts, ns, rules, **options):
    for family, ip in xts.items():
        ip.restore(ns, xt.strict(family, rules, **options))


def clear(xts, ns):
    for ip in xts.values():
        ip.clear(ns)


def rules_in_force(xts, ns):
    return [ip.save(ns) for ip in xts.values()]


@contextlib.contextmanager
def pinholed(t, net, ns, **settings):
    """One that knows nothing of the flows and sessions of the cases before."""
    net.forget_flows()
    with Daemon(lab, ns, f"pinholed-{next(_numbers)}", **settings) as daemon:
        t.explain = daemon.log
        yield daemon


def each_mode(client, site, modes=clients.MODES):
    """One transfer each, all at once; raises what went wrong first."""
    jobs = [lambda m=m: client.transfer(m, "download", site) for m in modes]
    for error in suite.at_once(jobs):
        if error:
            raise error
    return len(jobs)


def all_operations(client, mode, site):
    for operation in clients.OPERATIONS:
        client.transfer(mode, operation, site)


def matrix(t, net, name, place, admit, xts, curl, site):
    ns = net.spaces[place]
    rules = rules_in_force(xts, ns)
    with pinholed(t, net, ns, admit=admit) as daemon:
        jobs = [lambda m=m: all_operations(curl, m, site) for m in curl.modes]
        for (family, verb), error in zip(curl.modes, suite.at_once(jobs)):
            with t.case(f"{name}: IPv{family} {verb}"):
                if error:
                    raise error
        with t.case(f"{name}: one pinhole a transfer, nothing is left, the rules are as they were"):
            daemon.nothing_left()
            tap.equal(daemon.counter("bound"), len(curl.modes) * len(clients.OPERATIONS), "pinholes used")
            tap.equal(rules_in_force(xts, ns), rules)
            tap.equal(daemon.stop(), 0, daemon.log())


def services(t, net, name, place, admit, xts, curl, site):
    """Which services are let in is for --service to say."""
    ns = net.spaces[place]
    with pinholed(t, net, ns, admit=admit) as daemon:
        for words in NAMED:
            with t.case(f"{name}: --service {words} lets FTP in"):
                firewall(xts, ns, control(place), admit=f"-m pinhole --service {words} -j ACCEPT")
                each_mode(curl, site)
        words = NOT_NAMED[place]
        with t.case(f"{name}: --service {words} keeps FTP out"):
            firewall(xts, ns, control(place), admit=f"-m pinhole --service {words} -j ACCEPT")
            opened = daemon.counter("opened")
            modes = ((4, "PASV"), (6, "EPSV"))
            for error in suite.at_once([lambda m=m: tap.true(curl.fails(m, "download"), m) for m in modes]):
                if error:
                    raise error
            tap.equal(daemon.counter("opened"), opened + len(modes), "pinholes opened")
            for family, ip in xts.items():
                tap.true(xt.dropped(ip, ns) > 0, f"nothing was dropped, IPv{family}")
        with t.case(f"{name}: --control is the control session, without it what was let in"):
            firewall(xts, ns, control(place))
            matches = ("", "--control", "--service ftp", "--control --service ftp",
                       "--service sunrpc", "--control --service sunrpc,nfs")  # fmt: skip
            for words in reversed(matches):
                xts[4].sh(ns, "-I", xt.TOWARD[place], "-m", "pinhole", *words.split())
            curl.transfer((4, "PASV"), "download", site)
            lines = xts[4].sh(ns, "-v", "-x", "-L", xt.TOWARD[place]).splitlines()[2 : 2 + len(matches)]
            some = [int(line.split()[0]) > 0 for line in lines]
            tap.equal(some, [True, True, True, True, False, False], "\n".join(lines))


# --- -j PINHOLE ---------------------------------------------------------------------------------


def tracked(t, net, name, place, admit, xts, curl, site):
    ns = net.spaces[place]
    name = f"{name}: port {OTHER_PORT}"
    with pinholed(t, net, ns, admit=admit) as daemon:
        with t.case(f"{name} without -j PINHOLE is not followed"):
            firewall(xts, ns, control(place, OTHER_PORT))
            tap.true(curl.fails((4, "PASV"), "download"), "it works")
            tap.equal(daemon.counter("sessions"), 0, "sessions")
        with t.case(f"{name} with -j PINHOLE --track ftp in the filter table works like port 21"):
            firewall(xts, ns, control(place, OTHER_PORT, "-j PINHOLE --track ftp"))
            wanted = each_mode(curl, site)
            tap.equal(daemon.counter("sessions"), wanted, "sessions")
            tap.equal(daemon.counter("bound"), wanted, "pinholes used")
            daemon.nothing_left()
        with t.case(f"{name} with -j PINHOLE for every packet of it"):
            rule = f"-A {xt.TOWARD[place]} -p tcp --dport {OTHER_PORT} -j PINHOLE --track ftp"
            firewall(xts, ns, [rule, *control(place, OTHER_PORT)])
            each_mode(curl, site)
            daemon.nothing_left()
        with t.case(f"{name} with -j PINHOLE in the mangle table"):
            firewall(xts, ns, control(place, OTHER_PORT))
            chain = "OUTPUT" if place == CLIENT else "PREROUTING"
            for ip in xts.values():
                rule = f"-A {chain} -p tcp --dport {OTHER_PORT} {NEW} -j PINHOLE --track ftp"
                ip.restore(ns, f"*mangle\n{rule}\nCOMMIT\n")
            each_mode(curl, site)
            daemon.nothing_left()
    with pinholed(t, net, ns, admit=admit, limits={"sessions-per-client": 1}) as daemon:
        with t.case(f"{name}: a session beyond the limit is told of as one of FTP"):
            with start_connect(net.client, 4, ADDRESS[SERVER, 4], OTHER_PORT) as one:
                tap.true(connected(one, 5), "no connection")
                poll.until(daemon.sessions, "the first session")
                with start_connect(net.client, 4, ADDRESS[SERVER, 4], OTHER_PORT) as two:
                    tap.true(connected(two, 5), "no second connection")
                    poll.until(lambda: daemon.counter("limit-sessions-client"), "the second to be refused")
            line = next(line for line in daemon.log().splitlines() if "too many" in line)
            tap.true(line.startswith("ftp: ") and f":{OTHER_PORT}" in line, line)
    clear(xts, ns)


def chosen_in_iptables(t, net, name, place, admit, xts, curl, site):
    """A service without a port: iptables alone says what is followed."""
    ns = net.spaces[place]
    with pinholed(t, net, ns, admit=admit, ports="") as daemon:
        with t.case(f"{name}: ports = {{ }}, no -j PINHOLE: port 21 is not followed"):
            firewall(xts, ns, control(place))
            tap.true(curl.fails((4, "PASV"), "download"), "it works")
            tap.equal(daemon.counter("sessions"), 0, "sessions")
        with t.case(f"{name}: ports = {{ }}, -j PINHOLE --track ftp: it is"):
            firewall(xts, ns, control(place, 21, "-j PINHOLE --track ftp"))
            each_mode(curl, site)
            daemon.nothing_left()
    clear(xts, ns)


def translated(t, net, name, xts, curl):
    """A control session that NAT translates is left alone, marked or not, and one can see that it is."""
    ns = net.server
    firewall(xts, ns, control(SERVER, 21, "-j PINHOLE --track ftp"))
    for ip in xts.values():
        ip.restore(ns, "*nat\n-A PREROUTING -p tcp --dport 2120 -j REDIRECT --to-ports 21\nCOMMIT\n")
    with pinholed(t, net, ns, ports="") as daemon:
        with t.case(f"{name}: -j PINHOLE on a translated session: not followed, counted and logged"):
            curl.port = 2120
            tap.true(curl.fails((4, "PASV"), "download"), "it works")
            tap.equal(daemon.counter("sessions"), 0, "sessions")
            poll.until(lambda: daemon.counter("nat_sessions") >= 1, "it to be counted")
            tap.contains(daemon.log(), "translated")
    curl.port = 21
    clear(xts, ns)


def doctor(t, net, name, xts):
    """Our own rules are none that get in the way; those of others are."""
    ns = net.router
    firewall(xts, ns, control(ROUTER, OTHER_PORT, "-j PINHOLE --track ftp"))
    with pinholed(t, net, ns, admit="mark", extra=nfs.service(local_rpcbind=False)) as daemon:
        with t.case(f"{name}: doctor finds nothing wrong with -m pinhole and -j PINHOLE"):
            done = daemon.ctl_run("doctor")
            tap.equal(done.returncode, 0, done.stdout + done.stderr)
            tap.contains(done.stdout, "no other rule writes the mark bits")
        with t.case(f"{name}: doctor tells which services -m pinhole --service lets in"):
            firewall(xts, ns, control(ROUTER), admit="-m pinhole --service ftp,bfd -j ACCEPT")
            done = daemon.ctl_run("doctor")
            tap.equal(done.returncode, 0, done.stdout + done.stderr)
            tap.contains(done.stdout, "FORWARD (forward) accepts pinholed's mark for ftp, bfd, and not for sunrpc")
        with t.case(f"{name}: doctor misses -m pinhole where it is missing"):
            firewall(xts, ns, control(ROUTER), admit="-m pinhole --control -j ACCEPT")
            done = daemon.ctl_run("doctor")
            tap.equal(done.returncode, 1, done.stdout + done.stderr)
            tap.contains(done.stdout, "FORWARD (forward) drops pinholed's mark")
            firewall(xts, ns, control(ROUTER, OTHER_PORT, "-j PINHOLE --track ftp"))
        for words in ("--set-xmark 0x1000000/0x3f000000", "--set-mark 1", "--save-mark"):
            with t.case(f"{name}: doctor finds -j CONNMARK {words}"):
                rule = ["FORWARD", "-j", "CONNMARK", *words.split()]
                xts[4].sh(ns, "-A", *rule)
                done = daemon.ctl_run("doctor")
                xts[4].sh(ns, "-D", *rule)
                tap.equal(done.returncode, 1, done.stdout + done.stderr)
                tap.contains(done.stdout, "writes to bits")
        with t.case(f"{name}: doctor does not mind -j CONNMARK --restore-mark"):
            rule = ["FORWARD", "-j", "CONNMARK", "--restore-mark"]
            xts[4].sh(ns, "-A", *rule)
            done = daemon.ctl_run("doctor")
            xts[4].sh(ns, "-D", *rule)
            tap.equal(done.returncode, 0, done.stdout + done.stderr)
    clear(xts, ns)


with suite.laboratory() as (t, lab, net):
    xt.require()
    server = servers.vsftpd(lab, net.server)
    other = servers.vsftpd(lab, net.server, port=OTHER_PORT)
    curl = clients.Curl(lab, net.client, suite.SERVER_ADDRESS)
    elsewhere = clients.Curl(lab, net.client, suite.SERVER_ADDRESS, OTHER_PORT)
    for backend, xts in xt.backends(t, lab, net.client):
        for place in PLACEMENTS:
            for admit in ADMITS:
                name = f"iptables-{backend}, on the {place}, {admit}"
                firewall(xts, net.spaces[place], control(place))
                matrix(t, net, name, place, admit, xts, curl, server.site)
            admit = ADMITS[PLACEMENTS.index(place) % 2]
            name = f"iptables-{backend}, on the {place}, {admit}"
            services(t, net, name, place, admit, xts, curl, server.site)
            tracked(t, net, name, place, admit, xts, elsewhere, other.site)
            chosen_in_iptables(t, net, name, place, admit, xts, curl, server.site)
        translated(t, net, f"iptables-{backend}", xts, curl)
        if backend == "nft":  # doctor reads no rules of iptables-legacy, and says so
            doctor(t, net, f"iptables-{backend}", xts)
