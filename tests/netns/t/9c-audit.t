#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""pinholectl audit: a host that is as its profile says, and hosts that are not, each in one thing."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import contextlib
import json
import re
import shutil
import subprocess

from lab import daemon, nfs, poll, tap, xt
from lab.netns import ROOT, CommandFailed, Lab, environment, missing_tools

CATALOGUE = os.path.join(ROOT, "rules", "catalogue")
ADMINS, STRANGER = "10.1.0.0/16", "10.2.0.0/16"
SETTLED = {"admins": f"{ADMINS},fd10:1::/32", "dhcp_servers": "10.1.0.1", "ntp_peers": "10.0.0.0/8,fd10::/16"}
RIGHT = ("tcp:0.0.0.0:22", "tcp:[::]:22", "udp:0.0.0.0:68", "udp:[::]:123")
ACCEPT_ALL = "table inet mine {\n\tchain c {\n\t\ttype filter hook input priority 0; policy accept;\n%s\n\t}\n}\n"

SERVER = """
import socket, sys, time
kept = []
for word in sys.argv[1:]:
    proto, rest = word.split(":", 1)
    address, port = rest.rsplit(":", 1)
    family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(proto == "tcp"))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address.strip("[]"), int(port)))
    if proto == "tcp":
        s.listen()
    kept.append(s)
print("ready", flush=True)
time.sleep(1000)
"""


class Host:
    """A host with two interfaces to nowhere, and whatever a case puts on it."""

    def __init__(self, lab):
        self.lab = lab
        self.ns, self.far = lab.netns("audit"), lab.netns("far")
        self.count = 0
        self.ns.sysctl("net.ipv6.conf.default.accept_dad", 0)
        for n, name in enumerate(("lan0", "wan0")):
            self.link(name)
            self.ns.sh("ip", "address", "add", f"10.1.{n}.1/24", "dev", name)
            self.ns.sh("ip", "-6", "address", "add", f"fd10:1:{n}::1/64", "dev", name, "nodad")

    def link(self, name):
        """Its other end is up as well, and nobody looks there."""
        self.ns.sh("ip", "link", "add", name, "type", "veth", "peer", f"{name}-far", "netns", self.far.name)
        self.ns.sh("ip", "link", "set", name, "up")
        self.far.sh("ip", "link", "set", f"{name}-far", "up")

    @contextlib.contextmanager
    def listening(self, *sockets):
        self.count += 1
        process = self.lab.spawn(self.ns, ["/usr/bin/python3", "-c", SERVER, *sockets], f"server{self.count}")
        poll.until(lambda: "ready" in process.log() or not process.running(), "the servers")
        tap.true(process.running(), process.log())
        try:
            yield
        finally:
            process.kill()

    def load(self, text):
        with self.ns.entered():
            done = subprocess.run(["nft", "-f", "-"], input="flush ruleset\n" + text, text=True, capture_output=True,
                                  env=environment())  # fmt: skip
        if done.returncode:
            raise CommandFailed(done.stderr + text)

    def add(self, rule, chain="input"):
        """In front of the profile's; its handle."""
        out = self.ns.sh("nft", "-a", "-e", "insert", "rule", "inet", "strict", chain, *rule.split())
        return int(re.search(r"handle (\d+)", out).group(1))

    def ctl(self, *words, **kw):
        return self.ns.run([daemon.PINHOLECTL, "--catalogue", CATALOGUE, *words], **kw)

    def rendered(self, name, settled, *words, file=None):
        options = [w for role, prefixes in settled.items() for w in ("--define", f"{role}={prefixes}")]
        done = self.ctl("profile", "render", name, *options, *words)
        tap.equal(done.returncode, 0, done.stderr)
        return self.lab.file(f"{file or name}.nft", done.stdout)

    def load_file(self, path):
        with open(path) as f:
            self.load(f.read())

    def audit(self, *words, status=None):
        done = self.ctl("--json", "audit", *words)
        tap.true(done.returncode in (0, 1) and done.stdout, done.stdout + done.stderr)
        result = json.loads(done.stdout)
        tap.equal(done.returncode, 0 if result["ok"] else 1, "exit status")
        if status is not None:
            tap.equal(done.returncode, status, json.dumps(result["findings"], indent=1))
        return result["findings"]


