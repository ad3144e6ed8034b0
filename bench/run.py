#!/usr/bin/env python3
"""Measure soquete against its peers: same machine, same run, alternating.

Builds nothing: `make bench` has built the programs into build/bench. Prints a table
and writes every raw figure as JSON. How to read it, and how to add a row: README.md.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys

from figures import columns, median, progress, ratios, rotated, show, show_ratio
from names import NAMES
from programs import Bench, Failure, Server, usable
from tls import TLS

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOISE_PERCENT = 2  # kept off its core for more than this: the measurement is noisy


# What is measured. A row more is a line more.


@dataclasses.dataclass(frozen=True)
class Requests:
    """Clients that send a message and get it back, at several numbers of clients."""

    name: str
    servers: tuple
    baseline: str  # the server that ratios and the common rate refer to
    clients: tuple = (1, 64, 1000)
    message_bytes: int = 64

    def run(self, bench):
        return run_requests(self, bench)

    def table(self, result):
        return table_requests(self, result)


BENCHMARKS = (
    Requests(
        name="echo",
        baseline="raw epoll",
        servers=(
            Server("soquete uring", "soquete_echo", {"SOQUETE_ENGINE": "uring"}),
            Server("soquete epoll", "soquete_echo", {"SOQUETE_ENGINE": "epoll"}),
            Server("raw epoll", "peer_epoll"),
            Server("raw io_uring", "peer_uring", package="liburing-dev"),
            Server("libuv", "peer_uv", package="libuv1-dev"),
        ),
    ),
    *TLS,
    *NAMES,
)


# The benchmark of requests and replies.


def run_requests(this, bench):
    """All closed-loop rounds, then all open-loop rounds at the rate found in them."""
    servers = usable(bench, this.servers)
    cells = [
        {"server": s.name, "clients": n, "closed": [], "open": []}
        for n in bench.options.clients or this.clients
        for s in servers
    ]
    by_name = {s.name: s for s in servers}
    for mode in ("closed", "open"):
        rates = common_rates(this, cells) if mode == "open" else {}
        for number in range(bench.options.rounds):
            for n in sorted({c["clients"] for c in cells}):
                group = [c for c in cells if c["clients"] == n]
                for cell in rotated(group, number):
                    progress(f"{this.name}: {mode} loop, round {number + 1}, "
                             f"{n} clients, {cell['server']}")
                    figures = measure(this, bench, by_name[cell["server"]], n, mode, rates)
                    if figures:
                        cell[mode].append({"round": number, **figures})
    progress("")
    for cell in cells:
        cell["summary"] = summary(this, cell, cells)
    return {"name": this.name, "message_bytes": this.message_bytes,
            "baseline": this.baseline, "cells": cells}


def measure(this, bench, server, clients, mode, rates):
    """One server, started for this alone. None, and an error noted, when it fails."""
    options = {"mode": mode, "clients": clients, "bytes": this.message_bytes}
    if mode == "open":
        if clients not in rates:
            return None
        options["rate"] = rates[clients]
    try:
        with bench.server(server) as (pid, port):
            return bench.load(port=port, pid=pid, **options)
    except Failure as failure:
        bench.fail(f"{this.name}, {server.name}, {clients} clients, {mode} loop", failure)
        return None


def common_rates(this, cells):
    """Half of what the baseline reached in the closed loop, by number of clients; without
    a baseline, half of the slowest."""
    rates = {}
    for n in {c["clients"] for c in cells}:
        reached = {c["server"]: median(c["closed"], "requests_per_s")
                   for c in cells if c["clients"] == n and c["closed"]}
        if reached:
            rates[n] = max(1, round(reached.get(this.baseline, min(reached.values())) / 2))
    return rates


def summary(this, cell, cells):
    base = next((c for c in cells if c["server"] == this.baseline
                 and c["clients"] == cell["clients"]), {"closed": [], "open": []})
    closed, opened = cell["closed"], cell["open"]
    return {
        "requests_per_s": median(closed, "requests_per_s"),
        "generator_limited": sum(r["generator_limited"] for r in closed) * 2 > len(closed),
        "server_busy_percent": median(closed, "server_busy_percent"),
        "cpu_us_per_request": median(closed, "server_cpu_us_per_request"),
        "cpu_ratio": ratios(closed, base["closed"]),
        "open": {
            "rate_per_s": median(opened, "rate_per_s"),
            "cpu_us_per_request": median(opened, "server_cpu_us_per_request"),
            "cpu_ratio": ratios(opened, base["open"]),
            "p50_us": median(opened, "latency", "p50_us"),
            "p99_us": median(opened, "latency", "p99_us"),
            "p999_us": median(opened, "latency", "p999_us"),
            "unanswered": sum(r["unanswered"] for r in opened),
            "generator_limited": sum(r["generator_limited"] for r in opened) * 2 > len(opened),
        },
    }


def row_requests(cell):
    s, o = cell["summary"], cell["summary"]["open"]
    return [
        cell["server"],
        show(s["requests_per_s"]) + ("*" if s["generator_limited"] else ""),
        show(s["server_busy_percent"]),
        show(s["cpu_us_per_request"], 2),
        show_ratio(s["cpu_ratio"]),
        show(o["cpu_us_per_request"], 2),
        show_ratio(o["cpu_ratio"]),
        show(o["p50_us"], 1),
        show(o["p99_us"], 1),
        show(o["p999_us"], 1) + ("+" if o["generator_limited"] else "")
        + ("!" if o["unanswered"] else ""),
    ]


def table_requests(this, result):
    """A table for each number of clients: closed loop, then open loop."""
    head = [this.name, "requests/s", "busy %", "CPU \u00b5s", f"to {this.baseline}",
            "| CPU \u00b5s", f"to {this.baseline}", "p50 \u00b5s", "p99 \u00b5s", "p99.9 \u00b5s"]
    text = ""
    for n in sorted({c["clients"] for c in result["cells"]}):
        group = [c for c in result["cells"] if c["clients"] == n]
        rate = median([c["summary"]["open"] for c in group], "rate_per_s")
        text += (f"\n{this.name}, {this.message_bytes} bytes, {n} client{'s' * (n > 1)}: closed "
                 f"loop | open loop at {show(rate)} requests/s\n")
        text += columns([head] + [row_requests(c) for c in group])
    text += ("CPU: the server's, user and system, a request. Ratios: median (least\u2013most) "
             "of the rounds.\n")
    rows = [c["summary"] for c in result["cells"]]
    if any(s["generator_limited"] for s in rows):
        text += "*  the load generator's core was full: a lower bound; trust the CPU time\n"
    if any(s["open"]["generator_limited"] for s in rows):
        text += "+  the load generator sent late: part of the p99 is its own\n"
    if any(s["open"]["unanswered"] for s in rows):
        text += "!  not every request was answered; they count with what they took so far\n"
    return text


# The machine.


def read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def siblings(core):
    """The hardware threads of the same core, as the kernel lists them: `0-1` or `0,4`."""
    text = read(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    found = {core}
    for part in text.split(",") if text else []:
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def choose_cores():
    """One for the server and another, of its own if there is one, for the load."""
    cores = sorted(os.sched_getaffinity(0))
    server, rest = cores[0], cores[1:]
    apart = [c for c in rest if c not in siblings(server)]
    load = (apart or rest or [server])[0]
    if load == server:
        print("only one core: server and load share it, and throughput means little")
    elif not apart:
        print(f"cores {server} and {load} are threads of one core, and share its speed")
    return server, load


def command_line(*command):
    """A command's first line, or an empty one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10,
                              check=False)
        return done.stdout.partition("\n")[0]
    return ""


