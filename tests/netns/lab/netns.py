# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces, the processes in them, and the certainty that both are gone at the end."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from . import poll, tap

PREFIX = "phl"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TOOLS = os.path.join(ROOT, "build", "lab", "root")  # what tests/lab.sh test-servers unpacked

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


class CommandFailed(Exception):
    pass


def sh(*command, stdin=None, env=None):
    """Runs a command in the current namespace; returns its output or raises with its complaint."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=env or environment())
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


def environment(**extra):
    """PATH and library path that find the unpacked tools first, then the host's."""
    env = dict(os.environ, LC_ALL="C", HOME="/nonexistent", PYTHONDONTWRITEBYTECODE="1")
    env["PATH"] = os.pathsep.join(
        [f"{TOOLS}/usr/sbin", f"{TOOLS}/usr/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    )
    env.update(extra)
    return env


def missing_tools(names):
    """Which of them are not here, as a reason to skip, or ""."""
    gone = [name for name in names if not shutil.which(name, path=environment()["PATH"])]
    return f"not among the unpacked packages: {', '.join(gone)}" if gone else ""


def require_tools(names):
    """Ends the test file with a loud skip when this distribution does not have the programs."""
    if why := missing_tools(names):
        tap.skip_all(why)


def tool(name):
    """A test server or client: its path and the environment that it needs."""
    path = shutil.which(name, path=environment()["PATH"])
    if path is None:
        raise CommandFailed(f"no {name} here: run tests/lab.sh test-servers")
    if not path.startswith(TOOLS):
        return path, environment()
    machine = f"{os.uname().machine}-linux-gnu"
    libraries = (f"/usr/lib/{machine}", f"/lib/{machine}", "/usr/lib64", "/lib64")
    return path, environment(LD_LIBRARY_PATH=os.pathsep.join(TOOLS + d for d in libraries))


class Process:
    """A child with its output in a file. Ended by its pid, never by name."""

    def __init__(self, popen, log_path):
        self.popen = popen
        self.pid = popen.pid
        self.log_path = log_path

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, seconds=5.0):
        return self.popen.wait(seconds)

    def stop(self, seconds=5.0):
        """SIGTERM, then SIGKILL for who will not listen. Returns the exit status."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()


class Netns:
    """One network namespace, known to ip(8) by its name."""

    def __init__(self, name, exists=False):
        self.name = name
        self.path = f"/run/netns/{name}"
        if not exists:
            sh("ip", "netns", "add", name)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside; sockets and children made here stay inside."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield self
            finally:
                _setns(home)
        finally:
            os.close(home)

    def sh(self, *command, stdin=None):
        with self.entered():
            return sh(*command, stdin=stdin)

    def run(self, command, timeout=30, **kw):
        """subprocess.run() inside, with output captured as text."""
        kw.setdefault("env", environment())
        kw.setdefault("stdin", subprocess.DEVNULL)
        with self.entered():
            return subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=timeout, **kw
            )

    def popen(self, command, **kw):
        kw.setdefault("env", environment())
        kw.setdefault("stdin", subprocess.DEVNULL)
        with self.entered():
            return subprocess.Popen(command, **kw)

    def socket(self, family, kind=socket.SOCK_STREAM, proto=0):
        with self.entered():
            return socket.socket(family, kind, proto)

    def sysctl(self, key, value):
        with self.entered(), open("/proc/sys/" + key.replace(".", "/"), "w") as f:
            f.write(str(value))

    def udp_bound(self, port):
        """True when a UDP socket has this port, in either family."""
        with self.entered():
            for table in ("udp", "udp6"):
                with open(f"/proc/thread-self/net/{table}", encoding="ascii") as f:
                    for line in list(f)[1:]:
                        if int(line.split()[1].rsplit(":", 1)[1], 16) == port:
                            return True
        return False

    def listening(self, port):
        """True when a TCP socket listens on this port, in either family."""
        with self.entered():
            for table in ("tcp", "tcp6"):
                with open(f"/proc/thread-self/net/{table}") as f:
                    for line in list(f)[1:]:
                        words = line.split()
                        if words[3] == "0A" and int(words[1].rsplit(":", 1)[1], 16) == port:
                            return True
        return False

    def pids(self):
        return [int(p) for p in sh("ip", "netns", "pids", self.name).split()]

    def delete(self):
        """Ends what still runs inside, then the namespace."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                if pid != os.getpid():
                    os.kill(pid, signal.SIGKILL)
        sh("ip", "netns", "del", self.name)


def namespaces():
    return os.listdir("/run/netns") if os.path.isdir("/run/netns") else []


def _orphans(names):
    """Those of our names whose process is no more."""
    for name in names:
        words = name.split("-")
        if words[0] == PREFIX and len(words) > 2 and words[1].isdigit():
            if not os.path.exists(f"/proc/{words[1]}"):
                yield name


def sweep():
    """Removes what earlier runs left that were killed before they could clean up."""
    for name in _orphans(namespaces()):
        with contextlib.suppress(CommandFailed):  # somebody else was faster
            Netns(name, exists=True).delete()
    for name in _orphans(os.listdir(tempfile.gettempdir())):
        shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def _exit_on_signal(number, _frame):
    sys.exit(128 + number)


class Lab:
    """Owns namespaces, processes and a temporary directory; `with` gives them all back."""

    def __init__(self):
        self.spaces = []
        self.processes = []
        self.tmp = None

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, _exit_on_signal)
        sweep()
        self.tmp = tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-")
        os.chmod(self.tmp, 0o755)  # servers look at it as nobody
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self.processes):
            if process.running():
                process.kill()
        for ns in reversed(self.spaces):
            ns.delete()
        shutil.rmtree(self.tmp, ignore_errors=True)
        left = [n for n in namespaces() if n.startswith(f"{PREFIX}-{os.getpid()}-")]
        if left:
            raise RuntimeError(f"namespaces left: {left}")

    def netns(self, word):
        ns = Netns(f"{PREFIX}-{os.getpid()}-{word}")
        self.spaces.append(ns)
        ns.sh("ip", "link", "set", "lo", "up")
        return ns

    def dir(self, name, mode=0o755):
        path = os.path.join(self.tmp, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def file(self, name, data):
        path = os.path.join(self.tmp, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb" if isinstance(data, bytes) else "w") as f:
            f.write(data)
        return path

    def spawn(self, ns, command, name, **kw):
        """Starts a process inside; its output goes to NAME.log."""
        log_path = os.path.join(self.tmp, f"{name}.log")
        with open(log_path, "ab") as log:
            popen = ns.popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **kw
            )
        process = Process(popen, log_path)
        self.processes.append(process)
        return process

    def serve(self, ns, command, name, port, **kw):
        """Starts a server and waits until it listens."""
        process = self.spawn(ns, command, name, **kw)

        def ready():
            if not process.running():
                raise CommandFailed(f"{name} ended at once: {process.log()}")
            return ns.listening(port)

        poll.until(ready, lambda: f"{name} to listen on {port}: {process.log()}")
        return process
