# SPDX-License-Identifier: GPL-2.0-or-later
"""BFD: BIRD, FRR's bfdd and a sender like Cumulus ptmd as speakers, the firewall that knows no BFD
port, hosts with sessions of every kind between them, and pinholed configured for it.

A Party is client - router - server with one speaker on each. The client has single-hop sessions
with the router (IPv4, IPv6, link-local IPv6) and multihop sessions with the server (IPv4, IPv6).
What is measured is what the hosts send (bfdpkt.Wire); what the daemons say of themselves has to
agree with it.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import sys
import time

from . import poll, suite, tap
from .bfdpkt import MULTIHOP, PORTS, SINGLE_HOP, UP
from .daemon import Daemon
from .netns import TOOLS, CommandFailed, environment, tool
from .topology import ADDRESS, CLIENT, CONCESSION, ICMP, NEIGHBOURS, ROUTER, ROUTER_ADDRESS
from .topology import SERVER, Topology

BIRD, FRR, PTM = "BIRD", "FRR", "Ptm"
PAIRS = ((BIRD, BIRD), (FRR, FRR), (BIRD, FRR), (PTM, BIRD))
INTERVALS = (300, 50)  # milliseconds
MULTIPLIER = 3
# How long a side may wait between two packets while it is not Up (RFC 5880 section 6.8.3: not less
# than a second; ptmd takes two). Without a firewall, that is the longest wait for the other side's.
SLOW = {BIRD: 1.0, FRR: 1.0, PTM: 2.0}


# --- programs -----------------------------------------------------------------------------------


def _frr_dir():
    for base in (TOOLS, ""):
        for where in ("usr/lib/frr", "usr/libexec/frr", "usr/lib64/frr"):
            if os.access(f"{base}/{where}/bfdd", os.X_OK):
                return f"{base}/{where}"
    return None


def _frr_environment():
    libraries = [*glob.glob(f"{TOOLS}/usr/lib*"), *glob.glob(f"{TOOLS}/usr/lib/*-linux-gnu")]
    libraries += [f"{d}/frr" for d in libraries if os.path.isdir(f"{d}/frr")]
    return environment(LD_LIBRARY_PATH=os.pathsep.join(libraries))


def missing(*kinds):
    """What is not here of what these speakers need."""
    found = []
    if BIRD in kinds and not shutil.which("bird", path=environment()["PATH"]):
        found.append("bird")
    if FRR in kinds and not _frr_dir():
        found.append("FRR's bfdd")
    if not shutil.which("unshare"):
        found.append("unshare")
    return found


def pairs(t):
    """The pairs that can be here; of the others a loud skip tells."""
    here = []
    for pair in PAIRS:
        if missing(*pair):
            t.skip("-".join(pair), f"not among the unpacked packages: {', '.join(missing(*pair))}")
        else:
            here.append(pair)
    return here


# --- speakers -----------------------------------------------------------------------------------


class Neighbor:
    """One host's view of a session."""

    def __init__(self, local, peer, device, multihop, interval, mult=MULTIPLIER, echo=False):
        self.local, self.peer, self.device, self.multihop = local, peer, device, multihop
        self.interval, self.mult, self.echo = interval, mult, echo
        self.port = MULTIHOP if multihop else SINGLE_HOP

    @property
    def link_local(self):
        return self.peer.startswith("fe80:")


class Speaker:
    """One daemon on one host; its neighbors are known before it starts."""

    def __init__(self, lab, ns, neighbors):
        self.lab, self.ns, self.neighbors = lab, ns, neighbors
        self.name = f"{ns.name}-{self.kind}"
        self.dir = lab.dir(self.name)
        self.process = None

    def kill(self):
        """No last word to anybody."""
        self.process.kill()

    def stop(self):
        return self.process.stop()

    def running(self):
        return self.process is not None and self.process.running()

    def move(self):
        """After the next start its source ports are other ones; most see to that by themselves."""

    def log(self):
        return self.process.log() if self.process else ""

    def processes(self):
        return [self.process]

    def start(self):
        """Returns when it is there. It runs before everything of ordinary priority: a busy machine
        that makes the daemon itself late would say nothing about what is between it and its peer."""
        self.launch()
        try:
            for process in self.processes():
                for thread in os.listdir(f"/proc/{process.pid}/task"):
                    os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            print("# no real-time scheduling here: sessions may flap on a busy machine", file=sys.stderr)


