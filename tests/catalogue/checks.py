# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds of the catalogue by itself. A check is a generator of complaints, one line each; those of
CHECKS are about one document, those of FORMS about one of the shared files."""

import collections
import os
import re

from .tables import COLUMNS, DIRECTORY, LINES, PORTS, WORD, WORDS
from .tables import claimed, in_order, numbers, spans, words, written

# How many rows each table of the documents has, counted by hand.
TABLES = {
    "cumulus": {("cumulus", "ports"): 12, ("cumulus", "netstat"): 20,
                ("netq", "single"): 5, ("netq", "cluster"): 16},
    "qumulo": {("qumulo", "notes"): 3, ("qumulo", "inbound"): 11, ("qumulo", "outbound"): 9},
    "xcat": {("xcat", "table"): 44},
    "avi": {("avi", "table"): 4, ("avi", "services"): 8, ("avi", "openstack"): 5, ("avi", "vcenter"): 1,
            ("avi", "openshift"): 1, ("avi", "kubernetes"): 1, ("avi", "mesos"): 2, ("avi", "nodes"): 3},
    "sevone": {("sevone", "2.1"): 34, ("sevone", "2.2"): 9, ("sevone", "2.3"): 2, ("sevone", "2.4"): 4,
               ("sevone", "2.5.1"): 13, ("sevone", "2.5.2"): 5, ("sevone", "2.5.3"): 39,
               ("sevone", "2.5.4"): 9},
}

FACTS = {"must", "gui", "internal", "local-only", "not-world", "aix-only", "note-1", "note-2", "broadcast",
         "no-listener", "proto-unstated", "peer-unstated", "direction-unstated", "unreadable",
         "contradiction"}
TRACKERS = ("ftp", "sunrpc", "tftp", "bfd", "rsh")
PROTOS = ("tcp", "udp", "tcp,udp", "icmp", "any")
RESERVED = {"on", "off", "inside", "rescue_ssh", "also_in_tcp", "also_in_udp", "also_out_tcp", "also_out_udp"}
# Words that say it; http and https are not tcp, but nothing else carries them in these documents.
SAYS = {"tcp": {"tcp", "tcp6", "http", "https"}, "udp": {"udp", "udp6"}, "icmp": {"icmp"}}

# Hosts that documents speak of and that have no profile: service processors, no Linux of ours.
WITHOUT_PROFILE = {("sevone", "idrac")}

# Peers that have a profile themselves: (system, role, peer) -> (their role, what we are to them).
OTHER_END = {
    ("xcat", "management", "nodes"): ("service", "management"),
    ("xcat", "service", "management"): ("management", "nodes"),
    ("avi", "controller", "controllers"): ("controller", "controllers"),
    ("avi", "serviceengine", "controllers"): ("controller", "service_engines"),
    **{("sevone", role, "peers"): (role, "peers") for role in ("pas", "hsa", "dnc")},
    ("sevone", "datainsight", "pas"): ("pas", "datainsight"),
    ("sevone", "pas", "datainsight"): ("datainsight", "pas"),
    **{("sevone", role, peer): (peer, "collectors") for peer in ("pas", "dnc")
       for role in ("sdn", "wifi", "nuage", "versa", "viptela")},
    **{("qumulo", role, peer): (role, peer) for role in ("onprem", "aws", "other")
       for peer in ("cluster_nodes", "replication_peers")},
}
# A service node has its address before it has a firewall, and renewals are answers.
NOT_TAKEN = {("xcat", "table/16")}


# --- form ----------------------------------------------------------------------------------------


def form_documents(c):
    for d in c.shared["documents"]:
        if not WORD.fullmatch(d["name"]) or d["name"] in COLUMNS:
            yield f"{d.where}: {d['name']!r} is no name of a document"
        if not re.fullmatch(r"[0-9a-f]{64}", d["sha256"]):
            yield f"{d.where}: {d['sha256']!r} is no SHA-256"
    for column in ("name", "sha256"):
        yield from twice(c.shared["documents"], column)
    have = {n[:-4] for n in os.listdir(DIRECTORY) if n.endswith(".tsv")}
    for name in sorted(have - set(c.shared) - set(c.documents)):
        yield f"{name}.tsv belongs to no document of documents.tsv"


def twice(lines, *columns):
    seen = set()
    for line in lines:
        key = tuple(line[column] for column in columns)
        if key in seen:
            yield f"{line.where}: {' '.join(key)} is there already"
        seen.add(key)


def form_numbers(c):
    last = None
    for n in c.shared["numbers"]:
        if n["document"] not in c.documents:
            yield f"{n.where}: no document is called {n['document']!r}"
            continue
        if n["number"] not in WORDS and not (re.fullmatch(r"[1-9]\d*", n["number"])
                                             and int(n["number"]) <= 65535):
            yield f"{n.where}: {n['number']!r} is neither a port nor one of {' '.join(WORDS)}"
            continue
        if not LINES.fullmatch(n["lines"]) or not in_order(n["lines"]) or \
                written(numbers(n["lines"])) != n["lines"]:
            yield f"{n.where}: {n['lines']!r} is no list of lines in its shortest form"
        word = not n["number"].isdigit()
        key = (c.documents.index(n["document"]), word, n["number"] if word else int(n["number"]))
        if last is not None and key <= last:
            yield f"{n.where}: out of order"
        last = key
    for name in c.documents:
        if not c.stands[name]:
            yield f"numbers.tsv: nothing of {name}"


def form_peers(c):
    yield from twice(c.shared["peers"], "system", "peer")
    systems = {p["system"] for p in c.shared["profiles"]}
    used = {(r["system"], r["peer"]) for rows in c.rows.values() for r in rows}
    for p in c.shared["peers"]:
        if p["system"] not in systems:
            yield f"{p.where}: no profile is of {p['system']!r}"
        if not WORD.fullmatch(p["peer"]) or p["peer"] == "any" or p["peer"][-1] in "46":
            yield f"{p.where}: {p['peer']!r} is no name of a peer"
        # Where no row lets ssh in, a profile has rescue_ssh from admins.
        if p["peer"] != "admins" and (p["system"], p["peer"]) not in used:
            yield f"{p.where}: no row has the peer {p['peer']!r}"
    for system in sorted(systems):
        if (system, "admins") not in c.peers:
            yield f"peers.tsv: who are the admins of {system}?"


def form_profiles(c):
    yield from twice(c.shared["profiles"], "name")
    spoken = {(r["system"], role) for rows in c.rows.values() for r in rows for role in words(r["role"])}
    for p in c.shared["profiles"]:
        roles = p["roles"].split(",")
        if p["name"] != f"{p['system']}-{roles[-1]}" and p["name"] != f"{p['system']}-{roles[0]}":
            yield f"{p.where}: {p['name']!r} is not SYSTEM-ROLE"
        for role in roles:
            if (p["system"], role) not in spoken:
                yield f"{p.where}: no row is about {role!r}"
        if p["output"] not in ("drop", "accept"):
            yield f"{p.where}: output: {p['output']!r}"
        if p["containers"] not in ("yes", "-") or (p["containers"] == "yes") != (p["inside"] != "-"):
            yield f"{p.where}: containers and inside: {p['containers']!r}, {p['inside']!r}"
        for name in words(p["inside"]):
            if not re.fullmatch(r"[a-z][a-z0-9.]{0,14}", name):
                yield f"{p.where}: {name!r} is no interface"
        outwards = any(r["direction"] == "out" and set(words(r["role"])) & set(roles)
                       for rows in c.rows.values() for r in rows if r["system"] == p["system"])
        if p["output"] == "drop" and not outwards:
            yield f"{p.where}: output drops, and no row lets anything out"


def form_exclusions(c):
    for e in c.shared["exclusions"]:
        if e["document"] not in c.documents:
            yield f"{e.where}: no document is called {e['document']!r}"
        if not LINES.fullmatch(e["lines"]) or not in_order(e["lines"]):
            yield f"{e.where}: {e['lines']!r} is no list of lines"
        if e["numbers"] != "*" and not (re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", e["numbers"])
                                        and in_order(e["numbers"])):
            yield f"{e.where}: {e['numbers']!r} is no list of numbers"


def form_row(r, roles, peers):
    system = r["system"]
    if not any(s == system for s, _ in roles):
        yield f"no profile is of {system!r}"
    if not re.fullmatch(r"[a-z0-9._]+/(0|[1-9]\d*)", r["row"]) or len(r["row"]) > 31:
        yield f"{r['row']!r} is not TABLE/NUMBER"
    if not LINES.fullmatch(r["lines"]) or not in_order(r["lines"]):
        yield f"{r['lines']!r} is no list of lines"
    for role in r["role"].split(","):
        if (system, role) not in roles:
            yield f"no profile has the role {role!r}"
    if len(set(r["role"].split(","))) != len(r["role"].split(",")):
        yield f"{r['role']!r} names a role twice"
    if r["direction"] not in ("in", "out", "local"):
        yield f"{r['direction']!r} is no direction"
    if (r["direction"] == "local") != (r["peer"] == "-"):
        yield "a row has a peer unless it is local"
    elif r["peer"] not in ("-", "any") and (system, r["peer"]) not in peers:
        yield f"{r['peer']!r} is no peer of {system}"
    if not WORD.fullmatch(r["service"]) or r["service"] in RESERVED:
        yield f"{r['service']!r} is no name of a service"
    if r["family"] not in ("any", "ip4", "ip6"):
        yield f"{r['family']!r} is no family"
    if r["proto"] not in PROTOS:
        yield f"{r['proto']!r} is no protocol"
    yield from form_ports(r)
    yield from form_need(r)
    tracker, _, kind = r["tracker"].partition(":")
    if r["tracker"] != "-" and (tracker not in TRACKERS or kind not in ("control", "pinhole")):
        yield f"{r['tracker']!r} is no tracker"
    facts = words(r["facts"])
    for fact in facts:
        if fact not in FACTS or facts.count(fact) > 1:
            yield f"{fact!r} is no fact, or is there twice"
    if {"unreadable", "contradiction"} & set(facts) and r["note"] == "-":
        yield "unreadable, contradiction: what, says the note"


def form_ports(r):
    port, sport = r["port"], r["sport"]
    for cell in (port, sport):
        if cell in ("-", "any"):
            continue
        if not PORTS.fullmatch(cell) or cell.count(",") > 15 or any(not 0 < lo <= hi <= 65535
                                                                     for lo, hi in spans(cell)):
            yield f"{cell!r} is no list of ports"
        elif sum(hi - lo + 1 for lo, hi in spans(cell)) != len(numbers(cell)):
            yield f"{cell!r} has a port twice"
    if sport == "any" or "," in sport:
        yield f"{sport!r} is no source port"
    if (r["proto"] == "any") != (port == "any"):
        yield "every protocol and any port go together"
    if r["proto"] in ("any", "icmp") and (sport != "-" or port not in ("any", "-")):
        yield f"{r['proto']} has no ports"
    if port == "-" and r["proto"] != "icmp" and r["default"] != "never" and \
            not r["tracker"].endswith(":pinhole") and r["direction"] != "local":
        yield "without a port there is no rule: never, or a pinhole"


def form_need(r):
    need, default, facts = r["need"], r["default"], words(r["facts"])
    if need not in ("required", "optional", "conditional", "unused"):
        yield f"{need!r} is no need"
    if default not in ("on", "off", "never"):
        yield f"{default!r} is no default"
    if (need in ("conditional", "optional")) != (r["condition"] != "-"):
        yield "what is conditional or optional says of what, and nothing else does"
    deaf = "no-listener" in facts
    if need == "required" and default == "off" and not deaf or need == "unused" and default == "on":
        yield f"{need}, but {default}"
    if deaf and default != "off":
        yield "where nobody listens the switch is off"
    if r["direction"] == "local" and default != "never":
        yield "what is within the host is never opened"
    if default == "never" and r["direction"] != "local" and r["port"] != "-":
        yield "never opened, and no reason for it"
    if "local-only" in facts and r["direction"] != "local":
        yield "local-only is a matter of local rows"


def form(c, document):
    roles, peers = c.roles | WITHOUT_PROFILE, c.peers
    for r in c.rows[document]:
        for complaint in form_row(r, roles, peers):
            yield f"{r.where}: {complaint}"
    seen = set()
    for r in c.rows[document]:
        for role in words(r["role"]):
            key = (role, *(r[k] for k in COLUMNS["rows"][:2] + COLUMNS["rows"][4:11]))
            if key in seen:
                yield f"{r.where}: said already for {role}"
            seen.add(key)


# --- rows ----------------------------------------------------------------------------------------


def by_row(c, document):
    """(system, table) -> number -> lines."""
    tables = collections.defaultdict(lambda: collections.defaultdict(list))
    for r in c.rows[document]:
        table, _, number = r["row"].rpartition("/")
        tables[r["system"], table][int(number)].append(r)
    return tables


def count(c, document):
    """Each table has its rows, in order; a remark beside a table is its row 0."""
    tables = by_row(c, document)
    wanted = TABLES.get(document, {})
    for key in sorted(wanted.keys() | tables.keys()):
        got = [n for n in tables.get(key, ()) if n]
        if got != list(range(1, wanted.get(key, 0) + 1)):
            yield f"{document}: {'/'.join(key)}: rows {written(got) if got else 'none'}, " \
                  f"wanted {wanted.get(key, 0)}, in order"
    for table in tables.values():
        for lines in table.values():
            for r in lines[1:]:
                if r["lines"] != lines[0]["lines"]:
                    yield f"{r.where}: another {r['row']} stands on other lines, {lines[0]['lines']}"
    last, seen = None, set()
    for r in c.rows[document]:
        key = (r["system"], r["row"])
        if key != last and key in seen:
            yield f"{r.where}: lines of {r['row']} stand together"
        seen.add(key)
        last = key


def complete(c, document):
    """Every number of the document is a port of a row that cites its line, or is excluded."""
    spoken = collections.defaultdict(set)
    for r in c.rows[document]:
        mine = claimed(r)
        for line in numbers(r["lines"]):
            spoken[line] |= mine
    for e in c.excluded(document):
        for line in numbers(e["lines"]):
            spoken[line] |= {"*"} if e["numbers"] == "*" else numbers(e["numbers"])
    for number, lines in c.stands[document].items():
        if isinstance(number, int):
            for line in sorted(lines):
                if not {number, "*"} & spoken[line]:
                    yield f"{document}: {number} on line {line} is of no row, and not excluded"


def standing(c, document):
    """Every port of a row, and its protocol, stand on the lines that it cites."""
    stands = c.stands[document]
    for r in c.rows[document]:
        lines = numbers(r["lines"])
        for number in sorted(claimed(r)):
            if not stands.get(number, set()) & lines:
                yield f"{r.where}: {number} is not on the lines {r['lines']} of the document"
        named = {p for p in SAYS if any(stands.get(word, set()) & lines for word in SAYS[p])}
        unstated = "proto-unstated" in words(r["facts"])
        for proto in () if r["proto"] == "any" else r["proto"].split(","):
            if not unstated and proto not in named:
                yield f"{r.where}: {proto} is not on the lines {r['lines']} of the document"
        # http is no transport, so a row may leave that open.
        if unstated and any(stands.get(word, set()) & lines for word in WORDS if "http" not in word):
            yield f"{r.where}: proto-unstated, but a protocol is on its lines"


def exclusions(c, document):
    """No exclusion is idle, none takes a number from a row, no two say the same."""
    spoken = collections.defaultdict(set)
    for r in c.rows[document]:
        for line in numbers(r["lines"]):
            spoken[line] |= claimed(r)
    on_line = collections.defaultdict(set)
    for number, lines in c.stands[document].items():
        if isinstance(number, int):
            for line in lines:
                on_line[line].add(number)
    for e in c.excluded(document):
        for line in sorted(numbers(e["lines"])):
            covered = on_line[line] if e["numbers"] == "*" else numbers(e["numbers"])
            if not covered:
                yield f"{e.where}: nothing to exclude on line {line}"
            for number in sorted(covered - on_line[line]):
                yield f"{e.where}: {number} is not on line {line}"
            for number in sorted(covered & spoken[line]):
                yield f"{e.where}: {number} on line {line} is of a row, or excluded already"
            spoken[line] |= covered


def together(c, document):
    """What profiles are made of fits together."""
    for p in c.profiles(document):
        mine = [r for r in c.rows[document]
                if r["system"] == p["system"] and set(words(r["role"])) & set(p["roles"].split(","))]
        # One switch, one position.
        defaults = collections.defaultdict(dict)
        for r in mine:
            if r["default"] != "never":
                defaults[r["service"]].setdefault(r["default"], r)
        for service, found in defaults.items():
            if len(found) > 1:
                yield f"{found['off'].where}: {service} is off here and on in {found['on'].where} " \
                      f"({p['name']})"
        # What is a pinhole is announced by somebody; BFD announces itself.
        for r in mine:
            tracker, _, kind = r["tracker"].partition(":")
            if kind == "pinhole" and tracker != "bfd" and not any(
                    s["tracker"] == f"{tracker}:control" and s["direction"] == r["direction"]
                    and s["peer"] == r["peer"] and s["service"] == r["service"] for s in mine):
                yield f"{r.where}: nothing is let through that would open this pinhole ({p['name']})"
    yield from other_end(c, document)


def other_end(c, document):
    """What a host sends to another that has a profile, that one takes."""
    rows = [r for r in c.rows[document] if r["default"] != "never"]
    for r in rows:
        for role, taker, peer in ends(r):
            if not any(s["direction"] == "in" and taker in words(s["role"]) and s["peer"] == peer
                       and all(s[k] == r[k] for k in ("system", "service", "family", "proto", "port", "sport"))
                       for s in rows):
                yield f"{r.where}: sent by {role}, but {taker} does not let in {r['service']} from {peer}"


def ends(r):
    """(who sends it, the role of the host that takes it, whom that one knows the sender as)"""
    if r["direction"] == "out" and "aix-only" not in words(r["facts"]) and \
            (r["system"], r["row"]) not in NOT_TAKEN:
        for role in words(r["role"]):
            if (r["system"], role, r["peer"]) in OTHER_END:
                yield (role, *OTHER_END[r["system"], role, r["peer"]])


FORMS = {"documents": form_documents, "numbers": form_numbers, "peers": form_peers,
         "profiles": form_profiles, "exclusions": form_exclusions}
CHECKS = {
    form: "cells are of their form",
    count: "each table has its rows",
    complete: "every number of the document is accounted for",
    standing: "every port and protocol stand on the lines that are cited",
    exclusions: "no exclusion is idle or in the way of a row",
    together: "profiles fit together",
}


def everything(c, document=None):
    """All complaints about one document, or about the shared files and the form of all rows."""
    for check in FORMS.values() if document is None else ():
        yield from check(c)
    for check in (form,) if document is None else CHECKS:
        for name in c.documents if document is None else [document]:
            yield from check(c, name)
