# SPDX-License-Identifier: GPL-2.0-or-later
"""Both ends of an FTP control connection in one hand, for peers that no real program would be.

What one end sends is read at the other before the call returns. pinholed lets a packet go only
after it has acted on it, so then everything that the packet may cause has been caused.
"""

import select
import socket

from .topology import ADDRESS, CLIENT, SERVER

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def listen(ns, family, address, port=0, backlog=128):
    sock = ns.socket(FAMILY[family])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(backlog)
    sock.settimeout(5)
    return sock


def port_of(sock):
    return sock.getsockname()[1]


def start_connect(ns, family, address, port, source_port=0):
    """A socket whose SYN is on its way, or that the local firewall has refused already."""
    sock = ns.socket(FAMILY[family])
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if source_port:
        sock.bind(("", source_port))
    try:
        sock.connect_ex((address, port))
    except PermissionError:
        pass
    return sock


def connected(sock, seconds):
    """True when the connection gets established within this time."""
    poll = select.poll()  # not select(): it knows no descriptor above 1023
    poll.register(sock, select.POLLOUT)
    if not poll.poll(seconds * 1000):
        return False
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and _has_peer(sock)


def _has_peer(sock):
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def receive(sock, size, seconds=5):
    """Exactly this many bytes."""
    sock.settimeout(seconds)
    data = b""
    while len(data) < size:
        part = sock.recv(min(1 << 16, size - len(data)))
        if not part:
            raise ConnectionError(f"closed after {len(data)} of {size} bytes")
        data += part
    return data


class Listener:
    """The server's end of port 21, with nobody real behind it."""

    def __init__(self, topology, family=4):
        self.topology, self.family = topology, family
        self.socket = listen(topology.server, family, ADDRESS[SERVER, family], 21, backlog=4096)

    def dialogue(self, destination=None):
        return Dialogue(self, destination)

    def close(self):
        self.socket.close()


class Dialogue:
    """One control connection; destination is where the client believes the server to be."""

    def __init__(self, listener, destination=None):
        self.family = listener.family
        self.topology = listener.topology
        self.client = self.topology.client.socket(FAMILY[self.family])
        self.client.settimeout(5)
        self.client.connect((destination or ADDRESS[SERVER, self.family], 21))
        self.server, _ = listener.socket.accept()
        for sock in (self.client, self.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server_sends("220 ready\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.client.close()
        self.server.close()

    @staticmethod
    def _pass(source, target, data):
        data = data.encode("latin-1") if isinstance(data, str) else data
        source.settimeout(5)
        while data:
            source.sendall(data[:32768])
            if receive(target, len(data[:32768])) != data[:32768]:
                raise ConnectionError("the other end got other bytes")
            data = data[32768:]

    def client_sends(self, data):
        self._pass(self.client, self.server, data)

    def server_sends(self, data):
        self._pass(self.server, self.client, data)

    def exchange(self, command, reply):
        self.client_sends(f"{command}\r\n")
        self.server_sends(f"{reply}\r\n")

    def usable(self):
        """The control connection still works in both directions."""
        self.exchange("NOOP", "200 still here")

    # --- data connections ---

    def passive_listener(self):
        """A socket on which the server waits for data connections."""
        return listen(self.topology.server, self.family, ADDRESS[SERVER, self.family])

    def active_listener(self):
        """A socket on which the client waits for data connections."""
        return listen(self.topology.client, self.family, ADDRESS[CLIENT, self.family])

    def pasv(self, port):
        """A whole and honest PASV or EPSV exchange."""
        if self.family == 6:
            self.exchange("EPSV", f"229 Entering Extended Passive Mode (|||{port}|)")
        else:
            self.exchange("PASV", f"227 Entering Passive Mode ({host_port(ADDRESS[SERVER, 4], port)}).")

    def port(self, port, reply="200 fine"):
        """A whole and honest PORT or EPRT exchange."""
        if self.family == 6:
            self.exchange(f"EPRT |2|{ADDRESS[CLIENT, 6]}|{port}|", reply)
        else:
            self.exchange(f"PORT {host_port(ADDRESS[CLIENT, 4], port)}", reply)

    def connect_data(self, port):
        """client to server, started"""
        return start_connect(
            self.topology.client, self.family, ADDRESS[SERVER, self.family], port
        )

    def connect_back(self, port, source_port=20):
        """server to client, started"""
        return start_connect(
            self.topology.server, self.family, ADDRESS[CLIENT, self.family], port, source_port
        )


def host_port(address, port):
    """RFC 959's h1,h2,h3,h4,p1,p2."""
    return f"{address.replace('.', ',')},{port >> 8},{port & 255}"
