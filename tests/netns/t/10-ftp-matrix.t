#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""FTP through a strict firewall: every placement, both ways of admission, two servers, two clients,
every mode of both families, download, upload and listing. Nothing may be left behind."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import clients, servers, suite, tap, topology
from lab.daemon import Daemon


def all_operations(client, mode, site):
    for operation in clients.OPERATIONS:
        client.transfer(mode, operation, site)


def matrix(t, name, programs, site):
    work = [(client, mode) for client in programs for mode in client.modes]
    errors = suite.at_once([lambda w=w: all_operations(*w, site) for w in work])
    for (client, (family, verb)), error in zip(work, errors):
        with t.case(f"{name}: {client.name} IPv{family} {verb}"):
            if error:
                raise error
    return 3 * len(work)


def without_counts(listing):
    return re.sub(r"packets \d+ bytes \d+", "", listing)


with suite.laboratory() as (t, lab, net):
    programs = [
        kind(lab, net.client, suite.SERVER_ADDRESS) for kind in (clients.Curl, clients.Lftp)
    ]
    for server_name, start in servers.ALL.items():
        server = start(lab, net.server)
        for place in topology.PLACEMENTS:
            for admit in topology.ADMITS:
                name = f"{server_name}, on the {place}, {admit}"
                net.firewall(place, topology.strict(place, admit))
                net.forget_flows()
                rules = net.spaces[place].sh("nft", "list", "table", "inet", "strict")
                with Daemon(lab, net.spaces[place], admit=admit) as daemon:
                    t.explain = daemon.log
                    transfers = matrix(t, name, programs, server.site)
                    with t.case(f"{name}: nothing is left; each transfer had its one pinhole"):
                        daemon.nothing_left()
                        tap.equal(daemon.counter("opened"), transfers, "pinholes opened")
                        tap.equal(daemon.counter("bound"), transfers, "pinholes used")
                    with t.case(f"{name}: the end leaves no table, and the firewall as it was"):
                        tap.equal(daemon.stop(), 0, daemon.log())
                        tap.true(daemon.table() is None, "table inet pinholed is still there")
                        after = net.spaces[place].sh("nft", "list", "table", "inet", "strict")
                        tap.equal(without_counts(after), without_counts(rules))
            net.clear_firewall(place)
        server.stop()
