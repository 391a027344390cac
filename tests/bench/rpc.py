# SPDX-License-Identifier: GPL-2.0-or-later
"""ONC RPC: a storm of mounts, and what 100 000 mappings cost."""

import contextlib
import json

from net import CPUS, MARK_RULE, Helper, Net, built, column, paired, ratio, say, sh, spread

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

    def strict(self, *rules):
        """Default drop; what it accepts by itself are rpcbind and NFS."""
        self.firewall(self.router, f"""table inet fw {{ chain forward {{
            type filter hook forward priority filter; policy drop
            ct state established,related accept
            tcp dport {{ 111, 2049 }} ct state new accept
            udp dport 111 ct state new accept
            {"; ".join(rules)}
        }}
        }}""")

    def rpc_server(self, cpu):
        return Helper(self.server, cpu, built("bench/rpcserver"))

    def pinholed(self, cpu, conf):
        return Helper(self.router, cpu, built("pinholed"), "-q", "-c", "@/conf", "-r", "@/run",
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
service sunrpc {{ local-rpcbind = false }}
"""


def storm(site, cpu, transport, patience):
    return json.loads(sh(built("bench/storm"), "mount", site.client, site.server_address,
                         FIRST_CLIENT, str(STORM_CLIENTS), str(IN_FLIGHT), str(patience), transport,
                         cpu=cpu))


def storm_round(site, cpu, helper_cpu, transport, rows):
    for name, rules, admit in STORMS:
        site.strict(*rules)
        with (site.pinholed(helper_cpu, CONF.format(admit=admit)) if admit
              else contextlib.nullcontext()) as daemon:
            before = daemon.cpu_ns() if daemon else 0
            figures = storm(site, cpu, transport, PATIENCE_MS)
            figures["cpu"] = ((daemon.cpu_ns() if daemon else 0) - before) / 1000 / STORM_CLIENTS
        site.reset(site.router)
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
            f"{column(runs, 'cpu')[0]:17.1f}" + (f"  {failed} mounts failed" if failed else ""))


def part_storm(args):
    one, other = CPUS[-1], CPUS[0]
    with Site() as site, site.rpc_server(one):
        for words, helper_cpu in {"all on one CPU": one,
                                  "the helper on a CPU of its own": other}.items():
            rows = {}
            for _ in range(args.rounds):
                for transport in ("tcp", "udp"):
                    storm_round(site, one, helper_cpu, transport, rows)
            for transport in ("tcp", "udp"):
                storm_report(words, rows, transport, args.rounds)
            if one == other:
                break
        say("  wanted: >= 0.85 of static ports")
        for transport in ("tcp", "udp"):
            site.strict()
            done = storm(site, one, transport, SHORT_MS)["done"]
            site.reset(site.router)
            say(f"  the strict firewall alone, {transport}: {done} of {STORM_CLIENTS} mounts "
                f"within {SHORT_MS} ms each")


def part_mappings(args):
    pass
