#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of RPC mappings: servers that move, clients that rest and come back, rpcbind gone and
back, the daemon killed. The scenes wait more than they work, so they run side by side, each on hosts
of its own."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import concurrent.futures
import contextlib
import json
import signal
import time

from lab import nfs, oncrpc, poll, suite, tap, topology
from lab.dialogue import connected, receive, start_connect
from lab.nfs import MOUNTD, NFS, NLOCKMGR, OTHER, STATUS
from lab.oncrpc import Client, Registration, Service
from lab.topology import ADDRESS, CLIENT, ROUTER, SERVER

LINGER, TTL = 1, 3  # seconds
UNLISTED = 100007  # ypbind
WATCHED = 8  # seconds in which the local rpcbind's news must have been acted on


class Recorder:
    """The cases of one scene, to be told in one piece when it is over."""

    def __init__(self):
        self.results = []
        self.explain = None

    @contextlib.contextmanager
    def case(self, name):
        try:
            yield
        except Exception as e:
            self.results.append((name, e, self.explain() if self.explain else ""))
        else:
            self.results.append((name, None, ""))

    def tell(self, t):
        for name, error, log in self.results:
            t.explain = lambda log=log: log
            with t.case(name):
                if error:
                    raise error


class Scene:
    def __init__(self, lab, place, admit, family):
        self.t = Recorder()
        self.lab, self.place, self.admit, self.family = lab, place, admit, family
        self.name = f"on the {place}, {admit}, IPv{family}"
        self.net = topology.Topology(lab, f"{place[0]}{admit[0]}-")
        nfs.add_other_client(self.net)
        self.net.firewall(place, nfs.strict(place, admit))
        self.client_address, self.server_address = ADDRESS[CLIENT, family], ADDRESS[SERVER, family]
        self.client = Client(self.net.client, family)
        self.rpcbind = nfs.Rpcbind(lab, self.net.server)
        self.daemons = 0
        self.daemon = None

    def case(self, name):
        return self.t.case(f"{self.name}: {name}")

    @contextlib.contextmanager
    def pinholed(self, **options):
        """A daemon that knows nothing of those before it."""
        options = {"linger": LINGER, "mapping_ttl": TTL, **options}
        self.daemons += 1
        ns = self.net.spaces[self.place]
        name = f"pinholed-{ns.name}-{self.daemons}"
        with nfs.pinholed(self.lab, ns, self.admit, name, **options) as self.daemon:
            self.t.explain = self.daemon.log
            yield self.daemon
            with self.case("the daemon ends well"):
                tap.true(self.daemon.process.running(), "it has ended before")
                tap.equal(self.daemon.stop(), 0, "exit status")
        self.net.forget_flows()

    def mapping(self, program, proto, port):
        return (self.client_address, self.server_address, proto, port, program)

    def ports(self, program, proto="tcp", state="open"):
        """Where this program is open for the client, in the list and in the kernel alike."""
        mine = {m for m in self.daemon.mappings(state) if m[:3] == self.mapping(0, proto, 0)[:3]}
        listed = {m[3] for m in mine if m[4] == program}
        if state == "open":
            missing = nfs.kernel_keys(mine) - self.daemon.in_kernel()
            tap.equal(missing, set(), "listed as open, but not in the kernel")
        return listed

    def wait_ports(self, program, wanted, proto="tcp", state="open", seconds=5.0):
        def there():
            return {m[3] for m in self.daemon.mappings(state)
                    if m[:3] == self.mapping(0, proto, 0)[:3] and m[4] == program} == wanted  # fmt: skip

        poll.until(there, lambda: f"{state} {wanted}; there are {self.daemon.mappings(state)}", seconds, 0.03)

    def blocked(self, port, source=None, proto="tcp"):
        """What the client sends there ends at the firewall."""
        before = self.net.dropped(self.place)
        if proto == "udp":
            with oncrpc.datagrams(self.net.client, self.family, self.client_address) as sock:
                with contextlib.suppress(PermissionError):
                    sock.sendto(b"x", (self.server_address, port))
                poll.until(lambda: self.net.dropped(self.place) > before, "it to be dropped")
            return
        source = source or self.client_address
        with nfs.start_from(self.net.client, self.family, source, self.server_address, port) as sock:
            poll.until(lambda: self.net.dropped(self.place) > before, "the SYN to be dropped")
            tap.true(not connected(sock, 0), "it got through")

    def refused(self, port):
        """A new connection there is turned down at once; silence would be a timeout."""
        try:
            self.client.connect(port, seconds=3).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return
        except OSError as e:
            raise tap.Failure(f"no reset from port {port}, but {e!r}") from None
        raise tap.Failure(f"connected to port {port}")

    def service(self, port=0):
        return Service(self.net.server, self.family, self.server_address, port)

    @contextlib.contextmanager
    def joined(self, service, source=None):
        """A connection to one of our services, and its other end; both are closed at the end."""
        client = Client(self.net.client, self.family, source or self.client_address, self.server_address)
        with client.connect(service.port) as flow, service.stream.accept()[0] as far:
            yield flow, far

    @contextlib.contextmanager
    def mounted(self, nfsd, source=None):
        """A connection to 2049 that is quite gone afterwards. For conntrack it would be a flow for two
        minutes more (TIME_WAIT)."""
        source = source or self.client_address
        with self.joined(nfsd, source) as pair:
            yield pair
        self.net.spaces[self.place].run(
            ["conntrack", "-D", "-p", "tcp", "-s", source, "--dport", str(nfsd.port)]
        )

    def works(self, service):
        with self.joined(service) as (flow, far):
            passes(flow, far)

    def register(self, program, service, version=3, proto="tcp"):
        return Registration(self.rpcbind, program, version, proto, service.port, self.family)


