# SPDX-License-Identifier: GPL-2.0-or-later
"""The port catalogue as rules/catalogue/README.md describes it, read for the tests alone: what a
profile has to let through, and nothing of how it is made. What nft-helper/catalogue.c and
nft-helper/profile.c make of the same files is held against this."""

import collections
import dataclasses
import ipaddress
import os

from .netns import ROOT

DIRECTORY = os.path.join(ROOT, "rules", "catalogue")
FAMILIES = (4, 6)
PROTOS = ("tcp", "udp")
OTHER = "other"  # a transport protocol that no row names
ANY = "any"
ALL_PORTS = ((1, 65535),)
# Whom the fact `broadcast` is about, who has no address yet or is everybody.
BROADCAST = {"in": "0.0.0.0", "out": "255.255.255.255"}


def table(name, directory=DIRECTORY):
    """[{column: cell}, ...] of one file; an empty cell is ''."""
    found = []
    columns = None
    with open(os.path.join(directory, name), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            cells = ["" if cell == "-" else cell for cell in line.split("\t")]
            if columns is None:
                columns = cells
                continue
            if len(cells) != len(columns):
                raise ValueError(f"{name}:{number}: {len(cells)} cells, not {len(columns)}")
            found.append(dict(zip(columns, cells), at=f"{name}:{number}"))
    return found


def words(cell):
    return tuple(cell.split(",")) if cell else ()


def ranges(cell):
    """((lo, hi), ...); nothing where the document has no number."""
    if cell == ANY:
        return ALL_PORTS
    found = []
    for word in words(cell):
        lo, _, hi = word.partition("-")
        found.append((int(lo), int(hi or lo)))
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class Row:
    at: str
    name: str
    roles: tuple
    direction: str
    peer: str
    service: str
    families: tuple
    protos: tuple
    ports: tuple
    sport: tuple
    need: str
    default: str
    pinhole: bool
    facts: tuple

    @classmethod
    def read(cls, cells):
        sport = ranges(cells["sport"])
        proto = cells["proto"]
        return cls(
            at=cells["at"],
            name=cells["row"],
            roles=words(cells["role"]),
            direction=cells["direction"],
            peer=cells["peer"],
            service=cells["service"],
            families={"any": FAMILIES, "ip4": (4,), "ip6": (6,)}[cells["family"]],
            protos=(*PROTOS, "icmp", OTHER) if proto == ANY else words(proto),
            ports=ranges(cells["port"]),
            sport=sport[0] if sport else None,
            need=cells["need"],
            default=cells["default"],
            pinhole=cells["tracker"].endswith(":pinhole"),
            facts=words(cells["facts"]),
        )

    def rule(self):
        """It is one in the firewall, when it is switched on."""
        return (
            self.direction in ("in", "out")
            and self.default != "never"
            and not self.pinhole
            and (bool(self.ports) or "icmp" in self.protos)
        )

    def takes(self, sport):
        return self.sport is None or self.sport[0] <= sport <= self.sport[1]

    def __str__(self):
        ports = ",".join(f"{lo}-{hi}" if hi > lo else str(lo) for lo, hi in self.ports) or "no port"
        why = [self.need, self.default] + ["left to pinholed"] * self.pinhole
        return f"row {self.name} ({self.at}: {self.service}, {ports}, {', '.join(why)})"


class Profile:
    def __init__(self, cells, rows):
        self.name, self.system = cells["name"], cells["system"]
        self.roles = words(cells["roles"])
        self.output_drops = {"drop": True, "accept": False}[cells["output"]]
        self.containers = {"yes": True, "no": False, "": False}[cells["containers"]]
        self.inside = words(cells["inside"])
        self.all_rows = [r for r in rows if set(r.roles) & set(self.roles)]
        self.rows = [r for r in self.all_rows if r.rule()]
        if not self.output_drops:
            self.rows = [r for r in self.rows if r.direction == "in"]

    @property
    def rescue(self):
        """No row lets ssh in; one for everything is not meant for that."""
        return not any(
            r.direction == "in" and "tcp" in r.protos and OTHER not in r.protos
            and any(lo <= 22 <= hi for lo, hi in r.ports)
            for r in self.rows
        )  # fmt: skip

    @property
    def ping(self):
        """The document says nothing of echo requests."""
        return not any("icmp" in r.protos and OTHER not in r.protos for r in self.rows)

    def extras(self):
        """Switches that no row has."""
        return ["ping"] * self.ping + ["pass_on"] * self.containers + ["rescue_ssh"] * self.rescue

    def peers(self):
        """Roles that rows are about."""
        return list(dict.fromkeys(r.peer for r in self.all_rows if r.peer not in ("", ANY)))

    def known(self):
        """Those of them that rules are about, so that one can say who they are."""
        found = [r.peer for r in self.rows if r.peer != ANY] + ["admins"] * self.rescue
        return list(dict.fromkeys(found))

    def services(self, default=None):
        return list(dict.fromkeys(r.service for r in self.rows if default in (None, r.default)))


def profiles(directory=DIRECTORY):
    rows = collections.defaultdict(list)
    for document in table("documents.tsv", directory):
        for cells in table(f"{document['name']}.tsv", directory):
            rows[cells["system"]].append(Row.read(cells))
    return [Profile(cells, rows[cells["system"]]) for cells in table("profiles.tsv", directory)]


class Settled:
    """A profile with what an administrator has settled: who the roles are, what is on."""

    def __init__(self, profile, peers, on, also=None):
        """peers: {role: [prefix, ...]}; on: services; also: {("in", "tcp"): ((lo, hi), ...), ...}"""
        self.profile = profile
        self.peers = {role: [ipaddress.ip_network(p) for p in prefixes] for role, prefixes in peers.items()}
        self.on = frozenset(on)
        self.also = also or {}
        self._index = {}

    def roles(self, address):
        address = ipaddress.ip_address(address)
        return frozenset(r for r, nets in self.peers.items() if any(address in n for n in nets))

    def _rows(self, direction, address):
        """({(proto, port): [row, ...]}, [(proto, lo, hi, row), ...]) for one peer."""
        key = direction, address
        if key not in self._index:
            roles, version = self.roles(address), ipaddress.ip_address(address).version
            single, wide = collections.defaultdict(list), []
            for row in self.profile.rows:
                if (
                    row.direction != direction
                    or row.service not in self.on
                    or version not in row.families
                    or not self._meant(row, address, roles)
                ):
                    continue
                for proto in row.protos:
                    for lo, hi in row.ports or ((0, 65535),):
                        if hi - lo < 8:
                            for port in range(lo, hi + 1):
                                single[proto, port].append(row)
                        else:
                            wide.append((proto, lo, hi, row))
            self._index[key] = single, wide
        return self._index[key]

    @staticmethod
    def _meant(row, address, roles):
        if "broadcast" in row.facts and address == BROADCAST[row.direction]:
            return True
        return row.peer in (ANY, *roles)

    def admits(self, direction, address, proto, sport, dport):
        """The row by which this new flow passes, or why else it does; None when it does not."""
        if direction == "out" and not self.profile.output_drops:
            return "output is open"
        if proto == "icmp" and self.profile.ping and "ping" in self.on:
            return "ping"
        single, wide = self._rows(direction, address)
        for row in single.get((proto, dport), ()):
            if row.takes(sport):
                return row
        for p, lo, hi, row in wide:
            if p == proto and (lo <= dport <= hi or proto in ("icmp", OTHER)) and row.takes(sport):
                return row
        if any(lo <= dport <= hi for lo, hi in self.also.get((direction, proto), ())):
            return f"also_{direction}_{proto}"
        if "rescue_ssh" in self.on and (direction, proto, dport) == ("in", "tcp", 22):
            if "admins" in self.roles(address):
                return "rescue_ssh"
        return None