def matching(findings, **wanted):
    return [f for f in findings if all(f[key] == value for key, value in wanted.items())]


def one(findings, **wanted):
    found = matching(findings, **wanted)
    tap.true(len(found) == 1, f"{len(found)} of {wanted} in {json.dumps(findings, indent=1)}")
    return found[0]


def only(findings, **wanted):
    """This one and no other finding; notes do not count."""
    bad = matching(findings, level="finding")
    tap.true(len(bad) == 1, json.dumps(bad, indent=1))
    return one(bad, **wanted)


def right(t, host):
    path = host.rendered("cumulus-switch", SETTLED)
    host.load_file(path)
    before = host.ns.sh("nft", "list", "ruleset")
    with host.listening(*RIGHT):
        with t.case("a host that is as its profile says: nothing is found, exit status 0"):
            tap.equal(matching(host.audit(path, status=0), level="finding"), [])
            done = host.ctl("audit", path)
            tap.equal(done.returncode, 0, done.stdout)
            tap.contains(done.stdout, "this host is as cumulus-switch says")
        with t.case("the same by name and --define"):
            options = [w for role, prefixes in SETTLED.items() for w in ("--define", f"{role}={prefixes}")]
            host.audit("cumulus-switch", *options, status=0)
        with t.case("nothing is changed by asking"):
            tap.equal(host.ns.sh("nft", "list", "ruleset"), before)
        with t.case("the shape of --json"):
            host.add("tcp dport 8080 accept")
            done = host.ctl("--json", "audit", path)
            host.load_file(path)
            result = json.loads(done.stdout)
            tap.equal(sorted(result), ["findings", "ok", "profile"])
            tap.equal((result["ok"], result["profile"]), (False, "cumulus-switch"))
            for f in result["findings"]:
                tap.equal(sorted(f), ["family", "fix", "kind", "level", "peer", "port", "proto", "rows", "rule",
                                      "service", "text"])  # fmt: skip
                tap.true(f["level"] in ("finding", "note") and f["text"], f)
    return path


HARDENING = (
    "tcp flags & (fin|syn) == (fin|syn) drop", "tcp option maxseg size 1-535 drop", "ip frag-off & 0x1fff != 0 drop",
    "exthdr frag exists drop", "meta mark & 0x8000 == 0x8000 drop", "fib saddr . iif oif missing drop",
    "fib daddr . iif type != { local, broadcast, multicast } drop", "limit rate over 1000/second drop",
    "meta pkttype { broadcast, multicast } drop", 'iifname != "lo" ip saddr 127.0.0.0/8 drop',
    "ip saddr { 0.0.0.0/8, 224.0.0.0/3 } drop", "ct state vmap { invalid : drop, established : accept }",
    "ct status dnat accept", "log prefix \"x\"",
)  # fmt: skip