def passes(flow, far):
    for source, target in ((flow, far), (far, flow)):
        source.sendall(b"still here")
        tap.equal(receive(target, 10), b"still here")


def is_reset(flow, seconds=3):
    """The next thing that is sent is answered by a reset."""
    flow.settimeout(seconds)
    try:
        flow.sendall(b"hello?")
        got = flow.recv(100)
    except (ConnectionResetError, BrokenPipeError):
        return
    except TimeoutError:
        raise tap.Failure("no reset, but silence") from None
    raise tap.Failure(f"no reset, but {got!r}")


# --- nfs-ganesha moves at each start ---


def ganesha_moves(s):
    ganesha = nfs.Ganesha(s.lab, s.rpcbind)
    nfs_client = nfs.NfsClient(s.lab, s.net.client, suite.SERVER_ADDRESS)
    for kill in (False, True):
        word = "killed and started" if kill else "restarted"
        with s.case(f"ganesha {word}: the next GETPORT opens the new port and closes the old"):
            with contextlib.ExitStack() as live:
                live.enter_context(s.client.connect(nfs.NFS_PORT))
                old = s.client.getport(MOUNTD, 3, "tcp")
                tap.equal(s.ports(MOUNTD), {old})
                s.client.call(old, "tcp", MOUNTD, 3)
                ganesha.restart(kill)
                live.enter_context(s.client.connect(nfs.NFS_PORT))
                tap.equal(s.ports(MOUNTD), {old}, "before anybody asked")
                new = s.client.getport(MOUNTD, 3, "tcp")
                tap.true(new != old, "ganesha has not moved")
                tap.equal(s.ports(MOUNTD), {new})
                s.client.call(new, "tcp", MOUNTD, 3)
                s.refused(old)
        with s.case(f"ganesha {word}: real clients go on"):
            nfs_client.list(s.family)
            nfs_client.write(ganesha.local, s.family)
    for proto in nfs.protos():
        with s.case(f"rpcbind restarted: what is open stays open; a {proto} call and a new question work"):
            with s.client.connect(nfs.NFS_PORT):
                port = s.client.getport(NLOCKMGR, 4, proto)
                s.client.call(port, proto, NLOCKMGR, 4)
                s.rpcbind.stop()
                tap.equal(s.ports(NLOCKMGR, proto), {port})
                s.client.call(port, proto, NLOCKMGR, 4)
                s.rpcbind.start()
                tap.equal(s.client.getport(NLOCKMGR, 4, proto), port)
                s.client.call(port, proto, NLOCKMGR, 4)
                nfs_client.read(s.family)
    ganesha.stop()


