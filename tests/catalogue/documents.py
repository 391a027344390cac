# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents themselves, where they are at hand: what stands in them, and their tables, read anew and
without regard to the catalogue."""

import collections
import hashlib
import html.parser
import os
import re
import sys

from .tables import COLUMNS, WORDS, numbers, words, written


def stand(raw):
    """number or word -> lines, as numbers.tsv has it."""
    found = collections.defaultdict(set)
    for at, line in enumerate(raw.split(b"\n"), 1):
        for digits in re.findall(rb"[0-9]+", line):
            if 0 < int(digits) <= 65535:
                found[int(digits)].add(at)
        for word, six in re.findall(r"([a-z]+)(6(?![0-9]))?", line.decode("latin-1").lower()):
            if word in WORDS:
                found[word + six if word + six in WORDS else word].add(at)
    return found


def look_for(c, directory):
    """document -> its bytes, by SHA-256."""
    by_sum = {}
    for entry in sorted(os.scandir(directory), key=lambda e: e.name):
        if entry.is_file():
            with open(entry.path, "rb") as f:
                raw = f.read()
            by_sum[hashlib.sha256(raw).hexdigest()] = raw
    return {d["name"]: by_sum[d["sha256"]] for d in c.shared["documents"] if d["sha256"] in by_sum}


def print_numbers(c, directory):
    found = look_for(c, directory)
    missing = [name for name in c.documents if name not in found]
    if missing:
        sys.exit(f"{directory}: no file has the SHA-256 of {', '.join(missing)}")
    print("# Made by tests/catalogue.t --numbers DIR. Beside numbers, the words that name a protocol.")
    print("\t".join(COLUMNS["numbers"]))
    for name in c.documents:
        found_here = stand(found[name])
        for number in sorted(found_here, key=lambda n: (isinstance(n, str), n)):
            print(name, number, written(found_here[number]), sep="\t")


# What follows reads the tables of the documents without regard to the catalogue: lists of
# (system, row) -> set of what a row says, in the order of the document.


def each_port(r):
    """(proto, port) pairs of a row."""
    ports = [r["port"]] if r["port"] in ("-", "any") else r["port"].split(",")
    return {(proto, port) for proto in r["proto"].split(",") for port in ports}


def compare(c, document, wanted, says):
    """wanted: (system, row) -> set; says(line of the catalogue) -> set, of all lines of a row together."""
    got = collections.defaultdict(set)
    for r in c.rows[document]:
        if (system_row := (r["system"], r["row"])) not in wanted:
            yield f"{r.where}: the document has no row {r['row']}"
        got[system_row] |= says(r)
    for key, what in wanted.items():
        if got[key] != what:
            yield f"{document}: {' '.join(key)}: got {sorted(got[key])}, the document has {sorted(what)}"


def markdown_tables(text):
    """Lists of cells, a list a table, heads first."""
    table = []
    for line in text.split("\n") + [""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif table:
            yield table[:1] + table[2:]
            table = []


def read_cumulus(text):
    ports, netstat, single, cluster = markdown_tables(text)
    wanted = {}
    for n, (proto, port, _) in enumerate(ports[1:], 1):
        family = "ip6" if proto.endswith("6") else "ip4"
        numbers_there = re.findall(r"\d+", port) or ["-"]
        wanted["cumulus", f"ports/{n}"] = {("in", family, proto[:3].lower(), p) for p in numbers_there}
    for n, row in enumerate(netstat[1:], 1):
        address, _, port = row[3].rpartition(":")
        direction = "local" if address in ("127.0.0.1", "::1") else "in"
        if row[6].endswith("/dhclient") and port != "68":
            port = "-"  # another one each time
        wanted["cumulus", f"netstat/{n}"] = {
            (direction, "ip6" if row[0].endswith("6") else "ip4", row[0][:3], port)}
    for name, table in (("single", single), ("cluster", cluster)):
        for n, (port, proto, _) in enumerate(table[1:], 1):
            wanted["netq", f"{name}/{n}"] = {("in", "any", proto.lower(), port)}
    return wanted, lambda r: {(r["direction"], r["family"], *pair) for pair in each_port(r)}


class Tables(html.parser.HTMLParser):
    """The tables of a page: rows of (text, rowspan)."""

    def __init__(self):
        super().__init__()
        self.tables = []
        self.cell = None

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ["", int(dict(attrs).get("rowspan", 1))]
        elif tag == "br" and self.cell:
            self.cell[0] += "\n"

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(tuple(self.cell))
            self.cell = None

    def handle_data(self, data):
        if self.cell:
            self.cell[0] += data


def tables_of(text):
    parser = Tables()
    parser.feed(text)
    return parser.tables


def on_platform(text, platform):
    """The page template as this platform gets it."""
    out, taken = [], [True]
    for line in text.split("\n"):
        tag = re.match(r"\{% (if|else|endif)\b(.*)%\}", line)
        if not tag:
            if all(taken):
                out.append(line)
        elif tag[1] == "if":
            taken.append(platform in re.findall(r"page\.platform == '([^']*)'", tag[2]))
        elif tag[1] == "else":
            taken[-1] = not taken[-1]
        else:
            taken.pop()
    return "\n".join(out)


def read_qumulo(text):
    wanted = collections.defaultdict(set)
    rows = {"in": {}, "out": {}}
    for role, platform in (("onprem", "on-prem"), ("aws", "aws"), ("other", "azure")):
        page = on_platform(text, platform)
        for note, (family, phrase) in enumerate((("any", "on any port"), ("ip6", "unblocked IPv6 traffic"),
                                                 ("ip4", "unblocked IPv4 traffic")), 1):
            if phrase in page:
                wanted["qumulo", f"notes/{note}"] |= {
                    (role, direction, family, "any", "any") for direction in ("in", "out")}
        for direction, table in zip(("in", "out"), tables_of(page)):
            for (ports, _), (protos, _), (use, _) in table[1:]:
                said = {(role, direction, "any", proto.lower(), port) for proto in protos.split()
                        for port in re.findall(r"[0-9-]+", ports)}
                rows[direction].setdefault((ports, use), set()).update(said)
    # On-prem has every row there is, in the order of the page.
    for name, direction in (("inbound", "in"), ("outbound", "out")):
        for n, said in enumerate(rows[direction].values(), 1):
            wanted["qumulo", f"{name}/{n}"] = said
    return dict(wanted), lambda r: {(role, r["direction"], r["family"], *pair) for role in words(r["role"])
                                    for pair in each_port(r)}


# Required by the table; by the description further down, for RSCT only.
XCAT_NEED = {"table/6": "conditional"}


def read_xcat(text):
    lines = text.split("\n")
    at = lines.index("---|---|---|---|---|") + 2  # counted from 1
    wanted, n = {}, 0
    while lines[at - 1].endswith(" |"):
        # Five lines: name, port, protocol, range and need; an empty range is left out, and closed by a bar.
        _, port, proto, sport, need = (cell.removesuffix("|").strip() for cell in lines[at - 1:at + 4])
        if lines[at + 3] == "|" or not lines[at + 3].endswith("|"):
            sport, need = "-", sport
        note = "-"
        if proto.startswith("see Note"):
            proto, note = "udp", f"note-{proto[-1]}"  # says note 2
        elif port.startswith("see Note"):
            note = f"note-{port[-1]}"
        number = re.match(r"\d+", port)
        port = number[0] if number and int(number[0]) <= 65535 else "-"
        n += 1
        row = f"table/{n}"
        if "not supported" in need:
            need = "unused"
        elif " on " in need or " for " in need:
            need = "required" if need.endswith("on the mgmt and service nodes") else "conditional"
        wanted["xcat", row] = {(at, proto, port, sport, XCAT_NEED.get(row, need), note)}
        at += 5

    def says(r):
        note = [f for f in words(r["facts"]) if f.startswith("note-")] or ["-"]
        return {(min(numbers(r["lines"])), *pair, r["sport"], r["need"], *note) for pair in each_port(r)}

    return wanted, says


AVI = {"Avi Controller": ("controller", "controllers"),
       "Avi Service Engine": ("serviceengine", "service_engines"),
       "External Network Services": (None, "external_services"), "External Entities": (None, "any")}
# Headings, and the table that the list below each is.
AVI_LISTS = {
    "Ports Used by Controller for Network Services": "services", "OpenStack": "openstack",
    "VMware vCenter": "vcenter", "OpenShift Master": "openshift", "Kubernetes Master": "kubernetes",
    "Mesos or DC/OS Masters": "mesos", "OpenShift": "nodes", "Kubernetes Minions": "nodes",
    "Mesos Nodes": "nodes",
}


def read_avi(text):
    wanted = collections.defaultdict(set)
    (table,) = tables_of(text)
    hanging = {}  # column -> (text, rows that are still below it)
    for n, row in enumerate(table[1:], 1):
        cells, row = [], list(row)
        for column in range(3):
            if hanging.get(column, ("", 0))[1]:
                cell, span = hanging[column]
            else:
                cell, span = row.pop(0)
            hanging[column] = (cell, span - 1)
            cells.append(cell.strip())
        (source, source_is), (target, target_is) = AVI[cells[0]], AVI[cells[1]]
        said = {(proto.lower(), port) for proto, port in re.findall(r"\b(TCP|UDP) (\d+)", cells[2])} or \
            {("tcp", "-"), ("udp", "-")}
        for pair in said:
            if source:
                wanted["avi", f"table/{n}"].add((source, "out", target_is, *pair))
            if target:
                wanted["avi", f"table/{n}"].add((target, "in", source_is, *pair))
    name, count = None, collections.Counter()
    for line in text.split("\n"):
        if line.startswith("### "):
            name = AVI_LISTS.get(line[4:].strip())
        elif line.startswith("* "):
            count[name] += 1
            protos = re.findall(r"\b(?:TCP|UDP)\b", line) or ["TCP"]
            wanted["avi", f"{name}/{count[name]}"] = {
                ("controller", "out", None, proto.lower(), port) for proto in protos
                for port in re.findall(r"(?<![\w/.])\d+\b", line)}

    def says(r):
        peer = r["peer"] if r["row"].startswith("table/") else None
        return {(role, r["direction"], peer, *pair) for role in words(r["role"]) for pair in each_port(r)}

    return dict(wanted), says


# The cell has TCP, the description UDP: both are taken.
SEVONE_ALSO = {"2.5.3/30": ("udp", "50001")}


def read_sevone(text):
    """Its columns are torn apart, and people have put the rows together; but the cells of the column with
    the ports are there, in order, one a line, below the heading of their table."""
    wanted, table, count = {}, None, collections.Counter()
    for at, line in enumerate(text.split("\n"), 1):
        if heading := re.match(r"\s*(2\.\d(?:\.\d)?) [A-Z]", line):
            table = heading[1]
        cell = re.match(r"\s*(?:Viptela )?((?:TCP|UDP|HTTP)(?:,? ?/?(?:TCP|UDP))?) ?(\d[\d-]*)|ICMP \(",
                        line)
        if cell:
            count[table] += 1
            row = f"{table}/{count[table]}"
            protos = re.findall("TCP|UDP|HTTP", cell[1] or "")
            wanted["sevone", row] = {(at, "tcp" if proto == "HTTP" else proto.lower(), cell[2])
                                     for proto in protos} or {(at, "icmp", "-")}
            if row in SEVONE_ALSO:
                wanted["sevone", row].add((at, *SEVONE_ALSO[row]))
        elif line.startswith("[ (@ The port configured"):
            wanted["sevone", f"{table}/0"] = {(at, "tcp", "-")}  # a remark above the table
    return wanted, lambda r: {(min(numbers(r["lines"])), *pair) for pair in each_port(r)}


READERS = {"cumulus": read_cumulus, "qumulo": read_qumulo, "xcat": read_xcat, "avi": read_avi,
           "sevone": read_sevone}


def text(c, document, raw):
    found = stand(raw)
    for key in sorted(found.keys() | c.stands[document].keys(), key=str):
        got, has = c.stands[document].get(key, set()), found.get(key, set())
        if got != has:
            yield f"numbers.tsv: {document} {key}: on lines {written(got) or 'none'}, " \
                  f"in the document on {written(has) or 'none'}"
    length = raw.count(b"\n") + 1
    for r in c.rows[document]:
        if max(numbers(r["lines"])) > length:
            yield f"{r.where}: the document has {length} lines"


def reading(c, document, raw):
    wanted, says = READERS[document](raw.decode("utf-8"))
    yield from compare(c, document, wanted, says)
