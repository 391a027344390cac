#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every profile, packet by packet: each row of the catalogue passes from and to those that it is
about, in the families, from the source ports and with the switches that it says; nothing else does.
What should pass is worked out from the catalogue (lab/catalogue.py), not from the rule set. Then the
traffic that no document names and no host can do without: neighbours, echoes, errors, answers. At the
end rule sets with faults made on purpose, each of which has to be noticed.

SEED=N chooses other ports of those that no row names."""

import contextlib
import errno
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import catalogue, poll, probe, suite, tap
from lab import profile as profiles
from lab.bfd import link_local_address
from lab.catalogue import ANY, BROADCAST, FAMILIES, PROTOS
from lab.dialogue import FAMILY, connected, listen
from lab.netns import ROOT
from lab.nfs import start_from
from lab.probe import DEVICE, ELSEWHERE, HOST, STRANGER, Probe
from lab.profile import HIGH, OTHERS, Ground, agree, differing


def directions(profile):
    return ("in", "out") if profile.output_drops else ("in",)


def everything_on(profile):
    """But for the way back in, which has a case of its own."""
    return profile.services() + ["ping"] * profile.ping


def by_default(profile):
    return profile.services("on") + ["ping"] * profile.ping


# --- loading ------------------------------------------------------------------------------------


def loads(t, range_, name, text):
    """As an administrator would, and by mistake. False when it cannot be loaded at all."""
    with t.case(f"{name}: nft has nothing to say of it"):
        done = range_.host.run(["nft", "-c", "-f", range_.lab.file(f"{name}.nft", text)])
        tap.equal((done.returncode, done.stdout + done.stderr), (0, ""))
    if done.returncode != 0:
        return False
    range_.load(text)
    with t.case(f"{name}: read back from its head it is the same"):
        tap.true(profiles.render(range_.lab.file(f"{name}.nft", text)) == text, "it is another")
    with t.case(f"{name}: loaded twice it is the same"):
        once = range_.rules()
        range_.load(text)
        tap.equal(range_.rules(), once)
        tap.equal(re.findall(r"^table .*", once, re.M), ["table inet strict {"])
    with t.case(f"{name}: with an error in it, the old one stays in force"):
        other = profiles.render(name)
        for mistake in ("table inet strict { chain lost { jump nowhere; }; }\n", "this is no rule\n"):
            done = range_.host.run(["nft", "-f", range_.lab.file(f"{name}.nft", other + mistake)])
            tap.true(done.returncode != 0, "nft took it")
            tap.equal(range_.rules(), once)
    return True


# --- packet by packet ---------------------------------------------------------------------------


def split(settled, probes):
    wanted = [p for p in probes if settled.admits(p.direction, p.peer, p.proto, p.sport, p.dport)]
    return wanted, sorted(set(probes) - set(wanted))


def every_row(ground, direction, family, passed):
    """Each by itself, so that none is forgotten because another is about the same port."""
    missing = []
    for row in ground.profile.rows:
        if row.direction != direction or family not in row.families:
            continue
        for place in ground.places.values() if row.peer == ANY else [ground.places[row.peer]]:
            for proto in set(row.protos) & set(PROTOS):
                for port in {p for ports in row.ports for p in ports}:
                    for sport in row.sport or (HIGH,):
                        if Probe(direction, place.address[family], proto, sport, port) not in passed:
                            missing.append(f"{row}: {proto} {port}, source port {sport}, is dropped")
    agree(missing)


def everything(t, range_, ground, direction, family, seed):
    """All that has a switch is on."""
    name = f"{ground.profile.name}, IPv{family}, {direction}"
    settled = ground.settled(everything_on(ground.profile))
    named = ground.on_rows(direction, family)
    others = ground.on_others(direction, family, seed)
    echoes = ground.echoes(direction, family)
    passed = range_.passed(named + others + echoes)
    wanted, unwanted = split(settled, named)
    with t.case(f"{name}: every row passes"):
        every_row(ground, direction, family, passed)
        agree(differing(ground, settled, wanted, passed))
    with t.case(f"{name}: the ports of rows are shut for everybody else, {len(unwanted)} packets"):
        agree(differing(ground, settled, unwanted, passed))
    with t.case(f"{name}: {OTHERS} other ports for each peer and transport, {len(others)} packets"):
        agree(differing(ground, settled, others, passed))
    with t.case(f"{name}: echo requests"):
        agree(differing(ground, settled, echoes, passed))


def switched(t, range_, ground, on, what):
    """Named ports only; both directions together."""
    name = ground.profile.name
    settled = ground.settled(on)
    for family in FAMILIES:
        probes = [p for d in directions(ground.profile) for p in ground.on_rows(d, family)]
        passed = range_.passed(probes)
        wanted, unwanted = split(settled, probes)
        with t.case(f"{name}, IPv{family}: {what}: what is on passes, {len(wanted)} packets"):
            agree(differing(ground, settled, wanted, passed))
        with t.case(f"{name}, IPv{family}: {what}: the rest is dropped, {len(unwanted)} packets"):
            agree(differing(ground, settled, unwanted, passed))


def each_switch(t, range_, ground):
    """Any two switches stand differently at least once, so that none can stand for another."""
    services = ground.profile.services()
    lines = []
    for bit in range((len(services) - 1).bit_length()):
        on = [s for i, s in enumerate(services) if i >> bit & 1]
        range_.load(ground.render(on=on))
        settled = ground.settled(on)
        probes = [p for f in FAMILIES for d in directions(ground.profile) for p in ground.on_rows(d, f)]
        lines += differing(ground, settled, probes, range_.passed(probes))
    with t.case(f"{ground.profile.name}: each of {len(services)} switches is that of its own rows"):
        agree(lines)


def all_in_one(t, range_, profile):
    """A peer that has several roles has the rights of each."""
    ground = Ground(profile, together=True)
    range_.load(ground.render(on=everything_on(profile)))
    settled = ground.settled(everything_on(profile))
    for family in FAMILIES:
        with t.case(f"{profile.name}, IPv{family}: one who has all roles gets what each gets"):
            probes = [p for d in directions(profile) for p in ground.on_rows(d, family)]
            agree(differing(ground, settled, probes, range_.passed(probes)))


def output_open(t, range_, ground, family):
    probes = [
        Probe("out", STRANGER[family], proto, HIGH, port) for proto in PROTOS for port in (1, 22, 4711, 65535)
    ]
    with t.case(f"{ground.profile.name}, IPv{family}: the host may go anywhere"):
        agree(differing(ground, ground.settled([]), probes, range_.passed(probes)))


def other_destinations(t, range_, ground, family):
    """Strangers get no more by addressing everybody, or the host by another of its addresses."""
    settled = ground.settled(everything_on(ground.profile))
    addresses = {
        4: ["255.255.255.255", "10.80.255.255", "224.0.0.1", ELSEWHERE[4]],
        6: ["ff02::1", ELSEWHERE[6], link_local_address(range_.host, DEVICE)],
    }[family]
    ports = ground.named() + [4711]
    stranger = STRANGER[family]
    probes = [
        Probe("in", stranger, "udp", HIGH + 2 + i, port, to)
        for i, to in enumerate(addresses) for port in ports
        if not settled.admits("in", stranger, "udp", HIGH, port)
    ]  # fmt: skip
    name = f"{ground.profile.name}, IPv{family}"
    with t.case(f"{name}: strangers get no more at {', '.join(addresses)}"):
        agree(differing(ground, settled, probes, range_.passed(probes)))
    if family == 4 and any("broadcast" in r.facts for r in ground.profile.rows):
        probes = [
            Probe(d, BROADCAST[d], proto, 68, port, *[BROADCAST["out"]] * (d == "in"))
            for d in directions(ground.profile) for proto in PROTOS
            for port in sorted({67, 68, *ground.named()})
        ]  # fmt: skip
        with t.case(f"{name}: who has no address is heard where rows say so, and nowhere else"):
            passed = range_.passed(probes)
            agree(differing(ground, settled, probes, passed))
            tap.true(passed, "nobody is heard")


# --- the daily bread of a network ---------------------------------------------------------------


def first(ground, direction, family, proto):
    """(address, port, source port or 0) of something that passes."""
    for row in ground.profile.rows:
        if row.direction == direction and family in row.families and proto in row.protos:
            if row.ports and "broadcast" not in row.facts:
                place = next(iter(ground.places.values())) if row.peer == ANY else ground.places[row.peer]
                return place.address[family], row.ports[0][0], row.sport[1] if row.sport else 0
    if direction == "out" and not ground.profile.output_drops:
        return STRANGER[family], 4711, 0
    return None


def connect(ns, family, source, target, sport=0):
    sock = ns.socket(FAMILY[family])
    sock.settimeout(3)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((source, sport))
    sock.connect(target)
    return sock


def greet(a, b):
    """What each says reaches the other."""
    for source, target in ((a, b), (b, a)):
        source.sendall(b"hello")
        target.settimeout(3)
        tap.equal(target.recv(16), b"hello")


def talk(ns, family, source, target, sport, server_ns, address=None):
    """A connection with a server, both ways; (client's socket, server's socket). address: of the
    server itself, where the target is another."""
    with listen(server_ns, family, address or target[0], target[1]) as server:
        client = connect(ns, family, source, target, sport)
        accepted, _ = server.accept()
    greet(client, accepted)
    return client, accepted


def close(*sockets):
    for sock in sockets:
        sock.close()


def refused(ns, family, source, target, sport, kind):
    """The host says at once that nobody is there."""
    with ns.socket(FAMILY[family], kind) as sock:
        sock.settimeout(3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((source, sport))
        try:
            sock.connect(target)
            sock.send(b"anybody?")
            sock.recv(16)
        except OSError as e:
            tap.equal(e.errno, errno.ECONNREFUSED, str(e))
            return
    raise tap.Failure("somebody answered")


def ordinary(t, range_, ground, family):
    profile = ground.profile
    name = f"{profile.name}, IPv{family}"
    settled = ground.settled(everything_on(profile))
    range_.address(range_.outside, ground.peers(family))
    with t.case(f"{name}: echoes, both ways, with no neighbour known"):
        for direction in ("in", "out"):
            for peer in ground.peers(family):
                if settled.admits(direction, peer, "icmp", 0, 0):
                    range_.forget_neighbours()
                    if direction == "in":
                        range_.ping(range_.outside, peer, HOST[family])
                    else:
                        range_.ping(range_.host, HOST[family], peer)
                    break
            else:
                raise tap.Failure(f"nobody may, {direction}")
    with t.case(f"{name}: the host talks to itself"):
        for address in (HOST[family], {4: "127.0.0.1", 6: "::1"}[family]):
            close(*talk(range_.host, family, address, (address, 4711), 0, range_.host))
    peer = first(ground, "in", family, "tcp")
    if peer:
        source, port, sport = peer
        with t.case(f"{name}: a connection from a peer, and what its routers say of it"):
            client, accepted = talk(range_.outside, family, source, (HOST[family], port), sport, range_.host)
            with client, accepted:
                own = client.getsockname()[1]
                tap.true(range_.too_big(source, port, own), "an error is dropped")
                tap.true(not range_.too_big(source, port, own ^ 1), "an error of no flow passes")
        with t.case(f"{name}: a peer is told at once that nobody listens"):
            refused(range_.outside, family, source, (HOST[family], port), sport and sport - 1,
                    socket.SOCK_STREAM)  # fmt: skip
            datagrams = first(ground, "in", family, "udp")
            if datagrams:
                source, port, sport = datagrams
                refused(range_.outside, family, source, (HOST[family], port), sport, socket.SOCK_DGRAM)
    peer = first(ground, "out", family, "tcp")
    if peer:
        with t.case(f"{name}: a connection of the host's own"):
            target, port, sport = peer
            client, accepted = talk(range_.host, family, HOST[family], (target, port), sport, range_.outside)
            with client, accepted:
                tap.true(range_.too_big(target, client.getsockname()[1], port), "an error is dropped")


def marks(t, range_, ground):
    """What pinholed has marked passes, whatever it is; no other bit of the mark opens anything."""
    profile = ground.profile
    for mark, passes in ((0x20000000, True), (0xDFFFFFFF, False)):
        range_.beside("".join(
            f"chain {hook} {{ type filter hook {hook} priority mangle; ct state new ct mark set {mark}; }}\n"
            for hook in ("prerouting", "output")
        ))  # fmt: skip
        probes = [
            Probe(d, STRANGER[f], proto, HIGH, port)
            for d in directions(profile) for f in FAMILIES for proto in PROTOS for port in (1, 4711, 40000)
        ]  # fmt: skip
        word = "passes" if passes else "opens nothing"
        with t.case(f"{profile.name}: the mark {mark:#x} {word}"):
            tap.equal(range_.passed(probes), set(probes) if passes else set())
    range_.beside()


def flood(t, range_, ground):
    """Echo requests are answered, but not any number of them."""
    range_.load(ground.render())
    for family in FAMILIES:
        with t.case(f"{ground.profile.name}, IPv{family}: of 500 echo requests at once some pass"):
            probes = [Probe("in", STRANGER[family], "icmp", 0, i) for i in range(1, 501)]
            passed = len(range_.passed(probes))
            tap.true(5 <= passed <= 100, f"{passed} do")


# --- containers ---------------------------------------------------------------------------------


def containers(t, range_, ground, insides):
    """Ports that are translated to containers are the peers' alone; containers go where they like."""
    profile = ground.profile
    range_.load(ground.render(on=everything_on(profile)))
    for device in profile.inside:
        if device not in insides:
            insides[device] = range_.container(device)
    ns, own, there = insides[profile.inside[0]]
    for family in FAMILIES:
        name = f"{profile.name}, IPv{family}"
        source, port, sport = first(ground, "in", family, "tcp")
        word = {4: "ip", 6: "ip6"}[family]
        range_.beside(
            f"chain translate {{\n\ttype nat hook prerouting priority dstnat;\n\tiifname {DEVICE} "
            f"meta nfproto ipv{family} tcp dport {port} dnat {word} to {there[family]}\n}}\n"
        )
        with t.case(f"{name}: a peer reaches a container by a translated port"):
            close(*talk(range_.outside, family, source, (HOST[family], port), sport, ns, there[family]))
        with t.case(f"{name}: a stranger does not"):
            with listen(ns, family, there[family], port), profiles.Gauge(
                ns, STRANGER[family], "tcp", port
            ) as behind, profiles.Gauge(range_.host, STRANGER[family], "tcp", port) as before:
                with start_from(range_.outside, family, STRANGER[family], HOST[family], port) as flow:
                    poll.until(lambda: before.read()[0], "the packet to arrive")
                    tap.true(not connected(flow, 0), "the stranger is through")
                    tap.equal(behind.read(), (0, 0))
        range_.beside()
        with t.case(f"{name}: by its own address a container is nobody's, not even a peer's"):
            for caller, at in ((STRANGER[family], 4711), (source, port)):
                with profiles.Gauge(range_.host, caller, "tcp", at, probe.BEFORE_TRANSLATION) as gauge:
                    with start_from(range_.outside, family, caller, there[family], at):
                        gauge.dropped()
        with t.case(f"{name}: unless the host passes on packets"):
            range_.load(ground.render(on=everything_on(profile) + ["pass_on"]))
            close(*talk(range_.outside, family, STRANGER[family], (there[family], 4711), 0, ns))
            range_.load(ground.render(on=everything_on(profile)))
        with t.case(f"{name}: containers reach the host and, through it, everybody"):
            for device in profile.inside:
                inside, at_host, at_container = insides[device]
                close(*talk(inside, family, at_container[family], (at_host[family], 4711), 0, range_.host))
                everybody = STRANGER[family], 4711
                close(*talk(inside, family, at_container[family], everybody, 0, range_.outside))
    strange, at_host, at_container = insides.get("br-other") or range_.container("br-other")
    insides["br-other"] = strange, at_host, at_container
    with t.case(f"{profile.name}: a link that is not in `inside` is one like any other, until it is"):
        with profiles.Gauge(range_.host, at_container[4], "tcp", 4711, probe.BEFORE_TRANSLATION) as gauge:
            with start_from(strange, 4, at_container[4], at_host[4], 4711):
                gauge.dropped()
        text = profiles.render(profile.name, {**ground.defines, "inside": [*profile.inside, "br-other"]})
        range_.load(text)
        close(*talk(strange, 4, at_container[4], (at_host[4], 4711), 0, range_.host))


