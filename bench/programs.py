"""The programs of a benchmark: started on a core of their own, and ended whatever happens."""

import argparse
import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess

from figures import progress

START_SECONDS = 10  # a server says where it listens within this
STOP_SECONDS = 3  # and ends within this, or is killed
LOAD_SPARE_SECONDS = 40  # beyond warm-up and window; load ends itself before that
PR_SET_PDEATHSIG = 1  # prctl(2)


class Failure(Exception):
    """A program that could not be started or did not do its work; one line."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A program of ours, which says where it listens: see peer.h."""

    name: str
    program: str  # in build/bench
    env: dict = dataclasses.field(default_factory=dict)
    package: str = ""  # what brings the library that the program needs
    args: tuple = ()

    def check(self, bench):
        """Raises Failure where the program is not there."""
        if not bench.program(self.program).exists():
            needs = f" (its library: {self.package})" if self.package else ""
            raise Failure(f"{self.program}: not built{needs}")

    def command(self, bench):
        return [bench.program(self.program), *self.args]

    def ready(self, child):
        """Waits until it listens: (pid, port) of what is measured."""
        return child.pid, server_port(self, child)


def end_with_parent():
    """In a child: whoever does not watch its standard input ends with us all the same."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclasses.dataclass
class Bench:
    """One run: its options, the cores, and what was left out."""

    options: argparse.Namespace
    server_core: int
    load_core: int
    left_out: list = dataclasses.field(default_factory=list)
    errors: list = dataclasses.field(default_factory=list)

    folder: pathlib.Path = pathlib.Path(__file__).resolve().parent  # with the sources

    def program(self, name):
        return self.options.build / "bench" / name

    @contextlib.contextmanager
    def server(self, server):
        """Start a server; yields (pid, port). Its stdin's end would end it too."""
        def prepare():
            os.sched_setaffinity(0, {self.server_core})
            end_with_parent()

        with subprocess.Popen(
            server.command(self),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **server.env},
            preexec_fn=prepare,
        ) as child:
            try:
                yield server.ready(child)
            except Failure as failure:
                if child.poll() is None:
                    raise
                last = child.stderr.read().decode(errors="replace").strip()
                raise Failure(f"{failure}; {server.program} had ended with "
                              f"{child.returncode} {last}".strip()) from None
            finally:
                stop(child)

    def load(self, program="load", seconds=None, warmup=None, **options):
        """Run a load generator; returns its figures."""
        seconds, warmup = seconds or self.options.seconds, warmup or self.options.warmup
        command = [self.program(program), f"--seconds={seconds}", f"--warmup={warmup}"]
        command += [f"--{name}={value}" for name, value in options.items()]
        return json.loads(self.run(command, self.load_core, seconds + warmup))

    def run(self, command, core, seconds):
        """Run a program that ends by itself in that time; returns what it prints."""
        name = pathlib.Path(command[0]).name
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        ) as child:
            try:
                out, err = child.communicate(timeout=seconds + LOAD_SPARE_SECONDS)
            except subprocess.TimeoutExpired:
                raise Failure(f"{name}: did not end") from None
            finally:
                if child.poll() is None:
                    child.kill()
        if child.returncode != 0:
            raise Failure(err.strip() or f"{name}: ended with {child.returncode}")
        return out

    def leave_out(self, name, reason):
        entry = {"server": name, "reason": str(reason)}
        if entry not in self.left_out:
            self.left_out.append(entry)
            print(f"left out: {name}: {reason}")

    def fail(self, where, reason):
        self.errors.append({"where": where, "reason": str(reason)})
        progress("")
        print(f"failed: {where}: {reason}")


def server_port(server, child):
    """The port of the server's first line, `127.0.0.1 PORT`."""
    readable, _, _ = select.select([child.stdout], [], [], START_SECONDS)
    words = child.stdout.readline().decode().split() if readable else []
    if len(words) == 2:
        return int(words[1])
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(1)
    raise Failure(f"{server.program}: does not say where it listens")


def stop(child):
    child.stdin.close()
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


def usable(bench, servers):
    """Those of the servers that are built and start here; the others are left out."""
    found = []
    for server in servers:
        try:
            server.check(bench)
            with bench.server(server):
                found.append(server)
        except Failure as failure:
            bench.leave_out(server.name, failure)
    return found
