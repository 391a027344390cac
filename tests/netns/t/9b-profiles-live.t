#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""What profiles leave to pinholed, with real servers, over IPv4 and IPv6, in both ways of admission:
FTP and NFS on a Qumulo host, TFTP, NFS and rsh on an xCAT management node, BFD on a Cumulus switch.
Without pinholed none of it works, with it all of it does; `pinholectl` tells of each pinhole, and
nobody but its own peer gets through it."""

import contextlib
import ftplib
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lab import bfd, bfdscene, clients, nfs, poll, rsh, servers, suite, tap, tftp
from lab import profile as profiles
from lab.bfdpkt import INIT, Forger, Packet, Wire
from lab.dialogue import FAMILY, connected, receive
from lab.topology import ADDRESS, ADMITS, CLIENT, SERVER

FAMILIES = (4, 6)
PEER = [ADDRESS[CLIENT, f] for f in FAMILIES]
PASSIVE_RANGE = range(32768, 61000)
SHORT = 2  # seconds that something which must fail has to try


# --- helpers ------------------------------------------------------------------------------------


def each(t, name, jobs):
    """One case for each of {what: action}, all at once."""
    for what, error in zip(jobs, suite.at_once(list(jobs.values()), workers=max(1, len(jobs)))):
        with t.case(f"{name}: {what}"):
            if error:
                raise error


def fails(action):
    def attempt():
        try:
            action()
        except (tap.Failure, OSError, poll.Timeout):
            return
        raise tap.Failure("it worked")

    return attempt


def in_force(ns):
    return ns.sh("nft", "-s", "list", "table", "inet", "strict")


@contextlib.contextmanager
def under(t, net, name, text):
    """The profile is in force on the server, as it was written, from the beginning to the end."""
    net.firewall(SERVER, text)
    net.forget_flows()
    before = in_force(net.server)
    yield
    with t.case(f"{name}: the profile is what it was"):
        tap.equal(in_force(net.server), before)
    net.clear_firewall(SERVER)


def told(daemon, proto, address, port, service):
    """`list` has it, and `why` names the service and the session that it belongs to."""
    found = [p for p in daemon.pinholes() if (p["dst"], p["dport"], p["proto"]) == (address, port, proto)]
    tap.true(found, f"no pinhole for {proto} {address} {port}: {daemon.pinholes()}")
    tap.equal({p["service"] for p in found}, {service})
    tap.contains(daemon.ctl("list"), str(port))
    said = daemon.ctl("why", address, port)
    tap.contains(said, f"{service} session #")
    tap.contains(said, str(port))
    return found[0]


def shut_for_others(net, family, address, port):
    """Somebody beside the peer knocks at what is open for the peer."""
    with profiles.Gauge(net.server, nfs.OTHER[family], "tcp", port) as gauge:
        with nfs.start_from(net.client, family, nfs.OTHER[family], address, port) as flow:
            gauge.dropped()
            tap.true(not connected(flow, 0), "somebody else got through")


# --- Qumulo -------------------------------------------------------------------------------------


def ftp_waits(net, daemon, family):
    """A client that has been told a port, and takes its time."""
    server = ADDRESS[SERVER, family]
    ftp = ftplib.FTP(timeout=10)
    with net.client.entered():
        ftp.connect(server)
    try:
        ftp.login()
        reply = ftp.sendcmd("EPSV")
        port = int(reply.split("|")[-2])
        tap.true(port in PASSIVE_RANGE, reply)
        pinhole = told(daemon, "tcp", server, port, "ftp")
        tap.equal((pinhole["src"], pinhole["state"]), (ADDRESS[CLIENT, family], "open"))
        tap.contains(daemon.ctl("why", server, port), "229 Entering Extended Passive Mode")
        shut_for_others(net, family, server, port)
        with nfs.start_from(net.client, family, ADDRESS[CLIENT, family], server, port) as data:
            tap.true(connected(data, 5), "its own client does not get through")
            ftp.sendcmd("TYPE I")
            ftp.sendcmd("RETR data")
            tap.true(receive(data, len(servers.DATA)) == servers.DATA, "it got something else")
    finally:
        ftp.close()


def mount_told(net, daemon, rpcbind, family):
    server = ADDRESS[SERVER, family]
    port = rpcbind.port(nfs.MOUNTD, 3, "tcp", family)
    pinhole = told(daemon, "tcp", server, port, "sunrpc")
    tap.equal((pinhole["src"], pinhole["program_name"]), (ADDRESS[CLIENT, family], "mountd"))
    shut_for_others(net, family, server, port)


def qumulo(t, lab, net, vsftpd, rpcbind, ganesha):
    text = profiles.render("qumulo-onprem", {"clients": PEER})
    curl = clients.Curl(lab, net.client, suite.SERVER_ADDRESS)
    mounts = nfs.NfsClient(lab, net.client, suite.SERVER_ADDRESS)
    asking = nfs.listers(net.client, suite.SERVER_ADDRESS)[0]
    transfers = {
        f"FTP, {verb} over IPv{family}": lambda m=(family, verb): curl.transfer(m, "download", vsftpd.site)
        for family, verb in clients.PASSIVE
    }
    with under(t, net, "Qumulo, no pinholed", text):
        each(t, "Qumulo, no pinholed", {
            **{f"no {what}, though one can log in":
               lambda m=mode: tap.true(curl.fails(m, "download"), "it worked")
               for what, mode in zip(transfers, clients.PASSIVE)},
            **{f"no mount over IPv{f}": fails(lambda f=f: mounts.list(f, seconds=SHORT)) for f in FAMILIES},
            **{f"rpcbind may be asked over IPv{f}": lambda f=f: asking.run(f) for f in FAMILIES},
        })  # fmt: skip
    for admit in ADMITS:
        name = f"Qumulo, {admit}"
        with under(t, net, name, text), nfs.pinholed(
            lab, net.server, admit, f"qumulo-{admit}", local_rpcbind=True
        ) as daemon:
            t.explain = daemon.log
            each(t, name, {
                **transfers,
                **{f"FTP, upload and listing over IPv{f}": lambda f=f: [
                    curl.transfer((f, "EPSV"), op, vsftpd.site) for op in ("upload", "list")]
                   for f in FAMILIES},
                **{f"NFS, listed, read and written over IPv{f}": lambda f=f: [
                    mounts.list(f), mounts.read(f), mounts.write(ganesha.local, f)] for f in FAMILIES},
            })  # fmt: skip
            for family in FAMILIES:
                with t.case(f"{name}: FTP, an open pinhole is told of, and is its client's alone, IPv{family}"):
                    ftp_waits(net, daemon, family)
                with t.case(f"{name}: NFS, mountd's pinhole is told of, and is its client's alone, IPv{family}"):
                    mount_told(net, daemon, rpcbind, family)
            with t.case(f"{name}: mountd comes back on another port"):
                ganesha.restart()
                for family in FAMILIES:
                    mounts.list(family)
                    mounts.read(family)
            with t.case(f"{name}: pinholed ends, and its pinholes with it"):
                tap.equal(daemon.stop(), 0, daemon.log())
                tap.true(daemon.table() is None, "table inet pinholed is still there")
        t.explain = None


# --- xCAT ---------------------------------------------------------------------------------------


class Boot:
    """What a node of a management node does, and what is done to it."""

    def __init__(self, lab, net):
        self.net = net
        self.tftpd = tftp.Tftpd(lab, net.server)
        node, management = ({f: ADDRESS[host, f] for f in FAMILIES} for host in (CLIENT, SERVER))
        if not rsh.absent():
            self.rshd = rsh.servers(lab, net.client, {management[f]: f"management{f}" for f in FAMILIES})
        self.node, self.management = node, management
        self.mounts = nfs.NfsClient(lab, net.client, management)
        self.clients = [tftp.Curl(lab, net.client, management), tftp.TftpHpa(lab, net.client, management)]
        self.orders = [kind(net.server, node) for kind in (rsh.RshRedone, rsh.Rcmd)]

    def boots(self, family, seconds=10):
        with tftp.Rom(self.net.client, family, self.node[family], self.management[family]) as rom:
            rom.size("data", seconds)
            tap.true(rom.read("data", seconds) == tftp.DATA, "the loader is not the file")

    def fetches(self, family, seconds=10):
        for client in self.clients:
            tap.true(client.get(family, seconds=seconds).stdout == tftp.DATA, f"not with {client.name}")

    def installs(self, family, seconds=10):
        self.mounts.list(family, seconds=seconds)
        self.mounts.read(family, seconds=seconds)

    def is_driven(self, family, seconds=10):
        for client in self.orders:
            client.works(family, seconds)

    STEPS = {"boots": boots, "fetches files": fetches, "installs": installs}
    if not rsh.absent():
        STEPS["is driven"] = is_driven

    def jobs(self, seconds):
        return {
            f"a node {what}, IPv{f}": lambda s=step, f=f: s(self, f, seconds)
            for what, step in self.STEPS.items() for f in FAMILIES
        }  # fmt: skip

    def nobody_elses(self, daemon, family):
        """A boot ROM has asked for a file that comes late: from its server, to it, and to nobody else."""
        rom_port = tftp.ROM_PORT + family
        other = nfs.OTHER[family]
        with self.net.server.socket(FAMILY[family], socket.SOCK_DGRAM) as server:
            server.bind((self.management[family], 0))
            with tftp.Rom(self.net.client, family, self.node[family], self.management[family], rom_port) as rom:
                self.tftpd.signal(signal.SIGSTOP)  # the real one is too quick
                try:
                    rom.ask("data")
                    poll.until(lambda: daemon.pinholes("open"), "the pinhole")
                    pinhole = told(daemon, "udp", self.node[family], rom_port, "tftp")
                    tap.equal(pinhole["src"], self.management[family])
                    for wrong in ((other, rom_port), (self.node[family], rom_port + 1)):
                        try:
                            server.sendto(b"\0\3\0\1late", wrong)
                        except PermissionError:
                            continue
                        raise tap.Failure(f"the server may send to {wrong}")
                    server.sendto(b"\0\3\0\1late", (self.node[family], rom_port))
                    tap.equal(rom.packet(5)[2], b"late")
                finally:
                    self.tftpd.signal(signal.SIGCONT)


def xcat(t, lab, net, rpcbind, ganesha):
    if why := rsh.absent():
        t.skip("xCAT: a node is driven", why)
    boot = Boot(lab, net)
    # The document has rpcbind over UDP alone; libnfs asks it over TCP, as Linux does.
    text = profiles.render("xcat-management", {"nodes": PEER, "also_in_tcp": ["111"]}, on=("nfs", "rsh"))
    with under(t, net, "xCAT, no pinholed", text):
        each(t, "xCAT, no pinholed", {f"not so: {what}": fails(job) for what, job in boot.jobs(SHORT).items()})
    if not rsh.absent():
        boot.rshd.settle()
    for admit in ADMITS:
        name = f"xCAT, {admit}"
        daemon = tftp.BootDaemon(
            lab, net.server, admit, f"xcat-{admit}", more=nfs.service(local_rpcbind=True)
        )
        with under(t, net, name, text), daemon:
            t.explain = daemon.log
            each(t, name, boot.jobs(10))
            for family in FAMILIES:
                with t.case(f"{name}: TFTP, an open pinhole is told of, and is its node's alone, IPv{family}"):
                    boot.nobody_elses(daemon, family)
                with t.case(f"{name}: NFS, mountd's pinhole is told of, and is its node's alone, IPv{family}"):
                    mount_told(net, daemon, rpcbind, family)
            with t.case(f"{name}: mountd comes back on another port"):
                ganesha.restart()
                boot.installs(4)
                boot.installs(6)
        t.explain = None


# --- Cumulus ------------------------------------------------------------------------------------


class Switch:
    """The client of a party is the switch; its neighbours are the router and, over it, the server."""

    def __init__(self, lab, party, admit):
        self.lab, self.party, self.admit = lab, party, admit
        self.scene = bfdscene.Scene(lab, party, "client", admit)
        self.name = f"Cumulus, {party.name}, {admit}"
        self.daemon = None

    def strict(self):
        self.party.net.firewall(CLIENT, profiles.render("cumulus-switch"))
        self.party.net.forget_flows()
        self.before = in_force(self.party.net.client)

    def stays_down(self):
        """Its neighbours have tried, more than once."""
        for s in self.party.sessions:
            poll.until(lambda s=s: s.flow(s.b[0]).packets >= 3 and s.flow(CLIENT).packets >= 3,
                       lambda s=s: f"both sides to try: {s}", 20)  # fmt: skip
        for s in self.party.sessions:
            tap.true(not s.ever_up(), f"is Up: {s}")

    def watched(self):
        ns = self.party.net.client
        self.daemon = bfd.pinholed(self.lab, ns, self.admit, f"pinholed-{ns.name}-{self.admit}")
        self.scene.daemons[CLIENT] = self.daemon
        self.daemon.start()
        self.party.wait_up(30)
        self.party.agree()

    def stays_up(self):
        self.party.wait_steady(1.5, 30)

    def told(self):
        self.scene.listed()
        for s in self.party.sessions:
            told(self.daemon, "udp", s.a[3], s.port, "bfd")

    def nobody_elses(self):
        for s in self.party.sessions:
            if s.multihop:
                continue
            router, device, peer = s.b[1:]
            stranger = peer[:-1] + ("9" if peer[-1] != "9" else "8")
            with profiles.Gauge(s.a[1], stranger, "udp", s.port) as gauge:
                with Forger(router, device, s.a[1:3]) as forger:
                    forger.send(stranger, s.a[3], s.flow(s.b[0]).ports[-1], Packet(state=INIT, my=99))
                gauge.dropped()

    def unchanged(self):
        tap.equal(in_force(self.party.net.client), self.before)

    def end(self):
        self.party.stop()
        if self.daemon and self.daemon.process.running():
            self.daemon.kill()


def cumulus(t, lab):
    here = [p for p in bfd.pairs(t) if p in ((bfd.PTM, bfd.BIRD), (bfd.FRR, bfd.FRR))]
    with Wire() as wire:
        switches = [
            Switch(lab, bfd.Party(lab, wire, f"{a}{b}{admit}".lower(), (a, b), 300), admit)
            for a, b in here for admit in ADMITS
        ]  # fmt: skip
        bfd.raise_first(suite.at_once([lambda s=s: [s.strict(), s.party.start()] for s in switches]))
        for what, action in (
            ("no pinholed: no session comes up", Switch.stays_down),
            ("pinholed starts: every session comes up", Switch.watched),
            ("all stay up", Switch.stays_up),
            ("a pinhole for each direction that needs one, and why", Switch.told),
            ("a stranger's packets are dropped", Switch.nobody_elses),
            ("the profile is what it was", Switch.unchanged),
        ):
            errors = suite.at_once([lambda s=s: action(s) for s in switches])
            for switch, error in zip(switches, errors):
                t.explain = switch.scene.log
                with t.case(f"{switch.name}: {what}"):
                    if error:
                        raise error
        for switch in switches:
            switch.end()


nfs.require()
tftp.require()
with suite.laboratory() as (t, lab, net):
    nfs.add_other_client(net)
    rpcbind = nfs.Rpcbind(lab, net.server)
    ganesha = nfs.Ganesha(lab, rpcbind)
    vsftpd = servers.vsftpd(lab, net.server)
    qumulo(t, lab, net, vsftpd, rpcbind, ganesha)
    xcat(t, lab, net, rpcbind, ganesha)
    cumulus(t, lab)