def _connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    sock.connect(path)
    return sock


class Bird(Speaker):
    """BIRD 2. `disable` is of all its sessions: static ones cannot be disabled one by one."""

    kind = BIRD

    def configuration(self):
        interfaces = {}
        for n in self.neighbors:
            interfaces.setdefault((n.multihop, n.device if not n.multihop else ""), n)
        lines = ["log stderr all;", "router id 10.77.0.1;", "debug protocols { states };",
                 "protocol device { }", "protocol bfd bfd1 {", "\tdebug { states, events };"]  # fmt: skip
        for (multihop, device), n in interfaces.items():
            lines += [
                "\tmultihop {" if multihop else f'\tinterface "{device}" {{',
                f"\t\tinterval {n.interval} ms;",
                f"\t\tmultiplier {n.mult};",
                "\t};",
            ]
        for n in self.neighbors:
            how = f"local {n.local} multihop" if n.multihop else f'dev "{n.device}" local {n.local}'
            lines.append(f"\tneighbor {n.peer} {how};")
        return "".join(f"{line}\n" for line in [*lines, "}"])

    def launch(self):
        conf = self.lab.file(f"{self.name}/conf", self.configuration())
        path, env = tool("bird")
        self.socket = os.path.join(self.dir, "ctl")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        command = [path, "-f", "-c", conf, "-s", self.socket]
        self.process = self.lab.spawn(self.ns, command, self.name, env=env)

        def ready():
            if not self.running():
                raise CommandFailed(f"bird ended at start: {self.log()}")
            try:
                return "bfd1" in self.ask("show protocols")
            except OSError:
                return False

        poll.until(ready, lambda: f"bird to answer: {self.log()}")

    def ask(self, command):
        """What birdc would say."""
        with _connect(self.socket) as sock:
            self._answer(sock)  # its greeting
            sock.sendall(command.encode() + b"\n")
            return self._answer(sock)

    @staticmethod
    def _answer(sock):
        """Up to the line whose code is not followed by a dash."""
        data = b""
        while not re.search(rb"^\d{4} .*\n\Z", data, re.M):
            part = sock.recv(65536)
            if not part:
                raise ConnectionResetError("bird hung up")
            data += part
        return data.decode()

    def states(self):
        """{(peer, multihop): state}, the state in RFC 5880's words"""
        found = {}
        for line in self.ask("show bfd sessions").splitlines():
            words = re.sub(r"^\d{4}[- ]", "", line).split()
            if len(words) >= 5 and words[2] in ("Up", "Down", "Init", "AdminDown"):
                found[words[0], words[1] == "---"] = words[2]
        return found

    def downs(self, neighbor):
        """How often this session was Up and is not any more, since the first start."""
        return len(re.findall(rf"Session to {re.escape(neighbor.peer)}[ :].*from Up to", self.log()))

    def disable(self):
        self.ask("disable bfd1")

    def enable(self):
        self.ask("enable bfd1")


