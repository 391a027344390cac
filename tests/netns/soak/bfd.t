#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""BFD for a minute on a busy machine: pinholed on a router between hosts that run BFD over it and
with it, while every CPU is loaded and while FTP sessions, of which pinholed holds packets, go
through the same firewall and the same daemon. The BFD daemons have real-time priority, pinholed has
not. No session may flap. SOAK_SECONDS says for how long."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import contextlib
import subprocess
import threading

from lab import bfd, bfdscene, servers, suite, tap
from lab.bfdpkt import Wire
from lab.bfdscene import MARGIN, Scene
from lab.clients import PASSIVE, Curl
from lab.topology import ADMITS

SECONDS = float(os.environ.get("SOAK_SECONDS", 60))
FTP_SESSIONS = 100
FTP_CONTROL = "tcp dport 21 ct state new accept"


@contextlib.contextmanager
def loaded():
    """Every CPU has somebody who wants all of it, with the priority of everybody else."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


class Transfers:
    """FTP sessions through the party's router, each a client of its own, a few at a time for as long
    as all this takes and at least as many as were asked for."""

    def __init__(self, lab, party, site):
        self.site = site
        self.client = Curl(lab, party.net.client, suite.SERVER_ADDRESS)
        self.enough = threading.Event()
        self.done = 0
        self.lock = threading.Lock()

    def worker(self, mode):
        while not (self.enough.is_set() and self.done >= FTP_SESSIONS):
            self.client.transfer(mode, "download", self.site, connect_timeout=20, max_time=30)
            with self.lock:
                self.done += 1

    @contextlib.contextmanager
    def running(self):
        errors = []
        jobs = [lambda m=m: self.worker(m) for m in PASSIVE for _ in range(2)]
        thread = threading.Thread(target=lambda: errors.extend(suite.at_once(jobs, len(jobs))))
        thread.start()
        try:
            yield
        finally:
            self.enough.set()
            thread.join()
        bfd.raise_first(errors)


def soak(t, lab, wire, scenes, site):
    admit = scenes[0].admit
    bfd.raise_first(bfdscene.at_once_each(scenes, Scene.begin))
    limit = {scene: scene.party.slow() + MARGIN for scene in scenes}
    for scene, error in zip(scenes, bfdscene.at_once_each(scenes, lambda s: s.up_in_time(limit[s] + MARGIN))):
        with t.case(f"{admit}: {scene.party.name}: Up"):
            if error:
                raise error
    with t.case(f"{admit}: {FTP_SESSIONS} FTP sessions and more at the same time"), loaded():
        transfers = Transfers(lab, scenes[0].party, site)
        with transfers.running():
            errors = bfdscene.at_once_each(scenes, lambda s: s.steady(SECONDS))
        tap.true(transfers.done >= FTP_SESSIONS, transfers.done)
    t.say(f"{transfers.done} FTP sessions in {SECONDS} s")
    for scene, error in zip(scenes, errors):
        t.explain = scene.log
        slowest = max(f.slowest for s in scene.party.sessions for f in s.flows())
        t.say(f"{scene.party.name}: at most {1000 * slowest:.0f} ms between two packets")
        with t.case(f"{admit}: {scene.party.name}: Up for {SECONDS} s, no flap"):
            if error:
                raise error
            scene.listed()
    for scene in scenes:
        scene.end()
    wire.forget()


with suite.laboratory() as (t, lab, _):
    with Wire() as wire:
        parties = bfd.parties(lab, wire, bfd.pairs(t))
        site = servers.vsftpd(lab, parties[0].net.server).site if parties else None
        for admit in ADMITS if parties else ():
            scenes = [Scene(lab, p, "router", admit, extra=(FTP_CONTROL,)) for p in parties]
            soak(t, lab, wire, scenes, site)
