# SPDX-License-Identifier: GPL-2.0-or-later
"""Random rule sets for nft and for iptables-nft, made of what firewalls are made of, over few addresses
and ports, so that packets and rules meet often; and the packets for them."""

import ipaddress
import re

from .netns import CommandFailed

PORTS = (21, 22, 23, 80, 81, 443, 1023, 1024, 1025, 8080, 8447, 8448, 40000, 65535)
SPORTS = (20, 53, 514, 1023, 1024, 33000, 65535)
SOURCES = {
    4: ("10.0.0.5", "10.0.0.6", "10.1.2.3", "10.200.0.1", "192.0.2.1", "192.0.2.130", "198.51.100.7",
        "203.0.113.200"),
    6: ("2001:db8::5", "2001:db8::6", "2001:db8:1::3", "2001:db8:ffff::1", "fd00::1", "fd00:0:0:1::80",
        "2a00::7"),
}  # fmt: skip
PREFIXES = {
    4: ("10.0.0.0/8", "10.0.0.0/15", "10.0.0.4/31", "192.0.2.0/25", "192.0.2.128/25", "198.51.100.7",
        "203.0.113.0/24", "0.0.0.0/1"),
    6: ("2001:db8::/32", "2001:db8::/48", "2001:db8::4/127", "fd00::/10", "fd00::/61", "2a00::7", "::/1"),
}  # fmt: skip
TCP, UDP = 6, 17
ICMP = {4: 1, 6: 58}


