#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""What iptables-translate, ip6tables-translate and iptables-restore-translate make of the extensions:
the words, that nft takes them, and that nft and iptables then mean the same: the same marks are matched
and written."""

import os
import re
import shlex
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import poll, suite, tap, xt
from lab.topology import ADDRESS, SERVER

RULES = {
    "-m pinhole -j ACCEPT": "ct mark and 0x20000000 == 0x20000000 counter accept",
    "-m pinhole ! --control -j DROP": "ct mark and 0x10000000 != 0x10000000 counter drop",
    "-m pinhole --service ftp,bfd -j ACCEPT": "ct mark and 0x2d000000 == 0x21000000 counter accept",
    "-m pinhole ! --service rsh --mask 0x3f -j DROP": "ct mark and 0x2f != 0x25 counter drop",
    "-m pinhole -m pinhole ! --service ftp -j ACCEPT":
        "ct mark and 0x20000000 == 0x20000000 ct mark and 0x2f000000 != 0x21000000 counter accept",
    "-j PINHOLE --track ftp": "counter ct mark set ct mark and 0xc0ffffff or 0x11000000",
    "-j PINHOLE --track sunrpc --mask 0xfc0": "counter ct mark set ct mark and 0xfffff03f or 0x480",
    "-p tcp --dport 2121 -m conntrack --ctstate NEW -j PINHOLE --track ftp":
        "tcp dport 2121 ct state new  counter ct mark set ct mark and 0xc0ffffff or 0x11000000",
}  # fmt: skip
NFT_FAMILY = {4: "ip", 6: "ip6"}
BASE = "add table {0} filter\nadd chain {0} filter INPUT {{ type filter hook input priority filter; }}\n"


def squeezed(text):
    return re.sub(r" +", " ", text).strip()


def program(ip, word):
    return f"{ip.name.split('-')[0]}-{word}"


def translated(ip, ns, option):
    """The rule, without the words of the shell's."""
    done = xt.checked(ip.execute(ns, program(ip, "translate"), "-A", "INPUT", *shlex.split(option)))
    words = shlex.split(done.stdout)
    return words[1] if len(words) == 2 else " ".join(words[1:])


def load(ns, family, *rules):
    ns.sh("nft", "-f", "-", stdin=BASE.format(NFT_FAMILY[family]) + "".join(f"{r}\n" for r in rules))


def unload(ns, family):
    ns.sh("nft", "delete", "table", NFT_FAMILY[family], "filter")


def words(t, ns, ip):
    for option, expected in RULES.items():
        with t.case(f"{program(ip, 'translate')} {option}"):
            rule = translated(ip, ns, option)
            tap.equal(squeezed(rule), squeezed(f"add rule {NFT_FAMILY[ip.family]} filter INPUT {expected}"))
            load(ns, ip.family, rule)
            unload(ns, ip.family)
    name = program(ip, "restore-translate")
    with t.case(f"{name}: a file of all these"):
        path = lab.file("rules", "*filter\n:INPUT ACCEPT [0:0]\n" + "".join(f"-A INPUT {o}\n" for o in RULES) + "COMMIT\n")
        text = xt.checked(ip.execute(ns, name, "-f", path)).stdout
        for expected in RULES.values():
            tap.contains(squeezed(text), squeezed(expected))
        ns.sh("nft", "-f", "-", stdin=text)
        unload(ns, ip.family)
    with t.case(f"{program(ip, 'translate')}: what cannot be, is refused"):
        done = ip.execute(ns, program(ip, "translate"), "-A", "INPUT", "-m", "pinhole", "--service", "gopher")
        tap.equal(done.returncode, 2, done.stderr)


# --- the same meaning ---------------------------------------------------------------------------

FIELDS = [flags | svc for flags in (0x10, 0x20, 0x30) for svc in range(1, 7)] + [0]


class Datagrams:
    """One datagram from the client to the server, each a flow of its own; the server's iptables or
    nft rules are what is asked about."""

    def __init__(self, net, family):
        self.net, self.family = net, family
        self.address = ADDRESS[SERVER, family]
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}[family]
        self.receiver = net.server.socket(kind, socket.SOCK_DGRAM)
        self.receiver.bind((self.address, 4000))
        self.receiver.settimeout(5)
        self.sender = net.client.socket(kind, socket.SOCK_DGRAM)

    def pass_one(self):
        self.sender.sendto(b"x", (self.address, 4000))
        self.receiver.recv(16)

    def close(self):
        self.receiver.close()
        self.sender.close()


