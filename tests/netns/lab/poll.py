# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a condition, with a deadline."""

import time


class Timeout(Exception):
    """What was waited for did not happen."""


def until(condition, what, seconds=5.0, every=0.01):
    """Returns condition()'s first true value; raises Timeout, naming what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"waited {seconds} s for {what() if callable(what) else what}")
        time.sleep(every)


def stays(condition, what, seconds):
    """Raises Timeout as soon as condition() is false within these seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            raise Timeout(f"{what} did not stay so for {seconds} s")
        time.sleep(0.02)
