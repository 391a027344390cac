# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables that are wrong on purpose, one cell or line at a time, which is how the checks prove that they
can complain: (what is wrong, a context in which it is, the check that has to complain)."""

import contextlib
import re

from . import checks, documents
from .checks import SAYS, by_row
from .tables import claimed, numbers, words


# --- how ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def changed(those, **cells):
    """These lines with other cells."""
    before = [{k: line[k] for k in cells} for line in those]
    for line in those:
        line.update(cells)
    try:
        yield
    finally:
        for line, cell in zip(those, before):
            line.update(cell)


@contextlib.contextmanager
def without(table, lines):
    before = table[:]
    table[:] = [line for line in table if not any(line is gone for gone in lines)]
    try:
        yield
    finally:
        table[:] = before


@contextlib.contextmanager
def elsewhere(stands, number, lines):
    """A document in which this number, or word, stands on these lines."""
    before = stands.get(number)
    stands[number] = lines
    try:
        yield
    finally:
        if before is None:
            del stands[number]
        else:
            stands[number] = before


def another(number, taken):
    """A port near this one that is not taken."""
    while True:
        number = number % 65535 + 1
        if number not in taken:
            return number


# --- what --------------------------------------------------------------------------------------


SHARED_CELLS = {
    "documents": {"name": "Web", "sha256": "abc"},
    "numbers": {"document": "nobody", "number": "0", "lines": "5-4"},
    "exclusions": {"document": "nobody", "lines": "5-4", "numbers": "5,4"},
    "peers": {"system": "nobody", "peer": "strangers"},
    "profiles": {"name": "nobody", "system": "nobody", "roles": "nobody", "output": "reject",
                 "containers": "no", "inside": "eth/0"},
}
CELLS = {
    "system": "nobody", "row": "table", "lines": "7-5", "role": "nobody", "direction": "inwards",
    "peer": "strangers", "service": "Web", "family": "ip5", "proto": "sctp", "port": "70000", "sport": "0",
    "need": "perhaps", "default": "maybe", "tracker": "ftp:data", "facts": "guessed",
}


def shared_files(c):
    for name, cells in SHARED_CELLS.items():
        for line in c.shared[name]:
            for column, cell in cells.items():
                yield f"{line.where}: {column} {cell}", changed([line], **{column: cell}), checks.everything
    for line in c.shared["peers"]:
        yield f"{line.where}: left out", without(c.shared["peers"], [line]), checks.everything
    for line in c.shared["profiles"][1:]:
        first = c.shared["profiles"][0]["name"]
        yield f"{line.where}: {first} again", changed([line], name=first), checks.everything


def tables(c, document):
    rows = c.rows[document]
    stands = c.stands[document]
    cited = set().union(*stands.values(), *(numbers(r["lines"]) for r in rows))
    free = 1 + max(cited)  # a line where nothing stands
    for table in by_row(c, document).values():
        for lines in table.values():
            what = f"{lines[0].where} {lines[0]['row']}"
            if not lines[0]["row"].endswith("/0"):
                yield f"{what}: left out", without(rows, lines), checks.count
            if sole(c, document, lines):
                yield f"{what}: left out", without(rows, lines), checks.complete
            if claimed(lines[0]) or "proto-unstated" not in words(lines[0]["facts"]) and \
                    lines[0]["proto"] != "any":
                yield f"{what}: on line {free}", changed(lines, lines=str(free)), checks.standing
    for r in rows:
        for what, change in other_ports(c, document, r):
            yield f"{r.where}: {what}", change, checks.standing
        for column, cell in CELLS.items():
            yield f"{r.where}: {column} {cell}", changed([r], **{column: cell}), checks.form
        flipped = {"tcp": "udp", "udp": "tcp"}.get(r["proto"])
        if flipped and "proto-unstated" not in words(r["facts"]) and \
                not any(stands[word] & numbers(r["lines"]) for word in SAYS[flipped] if word in stands):
            yield f"{r.where}: {flipped}", changed([r], proto=flipped), checks.standing
    for e in c.excluded(document):
        yield f"{e.where}: left out", without(c.shared["exclusions"], [e]), checks.complete
        yield f"{e.where}: on line {free} too", changed([e], lines=f"{e['lines']},{free}"), checks.exclusions
        if e["numbers"] != "*":
            more = f"{e['numbers']},{another(int(e['numbers'].split(',')[-1]), stands)}"
            yield f"{e.where}: {more}", changed([e], numbers=more), checks.exclusions
    yield from other_numbers(c, document, free)
    yield from other_profiles(c, document)


def other_ports(c, document, r):
    """Each number of this row, changed to one that is not on its lines."""
    here = {n for n, lines in c.stands[document].items() if lines & numbers(r["lines"])}
    for column in ("port", "sport"):
        if r[column] in ("-", "any"):
            continue
        for part in re.finditer(r"\d+", r[column]):
            number = another(int(part[0]), here)
            cell = r[column][:part.start()] + str(number) + r[column][part.end():]
            yield f"{column} {cell} instead of {r[column]}", changed([r], **{column: cell})


def sole(c, document, lines):
    """Has this row a number that no other row claims on one of its lines?"""
    for line in numbers(lines[0]["lines"]):
        left = {n for n in claimed(lines[0]) if line in c.stands[document].get(n, ())}
        for r in c.rows[document]:
            if not any(r is one for one in lines) and line in numbers(r["lines"]):
                left -= claimed(r)
        if left:
            return True
    return False


def other_numbers(c, document, free):
    """A document with one number more, or one less."""
    stands = c.stands[document]
    wholly = set().union(*(numbers(e["lines"]) for e in c.excluded(document) if e["numbers"] == "*"))
    for number in [n for n in stands if isinstance(n, int)]:
        lines = stands[number]
        yield f"{number} on line {free} too", elsewhere(stands, number, lines | {free}), checks.complete
        for line in lines - wholly:
            # Where a row cites two lines with its number, either is enough.
            if not any(number in claimed(r) and line in numbers(r["lines"])
                       and lines & numbers(r["lines"]) != {line} for r in c.rows[document]):
                yield f"{number} not on line {line}", elsewhere(stands, number, lines - {line}), \
                    checks.everything


def other_profiles(c, document):
    rows = c.rows[document]
    for r in rows:
        # One position of a switch that differs from its fellows in a profile.
        other = {"on": "off", "off": "on"}.get(r["default"])
        if other and any(s is not r and all(s[k] == r[k] for k in ("system", "service", "default"))
                         and any((s["system"], role) in c.roles for role in set(words(r["role"]))
                                 & set(words(s["role"]))) for s in rows):
            yield f"{r.where}: {other}", changed([r], default=other), checks.together
        # Pinholes without anything that would open them.
        if r["tracker"].endswith(":control"):
            controls = [s for s in rows if s["tracker"] == r["tracker"] and s["direction"] == r["direction"]]
            pinhole = r["tracker"].replace(":control", ":pinhole")
            if any(s["tracker"] == pinhole and s["direction"] == r["direction"] for s in rows):
                yield f"{r.where}: no tracker", changed(controls, tracker="-"), checks.together
        # The other end does not take what is sent.
        for _, taker, peer in checks.ends(r) if r["default"] != "never" else ():
            takers = [s for s in rows if s["direction"] == "in" and taker in words(s["role"])
                      and s["peer"] == peer and s["service"] == r["service"]]
            yield f"{r.where}: {taker} does not take it", without(rows, takers), checks.together


def readings(c, document):
    """Rows that differ from those of the document."""
    rows = c.rows[document]
    for table in by_row(c, document).values():
        for lines in table.values():
            where, row = lines[0].where, lines[0]["row"]
            yield f"{where}: {row} left out", without(rows, lines), documents.reading
            more = row.rpartition("/")[0] + "/99"
            yield f"{where}: {more}", changed(lines, row=more), documents.reading
    for r in rows:
        for what, change in other_ports(c, document, r):
            yield f"{r.where}: {what}", change, documents.reading
        flipped = {"tcp": "udp", "udp": "tcp"}.get(r["proto"], "sctp")
        yield f"{r.where}: {flipped}", changed([r], proto=flipped), documents.reading
