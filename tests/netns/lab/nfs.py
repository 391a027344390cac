# SPDX-License-Identifier: GPL-2.0-or-later
"""NFS: rpcbind and nfs-ganesha as servers, libnfs, showmount and rpcinfo as clients, the firewall
that knows only ports 111 and 2049, and pinholed configured for it.

Ganesha keeps its files in memory and takes fresh ports for mountd, nlockmgr and rquotad each time
it starts. rpcbind and what registers with it need a /run of their own: each is started in a mount
namespace where a directory of the lab's lies over /run.
"""

import contextlib
import glob
import os
import pwd
import re
import socket
import subprocess

from . import poll, tap
from .daemon import Daemon
from .dialogue import FAMILY
from .netns import TOOLS, CommandFailed, require_tools, tool
from .topology import ADDRESS, CLIENT, CONCESSION, NEIGHBOURS, ROUTER, SERVER

NFS_PORT, PORTMAP_PORT = 2049, 111
PORTMAP, NFS, MOUNTD, RQUOTAD, NLOCKMGR = 100000, 100003, 100005, 100011, 100021
STATUS, NFS_ACL = 100024, 100227
LISTED = {NFS: "nfs", MOUNTD: "mountd", RQUOTAD: "rquotad", NLOCKMGR: "nlockmgr",
          STATUS: "status", NFS_ACL: "nfs_acl"}  # fmt: skip
DATA = bytes(range(256)) * 64  # 16 KiB

# What every test of this kind needs beside the lab's FTP servers.
PROGRAMS = ("rpcbind", "rpcinfo", "ganesha.nfsd", "nfs-ls", "nfs-cp", "nfs-cat", "showmount", "unshare")
# rpcbind gives up its privileges; this user is there on every machine.
USER = "daemon"


def require():
    """Ends the test file with a loud skip when this distribution does not have the programs."""
    require_tools(PROGRAMS)
    if why := no_udp():
        tap.left_out("ganesha over UDP", why)


def protos():
    return ("tcp",) if no_udp() else ("tcp", "udp")


def no_udp():
    """Why ganesha offers nothing over UDP here, or ""."""
    if glob.glob(f"{TOOLS}/usr/lib*/**/libntirpc.so.6*", recursive=True):
        return "ganesha's ntirpc 6 answers one call over UDP, and then none"
    return ""


# --- the firewall -------------------------------------------------------------------------------


def strict(placement, admit):
    """A default-drop firewall for this place, as text for nft -f: 111 and 2049, from the client to
    the server, and the one concession."""
    fixed = (
        f"tcp dport {{ {PORTMAP_PORT}, {NFS_PORT} }} ct state new accept",
        f"udp dport {PORTMAP_PORT} ct state new accept",
    )
    toward = [f'iifname "{CLIENT}" {rule}' for rule in fixed]
    ours = {
        SERVER: {"input": fixed, "output": ()},
        CLIENT: {"input": (), "output": fixed},
        ROUTER: {"input": (), "output": (), "forward": toward},
    }[placement]
    chains = []
    for hook, extra in ours.items():
        loopback = {"input": "iif lo accept", "output": "oif lo accept", "forward": ""}[hook]
        rules = [loopback, "ct state invalid drop", CONCESSION[admit]]
        rules += ["meta l4proto icmp accept", NEIGHBOURS, *extra, "meta l4proto { tcp, udp } counter"]
        body = "".join(f"\t\t{rule}\n" for rule in rules if rule)
        chains.append(
            f"\tchain {hook} {{\n"
            f"\t\ttype filter hook {hook} priority filter; policy drop;\n{body}\t}}\n"
        )
    return "table inet strict {\n" + "".join(chains) + "}\n"


def rules_in_force(net, placement):
    """The strict firewall as nft lists it, without its counters."""
    return net.spaces[placement].sh("nft", "-s", "list", "table", "inet", "strict")


# --- servers ------------------------------------------------------------------------------------


