# SPDX-License-Identifier: GPL-2.0-or-later
"""ONC RPC: a storm of mounts, and what 100 000 mappings cost."""

import contextlib
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

from net import (CPUS, MARK_RULE, Helper, Net, built, column, measured, paired, ratio, say, sh,
                 spread)

MOUNTD_PORT = 20048
CLIENTS = "10.64.0.0/16"  # each an address of the client namespace
FIRST_CLIENT = "10.64.0.1"


class Site(Net):
    """The three hosts, a server of RPC in the last, and tens of thousands of clients in the first."""

    def __enter__(self):
        super().__enter__()
        sh("ip", "-n", self.client, "route", "add", "local", CLIENTS, "dev", "lo")
        sh("ip", "-n", self.router, "route", "add", CLIENTS, "via", self.client_address)
        return self

    def strict(self, where, *rules):
        """Default drop on the router or the server; what it accepts by itself are rpcbind and NFS."""
        text = ""
        for hook in ("forward",) if where == self.router else ("input", "output"):
            toward = () if hook == "output" else (
                "tcp dport { 111, 2049 } ct state new accept", "udp dport 111 ct state new accept")
            loopback = {"forward": (), "input": ("iif lo accept",), "output": ("oif lo accept",)}
            lines = "\n".join((*loopback[hook], "ct state established,related accept", *toward,
                               *rules))
            text += f"""chain {hook} {{
                type filter hook {hook} priority filter; policy drop
                {lines}
            }}
            """
        self.firewall(where, f"table inet fw {{\n{text}}}")

    def rpc_server(self, cpu):
        return Helper(self.server, cpu, built("bench/rpcserver"))

    def pinholed(self, where, cpu, conf):
        return Helper(where, cpu, built("pinholed"), "-q", "-c", "@/conf", "-r", "@/run",
                      conf=conf)


# --- storm: GETPORT of NFS, GETPORT of mountd, NULL of mountd -------------------------------------

STORM_CLIENTS, IN_FLIGHT = 2000, 64
PATIENCE_MS, SHORT_MS = 10000, 100
BASE = "static ports, no pinholed"
STATIC_RULES = (f"tcp dport {MOUNTD_PORT} ct state new accept",
                f"udp dport {MOUNTD_PORT} ct state new accept")
STORMS = (  # name, what the firewall accepts besides, admission
    (BASE, STATIC_RULES, None),
    ("pinholed, related", (), "related"),
    ("pinholed, mark", (MARK_RULE,), "mark"),
)
CONF = """
admit = {admit}
service ftp {{ enabled = false }}
service sunrpc {{ local-rpcbind = {local} }}
"""


def storm(site, cpu, transport, patience):
    return json.loads(sh(built("bench/storm"), "mount", site.client, site.server_address,
                         FIRST_CLIENT, str(STORM_CLIENTS), str(IN_FLIGHT), str(patience), transport,
                         cpu=cpu))


def storm_round(site, where, cpu, helper_cpu, transport, rows):
    local = "true" if where == site.server else "false"
    for name, rules, admit in STORMS:
        site.strict(where, *rules)
        with (site.pinholed(where, helper_cpu, CONF.format(admit=admit, local=local)) if admit
              else contextlib.nullcontext()) as daemon:
            before = daemon.cpu_ns() if daemon else 0
            figures = storm(site, cpu, transport, PATIENCE_MS)
            figures["cpu"] = ((daemon.cpu_ns() if daemon else 0) - before) / 1000 / STORM_CLIENTS
        site.reset(where)
        rows.setdefault((name, transport), []).append(figures)


def storm_report(words, rows, transport, rounds):
    say(f"\n{STORM_CLIENTS} clients mount over {transport}, {IN_FLIGHT} at a time, {words}: "
        f"{rounds} rounds, median (lowest-highest)")
    say(f"  {'':26}{'mounts/s':>20}{'of static':>12}{'p50 us':>22}{'p99 us':>22}"
        f"{'helper us/mount':>17}")
    for name, *_ in STORMS:
        runs = rows[name, transport]
        failed = sum(column(runs, "failed"))
        say(f"  {name:26}{spread(column(runs, 'rate'), 0):>20}"
            f"{paired(runs, rows[BASE, transport], 'rate', ratio):12.2f}"
            f"{spread(column(runs, 'p50'), 0):>22}{spread(column(runs, 'p99'), 0):>22}"
            f"{statistics.median(column(runs, 'cpu')):17.1f}" + (f"  {failed} mounts failed" if failed else ""))


