#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `pinholectl audit` believes of a rule set, held against what the kernel does: random rule sets of
nft and of iptables-nft, real packets, and wherever the answer is a sure yes or no it has to be so.

SEED=N repeats one rule set; RUNS=N makes another number of them."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import collections
import contextlib
import ipaddress
import json
import random
import re
import socket
import subprocess

from lab import daemon, poll, rawpkt, rulegen, tap, xt
from lab.netns import CommandFailed, Lab, environment

ASK = os.path.join(daemon.BUILD, "adapter", "ask_rules")
RUNS = int(os.environ.get("RUNS", 40))
PACKETS = 60
OWN = {4: "10.77.9.1", 6: "fd77:9::1"}
PROBE = """flush ruleset
table inet probe {
	set seen { type ether_addr; flags dynamic; size 65535; }
	set sent4 { type ipv4_addr . inet_service . inet_service; flags dynamic; size 65535; }
	set sent6 { type ipv6_addr . inet_service . inet_service; flags dynamic; size 65535; }
	chain first {
		type filter hook ingress device phh0 priority -1000
		ether saddr 02:00:00:00:00:00-02:00:00:00:ff:ff counter
	}
	chain last { type filter hook input priority 2000; update @seen { ether saddr }; }
	chain out {
		type filter hook postrouting priority 2000
		update @sent4 { ip daddr . th sport . th dport }
		update @sent6 { ip6 daddr . th sport . th dport }
	}
}
"""


class Ground:
    """A host, and a wire to it."""

    def __init__(self, lab):
        self.lab = lab
        self.host, self.peer = lab.netns("walk"), lab.netns("peer")
        self.host.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.host.sh("ip", "link", "add", "phh0", "type", "veth", "peer", "php0", "netns", self.peer.name)
        for line in ("link set phh0 up", f"address add {OWN[4]}/24 dev phh0",
                     f"-6 address add {OWN[6]}/64 dev phh0 nodad", "route add default dev phh0",
                     "-6 route add default dev phh0"):  # fmt: skip
            self.host.sh("ip", *line.split())
        self.peer.sh("ip", "link", "set", "php0", "up")
        for key in ("all", "phh0"):
            self.host.sysctl(f"net.ipv4.conf.{key}.rp_filter", 0)
        # Nobody answers: a flood of errors is not what is looked at.
        self.host.sysctl("net.ipv4.icmp_ratelimit", 100000)
        link = json.loads(self.host.sh("ip", "-j", "link", "show", "phh0"))[0]
        self.wire = rawpkt.Wire(self.peer, "php0", link["address"])

    def load(self, text):
        """What of it is in force then."""

        def load(text):
            with self.host.entered():
                return subprocess.run(["nft", "-f", "-"], input=PROBE + text, capture_output=True, text=True,
                                      env=environment())  # fmt: skip

        return rulegen.sayable(text, load, PROBE.count("\n"))

    def arrived(self):
        text = self.host.sh("nft", "list", "chain", "inet", "probe", "first")
        return int(re.search(r"counter packets (\d+)", text).group(1))

    def seen(self):
        text = self.host.sh("nft", "list", "set", "inet", "probe", "seen")
        return {int(a + b, 16) for a, b in re.findall(r"02:00:00:00:(\w\w):(\w\w)", text)}

    def send(self, packets):
        """The numbers of those that came through."""
        rawpkt.forget_flows(self.host)
        before = self.arrived()
        for number, (family, proto, source, sport, dport) in enumerate(packets, 1):
            data = rawpkt.packet(family, proto, source, OWN[family], sport or 0, dport or 0)
            self.wire.send(data, number)
        poll.until(lambda: self.arrived() >= before + len(packets), "all packets to arrive")
        seen = None
        while seen != (now := self.seen()):
            seen = now
        return seen

    def send_out(self, packets):
        """The numbers of those that left. They are all of one protocol, which the sets do not keep."""
        rawpkt.forget_flows(self.host)
        with self.host.entered():
            four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with four, six:
            for family, proto, peer, sport, dport in packets:
                data = rawpkt.packet(family, proto, OWN[family], peer, sport, dport)
                with contextlib.suppress(PermissionError):  # that is what dropped here means
                    (four if family == 4 else six).sendto(data, (peer, 0))
        sent = set()
        for family in (4, 6):
            text = self.host.sh("nft", "-n", "list", "set", "inet", "probe", f"sent{family}")
            sent |= set(re.findall(r"([0-9a-f.:]+) \. (\d+) \. (\d+)", text))
        return {n for n, p in enumerate(packets, 1) if (p[2], str(p[3]), str(p[4])) in sent}


