# SPDX-License-Identifier: GPL-2.0-or-later
"""TFTP: tftpd-hpa as server, curl and tftp-hpa as clients, a boot ROM that asks for everything from
one port, a server that answers from port 69, the firewall that knows only that port, and pinholed
configured for it."""

import contextlib
import os
import re
import select
import signal
import socket
import struct
import subprocess

from . import poll, tap
from .daemon import Daemon
from .dialogue import FAMILY
from .netns import CommandFailed, require_tools, tool
from .topology import ADDRESS, CLIENT, CONCESSION, ICMP, NEIGHBOURS, ROUTER, SERVER

PORT = 69
ROM_PORT = 2070  # what many boot ROMs ask from
DATA = bytes(range(256)) * 64  # 16 KiB: 32 blocks of 512, and an empty last one
KERNEL = bytes(range(255, -1, -1)) * 400
TEXT = b"".join(b"line %d\n" % i for i in range(400))
USER = "daemon"

RRQ, WRQ, BLOCK, ACK, ERROR, OACK = range(1, 7)

PROGRAMS = ("in.tftpd", "tftp", "curl")

def require():
    """Ends the test file with a loud skip when this distribution does not have the programs."""
    require_tools(PROGRAMS)


# --- the firewall -------------------------------------------------------------------------------


def strict(placement, admit, fixed=(f"udp dport {PORT} ct state new accept",)):
    """A default-drop firewall for this place, as text for nft -f: fixed, from the client to the
    server, and the one concession."""
    toward = [f'iifname "{CLIENT}" {rule}' for rule in fixed]
    ours = {
        SERVER: {"input": fixed, "output": ()},
        CLIENT: {"input": (), "output": fixed},
        ROUTER: {"input": (), "output": (), "forward": toward},
    }[placement]
    chains = []
    for hook, extra in ours.items():
        loopback = {"input": "iif lo accept", "output": "oif lo accept", "forward": ""}[hook]
        rules = [loopback, "ct state invalid drop", CONCESSION[admit], ICMP, NEIGHBOURS, *extra]
        rules.append("meta l4proto { tcp, udp } counter")
        body = "".join(f"\t\t{rule}\n" for rule in rules if rule)
        chains.append(
            f"\tchain {hook} {{\n"
            f"\t\ttype filter hook {hook} priority filter; policy drop;\n{body}\t}}\n"
        )
    return "table inet strict {\n" + "".join(chains) + "}\n"


# --- servers ------------------------------------------------------------------------------------


class Tftpd:
    """tftpd-hpa in the foreground, one process a family: the one of Debian 13 answers a request with
    a socket of the family that the request before had, and its first with none. It answers from a
    fresh port."""

    FILES = {"data": DATA, "kernel": KERNEL, "text": TEXT}

    def __init__(self, lab, ns, *options, user=USER):
        self.ns, self.root = ns, lab.dir(f"{ns.name}-tftp", 0o777)
        for name, content in self.FILES.items():
            lab.file(f"{ns.name}-tftp/{name}", content)
        path, env = tool("in.tftpd")
        self.processes = {
            family: lab.spawn(
                ns, [path, f"-{family}", "-L", "-c", "-p", "-u", user, *options, "-s", self.root],
                f"{ns.name}-tftpd{family}", env=env,
            )
            for family in (4, 6)
        }  # fmt: skip
        for family, process in self.processes.items():
            self._warm(family, process)

    def _warm(self, family, process):
        loopback = {4: "127.0.0.1", 6: "::1"}[family]
        with Rom(self.ns, family, loopback, loopback, 0) as rom:

            def answers():
                if not process.running():
                    raise CommandFailed(f"in.tftpd ended at once: {process.log()}")
                with contextlib.suppress(tap.Failure, ConnectionRefusedError):
                    return rom.size("text", 0.1)

            poll.until(answers, f"in.tftpd to answer over IPv{family}")

    def uploaded(self, name):
        with open(os.path.join(self.root, name), "rb") as f:
            return f.read()

    def signal(self, number):
        for process in self.processes.values():
            process.signal(number)

    def stop(self):
        """With its children, who wait for answers of clients that are gone, and have port 69 as well."""
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGKILL)  # its own session
            process.wait()
        poll.until(lambda: not self.ns.udp_bound(PORT), "port 69 to be free")