# --- what is not settled ------------------------------------------------------------------------


def committed(name):
    """The rule set as it is in the tree, else as it would be there."""
    path = os.path.join(ROOT, "rules", "profiles", f"{name}.nft")
    if not os.path.exists(path):
        return profiles.render(name)
    with open(path, encoding="utf-8") as f:
        return f.read()


def unsettled(t, range_, ground):
    """As it comes, loaded by somebody who is logged in over the network."""
    profile = ground.profile
    range_.clear()
    with contextlib.ExitStack() as stack:
        # Something that looks at states, so that there are any.
        range_.load("table inet strict { chain any { type filter hook input priority 0; ct state new accept; }; }")
        flows = {}
        for family in FAMILIES:
            flows[family] = talk(range_.outside, family, STRANGER[family], (HOST[family], 22), 0, range_.host)
            stack.callback(close, *flows[family])
        range_.load(committed(profile.name))
        settled = ground.settled(by_default(profile), nobody=True)
        for family in FAMILIES:
            name = f"{profile.name}, IPv{family}, nothing settled"
            with t.case(f"{name}: the connections that are there go on"):
                greet(*flows[family])
            with t.case(f"{name}: nobody is let in but by what is for anybody"):
                probes = [p for d in directions(profile) for p in ground.on_rows(d, family)]
                agree(differing(ground, settled, probes, range_.passed(probes)))