# --- programs of our own, that move when we want ---


def moves(s):
    with s.service() as first, s.service() as second, s.service(nfs.NFS_PORT) as nfsd:
        mountd = s.register(MOUNTD, first)
        with s.case("mountd moved: its flow is reset, new ones to the old port are refused, no silence"):
            with s.joined(nfsd) as (live, live_far):
                tap.equal(s.client.getport(MOUNTD, 3, "tcp"), first.port)
                with s.joined(first) as (flow, far):
                    passes(flow, far)
                    mountd.move(second.port)
                    passes(flow, far)
                    tap.equal(s.client.getport(MOUNTD, 3, "tcp"), second.port)
                    tap.equal(s.ports(MOUNTD), {second.port})
                    is_reset(flow)
                    s.refused(first.port)
                s.works(second)
                passes(live, live_far)
                s.blocked(first.port, source=OTHER[s.family])
        with s.case("moved back: the old port works again at once"):
            with s.joined(nfsd):
                mountd.move(first.port)
                tap.equal(s.client.getport(MOUNTD, 3, "tcp"), first.port)
                s.works(first)
                s.refused(second.port)
        mountd.unset()
        moved_datagrams(s, first, second, nfsd)
        server = s.register(NFS, nfsd)
        with s.case("NFS moved away from 2049: what the firewall itself passes is not refused"):
            with s.joined(nfsd) as (flow, far):
                tap.equal(s.client.getport(NFS, 3, "tcp"), nfsd.port)
                s.works(nfsd)
                server.move(second.port)
                tap.equal(s.client.getport(NFS, 3, "tcp"), second.port)
                tap.equal(s.ports(NFS), {second.port})
                passes(flow, far)
                s.works(nfsd)
                s.works(second)
        server.unset()


def moved_datagrams(s, first, second, nfsd):
    status = s.register(STATUS, first, 1, "udp")
    with s.case("a program moved that is called by datagrams: the old port is shut, even to its old flow"):
        with (
            s.joined(nfsd),
            oncrpc.datagrams(s.net.client, s.family, s.client_address) as sock,
        ):
            tap.equal(s.client.getport(STATUS, 1, "udp"), first.port)
            sock.sendto(b"one", (s.server_address, first.port))
            data, peer = first.dgram.recvfrom(100)
            first.dgram.sendto(b"two", peer)
            tap.equal((data, sock.recv(100)), (b"one", b"two"))
            status.move(second.port)
            tap.equal(s.client.getport(STATUS, 1, "udp"), second.port)
            tap.equal(s.ports(STATUS, "udp"), {second.port})
            s.blocked(first.port, proto="udp")
            before = s.net.dropped(s.place)
            with contextlib.suppress(PermissionError):
                sock.sendto(b"three", (s.server_address, first.port))
            poll.until(lambda: s.net.dropped(s.place) > before, "the old flow to be dropped")
            sock.sendto(b"four", (s.server_address, second.port))
            tap.equal(second.dgram.recvfrom(100)[0], b"four")
    with s.case("somebody flushes conntrack: a datagram flow goes on as soon as that is known, from its old port"):
        with s.joined(nfsd), oncrpc.datagrams(s.net.client, s.family, s.client_address) as sock:
            tap.equal(s.client.getport(STATUS, 1, "udp"), second.port)
            sock.sendto(b"five", (s.server_address, second.port))
            tap.equal(second.dgram.recvfrom(100)[0], b"five")

            def bound():
                return [p for p in s.daemon.pinholes("bound") if p["proto"] == "udp" and p["dport"] == second.port
                        and p["sport"] == sock.getsockname()[1]]  # fmt: skip

            tap.equal(len(bound()), 1, "bound")
            s.net.spaces[s.place].run(["conntrack", "-D", "-p", "udp", "--dport", str(second.port)])
            poll.until(lambda: not bound(), "the flow's end to be known", 5)
            tap.equal(s.client.getport(STATUS, 1, "udp"), second.port)
            sock.sendto(b"six", (s.server_address, second.port))
            tap.equal(second.dgram.recvfrom(100)[0], b"six")
    status.unset()


