# SPDX-License-Identifier: GPL-2.0-or-later
"""Parties behind strict firewalls with pinholed beside each: what the matrix and the long run share."""

import contextlib
import re
import time

from . import bfd, poll, suite, tap
from .bfdpkt import ECHO, INIT, Forger, Packet
from .topology import CLIENT, ROUTER, SERVER

# Where firewalls and pinholed are. On the router they stand between the ends of the multihop
# sessions, and the router is itself an end of the others.
PLACES = {"client": (CLIENT,), "router": (ROUTER,), "both ends": (CLIENT, ROUTER, SERVER)}
UP_SECONDS = 10
AT_ONCE = 0.5  # seconds: a copy by NFLOG, one transaction, and other programs on the same CPUs
MARGIN = 1.0
# Without a session that is Up a pinhole waits for a peer's next packets for a while: 5 s, or three
# of ptmd's intervals of 2 s.
HOLD = 6.0


class Scene:
    """One party, its firewalls, its daemons."""

    def __init__(self, lab, party, place, admit, extra=()):
        self.lab, self.party, self.place, self.admit = lab, party, place, admit
        self.hosts = PLACES[place]
        self.extra = extra
        self.daemons = {}

    def begin(self):
        """Firewalls and daemons first, then the speakers, all of them new."""
        self.party.stop()
        for host in self.hosts:
            # With both ends protected the router is an end, and not between the others.
            forward = host != ROUTER or self.place == "router"
            rules = bfd.strict(host, self.admit, forward=forward, extra=self.extra)
            self.party.net.firewall(host, rules)
        self.party.net.forget_flows()
        for host in self.hosts:
            ns = self.party.net.spaces[host]
            name = f"pinholed-{ns.name}-{self.admit}"
            self.daemons[host] = bfd.pinholed(self.lab, ns, self.admit, name)
            self.daemons[host].start()
        self.party.start()

    def end(self):
        self.party.stop()
        for host, daemon in self.daemons.items():
            if daemon.process.running():
                daemon.kill()
            self.party.net.clear_firewall(host)

    def log(self):
        logs = "".join(f"--- {host}\n{daemon.log()[-6000:]}" for host, daemon in self.daemons.items())
        return self.party.log() + logs

    def protected(self, session):
        """[(daemon, source host, target host), ...]: the directions of this session that need a
        pinhole, and whose daemon has to open it."""
        found = []
        for host, daemon in self.daemons.items():
            if host in session.hosts():
                other = next(h for h in session.hosts() if h != host)
                found.append((daemon, other, host))
            elif host == ROUTER and session.multihop and self.place == "router":
                found.append((daemon, SERVER, CLIENT))
        return found

    def directions(self):
        """(session, daemon, source, target) of all sessions, source and target as (host, ...)."""
        for session in self.party.sessions:
            ends = {session.a[0]: session.a, session.b[0]: session.b}
            for daemon, source, target in self.protected(session):
                yield session, daemon, ends[source], ends[target]

    def pinholes(self, session, daemon, source, target, state=None):
        return [
            p for p in daemon.bfd(source[3], target[3])
            if p["dport"] == session.port and state in (None, p["state"])
        ]  # fmt: skip

    # --- what must be so ---

    def up_in_time(self, limit):
        """Up as fast as without a firewall, and one second."""
        self.party.wait_up(UP_SECONDS)
        for session in self.party.sessions:
            took = session.time_to_up()
            tap.true(took <= limit, f"took {took:.3f} s, not {limit:.3f}: {session}")
        self.party.agree()

    def listed(self):
        """One bound pinhole for each direction that needs one, at the port that the peer uses, out of
        the sets; and nothing of anybody else."""

        def all_bound():
            return all(self.pinholes(*d, state="bound") for d in self.directions())

        poll.until(all_bound, lambda: f"all to be bound: {[d.pinholes() for d in self.daemons.values()]}")
        expected = {}
        for session, daemon, source, target in self.directions():
            found = self.pinholes(session, daemon, source, target)
            port = session.flow(source[0]).ports[-1]
            tap.equal([(p["state"], p["proto"], p["sport"]) for p in found], [("bound", "udp", port)],
                      f"pinholes of {session.name} on {daemon.ns.name}")  # fmt: skip
            expected.setdefault(daemon, set()).add((source[3], target[3], session.port))
        for daemon, known in expected.items():
            # Echo goes to itself over IPv4, to the other over IPv6. FRR says that it loops it even
            # where it sends none.
            either = known | {(b, a, port) for a, b, port in known}
            either |= {(a, other, ECHO) for x, y, _ in known for a in (x, y) for other in (x, y)}
            # On a router that forwards everything nobody needs one, and yet: with `mark` the kernel
            # has marked the flow before the filter that is not there, and with `related` our entry
            # in conntrack may be there before the packet's own.
            for x in self.party.sessions:
                if x.multihop:
                    either |= {(x.a[3], x.b[3], x.port), (x.b[3], x.a[3], x.port)}
            for p in daemon.pinholes():
                tap.true((p["src"], p["dst"], p["dport"]) in either, f"whose is this? {p}")
            poll.until(
                lambda: len(daemon.in_kernel()) == sum(p["state"] == "open" for p in daemon.pinholes()),
                lambda: f"an element for each that waits, and no other: {daemon.in_kernel()} {daemon.pinholes()}",
            )  # fmt: skip

    def steady(self, seconds):
        """Up with no flap, as long as this takes, in what is sent as in the daemons' own books."""
        before, own = self.party.downs(), self.own_downs()
        poll.stays(
            lambda: self.party.downs() == before and all(s.up() for s in self.party.sessions),
            f"all sessions of {self.party.name} Up", seconds,
        )  # fmt: skip
        if self.party.sessions[0].echo:
            self.party.wait_echoes(10)
        tap.equal(self.own_downs(), own, "sessions that were Up and went down, say the daemons")

    def own_downs(self):
        return [
            self.party.speakers[host].downs(session.neighbor(host))
            for session in self.party.sessions for host in session.hosts()
        ]  # fmt: skip

    @contextlib.contextmanager
    def closing(self, host, deadline):
        """Within the block, this host does something. Each pinhole that is bound to its packets is
        closed not later than deadline(session) seconds after that."""
        concerned = [d for d in self.directions() if host in d[0].hosts()]
        with contextlib.ExitStack() as stack:
            daemons = {d[1] for d in concerned}
            watches = {daemon: stack.enter_context(daemon.watching()) for daemon in daemons}
            ids = [[p["id"] for p in self.pinholes(*d, state="bound")] for d in concerned]
            start = time.time()
            yield
            for (session, daemon, source, target), those in zip(concerned, ids):
                tap.equal(len(those), 1, f"bound before: {session.name}")
                seconds = deadline(session)
                told = watches[daemon].wait(
                    "close", seconds + 5, src=source[3], dst=target[3], dport=session.port
                )
                took = told - start
                tap.true(took <= seconds, f"closed after {took:.3f} s, not {seconds}: {session}")
                still = [p["id"] for p in self.pinholes(session, daemon, source, target, "bound")]
                tap.true(those[0] not in still, f"told as closed, listed as bound: {session.name}")

    def nothing_left(self, seconds, of=None):
        """Nobody has a reason any more, so nothing is open: nothing at all, or nothing for sessions of
        this host's side, and nothing in use."""
        ends = [end for s in self.party.sessions for end in (s.a, s.b)]
        addresses = {end[3] for end in ends if of in (None, end[0])}

        def left(daemon):
            found = daemon.pinholes()
            return [p for p in found if p["state"] == "bound" or p["session"]["src"] in addresses]

        for daemon in self.daemons.values():
            poll.until(lambda d=daemon: not left(d), lambda d=daemon: f"nothing to be left: {left(d)}", seconds)

    def back_up(self, host, since, limit):
        """Up again, counted from the first word of this host's daemon since then."""
        concerned = [s for s in self.party.sessions if host in s.hosts()]
        for session in concerned:
            def again(s=session):
                # The other side may still be Up from before; this one has to have come up anew.
                return s.up() and s.flow(host).since() >= since - 0.1

            poll.until(again, lambda s=session: f"{s} to be Up again", UP_SECONDS)
            # Some wait a second before they say anything at all.
            spoke = session.flow(host).spoke(since)
            took = max(f.since() for f in session.flows()) - spoke
            tap.true(took <= limit, f"took {took:.3f} s, not {limit:.3f}: {session}")

    def dropped(self, host):
        """By the firewall, or by pinholed's own rules for what has come from too far."""
        own = re.findall(r"counter packets (\d+) bytes \d+ drop", self.daemons[host].table())
        return self.party.net.dropped(host) + sum(map(int, own))

    def strangers_blocked(self):
        """What is not the peer's own packet is dropped, while the peer's come through: from another
        address, and over one hop from one who is more than one hop away."""
        for session in self.party.sessions:
            if session.multihop or CLIENT not in self.daemons:
                continue
            _, router, device, peer = session.b
            victim = session.a[3]
            stranger = peer[:-1] + ("9" if peer[-1] != "9" else "8")
            flow = session.flow(session.b[0])
            port, packet = flow.ports[-1], Packet(state=INIT, my=99)
            with Forger(router, device, session.a[1:3]) as forger:
                for source, ttl, what in ((stranger, 255, "a stranger"), (peer, 254, "TTL 254")):
                    before = self.dropped(CLIENT)
                    forger.send(source, victim, port, packet, ttl=ttl)
                    poll.until(
                        lambda: self.dropped(CLIENT) > before,
                        f"{what}'s packet to be dropped, {session.name}",
                    )


def at_once_each(scenes, action):
    """[exception or None, ...]: this for all scenes side by side."""
    return suite.at_once([lambda s=s: action(s) for s in scenes], workers=max(1, len(scenes)))