class SinglePort:
    """A server that answers from port 69 itself, which needs no pinhole; in threads of nobody: it is
    served by whoever waits in `serving`."""

    def __init__(self, ns, family):
        self.sock = ns.socket(FAMILY[family], socket.SOCK_DGRAM)
        self.sock.bind((ADDRESS[SERVER, family], PORT))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def answer(self, seconds=5):
        """One packet is answered; False when none comes."""
        if not select.select([self.sock], [], [], seconds)[0]:
            return False
        packet, peer = self.sock.recvfrom(2048)
        opcode, number = struct.unpack("!HH", packet[:4])
        number = {RRQ: 1, ACK: number + 1}.get(opcode if opcode != RRQ else RRQ, 0)
        start = (number - 1) * 512
        if opcode in (RRQ, ACK) and start <= len(DATA):
            self.sock.sendto(struct.pack("!HH", BLOCK, number) + DATA[start : start + 512], peer)
        return True


# --- clients ------------------------------------------------------------------------------------


def _run(ns, command, env, seconds, cwd=None, stdin=None):
    with ns.entered():
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    try:
        out, err = process.communicate(stdin, timeout=seconds)
        return subprocess.CompletedProcess(command, process.returncode, out, err)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return subprocess.CompletedProcess(command, 124, out, err)


_counter = iter(range(1, 1 << 30))


class Curl:
    name = "curl"

    def __init__(self, lab, ns, address):
        self.ns, self.address = ns, address

    def command(self, family, name, *more, seconds=10):
        path, env = tool("curl")
        host = f"[{self.address[family]}]" if family == 6 else self.address[family]
        return [path, "-q", "-sS", "-g", "--max-time", str(seconds), *more, f"tftp://{host}/{name}"], env

    def get(self, family, name="data", seconds=10, *more):
        command, env = self.command(family, name, *more, seconds=seconds)
        return _run(self.ns, command, env, seconds + 5)

    def put(self, family, name, content, seconds=10):
        command, env = self.command(family, name, "-T", "-", seconds=seconds)
        return _run(self.ns, command, env, seconds + 5, stdin=content)


class TftpHpa:
    name = "tftp-hpa"

    def __init__(self, lab, ns, address):
        self.ns, self.address = ns, address
        self.home = lab.dir(f"{ns.name}-tftp-hpa")

    def _transfer(self, family, mode, words, seconds):
        path, env = tool("tftp")
        command = [path, f"-{family}", "-m", mode, self.address[family], "-c", *words]
        return _run(self.ns, command, env, seconds, cwd=self.home)

    def get(self, family, name="data", seconds=10, mode="binary"):
        local = f"down-{next(_counter)}"
        done = self._transfer(family, mode, ["get", name, local], seconds)
        path = os.path.join(self.home, local)
        if os.path.exists(path):  # its exit status says nothing
            with open(path, "rb") as f:
                done.stdout = f.read()
            os.unlink(path)
        return done

    def put(self, family, name, content, seconds=10):
        path = os.path.join(self.home, name)
        with open(path, "wb") as f:
            f.write(content)
        done = self._transfer(family, "binary", ["put", name], seconds)
        os.unlink(path)
        return done