def hardened(t, host, path):
    with t.case("rules that an ordinary packet does not notice change nothing"), host.listening(*RIGHT):
        for rule in HARDENING:
            host.add(rule)
        found = host.audit(path, status=0)
        tap.equal([f["kind"] for f in found], ["pinholes"], json.dumps(found, indent=1))
    with t.case("a set that rules fill is what it is now"), host.listening(*RIGHT):
        with open(path) as f:
            host.load(f.read() + "table inet other {\n\tset deny { type ipv4_addr; flags dynamic; size 9; elements = "
                      "{ 10.1.5.5 } }\n\tchain c {\n\t\ttype filter hook input priority 50; policy accept;\n"
                      "\t\tip saddr @deny drop\n\t\ttcp dport 9 add @deny { ip saddr }\n\t}\n}\n")  # fmt: skip
        found = matching(host.audit(path, status=1), level="finding")
        for f in found:
            tap.equal((f["kind"], f["family"]), ("not-let-in", "ip4"), f)
            tap.contains(f["text"], "10.1.5.5")
        tap.equal(sorted(f["service"] for f in found), ["ntp", "ssh"])
    with t.case("what a packet may have been added to itself, not declared dynamic, and more of them than are kept in mind"):
        names = [f"s{n}" for n in range(24)]
        with open(path) as f:
            host.load(f.read() + "table inet other {\n" + "".join(f"\tset {n} {{ type ipv4_addr; }}\n" for n in names)
                      + "\tchain c {\n\t\ttype filter hook input priority 50; policy accept;\n\t}\n}\n")  # fmt: skip
        # In a transaction of their own: nft makes sets dynamic that it sees filled.
        rules = [*(f"add @{n} {{ ip saddr }}" for n in names), f"ip saddr @{names[-1]} drop"]
        host.ns.sh("nft", "-f", "-", stdin="".join(f"add rule inet other c tcp dport 22 {r}\n" for r in rules))
        with host.listening(*RIGHT):
            one(host.audit(path), kind="not-let-in", service="ssh", family="ip4", level="note")
    host.load_file(path)


def listeners(t, host, path):
    with t.case("nobody listens where it is required; and on loopback alone"), host.listening(*RIGHT[:3]):
        f = only(host.audit(path, status=1), kind="not-listening", proto="udp", port="123", service="ntp")
        tap.true("cumulus" in f["rows"][0], f)
        tap.contains(f["fix"], "--without ntp")
        with host.listening("udp:127.0.0.1:123"):
            f = only(host.audit(path, status=1), kind="not-listening", port="123")
            tap.contains(f["text"], "for this host alone")
    with t.case("what is switched off need not listen"), host.listening(*RIGHT[:3]):
        host.audit(path, "--without", "ntp", status=1)
        bad = matching(host.audit(path, "--without", "ntp"), level="finding")
        # The rules that are loaded still let it in, from those who may ask.
        tap.equal([(f["kind"], f["family"]) for f in bad], [("open-to-some", "ip4"), ("open-to-some", "ip6")])
        tap.contains(bad[0]["text"], "switched off")
    with t.case("somebody listens whom the profile does not name: program, port, and who is let in"):
        with host.listening(*RIGHT, "tcp:0.0.0.0:8080", "tcp:127.0.0.1:9999", "tcp:[::1]:9998"):
            f = only(host.audit(path, status=1), kind="unknown-listener", proto="tcp", port="8080", family="ip4")
            tap.contains(f["text"], "python3")
            tap.contains(f["text"], "nobody")
            tap.contains(f["fix"], "also_in_tcp=8080")
            settled = host.audit(path, "--define", "also_in_tcp=8080", status=1)
            only(settled, kind="not-let-in", proto="tcp", port="8080", service=None)
    with t.case("a service that is switched off but listens: its switch is named"):
        with host.listening(*RIGHT, "udp:0.0.0.0:53"):
            f = only(host.audit(path, status=1), kind="unknown-listener", port="53", service="dns")
            tap.contains(f["fix"], "--with dns")
    with t.case("a UDP socket on a port that the kernel picked, which nobody reaches, is a note"):
        with host.listening(*RIGHT, "udp:0.0.0.0:45678"):
            f = one(host.audit(path, status=0), kind="unknown-listener", proto="udp", port="45678")
            tap.equal(f["level"], "note")
    with t.case("what pinholed opens may listen"), host.listening(*RIGHT, "udp:0.0.0.0:3784"):
        host.audit(path, status=0)