def own_ports(t, range_, ground):
    """What an administrator adds: ports, and a way back for himself."""
    profile = ground.profile
    also = {("in", "tcp"): ((4711, 4711), (9000, 9010)), ("in", "udp"): ((4712, 4712),)}
    if profile.output_drops:
        also |= {("out", "tcp"): ((4713, 4720),), ("out", "udp"): ((4721, 4721),)}
    ports = [*range(4710, 4723), 8999, 9000, 9005, 9010, 9011, 22]
    rescue = ["rescue_ssh"] * profile.rescue
    range_.load(ground.render(on=rescue, also=also))
    settled = ground.settled(rescue, also)
    for family in FAMILIES:
        word = ", rescue_ssh," if rescue else ""
        with t.case(f"{profile.name}, IPv{family}: also_in, also_out{word} and nothing else"):
            probes = [
                Probe(d, peer, proto, HIGH, port)
                for d in directions(profile) for peer in ground.peers(family)
                for proto in PROTOS for port in ports
            ]  # fmt: skip
            probes += [p for d in directions(profile) for p in ground.on_rows(d, family)]
            probes += [p for d in directions(profile) for p in ground.echoes(d, family)]
            agree(differing(ground, settled, sorted(set(probes)), range_.passed(sorted(set(probes)))))


