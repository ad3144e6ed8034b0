"""kit.py - what the cases are made of: owned processes, servers, temporary folders.

Every process that a case starts has an owner (a `with` block) that ends it, and dies with
this program besides (prctl(2), PR_SET_PDEATHSIG). Nothing here sleeps: a case waits for a
line, for bytes, for an end. Every port is 0.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

PATIENCE_S = 30  # for any single event; only a failing case waits that long

SHAPES = ["iterative", "process", "thread", "fiber"]

socket.setdefaulttimeout(PATIENCE_S)

_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A check that did not hold."""


class Skip(Exception):
    """A case that cannot run here, and why."""


class Case:
    def __init__(self, name, run, needs):
        self.name, self.run, self.needs = name, run, needs


cases = []


def case(needs=(), each=((),)):
    """Register a case. needs: "program" or "program:package"; each: rows of arguments, one
    case for each of them."""

    def register(function):
        for row in each:
            row = row if isinstance(row, (tuple, list)) else (row,)
            words = [function.__name__] + [str(word) for word in row]
            cases.append(Case(" ".join(words), lambda row=row: function(*row), needs))
        return function

    return register


def check(ok, *what):
    if not ok:
        raise Failure(" ".join(str(word) for word in what))


def check_eq(got, want, *what):
    if got != want:
        raise Failure(f"{' '.join(str(w) for w in what)}: got {shorten(got)}, want {shorten(want)}")


def check_in(part, whole, *what):
    if part not in whole:
        raise Failure(f"{' '.join(str(w) for w in what)}: no {shorten(part)} in {shorten(whole)}")


def shorten(value):
    text = repr(value)
    return text if len(text) < 2000 else f"{text[:900]} ... {text[-900:]} ({len(value)} in all)"


class Build:
    """Where the programs under test are."""

    dir = "build"

    @classmethod
    def tool(cls):
        return os.path.join(cls.dir, "soquete")

    @classmethod
    def example(cls, name):
        return os.path.join(cls.dir, "examples", name)

    @classmethod
    def engines(cls):
        out = subprocess.run([cls.tool(), "--version"], capture_output=True, text=True, check=True)
        return [line.split()[1].rstrip(":") for line in out.stdout.splitlines()
                if line.startswith("engine ") and "works here" in line]


def need_engine(engine):
    if engine not in Build.engines():
        raise Skip(f"io_uring_setup: engine {engine} does not work on this machine")


def both(*rows):
    """Rows of arguments, each once for every engine."""
    return [(*(row if isinstance(row, tuple) else (row,)), engine)
            for row in rows for engine in ("uring", "epoll")]


def die_with_parent():
    """What a child does first."""
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class _Flow:
    """What has come from one of a process's outputs."""

    def __init__(self, file):
        self.file, self.data, self.ended = file, b"", False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            piece = self.file.read1(65536)
            with self.changed:
                self.data += piece
                self.ended = not piece
                self.changed.notify_all()
            if not piece:
                return

    def wait(self, ready, what):
        """Wait until ready(data) is true, and return that."""
        with self.changed:
            result = ready(self.data)
            deadline = time.monotonic() + PATIENCE_S
            while not result:
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise Failure(f"{what}: {'ended' if self.ended else 'waited'} with "
                                  f"{shorten(self.data)}")
                self.changed.wait(left)
                result = ready(self.data)
            return result