class Frr(Speaker):
    """FRR's bfdd, and zebra, which tells it of interfaces. Each sees a /run of its own, and an
    /etc/group with the group that FRR wants and that the host need not have."""

    kind = FRR
    MIN_TTL = 60  # the least that it accepts over several hops; BIRD sends 64

    def __init__(self, lab, ns, neighbors):
        super().__init__(lab, ns, neighbors)
        self.next_port, self.holding = 49152, []

    def configuration(self):
        lines = ["log stdout debugging", "bfd"]
        for n in self.neighbors:
            lines += [f" {line}" for line in self.peer(n)]
        return "".join(f"{line}\n" for line in lines)

    def peer(self, n):
        where = "multihop" if n.multihop else f"interface {n.device}"
        yield f"peer {n.peer} local-address {n.local} {where}"
        yield f" detect-multiplier {n.mult}"
        yield f" receive-interval {n.interval}"
        yield f" transmit-interval {n.interval}"
        if n.multihop:
            yield f" minimum-ttl {self.MIN_TTL}"
        yield " no shutdown"

    @staticmethod
    def echoes(n):
        return n.echo and not n.multihop and not n.link_local

    def _spawn(self, name, conf):
        group = self.lab.file(f"{self.name}/group", "root:x:0:\nfrr:x:0:\nfrrvty:x:0:root\n")
        path = self.lab.file(f"{self.name}/{name}.conf", conf)
        script = 'mount --bind "$0" /run && mount --bind "$1" /etc/group && shift && exec "$@"'
        command = [
            "unshare", "--mount", "--propagation", "private", "sh", "-c", script, self.run_dir, group,
            f"{_frr_dir()}/{name}", "-f", path, "-u", "root", "-g", "root",
        ]  # fmt: skip
        return self.lab.spawn(self.ns, command, f"{self.name}-{name}", env=_frr_environment())

    def launch(self):
        self.run_dir = self.lab.dir(f"{self.name}/run")
        self.sockets = self.lab.dir(f"{self.name}/run/frr")
        for name in os.listdir(self.sockets):
            os.unlink(os.path.join(self.sockets, name))
        self.zebra = self._spawn("zebra", "log stdout\n")
        self._wait(self.zebra, "zserv.api")  # who comes before it asks again only after seconds
        self.process = self._spawn("bfdd", self.configuration())
        self._wait(self.process, "bfdd.vty")
        if any(map(self.echoes, self.neighbors)):
            # bfdd 10 opens no socket for the echoes of sessions whose interface zebra has not told of.
            poll.until(lambda: self.ns.udp_bound(self.next_port), "bfdd to know its interfaces", 10)
            self._each("echo-mode", self.echoes)

    def _wait(self, process, name):
        path = os.path.join(self.sockets, name)

        def ready():
            if not process.running():
                raise CommandFailed(f"{name} will not come: {process.log()}")
            with contextlib.suppress(OSError):
                _connect(path).close()
                return True

        poll.until(ready, lambda: f"{name}: {process.log()}", 10)

    def move(self):
        """bfdd counts its source ports from the same number at each start. From the next start on it
        finds taken what its sessions have had so far."""
        for port in range(self.next_port, self.next_port + len(self.neighbors)):
            for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                sock = self.ns.socket(family, socket.SOCK_DGRAM)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((anywhere, port))
                self.holding.append(sock)
        self.next_port += len(self.neighbors)

    def stop(self):
        status = self.process.stop()
        self.zebra.stop()
        return status

    def kill(self):
        self.process.kill()
        self.zebra.kill()

    def processes(self):
        return [self.process, self.zebra]

    def ask(self, *commands):
        """What vtysh would print for the last of these; it has to succeed."""
        with _connect(os.path.join(self.sockets, "bfdd.vty")) as sock:
            for command in ("enable", *commands):
                sock.sendall(command.encode() + b"\0")
                data = b""
                while data[-4:-1] != b"\0\0\0":
                    part = sock.recv(65536)
                    if not part:
                        raise ConnectionResetError("bfdd hung up")
                    data += part
                if data[-1] not in (0, 4):  # CMD_SUCCESS, CMD_WARNING
                    raise CommandFailed(f"bfdd: {command}: {data[-1]}: {data[:-4].decode()}")
        return data[:-4].decode()

    WORDS = {"up": "Up", "down": "Down", "init": "Init", "shutdown": "AdminDown"}

    def states(self):
        return {
            (p["peer"], p["multihop"]): self.WORDS.get(p["status"], p["status"])
            for p in json.loads(self.ask("show bfd peers json"))
        }

    def counters(self, neighbor):
        for p in json.loads(self.ask("show bfd peers counters json")):
            if (p["peer"], p["multihop"]) == (neighbor.peer, neighbor.multihop):
                return p
        raise KeyError(neighbor.peer)

    def downs(self, neighbor):
        return self.counters(neighbor)["session-down"]

    def _each(self, word, of=lambda n: True):
        for n in filter(of, self.neighbors):
            self.ask("configure terminal", "bfd", next(self.peer(n)), word)

    def disable(self):
        self._each("shutdown")

    def enable(self):
        self._each("no shutdown")


