# SPDX-License-Identifier: GPL-2.0-or-later
"""BFD: a thousand multihop sessions at 50 ms through a router with a strict firewall, where pinholed
opens their way back, against the same with that way opened statically and no pinholed."""

import json
import subprocess
import sys
import time

from net import CPUS, MARK_RULE, Helper, Net, built, column, measured, say, spread

SESSIONS, INTERVAL_MS, SECONDS = 1000, 50, 10
# Each session has an address of its own at either end.
CLIENTS, FIRST_CLIENT = "10.64.0.0/16", "10.64.0.1"
SERVERS, FIRST_SERVER = "10.65.0.0/16", "10.65.0.1"
MULTIHOP = "udp dport 4784 accept"
WANTED_CPU = 5  # per cent

CONF = """
admit = {admit}
limits {{
	sessions = 4096
	pinholes = 4096
}}
service bfd {{
	enabled = true
}}
"""

CONFIGURATIONS = (
    # name, way of admission, what else the firewall accepts
    ("open, no pinholed", None, (MULTIHOP,)),
    ("pinholed, related", "related", ()),
    ("pinholed, mark", "mark", (MARK_RULE,)),
    ("open again: the noise", None, (MULTIHOP,)),
)


class Site(Net):
    def __enter__(self):
        super().__enter__()
        for ns, prefix, address in ((self.client, CLIENTS, self.client_address),
                                    (self.server, SERVERS, self.server_address)):
            self.inside(ns, "ip", "route", "add", "local", prefix, "dev", "lo")
            self.inside(self.router, "ip", "route", "add", prefix, "via", address)
        return self

    def strict(self, *rules):
        lines = "\n".join(("ct state established,related accept", f'iifname "c" {MULTIHOP}', *rules))
        self.firewall(self.router, f"""table inet fw {{
            chain forward {{
                type filter hook forward priority filter; policy drop
                {lines}
            }}
        }}""")


def generate(site, helper):
    """Runs the sessions; the helper's CPU time is that of the time that is measured."""
    process = subprocess.Popen(
        (built("bench/bfdgen"), site.client, FIRST_CLIENT, site.server, FIRST_SERVER, str(SESSIONS),
         str(INTERVAL_MS), str(SECONDS)),
        stdout=subprocess.PIPE, text=True, preexec_fn=measured(CPUS[-1]))
    figures, spent, began = {}, 0, None
    for line in process.stdout:
        told = json.loads(line)
        if "measuring" in told:
            spent, began = helper.cpu_ns() if helper else 0, time.monotonic_ns()
        elif "late" in told and began is not None:
            now = helper.cpu_ns() if helper else 0
            told["cpu"] = 100 * (now - spent) / (time.monotonic_ns() - began)
        figures |= told
    if process.wait():
        sys.exit("bfdgen has failed")
    return figures


def run(site, admit, rules):
    site.strict(*rules)
    if admit is None:
        figures = generate(site, None)
    else:
        with Helper(site.router, CPUS[0], built("pinholed"), "-q", "-c", "@/conf", "-r", "@/run",
                    conf=CONF.format(admit=admit)) as helper:
            figures = generate(site, helper)
    site.reset(site.router)
    return figures


def part_bfd(args):
    rounds = min(args.rounds, 5)
    rows = {name: [] for name, *_ in CONFIGURATIONS}
    with Site() as site:
        for _ in range(rounds):
            for name, admit, rules in CONFIGURATIONS:
                rows[name].append(run(site, admit, rules))
    say(f"\n{SESSIONS} BFD sessions at {INTERVAL_MS} ms through a router, {rounds} rounds of "
        f"{SECONDS} s by turns; median (lowest-highest)")
    for direction, words in (("out", "from the trusted side"), ("back", "towards it, by pinholes")):
        interval = f"off {INTERVAL_MS} ms p99, us"
        say(f"  {words}")
        say(f"  {'':24}{'delay p50, us':>20}{'p99, us':>20}{'its variation p99':>22}"
            f"{interval:>30}{'lost':>6}{'silences':>10}")
        for name, *_ in CONFIGURATIONS:
            runs = column(rows[name], direction)
            say(f"  {name:24}{spread(column(runs, 'delay_p50'), 1):>20}"
                f"{spread(column(runs, 'delay_p99'), 1):>20}"
                f"{spread(column(runs, 'variation_p99'), 1):>22}"
                f"{spread(column(runs, 'jitter_p99'), 1):>30}"
                f"{sum(column(runs, 'lost')):6}{sum(column(runs, 'silences')):10}")
    say("  wanted: no difference beyond what the rounds of one configuration differ by")
    say(f"  {'':24}{'all Up after, s':>22}{'CPU, %':>24}{'late ticks':>26}")
    for name, admit, _ in CONFIGURATIONS:
        runs = rows[name]
        cpu = spread(column(runs, "cpu"), 2) if admit else "-"
        say(f"  {name:24}{spread(column(runs, 'up_seconds'), 2):>22}{cpu:>24}"
            f"{sum(column(runs, 'late')):26}")
    say(f"  wanted: CPU <= {WANTED_CPU} % of one")