def opened(t, host, path):
    with host.listening(*RIGHT):
        with t.case("a port that is let in and not named: one finding for both families, with the rule's handle"):
            handle = host.add("tcp dport { 8080, 8081, 9000-9010 } accept")
            f = only(host.audit(path, status=1), kind="open", proto="tcp", port="8080-8081,9000-9010", family="any")
            tap.equal(f["rule"], {"family": "inet", "table": "strict", "chain": "input", "handle": handle})
            tap.contains(f["text"], "from anybody")
            tap.contains(f["fix"], f"handle {handle}")
        host.load_file(path)
        with t.case("let in for some addresses"):
            host.add(f"ip saddr {STRANGER} udp dport 5000 accept")
            f = only(host.audit(path, status=1), kind="open-to-some", proto="udp", port="5000", family="ip4")
            tap.contains(f["text"], STRANGER)
        host.load_file(path)
        with t.case("by very many rules: none is forgotten"):
            rules = "".join(f"\t\tip saddr 10.2.{n}.7 tcp dport 22 accept\n" for n in range(120))
            with open(path) as f:
                host.load(f.read().replace("\t\tiif lo accept\n", "\t\tiif lo accept\n" + rules, 1))
            found = matching(host.audit(path, status=1), kind="too-wide", service="ssh")
            tap.equal(len({f["rule"]["handle"] for f in found}), 120)
        host.load_file(path)
        with t.case("let in by one of two interfaces"):
            host.add("iifname wan0 tcp dport 5000 accept")
            f = only(host.audit(path, status=1), kind="open-to-some", proto="tcp", port="5000", family="any")
            tap.contains(f["text"], "by wan0")
        host.load_file(path)
        with t.case("let in by so many ways that not all are named"):
            devices = [f"long-name-{n}" for n in range(3)]
            own = [f"fd10:ffff:ffff:ffff:ffff:ffff:ffff:ff{n:02}" for n in range(6)]
            for device in devices:
                host.link(device)
            for address in own:
                host.ns.sh("ip", "-6", "address", "add", f"{address}/128", "dev", devices[0], "nodad")
            ports = "{ 10000-19999, 30000-39999, 50000-51999, 60000-61999 }"
            host.add(f"iifname {{ {','.join(devices)} }} ip6 daddr {{ {','.join(own)} }} "
                     f"tcp sport {ports} tcp dport 5000 accept")  # fmt: skip
            f = only(host.audit(path, status=1), kind="open-to-some", port="5000")
            tap.contains(f["text"], "from ports 10000-19999, 30000-39999")
            for device in devices:
                host.ns.sh("ip", "link", "delete", device)
            host.load_file(path)
        with t.case("let in at one of this host's addresses"):
            host.add("ip daddr 10.1.1.1 tcp dport 5001 accept")
            f = only(host.audit(path, status=1), kind="open-to-some", port="5001", family="ip4")
            tap.contains(f["text"], "at 10.1.1.1")
        host.load_file(path)
        with t.case("let in from a source port: everything, in one finding"):
            host.add("udp sport 53 accept")
            f = only(host.audit(path, status=1), kind="open-to-some", proto="udp", port="1-65535", family="any")
            tap.contains(f["text"], "from port 53")
        host.load_file(path)
        with t.case("what cannot be decided is a note, and no finding"):
            host.add("tcp dport 6000 ct count over 3 accept")
            f = one(host.audit(path, status=0), kind="open-to-some", port="6000")
            tap.equal(f["level"], "note")
            tap.contains(f["text"], "perhaps")
        host.load_file(path)
        with t.case("let in from more than the role"):
            handle = host.add("tcp dport 22 accept")
            f = only(host.audit(path, status=1), kind="too-wide", service="ssh", port="22", family="any")
            tap.equal(f["rule"]["handle"], handle)
            tap.equal(f["peer"], "admins")
        with t.case("nobody is settled for the role: a note, with what to settle"):
            f = one(host.audit("cumulus-switch"), kind="too-wide", service="ssh", family="any")
            tap.equal(f["level"], "note")
            tap.contains(f["fix"], "--define admins=")
        host.load_file(path)
        with t.case("a protocol without ports is a note"):
            host.add("meta l4proto { 47, 89 } accept")
            tap.equal(one(host.audit(path, status=0), kind="other-protocol")["port"], "47,89")
        host.load_file(path)