class PtmSender(Speaker):
    """ptm.py in a process of its own, so that it can be killed and nobody's load disturbs it."""

    kind = PTM
    MIN_TTL = 60

    def __init__(self, lab, ns, neighbors):
        super().__init__(lab, ns, neighbors)
        self.first_port = 49142

    def launch(self):
        sessions = []
        for n in self.neighbors:
            words = {"local": n.local, "peer": n.peer, "device": n.device, "multihop": n.multihop,
                     "interval": n.interval, "mult": n.mult, "min_ttl": self.MIN_TTL}  # fmt: skip
            sessions.append(words)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ptm.py")
        arguments = json.dumps({"first_port": self.first_port, "sessions": sessions})
        self.first_port += len(sessions)  # the next process takes other ports
        self.command_pipe, write = os.pipe()
        self.pipe = os.fdopen(write, "w", buffering=1)
        mark = len(self.log())
        self.process = self.lab.spawn(
            self.ns, [sys.executable, "-B", script, arguments], self.name, stdin=self.command_pipe
        )
        os.close(self.command_pipe)

        def ready():
            if not self.running():
                raise CommandFailed(f"ptm.py ended at start: {self.log()[mark:]}")
            return '"ready"' in self.log()[mark:]

        poll.until(ready, lambda: f"ptm.py to be ready: {self.log()[mark:]}")

    def events(self):
        """Changes of state since the latest start."""
        found = []
        for line in self.log().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("ready"):
                found = []
            elif "now" in event:
                found.append(event)
        return found

    def states(self):
        found = {(n.peer, n.multihop): "Down" for n in self.neighbors}
        found.update({(e["peer"], e["multihop"]): e["now"] for e in self.events()})
        return found

    def downs(self, neighbor):
        key = (neighbor.peer, neighbor.multihop)
        return sum((e["peer"], e["multihop"]) == key and e["was"] == "Up" for e in self.events())

    def tell(self, word):
        """disable, enable, move: see ptm.py"""
        self.pipe.write(word + "\n")

    def disable(self):
        self.tell("disable")

    def enable(self):
        self.tell("enable")


KINDS = {BIRD: Bird, FRR: Frr, PTM: PtmSender}


# --- hosts with sessions between them -----------------------------------------------------------