def _tool(name):
    path, env = tool(name)
    if "LD_LIBRARY_PATH" in env:
        own = [f"{TOOLS}/usr/lib/ganesha", f"{TOOLS}/usr/lib64/ganesha"]
        env["LD_LIBRARY_PATH"] = os.pathsep.join([env["LD_LIBRARY_PATH"], *own])
    return path, env


class Host:
    """What a namespace needs for rpcbind and its friends: a /run of its own."""

    def __init__(self, lab, ns):
        self.lab, self.ns = lab, ns
        self.run_dir = lab.dir(f"{ns.name}-run")
        state = lab.dir(f"{ns.name}-run/rpcbind")
        user = pwd.getpwnam(USER)
        os.chown(state, user.pw_uid, user.pw_gid)

    def command(self, *words):
        """These words, run where our directory lies over /run; the process keeps its pid."""
        script = 'mount --bind "$0" /run && exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, self.run_dir, *words]

    def spawn(self, name, *options):
        path, env = _tool(name)
        return self.lab.spawn(self.ns, self.command(path, *options), f"{self.ns.name}-{name}", env=env)


class Rpcbind:
    """A running rpcbind. What is registered with it survives stop() and start() (-w)."""

    def __init__(self, lab, ns):
        self.host = Host(lab, ns)
        self.ns = ns
        self.process = None
        self.start()

    def start(self):
        self.process = self.host.spawn("rpcbind", "-f", "-w", "-s")

        def ready():
            if not self.process.running():
                raise CommandFailed(f"rpcbind ended at once: {self.process.log()}")
            return self.registered() is not None

        poll.until(ready, lambda: f"rpcbind to answer: {self.process.log()}")

    def stop(self):
        return self.process.stop()

    def registered(self, family=4):
        """{(program, version, "tcp" or "udp", port), ...} as rpcinfo on the same host sees it, or
        None when rpcbind does not answer."""
        done = run_tool(self.ns, "rpcinfo", {4: "127.0.0.1", 6: "::1"}[family])
        if done.returncode != 0:
            return None
        suffix = {4: "", 6: "6"}[family]
        found = set()
        for line in done.stdout.decode().splitlines()[1:]:
            program, version, netid, address = line.split()[:4]
            if netid in ("tcp" + suffix, "udp" + suffix):
                high, low = address.split(".")[-2:]
                found.add((int(program), int(version), netid[:3], (int(high) << 8) + int(low)))
        return found

    def port(self, program, version, proto, family=4):
        """Where that is registered, or None."""
        for entry in self.registered(family) or ():
            if entry[:3] == (program, version, proto):
                return entry[3]
        return None