# --- the whole of one profile -------------------------------------------------------------------


def whole(t, range_, profile, seed, insides):
    ground = Ground(profile)
    range_.observe(probe.BEFORE_TRANSLATION if profile.containers else probe.BEHIND_INPUT)
    range_.clear()
    if not loads(t, range_, profile.name, ground.render(on=everything_on(profile))):
        return
    for family in FAMILIES:
        for direction in directions(profile):
            everything(t, range_, ground, direction, family, seed)
        if not profile.output_drops:
            output_open(t, range_, ground, family)
        other_destinations(t, range_, ground, family)
        ordinary(t, range_, ground, family)
    for on, what in ((None, "by default"), ([], "all switched off")):
        range_.load(ground.render(on=on))
        switched(t, range_, ground, by_default(profile) if on is None else on, what)
    marks(t, range_, ground)
    each_switch(t, range_, ground)
    all_in_one(t, range_, profile)
    own_ports(t, range_, ground)
    if profile.containers:
        containers(t, range_, ground, insides)
    unsettled(t, range_, ground)


# --- faults that have to be noticed -------------------------------------------------------------


def replaced(text, pattern, by):
    """The first place where this is so, made otherwise."""
    changed, n = re.subn(pattern, by, text, count=1, flags=re.M)
    tap.equal(n, 1, f"places with {pattern}")
    return changed


