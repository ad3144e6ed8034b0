#!/usr/bin/env python3
"""Plant bugs, one after the other, and see whether the tests find them.

Each patch of tests/mutations is a bug that somebody might make. It is applied to a copy of the
project, what it changes is built, and the suite runs until the first case fails. A failure
counts when the case fails again and passes without the patch: so a case that is broken, or
fails now and then, proves nothing.

The tests that are nearest to the changed file run first. A patch may name better ones in a
line "First: PROGRAM PART-OF-A-NAME"; --no-hints runs without that. Either way the whole suite
follows until something has failed.

usage: mutations.py [--list] [--no-hints] [--work DIR] [NAME...]
  NAME        only these mutations; parts of names will do
  --list      name the mutations, and say what each breaks
  --no-hints  as if no patch named a test
  --work DIR  keep the copy and its build there, and use them again

The exit status is 1 if fewer than 18 of 20 are found within a minute each, building included,
and if a patch does not apply, does not build or names a test that is not there.

MUTATION_CASE_S=10  seconds after which a case counts as hanging
"""
import argparse
import contextlib
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATCHES = "tests/mutations"
COPIED = ["Makefile", "meson.build", "meson_options.txt", "include", "src", "tests", "tool",
          "scripts", "examples", "bench", "man"]
LIMIT_S = 60
WANTED, OF = 18, 20  # found within the limit

# Where the tests of a folder are, the nearest first; then come all others, in this order.
NEAREST = {
    "src/base": ["unit-", "contract-fiber"],
    "src/engine": ["unit-", "contract-engine", "contract-fiber", "contract-net"],
    "src/fiber": ["unit-", "contract-fiber"],
    "src/net": ["contract-net"],
    "src/server": ["contract-server", "sim-server", "contract-service", "sim-service"],
    "src/proto": ["unit-", "contract-service"],
    "src/service": ["unit-", "contract-service", "sim-service"],
    "src/sim": ["sim-", "contract-net", "contract-fiber"],
}
EVERYTHING = ["unit-", "contract-fiber", "contract-net", "sim-", "contract-server",
              "contract-service", "contract-"]
# Files that only one engine uses: its runs of a contract case come first.
ENGINE_OF = {"src/engine/epoll.c": "epoll", "src/engine/uring.c": "uring", "src/sim/": "sim"}

FAILED = re.compile(r"^FAIL (.+?)  \(\d+ ms\) ?(.*)")
ITSELF = "the program itself"  # it has ended before it said how its cases did


class Rotten(Exception):
    """A patch that no longer fits the project."""


# ---- processes: none is left behind ----

running = []


def stop(process):
    """End a process, and all that it has started."""
    if process.poll() is None:
        # The harness ends its cases, which are not of its process group.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    running.remove(process)


@contextlib.contextmanager
def started(command, cwd, **environment):
    # Of a process group of its own, so that an interrupt comes to us alone.
    process = subprocess.Popen(command, cwd=cwd, env=os.environ | environment, text=True,
                               errors="replace", stdin=subprocess.DEVNULL, bufsize=1,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    running.append(process)
    try:
        yield process
    finally:
        stop(process)


def output_of(command, cwd):
    """@return (whether it succeeded, what it said)"""
    with started(command, cwd) as process:
        text = process.stdout.read()
        return process.wait() == 0, text


# ---- the copy ----

def paths_beneath(root):
    """Files that the copy consists of, as paths from the project's root."""
    for name in COPIED:
        top = os.path.join(root, name)
        if os.path.isfile(top):
            yield name
        for where, folders, files in os.walk(top):
            folders[:] = [f for f in folders if f != "__pycache__"]
            for file in files:
                yield os.path.relpath(os.path.join(where, file), root)


def contents(path):
    with open(path, "rb") as f:
        return f.read()


def copy_project(tree):
    """Make @tree like the project; what is the same keeps its time, and its objects."""
    ours = set(paths_beneath(ROOT))
    for path in set(paths_beneath(tree)) - ours:
        os.unlink(os.path.join(tree, path))
    for path in ours:
        there = os.path.join(tree, path)
        os.makedirs(os.path.dirname(there), exist_ok=True)
        data = contents(os.path.join(ROOT, path))
        if not os.path.exists(there) or contents(there) != data:
            with open(there, "wb") as f:
                f.write(data)
            shutil.copymode(os.path.join(ROOT, path), there)


def programs_of(tree):
    """The harness programs, as built."""
    return [f"{kind}-{os.path.basename(f)[:-2]}" for kind in ("unit", "contract", "sim")
            for f in sorted(glob.glob(os.path.join(tree, "tests", kind, "*.c")))]


class Copy:
    """A copy of the project, and its test programs: mutated, and as they are without that."""

    def __init__(self, folder):
        self.tree = os.path.join(folder, "tree")
        self.mutated = os.path.join(self.tree, "build", "tests")
        self.unchanged = os.path.join(folder, "unchanged")
        os.makedirs(self.tree, exist_ok=True)
        self.lock = open(os.path.join(folder, ".lock"), "w", encoding="utf-8")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"mutations.py: {folder} is in use")
        copy_project(self.tree)
        self.programs = programs_of(self.tree)
        good, text = self.build(self.programs)
        if not good:
            sys.exit("mutations.py: the project does not build\n" + errors_of(text))
        shutil.rmtree(self.unchanged, ignore_errors=True)
        shutil.copytree(self.mutated, self.unchanged,
                        ignore=lambda where, names: [n for n in names if n.endswith(".p")])

    def build(self, programs):
        return output_of(["scripts/build.sh", "release"] + ["tests/" + p for p in programs],
                         self.tree)


