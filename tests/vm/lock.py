# SPDX-License-Identifier: GPL-2.0-or-later
"""lock.py FILE UNTIL: waits for a POSIX lock on all of FILE and holds it until a file UNTIL is there.

Says when, on the clock that all hosts of the machine share.
"""

import fcntl
import os
import sys
import time


def say(what):
    print(f"{what} {time.monotonic():.1f}", flush=True)


path, until = sys.argv[1:]
with open(path, "r+b") as file:
    say("asked")
    fcntl.lockf(file, fcntl.LOCK_EX)
    say("locked")
    while not os.path.exists(until):
        time.sleep(0.05)
    fcntl.lockf(file, fcntl.LOCK_UN)
    say("released")
