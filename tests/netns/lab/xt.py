# SPDX-License-Identifier: GPL-2.0-or-later
"""iptables: both backends, both families, with the extensions of this tree, and strict firewalls made
only of its rules.

The programs are the unpacked ones, or the host's. They take our extensions from the build directory and
all others from where their package has them, lock a file of the lab's own, and see no configuration of
pinholed but the one that a test gives them.
"""

import ctypes.util
import glob
import os
import shutil
import subprocess

from . import tap
from .daemon import BUILD
from .netns import TOOLS, CommandFailed, environment, tool
from .topology import CLIENT, PLACEMENTS, ROUTER, SERVER

EXTENSIONS = os.path.join(BUILD, "xt-ext")
OLD_KERNEL = os.path.join(BUILD, "xt", "oldkernel.so")  # tests/xt/oldkernel.c
BACKENDS = ("nft", "legacy")
FAMILIES = (4, 6)
TABLES = {"filter": ("INPUT", "FORWARD", "OUTPUT"),
          "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
          "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}  # fmt: skip


def require():
    """Ends the test file with a loud skip where the extensions or iptables are not to be had."""
    if not os.access(os.path.join(EXTENSIONS, "libxt_pinhole.so"), os.R_OK):
        tap.skip_all("built without the iptables extensions (WITH_XT=no, or no libxtables)")
    if not any(shutil.which(f"iptables-{b}", path=environment()["PATH"]) for b in BACKENDS):
        tap.skip_all("no iptables among the unpacked packages or on this host")


def _system_extensions(program):
    """Where the package that has this program keeps its own extensions."""
    base = TOOLS if program.startswith(TOOLS) else ""
    found = glob.glob(f"{base}/usr/lib*/xtables") + glob.glob(f"{base}/usr/lib/*/xtables")
    if not found:
        raise CommandFailed(f"no extensions of iptables' own below {base}/usr/lib")
    return found


def _sanitizers():
    """What a program that is not sanitized has to load before a library that is."""
    if not BUILD.rstrip("/").endswith("/san"):
        return []
    names = [ctypes.util.find_library(name) for name in ("asan", "ubsan")]
    if not all(names):
        paths = [subprocess.check_output(["cc", f"-print-file-name=lib{n}.so"], text=True).strip()
                 for n in ("asan", "ubsan")]  # fmt: skip
        return paths
    return names


class Xt:
    """One backend and family, and the environment that its programs run in."""

    def __init__(self, lab, backend, family, conf=None, preload=()):
        self.lab, self.backend, self.family = lab, backend, family
        self.name = f"{'iptables' if family == 4 else 'ip6tables'}-{backend}"
        self.conf = conf or os.path.join(lab.tmp, "no-pinholed.conf")
        self.preload = list(preload)

    def environment(self, program):
        path, env = tool(program)
        preload = _sanitizers() + self.preload
        if preload:
            env.update(LD_PRELOAD=":".join(preload), ASAN_OPTIONS="detect_leaks=0")
        libdir = os.pathsep.join([EXTENSIONS, *_system_extensions(path)])
        return path, dict(env, XTABLES_LIBDIR=libdir, PINHOLED_CONF=self.conf,
                          XTABLES_LOCKFILE=os.path.join(self.lab.tmp, "xtables.lock"))  # fmt: skip

    def execute(self, ns, program, *words, stdin=None):
        path, env = self.environment(program)
        with ns.entered():
            return subprocess.run([path, *words], env=env, input=stdin or "", capture_output=True,
                                  text=True, timeout=30)  # fmt: skip

    def run(self, ns, *words):
        return self.execute(ns, self.name, *words)

    def sh(self, ns, *words):
        return checked(self.run(ns, *words)).stdout

    def restore(self, ns, text, *words):
        return checked(self.execute(ns, f"{self.name}-restore", *words, stdin=text))

    def save(self, ns, table=None):
        """The rules as iptables-save has them, without counters and comments."""
        words = ["-t", table] if table else []
        text = checked(self.execute(ns, f"{self.name}-save", *words)).stdout
        lines = [line.split(" [")[0] for line in text.splitlines() if not line.startswith("#")]
        return "".join(f"{line}\n" for line in lines)

    def clear(self, ns):
        """No rule of this backend and family is left there."""
        for table in self.save(ns).splitlines():
            if table.startswith("*"):
                chains = "".join(f":{chain} ACCEPT\n" for chain in TABLES[table[1:]])
                self.restore(ns, f"{table}\n{chains}COMMIT\n")

    def lacking(self, ns):
        """Why this cannot be used here, or None. Asks for what every test here needs."""
        if not shutil.which(self.name, path=environment()["PATH"]):
            return f"no {self.name} here"
        for words in (["-t", "mangle", "-S"], ["-S"]):
            done = self.run(ns, *words)
            if done.returncode != 0:
                return f"{self.name} {' '.join(words)}: {done.stderr.splitlines()[0]}"
        return None


def checked(done):
    if done.returncode != 0:
        words = " ".join([os.path.basename(done.args[0]), *done.args[1:]])
        raise CommandFailed(f"{words}: {done.returncode}: {done.stderr}{done.stdout}")
    return done


def usable(t, lab, ns, **options):
    """All that can be used here; of the others a loud skip tells."""
    found = []
    for backend in BACKENDS:
        for family in FAMILIES:
            xt = Xt(lab, backend, family, **options)
            why = xt.lacking(ns)
            if why:
                t.skip(xt.name, why)
            else:
                found.append(xt)
    return found


def backends(t, lab, ns):
    """[(backend, {family: Xt})] of those that can be used for both families."""
    found = usable(t, lab, ns)
    by = {b: {xt.family: xt for xt in found if xt.backend == b} for b in BACKENDS}
    return [(b, xts) for b, xts in by.items() if len(xts) == len(FAMILIES)]


# --- firewalls ----------------------------------------------------------------------------------

EVERYWHERE = ("INPUT", "FORWARD", "OUTPUT")
# The chain in which a place meets the client's packets to the server.
TOWARD = {SERVER: "INPUT", ROUTER: "FORWARD", CLIENT: "OUTPUT"}
assert set(TOWARD) == set(PLACEMENTS)


def strict(family, rules, admit="-m pinhole -j ACCEPT"):
    """Default drop in all three chains, as text for iptables-restore. It accepts what is established,
    what `admit` says (None: nothing), loopback and ICMP, and the rules given, which are lines of -A."""
    icmp = {4: "icmp", 6: "ipv6-icmp"}[family]
    lines = [f":{chain} DROP" for chain in EVERYWHERE]
    lines += ["-A INPUT -i lo -j ACCEPT", "-A OUTPUT -o lo -j ACCEPT"]
    for chain in EVERYWHERE:
        lines += [
            f"-A {chain} -m conntrack --ctstate INVALID -j DROP",
            f"-A {chain} -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            f"-A {chain} {admit}" if admit else "",
            f"-A {chain} -p {icmp} -j ACCEPT",
        ]
    lines += rules
    return "".join(f"{line}\n" for line in ["*filter", *filter(None, lines), "COMMIT"])


def dropped(xt, ns):
    """Packets that the policies of all chains have dropped."""
    text = checked(xt.execute(ns, f"{xt.name}-save", "-c", "-t", "filter")).stdout
    return sum(int(line.split("[")[1].split(":")[0]) for line in text.splitlines() if line.startswith(":"))
