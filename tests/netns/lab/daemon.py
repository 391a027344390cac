# SPDX-License-Identifier: GPL-2.0-or-later
"""pinholed and pinholectl in a namespace."""

import json
import os
import re
import signal
import socket
import subprocess

from . import poll
from .netns import ROOT, CommandFailed, environment

BUILD = os.environ.get("PH_BUILD", os.path.join(ROOT, "build"))
PINHOLED = os.path.join(BUILD, "pinholed")
PINHOLECTL = os.path.join(BUILD, "pinholectl")
TABLE = "pinholed"


def built():
    return os.access(PINHOLED, os.X_OK) and os.access(PINHOLECTL, os.X_OK)


def config(admit="related", timeout=60, tls="closed", limits=None, extra="", ports="21"):
    limit_lines = "".join(f"\t{key} = {value}\n" for key, value in (limits or {}).items())
    return (
        f"admit = {admit}\n"
        f"{extra}"
        f"limits {{\n{limit_lines}}}\n"
        "service ftp {\n"
        "\tenabled = true\n"
        f"\tports = {{ {ports} }}\n"
        f"\ttimeout = {timeout}\n"
        f"\ttls = {tls}\n"
        '\twindow = "32768-60999"\n'
        "}\n"
    )


class Daemon:
    """One pinholed. Keyword arguments are those of config()."""

    def __init__(self, lab, ns, name=None, **settings):
        self.lab, self.ns = lab, ns
        self.name = name or f"pinholed-{ns.name}"
        self.run_dir = lab.dir(f"{self.name}-run")
        self.conf = lab.file(f"{self.name}.conf", config(**settings))
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        """A case that failed must not leave a daemon behind for the next one."""
        if self.process.running():
            self.process.kill()

    def configure(self, **settings):
        """Takes effect at the next start or reload."""
        self.lab.file(f"{self.name}.conf", config(**settings))

    def spawn(self, notify=None):
        # In a sanitized build the search for leaks at exit needs ptrace, which seccomp denies.
        env = environment(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "detect_leaks=0"))
        if notify:
            env["NOTIFY_SOCKET"] = notify
        self.process = self.lab.spawn(
            self.ns, [PINHOLED, "-c", self.conf, "-r", self.run_dir], self.name, env=env
        )
        return self.process

    def start(self, seconds=10):
        """Starts it and waits for READY=1."""
        path = os.path.join(self.lab.tmp, f"{self.name}.notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(0.02)
            process = self.spawn(path)

            def ready():
                if not process.running():
                    raise CommandFailed(f"pinholed ended at start: {process.log()}")
                try:
                    return b"READY=1" in notify.recv(4096).split(b"\n")
                except socket.timeout:
                    return False

            try:
                poll.until(ready, lambda: f"READY=1 from pinholed: {process.log()}", seconds, 0)
            finally:
                os.unlink(path)
        return self

    def stop(self):
        """SIGTERM; returns the exit status."""
        return self.process.stop()

    def kill(self):
        return self.process.kill()

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.process.signal(signal.SIGHUP)

    def log(self):
        return self.process.log() if self.process else ""

    # --- pinholectl ---

    def ctl_run(self, *words, **kw):
        return self.ns.run([PINHOLECTL, "-r", self.run_dir, *map(str, words)], **kw)

    def ctl(self, *words):
        done = self.ctl_run(*words)
        if done.returncode != 0:
            raise CommandFailed(
                f"pinholectl {' '.join(map(str, words))}: {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done.stdout

    def ctl_json(self, *words):
        return json.loads(self.ctl("--json", *words))

    def ctl_popen(self, *words):
        """For `watch`: a process with its output in a pipe."""
        return self.ns.popen(
            [PINHOLECTL, "-r", self.run_dir, *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def pinholes(self, state=None):
        found = self.ctl_json("list")["pinholes"]
        return [p for p in found if state in (None, p["state"])]

    def sessions(self):
        return self.ctl_json("sessions")["sessions"]

    def counter(self, word):
        """A counter of `pinholectl stats`, wherever it stands in the object; 0 if it is not there."""
        return _find(self.ctl_json("stats"), word) or 0

    def memory(self):
        """KiB in use; 0 in a sanitized build, where the figure says nothing."""
        with open(f"/proc/{self.process.pid}/maps") as f:
            if "libasan" in f.read():
                return 0
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    # --- the kernel's side ---

    def table(self):
        """Our table as nft lists it, or None when there is none."""
        done = self.ns.run(["nft", "list", "table", "inet", TABLE])
        return done.stdout if done.returncode == 0 else None

    def elements(self):
        """Elements of all pinhole sets. From nft's text: some versions print broken JSON of sets
        whose elements carry a limit."""
        blocks = re.findall(r"elements = \{([^}]*)\}", self.table() or "")
        return [e.strip() for block in blocks for e in block.split(",")]

    def nothing_left(self, seconds=5.0):
        """Waits until no pinhole is listed and no element is left."""
        poll.until(
            lambda: not self.pinholes() and not self.elements(),
            lambda: f"no pinhole to be left: {self.pinholes()} {self.elements()}",
            seconds,
        )


def _find(tree, word):
    if isinstance(tree, dict):
        if word in tree and not isinstance(tree[word], (dict, list)):
            return tree[word]
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            value = _find(branch, word)
            if value is not None:
                return value
    return None