def rests(s):
    """linger = 1, mapping-ttl = 3"""
    with s.service() as mountd, s.service(nfs.NFS_PORT) as nfsd:
        registered = s.register(MOUNTD, mountd)
        with s.case("no connection is left: open for `linger`, then dormant, out of the kernel, shut"):
            began = time.monotonic()
            s.client.getport(MOUNTD, 3, "tcp")
            tap.equal(s.ports(MOUNTD), {mountd.port})
            s.wait_ports(MOUNTD, {mountd.port}, state="dormant")
            tap.true(time.monotonic() - began > LINGER - 0.1, "too early")
            tap.equal(s.ports(MOUNTD), set(), "open")
            tap.equal(s.daemon.in_kernel(), set())
            s.blocked(mountd.port)
        with s.case("a connection to 2049 re-arms it; it stays while that lasts, beyond `linger`"):
            with s.mounted(nfsd):
                s.wait_ports(MOUNTD, {mountd.port})
                s.works(mountd)
                poll.stays(
                    lambda: s.ports(MOUNTD) == {mountd.port}, "the re-armed mapping", LINGER + 0.8
                )
                s.works(mountd)
            s.wait_ports(MOUNTD, {mountd.port}, state="dormant")
            s.blocked(mountd.port)
        with s.case("a connection of somebody else re-arms nothing"):
            with s.mounted(nfsd, OTHER[s.family]):
                poll.until(lambda: len(s.daemon.sessions()) == 1, "its session")
                tap.equal(s.ports(MOUNTD, state="dormant"), {mountd.port})
                tap.equal(s.daemon.in_kernel(), set())
        with s.case("after `mapping-ttl` it is forgotten; 2049 re-arms nothing, a question does"):
            s.wait_ports(MOUNTD, set(), state="dormant", seconds=TTL + 3)
            tap.equal(s.daemon.pinholes(), [])
            with s.mounted(nfsd):
                poll.until(s.daemon.sessions, "the session")
                tap.equal(s.daemon.mappings(), set())
                s.blocked(mountd.port)
                s.client.getport(MOUNTD, 3, "tcp")
                s.works(mountd)
        with s.case("a flow that it let in keeps it open, too"):
            s.client.getport(MOUNTD, 3, "tcp")
            with s.joined(mountd) as (flow, far):
                poll.until(lambda: not s.daemon.sessions(), "every other connection to end")
                poll.stays(lambda: s.ports(MOUNTD) == {mountd.port}, "open", LINGER + 0.8)
                passes(flow, far)
            s.wait_ports(MOUNTD, {mountd.port}, state="dormant")
        registered.unset()


def renewal(s):
    with s.pinholed(timeout=2) as daemon, s.service() as mountd, s.service(nfs.NFS_PORT) as nfsd:
        registered = s.register(MOUNTD, mountd)
        with s.joined(nfsd):
            s.client.getport(MOUNTD, 3, "tcp")
            key = nfs.kernel_keys({s.mapping(MOUNTD, "tcp", mountd.port)})
            with s.case("the kernel's timeout is renewed while the client is at work"):
                poll.stays(lambda: key <= daemon.in_kernel(), "in the kernel", 4.5)
                s.works(mountd)
            with s.case("a daemon that hangs leaves nothing open: the kernel's timeout ends it"):
                daemon.process.signal(signal.SIGSTOP)
                poll.until(lambda: not daemon.in_kernel(), "the element to be removed", 15)
                s.blocked(mountd.port)
            with s.case("when it wakes up, what is listed as open is open"):
                daemon.process.signal(signal.SIGCONT)
                poll.until(lambda: key <= daemon.in_kernel(), "the element to be back", 10)
                s.works(mountd)
        registered.unset()


