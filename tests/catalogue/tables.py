# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of the port catalogue (rules/catalogue/README.md), read strictly, and their small grammar:
lists of lines and ports, and what a row claims."""

import collections
import functools
import os
import re

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "rules", "catalogue")

COLUMNS = {
    "documents": ["name", "title", "sha256"],
    "numbers": ["document", "number", "lines"],
    "exclusions": ["document", "lines", "numbers", "reason"],
    "peers": ["system", "peer", "text"],
    "profiles": ["name", "system", "roles", "output", "containers", "inside", "title", "remark"],
    "rows": ["system", "row", "lines", "role", "direction", "peer", "service", "family", "proto", "port",
             "sport", "need", "default", "condition", "tracker", "facts", "note"],
}
MAY_BE_EMPTY = {"containers", "inside", "remark", "peer", "port", "sport", "condition", "tracker", "facts", "note"}

# Words of documents that say which protocol a row has; numbers.tsv has them beside the numbers.
WORDS = ("tcp", "tcp6", "udp", "udp6", "icmp", "http", "https")

WORD = re.compile(r"[a-z][a-z0-9_]{0,30}")
LINES = re.compile(r"[1-9]\d*(-[1-9]\d*)?(,[1-9]\d*(-[1-9]\d*)?)*")
PORTS = LINES


class Line(dict):
    """One line of a file; `where` names it in complaints."""

    def __init__(self, cells, where):
        super().__init__(cells)
        self.where = where


def read(name, columns, complaints):
    """The lines of a table; whatever is not of its form is complained of and left out."""
    base = name + ".tsv"
    try:
        with open(os.path.join(DIRECTORY, base), "rb") as f:
            raw = f.read()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        complaints.append(f"{base}: {e}")
        return []
    if not text.endswith("\n") or "\r" in text:
        complaints.append(f"{base}: lines end with \\n, the last one too")
    found, header = [], False
    for number, line in enumerate(text.split("\n")[:-1], 1):
        where = f"{base}:{number}"
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        if not header:
            header = True
            if cells != columns:
                complaints.append(f"{where}: the columns are not {' '.join(columns)}")
            continue
        if len(cells) != len(columns):
            complaints.append(f"{where}: {len(cells)} cells, wanted {len(columns)}")
            continue
        for column, cell in zip(columns, cells):
            if cell != cell.strip() or "  " in cell or not cell.isprintable() or not cell:
                complaints.append(f"{where}: {column}: {cell!r}: blanks where none belong, or an empty cell")
            elif cell == "-" and column not in MAY_BE_EMPTY:
                complaints.append(f"{where}: {column}: may not be empty")
        found.append(Line(zip(columns, cells), where))
    if not header:
        complaints.append(f"{base}: no columns")
    return found


def spans(cell):
    """The pairs of a list of numbers and ranges."""
    for part in cell.split(","):
        lo, _, hi = part.partition("-")
        yield int(lo), int(hi or lo)


@functools.cache
def numbers(cell):
    """All numbers of a list of lines."""
    return frozenset(n for lo, hi in spans(cell) for n in range(lo, hi + 1))


@functools.cache
def in_order(cell):
    last = 0
    for lo, hi in spans(cell):
        if lo <= last or hi < lo:
            return False
        last = hi
    return True


def written(lines):
    """The cell for a set of lines: 3,5-7."""
    parts = []
    for n in sorted(lines):
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ",".join(str(lo) if lo == hi else f"{lo}-{hi}" for lo, hi in parts)


def claimed(row):
    """The numbers that a row speaks of: ports, source ports, ends of ranges."""
    return ends(row["port"]) | ends(row["sport"])


@functools.cache
def ends(cell):
    return frozenset() if cell in ("-", "any") else frozenset(n for span in spans(cell) for n in span)


def words(cell):
    return [] if cell == "-" else cell.split(",")


class Catalogue:
    def __init__(self):
        self.wrong = {name: [] for name in COLUMNS if name != "rows"}
        self.shared = {name: read(name, COLUMNS[name], self.wrong[name]) for name in self.wrong}
        self.documents = [d["name"] for d in self.shared["documents"]]
        self.rows = {}
        for name in self.documents:
            self.wrong[name] = []
            self.rows[name] = read(name, COLUMNS["rows"], self.wrong[name])
        # document -> number or word -> lines
        self.stands = {name: collections.defaultdict(set) for name in self.documents}
        for n in self.shared["numbers"]:
            if n["document"] in self.stands and LINES.fullmatch(n["lines"]):
                key = int(n["number"]) if n["number"].isdigit() else n["number"]
                self.stands[n["document"]][key] |= numbers(n["lines"])

    @property
    def roles(self):
        return {(p["system"], r) for p in self.shared["profiles"] for r in p["roles"].split(",")}

    @property
    def peers(self):
        return {(p["system"], p["peer"]) for p in self.shared["peers"]}

    def excluded(self, document):
        return [e for e in self.shared["exclusions"] if e["document"] == document]

    def profiles(self, document):
        systems = {r["system"] for r in self.rows[document]}
        return [p for p in self.shared["profiles"] if p["system"] in systems]