class Child:
    """A process that the `with` block owns: it and its children are gone at its end."""

    def __init__(self, *args, stdin=subprocess.DEVNULL, **options):
        self.args = [str(arg) for arg in args]
        self.process = subprocess.Popen(
            self.args, stdin=stdin, stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=options.pop("preexec_fn", die_with_parent), **options)
        self.out = _Flow(self.process.stdout) if self.process.stdout else None
        self.err = _Flow(self.process.stderr)
        self.pid = self.process.pid
        self.stdin = self.process.stdin

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.stdin:
            with contextlib.suppress(OSError):
                self.stdin.close()
        self.process.wait()

    def say(self, data):
        self.stdin.write(data)
        self.stdin.flush()

    def kill(self, number):
        os.kill(self.pid, number)

    def wait_line(self, start, flow=None):
        """The first line that begins with `start`, without it."""
        start = start.encode()

        def ready(data):
            for line in data.split(b"\n")[:-1]:
                if line.startswith(start):
                    return (line[len(start):],)

        return (flow or self.out).wait(ready, f"{self.args}: line '{start.decode()}'")[0].decode()

    def wait_out(self, part):
        self.out.wait(lambda data: part in data, f"{self.args}: output {shorten(part)}")

    def wait_err(self, part):
        self.err.wait(lambda data: part in data, f"{self.args}: errors {shorten(part)}")

    def finish(self):
        """Wait for its end. Returns status, output, errors."""
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.args} does not end; it said "
                          f"{shorten(self.out.data if self.out else b'')} "
                          f"{shorten(self.err.data)}") from None
        for flow in (self.out, self.err):
            if flow:
                flow.thread.join(PATIENCE_S)
        return status, self.out.data if self.out else b"", self.err.data

    def succeed(self, *what):
        """Wait for its end, with status 0. Returns the output."""
        status, out, err = self.finish()
        check_eq(status, 0, *what, self.args, shorten(err))
        return out


def run(*args, stdin=b"", status=0, **options):
    """Run a program to its end. Returns output and errors."""
    with Child(*args, stdin=subprocess.PIPE, **options) as child:
        writer = threading.Thread(target=_feed, args=(child.stdin, stdin), daemon=True)
        writer.start()
        got, out, err = child.finish()
        check_eq(got, status, "exit status of", args, shorten(err))
        return out, err


def _feed(file, data):
    with contextlib.suppress(OSError):
        file.write(data)
        file.close()


def tool(*args, **options):
    return run(Build.tool(), *args, **options)


def connect(*args, **options):
    return Child(Build.tool(), "connect", *args, **options)


@contextlib.contextmanager
def listen(*args, **options):
    """`soquete listen`, once it listens; .endpoint is where."""
    with Child(Build.tool(), "listen", *args, **options) as child:
        child.endpoint = child.wait_line("listening ", child.err)
        yield child


@contextlib.contextmanager
def serve(*args, **options):
    """`soquete serve`, once it is ready; .endpoints is a list of (service, endpoint)."""
    with Child(Build.tool(), "serve", *args, **options) as child:
        child.wait_line("ready")
        lines = child.out.data.decode().splitlines()
        child.endpoints = [tuple(line.split()) for line in lines[:lines.index("ready")]]
        yield child


def address(endpoint):
    """The (host, port) of tcp://127.0.0.1:80."""
    host, port = endpoint.split("://")[-1].rsplit(":", 1)
    return host.strip("[]"), int(port)


def url(server, path="/"):
    return "http://%s:%d%s" % (*address(server.endpoints[0][1]), path)


def dial(endpoint):
    """A connected Python socket. Nothing waits for ever on it."""
    s = socket.create_connection(address(endpoint), PATIENCE_S)
    return s


def refused(endpoint):
    """Whether nobody listens there."""
    try:
        with socket.create_connection(address(endpoint), 0.2):
            return False
    except OSError:
        return True


def recv_all(s):
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            return data
        data += piece


def recv_exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        check(piece, "the peer ended after", len(data), "of", n, "bytes")
        data += piece
    return data


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="soquete.")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def eventually(true, what):
    """Wait for a state that has no event of its own, such as one in /proc."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        check(time.monotonic() < deadline, "not yet:", what)
        time.sleep(0.01)


def listening_port(pid):
    """The TCP port that a process listens on, for those that do not tell."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    for family in ("tcp", "udp"):
        with open(f"/proc/net/{family}") as f:
            for line in f.readlines()[1:]:
                words = line.split()
                if words[9] in inodes and words[3] in ("0A", "07"):
                    return int(words[1].split(":")[1], 16)
    return None


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def memory_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def memory_is_watched():
    """Whether what is used tells anything: a sanitizer keeps what was freed."""
    return not Build.dir.endswith(("asan", "tsan"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