def shut(t, host, path):
    with host.listening(*RIGHT):
        with t.case("dropped in front of the profile: who, by which rule"):
            handle = host.add("ip saddr 10.1.128.0/17 tcp dport 22 drop")
            f = only(host.audit(path, status=1), kind="not-let-in", service="ssh", port="22", family="ip4")
            tap.contains(f["text"], "10.1.128.0/17")
            tap.equal(f["rule"]["handle"], handle)
        host.load_file(path)
        with t.case("settled otherwise than the rules that are loaded"):
            found = host.audit(path, "--define", f"admins={STRANGER}", status=1)
            f = one(found, kind="not-let-in", service="ssh", family="ip4")
            tap.contains(f["text"], STRANGER)
            tap.true(f["rule"]["handle"] is None, f)  # the policy
            one(found, kind="too-wide", service="ssh", family="ip4")
        with t.case("a file that was edited by hand: its head holds"):
            with open(path) as f:
                text = f.read()
            edited = host.lab.file("edited.nft", re.sub(r"define admins4 = \{.*?\}", f"define admins4 = {{ {STRANGER} }}", text))
            host.load_file(edited)
            host.audit(edited, status=0)
            one(host.audit(path, status=1), kind="not-let-in", service="ssh", family="ip4")
        with t.case("nobody is settled and nobody is let in: what to settle"):
            bare = host.rendered("cumulus-switch", {}, file="bare")
            host.load_file(bare)
            f = one(host.audit(bare, status=1), kind="not-let-in", service="ssh", family="any")
            tap.contains(f["text"], "nobody is settled for admins")
            tap.contains(f["fix"], "--define admins=")
        host.load_file(path)
        with t.case("a further table may drop as well"):
            with open(path) as f:
                host.load(f.read() + "table ip other {\n\tchain c {\n\t\ttype filter hook input priority 50; policy accept;\n"
                          "\t\ttcp dport 22 drop\n\t}\n}\n")  # fmt: skip
            f = only(host.audit(path, status=1), kind="not-let-in", service="ssh", family="ip4")
            tap.equal(f["rule"]["table"], "other")
        with t.case("before everything else, at ingress"):
            with open(path) as f:
                host.load(f.read() + "table netdev early {\n\tchain c {\n\t\ttype filter hook ingress devices = "
                          "{ lan0, wan0 } priority 0; policy accept;\n\t\ttcp dport 22 drop\n\t}\n}\n")  # fmt: skip
            f = one(host.audit(path, status=1), kind="not-let-in", service="ssh", family="ip4")
            tap.equal(f["rule"]["family"], "netdev")
        host.load_file(path)


def unfiltered(t, host, path):
    with host.listening(*RIGHT):
        with t.case("no firewall at all: one finding"):
            host.load("")
            f = only(host.audit(path, status=1), kind="no-firewall", family="any")
            tap.contains(f["fix"], "profile render cumulus-switch")
        with t.case("chains that drop nothing are no firewall"):
            host.load(ACCEPT_ALL % "\t\ttcp dport 22 counter accept")
            one(host.audit(path, status=1), kind="no-firewall", family="any")
        with t.case("one family without a firewall"):
            host.load("table ip mine {\n\tchain c {\n\t\ttype filter hook input priority 0; policy drop;\n"
                      "\t\tip saddr 10.0.0.0/8 accept\n\t}\n}\n")  # fmt: skip
            one(host.audit(path, status=1), kind="no-firewall", family="ip6")
        with t.case("accepted by policy but for some ports: whatever is left is open"):
            host.load(ACCEPT_ALL % "\t\ttcp dport { 25, 100-200 } drop")
            f = one(host.audit(path, status=1), kind="open", proto="tcp", family="any")
            tap.equal(f["port"], "1-24,26-99,201-65535")
            tap.true(f["rule"]["handle"] is None, f)
    host.load_file(path)