def part_storm(args):
    one, other = CPUS[-1], CPUS[0]
    with Site() as site, site.rpc_server(one):
        for words, where, helper_cpu in (
                ("firewall on a router, all on one CPU", site.router, one),
                ("firewall on a router, the helper on a CPU of its own", site.router, other),
                ("firewall on the server, the helper on a CPU of its own", site.server, other)):
            if "of its own" in words and one == other:
                continue
            rows = {}
            for _ in range(args.rounds):
                for transport in ("tcp", "udp"):
                    storm_round(site, where, one, helper_cpu, transport, rows)
            for transport in ("tcp", "udp"):
                storm_report(words, rows, transport, args.rounds)
        say("  wanted: >= 0.85 of static ports")
        for transport in ("tcp", "udp"):
            site.strict(site.router)
            done = storm(site, one, transport, SHORT_MS)["done"]
            site.reset(site.router)
            say(f"  the strict firewall alone, {transport}: {done} of {STORM_CLIENTS} mounts "
                f"within {SHORT_MS} ms each")


# --- mappings: a hundred thousand of them ---------------------------------------------------------

HOLDERS, EACH = 12500, 8  # clients, and the mappings that the answer to one DUMP opens
MAPPINGS = HOLDERS * EACH
LINGER, TTL = 2, 3  # s
SAVING = 2  # s: by then the state has been written
CLOSING = 1  # s: and both ends have closed their connections
MANY_CONF = f"""
admit = related
limits {{{{
	sessions = 65536
	pinholes = 262144
}}}}
service ftp {{{{ enabled = false }}}}
service sunrpc {{{{
	local-rpcbind = false
	linger = {LINGER}
	mapping-ttl = {TTL}
}}}}
"""


class Control:
    """The daemon's control socket."""

    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(daemon.dir.name + "/run/ctl.sock")
        self.lines = self.socket.makefile("r")

    def ask(self, command):
        """The items of the answer, line by line as they come."""
        self.socket.sendall(json.dumps({"cmd": command}).encode() + b"\n")
        for line in self.lines:
            if '"ok"' in line and "ok" in (end := json.loads(line)):
                assert end["ok"], end
                return
            yield line

    def stats(self):
        return json.loads(next(iter(list(self.ask("stats")))))

    def until(self, key, value):
        """Waits; the seconds it took."""
        began = time.monotonic()
        while self.stats()[key] != value:
            if time.monotonic() - began > 60:
                sys.exit(f"{key} is {self.stats()[key]}, not {value}")
            time.sleep(0.01)
        return time.monotonic() - began


@contextlib.contextmanager
def storm_until_told(cpu, *argv):
    """A storm that goes on until its input ends; what it says then, or before."""
    with subprocess.Popen((built("bench/storm"), *argv), stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE, preexec_fn=measured(cpu)) as process:
        try:
            yield process
        finally:
            process.stdin.close()


@contextlib.contextmanager
def probed(site, cpu, figures, name):
    """The longest that somebody else's call to rpcbind had to wait meanwhile, in ms."""
    with storm_until_told(cpu, "probe", site.client, site.server_address,
                          site.client_address) as probe:
        yield
        probe.stdin.close()
        said = json.loads(probe.stdout.readline())
    figures[name] = said["longest_ms"]
    figures["calls_lost"] = figures.get("calls_lost", 0) + said["lost"]


def resident(daemon):
    with open(f"/proc/{daemon.process.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kernel_memory():
    """Of the whole machine, so roughly."""
    with open("/proc/meminfo") as f:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in f}
    return (kib["SUnreclaim"] + kib["Percpu"]) * 1024


def elements(site):
    """How many the kernel has; its own list is what counts."""
    listing = Net.inside(site.router, "nft", "list", "set", "inet", "pinholed", "sunrpc4")
    return len(re.findall(r" \. (?:tcp|udp) \. \d+ ", listing))