class Rom:
    """A boot ROM: asks for the size of each file, breaks off, asks again with larger blocks, and all
    that from one port."""

    name = "boot ROM"

    def __init__(self, ns, family, source, server, port=ROM_PORT):
        self.server = (server, PORT)
        self.answered_from = []  # the server's ports, one a request
        self.sock = ns.socket(FAMILY[family], socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((source, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def ask(self, name, *options, opcode=RRQ, mode="octet"):
        words = [name, mode, *map(str, options)]
        self.send(struct.pack("!H", opcode) + b"".join(w.encode() + b"\0" for w in words))

    def send(self, payload):
        with contextlib.suppress(PermissionError):  # an output policy says no at once
            self.sock.sendto(payload, self.server)

    def packet(self, seconds, of=None):
        """(opcode, number, rest, peer); of: from this peer alone."""
        self.sock.settimeout(seconds)
        while True:
            try:
                packet, peer = self.sock.recvfrom(2048)
            except (socket.timeout, TimeoutError):
                raise tap.Failure("no answer") from None
            if of in (None, peer):
                return (*struct.unpack("!HH", packet[:4]), packet[4:], peer)

    def size(self, name, seconds=3):
        self.ask(name, "tsize", 0)
        opcode, _, _, peer = self.packet(seconds)
        tap.equal(opcode, OACK)
        self.answered_from.append(peer[1])
        self.sock.sendto(struct.pack("!HH", ERROR, 8) + b"enough\0", peer)
        return peer

    def read(self, name, seconds=3, block=1408):
        self.ask(name, "blksize", block)
        opcode, _, _, peer = self.packet(seconds)
        while opcode != OACK:  # what was still under way of the file before
            opcode, _, _, peer = self.packet(seconds)
        content, expected = b"", 1
        self.answered_from.append(peer[1])
        self.sock.sendto(struct.pack("!HH", ACK, 0), peer)
        while True:
            opcode, number, rest, _ = self.packet(seconds, of=peer)
            if opcode != BLOCK or number != expected:
                continue
            content += rest
            self.sock.sendto(struct.pack("!HH", ACK, number), peer)
            if len(rest) < block:
                return content
            expected += 1


# --- pinholed -----------------------------------------------------------------------------------


class BootDaemon(Daemon):
    """pinholed with rsh and rexec on as well."""

    def __init__(self, lab, ns, admit="related", name=None, more="", tftp="", rsh="enabled = true"):
        super().__init__(
            lab, ns, name, admit=admit,
            extra=f"service tftp {{ {tftp} }}\nservice rsh {{ {rsh} }}\nservice rexec {{ {rsh} }}\n{more}",
        )  # fmt: skip

    def in_kernel(self, services=("tftp", "rsh", "rexec")):
        """{(src, dst, proto, port), ...}: the elements of these services' sets."""
        found = set()
        names = "|".join(services)
        for name, body in re.findall(r"^\tset (\S+) \{\n(.*?)^\t\}", self.table() or "", re.M | re.S):
            elements = re.search(r"elements = \{(.*)\}", body, re.S)
            if elements and re.fullmatch(rf"(?:{names})[46]", name):
                keys = re.findall(r"(\S+) \. (\S+) \. (\S+) \. (\d+)", elements.group(1))
                found |= {(src, dst, proto, int(port)) for src, dst, proto, port in keys}
        return found

    def close_unused(self, clients):
        """Of these clients, as an operator would."""
        for p in self.pinholes("open"):
            if p["dst"] in clients:
                self.ctl("close", p["id"])

    def nothing_open(self, seconds=5.0):
        poll.until(
            lambda: not self.pinholes("open") and not self.in_kernel(),
            lambda: f"no pinhole to be open: {self.pinholes('open')} {self.in_kernel()}",
            seconds,
        )


# Another host beside the server.
OTHER_SERVER = "10.77.2.3"


def add_other_server(net):
    net.server.sh("ip", "address", "add", f"{OTHER_SERVER}/24", "dev", "eth0")


def send_quietly(sock, payload, to):
    """An output policy that says no does so at once."""
    with contextlib.suppress(PermissionError):
        sock.sendto(payload, to)
