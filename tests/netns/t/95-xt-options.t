#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The iptables extensions' options, over both backends and both families: the lines of tests/xt/*.t,
each added, listed, found (-C), saved and restored, and deleted; wrong ones, which change nothing and
end with status 2; the mask of the configuration; a kernel without the newest revision."""

import os
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import daemon, suite, tap, xt
from lab.netns import ROOT

LINES = os.path.join(ROOT, "tests", "xt")
NAMES = ("libxt_pinhole", "libxt_PINHOLE")


def lines(name):
    """(table, chains, option, expected, good) of each line of a file."""
    table, chains = "filter", ()
    with open(os.path.join(LINES, f"{name}.t")) as f:
        for line in map(str.strip, f):
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                chains = line[1:].split(",")
            elif line and not line.startswith("#"):
                option, expected, word = line.split(";")
                if word not in ("OK", "FAIL"):
                    raise ValueError(f"{name}.t: {line}")
                yield table, chains, option, option if expected == "=" else expected, word == "OK"


def rules_of(ip, ns, table):
    return [line for line in ip.sh(ns, "-t", table, "-S").splitlines() if line.startswith("-A")]


def good_line(ip, ns, table, chain, option, expected):
    words = shlex.split(option)
    ip.sh(ns, "-t", table, "-A", chain, *words)
    tap.equal(rules_of(ip, ns, table), [f"-A {chain} {expected}"], "listed")
    ip.sh(ns, "-t", table, "-C", chain, *words)
    ip.sh(ns, "-t", table, "-C", chain, *shlex.split(expected))
    saved = ip.save(ns, table)
    ip.sh(ns, "-t", table, "-F")
    ip.restore(ns, saved)
    tap.equal(ip.save(ns, table), saved, "saved, restored and saved again")
    ip.sh(ns, "-t", table, "-C", chain, *words)
    ip.sh(ns, "-t", table, "-D", chain, *words)
    tap.equal(rules_of(ip, ns, table), [], "after -D")
    # The real name is as good a name for what was added by the alias, and the other way round.
    ip.sh(ns, "-t", table, "-A", chain, *shlex.split(expected))
    ip.sh(ns, "-t", table, "-D", chain, *words)
    tap.equal(rules_of(ip, ns, table), [], "after -D of the real name's rule")


def bad_line(ip, ns, table, chain, option, expected):
    before = ip.save(ns)
    done = ip.run(ns, "-t", table, "-A", chain, *shlex.split(option))
    tap.equal(done.returncode, 2, f"exit status of {option}: {done.stderr}")
    tap.contains(done.stderr, expected)
    tap.contains(done.stderr, f"{ip.name.split('-')[0]} v")  # iptables' own kind of error
    tap.equal(ip.save(ns), before, "rules")


def each_line(t, ns, usable):
    for name in NAMES:
        for table, chains, option, expected, good in lines(name):
            with t.case(f"{'' if good else 'refused: '}{option}"):
                for ip in usable:
                    for chain in chains if good else chains[:1]:
                        (good_line if good else bad_line)(ip, ns, table, chain, option, expected)


def files(t, ns, ip):
    """All good lines in one file for iptables-restore; and one bad line among good ones."""
    rules = [f"-A {chain} {option}" for name in NAMES for table, chains, option, _, good in lines(name)
             if good and table == "filter" for chain in chains]  # fmt: skip
    listed = [f"-A {chain} {expected}" for name in NAMES for table, chains, _, expected, good in lines(name)
              if good and table == "filter" for chain in chains]  # fmt: skip
    with t.case(f"{ip.name}: a file of {len(rules)} such rules"):
        ip.restore(ns, "*filter\n" + "".join(f"{r}\n" for r in rules) + "COMMIT\n")
        tap.equal(sorted(rules_of(ip, ns, "filter")), sorted(listed), "listed")
    with t.case(f"{ip.name}: a file with one bad line among good ones changes nothing, status 2"):
        before = ip.save(ns)
        text = "*filter\n-A INPUT -m pinhole -j ACCEPT\n-A INPUT -m pinhole --service gopher -j ACCEPT\nCOMMIT\n"
        done = ip.execute(ns, f"{ip.name}-restore", stdin=text)
        tap.equal(done.returncode, 2, done.stderr)
        tap.contains(done.stderr, "gopher")
        tap.equal(ip.save(ns), before, "rules")
    ip.clear(ns)


def helps(t, ns, ip):
    with t.case(f"{ip.name}: -m pinhole --help and -j PINHOLE --help tell of every option and service"):
        text = ip.sh(ns, "-m", "pinhole", "--help")
        for word in ("pinhole match options:", "[!] --service", "[!] --control", "--mask",
                     "ftp sunrpc bfd tftp rsh rexec; with --control also nfs", "connmark"):  # fmt: skip
            tap.contains(text, word)
        text = ip.sh(ns, "-j", "PINHOLE", "--help")
        for word in ("PINHOLE target options:", "--track", "--mask", "ftp sunrpc tftp rsh rexec\n", "CONNMARK"):
            tap.contains(text, word)


# Configurations, and the mask that both the daemon and iptables see in them; None: both refuse.
# (To libconfuse a comment without an end is one; iptables refuses it. That is not among these.)
CONFIGURATIONS = (
    ("", 0x3F000000),
    ("mark-mask = 0xfc0\n", 0xFC0),
    ("# mark-mask = 0x3f\nmark-mask=63", 0x3F),
    ("admit = mark\nservice ftp { ports = { 21, 2121 } }\nmark-mask = \"0x7e\"\n", 0x7E),
    ("/* mark-mask = 0x3f */ queue-base = 1 // mark-mask = 0x3f\n", 0x3F000000),
    ("service ftp {\n\twindow = '40000-50000' # }\n}\nmark-mask\n=\n0xFC", 0xFC),
    ("mark-mask = 0xff\n", None),
    ("mark-mask = 0x3f\nmark-mask = 0x3f\n", None),
    ("mark-mask = { 0x3f }\n", None),
    ("mark-mask = 0x3f00000000\n", None),
    ("mark-mask = ${NO_SUCH_VARIABLE}\n", None),
    ("mark-mask 0x3f\n", None),
    ("mark-mask =", None),
    ("service ftp {\nmark-mask = 0x3f\n", None),
    ("admit = \"mark\nmark-mask = 0x3f\n", None),
)


def default_masks(t, lab, ns, backend):
    conf = lab.file("pinholed.conf", "")
    ip = xt.Xt(lab, backend, 4, conf=conf)
    for text, mask in CONFIGURATIONS:
        with t.case(f"{ip.name}: the mask of {text!r}"):
            lab.file("pinholed.conf", text)
            checked = ns.run([daemon.PINHOLECTL, "check-config", conf])
            tap.equal(checked.returncode == 0, mask is not None, f"check-config: {checked.stdout}{checked.stderr}")
            done = ip.run(ns, "-A", "INPUT", "-m", "pinhole", "-j", "PINHOLE", "--track", "ftp")
            if mask is None:
                tap.equal(done.returncode, 2, done.stderr)
                tap.contains(done.stderr, conf)
                tap.contains(done.stderr, "give --mask")
                tap.equal(rules_of(ip, ns, "filter"), [], "rules")
                # The file does not matter to who says it.
                ip.sh(ns, "-A", "INPUT", "-m", "pinhole", "--mask", "0x3f", "-j", "ACCEPT")
            else:
                one = mask // 0x3F
                tap.equal(done.returncode, 0, done.stderr)
                tap.equal(rules_of(ip, ns, "filter"), [
                    f"-A INPUT -m connmark --mark {0x20 * one:#x}/{0x20 * one:#x} "
                    f"-j CONNMARK --set-xmark {0x11 * one:#x}/{mask:#x}"])  # fmt: skip
        ip.clear(ns)
    with t.case(f"{ip.name}: a configuration that cannot be read, or is none"):
        for path in (lab.dir("a-directory"), lab.file("zeros", b"\0" * 8), lab.file("large", "\n" * (1 << 19))):
            done = xt.Xt(lab, backend, 4, conf=path).run(ns, "-A", "INPUT", "-m", "pinhole")
            tap.equal(done.returncode, 2, done.stderr)
            tap.contains(done.stderr, path)
            tap.equal(rules_of(ip, ns, "filter"), [], "rules")


def older_revision(t, lab, ns, ip):
    """The kernel here has both revisions; here it is asked as if it had only the older one."""
    old = xt.Xt(lab, ip.backend, ip.family, preload=[xt.OLD_KERNEL])
    with t.case(f"{ip.name}: a kernel without revision 2 of CONNMARK"):
        done = old.run(ns, "-A", "INPUT", "-j", "PINHOLE", "--track", "rsh")
        tap.equal(done.returncode, 0, done.stderr)
        tap.contains(done.stderr, "oldkernel: no CONNMARK revision 2")
        if ip.backend == "nft":
            tap.contains(ns.sh("nft", "--debug=netlink", "list", "ruleset"), "name CONNMARK rev 1")
        old.sh(ns, "-D", "INPUT", "-j", "CONNMARK", "--set-xmark", "0x15000000/0x3f000000")
        for option, expected in (("-j PINHOLE --track ftp", "-j CONNMARK --set-xmark 0x11000000/0x3f000000"),
                                 ("-j PINHOLE --mask 0xfc0 --track rsh", "-j CONNMARK --set-xmark 0x540/0xfc0")):  # fmt: skip
            good_line(old, ns, "filter", "INPUT", option, expected)
    ip.clear(ns)


with suite.laboratory() as (t, lab, net):
    xt.require()
    ns = net.client
    usable = xt.usable(t, lab, ns)
    each_line(t, ns, usable)
    for ip in usable:
        files(t, ns, ip)
        helps(t, ns, ip)
        older_revision(t, lab, ns, ip)
    for backend in sorted({ip.backend for ip in usable if ip.family == 4}):
        default_masks(t, lab, ns, backend)