class Nft:
    """One random rule set of nft's, as text for `nft -f`."""

    def __init__(self, random, own, rewrites=True):
        self.r = random
        self.own = own
        self.rewrites = rewrites  # destinations; and has a chain at ingress
        self.sets = []
        self.n = 0

    # --- pieces -----------------------------------------------------------------------------

    def some(self, pool, least=1, most=4):
        return self.r.sample(pool, self.r.randint(least, min(most, len(pool))))

    def ports(self):
        """One that stands for itself, or a range."""
        lo, hi = sorted(self.some(PORTS, 2, 2))
        return self.r.choice((str(lo), str(lo), f"{lo}-{hi}"))

    def apart(self, pool):
        """Ports and ranges that do not overlap."""
        points = sorted(self.some(pool, 1, 6))
        out = []
        while points:
            lo = points.pop(0)
            if points and self.r.random() < 0.4:
                out.append(f"{lo}-{points.pop(0)}")
            else:
                out.append(str(lo))
        return out

    def prefixes(self, family, exact=False):
        """None within another."""
        out = []
        pool = SOURCES[family] if exact else PREFIXES[family]
        for word in self.some(pool, 1, 5):
            net = ipaddress.ip_network(word)
            if not any(net.overlaps(ipaddress.ip_network(o)) for o in out):
                out.append(word)
        return out

    def named(self, kind, flags, elements, data=""):
        self.n += 1
        name = f"s{self.n}"
        extra = f"flags {flags}; " if flags else ""
        word = "map" if data else "set"
        self.sets.append(f"{word} {name} {{ type {kind}{data}; {extra}elements = {{ {elements} }} }}")
        return f"@{name}"

    def set_of(self, kind, elements, interval):
        text = ", ".join(elements)
        if self.r.random() < 0.5:
            return self.named(kind, "interval" if interval else "", text)
        return f"{{ {text} }}"

    def negation(self):
        return self.r.choice(("", "", "!= "))

    def address(self, family):
        return "ip" if family == 4 else "ip6"

    def kind(self, family):
        return "ipv4_addr" if family == 4 else "ipv6_addr"

    # --- conditions --------------------------------------------------------------------------

    def port_condition(self, family):
        field = self.r.choice(("tcp dport", "tcp dport", "udp dport", "th dport", "tcp sport", "udp sport",
                               "@th,16,16", "th sport"))  # fmt: skip
        pool = SPORTS if "sport" in field else PORTS
        what = self.r.randrange(8)
        if field == "@th,16,16":
            return f"{field} {self.negation()}{self.r.choice(pool)}"
        if what == 0:
            return f"{field} {self.negation()}{self.r.choice(pool)}"
        if what == 1:
            lo, hi = sorted(self.some(pool, 2, 2))
            return f"{field} {self.negation()}{lo}-{hi}"
        if what == 2:
            return f"{field} {self.negation()}{self.set_of('inet_service', self.apart(pool), True)}"
        if what == 3:
            words = map(str, self.some(pool, 1, 5))
            return f"{field} {self.negation()}{self.set_of('inet_service', words, False)}"
        if what == 4:
            return f"{field} {self.r.choice(('<', '<=', '>', '>='))} {self.r.choice(pool)}"
        if what == 5:
            mask = self.r.choice((0xFF00, 0xFFFE, 0x00FF, 0x8000, 0x0101))
            return f"{field} & {mask} {self.r.choice(('==', '!='))} {self.r.choice(pool) & mask}"
        if what == 6 and field.startswith("tcp"):
            return f"tcp sport {self.r.choice(SPORTS)} tcp dport {self.r.choice(PORTS)}"
        return f"{field} {self.r.choice(pool)}"

    def source_condition(self, family):
        a, r = self.address(family), self.r
        field = r.choice((f"{a} saddr", f"{a} saddr", f"{a} saddr", f"ct original {a} saddr"))
        what = r.randrange(7)
        if "original" in field or what == 0:
            return f"{field} {self.negation()}{r.choice(PREFIXES[family])}"
        if what == 1:
            return f"{field} {self.negation()}{self.set_of(self.kind(family), self.prefixes(family), True)}"
        if what == 2:
            words = self.some(SOURCES[family], 1, 4)
            return f"{field} {self.negation()}{self.set_of(self.kind(family), words, False)}"
        if what == 3:
            lo, hi = sorted(self.some(SOURCES[family], 2, 2), key=ipaddress.ip_address)
            return f"{field} {self.negation()}{lo}-{hi}"
        if what == 4:
            op = r.choice(("<", "<=", ">", ">="))
            return f"{field} {op} {r.choice(SOURCES[family])}"
        if what == 5:
            mask = ipaddress.ip_address("0.0.0.255" if family == 4 else "::ff")
            address = ipaddress.ip_address(r.choice(SOURCES[family]))
            return f"{field} & {mask} {r.choice(('==', '!='))} {type(mask)(int(mask) & int(address))}"
        return f"{field} {r.choice(SOURCES[family])}"

    def concatenation(self, family):
        a, r = self.address(family), self.r
        proto = r.choice(("tcp", "udp"))
        exact = r.random() < 0.5
        sources = self.prefixes(family, exact)
        if exact:
            elements = [f"{s} . {r.choice(PORTS)}" for s in sources]
        else:
            elements = [f"{s} . {self.ports()}" for s in sources]
        what = r.randrange(4)
        if what == 0:
            words = self.set_of(f"{self.kind(family)} . inet_service", elements, not exact)
            return f"{a} saddr . {proto} dport {self.negation()}{words}"
        if what == 1:
            pairs = {(r.choice(SPORTS), r.choice(PORTS)) for _ in range(4)}
            return f"{proto} sport . {proto} dport {{ {', '.join(f'{s} . {d}' for s, d in pairs)} }}"
        if what == 2:
            keys = {(r.choice(("tcp", "udp")), self.r.choice(PORTS)) for _ in range(4)}
            return f"meta l4proto . th dport {{ {', '.join(f'{p} . {d}' for p, d in keys)} }}"
        return (f"{a} saddr . {a} daddr . {proto} dport "
                f"{{ {', '.join(f'{s} . {self.own[family]} . {r.choice(PORTS)}' for s in sources)} }}")  # fmt: skip

    def odd_condition(self, family):
        a = self.address(family)
        own = self.own[family]
        return self.r.choice((
            f"{a} daddr {own}", f"{a} daddr != {own}", f"meta nfproto ipv{family}", "meta l4proto tcp",
            "meta l4proto { tcp, udp }", "meta l4proto != udp",
            "ip protocol tcp" if family == 4 else "ip6 nexthdr udp",
            "ct state new", "ct state established,related", "ct state { new, untracked }", "ct state invalid",
            "ct state != new", "ct state untracked", "ct mark 0", "ct mark 7", "ct mark & 5 == 5", "meta mark 7",
            "ct mark > 3", "meta mark & 0xf0 == 0x10", "ct status dnat", "ct status expected",
            "ct direction original", "ct direction reply", "fib daddr type local", "fib daddr type != local",
            "fib saddr type local", "meta pkttype host", "meta pkttype { broadcast, multicast }", "iif lo",
            "iif != lo", 'iifname "lo"', 'iifname != "lo"', 'iifname "phh*"', 'iifname { "lo", "phh0" }',
            "limit rate 100000/second burst 5000 packets",
            "limit rate over 100000/second burst 5000 packets", "tcp flags syn",
            "tcp flags & (syn|ack|rst|fin) == syn", "tcp flags & (syn|ack) != syn", "tcp flags ack",
            "ip frag-off & 0x1fff != 0" if family == 4 else "exthdr frag exists",
            "icmp type echo-request" if family == 4 else "icmpv6 type echo-request",
            "icmp type != echo-request" if family == 4 else "icmpv6 type nd-router-advert",
            "ct original protocol tcp", f"ct original proto-dst {self.r.choice(PORTS)}",
            "numgen random mod 2 0", "counter", "@nh,0,4 4", "ct count over 1000", "meta iiftype ether",
            "ip ttl > 5" if family == 4 else "ip6 hoplimit 64", "meta iifgroup 0", "socket transparent 1",
            "meta protocol ip" if family == 4 else "meta protocol ip6", "ip dscp cs0" if family == 4 else "ip6 dscp cs0",
            "ip length < 1000" if family == 4 else "ip6 length < 1000", "ether type ip", "fib daddr . iif type local",
            f"@nh,{96 if family == 4 else 64},8 {10 if family == 4 else 0x20}", "ct mark >= 5", "meta mark 0x700",
            "meta mark { 5, 7, 0x700 }", "ct mark vmap { 0 : continue, 7 : accept }", "meta length > 2000", "quota over 100 mbytes", "rt classid 1", "tcp option maxseg exists", "tcp option maxseg size 1-535",
            "tcp option maxseg size > 1440", "fib daddr . iif type != local",
        ))  # fmt: skip

    def statement(self, family):
        a = self.address(family)
        m = {self.r.choice(PORTS): self.r.choice((1, 5, 7)) for _ in range(3)}
        numbers = ", ".join(f"{k} : {v}" for k, v in m.items())
        return self.r.choice((
            "meta mark set 7", "ct mark set 7", "ct mark set ct mark or 5", "meta mark set 0x1f",
            "meta mark set ct mark", f"meta mark set tcp dport map {{ {numbers} }}",
            f"ct mark set {a} saddr map {{ {', '.join(f'{p} : 5' for p in self.prefixes(family))} }}",
            "meta mark set meta mark ^ 7", "ct mark set ct mark << 8", "meta mark set ct mark & 0xff0f",
            "tcp dport set 8080" if self.rewrites else "counter", "meta mark set 0x0",
            "log prefix \"x\"", "counter", f"add @seen{family} {{ {a} saddr }}",
        ))  # fmt: skip

    def conditions(self, family):
        kinds = (self.port_condition, self.port_condition, self.source_condition, self.source_condition,
                 self.concatenation, self.odd_condition, self.odd_condition)  # fmt: skip
        return " ".join(self.r.choice(kinds)(family) for _ in range(self.r.choice((0, 1, 1, 1, 2, 2, 3))))

    # --- rules -------------------------------------------------------------------------------

    def verdict(self, below):
        words = ["accept", "accept", "drop", "drop", "return", "continue"]
        for chain in below:
            words += [f"jump {chain}", f"goto {chain}"]
        return self.r.choice(words)

    def vmap(self, family, below):
        a, r = self.address(family), self.r
        what = r.randrange(6)
        if what == 0:
            keys, field = self.apart(PORTS), r.choice(("tcp dport", "udp dport", "th dport"))
        elif what == 1:
            keys, field = self.prefixes(family), f"{a} saddr"
        elif what == 2:
            keys, field = r.sample(("new", "established", "related", "invalid", "untracked"), 3), "ct state"
        elif what == 3:
            keys, field = ["tcp", "udp", "icmp", "ipv6-icmp"][: r.randint(1, 4)], "meta l4proto"
        elif what == 4:
            keys, field = ['"lo"', '"eth0"', '"phh0"'][: r.randint(1, 3)], "iifname"
        else:
            keys = [f"{s} . {self.ports()}" for s in self.prefixes(family)]
            field = f"{a} saddr . tcp dport"
        elements = [f"{k} : {self.verdict(below)}" for k in keys]
        if what in (0, 1) and r.random() < 0.4:
            elements.append(f"* : {self.verdict(below)}")
            kind = "inet_service" if what == 0 else self.kind(family)
            name = self.named(kind, "interval", ", ".join(elements), " : verdict")
            return f"{field} vmap {name}"
        return f"{field} vmap {{ {', '.join(elements)} }}"

    def rule(self, families, below, raw=False):
        family = self.r.choice(families)
        what = self.r.random()
        if raw and what < 0.2:
            return f"{self.conditions(family)} notrack"
        if what < 0.15:
            return f"{self.conditions(family)} {self.vmap(family, below)}"
        if what < 0.25:
            return f"{self.conditions(family)} {self.statement(family)}"
        if what < 0.28:
            return f"{self.conditions(family)} reject"
        return f"{self.conditions(family)} {self.verdict(below)}"

    def table(self, number):
        family = self.r.choice(("inet", "inet", "ip", "ip6"))
        families = {"inet": (4, 6), "ip": (4,), "ip6": (6,)}[family]
        name = f"t{number}"
        self.sets = [f"set seen{f} {{ type {self.kind(f)}; flags dynamic; size 1000; }}" for f in families]
        chains, below = [], []
        for chain in ("third", "second", "first"):
            rules = [self.rule(families, below) for _ in range(self.r.randint(1, 5))]
            chains.append(f"chain {chain} {{\n\t\t" + "\n\t\t".join(rules) + "\n\t}")
            below.append(chain)
        bases = [("input", "input", self.r.choice((-1, 0, 0, 5)))]
        if self.r.random() < 0.4:
            bases.append(("prerouting", "prerouting", self.r.choice((-300, -250, -150, -110))))
        if self.r.random() < 0.2:
            bases.append(("input2", "input", 10))
        for chain, hook, priority in bases:
            rules = [self.rule(families, below, raw=priority < -200) for _ in range(self.r.randint(2, 8))]
            policy = self.r.choice(("accept", "drop", "drop"))
            if hook == "prerouting":
                policy = "accept"
            chains.append(f"chain {chain} {{\n\t\ttype filter hook {hook} priority {priority}; policy {policy};\n\t\t"
                          + "\n\t\t".join(rules) + "\n\t}")  # fmt: skip
        if self.rewrites and family == "inet" and self.r.random() < 0.15:
            rules = [self.rule(families, []) for _ in range(3)]
            chains.append("chain ingress {\n\t\ttype filter hook ingress device phh0 priority 0; policy accept;\n\t\t"
                          + "\n\t\t".join(rules) + "\n\t}")  # fmt: skip
        if self.rewrites and self.r.random() < 0.15:
            family_word = self.r.choice(families)
            target = self.r.choice(("redirect to :8080", "redirect", f"dnat to {self.own[family_word]}",))
            condition = f"meta nfproto ipv{family_word} {self.conditions(family_word)}"
            chains.append(f"chain nat {{\n\t\ttype nat hook prerouting priority -100;\n"
                          f"\t\t{condition} meta l4proto tcp {target}\n\t}}")  # fmt: skip
        body = "\n\t".join(self.sets + chains)
        return f"table {family} {name} {{\n\t{body}\n}}\n"

    def text(self):
        return "".join(self.table(i) for i in range(self.r.choice((1, 1, 1, 2))))