def errors_of(text):
    lines = [line for line in text.split("\n")
             if re.search(r"error: |^FAILED|undefined reference", line)]
    return "\n".join(lines[:10]) or text[-2000:]


# ---- mutations ----

class Mutation:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            head, found, diff = f.read().partition("\n--- a/")
        self.name = os.path.basename(path)[:-len(".patch")]
        self.path = path
        self.title = " ".join(head.split("\n\n")[0].split())
        self.first = re.findall(r"^First: (\S+)(?: (.+))?$", head, re.M)
        self.files = re.findall(r"^\+\+\+ b/(\S+)", diff, re.M)
        if not found or not self.files or not self.title:
            raise Rotten(f"{path}: not a text followed by a unified diff")

    def engine(self):
        engines = {e for f in self.files for prefix, e in ENGINE_OF.items()
                   if f.startswith(prefix)}
        whole = all(f.startswith(tuple(ENGINE_OF)) for f in self.files)
        return engines.pop() if whole and len(engines) == 1 else None


def read_mutations(folder, parts):
    """All of the index, in its order; both must agree, so that none is forgotten."""
    with open(os.path.join(folder, "series"), encoding="utf-8") as f:
        names = [line.strip() for line in f if line.strip() and not line.startswith("#")]
    there = {os.path.basename(p)[:-len(".patch")] for p in glob.glob(folder + "/*.patch")}
    for name in sorted(set(names) ^ there):
        raise Rotten(f"{PATCHES}: {name} is in the folder or in series, not in both")
    found = [Mutation(os.path.join(folder, name + ".patch")) for name in names
             if not parts or any(part in name for part in parts)]
    if not found:
        raise Rotten(f"{PATCHES}: no mutation is called so")
    return found


class Planted:
    """A mutation while it is in the copy."""

    def __init__(self, copy, mutation):
        self.saved = {}
        for path in mutation.files:
            there = os.path.join(copy.tree, path)
            if not os.path.exists(there):
                raise Rotten(f"does not apply: there is no {path}")
            self.saved[there] = contents(there)
        # Without fuzz: a context that has changed may have changed the meaning.
        good, text = output_of(["patch", "-p1", "--forward", "--batch", "--fuzz=0",
                                "--reject-file=-", "--no-backup-if-mismatch",
                                "-i", mutation.path], copy.tree)
        if not good:
            self.restore()
            raise Rotten("does not apply:\n" + text.strip())

    def restore(self):
        for path, data in self.saved.items():
            with open(path, "wb") as f:
                f.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.restore()


# ---- the suite ----

def ordered(programs, prefixes):
    """Programs in the order of the prefixes, each once."""
    seen = []
    for prefix in prefixes:
        seen += [p for p in programs if p.startswith(prefix) and p not in seen]
    return seen


def plan(mutation, programs, use_hints):
    """What to build and run, batch by batch: lists of (program, arguments)."""
    if use_hints and mutation.first:
        for program, _ in mutation.first:
            if program not in programs:
                raise Rotten(f"its hint names {program}, which is not there")
        yield [(program, [part] if part else []) for program, part in mutation.first]
    prefixes = [prefix for file in mutation.files
                for prefix in NEAREST.get("/".join(file.split("/")[:2]), [])]
    near = ordered(programs, prefixes)
    engine = mutation.engine()
    if engine:
        only = ["--engine", engine]
        yield [(p, only if p.startswith("contract-") else []) for p in near]
        rest = [p for p in ordered(programs, EVERYTHING) if p not in near]
        yield [(p, only if p.startswith("contract-") else []) for p in rest]
        others = [e for e in set(ENGINE_OF.values()) if e != engine]
        yield [(p, ["--engine", e]) for p in near + rest if p.startswith("contract-")
               for e in sorted(others)]
        return
    yield [(p, []) for p in near]
    yield [(p, []) for p in ordered(programs, EVERYTHING) if p not in near]