class Ganesha:
    """A running nfs-ganesha, which offers /mem with the file `data` in it."""

    # rquotad comes last; when it is there, all the rest is.
    AWAITED = ((NFS, 3), (NFS, 4), (MOUNTD, 1), (MOUNTD, 3), (NLOCKMGR, 4), (RQUOTAD, 1), (RQUOTAD, 2))

    def __init__(self, lab, rpcbind):
        self.lab, self.rpcbind, self.ns = lab, rpcbind, rpcbind.ns
        self.process = None
        self.local = NfsClient(lab, self.ns, {4: "127.0.0.1", 6: "::1"})
        plugins = glob.glob(f"{TOOLS}/usr/lib*/**/libfsalmem.so", recursive=True)
        plugin_line = f'\tPlugins_Dir = "{os.path.dirname(plugins[0])}";\n' if plugins else ""
        udp_line = "\tEnable_UDP = false;\n" if no_udp() else ""
        self.conf = lab.file(
            f"{self.ns.name}-ganesha.conf",
            "NFS_CORE_PARAM {\n"
            "\tProtocols = 3, 4;\n"
            "\tRquota_Port = 0;\n"
            "\tAllow_Set_Io_Flusher_Fail = true;\n"
            f"{udp_line}"
            f"{plugin_line}"
            "}\n"
            "NFSv4 {\n"
            "\tGraceless = true;\n"
            "\tRecoveryBackend = fs;\n"
            f'\tRecoveryRoot = "{lab.dir(f"{self.ns.name}-recovery")}";\n'
            "\tUseGetpwnam = true;\n"
            "\tOnly_Numeric_Owners = true;\n"
            "}\n"
            "MEM {\n"
            f"\tInode_Size = {4 * len(DATA)};\n"  # else it keeps sizes, and no bytes
            "}\n"
            "EXPORT {\n"
            "\tExport_Id = 1;\n"
            "\tPath = /mem;\n"
            "\tPseudo = /mem;\n"
            "\tAccess_Type = RW;\n"
            "\tSquash = none;\n"
            "\tSecType = sys, none;\n"
            "\tProtocols = 3, 4;\n"
            "\tFSAL { Name = MEM; }\n"
            "}\n",
        )
        self.start()

    def start(self):
        pid_file = os.path.join(self.lab.tmp, f"{self.ns.name}-ganesha.pid")
        self.process = self.rpcbind.host.spawn(
            "ganesha.nfsd", "-F", "-f", self.conf, "-p", pid_file, "-L", "STDOUT", "-N", "NIV_EVENT"
        )
        poll.until(
            self._registered, lambda: f"ganesha to register: {self.process.log()[-2000:]}", 20, 0.02
        )
        self.local.upload("data")

    def _registered(self):
        """All programs, at ports where somebody listens: not what a killed one left behind."""
        if not self.process.running():
            raise CommandFailed(f"ganesha ended at start: {self.process.log()[-2000:]}")
        for family in (4, 6):
            found = self.rpcbind.registered(family) or set()
            names = {entry[:3] for entry in found}
            if not all((*a, proto) in names for a in self.AWAITED for proto in protos()):
                return False
            if not all(self.ns.listening(e[3]) for e in found if e[2] == "tcp"):
                return False
        return True

    def stop(self):
        return self.process.stop(10)

    def restart(self, kill=False):
        """Until mountd and nlockmgr are somewhere else."""
        before = self.dynamic()
        while True:
            self.process.kill() if kill else self.stop()
            self.start()
            if not before & self.dynamic():
                return

    def dynamic(self):
        """{(program, version, proto, port)} without what has a fixed port."""
        return {e for e in self.rpcbind.registered() if e[3] not in (PORTMAP_PORT, NFS_PORT)}


# --- clients ------------------------------------------------------------------------------------


