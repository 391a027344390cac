# SPDX-License-Identifier: GPL-2.0-or-later
"""client - router - server, and the firewalls that stand in one of them.

The strict firewalls drop what they do not know in every hook. Their only concessions are the FTP
control port and, for each way of admission, the one line that this way asks for. Nothing changes
them while pinholed works.
"""

import contextlib
import json

CLIENT, ROUTER, SERVER = "client", "router", "server"
PLACEMENTS = (SERVER, ROUTER, CLIENT)
ADMITS = ("related", "mark")

ADDRESS = {
    (CLIENT, 4): "10.77.1.2",
    (CLIENT, 6): "fd77:1::2",
    (SERVER, 4): "10.77.2.2",
    (SERVER, 6): "fd77:2::2",
}
ROUTER_ADDRESS = {
    (CLIENT, 4): "10.77.1.1",
    (CLIENT, 6): "fd77:1::1",
    (SERVER, 4): "10.77.2.1",
    (SERVER, 6): "fd77:2::1",
}
PREFIX_LENGTH = {4: 24, 6: 64}

CONCESSION = {
    "related": "ct state established,related accept",
    "mark": "ct state established accept\n\t\tct mark & 0x20000000 != 0 accept",
}

ICMP = "icmp type { echo-reply, destination-unreachable, echo-request, time-exceeded } accept"
NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept"


def strict(placement, admit):
    """A default-drop firewall for this place, as text for nft -f."""
    control = "tcp dport 21 ct state new accept"
    ours = {
        SERVER: {"input": control, "output": ""},
        CLIENT: {"input": "", "output": control},
        ROUTER: {"input": "", "output": "", "forward": control},
    }[placement]
    chains = []
    for hook, extra in ours.items():
        loopback = {"input": "iif lo accept", "output": "oif lo accept", "forward": ""}[hook]
        rules = [loopback, "ct state invalid drop", CONCESSION[admit]]
        rules += [ICMP, NEIGHBOURS, extra, "tcp flags syn counter"]
        body = "".join(f"\t\t{rule}\n" for rule in rules if rule)
        chains.append(
            f"\tchain {hook} {{\n"
            f"\t\ttype filter hook {hook} priority filter; policy drop;\n{body}\t}}\n"
        )
    return "table inet strict {\n" + "".join(chains) + "}\n"


OPEN = """table inet open {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state new counter
	}
	chain input {
		type filter hook input priority filter; policy accept;
		ct state new counter
	}
}
"""


class Topology:
    """The three hosts and their two links, IPv4 and IPv6."""

    def __init__(self, lab, word=""):
        self.lab = lab
        self.client = lab.netns(word + CLIENT)
        self.router = lab.netns(word + ROUTER)
        self.server = lab.netns(word + SERVER)
        self.spaces = {CLIENT: self.client, ROUTER: self.router, SERVER: self.server}
        self._link(CLIENT)
        self._link(SERVER)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.router.sysctl(key, 1)
        # A server connects from port 20 to ports that many clients pick at random. When one is picked
        # again within a minute, TIME_WAIT must not stand in the way.
        for ns in (self.client, self.server):
            ns.sysctl("net.ipv4.tcp_tw_reuse", 1)
            with contextlib.suppress(FileNotFoundError):  # Linux 6.14
                ns.sysctl("net.ipv4.tcp_tw_reuse_delay", 1)

    def _link(self, end):
        """One host, its veth pair to the router, its default routes. No DAD: addresses work at once."""
        host, router = self.spaces[end], self.router
        for ns in (host, router):
            ns.sysctl("net.ipv6.conf.default.accept_dad", 0)
        router.sh("ip", "link", "add", end, "type", "veth", "peer", "eth0", "netns", host.name)
        for ns, dev, addresses in ((router, end, ROUTER_ADDRESS), (host, "eth0", ADDRESS)):
            batch = f"link set {dev} up\n"
            for family in (4, 6):
                nodad = "nodad" if family == 6 else ""
                batch += f"address add {addresses[end, family]}/{PREFIX_LENGTH[family]} dev {dev} {nodad}\n"
            ns.sh("ip", "-batch", "-", stdin=batch)
        batch = "".join(f"-{f} route add default via {ROUTER_ADDRESS[end, f]}\n" for f in (4, 6))
        for line in batch.splitlines():
            host.sh("ip", *line.split())

    def firewall(self, placement, text):
        """Puts a rule set in force, in place of any that this file loaded there before."""
        self.clear_firewall(placement)
        self.spaces[placement].sh("nft", "-f", "-", stdin=text)

    def clear_firewall(self, placement):
        self.spaces[placement].sh(
            "nft", "-f", "-", stdin="add table inet strict\ndelete table inet strict\n"
            "add table inet open\ndelete table inet open\n"
        )

    def forget_flows(self):
        """No connection of an earlier case may speak for a later one."""
        for ns in self.spaces.values():
            ns.run(["conntrack", "-F"])

    def dropped(self, placement):
        """SYNs that reached the end of a strict chain there, in all hooks together."""
        listing = json.loads(self.spaces[placement].sh("nft", "-j", "list", "table", "inet", "strict"))
        rules = (item["rule"]["expr"] for item in listing["nftables"] if "rule" in item)
        return sum(e["counter"]["packets"] for expr in rules for e in expr if "counter" in e)
