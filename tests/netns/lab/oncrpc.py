# SPDX-License-Identifier: GPL-2.0-or-later
"""ONC RPC by hand (RFC 5531, RFC 1833), for peers that no real program would be, and for clients
that do one thing at a time.

In an Exchange both ends are in one hand. What one end sends is read at the other before the call
returns. pinholed lets a packet go only after it has acted on it, so then everything that the packet
may cause has been caused.
"""

import os
import socket
import struct

from .dialogue import FAMILY, listen, receive
from .topology import ADDRESS, CLIENT, SERVER

PORTMAP = 100000
TCP, UDP = 6, 17
PROTO = {"tcp": TCP, "udp": UDP}
LAST = 0x80000000  # of a record mark: the record's last fragment

# procedures of program 100000
GETPORT, DUMP2, CALLIT = 3, 4, 5
GETADDR, DUMP, BCAST, GETVERSADDR, INDIRECT, GETADDRLIST = 3, 4, 5, 9, 10, 11
SET, UNSET = 1, 2


def words(*numbers):
    return struct.pack(f"!{len(numbers)}I", *numbers)


def opaque(data):
    data = data.encode() if isinstance(data, str) else data
    return words(len(data)) + data + b"\0" * (-len(data) % 4)


def fresh_xid():
    return int.from_bytes(os.urandom(4), "big")


def call(xid, version, procedure, arguments=b"", program=PORTMAP, credential=b"", verifier=b""):
    return (
        words(xid, 0, 2, program, version, procedure)
        + words(1 if credential else 0) + opaque(credential)
        + words(1 if verifier else 0) + opaque(verifier)
        + arguments
    )  # fmt: skip


def reply(xid, results=b"", verifier=b"", status=0):
    """MSG_ACCEPTED; status 0 is SUCCESS."""
    return words(xid, 1, 0, 0) + opaque(verifier) + words(status) + results


def denied(xid):
    """MSG_DENIED: AUTH_ERROR, AUTH_TOOWEAK"""
    return words(xid, 1, 1, 1, 5)


def mapping(program, version, proto, port=0):
    return words(program, version, PROTO[proto], port)


def rpcb(program, version, netid, uaddr="", owner=""):
    return words(program, version) + opaque(netid) + opaque(uaddr) + opaque(owner)


def uaddr(address, port):
    return f"{address}.{port >> 8}.{port & 255}"


def listing(entries):
    """XDR's linked list: a word before each entry, and one that says that there is none."""
    return b"".join(words(1) + entry for entry in entries) + words(0)


def endpoint(address, netid):
    """One rpcb_entry of GETADDRLIST: r_maddr, r_nc_netid, r_nc_semantics, protofmly, proto."""
    semantics = 1 if netid.startswith("udp") else 3
    return opaque(address) + opaque(netid) + words(semantics) + opaque("inet") + opaque(netid[:3])


def record(message, *cuts):
    """Record marking, in as many fragments as there are cuts and one more."""
    at = [0, *cuts, len(message)]
    out = b""
    for begin, end in zip(at, at[1:]):
        last = LAST if end == len(message) and end == at[-1] else 0
        out += words(last | (end - begin)) + message[begin:end]
    return out


