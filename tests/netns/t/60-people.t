#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""What people see: every command of pinholectl with its exit status, reloading, the log, and the
privileges that the daemon keeps."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import json
import shutil

from lab import poll, suite, tap, topology
from lab.daemon import PINHOLECTL, Daemon, config
from lab.dialogue import Listener, connected, port_of
from lab.pcap import Recorder
from lab.topology import ADDRESS, CLIENT, ROUTER, SERVER

COMMANDS = ("list", "sessions", "show", "why", "watch", "close", "stats", "doctor", "check-config", "replay")
PORT = 41234


def status(t, daemon, wanted, *words):
    with t.case(f"pinholectl {' '.join(map(str, words))}: exit status {wanted}"):
        done = daemon.ctl_run(*words)
        tap.equal(done.returncode, wanted, done.stdout + done.stderr)
        if wanted != 0:
            tap.true(done.stderr.strip(), "nothing on stderr")


def usage(t, daemon):
    with t.case("--help of every command tells of itself and of --json"):
        for command in COMMANDS:
            done = daemon.ctl_run(command, "--help")
            tap.equal(done.returncode, 0, command)
            tap.contains(done.stdout, command)
    for words in ((), ("open-sesame",), ("show",), ("show", "x"), ("why",), ("why", "10.0.0.1", "x"),
                  ("close",), ("list", "--wrong"), ("replay",)):  # fmt: skip
        status(t, daemon, 2, *words)
    for words in (("show", 999), ("why", 999), ("close", 999), ("why", "10.9.9.9", 999),
                  ("replay", "/nonexistent")):  # fmt: skip
        status(t, daemon, 1, *words)
    with t.case("without a daemon: exit status 1, and a message that says so"):
        done = daemon.ns.run([PINHOLECTL, "-r", "/nonexistent", "list"])
        tap.equal(done.returncode, 1)
        tap.contains(done.stderr, "/nonexistent")


def questions(t, daemon, listener):
    client, server = ADDRESS[CLIENT, 4], ADDRESS[SERVER, 4]
    with listener.dialogue() as d, d.passive_listener() as waiting:
        port = port_of(waiting)
        d.pasv(port)
        pinhole = daemon.pinholes()[0]
        session = daemon.sessions()[0]
        with t.case("list: one open pinhole, whose it is, and until when"):
            tap.equal(pinhole["state"], "open")
            tap.equal(pinhole["service"], "ftp")
            tap.equal((pinhole["proto"], pinhole["src"], pinhole["sport"]), ("tcp", client, None))
            tap.equal((pinhole["dst"], pinhole["dport"]), (server, port))
            tap.true(50 < pinhole["expires"] <= 60, f"expires {pinhole['expires']}")
            tap.contains(pinhole["cause"], "227 Entering Passive Mode")
            tap.equal(pinhole["session"]["dport"], 21)
            tap.equal(pinhole["session"]["sport"], d.client.getsockname()[1])
            tap.true(pinhole["session"]["alive"], "its session is not alive")
        with t.case("sessions: the session, with its pinhole"):
            tap.equal(session["pinholes"], [pinhole["id"]])
            tap.equal((session["src"], session["dst"], session["dport"]), (client, server, 21))
            tap.equal((session["opened"], session["refused"]), (1, 0))
        with t.case("show and why, by id and by address, name session, line and end"):
            for words in (("show", pinhole["id"]), ("why", pinhole["id"]), ("why", server, port)):
                text = daemon.ctl(*words)
                for part in (client, server, str(port), "227 Entering Passive Mode"):
                    tap.contains(text, part, words[0])
                tap.true(daemon.ctl_json(*words), "no JSON")
        with t.case("list and sessions as tables"):
            tap.contains(daemon.ctl("list"), str(port))
            tap.contains(daemon.ctl("sessions"), client)
        with t.case("close: the pinhole is gone, and the firewall shut"):
            daemon.ctl("close", pinhole["id"])
            tap.equal(daemon.pinholes(), [])
            tap.equal(daemon.elements(), [])
            tap.equal(daemon.counter("operator"), 1, "closed by the operator")
            before = net.dropped(ROUTER)
            with d.connect_data(port) as flow:
                poll.until(lambda: net.dropped(ROUTER) > before, "the SYN to be dropped")
                tap.true(not connected(flow, 0), "it got through")
            d.usable()
        with t.case("the list while a transfer is under way shows it bound, with its source port"):
            d.pasv(port)
            with d.connect_data(port) as flow:
                tap.true(connected(flow, 3), "the data connection failed")
                poll.until(lambda: daemon.pinholes("bound"), "a bound pinhole")
                found = daemon.pinholes()
                tap.equal([p["sport"] for p in found], [flow.getsockname()[1]])
                poll.until(lambda: not daemon.elements(), "the spent element to be removed")
        daemon.nothing_left()