def machine(bench):
    model = [line.partition(":")[2].strip() for line in read("/proc/cpuinfo").splitlines()
             if line.startswith("model name")]
    return {
        "cpu": model[0] if model else platform.machine(),
        "cores": os.cpu_count(),
        "server_core": bench.server_core,
        "load_core": bench.load_core,
        "kernel": platform.release(),
        "system": dict(platform.freedesktop_os_release()).get("PRETTY_NAME", ""),
        "liburing": command_line("pkg-config", "--modversion", "liburing"),
        "libuv": command_line("pkg-config", "--modversion", "libuv"),
        "commit": command_line("git", "describe", "--always", "--dirty"),
    }


def stolen():
    """The time that the hypervisor gave to others, and all time, in ticks: proc(5)."""
    ticks = [int(t) for t in read("/proc/stat").splitlines()[0].split()[1:9]]
    return ticks[7], sum(ticks)


def noise(results, before, after):
    """Whether the machine had other things to do."""
    measured = [r for result in results for cell in result.get("cells", ())
                for mode in ("closed", "open", "rounds") for r in cell.get(mode, [])
                if "server_kept_waiting_percent" in r]
    noisy = sum(
        max(r["server_kept_waiting_percent"] or 0, r["load_kept_waiting_percent"] or 0)
        > NOISE_PERCENT for r in measured)
    ticks = max(1, after[1] - before[1])
    return {"measurements": len(measured), "noisy": noisy,
            "stolen_percent": 100 * (after[0] - before[0]) / ticks}


