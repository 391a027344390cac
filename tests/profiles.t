#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The profiles, and pinholectl's commands on them, as far as they need neither root nor a daemon.

rules/profiles has to be what `pinholectl profile render` makes of rules/catalogue now; nft(8) has to
take every one of them (for that nft wants root, or a user namespace). TAP for prove."""

import contextlib
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(HERE, "netns"))

from lab import tap

BUILD = os.path.abspath(os.environ.get("PH_BUILD", os.path.join(ROOT, "build")))
CTL = os.path.join(BUILD, "pinholectl")
CATALOGUE = os.path.join(ROOT, "rules", "catalogue")
PROFILES = os.path.join(ROOT, "rules", "profiles")
DONE, NO, WRONG_USAGE = 0, 1, 2


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **more)


def profile(*arguments, catalogue=CATALOGUE):
    return run(CTL, "profile", *arguments, "--catalogue", catalogue)


def ok(*arguments):
    result = profile(*arguments)
    tap.equal(result.returncode, DONE, result.stderr)
    return result


def render(*arguments):
    return ok("render", *arguments).stdout


def refused(status, says, *arguments):
    result = profile(*arguments)
    tap.equal(result.returncode, status, f"{' '.join(arguments)}: {result.stderr}")
    tap.contains(result.stderr, says)
    tap.equal(result.stdout, "")


def names():
    return [line.split()[0] for line in ok("list").stdout.splitlines()[1:]]


def shown(name, *arguments):
    return json.loads(ok("show", "--json", name, *arguments).stdout)


def switches(text):
    return dict(re.findall(r"^define (\w+) *= (on|off)\b", text, re.M))


def nft_command():
    """How nft can be asked here, or None: by root, else in a namespace where we are root."""
    if not shutil.which("nft"):
        return None
    for before in ([], ["unshare", "-rn"]):
        with contextlib.suppress(OSError):
            if run(*before, "nft", "-c", "-f", "-", input="table inet t { }\n").returncode == 0:
                return [*before, "nft", "-c", "-f"]
    return None


# --- the files ----------------------------------------------------------------------------------


def files(t):
    with t.case("rules/profiles has the catalogue's profiles and no other"):
        tap.equal(sorted(os.listdir(PROFILES)), sorted(f"{name}.nft" for name in names()))
    for name in names():
        with t.case(f"{name}.nft is up to date (else: make profiles)"):
            with open(os.path.join(PROFILES, f"{name}.nft"), encoding="utf-8") as f:
                committed = f.read()
            diff = list(difflib.unified_diff(committed.splitlines(), render(name).splitlines(),
                                             "committed", "rendered", lineterm="", n=1))
            tap.true(not diff, "\n".join(diff[:40]))
        with t.case(f"{name}: each switch stands the same way in all its rules"):
            default = {}
            for rule in shown(name)["rules"]:
                if rule["switch"] in ("on", "off"):
                    default.setdefault(rule["service"], set()).add(rule["default"])
            tap.equal({s: d for s, d in default.items() if len(d) > 1}, {})
        with t.case(f"{name}: nobody is meant, and what is off stays off, until it is settled"):
            text = render(name)
            lists = re.findall(r"^define \w+[46] = (.*)$", text, re.M)
            tap.true(lists, "no lists")
            tap.equal(set(lists), {"{ }"})
            state = {r["service"]: r["default"] for r in shown(name)["rules"]
                     if r["switch"] in ("on", "off")}
            on = switches(text)
            on.pop("rescue_ssh", None)
            tap.equal({s: v for s, v in on.items() if s in state}, state)


def settled(name):
    """Options that settle everything: all roles and ports, all switches on."""
    about = shown(name)
    options = []
    for i, peer in enumerate(about["peers"]):
        options += ["--define", f"{peer['name']}=10.{i}.0.0/16,192.0.2.{i},2001:db8:{i}::/48,10.{i}.2.0/24"]
    for also in ("also_in_tcp", "also_in_udp"):
        options += ["--define", f"{also}=8080,9000-9010,22"]
    if about["output"] == "drop":
        options += ["--define", "also_out_tcp=1-65535"]
    if about["containers"]:
        options += ["--define", "inside=docker0,br-*,veth*"]
    return [*options, "--with", ",".join(about["switches"])]


def for_nft(t, work):
    nft = nft_command()
    for name in names():
        if not nft:
            t.skip(f"nft takes {name}", "nft asks for root or a user namespace")
            continue
        for what, options in (("as it is", []), ("with everything settled and on", settled(name))):
            with t.case(f"nft takes {name} {what}"):
                path = os.path.join(work, "rules.nft")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(render(name, *options))
                result = run(*nft, path)
                tap.equal((result.returncode, result.stdout + result.stderr), (0, ""))


def words_of_nft(t, work):
    nft = nft_command()
    if not nft:
        t.skip("nft's own words cannot be names", "nft asks for root or a user namespace")
        return
    with open(os.path.join(ROOT, "nft-helper", "nft_words.c"), encoding="utf-8") as f:
        words = re.findall(r'"(\w+)",', f.read())
    newer = {"last", "destroy", "tunnel", "vxlan", "vni", "geneve", "gre", "gretap"}
    others = ["on", "off", "echo", "length", "state", "label", "helper", "port", "name", "to", "with",
              "level", "group", "count", "error", "data", "shutdown", "window", "value", "event"]

    def taken(word):
        path = os.path.join(work, "word.nft")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"define {word} = yes\ntable inet t {{\n\tchain yes {{ }}\n\tchain c {{\n"
                    f"\t\ttcp dport 22 jump ${word} comment \"x\"\n\t\tjump ${word}\n\t}}\n}}\n")
        return run(*nft, path).returncode == 0

    with t.case("nft's own words cannot be names"):
        tap.equal(words, sorted(words))
        tap.equal([w for w in words if taken(w) and w not in newer], [])
    with t.case("words that nft has in some places only can"):
        tap.equal([w for w in others if not taken(w)], [])


# --- the commands -------------------------------------------------------------------------------


def lists(t):
    with t.case("list"):
        lines = ok("list").stdout.splitlines()
        tap.equal(lines[0].split(), ["NAME", "OUTPUT", "CONTAINERS", "TITLE"])
        tap.contains(ok("list").stdout, "xcat-management")
    with t.case("list --json"):
        profiles = json.loads(ok("list", "--json").stdout)["profiles"]
        tap.equal([p["name"] for p in profiles], names())
        for p in profiles:
            tap.equal(set(p), {"name", "system", "roles", "output", "containers", "inside", "title",
                               "remark"})
            tap.true(p["output"] in ("drop", "accept"), p["output"])
    with t.case("show --json has all that show has"):
        for name in names():
            about = shown(name)
            tap.equal(about["name"], name)
            for rule in about["rules"] + about["local"] + about["never"]:
                tap.true(rule["rows"], f"{name}: a rule of no row")
                tap.true(rule["switch"] in ("on", "off", "pinholed", "open", "local", "never"), rule)
                for row in rule["rows"]:
                    tap.true(row["lines"], row)
            for rule in about["rules"]:
                if rule["switch"] in ("on", "off"):
                    tap.equal(about["switches"][rule["service"]], rule["switch"] == "on")
                    tap.true(rule["peer"] == "any" or rule["peer"] in
                             [p["name"] for p in about["peers"]], rule["peer"])
            text = ok("show", name).stdout
            tap.true(text.startswith(f"{name}: "), text)
            for column in ("DIRECTION", "PEER", "SERVICE", "PROTO", "PORT", "SPORT", "NEED", "SWITCH",
                           "NOTES"):
                tap.contains(text, column)
    with t.case("show tells of what is settled"):
        about = shown("xcat-management", "--define", "nodes=10.0.0.0/8,2001:db8::/32", "--without",
                      "http", "--define", "also_in_tcp=5432")
        nodes = [p for p in about["peers"] if p["name"] == "nodes"][0]
        tap.equal(nodes["prefixes"], ["10.0.0.0/8", "2001:db8::/32"])
        tap.equal(about["also"]["in_tcp"], "5432")
        tap.equal({r["switch"] for r in about["rules"] if r["service"] == "http"}, {"off"})
        tap.equal({r["default"] for r in about["rules"] if r["service"] == "http"}, {"on"})
        text = ok("show", "xcat-management", "--define", "nodes=10.0.0.0/8").stdout
        tap.contains(text, "nodes: 10.0.0.0/8")


def settings(t, work):
    with t.case("options settle"):
        text = render("xcat-management", "--define", "nodes=10.0.0.0/8,2001:db8::/32", "--with",
                      "dns,rsh", "--without", "http", "--with", "http,awk", "--without=awk",
                      "--define=nodes=192.0.2.0/24,2001:db8::1")
        tap.contains(text, "\ndefine nodes4 = { 192.0.2.0/24 }\ndefine nodes6 = { 2001:db8::1 }\n")
        state = switches(text)
        tap.equal([state[s] for s in ("dns", "rsh", "http", "awk")], ["on", "on", "on", "off"])
    with t.case("an edited file keeps what it says, and options come on top"):
        path = os.path.join(work, "mine.nft")
        text = render("xcat-management", "--define", "nodes=10.0.0.0/8")
        text = text.replace("define admins4 = { }", "define admins4 = {\n\t192.0.2.1, # me\n\t192.0.2.2,\n}")
        text = re.sub(r"^define rsh .*$", "define rsh = on", text, flags=re.M)
        text = text.replace("policy drop", "policy accept")  # not what is read
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        again = render(path, "--without", "dhcp", "--define", "nodes=")
        tap.contains(again, "\ndefine admins4 = { 192.0.2.1, 192.0.2.2 }\n")
        tap.contains(again, "\ndefine nodes4 = { }\n")
        tap.true("policy accept" not in again, "more is read than the head")
        tap.equal([switches(again)[s] for s in ("rsh", "dhcp", "http")], ["on", "off", "on"])
    with t.case("a file in this directory is known by its name's end"):
        result = subprocess.run([CTL, "--catalogue", CATALOGUE, "profile", "show", "mine.nft"], cwd=work,
                                capture_output=True, text=True)
        tap.equal(result.returncode, DONE, result.stderr)
        tap.contains(result.stdout, "admins: 192.0.2.1/32, 192.0.2.2/32")
    with t.case("rendered, read and rendered again it is the same"):
        for name in names():
            with open(path, "w", encoding="utf-8") as f:
                f.write(render(name, *settled(name)))
            tap.equal(render(path), open(path, encoding="utf-8").read(), name)
    with t.case("a file that says nonsense: its line is named"):
        with open(path, "w", encoding="utf-8") as f:
            f.write("# profile: xcat-service\n\ndefine nodes4 = { 10.0.0.0/8 10.1.0.0/16 }\n")
        refused(NO, f"{path}:3: a comma is missing before '10.1.0.0/16 }}'", "render", path)
        with open(path, "w", encoding="utf-8") as f:
            f.write("# profile: xcat-service\ndefine telephone = on\n")
        refused(NO, "has no service 'telephone'", "render", path)
        refused(NO, "No such file", "render", os.path.join(work, "none.nft"))


def login(t):
    with t.case("render warns when nobody could log in"):
        warning = "nobody may log in by ssh"
        tap.contains(ok("render", "qumulo-onprem").stderr, f"{warning} with this: --define admins=")
        tap.equal(ok("render", "qumulo-onprem", "--define", "admins=192.0.2.1").stderr, "")
        tap.equal(ok("render", "qumulo-onprem", "--define", "also_in_tcp=22").stderr, "")
        tap.contains(ok("render", "avi-serviceengine").stderr, "--with rescue_ssh --define admins=")
        tap.equal(ok("render", "avi-serviceengine", "--with", "rescue_ssh", "--define",
                     "admins=::1").stderr, "")


def errors(t):
    cases = [
        (NO, "no such profile: 'xcat-managment'; there is xcat-management", "show", "xcat-managment"),
        (NO, "no such profile: 'xcat'; there is xcat-management, xcat-service", "render", "xcat"),
        (NO, "`pinholectl profile list` names all", "show", "telephone"),
        (NO, "xcat-service has no role 'telephones'; it has", "render", "xcat-service", "--define",
         "telephones=::1"),
        (NO, "xcat-service has no service 'telephone' to switch; it has", "render", "xcat-service",
         "--with", "telephone"),
        (NO, "'10.0.0.1/8'", "render", "xcat-service", "--define", "nodes=10.0.0.1/8"),
        (NO, "not ROLE=PREFIX,...: 'nodes'", "show", "xcat-service", "--define", "nodes"),
        (NO, "no ports: '0'", "show", "xcat-service", "--define", "also_in_tcp=0"),
        (NO, "netq-single lets everything out: 'also_out_udp'", "show", "netq-single", "--define",
         "also_out_udp=1"),
        (WRONG_USAGE, "an argument is missing",),
        (WRONG_USAGE, "not a word of this command: 'frobnicate'", "frobnicate"),
        (WRONG_USAGE, "the name of a profile, or a file, is missing", "show"),
        (WRONG_USAGE, "one argument too many: 'netq-single'", "list", "netq-single"),
        (WRONG_USAGE, "one argument too many: 'more'", "show", "netq-single", "more"),
        (WRONG_USAGE, "not an option of this command: '--json'", "render", "netq-single", "--json"),
        (WRONG_USAGE, "where there is none", "list", "--with", "ssh"),
        (WRONG_USAGE, "a value is missing after '--define'", "show", "netq-single", "--define"),
        (WRONG_USAGE, "too many options", "show", "netq-single", *["--with=ssh"] * 65),
        (WRONG_USAGE, "not an option of this command: '--config'", "list", "--config", "x"),
    ]
    for status, says, *arguments in cases:
        with t.case(f"refused: profile {' '.join(arguments)[:60]}"):
            # What is missing a value has to stand last.
            if arguments[-1:] == ["--define"]:
                result = run(CTL, "profile", *arguments)
                tap.equal(result.returncode, status)
                tap.contains(result.stderr, says)
            else:
                refused(status, says, *arguments)
    with t.case("options of profile are options of no other command"):
        result = run(CTL, "list", "--with", "ssh")
        tap.equal(result.returncode, WRONG_USAGE)
        result = run(CTL, "stats", "--catalogue", CATALOGUE)
        tap.equal(result.returncode, WRONG_USAGE)
        tap.contains(result.stderr, "--catalogue")
    with t.case("a catalogue that is not there"):
        result = profile("list", catalogue="/nonexistent")
        tap.equal(result.returncode, NO)
        tap.contains(result.stderr, "/nonexistent/documents.tsv: No such file")
    with t.case("standard output that is full"):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([CTL, "profile", "render", "xcat-service", "--catalogue", CATALOGUE],
                                    stdout=full, stderr=subprocess.PIPE, text=True)
        tap.equal(result.returncode, NO)
        tap.contains(result.stderr, "standard output: No space left")


# --- around it ----------------------------------------------------------------------------------

# The library of bash-completion may not be here: what of it is used.
STUB = """
_init_completion() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
_filedir() { :; }
compopt() { :; }
"""


def completed(*words):
    script = (f"{STUB}\nPATH={BUILD}:$PATH\n. {ROOT}/nft-helper/pinholectl.bash-completion\n"
              'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n_pinholectl\nprintf "%s\\n" "${COMPREPLY[@]}"\n')
    result = run("bash", "-c", script, "bash", "pinholectl", *words)
    tap.equal(result.stderr, "")
    return result.stdout.split()


def completion(t):
    where = ["--catalogue", CATALOGUE]
    with t.case("completion knows every command"):
        commands = re.findall(r"^  ([a-z-]+) ", run(CTL, "--help").stdout.split("options")[0], re.M)
        tap.true("profile" in commands, commands)
        tap.equal(sorted(completed("")), sorted(commands))
    with t.case("completion knows what profile does, and the profiles"):
        tap.equal(completed("profile", ""), ["list", "show", "render"])
        tap.equal(completed("profile", "re"), ["render"])
        tap.equal(completed(*where, "profile", "show", ""), names())
        tap.equal(completed(*where, "profile", "render", "xcat-m"), ["xcat-management"])
        tap.equal(completed(*where, "profile", "list", ""), [])
    with t.case("completion knows options, roles and services"):
        for option in ("--define", "--with", "--without", "--catalogue"):
            tap.true(option in completed("profile", "--"), option)
            tap.true(option not in completed("list", "--"), option)
        xcat = [*where, "profile", "render", "xcat-management"]
        tap.equal(completed(*xcat, "--define", "no"), ["nodes="])
        tap.equal(completed(*xcat, "--define", "also_in_t"), ["also_in_tcp="])
        tap.equal(completed(*xcat, "--with", "kshe"), ["kshell"])
        tap.equal(completed(*xcat, "--without", "dns,kshe"), ["dns,kshell"])


def manual(t):
    with t.case("help and manual name every word"):
        text = run(CTL, "profile", "--help").stdout
        with open(os.path.join(ROOT, "docs", "pinholectl.8"), encoding="utf-8") as f:
            man = f.read()
        for option in ("define", "with", "without", "catalogue"):
            tap.contains(text, f"--{option}")
            tap.contains(man, f"Fl -{option}")
        for word in ("list", "show", "render"):
            tap.contains(text, word)
            tap.contains(man, f"profile {word}")


def installed(t, work):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    variables = ["SAN=1"] if BUILD.endswith("/san") else []

    def make(*arguments):
        result = run("make", "-C", ROOT, *arguments, env=environment)
        tap.equal(result.returncode, 0, result.stderr)

    with t.case("make install brings catalogue and profiles, make uninstall takes them"):
        stage = os.path.join(work, "stage")
        make(*variables, f"DESTDIR={stage}", "PREFIX=/opt/x", "install")
        share = os.path.join(stage, "opt/x/share/pinholed")
        tap.equal(sorted(os.listdir(os.path.join(share, "profiles"))), sorted(os.listdir(PROFILES)))
        there = os.listdir(os.path.join(share, "catalogue"))
        result = profile("list", catalogue=os.path.join(share, "catalogue"))
        tap.equal(result.stdout, ok("list").stdout)
        tap.true("profiles.tsv" in there, there)
        make(*variables, f"DESTDIR={stage}", "PREFIX=/opt/x", "uninstall")
        tap.true(not os.path.exists(share), "something stays behind")
    with t.case("a pinholectl finds the catalogue of its prefix"):
        prefix, build = os.path.join(work, "prefix"), os.path.join(work, "build")
        make(f"BUILD={build}", f"PREFIX={prefix}", "OPT=-O0", "SAN=", f"{build}/pinholectl")
        own = os.path.join(build, "pinholectl")
        result = run(own, "profile", "list")
        tap.equal(result.returncode, NO)
        tap.contains(result.stderr, f"{prefix}/share/pinholed/catalogue/documents.tsv: No such file")
        tap.contains(result.stderr, "--catalogue DIR")
        shutil.copytree(CATALOGUE, os.path.join(prefix, "share/pinholed/catalogue"))
        tap.equal(run(own, "profile", "list").stdout, ok("list").stdout)


def main():
    t = tap.Tap()
    if not os.access(CTL, os.X_OK):
        tap.skip_all(f"{CTL} is not built")
    with tempfile.TemporaryDirectory(prefix="profiles-") as work:
        files(t)
        for_nft(t, work)
        words_of_nft(t, work)
        lists(t)
        settings(t, work)
        login(t)
        errors(t)
        completion(t)
        manual(t)
        installed(t, work)
    t.done()


main()