def pinholes(t, host, path):
    with host.listening(*RIGHT):
        with t.case("rules that drop what pinholed lets in, and the line to add"):
            with open(path) as f:
                host.load(re.sub(r"ct mark & 0x20000000 != 0 accept", "counter", f.read()))
            f = only(host.audit(path, status=1), kind="pinholes", service="bfd")
            tap.contains(f["fix"], "nft insert rule inet strict input ct mark")
        host.load_file(path)
        with t.case("pinholed is not there: a note"):
            tap.equal(one(host.audit(path, status=0), kind="pinholes")["level"], "note")
    settled = {role: "10.0.0.0/8" for role in ("admins", "nodes", "bmcs", "dns_servers")}
    back = host.rendered("xcat-management", settled, "--with", "rsh", file="back")
    with t.case("TFTP answers on the way out, and rsh's second connection comes in"):
        with open(back) as f:
            strict = re.split(r"(?=\tchain output)", f.read())
        for at, service in ((1, "tftp"), (0, "rsh")):
            parts = list(strict)
            parts[at] = parts[at].replace("ct mark & 0x20000000 != 0 accept", "counter")
            host.load("".join(parts))
            found = [f for f in host.audit(back) if f["kind"] == "pinholes" and f["level"] == "finding"]
            tap.equal([f["service"] for f in found], [service], json.dumps(found, indent=1))
    host.load_file(path)


def outbound(t, host):
    settled = {role: "10.0.0.0/8" for role in ("admins", "nodes", "bmcs", "dns_servers")}
    path = host.rendered("xcat-management", settled)
    host.load_file(path)
    with t.case("what the host sends, where the profile filters it"):
        tap.equal(matching(host.audit(path), kind="not-let-out"), [])
        host.add("ip daddr 10.9.0.0/16 tcp dport 22 drop", "output")
        f = one(host.audit(path), kind="not-let-out", port="22", proto="tcp")
        tap.contains(f["text"], "10.9.0.0/16")
    with t.case("nothing filters what the host sends: a note"):
        host.ns.sh("nft", "delete", "chain", "inet", "strict", "output")
        tap.equal(one(host.audit(path), kind="output-open")["level"], "note")
        host.load_file(path)
    with t.case("a rule for source ports below 1024 is asked with these"):
        found = host.audit(path, "--with", "rmc")
        tap.equal(len(matching(found, kind="not-let-in", service="rmc")), 2, json.dumps(found, indent=1))
        with_rmc = host.rendered("xcat-management", settled, "--with", "rmc", file="rmc")
        host.load_file(with_rmc)
        tap.equal(matching(host.audit(with_rmc), service="rmc", kind="not-let-in"), [])


def containers(t, host):
    settled = {"admins": ADMINS, "agents": ADMINS, "users": ADMINS}
    path = host.rendered("netq-single", settled)
    nat = "table ip nat {\n\tchain c {\n\t\ttype nat hook prerouting priority dstnat;\n" \
          "\t\ttcp dport { 443, 31980, 32708, 8443, 7777 } dnat to 172.17.0.2\n\t}\n}\n"
    host.link("docker0")
    with open(path) as f:
        text = f.read()
    with host.listening("tcp:0.0.0.0:22"):
        with t.case("ports of containers: who is handed on to one has found a listener"):
            host.load(text + nat)
            host.audit(path, status=0)
        with t.case("guarded before the translation: a port of a container that is let past the guard"):
            host.add("tcp dport 7777 accept", "prerouting")
            only(host.audit(path, status=1), kind="open", port="7777")
        with t.case("without the guard they are handed on to whomever"):
            host.load(nat + ACCEPT_ALL % "\t\ttcp dport 1-1000 drop")
            found = host.audit(path, status=1)
            one(found, kind="open", proto="tcp", port="443", family="ip4")
            one(found, kind="open", proto="tcp", port="1001-65535", family="any")
    host.ns.sh("ip", "link", "delete", "docker0")