def watching(t, daemon, listener):
    with t.case("watch --json: one object a line, refuse, open, bind, close, as they happen"):
        watcher = daemon.ctl_popen("--json", "watch")
        try:
            poll.until(lambda: daemon.ctl_json("status").get("watchers"), "the watcher to be there")
            with listener.dialogue() as d, d.passive_listener() as waiting:
                d.server_sends("227 Passive (10,77,2,2,200,1)\r\n")
                d.pasv(port_of(waiting))
                with d.connect_data(port_of(waiting)) as flow:
                    tap.true(connected(flow, 3), "the data connection failed")
                d.usable()
            events = [json.loads(watcher.stdout.readline()) for _ in range(4)]
            tap.equal([e["event"] for e in events], ["refuse", "open", "bind", "close"])
            tap.equal(events[0]["reason"], "unsolicited")
            for event in events:
                tap.equal(event["session"]["dport"], 21)
        finally:
            watcher.terminate()
            watcher.wait()
            watcher.stdout.close()


def replaying(t, lab, daemon, listener):
    """The same dialogue, live and out of a capture file: the same events."""

    def telling(event):
        return [event[key] for key in ("event", "reason", "src", "sport", "dst", "dport", "session")]

    with t.case("replay --json of a capture tells what watch --json told when it happened"):
        path = os.path.join(lab.tmp, "dialogue.pcap")
        watcher = daemon.ctl_popen("--json", "watch")
        try:
            poll.until(lambda: daemon.ctl_json("status").get("watchers"), "the watcher to be there")
            with Recorder(net.router, "client", path):
                with listener.dialogue() as d, d.passive_listener() as waiting:
                    d.exchange("PORT 10,77,1,2,0,25", "500 no")
                    d.pasv(port_of(waiting))
                    with d.connect_data(port_of(waiting)) as flow:
                        tap.true(connected(flow, 3), "the data connection failed")
                    d.port(PORT, "500 no")
                daemon.nothing_left()
            live = [json.loads(watcher.stdout.readline()) for _ in range(6)]
        finally:
            watcher.terminate()
            watcher.wait()
            watcher.stdout.close()
        replayed = [json.loads(line) for line in daemon.ctl("replay", "--json", path).splitlines()]
        tap.equal([telling(e) for e in replayed], [telling(e) for e in live])
        for event in replayed:
            tap.true(event["frame"] > 0, "no frame number")


def reloading(t, lab, daemon, listener):
    with listener.dialogue() as d, d.passive_listener() as waiting:
        with t.case("SIGHUP puts a new configuration into force and closes nothing"):
            d.pasv(port_of(waiting))
            daemon.configure(timeout=7)
            daemon.reload()
            poll.until(lambda: "new configuration in force" in daemon.log(), daemon.log)
            tap.equal([p["dport"] for p in daemon.pinholes()], [port_of(waiting)])
            with d.connect_data(port_of(waiting)) as flow:
                tap.true(connected(flow, 3), "the data connection failed")
            d.pasv(PORT)
            tap.true(daemon.pinholes("open")[0]["expires"] <= 7, "the new timeout is not in force")
        with t.case("SIGHUP with a broken configuration: refused with file, line and word"):
            lab.file(f"{daemon.name}.conf", config(timeout=9, tls="perhaps"))
            daemon.reload()
            poll.until(lambda: "perhaps" in daemon.log(), daemon.log)
            tap.contains(daemon.log(), f"{daemon.conf}:8: ")
            d.pasv(PORT)
            tap.true(daemon.pinholes("open")[0]["expires"] <= 7, "the old one is not in force")
        done = daemon.ctl_run("check-config", daemon.conf)
        with t.case("check-config finds the same mistake"):
            tap.equal(done.returncode, 1)
            tap.contains(done.stderr + done.stdout, f"{daemon.conf}:8: ")
            tap.contains(done.stderr + done.stdout, "perhaps")
        with t.case("check-config likes a good file"):
            daemon.configure()
            daemon.ctl("check-config", daemon.conf)


