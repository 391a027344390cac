# SPDX-License-Identifier: GPL-2.0-or-later
"""What every test file begins with: may it run here at all, and a laboratory for it."""

import concurrent.futures
import contextlib
import os
import sys

from . import daemon, tap
from .netns import Lab
from .topology import ADDRESS, SERVER, Topology

SERVER_ADDRESS = {family: ADDRESS[SERVER, family] for family in (4, 6)}


@contextlib.contextmanager
def laboratory(needs_daemon=True):
    """Yields (tap, lab, topology); finishes the TAP output."""
    if os.geteuid() != 0:
        tap.skip_all("network namespaces need root")
    if needs_daemon and not daemon.built():
        print(f"Bail out! {daemon.PINHOLED} and {daemon.PINHOLECTL} have to be built first")
        sys.exit(2)
    results = tap.Tap()
    with Lab() as lab:
        yield results, lab, Topology(lab)
    results.done()


def at_once(jobs, workers=8):
    """Runs callables side by side; [exception or None, ...] in their order."""

    def attempt(job):
        try:
            job()
        except Exception as e:
            return e

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(attempt, jobs))