def registered(t, host, lab):
    """mountd and its kin, at ports of their own choice: pinholed opens what rpcbind names."""
    if why := missing_tools(nfs.PROGRAMS):
        t.skip("what rpcbind names may listen", why)
        return
    settled = {role: "10.0.0.0/8" for role in ("admins", "nodes", "bmcs", "dns_servers")}
    path = host.rendered("xcat-management", settled, "--with", "nfs", file="nfs")
    host.load_file(path)
    ganesha = nfs.Ganesha(lab, nfs.Rpcbind(lab, host.ns))
    with t.case("what rpcbind names may listen, where pinholed opens it"):
        ports = {str(e[3]) for e in ganesha.dynamic()}
        tap.true(len(ports) >= 3, ports)
        found = matching(host.audit(path), kind="unknown-listener")
        tap.equal([f for f in found if ports & set(re.split("[,-]", f["port"]))], [])
    with t.case("and not where it does not"):
        found = matching(host.audit(path, "--without", "nfs"), kind="unknown-listener")
        listed = [port for f in found for port in re.split("[,-]", f["port"])]
        tap.true(ports <= set(listed), f"{ports} and {listed}")
        tap.true(any("ganesha" in f["text"] for f in found), found)
    ganesha.stop()
    ganesha.rpcbind.stop()


def local(t, host):
    with t.case("what is for the host alone, listens on the network, and is let in"):
        host.load(ACCEPT_ALL % "\t\ttcp dport != 4443 drop")
        with host.listening("tcp:0.0.0.0:4443", "tcp:0.0.0.0:5050"):
            found = host.audit("sevone-pas", status=1)
            f = one(found, kind="local-exposed", port="4443")
            tap.contains(f["text"], "python3")
            # 5050 is for the host alone too, but nobody reaches it.
            tap.equal(matching(found, kind="local-exposed", port="5050"), [])
        with host.listening("tcp:127.0.0.1:4443"):
            tap.equal(matching(host.audit("sevone-pas"), kind="local-exposed"), [])


def every_profile(t, host):
    """Loaded as it was settled, each is what audit wants, but that nobody listens here."""
    listed = json.loads(host.ctl("--json", "profile", "list").stdout)["profiles"]
    for name in sorted(p["name"] for p in listed):
        with t.case(f"{name}, settled and loaded: nothing but that nobody listens"):
            shown = json.loads(host.ctl("--json", "profile", "show", name).stdout)
            settled = {p["name"]: "10.0.0.0/8,fd10::/16" for p in shown["peers"]}
            switches = ",".join(shown["switches"])
            for words in ((), ("--with", switches) if switches else (), ("--without", switches) if switches else ()):
                path = host.rendered(name, settled, *words, file="every")
                host.load_file(path)
                found = [f for f in host.audit(path) if f["kind"] not in ("not-listening", "pinholes")]
                tap.equal(found, [], f"{words}")
                tap.equal([f for f in host.audit(path) if f["kind"] == "pinholes" and f["level"] == "finding"], [])


