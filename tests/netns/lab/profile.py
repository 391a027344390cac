# SPDX-License-Identifier: GPL-2.0-or-later
"""Strict profiles as `pinholectl profile render` writes them, on the range of probe.py: who stands
where, what is sent at each, and what should get through of it as the catalogue has it."""

import random
import re
import subprocess

from . import catalogue, poll, probe, tap
from .catalogue import ANY, OTHER, PROTOS
from .daemon import PINHOLECTL
from .netns import CommandFailed, environment
from .probe import STRANGER, Probe

OTHERS = 200  # ports that no row names, for each peer and transport
HIGH = 50000  # where source ports are nobody's


def run(*words, directory=catalogue.DIRECTORY):
    """`pinholectl profile ...`, which needs neither root nor a daemon."""
    command = [PINHOLECTL, "profile", words[0], "--catalogue", directory, *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=30)


def render(name, defines=(), on=(), off=(), directory=catalogue.DIRECTORY):
    """The rule set; defines: {role: [prefix, ...]} or {"also_in_tcp": [ports, ...]}."""
    words = ["render", name]
    for role, prefixes in dict(defines).items():
        words += ["--define", f"{role}={','.join(prefixes)}"]
    for option, services in (("--with", on), ("--without", off)):
        if services:
            words += [option, ",".join(services)]
    done = run(*words, directory=directory)
    if done.returncode != 0:  # it may warn
        raise CommandFailed(f"pinholectl profile {' '.join(words)}: {done.returncode}: {done.stderr}")
    return done.stdout


# --- who stands where ---------------------------------------------------------------------------


class Place:
    """Where one role is: a network and one more address of each family; and who is just beside them."""

    def __init__(self, number):
        n = number
        self.address = {4: f"10.80.{n}.2", 6: f"fd80:{n}::2"}
        self.single = {4: f"10.80.{n}.200", 6: f"fd80:{n}:1::2"}
        self.beside = {4: f"10.80.{n}.130", 6: f"fd80:{n}:2::2"}
        self.prefixes = [f"10.80.{n}.0/25", f"fd80:{n}::/64", *self.single.values()]


