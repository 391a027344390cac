#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""BFD through strict firewalls with pinholed: on one end, on the router between, on both ends at
once; both ways of admission, every pair of daemons, single hop and multihop, IPv4, IPv6 and
link-local, 300 ms and 50 ms. Each session comes up as fast as without a firewall and stays; what
dies or is disabled is closed, what comes back comes up again."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import time

from lab import bfd, bfdscene, suite, tap
from lab.bfdpkt import Wire
from lab.bfdscene import AT_ONCE, HOLD, MARGIN, Scene
from lab.topology import ADMITS, CLIENT, ROUTER, SERVER

STEADY = 2  # seconds; tests/netns/soak/bfd.t takes longer


def check(t, scenes, what, action):
    """One case a scene, all at work at the same time."""
    for scene, error in zip(scenes, bfdscene.at_once_each(scenes, action)):
        t.explain = scene.log
        with t.case(f"on the {scene.place}, {scene.admit}: {scene.party.name}: {what}"):
            if error:
                raise error


def measure(wire, parties):
    """How long it takes without a firewall."""
    baseline = bfd.Baseline()
    wire.forget()
    bfd.each(parties, bfd.Party.start)
    for party in parties:
        party.wait_up(bfdscene.UP_SECONDS)
        baseline.measure(party)
    return baseline


def says_admin_down(speaker):
    """BIRD falls silent when it is disabled."""
    return speaker.kind != bfd.BIRD


def peers(scene):
    """The hosts whose packets need pinholes."""
    return [host for host in (ROUTER, SERVER) if host in scene.party.speakers]


def disable(scene, host):
    speaker = scene.party.speakers[host]
    last_word = says_admin_down(speaker)
    with scene.closing(host, lambda s: AT_ONCE if last_word else s.detection() + MARGIN):
        speaker.disable()


def enable(scene, host, limit):
    scene.party.speakers[host].enable()
    scene.back_up(host, time.time(), limit)


def kill(scene, host):
    scene.party.wait_up(bfdscene.UP_SECONDS)
    with scene.closing(host, lambda s: s.detection() + MARGIN):
        scene.party.speakers[host].kill()


def revive(scene, host, limit):
    speaker = scene.party.speakers[host]
    speaker.move()
    speaker.start()
    scene.back_up(host, time.time(), limit)


def each_peer(scene, action, *words):
    bfd.raise_first(suite.at_once([lambda h=h: action(scene, h, *words) for h in peers(scene)]))


def all_gone(scene):
    """Both ends die in one moment: nobody sends, so nothing is re-opened."""
    scene.party.wait_up(bfdscene.UP_SECONDS)
    scene.party.stop()
    slowest = max(s.detection() for s in scene.party.sessions)
    scene.nothing_left(slowest + MARGIN)


def ours_gone(scene):
    """The client's daemon dies and its peers go on sending: what they send may not keep the way to it
    open, nor its own way in. A peer that is protected as well goes on waiting for it, that is all."""
    scene.party.speakers[CLIENT].kill()
    scene.nothing_left(max(s.detection() for s in scene.party.sessions) + HOLD + MARGIN, of=CLIENT)


def moved(scene, limit):
    """Cumulus ptmd on another source port in the middle of a session."""
    scene.party.speakers[CLIENT].tell("move")
    before = time.time()
    detection = max(s.detection() for s in scene.party.sessions)
    for session in scene.party.sessions:
        bfdscene.poll.until(
            lambda s=session: s.up() and len(s.flow(CLIENT).ports) > 1, lambda s=session: f"{s}: Up again",
            detection + limit + HOLD,
        )  # fmt: skip
    tap.true(time.time() - before <= detection + limit + HOLD, "too late")


def life(t, wire, scenes, baseline):
    # With `related` one packet of the peer is lost, so it may take one more of its slow intervals, which
    # is a second, and two with ptmd.
    limits = {
        scene: baseline.limit(scene.party) + max(MARGIN, scene.party.slow() if scene.admit == "related" else 0)
        for scene in scenes
    }
    check(t, scenes, "pinholed and the daemons start", Scene.begin)
    check(t, scenes, "Up as fast as without a firewall", lambda s: s.up_in_time(limits[s]))
    check(t, scenes, "one pinhole a direction, at the peer's port", Scene.listed)
    check(t, scenes, f"Up for {STEADY} s with no flap", lambda s: s.steady(STEADY))
    if scenes[0].place != "router":
        check(t, scenes, "strangers and packets from afar are dropped", Scene.strangers_blocked)
    check(t, scenes, "peer disabled: closed", lambda s: each_peer(s, disable))
    check(t, scenes, "peer enabled: Up again", lambda s: each_peer(s, enable, limits[s]))
    check(t, scenes, "peer killed: closed in detection time", lambda s: each_peer(s, kill))
    check(t, scenes, "peer restarted on other ports: Up again", lambda s: each_peer(s, revive, limits[s]))
    if scenes[0].place == "both ends":
        ptm = [s for s in scenes if s.party.speakers[CLIENT].kind == bfd.PTM]
        check(t, ptm, "other ports in the middle of it: Up again", lambda s: moved(s, limits[s]))
        check(t, scenes, "all killed: nothing stays open", all_gone)
    else:
        check(t, scenes, "our own daemon killed: nothing stays open", ours_gone)
    for scene in scenes:
        scene.end()
    wire.forget()


with suite.laboratory() as (t, lab, _):
    here = bfd.pairs(t)
    with Wire() as wire:
        parties = bfd.parties(lab, wire, here)
        if (bfd.FRR, bfd.FRR) in here:
            parties.append(bfd.echo_party(lab, wire))
        baseline = measure(wire, parties)
        for line in baseline.lines():
            t.say(line)
        for place in bfdscene.PLACES:
            for admit in ADMITS:
                scenes = [Scene(lab, party, place, admit) for party in parties]
                wire.forget()
                if scenes:
                    life(t, wire, scenes, baseline)