class Session:
    """Between a host's device and address and another's; a and b are (host, namespace, device,
    address), a always the client."""

    def __init__(self, party, family, link_local, multihop, interval, echo=False):
        self.party, self.family, self.multihop, self.interval = party, family, multihop, interval
        self.echo = echo
        net = party.net
        other = SERVER if multihop else ROUTER
        device = "eth0" if multihop else CLIENT
        if link_local:
            addresses = link_local_address(net.client, "eth0"), link_local_address(net.router, CLIENT)
        else:
            far = ADDRESS if multihop else ROUTER_ADDRESS
            addresses = ADDRESS[CLIENT, family], far[SERVER if multihop else CLIENT, family]
        self.a = (CLIENT, net.client, "eth0", addresses[0])
        self.b = (other, net.spaces[other], device, addresses[1])
        hops = "multihop" if multihop else "single hop"
        self.name = f"{hops}, IPv{family}{' link-local' if link_local else ''}"
        self.port = MULTIHOP if multihop else SINGLE_HOP

    def neighbor(self, host):
        here, there = (self.a, self.b) if host == self.a[0] else (self.b, self.a)
        return Neighbor(here[3], there[3], here[2], self.multihop, self.interval, echo=self.echo)

    def hosts(self):
        return self.a[0], self.b[0]

    def flow(self, host):
        """What this host has sent to the other."""
        here, there = (self.a, self.b) if host == self.a[0] else (self.b, self.a)
        return self.party.wire.flow(here[1], here[3], there[3], self.port)

    def flows(self):
        return [self.flow(host) for host in self.hosts()]

    def up(self):
        return all(flow.state == UP for flow in self.flows())

    def ever_up(self):
        return any(state == UP for flow in self.flows() for _, state in flow.changes)

    def downs(self):
        """Flaps: how often either side has stopped being Up."""
        return sum(flow.downs() for flow in self.flows())

    def time_to_up(self):
        """Seconds from the first packet of the side that came later until both said Up."""
        flows = self.flows()
        return max(flow.since() for flow in flows) - max(flow.began() for flow in flows)

    def detection(self):
        """Seconds of silence after which the other side is taken for dead."""
        return self.interval * MULTIPLIER / 1000

    def __str__(self):
        told = "\n".join(f"    {host}: {self.flow(host)}" for host in self.hosts())
        return f"{self.party.name}, {self.name}\n{told}"


def link_local_address(ns, device):
    """The one that the kernel gives the device as soon as its link is up."""

    def found():
        listing = json.loads(ns.sh("ip", "-j", "-6", "address", "show", "dev", device, "scope", "link"))
        for a in [a for item in listing for a in item.get("addr_info", ())]:
            if "local" in a and not a.get("tentative"):
                return a["local"]
        return None

    return poll.until(found, f"a link-local address on {device}")


# family, link-local, multihop
FORMS = ((4, False, False), (6, False, False), (6, True, False), (4, False, True), (6, False, True))