class Ground:
    """One profile with everybody in a place of his own, or all in one."""

    def __init__(self, profile, together=False):
        self.profile = profile
        # Who is in rows that make no rule is a stranger, and nobody can say who it is.
        roles = dict.fromkeys([*profile.known(), *profile.peers()])
        self.places = {role: Place(1 if together else i) for i, role in enumerate(roles, 1)}
        self.defines = {role: self.places[role].prefixes for role in profile.known()}

    def who(self, address):
        """For people."""
        family = probe.version(address)
        for role, place in self.places.items():
            for word in ("address", "single", "beside"):
                if getattr(place, word)[family] == address:
                    return f"{role} ({address})" if word != "beside" else f"{address}, beside {role}"
        return f"a stranger ({address})" if address == STRANGER[family] else address

    def settled(self, on, also=None, nobody=False):
        return catalogue.Settled(self.profile, {} if nobody else self.defines, on, also)

    def render(self, on=None, also=None, nobody=False):
        """With exactly these services on; None: as they are by default."""
        switches = self.profile.services() + self.profile.extras()
        off = []
        if on is not None:
            off = [s for s in switches if s not in on]
        defines = {} if nobody else dict(self.defines)
        for (direction, proto), ports in (also or {}).items():
            words = [f"{lo}-{hi}" if hi > lo else str(lo) for lo, hi in ports]
            defines[f"also_{direction}_{proto}"] = words
        return render(self.profile.name, defines, on or (), off)

    # --- what is sent ---

    def named(self):
        """Ports that rows name, and their neighbours, whichever direction and transport the row has."""
        found = set()
        for row in self.profile.all_rows:
            for lo, hi in row.ports:
                found |= {lo - 1, lo, (lo + hi) // 2, hi, hi + 1}
        return sorted(p for p in found if 0 < p < 65536)

    def others(self, direction, seed):
        """Ports of which no rule of this direction is, but one for all ports."""
        named = {
            p for row in self.profile.rows if row.direction == direction
            for lo, hi in row.ports if row.ports != catalogue.ALL_PORTS for p in range(lo, hi + 1)
        }  # fmt: skip
        free = [p for p in range(1, 65536) if p not in named]
        return random.Random(f"{seed} {self.profile.name} {direction}").sample(free, OTHERS)

    def peers(self, family):
        return list(dict.fromkeys(p.address[family] for p in self.places.values())) + [STRANGER[family]]

    def echoes(self, direction, family):
        return [Probe(direction, peer, "icmp", 0, i) for i, peer in enumerate(self.peers(family), 1)]

    def on_rows(self, direction, family):
        """Every named port from everybody; those with a condition on the source port from its ends and
        from beside them; and from the other addresses of each role what rows are about it."""
        found = set()
        for port in self.named():
            for proto in PROTOS:
                for peer in self.peers(family):
                    found.add(Probe(direction, peer, proto, HIGH, port))
        for row in self.profile.all_rows:
            if row.direction != direction:
                continue
            places = self.places.values() if row.peer == ANY else [self.places[row.peer]]
            peers = [p for place in places for p in (place.single[family], place.beside[family])]
            sports = [HIGH]
            if row.sport:
                lo, hi = row.sport
                sports = sorted({lo - 1, lo, (lo + hi) // 2, hi, hi + 1, HIGH} & set(range(1, 65536)))
                peers += self.peers(family)
            for proto in set(row.protos) & set(PROTOS):
                for lo, hi in row.ports:
                    for port in (lo, (lo + hi) // 2, hi):
                        found |= {Probe(direction, p, proto, sport, port) for p in peers for sport in sports}
        found |= {Probe(direction, peer, OTHER, 1, 1) for peer in self.peers(family)}
        return sorted(found)

    def on_others(self, direction, family, seed):
        return [
            Probe(direction, peer, proto, HIGH + 1, port)
            for peer in self.peers(family) for proto in PROTOS for port in self.others(direction, seed)
        ]  # fmt: skip


# --- what should come of it ---------------------------------------------------------------------


def differing(ground, settled, probes, passed):
    """[line, ...]: what got through and should not have, and the other way round."""
    found = []
    for p in probes:
        wanted = settled.admits(p.direction, p.peer, p.proto, p.sport, p.dport)
        if bool(wanted) != (p in passed):
            got, should = ("passed", "dropped") if p in passed else ("dropped", "passed")
            text = str(p).replace(p.peer, ground.who(p.peer), 1)
            found.append(f"{ground.profile.name}: {text}: {got}, wanted {should}{_because(settled, p, wanted)}")
    return found


def _because(settled, p, wanted):
    if wanted:
        return f": {wanted}"
    rows = [
        r for r in settled.profile.all_rows
        if p.proto in r.protos and any(lo <= p.dport <= hi for lo, hi in r.ports)
    ]  # fmt: skip
    return f"; the port is in {'; '.join(f'{r}, {r.direction} {r.peer}' for r in rows[:3])}" if rows else ""


def agree(lines):
    if lines:
        more = f"\n... and {len(lines) - 20} more" if len(lines) > 20 else ""
        raise tap.Failure("\n".join(lines[:20]) + more)


# --- one packet at a time -----------------------------------------------------------------------


class Gauge:
    """Counts the packets of one kind that reach a host, and those of them that its firewall lets in."""

    def __init__(self, ns, source, proto, port, behind=probe.BEHIND_INPUT):
        self.ns = ns
        kind = f"ip{'6' if ':' in source else ''} saddr {source} {proto} dport {port}"
        chains = "".join(
            f"chain {name} {{ type filter hook {hook}; {kind} counter; }}\n"
            for name, hook in (("arrived", "prerouting priority raw - 10"), ("passed", behind))
        )
        self.text = f"table inet gauge {{\n{chains}}}\n"

    def __enter__(self):
        self.ns.sh("nft", "-f", "-", stdin=self.text)
        return self

    def __exit__(self, *_):
        self.ns.sh("nft", "delete", "table", "inet", "gauge")

    def read(self):
        """(arrived, passed)"""
        listing = self.ns.sh("nft", "list", "table", "inet", "gauge")
        return tuple(int(n) for n in re.findall(r"counter packets (\d+)", listing))

    def dropped(self):
        poll.until(lambda: self.read()[0], "a packet to arrive")
        tap.equal(self.read()[1], 0, "packets let in")
