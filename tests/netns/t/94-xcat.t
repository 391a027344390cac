#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/xcat.md as it stands: its rules and its configuration, on a management node and on a router
before it, with the real servers. Without pinholed a node gets no boot loader, no packages and no
orders; with it a node boots, installs, is driven and logs, over IPv4 and IPv6."""

import http.server
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import nfs, poll, rsh, suite, tap, tftp
from lab.daemon import Daemon
from lab.dialogue import FAMILY
from lab.netns import ROOT
from lab.topology import ADDRESS, CLIENT, ROUTER, SERVER

FAMILIES = (4, 6)
NODE = {f: ADDRESS[CLIENT, f] for f in FAMILIES}
MANAGEMENT = {f: ADDRESS[SERVER, f] for f in FAMILIES}


def blocks(kind):
    with open(os.path.join(ROOT, "docs", "xcat.md"), encoding="utf-8") as f:
        return re.findall(rf"^```{kind}\n(.*?)^```", f.read(), re.M | re.S)


def rules(kind, **interfaces):
    (text,) = blocks(kind)
    for name, device in interfaces.items():
        text, n = re.subn(rf'^define {name} = ".*"$', f'define {name} = "{device}"', text, flags=re.M)
        tap.equal(n, 1, f"lines that define {name}")
    return text


class Web(threading.Thread):
    """The management node's HTTP server, which no firewall stands in the way of."""

    def __init__(self, ns, root):
        super().__init__(daemon=True)

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *a, **kw):
                super().__init__(*a, directory=root, **kw)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6

        with ns.entered():
            self.server = Server(("::", 80), Handler)

    def run(self):
        self.server.serve_forever(0.05)


class Log(threading.Thread):
    """Its syslog server."""

    def __init__(self, ns):
        super().__init__(daemon=True)
        self.lines = []
        self.listener = ns.socket(socket.AF_INET6)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("::", 514))
        self.listener.listen(8)

    def run(self):
        while True:
            sock, _ = self.listener.accept()
            with sock, sock.makefile("r") as lines:
                self.lines += lines


class Site:
    def __init__(self, lab, net):
        self.net = net
        self.tftpd = tftp.Tftpd(lab, net.server)
        self.rpcbind = nfs.Rpcbind(lab, net.server)
        self.ganesha = nfs.Ganesha(lab, self.rpcbind)
        self.web = Web(net.server, self.tftpd.root)
        self.web.start()
        self.log = Log(net.server)
        self.log.start()
        # Whom the node's rshd talks to.
        names = {MANAGEMENT[f]: f"management{f}" for f in FAMILIES}
        if "is_driven" in DYNAMIC:
            self.rshd = rsh.servers(lab, net.client, names)
        self.mounts = nfs.NfsClient(lab, net.client, MANAGEMENT)
        self.curl = tftp.Curl(lab, net.client, MANAGEMENT)
        self.orders = [kind(net.server, NODE) for kind in (rsh.RshRedone, rsh.Rcmd)]
        self.counter = 0

    # What a node needs, each step with the seconds that it may take.

    def boots(self, family, seconds=10):
        with tftp.Rom(self.net.client, family, NODE[family], MANAGEMENT[family]) as rom:
            rom.size("data", seconds)
            tap.true(rom.read("data", seconds) == tftp.DATA, "the loader is not the file")
            tap.true(rom.read("kernel", seconds) == tftp.KERNEL, "the kernel is not the file")

    def installs(self, family, seconds=10):
        self.mounts.list(family, seconds=seconds)
        self.mounts.read(family, seconds=seconds)

    def is_driven(self, family, seconds=10):
        for client in self.orders:
            client.works(family, seconds)

    def fetches(self, family, seconds=10):
        command, env = self.curl.command(family, "data", seconds=seconds)
        command[-1] = command[-1].replace("tftp://", "http://")
        done = tftp._run(self.net.client, command, env, seconds + 5)
        tap.true(done.stdout == tftp.DATA, f"{done.stderr}")

    def logs(self, family, seconds=10):
        self.counter += 1
        line = f"<13>Nov 20 18:00:00 n1 xcat: message {self.counter}\n"
        with self.net.client.socket(FAMILY[family]) as sock:
            sock.settimeout(seconds)
            sock.connect((MANAGEMENT[family], 514))
            sock.sendall(line.encode())
        poll.until(lambda: line in self.log.lines, "the message to be logged", seconds)


DYNAMIC = ("boots", "installs") if rsh.absent() else ("boots", "installs", "is_driven")
FIXED = ("fetches", "logs")


def fails(step, family):
    try:
        step(family, 2)
    except (tap.Failure, OSError, poll.Timeout):
        return
    raise tap.Failure("it worked")


tftp.require()
nfs.require()
with suite.laboratory() as (t, lab, net):
    if "is_driven" not in DYNAMIC:
        t.skip("a node is driven", rsh.absent())
    site = Site(lab, net)
    (conf,) = blocks("conf")
    for place, text in (
        (SERVER, rules("nft", inside="eth0")),
        (ROUTER, rules("nft-router", nodes=CLIENT, site=SERVER)),
    ):
        ns = net.spaces[place]
        name = {SERVER: "management node", ROUTER: "router"}[place]
        ns.sh("nft", "-f", "-", stdin=text)
        net.forget_flows()
        before = ns.sh("nft", "list", "table", "inet", "filter")
        for family in FAMILIES:
            for step in FIXED:
                with t.case(f"{name}, IPv{family}, no pinholed: a node {step}"):
                    getattr(site, step)(family)
            for step in DYNAMIC:
                with t.case(f"{name}, IPv{family}, no pinholed: no node {step}"):
                    fails(getattr(site, step), family)
        if "is_driven" in DYNAMIC:
            site.rshd.settle()
        net.forget_flows()
        daemon = Daemon(lab, ns, f"pinholed-{place}")
        lab.file(f"{daemon.name}.conf", conf)
        with daemon:
            t.explain = daemon.log
            for family in FAMILIES:
                for step in (*DYNAMIC, *FIXED):
                    with t.case(f"{name}, IPv{family}: a node {step}"):
                        getattr(site, step)(family)
            with t.case(f"{name}: everything at once"):
                work = [(step, f) for step in (*FIXED, *DYNAMIC) for f in FAMILIES]
                work += [(step, f) for step in (*FIXED, "installs") for f in FAMILIES] * 3
                for error in suite.at_once([lambda w=w: getattr(site, w[0])(w[1]) for w in work]):
                    if error:
                        raise error
            with t.case(f"{name}: mountd is restarted on another port, and nodes install"):
                site.ganesha.restart()
                site.installs(4)
            with t.case(f"{name}: nothing was refused, and every service has opened something"):
                for word in ("malformed", "port-high", "port-reserved", "address", "stranger", "commit-failed"):
                    tap.equal(daemon.counter(word), 0, word)
                found = {p["service"] for p in daemon.pinholes()}
                tap.true("sunrpc" in found and "tftp" in found, str(found))
                tap.true(daemon.counter("opened") >= 2 * (3 + 2 + 2), "pinholes")
            with t.case(f"{name}: the end leaves no table, and the firewall as it was"):
                tap.equal(daemon.stop(), 0, daemon.log())
                tap.true(daemon.table() is None, "table inet pinholed is still there")
                tap.equal(ns.sh("nft", "list", "table", "inet", "filter"), before)
        ns.sh("nft", "delete", "table", "inet", "filter")