# --- the daemon itself comes and goes ---


def saved(daemon, port):
    """Waits until the state on disk knows this port."""

    def there():
        for name in os.listdir(daemon.run_dir):
            with contextlib.suppress(OSError, UnicodeDecodeError), open(f"{daemon.run_dir}/{name}") as f:
                if str(port) in f.read():
                    return True
        return False

    poll.until(there, f"port {port} to be in {daemon.run_dir}")


def comes_and_goes(s):
    with s.service() as mountd, s.service(nfs.NFS_PORT) as nfsd, s.pinholed() as daemon:
        registered = s.register(MOUNTD, mountd)
        for word, end in (("killed", daemon.kill), ("stopped", daemon.stop)):
            with s.case(f"{word}: shut while it is away, rpcbind passes; open again for a live client"):
                with s.joined(nfsd) as (live, live_far):
                    s.client.getport(MOUNTD, 3, "tcp")
                    with s.joined(mountd) as (flow, far):
                        saved(daemon, mountd.port)
                        end()
                        poll.until(lambda: daemon.table() is None, "its table to be gone")
                        s.blocked(mountd.port)
                        tap.equal(s.client.getport(MOUNTD, 3, "tcp"), mountd.port)
                        passes(flow, far)
                        daemon.start()
                        s.wait_ports(MOUNTD, {mountd.port})
                        s.works(mountd)
                        passes(flow, far)
                    passes(live, live_far)
        with s.case("killed: the client asks again, and gets what it asks for"):
            with s.joined(nfsd):
                s.client.getport(MOUNTD, 3, "tcp")
                daemon.kill()
                daemon.start()
                tap.equal(s.client.getport(MOUNTD, 3, "tcp"), mountd.port)
                tap.equal(s.ports(MOUNTD), {mountd.port})
                s.works(mountd)
        with s.case("the client went away meanwhile: nothing is open after the start"):
            with s.joined(nfsd):
                s.client.getport(MOUNTD, 3, "tcp")
                daemon.stop()
            s.net.forget_flows()
            daemon.start()
            tap.equal(daemon.mappings(), set())
            tap.equal(daemon.in_kernel(), set())
            s.blocked(mountd.port)
        with s.case("and it is re-armed when that client is back"):
            with s.joined(nfsd):
                s.wait_ports(MOUNTD, {mountd.port})
                s.works(mountd)
        registered.unset()


def held_together(s):
    """Conntrack gets to know of a flow when its first packet has passed, which is after pinholed has."""
    with s.service() as service, s.pinholed(linger=30, mapping_ttl=60) as daemon:
        status = s.register(STATUS, service, 1, "udp")
        for word, at in (("behind", (0, 1)), ("in front of", (1, 0))):
            with s.case(f"a flow {word} the only call that could be its master, both held: it is let in"):
                tap.equal(s.client.getport(STATUS, 1, "udp"), service.port)
                s.net.forget_flows()
                poll.until(lambda: not daemon.sessions(), "every session to end")
                question = oncrpc.call(oncrpc.fresh_xid(), 2, 0)
                packets = [(question, nfs.PORTMAP_PORT), (b"first", service.port)]
                with contextlib.ExitStack() as stack:
                    daemon.process.signal(signal.SIGSTOP)
                    try:
                        for data, port in [packets[i] for i in at]:
                            sock = oncrpc.datagrams(s.net.client, s.family, s.client_address)
                            stack.enter_context(sock).sendto(data, (s.server_address, port))
                    finally:
                        daemon.process.signal(signal.SIGCONT)
                    tap.equal(service.dgram.recvfrom(100)[0], b"first")
                    tap.equal(len(daemon.sessions()), 1, "sessions")
        status.unset()


# --- from the server to the client ---