def run_tool(ns, name, *options, seconds=10, cwd=None, hosts=None):
    """Runs a lab program inside, with this file as its /etc/hosts; status 124 when it took longer than this."""
    path, env = _tool(name)
    command = [path, *map(str, options)]
    prefix = []
    if hosts:
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, hosts]
    with ns.entered():
        process = subprocess.Popen(
            prefix + command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
    try:
        out, err = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(command, process.returncode, out, err)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return subprocess.CompletedProcess(command, 124, out, err)


_counter = iter(range(1, 1 << 30))


class NfsClient:
    """libnfs's programs in one namespace, for NFSv3; address is the server's, by family."""

    def __init__(self, lab, ns, address):
        self.lab, self.ns, self.address = lab, ns, address
        self.source = lab.file(f"{ns.name}-source", DATA)
        # How libnfs wants an IPv6 address written depends on its version; a name it always knows.
        self.hosts = lab.file(f"{ns.name}-hosts-{address[6]}", f"{address[6]} nfs6.test\n")

    def url(self, family, name="", version=3):
        host = "nfs6.test" if family == 6 else self.address[family]
        return f"nfs://{host}/mem{name and '/' + name}?version={version}"

    def run(self, program, *words, seconds):
        return run_tool(self.ns, program, *words, seconds=seconds, hosts=self.hosts)

    def list(self, family=4, version=3, seconds=10):
        done = self.run("nfs-ls", self.url(family, version=version), seconds=seconds)
        check(done)
        if not re.search(rb"\bdata$", done.stdout, re.M):
            raise tap.Failure(f"nfs-ls listed {done.stdout!r}")

    def read(self, family=4, name="data", seconds=10):
        done = self.run("nfs-cat", self.url(family, name), seconds=seconds)
        check(done)
        if done.stdout != DATA:
            raise tap.Failure(f"nfs-cat got {len(done.stdout)} bytes, not the file")

    def upload(self, name, family=4, seconds=10):
        check(self.run("nfs-cp", self.source, self.url(family, name), seconds=seconds))

    def write(self, reader, family=4, seconds=10):
        """Uploads a file; reader is a client at the server that can tell whether it is there."""
        name = f"up-{next(_counter)}"
        self.upload(name, family, seconds)
        reader.read(name=name)


def check(done):
    if done.returncode != 0:
        words = " ".join([os.path.basename(done.args[0]), *done.args[1:]])
        raise tap.Failure(f"{words} ended with {done.returncode}: {(done.stdout + done.stderr).decode()}")


class Caller:
    """One way of using an NFS server, and what it asks rpcbind for: programs, transports."""

    def __init__(self, name, programs, transports, action):
        self.name, self.programs, self.transports = name, programs, transports
        self.action = action

    def run(self, family, seconds=10):
        """Raises Failure unless it works."""
        self.action(family, seconds)

    def fails(self, family, seconds=2):
        try:
            self.action(family, seconds)
        except tap.Failure:
            return True
        return False


def callers(lab, ns, address, reader):
    """All clients of the matrix."""
    client = NfsClient(lab, ns, address)

    def rpcinfo(*options, says):
        def action(family, seconds):
            words = [o.format(host=address[family], six="6" if family == 6 else "") for o in options]
            done = run_tool(ns, "rpcinfo", *words, seconds=seconds)
            check(done)
            tap.contains(done.stdout.decode(), says)

        return action

    def showmount(family, seconds):
        done = run_tool(ns, "showmount", "-e", address[family], seconds=seconds)
        check(done)
        tap.contains(done.stdout.decode(), "/mem")

    mount = {MOUNTD, NFS}
    found = [
        Caller("nfs-ls", mount, {"tcp"}, lambda f, s: client.list(f, seconds=s)),
        Caller("nfs-cat", mount, {"tcp"}, lambda f, s: client.read(f, seconds=s)),
        Caller("nfs-cp", mount, {"tcp"}, lambda f, s: client.write(reader, f, seconds=s)),
        Caller("showmount -e", {MOUNTD}, {"tcp", "udp"}, showmount),
    ]
    for program, word, version in ((MOUNTD, "mountd", "3"), (NLOCKMGR, "nlockmgr", "4")):
        says = f"program {program} version {version} ready and waiting"
        for option, transport in (("-t", "tcp"), ("-u", "udp")):
            found.append(
                Caller(f"rpcinfo {option} {word}", {program}, {transport},
                       rpcinfo(option, "{host}", word, version, says=says))
            )  # fmt: skip
            found.append(
                Caller(f"rpcinfo -T {transport} {word}", {program}, {transport},
                       rpcinfo("-T", transport + "{six}", "{host}", word, version, says=says))
            )  # fmt: skip
    return [c for c in found if c.transports & set(protos())]


def listers(ns, address):
    """Clients that only ask rpcbind what there is; these pass any firewall that passes 111."""

    def rpcinfo(*options):
        def action(family, seconds):
            done = run_tool(ns, "rpcinfo", *options, address[family], seconds=seconds)
            check(done)
            for word in ("mountd", "nlockmgr"):
                tap.contains(done.stdout.decode(), word)

        return action

    everything = set(LISTED)
    return [
        Caller("rpcinfo -p", everything, {"tcp", "udp"}, rpcinfo("-p")),
        Caller("rpcinfo", everything, {"tcp", "udp"}, rpcinfo()),
        Caller("rpcinfo -s", everything, {"tcp", "udp"}, rpcinfo("-s")),
    ]


# --- pinholed -----------------------------------------------------------------------------------


def service(**options):
    """`service sunrpc { ... }`; options have underscores for dashes."""
    settings = {
        "enabled": True,
        "ports": [PORTMAP_PORT],
        "nfs_ports": [NFS_PORT],
        "callbacks": True,
        "local_rpcbind": False,
    }
    settings.update(options)

    def text(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return f"{{ {', '.join(map(str, value))} }}"
        return str(value)

    lines = "".join(f"\t{k.replace('_', '-')} = {text(v)}\n" for k, v in settings.items())
    return f"service sunrpc {{\n{lines}}}\n"


def pinholed(lab, ns, admit="related", name=None, limits=None, **options):
    """A Daemon for NFS; options are those of service()."""
    return NfsDaemon(lab, ns, name, admit=admit, limits=limits, extra=service(**options))


class NfsDaemon(Daemon):
    def mappings(self, state="open"):
        """{(src, dst, proto, port, program), ...} in this state."""
        return {
            (p["src"], p["dst"], p["proto"], p["dport"], p["program"])
            for p in self.pinholes(state)
            if p["service"] == "sunrpc"
        }

    def in_kernel(self):
        """{(src, dst, proto, port), ...}: the elements of the sets for RPC. Others have to be empty."""
        found = set()
        for name, body in re.findall(r"^\tset (\S+) \{\n(.*?)^\t\}", self.table() or "", re.M | re.S):
            elements = re.search(r"elements = \{(.*)\}", body, re.S)
            if elements and re.fullmatch(r"sunrpc[46]", name):
                keys = re.findall(r"(\S+) \. (\S+) \. (\S+) \. (\d+)", elements.group(1))
                found |= {(src, dst, proto, int(port)) for src, dst, proto, port in keys}
        return found

    def close_all(self):
        """As an operator would, until nothing is left to close."""
        for p in self.pinholes():
            with contextlib.suppress(CommandFailed):  # one may close with another
                self.ctl("close", p["id"])

    def nothing_left(self, seconds=5.0):
        """Waits until no pinhole is listed and no element for RPC is left."""
        poll.until(
            lambda: not self.pinholes() and not self.in_kernel(),
            lambda: f"no pinhole to be left: {self.pinholes()} {self.in_kernel()}",
            seconds,
        )


def expected(registered, family, programs, transports=("tcp", "udp"), client=None):
    """What may be open, as NfsDaemon.mappings() has it, after a client has asked for these programs:
    their registered ports, and for the lock manager's callbacks the client's own rpcbind."""
    client, server = client or ADDRESS[CLIENT, family], ADDRESS[SERVER, family]
    found = {
        (client, server, proto, port, program)
        for program, _, proto, port in registered
        if program in LISTED and program in programs and proto in transports
    }
    if any(program == NLOCKMGR for *_, program in found):
        found |= {(server, client, proto, PORTMAP_PORT, PORTMAP) for proto in ("tcp", "udp")}
    return found


def kernel_keys(mappings):
    return {(src, dst, proto, port) for src, dst, proto, port, _ in mappings}


# Another client on the same host, that shares nothing with the first but the link.
OTHER = {4: "10.77.1.3", 6: "fd77:1::3"}


def add_other_client(net):
    net.client.sh("ip", "address", "add", f"{OTHER[4]}/24", "dev", "eth0")
    net.client.sh("ip", "address", "add", f"{OTHER[6]}/64", "dev", "eth0", "nodad", "preferred_lft", "0")


def start_from(ns, family, source, address, port):
    """A TCP socket bound to a source address, whose SYN is on its way or refused already."""
    sock = ns.socket(FAMILY[family])
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((source, 0))
    with contextlib.suppress(PermissionError):
        sock.connect_ex((address, port))
    return sock