class Asker:
    """The walker over the rule set as it is now."""

    def __init__(self, host, out):
        self.direction = "out" if out else "in"
        self.popen = host.popen([ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.popen.wait()

    def ask(self, family, proto, peer, own, sport, dport):
        kind = {1: 8, 58: 128}.get(proto, "-")
        ports = ["-" if port is None else port for port in (sport, dport)]
        words = [self.direction, family, proto, kind, peer, own, *ports]
        self.popen.stdin.write(" ".join(map(str, words)) + "\n")
        self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        if not line:
            raise CommandFailed(f"{ASK} ended: {words}")
        return Answer(line, family)


class Answer:
    def __init__(self, line, family):
        self.line = line.strip()
        words = line.split()
        self.upto = int(words[0]), int(words[1])
        sets = collections.defaultdict(list)
        for word in words[2:]:
            if word in ("accepted", "dropped", "translated", "by"):
                key = word
            elif key != "by":
                sets[key].append(self.range(word))
        self.accepted, self.dropped = sets["accepted"], sets["dropped"]

    @staticmethod
    def range(word):
        if "-" in word:
            return tuple(map(ipaddress.ip_address, word.split("-")))
        net = ipaddress.ip_network(word)
        return net[0], net[-1]

    def says(self, source):
        """"yes", "no" or "perhaps"."""
        address = ipaddress.ip_address(source)
        accepted, dropped = (any(lo <= address <= hi for lo, hi in r) for r in (self.accepted, self.dropped))
        if not accepted and not dropped:
            raise tap.Failure(f"{source} comes to no end: {self.line}")
        return "perhaps" if accepted and dropped else "yes" if accepted else "no"


def swept(asker, packet, own):
    """The answer for all sources at once, from ports below that it is said to hold for as well."""
    family, proto, source, sport, dport = packet
    if sport is None:
        return asker.ask(family, proto, "any", own, None, None).says(source)
    at = [dport - dport % 1000 or 1, sport - sport % 1000 or 1]
    while True:
        answer = asker.ask(family, proto, "any", own, at[1], at[0])
        if answer.upto[0] < dport:
            # The source port's end is that of this very port's answer.
            at[0] = answer.upto[0] + 1
        elif answer.upto[1] < sport:
            at[1] = answer.upto[1] + 1
            at[0] = dport - dport % 1000 or 1
        else:
            return answer.says(source)


def compare(ground, packets, counts, out):
    """Complaints."""
    seen = ground.send_out(packets) if out else ground.send(packets)
    wrong = []
    with Asker(ground.host, out) as asker:
        for number, packet in enumerate(packets, 1):
            family, proto, source, sport, dport = packet
            came = number in seen
            answers = {
                "exact": asker.ask(family, proto, source, OWN[family], sport, dport).says(source),
                "no own address": asker.ask(family, proto, source, "-", sport, dport).says(source),
                "any source": asker.ask(family, proto, "any", OWN[family], sport, dport).says(source),
                "swept": swept(asker, packet, OWN[family]),
            }
            for how, answer in answers.items():
                counts[how, answer] += 1
                if answer != "perhaps" and (answer == "yes") != came:
                    wrong.append(f"{packet}, {how}: said {answer}, and it {'came' if came else 'did not'}")
            # What rules have written for some sources and not for others is not kept apart.
            if answers["swept"] != answers["any source"] or answers["exact"] == "perhaps" != answers["swept"]:
                wrong.append(f"{packet}: {answers}")
    return wrong


def check(t, ground, name, seeds, load, counts, out=False):
    wrong, refused = [], 0
    with t.case(name):
        for seed in seeds:
            r = random.Random(seed)
            try:
                text = load(r)
            except CommandFailed as e:
                refused += 1
                if os.environ.get("SEED"):
                    t.say(e)
                continue
            packets = rulegen.packets(r, PACKETS)
            if out:
                proto = r.choice((rulegen.TCP, rulegen.UDP))
                packets = [p for p in packets if p[1] == proto]
            found = compare(ground, packets, counts, out)
            if found:
                wrong.append(f"SEED={seed}: " + "\n".join(found[:4]))
                if os.environ.get("SEED"):
                    t.say(text)
        t.say(f"{len(seeds) - refused} rule sets, seeds {seeds[0]} to {seeds[-1]}; {refused} were refused")
        tap.true(not wrong, f"{len(wrong)} rule sets of {len(seeds)}:\n" + "\n".join(wrong[:6]))
        tap.true(refused < len(seeds) / 2 or len(seeds) == 1, f"{refused} rule sets were refused")


def decided(t, counts):
    """A walker that never decides would never be wrong."""
    with t.case("most answers are sure"):
        for how in ("exact", "no own address"):
            total = sum(n for (h, _), n in counts.items() if h == how)
            sure = total - counts[how, "perhaps"]
            t.say(f"{how}: {sure} of {total}; yes {counts[how, 'yes']}")
            tap.true(sure > total * 0.6, f"{how}: only {sure} of {total}")
            tap.true(counts[how, "yes"] > total * 0.1 and counts[how, "no"] > total * 0.1, "always the same")


def nft_rules(ground, out=False):
    def load(r):
        # What is rewritten on its way out leaves as something else.
        text = rulegen.Nft(r, OWN, rewrites=not out).text()
        return ground.load(rulegen.outwards(text) if out else text)

    return load


def iptables_rules(ground, lab, out=False):
    tools = {f: xt.Xt(lab, "nft", f) for f in (4, 6)}

    def load(r):
        ground.load("")
        text = ""
        for family, tool in tools.items():
            lines = rulegen.Iptables(r, OWN, family).text()
            lines = rulegen.outwards(lines) if out else lines
            done = tool.execute(ground.host, f"{tool.name}-restore", stdin=lines)
            if done.returncode:
                raise CommandFailed(done.stderr + lines)
            text += lines
        return text

    return load


if os.geteuid() != 0:
    tap.skip_all("network namespaces need root")
t = tap.Tap()
with Lab() as lab:
    ground = Ground(lab)
    seeds = [int(os.environ["SEED"])] if os.environ.get("SEED") else range(1, RUNS + 1)
    counts = collections.Counter()
    check(t, ground, "nft: what is said surely is so", seeds, nft_rules(ground), counts)
    check(t, ground, "nft, on the way out", seeds, nft_rules(ground, True), counts, True)
    if xt.Xt(lab, "nft", 4).lacking(ground.host):
        t.skip("iptables-nft: what is said surely is so", "no iptables-nft here")
    else:
        check(t, ground, "iptables-nft: what is said surely is so", seeds, iptables_rules(ground, lab), counts)
        check(t, ground, "iptables-nft, on the way out", seeds, iptables_rules(ground, lab, True), counts, True)
    if len(seeds) > 10:
        decided(t, counts)
    ground.wire.close()
t.done()
