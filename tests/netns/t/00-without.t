#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests' own ground: without pinholed every transfer fails at the strict firewalls that the
other tests use, and with an open firewall the very same transfer succeeds."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import clients, servers, suite, tap, topology


def fails(client, mode, operation):
    tap.true(client.fails(mode, operation), "it succeeded")


def check(t, name, programs, what, action):
    """One case for each client and mode, all running at once since failing takes its time."""
    work = [(client, mode) for client in programs for mode in client.modes]
    errors = suite.at_once([lambda w=w: action(*w) for w in work], workers=24)
    for (client, mode), error in zip(work, errors):
        with t.case(f"{name}: {client.name} IPv{mode[0]} {mode[1]} {what}"):
            if error:
                raise error


def check_tls(t, name, programs, site):
    work = [(client, mode) for client in programs for mode in clients.PASSIVE]
    errors = suite.at_once([lambda w=w: w[0].transfer(w[1], "download", site, tls=True) for w in work])
    for (client, mode), error in zip(work, errors):
        with t.case(f"{name}, open: {client.name} IPv{mode[0]} {mode[1]} over TLS works"):
            if error:
                raise error


with suite.laboratory(needs_daemon=False) as (t, lab, net):
    programs = [
        kind(lab, net.client, suite.SERVER_ADDRESS) for kind in (clients.Curl, clients.Lftp)
    ]
    for server_name, start in servers.ALL.items():
        server = start(lab, net.server, tls=True)
        for place in topology.PLACEMENTS:
            net.firewall(place, topology.OPEN)
            check(
                t, f"{server_name}, {place} open", programs, "works",
                lambda c, mode: [c.transfer(mode, op, server.site) for op in clients.OPERATIONS],
            )  # fmt: skip
            if place == topology.SERVER:
                check_tls(t, server_name, programs, server.site)
            for admit in topology.ADMITS:
                if admit == "mark" and server_name != "vsftpd":
                    continue
                net.firewall(place, topology.strict(place, admit))
                net.forget_flows()
                check(
                    t, f"{server_name}, {place} strict ({admit})", programs, "fails",
                    lambda c, mode: fails(c, mode, "download"),
                )  # fmt: skip
            net.clear_firewall(place)
        server.stop()