def noise_text(found):
    text = ""
    if found["noisy"]:
        text += (f"{found['noisy']} of {found['measurements']} measurements shared a core for "
                 f"over {NOISE_PERCENT} % of their time: a quieter machine tells more.\n")
    if found["stolen_percent"] > 1:
        text += f"The hypervisor took {found['stolen_percent']:.1f} % of the time for others.\n"
    return text


def options_parse():
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("names", nargs="*", metavar="NAME",
                   help="benchmarks to run: " + ", ".join(b.name for b in BENCHMARKS) + " (all)")
    p.add_argument("--rounds", type=int, default=5, help="of each server, alternating (5)")
    p.add_argument("--seconds", type=float, default=2, help="of each measurement (2)")
    p.add_argument("--warmup", type=float, default=0.5, help="seconds before each (0.5)")
    p.add_argument("--clients", type=lambda t: [int(n) for n in t.split(",")],
                   help="instead of the benchmark's own, as 1,64,1000")
    p.add_argument("--quick", action="store_true",
                   help="one short round: does it work? The figures mean little")
    p.add_argument("--json", type=pathlib.Path, help="every figure (build/bench.json)")
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build",
                   help="the build folder (build)")
    options = p.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.warmup = 1, 0.3, 0.1
    unknown = set(options.names) - {b.name for b in BENCHMARKS}
    if unknown or options.rounds < 1 or options.seconds <= 0 or options.warmup < 0:
        p.error(f"no benchmark is called {unknown.pop()}" if unknown
                else "rounds and seconds are positive")
    options.json = options.json or options.build / "bench.json"
    options.build = options.build.resolve()
    return options


def main():
    options = options_parse()
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    # Ends through every `finally` on the way, which end what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options, *choose_cores())
    if not bench.program("load").exists():
        sys.exit(f"{bench.program('load')} is not built: make bench builds it")
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    before = stolen()
    results = []
    for benchmark in BENCHMARKS:
        if not options.names or benchmark.name in options.names:
            results.append(benchmark.run(bench))
            print(benchmark.table(results[-1]))
    found = noise(results, before, stolen())
    about = machine(bench)
    options.json.write_text(json.dumps({
        "date": date, "machine": about, "rounds": options.rounds, "seconds": options.seconds,
        "warmup_seconds": options.warmup, "noise": found, "left_out": bench.left_out,
        "errors": bench.errors, "benchmarks": results,
    }, indent=1) + "\n", encoding="utf-8")
    print(noise_text(found) + f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, "
          f"{date}; server on core {bench.server_core}, load on core {bench.load_core}; "
          f"rounds: {options.rounds}, of {options.seconds} s")
    print(f"raw figures: {options.json}")
    return 1 if bench.errors else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