def callbacks(s):
    """NLM_GRANTED: the server asks the rpcbind of a client that knows its lock manager."""
    back = Client(s.net.server, s.family, s.server_address, s.client_address)
    rpcbind = nfs.Rpcbind(s.lab, s.net.client)
    with s.service() as lockd, Service(s.net.client, s.family, s.client_address, 0) as theirs:
        registered = s.register(NLOCKMGR, lockd, 4)
        own = Registration(rpcbind, NLOCKMGR, 4, "tcp", theirs.port, s.family)

        def back_blocked(port):
            before = s.net.dropped(s.place)
            with start_connect(s.net.server, s.family, s.client_address, port) as sock:
                poll.until(lambda: s.net.dropped(s.place) > before, "the SYN to be dropped")
                tap.true(not connected(sock, 0), "it got through")

        with s.pinholed():
            with s.case("nobody has asked for the lock manager: the client's rpcbind is shut to the server"):
                s.client.getport(MOUNTD, 3, "tcp")
                back_blocked(nfs.PORTMAP_PORT)
            with s.case("the client asked: the server may ask in turn, and then call back"):
                tap.equal(s.client.getport(NLOCKMGR, 4, "tcp"), lockd.port)
                back_blocked(theirs.port)
                tap.equal(back.getport(NLOCKMGR, 4, "tcp"), theirs.port)
                reverse = (s.server_address, s.client_address, "tcp", theirs.port, NLOCKMGR)
                tap.true(reverse in s.daemon.mappings(), f"open: {s.daemon.mappings()}")
                with back.connect(theirs.port) as flow, theirs.stream.accept()[0] as far:
                    passes(flow, far)
            with s.case("others of the client's ports stay shut to the server"):
                with Service(s.net.client, s.family, s.client_address, 0) as other:
                    back_blocked(other.port)
        with s.pinholed(callbacks=False):
            with s.case("callbacks = false: the client's rpcbind stays shut to the server"):
                s.client.getport(NLOCKMGR, 4, "tcp")
                tap.equal(s.ports(NLOCKMGR), {lockd.port})
                back_blocked(nfs.PORTMAP_PORT)
        own.unset()
        registered.unset()
    rpcbind.stop()


# --- what the administrator says ---


def policy(s):
    with s.service() as mountd, s.service() as lockd, s.service() as status:
        all_of_them = [s.register(MOUNTD, mountd), s.register(NLOCKMGR, lockd, 4),
                       s.register(STATUS, status, 1)]  # fmt: skip
        with s.pinholed(programs=["mountd", 100024], never_open=[22, status.port]) as daemon:
            with s.case("programs and never-open: by name and by number, and no others"):
                for program, version in ((MOUNTD, 3), (NLOCKMGR, 4), (STATUS, 1)):
                    s.client.getport(program, version, "tcp")
                tap.equal(daemon.mappings(), {s.mapping(MOUNTD, "tcp", mountd.port)})
                tap.equal(daemon.counter("program"), 1, "refused as program")
                tap.equal(daemon.counter("port-never"), 1, "refused as port-never")
                s.blocked(lockd.port)
                s.blocked(status.port)
            with s.case("the list and `why` name the program, and what was asked and answered"):
                pinhole = daemon.pinholes()[0]
                tap.equal((pinhole["program"], pinhole["program_name"]), (MOUNTD, "mountd"))
                tap.equal(pinhole["versions"], [3])
                tap.contains(daemon.ctl("list"), "mountd v3")
                why = daemon.ctl("why", pinhole["id"])
                for part in ("mountd", str(mountd.port), s.client_address, s.server_address):
                    tap.contains(why, part)
            with s.case("an operator's close takes the mapping and the flows that use it"):
                with s.joined(mountd) as (flow, far):
                    poll.until(lambda: daemon.pinholes("bound"), "it to be in use")
                    daemon.ctl("close", pinhole["id"])
                    daemon.nothing_left()
                    s.blocked(mountd.port)
                    before = s.net.dropped(s.place)
                    with contextlib.suppress(PermissionError):
                        flow.sendall(b"x")
                    poll.until(lambda: s.net.dropped(s.place) > before, "its flow to be dropped")
        for r in all_of_them:
            r.unset()


# --- on the server: what its own rpcbind says ---