def hits(ns, family, chain):
    """Packets counted by the first counter of a chain of `table judge`."""
    text = ns.sh("nft", "list", "chain", NFT_FAMILY[family], "judge", chain)
    return int(re.search(r"counter packets (\d+)", text).group(1))


def mark_now(ns):
    text = ns.run(["conntrack", "-L", "-p", "udp"]).stdout + ns.run(["conntrack", "-L", "-f", "ipv6", "-p", "udp"]).stdout
    return int(re.search(r" dport=4000 .*mark=(\d+)", text).group(1))


def same_meaning(t, net, ip):
    """Each field that pinholed writes, as the mark of a flow: iptables' match and the translated one
    count the same; and both targets leave the same mark."""
    ns, family = net.server, ip.family
    options = [o for o in RULES if o.startswith("-m pinhole") and "0x3f" not in o]
    datagrams = Datagrams(net, family)
    for option in options:
        with t.case(f"{ip.name}: {option}: the same flows as its translation"):
            match = option.split(" -j")[0]
            ip.sh(ns, "-t", "mangle", "-A", "INPUT", *shlex.split(match), "-j", "MARK", "--set-mark", "1")
            condition = re.sub(r".* INPUT (.*) counter.*", r"\1", translated(ip, ns, option))
            fam = NFT_FAMILY[family]
            ns.sh("nft", "-f", "-", stdin=f"""
                table {fam} judge {{
                    chain by_nft {{ type filter hook input priority 10; {condition} counter; }}
                    chain by_xt {{ type filter hook input priority 10; meta mark 1 counter; }}
                    chain before {{ type filter hook input priority -160; }}
                }}""")  # fmt: skip
            seen = set()
            for field in FIELDS:
                ns.sh("nft", "-f", "-", stdin=f"flush chain {fam} judge before\n"
                      f"add rule {fam} judge before udp dport 4000 ct mark set {field << 24 | 0x5a:#x}\n")  # fmt: skip
                before = hits(ns, family, "by_nft"), hits(ns, family, "by_xt")
                datagrams.pass_one()
                after = hits(ns, family, "by_nft"), hits(ns, family, "by_xt")
                tap.equal(after[0] - before[0], after[1] - before[1], f"matched, field {field:#x}")
                if after[1] > before[1]:
                    seen.add(field)
            tap.true(0 < len(seen) < len(FIELDS), f"matched {sorted(seen)} of {FIELDS}")
            ns.sh("nft", "delete", "table", fam, "judge")
        ip.clear(ns)
    with t.case(f"{ip.name}: PINHOLE and its translation write the same mark, and only ours"):
        ns.run(["conntrack", "-F"])
        marks = []
        for how in ("iptables", "nft"):
            ns.sh("nft", "-f", "-", stdin=f"""table {NFT_FAMILY[family]} judge {{
                chain before {{ type filter hook input priority -10; udp dport 4000 ct mark set 0xffffffff; }}
            }}""")  # fmt: skip
            rule = "-p udp --dport 4000 -j PINHOLE --track ftp"
            if how == "nft":
                load(ns, family, translated(ip, ns, rule))
            else:
                ip.sh(ns, "-A", "INPUT", *shlex.split(rule))
            datagrams.pass_one()
            marks.append(poll.until(lambda: mark_now(ns), "the flow to be in conntrack"))
            ns.sh("nft", "delete", "table", NFT_FAMILY[family], "judge")
            unload(ns, family) if how == "nft" else ip.clear(ns)
            if ip.backend == "nft" and how == "iptables":
                ns.run(["nft", "delete", "table", NFT_FAMILY[family], "filter"])
        tap.equal(marks, [0xC0FFFFFF | 0x11000000] * 2, "marks")
    datagrams.close()


with suite.laboratory() as (t, lab, net):
    xt.require()
    usable = xt.usable(t, lab, net.server)
    for ip in usable:
        if ip.backend == "nft":  # the translators are its own
            words(t, net.client, ip)
    for ip in usable:
        same_meaning(t, net, ip)
