# SPDX-License-Identifier: GPL-2.0-or-later
"""Test Anything Protocol for prove(1): one `with case(...)` block is one test.

    t = tap.Tap()
    with t.case("what should be so"):
        tap.equal(got, wanted)
    t.done()
"""

import contextlib
import os
import sys
import time
import traceback


class Failure(AssertionError):
    """A check that does not hold."""


def true(value, message):
    if not value:
        raise Failure(message)


def equal(got, wanted, message=""):
    if got != wanted:
        raise Failure(f"{message + ': ' if message else ''}got {got!r}, wanted {wanted!r}")


def contains(text, part, message=""):
    if part not in text:
        raise Failure(f"{message + ': ' if message else ''}no {part!r} in {text!r}")


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0
        self.explain = None  # called after a failed case, to say more
        sys.stdout.reconfigure(line_buffering=True)

    def say(self, text):
        for line in str(text).splitlines():
            print(f"# {line}")

    def _result(self, good, name, extra=""):
        self.count += 1
        self.failed += not good
        print(f"{'' if good else 'not '}ok {self.count} - {name.replace('#', '')}{extra}")

    @contextlib.contextmanager
    def case(self, name):
        start = time.monotonic()
        try:
            yield
        except Exception as e:  # not SystemExit or KeyboardInterrupt: those end the run
            self._result(False, name)
            self.complain(e)
        else:
            self._result(True, name)
        if os.environ.get("TIMES"):
            self.say(f"{time.monotonic() - start:.2f} s")

    def complain(self, error):
        """Failed tests explain themselves on stderr, where prove shows it."""
        text = str(error) if isinstance(error, Failure) else traceback.format_exc()
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{os.path.basename(f.filename)}:{f.lineno}" for f in frames[1:]]
        lines = [f"{' > '.join(where)}", *text.splitlines()]
        if self.explain:
            lines += str(self.explain()).splitlines()[-15:]
        print("".join(f"#   {line}\n" for line in lines), end="", file=sys.stderr)

    def skip(self, name, why):
        self._result(True, name, f" # SKIP {why}")
        left_out(name, why)

    def done(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


def left_out(what, why):
    """Said where prove shows it."""
    print(f"#   SKIPPED: {what}: {why}", file=sys.stderr)


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    left_out(f"all of {os.path.basename(sys.argv[0])}", why)
    sys.exit(0)