def iptables(t, host, lab):
    tools = {f: xt.Xt(lab, "nft", f) for f in (4, 6)}
    if tools[4].lacking(host.ns):
        t.skip("iptables-nft", "no iptables-nft here")
        return
    rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED " \
            "-j ACCEPT\n-A INPUT -s %s -p tcp -m multiport --dports 22 -j ACCEPT\n-A INPUT -s %s -p udp -m udp " \
            "--dport 123 -j ACCEPT\n%sCOMMIT\n"  # fmt: skip
    host.load("")
    tools[4].restore(host.ns, rules % (ADMINS, "10.0.0.0/8", "-A INPUT -s 10.1.0.1 -p udp --dport 68 -j ACCEPT\n"))
    tools[6].restore(host.ns, rules % ("fd10:1::/32", "fd10::/16", ""))
    settled = [w for role, prefixes in SETTLED.items() for w in ("--define", f"{role}={prefixes}")]
    with host.listening(*RIGHT):
        with t.case("a firewall of iptables-nft that is as the profile says"):
            host.audit("cumulus-switch", *settled, status=0)
        with t.case("and one that is not"):
            tools[4].sh(host.ns, "-I", "INPUT", "-p", "tcp", "-m", "multiport", "--dports", "80,8000:8003", "-j", "ACCEPT")
            tools[4].sh(host.ns, "-D", "INPUT", "-s", "10.0.0.0/8", "-p", "udp", "-m", "udp", "--dport", "123", "-j", "ACCEPT")
            found = host.audit("cumulus-switch", *settled, status=1)
            f = one(found, kind="open", port="80,8000-8003", family="ip4")
            tap.equal((f["rule"]["table"], f["rule"]["chain"]), ("filter", "INPUT"))
            f = one(found, kind="not-let-in", service="ntp", family="ip4")
            tap.contains(f["fix"], "iptables -I INPUT -s 10.0.0.0/8 -p udp")
    host.load("")
    legacy = xt.Xt(lab, "legacy", 4)
    if legacy.lacking(host.ns):
        t.skip("rules of iptables-legacy: a note", "no iptables-legacy here")
        return
    with t.case("rules of iptables-legacy: a note that they cannot be read"):
        legacy.sh(host.ns, "-A", "INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP")
        tap.equal(one(host.audit("cumulus-switch"), kind="iptables-legacy")["level"], "note")
        legacy.clear(host.ns)


def people(t, host, path):
    host.load_file(path)
    with t.case("a table for people, with what to do"):
        handle = host.add("tcp dport 8080 accept")
        done = host.ctl("audit", path)
        for word in ("FINDING", "open", "8080", "-> nft -a list chain inet strict input", f"handle {handle}"):
            tap.contains(done.stdout, word)
    with t.case("usage: exit status 2; a profile that there is not, a file that is none: 1"):
        for words, wanted in ((("audit",), 2), (("audit", "a", "b"), 2), (("doctor", "--with", "x"), 2),
                              (("audit", "nonesuch"), 1), (("audit", "/nonexistent.nft"), 1),
                              (("audit", "cumulus-switch", "--with", "nonesuch"), 1)):  # fmt: skip
            done = host.ctl(*words)
            tap.equal(done.returncode, wanted, f"{words}: {done.stderr}")
            tap.true(done.stderr.strip(), f"{words}: nothing on stderr")
        tap.contains(host.ctl("audit", "--help").stdout, "audit NAME|FILE")
    with t.case("without root: no answer, and why"):
        program = shutil.copy(daemon.PINHOLECTL, host.lab.tmp)
        catalogue = shutil.copytree(CATALOGUE, os.path.join(host.lab.tmp, "catalogue"), dirs_exist_ok=True)
        done = host.ns.run([program, "--catalogue", catalogue, "audit", "cumulus-switch"], user=65534, group=65534,
                           extra_groups=[], env=environment())  # fmt: skip
        tap.equal(done.returncode, 1, done.stdout)
        tap.contains(done.stderr, "CAP_NET_ADMIN")


if os.geteuid() != 0:
    tap.skip_all("network namespaces need root")
t = tap.Tap()
with Lab() as lab:
    host = Host(lab)
    path = right(t, host)
    hardened(t, host, path)
    listeners(t, host, path)
    opened(t, host, path)
    shut(t, host, path)
    unfiltered(t, host, path)
    pinholes(t, host, path)
    local(t, host)
    outbound(t, host)
    registered(t, host, lab)
    containers(t, host)
    every_profile(t, host)
    people(t, host, path)
    iptables(t, host, lab)  # last: tables of iptables-legacy stay as long as the namespace
t.done()
