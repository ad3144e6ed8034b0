#!/usr/bin/env python3
"""Run tests/harness/cases.c, whose cases end in every way, and check the verdicts.

usage: check.py PROGRAM
"""
import os
import re
import subprocess
import sys
import time

# case: its verdict, and words that its line or the lines below it must hold
EXPECTED = {
    "passes": ("ok", []),
    "fails_check": ("FAIL", ["cases.c:", 'CHECK(1 > 2 && "50%s")', "row: seed 42", "| printed before"]),
    "fails_sign": ("FAIL", ["CHECK_EQ(-1, UINT_MAX): -1 is not 4294967295"]),
    "fails_str": ("FAIL", ['"got" is not', '"(NULL)"']),
    "fails_mem": ("FAIL", ["first to differ is at 2", "63 64 is not", "58 64"]),
    "fails_ok": ("FAIL", ["-110 (Connection timed out)"]),
    "fails_err": ("FAIL", ["-104 (Connection reset by peer) is not -110 (Connection timed out)"]),
    "fails_in_fork": ("FAIL", ["in the grandchild"]),
    "crashes": ("FAIL", ["killed by signal 6", "row: the row of the crash",
                         "| what a deadlock prints"]),
    "exits": ("FAIL", ["called exit(0) before its end"]),
    "hangs": ("FAIL", ["no end after 4 s"]),
    "leaks_fd": ("FAIL", ["leaves descriptor", "(/dev/null)"]),
    "leaks_simulated_fd": ("FAIL", ["leaves 2 simulated descriptors open"]),
    "closes_stdin": ("FAIL", ["closed descriptor 0"]),
    "keeps_fd": ("ok", []),
    "leaves_process": ("FAIL", ["left a process running"]),
    "reaps_nothing": ("ok", []),
    "skips": ("skip", ["no moon here"]),
    "has_dir": ("ok", []),
    "scales": ("FAIL", ["100 is not 10"]),
}
SHAPES = ["iterative", "process", "thread", "fiber"]

program = os.path.abspath(sys.argv[1])
usual = {name: value for name, value in os.environ.items() if name != "SOQUETE_SEED"}
passed = failed = 0


def check(name, is_right, detail=""):
    global passed, failed
    if is_right:
        passed += 1
        print("ok  ", name)
    else:
        failed += 1
        print("FAIL", name)
        print("    |", detail.replace("\n", "\n    | "))


def run(*arguments, **environment):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120,
                          env={**usual, "TEST_TIMEOUT_S": "4", "TEST_SLOWNESS": "1",
                               **environment})


def verdicts(text):
    """{case: (verdict, its line and the lines below it)} of the harness's output."""
    found, case = {}, None
    for line in text.splitlines():
        m = re.match(r"(ok|FAIL|skip) +(\w+(?: \[.*?\])?)  \(\d+ ms\)(.*)", line)
        if m:
            case = m[2]
            found[case] = (m[1], line)
        elif case and line.startswith("    "):
            found[case] = (found[case][0], found[case][1] + "\n" + line)
    return found


def check_every_verdict():
    start = time.monotonic()
    result = run("-j", "4")
    found = verdicts(result.stdout)
    for case, (verdict, words) in EXPECTED.items():
        got, text = found.get(case, ("nothing", result.stdout))
        missing = [w for w in words if w not in text]
        check("harness_" + case, got == verdict and not missing,
              f"{got}, not {verdict}; without {missing}\n{text}")
    check("harness_sum_and_status", result.returncode == 1 and re.search(
        r"^\d+ passed, 15 failed, [1-9]\d* skipped\n\Z", result.stdout, re.M), result.stdout)
    check("harness_watchdog_is_prompt", time.monotonic() - start < 30)


def runs(case, engines, shapes):
    return [f"{case} [{engine}{shape}]" for engine in engines for shape in shapes
            if not (engine.startswith("sim") and shape in ["/process", "/thread"])]


def check_engines():
    real, sim = ["epoll", "uring"], ["sim:1", "sim:2", "sim:3"]
    shapes = ["/" + s for s in SHAPES]
    names = run("--list", "sees_").stdout.split("\n")
    want = [*runs("sees_engine", real + sim, [""]), *runs("sees_seed", real + sim, [""]),
            *runs("sees_kernel", real, [""]), *runs("sees_kernel_shape", real, shapes),
            *runs("sees_simulation", sim, [""]), *runs("sees_shape", real + sim, shapes)]
    check("harness_list_engines_and_shapes", names == want + [""], "\n".join(names))
    text = run("--list", "-v", "sees_kernel [").stdout
    check("harness_list_reasons", text.count("not simulated: its reason\n") == 2, text)
    result = run("--engine", "epoll", "sees_")
    check("harness_one_engine", result.stdout.endswith("11 passed, 0 failed, 0 skipped\n")
          and result.returncode == 0, result.stdout)
    result = run("--engine", "sim", "sees_")
    check("harness_simulated_engine", result.stdout.endswith("15 passed, 0 failed, 0 skipped\n")
          and result.returncode == 0, result.stdout)
    result = run("-v", "--engine", "sim", "sees_seed")
    printed = re.findall(r"\[sim:(\d)\].*\n.*\| seed (\w+)", result.stdout)
    check("harness_seeds", sorted(printed) == [("1", "1"), ("2", "2"), ("3", "3")],
          result.stdout)
    result = run("-v", "--engine", "sim", "sees_seed", SOQUETE_SEED="77")
    check("harness_given_seed", "sees_seed [sim:77]" in result.stdout and "seed 77\n"
          in result.stdout and result.stdout.endswith("1 passed, 0 failed, 0 skipped\n"),
          result.stdout)


def check_options():
    result = run("scales", TEST_SLOWNESS="10")
    check("harness_slowness", "1 passed, 0 failed" in result.stdout, result.stdout)
    result = run("skips", "passes", TEST_EMULATED="1")
    check("harness_emulated", "n/a  skips" in result.stdout
          and result.stdout.endswith("1 passed, 0 failed, 0 skipped\n"), result.stdout)
    check("harness_no_match", run("no_such_case").returncode == 2)
    check("harness_bad_engine", run("--engine", "epol").returncode == 2)
    check("harness_bad_option", run("--what").returncode == 2)
    result = run("-v", "has_dir")
    m = re.search(r"dir (/tmp/soq-\w+)", result.stdout)
    check("harness_dir_is_removed", m and not os.path.exists(m[1]), result.stdout)


check_every_verdict()
check_engines()
check_options()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