class Iptables:
    """One random filter table for iptables-nft-restore, and chains to jump to."""

    def __init__(self, random, own, family):
        self.r = random
        self.own = own[family]
        self.family = family

    def ports(self, pool):
        lo, hi = sorted(self.r.sample(pool, 2))
        return self.r.choice((str(lo), f"{lo}:{hi}"))

    def condition(self):
        r = self.r
        neg = r.choice(("", "", "! "))
        lo, hi = sorted(r.sample(SOURCES[self.family], 2), key=ipaddress.ip_address)
        several = ",".join(map(str, r.sample(PORTS, 3)))
        proto = r.choice(("tcp", "udp"))
        icmp = "-p icmp -m icmp --icmp-type" if self.family == 4 else "-p icmpv6 -m icmp6 --icmpv6-type"
        return r.choice((
            f"{neg}-s {r.choice(PREFIXES[self.family])}", f"{neg}-s {r.choice(SOURCES[self.family])}",
            f"-p {proto} {neg}--dport {self.ports(PORTS)}", f"-p {proto} -m {proto} {neg}--dport {self.ports(PORTS)}",
            f"-p {proto} {neg}--sport {self.ports(SPORTS)}",
            f"-p tcp --sport {self.ports(SPORTS)} {neg}--dport {self.ports(PORTS)}",
            f"-p {proto} -m multiport {neg}--dports {several}", f"-p {proto} -m multiport --ports 22,53,8080:8448",
            f"-p {proto} -m multiport {neg}--sports 20,1023:1024",
            "-m conntrack --ctstate RELATED,ESTABLISHED", f"-m conntrack {neg}--ctstate NEW", "-m state --state NEW",
            "-m conntrack --ctstate DNAT", "-m conntrack --ctstate INVALID", "-m conntrack --ctdir ORIGINAL",
            f"-m conntrack --ctstate NEW {neg}--ctorigdstport {self.ports(PORTS)}",
            f"-m conntrack {neg}--ctorigsrc {r.choice(PREFIXES[self.family])}",
            "-m conntrack --ctstatus ASSURED", f"-m iprange {neg}--src-range {lo}-{hi}",
            f"-m mark {neg}--mark 0x7", f"-m connmark {neg}--mark 0x5/0x5", "-i lo", "! -i lo", "-i phh0", "-i ph+",
            "-m addrtype --dst-type LOCAL", f"-m addrtype {neg}--src-type LOCAL", "-m addrtype --dst-type MULTICAST",
            "-m limit --limit 10000/sec --limit-burst 5000", "-m comment --comment x", f"-d {self.own}", f"! -d {self.own}",
            "-m pkttype --pkt-type unicast", "-m pkttype --pkt-type broadcast", f"{icmp} echo-request",
            "-p tcp --syn", "-p tcp ! --syn", "-p tcp --tcp-flags SYN,ACK SYN",
            "-m hashlimit --hashlimit-above 10000/sec --hashlimit-burst 5000 --hashlimit-name x", "-m hashlimit --hashlimit-upto "
            "10000/sec --hashlimit-burst 5000 --hashlimit-name y", "-m tcpmss ! --mss 536:65535 -p tcp",
            "-m recent --set --name a", "-m recent --update --seconds 1 --hitcount 200 --name b", "-m length --length 0:40", "-m statistic --mode random --probability 0.5",
            f"-p {r.choice(('tcp', 'udp', 'all'))}",
        ))  # fmt: skip

    def target(self, below):
        words = ["-j ACCEPT", "-j ACCEPT", "-j DROP", "-j DROP", "-j RETURN", "-j REJECT", "-j LOG",
                 "-j MARK --set-mark 0x7", "-j CONNMARK --set-mark 0x5", "-j MARK --set-xmark 0x7/0x1"]  # fmt: skip
        for chain in below:
            words += [f"-j {chain}", f"-g {chain}"]
        return self.r.choice(words)

    def rule(self, chain, below):
        conditions = []
        for _ in range(self.r.choice((0, 1, 1, 2))):
            word = self.condition()
            # One protocol a rule, and each option once.
            if not any(self._clash(word, c) for c in conditions):
                conditions.append(word)
        return f"-A {chain} {' '.join(conditions)} {self.target(below)}"

    @staticmethod
    def _clash(a, b):
        flags = ("-p ", "-s ", "-d ", "-i ", "-m ")
        return any(f" {f}" in f" {a}" and f" {f}" in f" {b}" for f in flags)

    def text(self):
        lines = ["*filter", f":INPUT {self.r.choice(('ACCEPT', 'DROP'))} [0:0]", ":one - [0:0]", ":two - [0:0]"]
        lines += [self.rule("two", []) for _ in range(self.r.randint(1, 4))]
        lines += [self.rule("one", ["two"]) for _ in range(self.r.randint(1, 4))]
        lines += [self.rule("INPUT", ["one", "two"]) for _ in range(self.r.randint(2, 8))]
        return "\n".join(lines + ["COMMIT", ""])