def end_flows(site, proto):
    """In conntrack, and now: by themselves they would end there one by one, over minutes."""
    subprocess.run(("ip", "netns", "exec", site.router, "conntrack", "-D", "-p", proto,
                    "--orig-src", CLIENTS), capture_output=True)


def overflow(site, daemon, control):
    """
    The daemon stands still while conntrack ends a flow of each client, which are more events than
    its buffer holds. From when it goes on: seconds until it answers, having asked conntrack anew.
    """
    before = control.stats()["resyncs"]
    daemon.process.send_signal(signal.SIGSTOP)
    end_flows(site, "udp")
    began = time.monotonic()
    daemon.process.send_signal(signal.SIGCONT)
    stats = control.stats()
    return {"resync": time.monotonic() - began, "resyncs": stats["resyncs"] - before,
            "kept": stats["open_pinholes"], "kept_elements": elements(site),
            "kept_listed": sum('"open"' in line for line in control.ask("list"))}


def mappings_round(site, cpu, helper_cpu):
    site.strict(site.router)
    figures = {}
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(site.pinholed(site.router, helper_cpu, MANY_CONF.format()))
        control, memory = Control(daemon), resident(daemon)
        with probed(site, cpu, figures, "wait_opening"):
            hold = stack.enter_context(storm_until_told(
                cpu, "hold", site.client, site.server_address, FIRST_CLIENT, str(HOLDERS),
                str(IN_FLIGHT), str(PATIENCE_MS)))
            figures |= json.loads(hold.stdout.readline())
            time.sleep(SAVING)
        figures |= {"opened": control.stats()["open_pinholes"], "elements": elements(site),
                    "opening": daemon.cpu_ns() / 1e9,
                    "memory": (resident(daemon) - memory) / MAPPINGS}
        figures |= overflow(site, daemon, control)
        hold.stdin.close()
        hold.wait()
        time.sleep(CLOSING)  # a FIN that conntrack does not know any more would be sent for long
        end_flows(site, "tcp")
        time.sleep(LINGER / 2)
        kernel, before = kernel_memory(), daemon.cpu_ns()
        with probed(site, cpu, figures, "wait_closing"):
            figures["closed"] = control.until("open_pinholes", 0) + LINGER / 2
            figures["left"] = elements(site)
            figures["kernel"] = (kernel - kernel_memory()) / MAPPINGS
            figures["forgotten"] = control.until("live_pinholes", 0)
        figures["closing"] = (daemon.cpu_ns() - before) / 1e9
        figures["again"] = control.stats()["resyncs"] - figures["resyncs"]
    site.reset(site.router)
    return figures


def part_mappings(args):
    rounds = min(args.rounds, 3)
    with Site() as site, site.rpc_server(CPUS[-1]):
        runs = [mappings_round(site, CPUS[-1], CPUS[0]) for _ in range(rounds)]
    say(f"\n{MAPPINGS} mappings, {HOLDERS} clients with a DUMP and an NFS connection each, "
        f"admit = related: {rounds} rounds, median (lowest-highest)")
    for words, key, digits in (
            ("mappings open", "opened", 0),
            ("  elements in the kernel's set", "elements", 0),
            ("  clients/s", "rate", 0),
            ("  daemon's CPU, s, its state saved", "opening", 2),
            ("  somebody else's call to rpcbind meanwhile: longest wait, ms", "wait_opening", 1),
            ("  daemon's memory, bytes/mapping, its client's sessions included", "memory", 0),
            ("  kernel's memory, bytes/mapping, roughly", "kernel", 0),
            ("events overflow: resyncs", "resyncs", 0),
            ("  s until all is well (wanted: < 1)", "resync", 3),
            ("  mappings open after it", "kept", 0),
            ("  listed", "kept_listed", 0),
            ("  elements in the kernel's set", "kept_elements", 0),
            (f"clients end: s until every mapping is closed (linger {LINGER} s)", "closed", 2),
            ("  elements left", "left", 0),
            (f"  s until they are forgotten, too (mapping-ttl {TTL} s)", "forgotten", 2),
            ("  daemon's CPU, s", "closing", 2),
            ("  somebody else's call to rpcbind meanwhile: longest wait, ms", "wait_closing", 1),
            ("calls lost", "calls_lost", 0), ("events overflow again", "again", 0)):
        say(f"  {words:68}{spread(column(runs, key), digits):>26}")