def faults(profile, ground, seed):
    """{what is wrong: (pattern, replacement, what has to be said of it)}"""
    limited = next(r for r in profile.rows if r.direction == "in" and r.sport)
    low, high = limited.sport

    def plain(direction):
        return next(
            r for r in profile.rows
            if r.direction == direction and r.peer != ANY and not r.sport and r.protos == ("tcp",)
        )  # fmt: skip

    coming, going = plain("in"), plain("out")
    peer, port, other = coming.peer, coming.ports[0][0], ground.others("in", seed)[0]
    it = rf"(chain from_{peer} {{[^}}]*?)tcp dport {port}\b"
    told = f"tcp {port} from {peer}"
    out_port = going.ports[0][0]
    return {
        "a rule is missing": (rf"{it} .*", r"\1", told),
        "a rule of output is missing": (
            rf"(chain to_{going.peer} {{[^}}]*?)tcp dport {out_port} .*", r"\1",
            f"tcp {out_port} to {going.peer}"),
        "a rule has another port": (it, rf"\g<1>tcp dport {other}", told),
        "a rule has another port too": (
            it, rf"\g<1>tcp dport {{ {port}, {other} }}", f"tcp {other} from {peer}"),
        "a rule has another's switch": (rf"({it}\s+jump \$)\w+", r"\1ping", told),
        "a port is open for anybody, over IPv6": (
            r"^\s+iif lo accept$", rf"\g<0>\nmeta nfproto ipv6 udp dport {other} accept",
            f"udp {other} from a stranger"),
        "the condition on a source port is missing": (rf"\w+ sport {low}-{high} ", "", f"from {limited.peer}"),
        "a condition on a source port is off by one": (
            rf"sport {low}-{high}\b", f"sport {low}-{high + 1}", f"source port {high + 1}"),
        "a peer is everybody": (rf"ip\s+saddr @{peer}4\s+jump", "jump", "from a stranger"),
        "a peer's network is too wide": (rf"^(define {peer}4\s.*?)/25", r"\1/24", f"beside {peer}"),
        "a peer's second address is forgotten": (rf"^(define {peer}4\s.*), \S+ }}", r"\1 }", told),
        "a peer has no IPv6": (rf"ip6 saddr @{peer}6\s+jump .*", "", told),
        "a switch is off": (rf"^(define {coming.service}\s*= )on", r"\1off", told),
        "the policy is accept": ("policy drop", "policy accept", "from a stranger"),
        "output's policy is accept": (r"(hook output .*policy) drop", r"\1 accept", "to a stranger"),
    }  # fmt: skip