def doctor(t, net, daemon):
    with t.case("doctor finds nothing wrong with the strict firewall that accepts related"):
        done = daemon.ctl_run("doctor")
        tap.equal(done.returncode, 0, done.stdout + done.stderr)
    with t.case("doctor misses `related` in a firewall without it, and names the line to add"):
        text = topology.strict(ROUTER, "related")
        net.firewall(ROUTER, text.replace("established,related", "established"))
        done = daemon.ctl_run("doctor")
        net.firewall(ROUTER, topology.strict(ROUTER, "related"))
        tap.equal(done.returncode, 1, done.stdout + done.stderr)
        tap.contains(done.stdout, "ct state established,related accept")


def as_nobody(lab, daemon, group, *words):
    """pinholectl run by uid 65534, from a place that it can reach wherever the tree is."""
    program = shutil.copy(PINHOLECTL, lab.tmp)
    return daemon.ns.run(
        [program, "-r", daemon.run_dir, *map(str, words)], user=65534, group=group, extra_groups=[]
    )


def privileges(t, lab, daemon):
    with t.case("the daemon keeps CAP_NET_ADMIN only, no new privileges, a seccomp filter"):
        with open(f"/proc/{daemon.process.pid}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        net_admin = 1 << 12
        for kind in ("CapPrm", "CapEff", "CapBnd"):
            tap.equal(int(status[kind], 16) & ~net_admin, 0, kind)
        tap.equal(int(status["CapEff"], 16), net_admin, "CapEff")
        tap.equal(status["NoNewPrivs"], "1", "NoNewPrivs")
        tap.equal(status["Seccomp"], "2", "Seccomp")
    with t.case("the control socket is for its group, and a stranger is turned away"):
        sock = os.path.join(daemon.run_dir, "ctl.sock")
        tap.equal(oct(os.stat(sock).st_mode & 0o777), oct(0o660))
        tap.equal(as_nobody(lab, daemon, 65534, "list").returncode, 1)
    with t.case("a member of the group may look, but not close"):
        with listener.dialogue() as d:
            d.pasv(PORT)
            number = daemon.pinholes()[0]["id"]
            done = as_nobody(lab, daemon, 0, "list")
            tap.equal(done.returncode, 0, done.stderr)
            tap.equal(as_nobody(lab, daemon, 0, "close", number).returncode, 1)
            tap.equal(len(daemon.pinholes()), 1, "pinholes")


def translated(t, net, daemon):
    """NAT in front of the daemon's eyes: the session is left alone, and one can see that it is."""
    net.router.sh("nft", "-f", "-", stdin=f"""table inet translate {{
        chain prerouting {{
            type nat hook prerouting priority dstnat
            ip daddr 10.77.2.98 tcp dport 21 dnat ip to {ADDRESS[SERVER, 4]}
        }}
    }}""")  # fmt: skip
    with t.case("a translated session is not tracked, opens nothing, is counted and logged"):
        before = daemon.counter("sessions")
        with listener.dialogue("10.77.2.98") as d:
            d.pasv(PORT)
            tap.equal(daemon.pinholes(), [], "pinholes")
            tap.equal(daemon.elements(), [], "elements")
            tap.equal(daemon.counter("sessions"), before, "sessions")
            poll.until(lambda: daemon.counter("nat_sessions") == 1, "it to be counted")
            tap.contains(daemon.log(), "translated")
            d.usable()
    net.router.sh("nft", "delete", "table", "inet", "translate")


def escapes(t, daemon, listener):
    with t.case("what a peer wrote reaches log and screen only escaped"):
        with listener.dialogue() as d:
            d.server_sends(b"227 \x1b]0;gotcha\x07\x9bm (10,77,2,2,200,1)\r\n")
            d.client_sends("PASV\r\n")
            d.server_sends(b"227 \x1b[m \x9b\x07(10,77,2,2,200,1)\r\n")
            text = daemon.ctl("list") + daemon.ctl("why", daemon.pinholes()[0]["id"])
            with open(daemon.process.log_path, "rb") as f:
                text = text.encode() + f.read()
            tap.true(not any(c in text for c in (0x1B, 0x07, 0x9B)), "raw control characters")
            tap.contains(text, b"\\x1b")


with suite.laboratory() as (t, lab, net):
    net.firewall(ROUTER, topology.strict(ROUTER, "related"))
    listener = Listener(net)
    with Daemon(lab, net.router) as daemon:
        t.explain = daemon.log
        usage(t, daemon)
        questions(t, daemon, listener)
        watching(t, daemon, listener)
        escapes(t, daemon, listener)
        doctor(t, net, daemon)
        privileges(t, lab, daemon)
        translated(t, net, daemon)
        replaying(t, lab, daemon, listener)
        reloading(t, lab, daemon, listener)
        with t.case("nothing is left"):
            daemon.nothing_left()
    listener.close()
