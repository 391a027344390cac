# SPDX-License-Identifier: GPL-2.0-or-later
"""What the measurements share: a client, a router and a server in namespaces of their own, programs
beside them, and how figures of several rounds are put into words."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = f"phb-{os.getpid()}-"
MARK_RULE = "ct mark & 0x20000000 != 0 accept"
build = f"{ROOT}/build"  # or what the command line says


def say(*words):
    print(*words, flush=True)


def built(name):
    return f"{build}/{name}"


CPUS = sorted(os.sched_getaffinity(0))


def measured(cpu):
    """
    For what is measured: one CPU, and SCHED_FIFO with one priority for all. So the other programs of
    this machine are not in the figures, and who runs next is who was woken first.
    """
    def apply():
        os.sched_setaffinity(0, {cpu})
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            os.write(2, b"no real-time scheduling here: expect noise\n")
    return apply


def sh(*argv, stdin=None, cpu=None):
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True,
                          preexec_fn=None if cpu is None else measured(cpu))
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}\n{stdin or ''}")
    return done.stdout


# --- a client, a router and a server ------------------------------------------------------------


class Net:
    """client -- router -- server, each a network namespace; index tells several of them apart."""

    def __init__(self, index=0):
        self.client, self.router, self.server = (
            f"{PREFIX}{index}{end}" for end in ("c", "r", "s"))
        self.client_address, self.server_address = f"10.{index}.1.2", f"10.{index}.2.2"
        self.index = index

    def __enter__(self):
        for ns in (self.client, self.router, self.server):
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        for ns, end, net in ((self.client, "c", 1), (self.server, "s", 2)):
            sh("ip", "-n", self.router, "link", "add", end, "type", "veth",
               "peer", "name", "eth0", "netns", ns)
            sh("ip", "-n", self.router, "addr", "add", f"10.{self.index}.{net}.1/24", "dev", end)
            sh("ip", "-n", self.router, "link", "set", end, "up")
            sh("ip", "-n", ns, "addr", "add", f"10.{self.index}.{net}.2/24", "dev", "eth0")
            sh("ip", "-n", ns, "link", "set", "eth0", "up")
            sh("ip", "-n", ns, "route", "add", "default", "via", f"10.{self.index}.{net}.1")
        self.inside(self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        return self

    def __exit__(self, *_):
        for ns in (self.client, self.router, self.server):
            subprocess.run(("ip", "netns", "del", ns), stderr=subprocess.DEVNULL)

    @staticmethod
    def inside(ns, *argv, stdin=None):
        return sh("ip", "netns", "exec", ns, *argv, stdin=stdin)

    def firewall(self, ns, text):
        self.inside(ns, "nft", "-f", "-", stdin="flush ruleset\n" + text)

    def reset(self, ns):
        """Neither rules nor connections are left; the next run begins like the first."""
        self.inside(ns, "nft", "flush", "ruleset")
        subprocess.run(("ip", "netns", "exec", ns, "conntrack", "-F"), capture_output=True)


class Helper:
    """A process beside the firewall that has said it is ready; ended by its own pid only."""

    def __init__(self, ns, cpu, *argv, conf=""):
        self.argv, self.cpu, self.conf = ("ip", "netns", "exec", ns, *argv), cpu, conf

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix=PREFIX)
        with open(self.dir.name + "/conf", "w") as f:
            f.write(self.conf)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.dir.name + "/notify")
        self.notify.settimeout(20)
        argv = [word.replace("@", self.dir.name) for word in self.argv]
        self.process = subprocess.Popen(
            argv, env=os.environ | {"NOTIFY_SOCKET": self.dir.name + "/notify"},
            preexec_fn=measured(self.cpu))
        try:
            while b"READY=1" not in self.notify.recv(4096):
                pass
        except TimeoutError:
            self.__exit__()
            sys.exit(f"{' '.join(argv)}: not ready")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.notify.close()
        self.dir.cleanup()

    def cpu_ns(self):
        with open(f"/proc/{self.process.pid}/schedstat") as f:
            return int(f.read().split()[0])


# --- figures ---------------------------------------------------------------------------------------


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def column(runs, key):
    return [run[key] for run in runs]


def paired(runs, others, key, how):
    """Median over the rounds of one run against the other run of the same round."""
    return statistics.median(how(a[key], b[key]) for a, b in zip(runs, others))


def ratio(a, b):
    return a / b
