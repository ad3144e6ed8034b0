"""Rows about names: lookups, and connecting where one of a name's addresses is a black hole."""

import dataclasses
import json
import os
import shutil
import subprocess

from figures import rounds_of, table_of
from programs import Failure

WINDOW_SECONDS = 0.7  # of each measurement, or less
HOLE = "hole.bench.example:8080"


@dataclasses.dataclass(frozen=True)
class Asker:
    """A program that looks names up, in a network of its own: lab.sh."""

    name: str
    program: str  # in build/bench, or a command
    args: tuple  # of a connecting one
    env: dict = dataclasses.field(default_factory=dict)
    package: str = ""

    def check(self, bench):
        if self.program == "peer_names":
            build_go(bench)
        if not bench.program(self.program).exists() and not shutil.which(self.program):
            raise Failure(f"{self.program}: not there (it needs: {self.package})")

    def run(self, bench, *args):
        """What it prints, of which lab.sh says why there is none."""
        path = bench.program(self.program)
        command = lab(bench, "env", *(f"{key}={value}" for key, value in self.env.items()),
                      path if path.exists() else self.program, *args)
        return bench.run(command, bench.server_core, WINDOW_SECONDS)


def lab(bench, *command):
    """A command in the network of its own."""
    return [bench.folder / "lab.sh", bench.program("peer_dns"), str(bench.load_core), *command]


def build_go(bench):
    """Go's own resolver, compiled once: it needs no library of ours."""
    source, program = bench.folder / "peer_names.go", bench.program("peer_names")
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return
    if not shutil.which("go"):
        raise Failure("go: not installed (golang-go)")
    built = subprocess.run(["go", "build", "-o", program, source], capture_output=True, text=True,
                           env={**os.environ, "CGO_ENABLED": "0"}, timeout=120, check=False)
    if built.returncode != 0:
        raise Failure(f"go build: {built.stderr.strip()}")


SOQUETE = (
    Asker("soquete uring", "soquete_names", ("connect", f"tcp://{HOLE}"),
          {"SOQUETE_ENGINE": "uring"}, "libc-ares-dev"),
    Asker("soquete epoll", "soquete_names", ("connect", f"tcp://{HOLE}"),
          {"SOQUETE_ENGINE": "epoll"}, "libc-ares-dev"),
)
GO = Asker("Go", "peer_names", ("connect", HOLE), {}, "golang-go")
GETADDRINFO = Asker("getaddrinfo, 8 threads", "peer_getaddrinfo", ())
CURL = Asker("curl", "curl", ("-s", "-o", "/dev/null", "-w", "%{time_connect}\\n",
                              f"http://{HOLE}/"), {}, "curl")


@dataclasses.dataclass(frozen=True)
class Names:
    """Programs that look names up or connect to them."""

    name: str
    title: str
    askers: tuple
    baseline: str
    shown: tuple
    compared: str
    mode: str = ""  # of lookups.h; without one, the programs connect

    def run(self, bench):
        usable = []
        try:
            bench.run(lab(bench, "true"), bench.server_core, 1)
        except Failure as failure:
            bench.leave_out(self.name, failure)
            return {"name": self.name, "baseline": self.baseline, "cells": []}
        for asker in self.askers:
            try:
                asker.check(bench)
                usable.append(asker)
            except Failure as failure:
                bench.leave_out(asker.name, failure)
        cells = rounds_of(self, bench, usable, lambda a: self.measure(bench, a))
        return {"name": self.name, "baseline": self.baseline, "cells": cells}

    def measure(self, bench, asker):
        seconds = str(min(WINDOW_SECONDS, bench.options.seconds))
        try:
            if self.mode:
                return json.loads(asker.run(bench, self.mode, seconds))
            return {"connect_ms": connect_ms(asker, bench)}
        except Failure as failure:
            bench.fail(f"{self.name}, {asker.name}", failure)
            return None

    def table(self, result):
        if not result["cells"]:
            return ""
        return table_of(f"{self.name}: {self.title}", result["cells"], self.baseline, self.shown,
                        self.compared)


def connect_ms(asker, bench):
    """Milliseconds; curl says seconds."""
    took = float(asker.run(bench, *asker.args))
    return took * 1e3 if asker is CURL else took


LOOKUPS = (("lookups/s", "lookups_per_s", 0), ("busy %", "cpu_percent", 0),
           ("CPU \u00b5s each", "cpu_us_per_lookup", 1))

NAMES = (
    Names("names-new", "each name once", (*SOQUETE, GETADDRINFO, GO), GETADDRINFO.name, LOOKUPS,
          "cpu_us_per_lookup", "new"),
    Names("names-kept", "100 names again and again", (*SOQUETE, GETADDRINFO, GO),
          GETADDRINFO.name, LOOKUPS, "cpu_us_per_lookup", "kept"),
    Names("names-connect", "where IPv6 is a black hole", (*SOQUETE, CURL, GO), CURL.name,
          (("ms to connect", "connect_ms", 0),), "connect_ms"),
)