class Party:
    """client - router - server, a speaker on each, and the sessions between them."""

    def __init__(self, lab, wire, word, pair, interval, forms=FORMS, echo=False):
        self.lab, self.wire, self.pair, self.interval = lab, wire, pair, interval
        self.name = f"{'-'.join(pair)}, {interval} ms"
        self.net = Topology(lab, f"{word}-")
        if echo:
            # Over IPv4 an echo is addressed to its own sender: who gets it has to forward it.
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                self.net.client.sysctl(key, 1)
            self.name += ", echo"
        self.sessions = [Session(self, *form, interval, echo=echo) for form in forms]
        kinds = {CLIENT: pair[0], ROUTER: pair[1], SERVER: pair[1]}
        self.speakers = {}
        for host, kind in kinds.items():
            neighbors = [s.neighbor(host) for s in self.sessions if host in s.hosts()]
            if neighbors:
                self.speakers[host] = KINDS[kind](lab, self.net.spaces[host], neighbors)
        wire.tap(self.net.client, "eth0")
        wire.tap(self.net.router, CLIENT)
        wire.tap(self.net.server, "eth0")

    def start(self):
        raise_first(suite.at_once([s.start for s in self.speakers.values()]))

    def stop(self):
        """All at once and without a word, so that none is told of the others' end."""
        alive = [s for s in self.speakers.values() if s.running()]
        for speaker in alive:
            for process in speaker.processes():
                process.signal(signal.SIGKILL)
        for speaker in alive:
            speaker.kill()

    def wait_up(self, seconds):
        for session in self.sessions:
            poll.until(session.up, lambda s=session: f"{s} to be Up", seconds)

    def slow(self):
        """The longest that one side may have to wait for the other's next packet before Up."""
        return max(SLOW[kind] for kind in self.pair)

    def agree(self):
        """What the daemons say of their sessions is what they send: all are Up."""

        def differing():
            return [
                f"{speaker.kind} on the {host} says {said} of {n.peer}"
                for host, speaker in self.speakers.items() for told in [speaker.states()]
                for n in speaker.neighbors for said in [told.get((n.peer, n.multihop))] if said != "Up"
            ]  # fmt: skip

        poll.until(lambda: not differing(), lambda: f"all to agree: {differing()}\n{self.log()}")

    def downs(self):
        return sum(session.downs() for session in self.sessions)

    def wait_steady(self, seconds, within):
        """Until nothing has flapped for so long. A machine may stall once; what is wrong stays wrong."""
        deadline = time.monotonic() + within
        while True:
            self.wait_up(within)
            before, start = self.downs(), time.monotonic()
            with contextlib.suppress(poll.Timeout):
                poll.stays(lambda: self.downs() == before, "no flap", seconds)
            if time.monotonic() - start >= seconds:
                return
            tap.true(time.monotonic() < deadline, f"it flaps: {self.log()}")

    def echoes(self):
        """{(host, family): echoes that came back}; of FRR."""
        return {
            (host, s.family): self.speakers[host].counters(s.neighbor(host))["echo-packet-input"]
            for s in self.sessions for host in s.hosts()
        }  # fmt: skip

    def wait_echoes(self, count, seconds=5):
        """Until each side has had so many more of its echoes back."""
        before = self.echoes()
        poll.until(
            lambda: all(n >= before[key] + count for key, n in self.echoes().items()),
            lambda: f"echoes to come back: {before}, then {self.echoes()}\n{self.log()}", seconds,
        )  # fmt: skip

    def log(self):
        return "".join(f"{session}\n" for session in self.sessions)


def parties(lab, wire, here, intervals=INTERVALS, **options):
    """One party for each pair and interval."""
    return [
        Party(lab, wire, f"{a[0]}{b[0]}{interval}".lower(), (a, b), interval, **options)
        for a, b in here
        for interval in intervals
    ]


def raise_first(errors):
    for error in errors:
        if error:
            raise error


def each(parties, action):
    """Does this for all parties side by side."""
    raise_first(suite.at_once([lambda p=p: action(p) for p in parties], workers=len(parties) or 1))


def echo_party(lab, wire):
    """FRR alone has echoes. Each of its sessions sends one every 50 ms beside the control packets."""
    forms = ((4, False, False), (6, False, False))
    return Party(lab, wire, "echo", (FRR, FRR), 300, forms=forms, echo=True)


class Baseline:
    """How long the sessions of each pair take to be Up without a firewall. Their first packets meet
    by chance, so the measure is the slowest that was seen, and not less than what the protocol's slow
    rate allows for."""

    def __init__(self):
        self.seen = {}

    def measure(self, party):
        """Of a party that has just come Up with no firewall in its way."""
        times = [session.time_to_up() for session in party.sessions]
        self.seen.setdefault(party.pair, []).extend(times)

    def limit(self, party):
        return max([party.slow(), *self.seen.get(party.pair, ())])

    def lines(self):
        for pair, times in self.seen.items():
            times = sorted(times)
            yield (f"{'-'.join(pair)}: Up after {times[0]:.3f}-{times[-1]:.3f} s, "
                   f"median {times[len(times) // 2]:.3f} s, {len(times)} sessions")  # fmt: skip


# --- the firewall -------------------------------------------------------------------------------


def _ports(ports):
    return f"udp dport {{ {', '.join(map(str, ports))} }}"