def noticed(t, range_, profile, seed):
    """One fault a time; the comparison has to name it."""
    ground = Ground(profile)
    on = profile.services()  # ping is off
    settled, text = ground.settled(on), ground.render(on=on)
    probes = [
        p for f in FAMILIES for d in directions(profile)
        for p in ground.on_rows(d, f) + ground.on_others(d, f, seed)
    ]  # fmt: skip
    with t.case(f"{profile.name}: with no fault there is nothing to notice"):
        range_.load(text)
        agree(differing(ground, settled, probes, range_.passed(probes)))
    for what, (pattern, by, told) in faults(profile, ground, seed).items():
        with t.case(f"{profile.name}, noticed: {what}"):
            range_.load(replaced(text, pattern, by))
            lines = differing(ground, settled, probes, range_.passed(probes))
            tap.true(any(told in line for line in lines), f"nobody says {told!r}: {lines[:5]}")
    with t.case(f"{profile.name}, noticed: who has several roles gets what the first one gets"):
        together = Ground(profile, together=True)
        range_.load(re.sub(r"(addr @\w+4\s+)jump", r"\1goto", together.render(on=on)))
        probes = [p for d in directions(profile) for p in together.on_rows(d, 4)]
        tap.true(differing(together, together.settled(on), probes, range_.passed(probes)), "nobody notices")
    with t.case(f"{profile.name}, noticed: packets that do not arrive"):
        range_.load(text)
        range_.beside("chain steal { type filter hook prerouting priority -400; udp dport 7 drop; }\n")
        range_.patience = 0.2
        try:
            range_.passed(ground.on_rows("in", 4))
        except poll.Timeout:
            return
        finally:
            range_.patience = 5
            range_.beside()
        raise tap.Failure("nobody has missed them")


seed = int(os.environ.get("SEED", 1))
with suite.laboratory() as (t, lab, _):
    t.say(f"SEED={seed}")
    range_ = probe.Range(lab)
    here = catalogue.profiles()
    insides = {}
    for profile in here:
        whole(t, range_, profile, seed, insides)
    flood(t, range_, Ground(next(p for p in here if p.ping and not p.containers)))
    noticed(t, range_, next(p for p in here if p.output_drops and any(r.sport for r in p.rows)), seed)
