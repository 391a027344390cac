# SPDX-License-Identifier: GPL-2.0-or-later
"""curl and lftp, each doing one transfer in one mode, and the proof that it was that mode."""

import os
import re
import subprocess

from .netns import tool
from .servers import DATA
from .tap import Failure

# (family, command that announces the data connection)
MODES = ((4, "PASV"), (4, "EPSV"), (4, "PORT"), (4, "EPRT"), (6, "EPSV"), (6, "EPRT"))
PASSIVE = tuple(mode for mode in MODES if mode[1] in ("PASV", "EPSV"))
OPERATIONS = ("download", "upload", "list")
ANNOUNCING = {"PASV", "EPSV", "PORT", "EPRT"}

# TLS goes no higher than 1.2: a 1.3 server sends tickets on each data connection, a client that only
# uploads closes without having read them, its kernel resets, and the server calls that a failure.

_counter = iter(range(1, 1 << 30))


class Transfer:
    """What a client did: whether it succeeded, which commands it sent, which bytes came."""

    def __init__(self, done, commands, data):
        self.status = done.returncode
        self.trace = done.stderr if isinstance(done.stderr, str) else done.stderr.decode(errors="replace")
        self.commands = commands
        self.data = data


class Client:
    """A client program in one namespace; address is the server's, by family."""

    def __init__(self, lab, ns, address, port=21):
        self.lab, self.ns, self.address, self.port = lab, ns, address, port
        self.home = lab.dir("client")

    def transfer(self, mode, operation, site, connect_timeout=3, max_time=10, tls=False):
        """One transfer; raises Failure unless it moved the right bytes in the wanted mode."""
        family, verb = mode
        name = f"up-{next(_counter)}"
        result = self.run(family, verb, operation, name, connect_timeout, max_time, tls)
        if result.status != 0:
            raise Failure(f"{self.name} {verb} {operation} ended with {result.status}:\n{result.trace}")
        used = set(result.commands) & ANNOUNCING
        if used != {verb}:
            raise Failure(f"{self.name} used {sorted(used)}, not {verb}:\n{result.trace}")
        if operation == "download" and result.data != DATA:
            raise Failure(f"{self.name} got {len(result.data)} bytes, not the file")
        if operation == "upload" and site.uploaded(name) != DATA:
            raise Failure(f"{self.name} sent {len(site.uploaded(name))} bytes, not the file")
        if operation == "list" and b"upload" not in result.data:
            raise Failure(f"{self.name} got this listing: {result.data!r}")
        return result

    def fails(self, mode, operation, max_time=2):
        """True when the transfer does not work; it has this many seconds to try."""
        family, verb = mode
        name = f"up-{next(_counter)}"
        result = self.run(family, verb, operation, name, max_time, max_time, False)
        if "227 " not in result.trace and "229 " not in result.trace:
            if not re.search(rf"[>-] {verb}", result.trace):
                raise Failure(f"{self.name} never got as far as {verb}:\n{result.trace}")
        return result.status != 0

    def _host(self, family):
        address = self.address[family]
        return (f"[{address}]" if family == 6 else address) + (f":{self.port}" if self.port != 21 else "")

    def _execute(self, command, env, seconds, stdin=None):
        with self.ns.entered():
            return subprocess.run(
                command, env=env, input=stdin, capture_output=True, timeout=seconds, cwd=self.home
            )


class Curl(Client):
    name = "curl"
    modes = MODES
    FLAGS = {
        "PASV": ["--disable-epsv"],
        "EPSV": [],
        "PORT": ["--ftp-port", "-", "--disable-eprt"],
        "EPRT": ["--ftp-port", "-"],
    }

    def command(self, family, verb, path, *more, connect_timeout=3, max_time=10):
        curl, env = tool("curl")
        url = f"ftp://{self._host(family)}/{path}"
        timeouts = ["--connect-timeout", str(connect_timeout), "--max-time", str(max_time)]
        return [curl, "-q", "-sS", "-v", "-g", *timeouts, *self.FLAGS[verb], *more, url], env

    def run(self, family, verb, operation, name, connect_timeout, max_time, tls):
        path = {"download": "data", "upload": f"upload/{name}", "list": ""}[operation]
        more = ["-T", "-"] if operation == "upload" else []
        more += ["--ssl-reqd", "--insecure", "--tls-max", "1.2"] if tls else []
        command, env = self.command(
            family, verb, path, *more, connect_timeout=connect_timeout, max_time=max_time
        )
        stdin = DATA if operation == "upload" else b""
        done = self._execute(command, env, max_time + 5, stdin)
        trace = done.stderr.decode(errors="replace")
        return Transfer(done, re.findall(r"^> ([A-Z]+)", trace, re.M), done.stdout)


class Lftp(Client):
    name = "lftp"
    modes = tuple(m for m in MODES if m != (4, "EPRT"))  # it uses PORT over IPv4
    SETTINGS = {
        "PASV": "set ftp:passive-mode yes; set ftp:prefer-epsv no",
        "EPSV": "set ftp:passive-mode yes; set ftp:prefer-epsv yes",
        "PORT": "set ftp:passive-mode no",
        "EPRT": "set ftp:passive-mode no",
    }

    def run(self, family, verb, operation, name, connect_timeout, max_time, tls):
        lftp, env = tool("lftp")
        work = os.path.join(self.home, name)
        if operation == "upload":
            self.lab.file(f"client/{name}", DATA)
        tls_wish = "yes" if tls else "no"
        script = [
            "set net:timeout %d; set net:max-retries 1; set net:reconnect-interval-base 1"
            % connect_timeout,
            "set cmd:fail-exit yes; set ftp:sync-mode yes; set ftp:auto-passive-mode no",
            "set ftp:use-mlsd no; set ftp:use-site-utime no; set ftp:use-site-utime2 no;",
            f"set ftp:ssl-allow {tls_wish}; set ftp:ssl-force {tls_wish}",
            f"set ftp:ssl-protect-data {tls_wish}; set ssl:verify-certificate no",
            "set ssl:priority NORMAL:-VERS-TLS1.3",
            self.SETTINGS[verb],
            "debug 5",
            f"open -u anonymous,test ftp://{self._host(family)}/",
            {
                "download": f"get data -o {work}",
                "upload": f"put {work} -o upload/{name}",
                "list": "ls",
            }[operation],
        ]
        command = [lftp, "--norc", "-c", "; ".join(script)]
        try:
            done = self._execute(command, dict(env, HOME=self.home), max_time)
        except subprocess.TimeoutExpired as e:
            done = subprocess.CompletedProcess(command, 124, e.stdout or b"", e.stderr or b"")
        data = done.stdout
        if operation == "download" and done.returncode == 0:
            with open(work, "rb") as f:
                data = f.read()
        trace = done.stderr.decode(errors="replace")
        if os.path.exists(work):
            os.unlink(work)
        return Transfer(done, re.findall(r"^---> ([A-Z]+)", trace, re.M), data)