def discovery(s):
    with contextlib.ExitStack() as stack:
        first, second, third, lockd, other = [stack.enter_context(s.service()) for _ in range(5)]
        nfsd = stack.enter_context(s.service(nfs.NFS_PORT))
        mountd = s.register(MOUNTD, first)
        unlisted = s.register(UNLISTED, other, 1)
        mount = stack.enter_context(contextlib.ExitStack())
        mount.enter_context(s.mounted(nfsd))
        daemon = stack.enter_context(s.pinholed(local_rpcbind=True))
        with s.case("a client that was mounted before the daemon started gets what it needs, nobody else"):
            s.wait_ports(MOUNTD, {first.port}, seconds=WATCHED)
            tap.equal(daemon.mappings(), {s.mapping(MOUNTD, "tcp", first.port)})
            tap.equal(s.ports(MOUNTD), {first.port})
            flow, far = stack.enter_context(s.joined(first))
            passes(flow, far)
            s.blocked(first.port, source=OTHER[s.family])
        with s.case("mountd moves: the new port opens for the live client without its asking"):
            mountd.move(second.port)
            s.wait_ports(MOUNTD, {second.port}, seconds=WATCHED)
            s.works(second)
        with s.case("and the old one closes, with a reset for who uses it"):
            tap.equal(s.ports(MOUNTD), {second.port})
            is_reset(flow)
            s.refused(first.port)
        with s.case("a program that comes is opened, if it is listed and its port may be"):
            lock = s.register(NLOCKMGR, lockd, 4, "udp")
            never = Registration(s.rpcbind, STATUS, 1, "tcp", 22, s.family)
            s.wait_ports(NLOCKMGR, {lockd.port}, proto="udp", seconds=WATCHED)
            wanted = {s.mapping(MOUNTD, "tcp", second.port), s.mapping(NLOCKMGR, "udp", lockd.port)}
            tap.equal({m for m in daemon.mappings() if m[4] != nfs.PORTMAP}, wanted)
            never.unset()
        with s.case("`pinholectl rpc` shows what is registered, and what of it is allowed"):
            known = {
                (p["program"], p["proto"], p["port"]): p["allowed"] for p in rpc(daemon)
                if p["family"] == s.family
            }  # fmt: skip
            tap.equal(known.get((MOUNTD, "tcp", second.port)), True, "mountd")
            tap.equal(known.get((UNLISTED, "tcp", other.port)), False, "ypbind")
            for part in ("mountd", str(second.port), "nlockmgr", str(lockd.port)):
                tap.contains(daemon.ctl("rpc"), part)
        with s.case("a program that goes is closed"):
            lock.unset()
            s.wait_ports(NLOCKMGR, set(), proto="udp", seconds=WATCHED)
            s.blocked(lockd.port, proto="udp")
        away(s, daemon, second, "is stopped", s.rpcbind.stop, s.rpcbind.start)
        away(s, daemon, second, "hangs", lambda: s.rpcbind.process.signal(signal.SIGSTOP),
             lambda: s.rpcbind.process.signal(signal.SIGCONT))  # fmt: skip
        with s.case("the client rests, mountd moves, the client is back: open, unasked"):
            mount.close()
            s.wait_ports(MOUNTD, {second.port}, state="dormant")
            mountd.move(third.port)
            with s.joined(nfsd):
                s.wait_ports(MOUNTD, {third.port}, seconds=WATCHED)
                s.works(third)
                tap.equal(s.ports(MOUNTD, state="dormant"), set())
                s.refused(second.port)
        server = s.register(NFS, nfsd)
        with s.case("NFS itself is unregistered, as when it restarts: nobody is refused at 2049"):
            with s.joined(nfsd):
                s.wait_ports(NFS, {nfsd.port}, seconds=WATCHED)
                s.works(nfsd)
                server.unset()
                s.wait_ports(NFS, set(), seconds=WATCHED)
                s.works(nfsd)
                server.move(nfsd.port)
                s.wait_ports(NFS, {nfsd.port}, seconds=WATCHED)
                s.works(nfsd)
        server.unset()
        mountd.unset()
        unlisted.unset()


def rpc(daemon):
    return daemon.ctl_json("rpc")["programs"]


