#!/usr/bin/env python3
"""run.py - the programs people really use against ours, and ours against theirs.

usage: run.py [BUILD] [WORD ...]     BUILD: a folder, build by default
                                     WORD: only cases whose name has one of them

A line for each case: "ok   name", "FAIL name" and why, "skip name: needs package X". The
last line is the sum, "N passed, N failed, N skipped". With CI=true a skip is a failure.
"""

import os
import shutil
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True

import kit  # noqa: E402
import case_cert  # noqa: E402,F401
import case_examples  # noqa: E402,F401
import case_http  # noqa: E402,F401
import case_java  # noqa: E402,F401
import case_peers  # noqa: E402,F401
import case_ports  # noqa: E402,F401
import case_python  # noqa: E402,F401
import case_resolve  # noqa: E402,F401
import case_serve  # noqa: E402,F401
import case_sim  # noqa: E402,F401
import case_soak  # noqa: E402,F401
import case_tls  # noqa: E402,F401
import case_tls_programs  # noqa: E402,F401
import case_tool  # noqa: E402,F401

CASE_S = 120  # an endless case ends by this


def missing_package(needs):
    for need in needs:
        program, _, package = need.partition(":")
        if not shutil.which(program):
            return package or program
    return None


def too_long(*unused):
    raise kit.Failure(f"not done after {CASE_S} s")


def run_case(case):
    """Returns the verdict and what is to be told."""
    package = missing_package(case.needs)
    if package:
        return "skip", f"needs package {package}"
    signal.alarm(CASE_S)
    try:
        case.run()
    except kit.Skip as skip:
        return "skip", str(skip)
    except kit.Failure as failure:
        where = traceback.extract_tb(failure.__traceback__)
        lines = [f"{os.path.basename(f.filename)}:{f.lineno}: {f.line}" for f in where
                 if os.path.basename(f.filename).startswith("case_")]
        return "FAIL", "\n".join([*lines, str(failure)])
    except Exception:  # a case's own fault is a failure too
        return "FAIL", traceback.format_exc()
    finally:
        signal.alarm(0)
    return "ok", ""


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    words = sys.argv[1:]
    if words and os.path.isdir(words[0]):
        kit.Build.dir = words.pop(0)
    kit.Build.dir = os.path.abspath(kit.Build.dir)
    if not os.path.exists(kit.Build.tool()):
        sys.exit(f"run.py: {kit.Build.tool()} is not there: build it first")
    signal.signal(signal.SIGALRM, too_long)

    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for case in kit.cases:
        if words and not any(word in case.name for word in words):
            continue
        start = time.monotonic()
        verdict, text = run_case(case)
        if verdict == "skip" and os.environ.get("CI") == "true":
            verdict = "FAIL"
        counts[verdict] += 1
        took = time.monotonic() - start
        if verdict == "skip":
            print(f"skip {case.name}: {text}", flush=True)
            continue
        print(f"{verdict:4} {case.name}  ({took * 1000:.0f} ms)", flush=True)
        for line in text.splitlines():
            print(f"    | {line}", flush=True)
    total = f"{counts['ok']} passed, {counts['FAIL']} failed"
    print(total + (f", {counts['skip']} skipped" if counts["skip"] else ""))
    return 1 if counts["FAIL"] or not counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