OUTWARDS = {"saddr": "daddr", "daddr": "saddr", "iif": "oif", "iifname": "oifname", "iiftype": "oiftype",
            "input": "output", "prerouting": "output", "INPUT": "OUTPUT", "-i": "-o", "-s": "-d", "-d": "-s",
            "--src-range": "--dst-range", "--src-type": "--dst-type", "--dst-type": "--src-type",
            "--ctorigsrc": "--ctorigdst", ":INPUT": ":OUTPUT"}  # fmt: skip


def sayable(text, load, before=0):
    """Without the rules that nft has no way to say. load(text) is what became of running nft, which has
    `before` lines more in front of it."""
    for _ in range(20):
        done = load(text)
        if done.returncode == 0:
            return text
        bad = {int(n) - before for n in re.findall(r"/dev/stdin:(\d+):", done.stderr)}
        lines = text.split("\n")
        text = "\n".join(line for n, line in enumerate(lines, 1) if n not in bad)
        if not bad or len(bad) == len(lines):
            break
    raise CommandFailed(done.stderr)


def outwards(text):
    """The same rules for what the host sends: the other side is the destination."""
    lines = []
    for line in text.split("\n"):
        words = line.split(" ")
        keep = 2 if words[0].strip() == "chain" else 0
        lines.append(" ".join(words[:keep] + [OUTWARDS.get(w, OUTWARDS.get(w.strip("\t"), w)) for w in words[keep:]]))
    return "\n".join(lines)


def packets(random, n):
    """n different (family, proto, source, sport, dport); an echo request has ports None."""
    out = set()
    while len(out) < n:
        family = random.choice((4, 6))
        proto = random.choice((TCP, TCP, UDP, UDP, ICMP[family]))
        source = random.choice(SOURCES[family])
        if proto == ICMP[family]:
            out.add((family, proto, source, None, None))
            continue
        near = random.choice(PORTS) + random.choice((-1, 0, 0, 0, 1))
        sport = random.choice((*SPORTS, random.randint(1, 65535)))
        out.add((family, proto, source, sport, min(max(near, 1), 65535)))
    return sorted(out, key=str)