def of_rpcbind(daemon):
    """What doctor says about it."""
    return [line for line in daemon.ctl_run("doctor").stdout.splitlines() if "rpcbind" in line]


def away(s, daemon, mountd, word, go, come):
    with s.case(f"rpcbind {word}: what is open stays open, the daemon answers, doctor says so"):
        well = of_rpcbind(daemon)
        go()
        with s.joined(mountd) as (flow, far):
            poll.stays(lambda: s.ports(MOUNTD) == {mountd.port}, "mountd's mapping", 3.5)
            passes(flow, far)
        began = time.monotonic()
        daemon.ctl("list")
        tap.true(time.monotonic() - began < 1, "the daemon waits for rpcbind")
        said = of_rpcbind(daemon)
        tap.true(said and said != well, f"doctor says {said}, and said {well} before")
    with s.case(f"rpcbind {word}, and is back: the map is the same"):
        come()
        poll.until(lambda: s.rpcbind.registered(s.family), "rpcbind to answer")
        tap.equal(s.client.getport(MOUNTD, 3, "tcp"), mountd.port)
        poll.until(
            lambda: MOUNTD in {p["program"] for p in rpc(daemon)}, lambda: json.dumps(rpc(daemon)), WATCHED
        )
        tap.equal(s.ports(MOUNTD), {mountd.port})


def discovery_with_ganesha(s):
    ganesha = nfs.Ganesha(s.lab, s.rpcbind)
    nfs_client = nfs.NfsClient(s.lab, s.net.client, suite.SERVER_ADDRESS)

    def all_of_it():
        registered = s.rpcbind.registered(s.family)
        return nfs.expected(registered, s.family, set(nfs.LISTED) - {NLOCKMGR}) | {
            s.mapping(program, proto, port) for program, _, proto, port in registered if program == NLOCKMGR
        }

    def is_open():
        return {m for m in s.daemon.mappings() if m[4] != nfs.PORTMAP}

    with s.pinholed(local_rpcbind=True):
        # From here on even 2049 has a pinhole, and connections to it must not count any less for that.
        nfs_client.list(s.family)
        for word, kill in (("as it was at first", None), ("restarted", False), ("killed and started", True)):
            with s.case(f"ganesha {word}: all its ports, and no others, open for a live client, unasked"):
                if kill is not None:
                    ganesha.restart(kill)
                with s.client.connect(nfs.NFS_PORT):
                    poll.until(
                        lambda: is_open() == all_of_it(),
                        lambda: f"{all_of_it()} to be open: {is_open()}", WATCHED, 0.1,
                    )  # fmt: skip
                    for program, version, proto, port in s.rpcbind.registered(s.family):
                        if program in (MOUNTD, NLOCKMGR):
                            s.client.call(port, proto, program, version)
                nfs_client.list(s.family)
    ganesha.stop()


SCENES = (
    (SERVER, "related", 4),
    (SERVER, "mark", 6),
    (ROUTER, "related", 6),
    (ROUTER, "mark", 4),
    (CLIENT, "related", 4),
    (CLIENT, "mark", 6),
)


def play(scene):
    s = scene
    with s.pinholed():
        ganesha_moves(s)
        moves(s)
    with s.pinholed():
        rests(s)
    comes_and_goes(s)
    held_together(s)
    callbacks(s)
    policy(s)
    if s.place == SERVER:
        discovery(s)
        discovery_with_ganesha(s)
    if s.place == ROUTER:
        renewal(s)


nfs.require()
with suite.laboratory() as (t, lab, net):
    scenes = [Scene(lab, *what) for what in SCENES]
    with concurrent.futures.ThreadPoolExecutor(len(scenes)) as pool:
        ends = [pool.submit(play, scene) for scene in scenes]
        concurrent.futures.wait(ends)
    for scene, end in zip(scenes, ends):
        scene.t.tell(t)
        with t.case(f"{scene.name}: the scene was played to its end, and the firewall is as it was"):
            end.result()
            tap.equal(scene.daemon.table(), None, "table inet pinholed")
