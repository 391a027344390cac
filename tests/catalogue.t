#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the port catalogue (rules/catalogue/README.md) against itself and against the documents.

No number that stands in a document may be forgotten: each is a port of a row that cites its line, or is
excluded with a reason. No port may be invented: it stands, with its protocol, on the lines that its row
cites. numbers.tsv says what stands where, so the documents themselves are not needed for this.

    DOCUMENTS=DIR tests/catalogue.t       also: numbers.tsv is what they give, and their tables, read
                                          anew, have these rows and no other
    tests/catalogue.t --numbers DIR       prints numbers.tsv

Beside each group of checks stand tables that are wrong on purpose, to show that a complaint would come.
TAP for prove; neither root nor a build is needed."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "netns")]

from catalogue import checks, documents, wrong
from catalogue.tables import Catalogue
from lab import tap


def none(complaints):
    complaints = list(complaints)
    if len(complaints) > 20:
        complaints[20:] = [f"... and {len(complaints) - 20} more"]
    tap.true(not complaints, "\n".join(complaints))


def none_escapes(tables, complaints, least):
    """Every table that is wrong on purpose is complained of; as they stand, none is."""
    none(complaints(checks.everything))
    count, quiet = 0, []
    for what, change, check in tables:
        count += 1
        with change:
            if next(complaints(check), None) is None:
                quiet.append(what)
    none(f"no complaint: {what}" for what in quiet)
    tap.true(count >= least, f"only {count} wrong tables were made")
    return count


def by_themselves(t, c):
    for name, form in checks.FORMS.items():
        with t.case(f"{name}.tsv is of its form"):
            none(c.wrong[name])
            none(form(c))
    with t.case("these files, made wrong, are complained of"):
        t.say(none_escapes(wrong.shared_files(c), lambda check: check(c), len(c.shared["peers"])))
    for document in c.documents:
        for check, title in checks.CHECKS.items():
            with t.case(f"{document}: {title}"):
                if check is checks.form:
                    none(c.wrong[document])
                none(check(c, document))
        with t.case(f"{document}: tables that are wrong are complained of"):
            t.say(none_escapes(wrong.tables(c, document), lambda check, d=document: check(c, d),
                               10 * len(c.rows[document])))


def with_documents(t, c, directory):
    try:
        found = documents.look_for(c, directory)
    except OSError as e:
        sys.exit(f"DOCUMENTS: {e}")
    for d in c.shared["documents"]:
        document, raw = d["name"], found.get(d["name"])
        with t.case(f"{document}: numbers.tsv is what the document gives"):
            tap.true(raw, f"no file of {directory} has the SHA-256 {d['sha256']}")
            none(documents.text(c, document, raw))
            for key, lines in list(c.stands[document].items()):
                with wrong.elsewhere(c.stands[document], key, lines ^ {1}):
                    tap.true(any(documents.text(c, document, raw)),
                             f"{key}, and line 1: goes unnoticed")
        if not raw:
            continue
        with t.case(f"{document}: its tables, read anew, have these rows and no other"):
            none(documents.reading(c, document, raw))
        with t.case(f"{document}: rows that differ from the document are complained of"):
            t.say(none_escapes(wrong.readings(c, document),
                               lambda _, d=document, r=raw: documents.reading(c, d, r),
                               len(c.rows[document])))


def main():
    c = Catalogue()
    if len(sys.argv) == 3 and sys.argv[1] == "--numbers":
        return documents.print_numbers(c, sys.argv[2])
    if len(sys.argv) > 1:
        sys.exit(f"usage: {sys.argv[0]} [--numbers DIR]")
    t = tap.Tap()
    by_themselves(t, c)
    directory = os.environ.get("DOCUMENTS")
    if directory:
        with_documents(t, c, directory)
    else:
        for d in c.shared["documents"]:
            t.skip(f"{d['name']}: numbers and rows are those of the document",
                   f"needs \"{d['title']}\" (SHA-256 {d['sha256'][:16]}...) in the directory DOCUMENTS")
    t.done()


main()
