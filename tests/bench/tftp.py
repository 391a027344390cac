# SPDX-License-Identifier: GPL-2.0-or-later
"""TFTP: transfers a second through a router, beside the kernel's nf_conntrack_tftp."""

import contextlib
import json

from net import CPUS, MARK_RULE, Helper, Net, built, column, paired, ratio, say, sh, spread

KERNEL = "kernel nf_conntrack_tftp"
# clients at a time, transfers, blocks of 512 bytes of each: a request that is answered by one block
# is all that a helper can cost, the other is a boot loader.
LOADS = ((1, 1500, 1), (32, 3000, 1), (1, 400, 64), (32, 600, 64))
WANTED = 0.85
# One client is all of them here, and each request is a session for half a minute.
CONF = """
admit = {admit}
limits {{ sessions-per-client = 100000 pinholes-per-client = 100000 sessions = 100000 }}
service ftp {{ enabled = false }}
service sunrpc {{ enabled = false }}
service bfd {{ enabled = false }}
"""


def rules(*more, policy="drop", helper=False):
    assign = """ct helper tftp-std { type "tftp" protocol udp; }
        chain assign {
            type filter hook prerouting priority filter - 5; udp dport 69 ct helper set "tftp-std"
        }
        """ if helper else ""
    return f"""table inet fw {{ {assign}
        chain forward {{
            type filter hook forward priority filter; policy {policy}
            ct state established,related accept
            udp dport 69 ct state new accept
            {"; ".join(more)}
        }}
        }}"""


CONFIGURATIONS = (  # name, rules, admission
    ("nothing, accept all", rules(policy="accept"), None),
    (KERNEL, rules(helper=True), None),
    ("pinholed, mark", rules(MARK_RULE), "mark"),
    ("pinholed, related", rules(), "related"),
)


def one_round(site, cpu, helper_cpu, rows):
    for name, text, admit in CONFIGURATIONS:
        site.firewall(site.router, text)
        helper = (Helper(site.router, helper_cpu, built("pinholed"), "-q", "-c", "@/conf", "-r", "@/run",
                         conf=CONF.format(admit=admit)) if admit else contextlib.nullcontext())  # fmt: skip
        with helper as daemon:
            for load in LOADS:
                before = daemon.cpu_ns() if daemon else 0
                figures = json.loads(sh(built("bench/tftp"), site.client, site.server,
                                        site.server_address, *map(str, load), cpu=cpu))
                figures["cpu"] = ((daemon.cpu_ns() if daemon else 0) - before) / 1000 / figures["transfers"]
                rows.setdefault((name, load), []).append(figures)
        site.reset(site.router)


def report(words, rows, load, rounds):
    clients, transfers, blocks = load
    say(f"\nTFTP through a router, {clients} at a time, {blocks} blocks each, {words}: {rounds} rounds of "
        f"{transfers} transfers, median (lowest-highest)")
    say(f"  {'':26}{'transfers/s':>24}{'of the kernel':>15}{'to 1st block, p50 us':>26}{'p99 us':>22}"
        f"{'helper us each':>16}")
    for name, *_ in CONFIGURATIONS:
        runs = rows[name, load]
        again = sum(column(runs, "again"))
        say(f"  {name:26}{spread(column(runs, 'rate'), 0):>24}"
            f"{paired(runs, rows[KERNEL, load], 'rate', ratio):15.2f}{spread(column(runs, 'p50'), 1):>26}"
            f"{spread(column(runs, 'p99'), 1):>22}{column(runs, 'cpu')[0]:16.1f}"
            + (f"  {again} requests sent again" if again else ""))


def part_tftp(args):
    one, other = CPUS[-1], CPUS[0]
    with Net() as site:
        for words, helper_cpu in {"all on one CPU": one, "the helper on a CPU of its own": other}.items():
            rows = {}
            for _ in range(args.rounds):
                one_round(site, one, helper_cpu, rows)
            for load in LOADS:
                report(words, rows, load, args.rounds)
            if one == other:
                break
        say(f"  wanted: >= {WANTED} of the kernel's helper")
        site.firewall(site.router, rules())
        done = sh("sh", "-c", f"{built('bench/tftp')} {site.client} {site.server} {site.server_address} "
                  "1 1 1 2>&1 || true", cpu=one)  # fmt: skip
        say(f"  the strict firewall alone: {done.strip()}")