def failures(folder, program, arguments):
    """Run a program; yields each case that fails, as it does, and why."""
    command = [os.path.join(folder, program), "-j", str(os.cpu_count() or 1)] + arguments
    limit_s = os.environ.get("MUTATION_CASE_S", "10")
    last, count = "", 0
    with started(command, folder, TEST_TIMEOUT_S=limit_s) as process:
        for line in process.stdout:
            failed = FAILED.match(line)
            if failed:
                count += 1
                yield failed[1], failed[2]
            last = line.strip() or last
        status = process.wait()
    if "no case matches" in last:
        raise Rotten(f"its hint names no case: {program} {' '.join(arguments)}")
    if status != 0 and count == 0:
        yield ITSELF, f"status {status}: {last}"


def fails(folder, program, case):
    return any(True for _ in failures(folder, program, [case]))


def is_repeatable(copy, program, case):
    """Whether a case fails with the mutation again, and passes without it."""
    if case == ITSELF:
        return not any(True for _ in failures(copy.unchanged, program, ["--list"]))
    return not fails(copy.unchanged, program, case) and any(
        fails(copy.mutated, program, case) for _ in range(3))


class Result:
    def __init__(self, mutation):
        self.mutation = mutation
        self.build_s = self.test_s = 0.0
        self.by = self.why = self.error = ""

    def in_time(self):
        return bool(self.by) and self.build_s + self.test_s <= LIMIT_S

    def row(self):
        what = self.error.split("\n")[0] or self.by or "SURVIVES"
        late = "" if not self.by or self.in_time() else f"  more than {LIMIT_S} s"
        return (f"{self.mutation.name:32} {self.build_s:5.1f} {self.test_s:6.1f}  "
                f"{what}{late}")


def run_until_found(copy, program, arguments, result):
    """Run a program until a case has failed twice. @return whether one has"""
    began = time.monotonic()
    for case, why in failures(copy.mutated, program, arguments):
        result.test_s += time.monotonic() - began
        if is_repeatable(copy, program, case):
            result.by, result.why = f"{program} {case}", why
            return True
        began = time.monotonic()
    result.test_s += time.monotonic() - began
    return False


def hunt(copy, mutation, use_hints, result):
    """Build and run batch by batch, until a case has failed."""
    for batch in plan(mutation, copy.programs, use_hints):
        if not batch:
            continue
        began = time.monotonic()
        good, text = copy.build(sorted({program for program, _ in batch}))
        result.build_s += time.monotonic() - began
        if not good:
            raise Rotten("does not build:\n" + errors_of(text))
        if any(run_until_found(copy, *run, result) for run in batch):
            return


def try_one(copy, mutation, use_hints):
    result = Result(mutation)
    try:
        with Planted(copy, mutation):
            hunt(copy, mutation, use_hints, result)
    except Rotten as e:
        result.error = str(e)
    return result


# ---- the whole ----

def report(results):
    found = [r for r in results if r.in_time()]
    late = [r for r in results if r.by and not r.in_time()]
    alive = [r for r in results if not r.by and not r.error]
    rotten = [r for r in results if r.error]
    print()
    for r in alive:
        print(f"survives: {r.mutation.name}: {r.mutation.title}")
    for r in rotten:
        print(f"error: {r.mutation.name}: {r.error}")
    print(f"{len(results)} mutations: {len(found)} found within {LIMIT_S} s, {len(late)} later, "
          f"{len(alive)} survive, {len(rotten)} in error")
    return not rotten and len(found) * OF >= WANTED * len(results)


def run(mutations, folder, use_hints):
    copy = Copy(folder)
    results = []
    print(f"{'mutation':32} {'build':>5} {'test s':>6}  found by", flush=True)
    for mutation in mutations:
        results.append(try_one(copy, mutation, use_hints))
        print(results[-1].row(), flush=True)
        if results[-1].why:
            print(f"{'':47}{results[-1].why[:100]}", flush=True)
    return report(results)


def interrupted(number, _):
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--no-hints", action="store_true")
    parser.add_argument("--work")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        mutations = read_mutations(os.path.join(ROOT, PATCHES), options.names)
    except (Rotten, OSError) as e:
        sys.exit(f"mutations.py: {e}")
    if options.list:
        for m in mutations:
            print(f"{m.name:32} {m.title}")
        return 0
    folder = (os.path.abspath(options.work) if options.work
              else tempfile.mkdtemp(prefix="soquete-mutations."))
    try:
        return 0 if run(mutations, folder, not options.no_hints) else 1
    finally:
        for process in list(running):
            stop(process)
        if not options.work:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
