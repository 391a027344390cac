# SPDX-License-Identifier: GPL-2.0-or-later
"""rsh and rexec: in.rshd of rsh-redone and in.rexecd of netkit behind a little inetd, rsh-redone and
the C library's rcmd_af(3) and rexec_af(3) as clients. Everybody may do everything there: the servers
run where our files lie over /etc/pam.d, /etc/passwd and what names hosts."""

import os
import signal
import subprocess
import sys

from . import poll, tap
from .netns import missing_tools, tool
from .topology import ADDRESS, CLIENT, ROUTER_ADDRESS

SHELL, EXEC = 514, 512
FIXED = (f"tcp dport {{ {EXEC}, {SHELL} }} ct state new accept",)
PROGRAMS = ("in.rshd", "in.rexecd", "rsh-redone-rsh")
LAB = os.path.dirname(os.path.abspath(__file__))


def absent():
    """Why there can be no rsh here, or "": Debian 13 has dropped the last rshd."""
    if gone := missing_tools(PROGRAMS):
        return gone
    if not any(
        os.path.exists(f"{lib}/security/pam_permit.so")
        for lib in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64")
    ):
        return "no PAM on this machine"
    return ""


def require():
    """Ends the test file with a loud skip when there can be none."""
    if why := absent():
        tap.skip_all(why)


def servers(lab, ns, names):
    """Both servers; names: {address: name} of the clients, which these servers want to know."""
    home = f"{ns.name}-etc"
    for service in ("rsh", "rexec", "other"):
        kinds = "".join(f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "session"))
        lab.file(f"{home}/pam.d/{service}", kinds)
    lines = "".join(f"{address} {name}\n" for address, name in {"127.0.0.1": "localhost", **names}.items())
    lab.file(f"{home}/hosts", lines)
    # Its shell is to read no startup files of this machine's root.
    lab.file(f"{home}/passwd", f"root:x:0:0:root:{lab.dir(f'{home}/home')}:/bin/sh\n")
    lab.file(f"{home}/nsswitch.conf", "hosts: files\npasswd: files\ngroup: files\nshadow: files\n")
    binds = " && ".join(f'mount --bind "$0/{f}" /etc/{f}' for f in ("pam.d", "hosts", "passwd", "nsswitch.conf"))
    rshd, env = tool("in.rshd")
    rexecd, _ = tool("in.rexecd")
    inetd = lab.serve(
        ns,
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", binds + ' && exec "$@"',
         os.path.join(lab.tmp, home), sys.executable, "-B", os.path.join(LAB, "inetd.py"),
         f"{SHELL}={rshd}", f"{EXEC}={rexecd}"],
        f"{ns.name}-inetd", SHELL, env=env,
    )  # fmt: skip
    return Servers(ns, inetd)


class Servers:
    def __init__(self, ns, inetd):
        self.ns, self.inetd = ns, inetd

    def settle(self):
        """Ends those that still try to connect back to where a client was, and by now might be another."""
        self.inetd.signal(signal.SIGUSR1)
        trying = ("ss", "-Htn", "state", "syn-sent")
        poll.until(lambda: not self.ns.sh(*trying), lambda: f"nobody to try any more: {self.ns.sh(*trying)}")

    def stop(self):
        return self.inetd.stop()


def names():
    return {ADDRESS[CLIENT, f]: f"client{f}" for f in (4, 6)} | {
        ROUTER_ADDRESS[CLIENT, f]: f"gate{f}" for f in (4, 6)
    }


class Client:
    """One way of running a command on the server, as root."""

    def __init__(self, ns, address):
        self.ns, self.address = ns, address

    def run(self, family, command, seconds=10):
        words, env = self.words(family, command)
        try:
            return self.ns.run(words, env=env, timeout=seconds)
        except subprocess.TimeoutExpired as e:
            return subprocess.CompletedProcess(words, 124, "", f"timeout {e.timeout}")

    def works(self, family, seconds=10):
        done = self.run(family, "echo to-stdout; echo to-stderr >&2; cat", seconds)
        if done.returncode != 0 or done.stdout != "to-stdout\n" or done.stderr != self.stderr:
            raise tap.Failure(f"{self.name}: {done.returncode} {done.stdout!r} {done.stderr!r}")

    def fails(self, family):
        try:
            self.works(family, 2)
        except tap.Failure:
            return True
        return False


class RshRedone(Client):
    name = "rsh-redone"
    service = "rsh"
    stderr = ""  # it accepts that connection, reads from it, and forgets to write it out

    def words(self, family, command):
        path, env = tool("rsh-redone-rsh")
        return [path, f"-{family}", "-l", "root", self.address[family], command], env


class Library(Client):
    stderr = "to-stderr\n"

    def words(self, family, command):
        words = [sys.executable, "-B", os.path.join(LAB, "rcmd.py"), self.service, str(self.port)]
        return [*words, str(family), self.address[family], command], tool("rsh-redone-rsh")[1]


class Rcmd(Library):
    name, service, port = "rcmd(3)", "rsh", SHELL


class Rexec(Library):
    name, service, port = "rexec(3)", "rexec", EXEC


ALL = (RshRedone, Rcmd, Rexec)