def strict(placement, admit="related", accept=False, forward=True, extra=()):
    """A default-drop firewall for this place, as text for nft -f. It lets our side's BFD packets out,
    on the router the client's; to let the others' in is what `accept` is for: these ports, or all
    of BFD's. Without `forward` the router protects only itself. What is extra is accepted everywhere."""
    ports = _ports(PORTS)
    known = [f"{_ports(PORTS if accept is True else accept)} counter accept"] if accept else []
    ours = {"input": known, "output": [f"{ports} accept"]}
    if forward:
        ours["forward"] = [f'iifname "{CLIENT}" {ports} accept' if placement == ROUTER else "", *known]
    chains = []
    for hook, rules_here in ours.items():
        loopback = {"input": "iif lo accept", "output": "oif lo accept", "forward": ""}[hook]
        rules = [loopback, "ct state invalid drop", CONCESSION[admit]]
        rules += [ICMP, NEIGHBOURS, *rules_here, *extra, f"{ports} counter"]
        body = "".join(f"\t\t{rule}\n" for rule in rules if rule)
        chains.append(
            f"\tchain {hook} {{\n"
            f"\t\ttype filter hook {hook} priority filter; policy drop;\n{body}\t}}\n"
        )
    return "table inet strict {\n" + "".join(chains) + "}\n"


# --- pinholed -----------------------------------------------------------------------------------


def service(**options):
    """`service bfd { ... }`; options have underscores for dashes."""
    settings = {"enabled": True}
    settings.update(options)

    def text(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return f"{{ {', '.join(map(str, value))} }}"
        return str(value)

    lines = "".join(f"\t{k.replace('_', '-')} = {text(v)}\n" for k, v in settings.items())
    return f"service bfd {{\n{lines}}}\n"


def pinholed(lab, ns, admit="related", name=None, limits=None, **options):
    """A Daemon for BFD; options are those of service()."""
    return BfdDaemon(lab, ns, name, admit=admit, limits=limits, extra=service(**options))


class BfdDaemon(Daemon):
    def bfd(self, source=None, target=None):
        """Its pinholes for BFD that are not closed, between these addresses."""
        return [
            p for p in self.pinholes()
            if p["service"] == "bfd" and source in (None, p["src"]) and target in (None, p["dst"])
        ]  # fmt: skip

    def in_kernel(self):
        """The elements of the sets for BFD as nft lists them."""
        found = []
        for name, body in re.findall(r"^\tset (\S+) \{\n(.*?)^\t\}", self.table() or "", re.M | re.S):
            elements = re.search(r"elements = \{(.*)\}", body, re.S)
            if elements and name.startswith("bfd"):
                found += [e.strip() for e in elements.group(1).split(",") if e.strip()]
        return found

    @contextlib.contextmanager
    def watching(self):
        """`pinholectl watch`; yields a Watch."""
        process = self.ctl_popen("--json", "watch")
        try:
            poll.until(lambda: self.ctl_json("status").get("watchers"), "the watcher to be there")
            yield Watch(process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Watch:
    """Events as pinholed tells them, with the time at which they were told."""

    def __init__(self, process):
        self.process = process
        self.rest = b""
        self.events = []
        os.set_blocking(process.stdout.fileno(), False)

    def read(self):
        while True:
            try:
                data = os.read(self.process.stdout.fileno(), 65536)
            except BlockingIOError:
                return self.events
            if not data:
                raise CommandFailed("pinholectl watch has ended")
            now = time.time()
            *lines, self.rest = (self.rest + data).split(b"\n")
            self.events += [(now, json.loads(line)) for line in lines if line.startswith(b"{")]

    def wait(self, event, seconds, **wanted):
        """The time of the first event of this name whose fields are as wanted."""

        def found():
            for now, told in self.read():
                if told.get("event") == event and all(told.get(k) == v for k, v in wanted.items()):
                    return now
            return None

        return poll.until(found, lambda: f"{event} {wanted}: {self.events[-20:]}", seconds)

    def forget(self):
        self.read()
        self.events.clear()