class Service:
    """The server's end of an RPC port, over both transports, with nobody real behind it."""

    def __init__(self, ns, family, address, port):
        self.ns, self.family, self.address = ns, family, address
        self.stream = listen(ns, family, address, port, backlog=4096)
        self.port = self.stream.getsockname()[1]
        self.dgram = datagrams(ns, family, address, self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.dgram.close()


def datagrams(ns, family, address, port=0):
    sock = ns.socket(FAMILY[family], socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind((address, port))
    sock.settimeout(5)
    return sock


class Exchange:
    """A client and the rpcbind that it believes to talk to."""

    def __init__(self, service, client_ns, address, transport="tcp"):
        self.service, self.transport = service, transport
        self.family = service.family
        self.address = address
        there = (service.address, service.port)
        if transport == "udp":
            self.client, self.server = datagrams(client_ns, self.family, address), service.dgram
            self.client.connect(there)
        else:
            self.client = client_ns.socket(FAMILY[self.family])
            self.client.settimeout(5)
            self.client.bind((address, 0))
            self.client.connect(there)
            self.server, _ = service.stream.accept()
            for sock in (self.client, self.server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.client.close()
        if self.transport == "tcp":
            self.server.close()

    # --- bytes ---

    def client_sends(self, data):
        if self.transport == "udp":
            self.client.send(data)
            self._arrived(self.server.recv(65536), data)
        else:
            self._pass(self.client, self.server, data)

    def server_sends(self, data):
        if self.transport == "udp":
            self.server.sendto(data, self.client.getsockname())
            self._arrived(self.client.recv(65536), data)
        else:
            self._pass(self.server, self.client, data)

    @staticmethod
    def _arrived(got, sent):
        if got != sent:
            raise ConnectionError(f"the other end got {len(got)} other bytes")

    def _pass(self, source, target, data):
        source.settimeout(5)
        while data:
            part, data = data[:32768], data[32768:]
            source.sendall(part)
            self._arrived(receive(target, len(part)), part)

    # --- messages ---

    def framed(self, message):
        return message if self.transport == "udp" else record(message)

    def calls(self, *args, **kw):
        """Sends call(*args, **kw); returns its XID."""
        xid = kw.pop("xid", None)
        xid = fresh_xid() if xid is None else xid
        self.client_sends(self.framed(call(xid, *args, **kw)))
        return xid

    def replies(self, xid, results=b"", **kw):
        self.server_sends(self.framed(reply(xid, results, **kw)))

    def ask(self, version, procedure, arguments, results, **kw):
        """A whole and honest question and answer."""
        self.replies(self.calls(version, procedure, arguments, **kw), results)

    def getport(self, program, version, proto, port, **kw):
        self.ask(2, GETPORT, mapping(program, version, proto), words(port), **kw)

    def getaddr(self, program, version, netid, address, rpcbind_version=4, procedure=GETADDR):
        self.ask(rpcbind_version, procedure, rpcb(program, version, netid), opaque(address))

    def usable(self):
        """Bytes still pass in both directions; NULL opens nothing."""
        self.ask(2, 0, b"", b"")


# --- a real client, one call at a time --------------------------------------------------------


class RpcError(Exception):
    pass


class Client:
    """Calls real servers; address is the source address."""

    def __init__(self, ns, family=4, address=None, server=None):
        self.ns, self.family = ns, family
        self.address = address or ADDRESS[CLIENT, family]
        self.server = server or ADDRESS[SERVER, family]

    def connect(self, port, seconds=3):
        sock = self.ns.socket(FAMILY[self.family])
        sock.settimeout(seconds)
        try:
            sock.bind((self.address, 0))
            sock.connect((self.server, port))
        except OSError:
            sock.close()
            raise
        return sock

    def call(self, port, proto, program, version, procedure=0, arguments=b"", seconds=3, sock=None):
        """The results of one call; raises OSError when no answer comes, RpcError for a bad one."""
        xid = fresh_xid()
        message = call(xid, version, procedure, arguments, program=program)
        if proto == "udp":
            with datagrams(self.ns, self.family, self.address) as own:
                own.connect((self.server, port))
                own.settimeout(seconds)
                own.send(message)
                answer = own.recv(65536)
        elif sock is None:
            with self.connect(port, seconds) as own:
                answer = self.over_stream(own, message, seconds)
        else:
            answer = self.over_stream(sock, message, seconds)
        return results_of(xid, answer)

    @staticmethod
    def over_stream(sock, message, seconds):
        sock.sendall(record(message))
        answer, mark = b"", 0
        while not mark & LAST:
            (mark,) = struct.unpack("!I", receive(sock, 4, seconds))
            answer += receive(sock, mark & ~LAST, seconds)
        return answer

    def getport(self, program, version, proto):
        """Asks rpcbind: version 2 by TCP over IPv4; version 3 over IPv6, as mount.nfs does, and there
        by the transport that is asked for, since rpcbind answers for that."""
        if self.family == 4:
            arguments = mapping(program, version, proto)
            return struct.unpack("!I", self.call(111, "tcp", PORTMAP, 2, GETPORT, arguments))[0]
        # Among several addresses of its own, rpcbind answers with the one that the question names.
        arguments = rpcb(program, version, proto + "6", uaddr(self.server, 111))
        results = self.call(111, proto, PORTMAP, 3, GETADDR, arguments)
        (size,) = struct.unpack("!I", results[:4])
        text = results[4 : 4 + size].decode()
        high, low = text.split(".")[-2:] if text else (0, 0)
        return (int(high) << 8) + int(low)


def results_of(xid, answer):
    got, kind, status, _, size = struct.unpack("!5I", answer[:20])
    if (got, kind, status) != (xid, 1, 0):
        raise RpcError(f"answer {answer[:20].hex()} to call 0x{xid:08x}")
    (accepted,) = struct.unpack("!I", answer[20 + size : 24 + size])
    if accepted:
        raise RpcError(f"accept status {accepted}")
    return answer[24 + size :]


class Registration:
    """A program of ours at the rpcbind of its own host, which takes registrations by its local
    socket only (RFC 1833 section 2.2.1). rpcbind is an nfs.Rpcbind."""

    def __init__(self, rpcbind, program, version, proto, port, family=4):
        self.socket_path = os.path.join(rpcbind.host.run_dir, "rpcbind.sock")
        self.program, self.version = program, version
        self.netid = proto + ("6" if family == 6 else "")
        self.wildcard = {4: "0.0.0.0", 6: "::"}[family]
        self.port = None
        self.move(port)

    def _call(self, procedure, address):
        xid = fresh_xid()
        arguments = rpcb(self.program, self.version, self.netid, address, "superuser")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(self.socket_path)
            answer = Client.over_stream(sock, call(xid, 4, procedure, arguments), 5)
        return struct.unpack("!I", results_of(xid, answer))[0]

    def unset(self):
        if self.port is not None:
            self._call(UNSET, "")
            self.port = None

    def move(self, port):
        self.unset()
        if not self._call(SET, uaddr(self.wildcard, port)):
            raise RpcError(f"rpcbind does not take program {self.program} at {port}")
        self.port = port
