#!/usr/bin/env python3
"""Check what no compiler checks: the rules of the design and of the style.

  layers     an #include points only downwards
  libraries  each library is known to the files that are named for it, and to no public header
  length     a function has at most 70 lines, its constant tables apart
  waiting    no test sleeps for the real clock, none has a fixed port
  names      ours begin with soq_, never sq_

usage: check_layers.py             the project
       check_layers.py --self-test  the checks themselves: each must be able to fail
"""
import os
import re
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUNCTION_LINES_MAX = 70

# Folder: the folders whose headers its files may include beside their own.
# "public" is include/soquete; "config" the generated soq_config.h.
MAY_INCLUDE = {
    "include/soquete": {"public"},
    "src/base": {"public", "config"},
    "src/engine": {"public", "config", "src/base"},
    "src/fiber": {"public", "config", "src/base", "src/engine"},
    "src/net": {"public", "config", "src/base", "src/engine", "src/fiber", "src/proto"},
    "src/sim": {"public", "config", "src/base", "src/engine", "src/fiber"},
    "src/server": {"public", "config", "src/base", "src/engine", "src/fiber", "src/net"},
    "src/proto": {"src/base"},
    "src/service": {"public", "src/proto"},
    "tool": {"public", "src/proto"},
    "examples": {"public"},
    "bench": {"public"},
}


def files(root, folder, endings):
    for where, folders, names in os.walk(os.path.join(root, folder)):
        folders.sort()
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(where, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def blank(text):
    """The code with comments and the insides of strings replaced by blanks, line for line."""
    def hide(m):
        s = m[0]
        if s[0] in "\"'":
            return s[0] + " " * (len(s) - 2) + s[0]
        return re.sub(r"[^\n]", " ", s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', hide, text,
                  flags=re.S)


def layer_of(path):
    for folder in MAY_INCLUDE:
        if path.startswith(folder + "/"):
            return folder
    return None


def target_of(root, path, name, is_quoted):
    """The layer that #include of @name in @path leads to; None for the system's headers."""
    if name == "soq_config.h":
        return "config"
    if name.startswith("soquete/"):
        return "public"
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    for candidate in ([beside] if is_quoted else []) + ["src/" + name, "include/" + name]:
        if os.path.isfile(os.path.join(root, candidate)):
            return layer_of(candidate)
    return None


def check_layers(root):
    for folder, allowed in MAY_INCLUDE.items():
        for path in files(root, folder, (".c", ".h", ".S")):
            for number, line in enumerate(read(root, path).split("\n"), 1):
                m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
                if not m:
                    continue
                target = target_of(root, path, m[2], m[1] == '"')
                if target is not None and target != folder and target not in allowed:
                    yield (f"{path}:{number}: {folder} may not include {m[2]} ({target}); "
                           f"it may include {', '.join(sorted(allowed))}")


# A library's headers: which files of ours may include them.
LIBRARIES = {
    r"openssl/": r"src/net/tls",
    r"ares|idn2": r"src/net/ares",
    r"liburing": r"src/engine/uring",
}


def check_libraries(root):
    for folder in ["include", "src", "tool", "examples"]:
        for path in files(root, folder, (".c", ".h")):
            for number, line in enumerate(read(root, path).split("\n"), 1):
                m = re.match(r"\s*#\s*include\s*<([^>]+)", line)
                for library, ours in LIBRARIES.items():
                    if m and re.match(library, m[1]) and not re.match(ours, path):
                        yield f"{path}:{number}: only {ours}* may include {m[1]}"


def check_length(root):
    for folder in ["src", "tool", "include", "examples", "bench", "fuzz", "tests", "scripts"]:
        for path in files(root, folder, (".c", ".h")):
            start, name, count, in_table = None, "", 0, False
            lines = blank(read(root, path)).split("\n")
            for number, line in enumerate(lines, 1):
                # The style puts a function's braces, and no other block's, in column 0.
                if line.startswith("{"):
                    start, name, count = number, lines[number - 2].strip(), 0
                elif line.startswith("}") and start:
                    if count > FUNCTION_LINES_MAX:
                        yield (f"{path}:{start}: {count} lines in one function, "
                               f"{FUNCTION_LINES_MAX} at most: {name}")
                    start = None
                else:
                    in_table = in_table or re.match(r"\tstatic const .*\{$", line)
                    count += not in_table
                    in_table = in_table and not (re.match(r"\t\}", line) and line.endswith(";"))


def may_sleep(folder, definition):
    """Whether soq_sleep() is at its place in a function that is defined so: where the clock is
    virtual, or where sleeping itself is what is tested."""
    return folder == "tests/sim" or re.search(r"^SIM\(|\bsim_\w+\(|sleep", definition)


def check_waiting(root):
    port = re.compile(r"(?:127\.0\.0\.1|\[::1?\]|localhost|//|\*):([1-9]\d{3,4})\b")
    clock = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|sigtimedwait|sem_timedwait|"
                       r"pthread_cond_timedwait|(?:poll|select)(?=\s*\(\s*(?:NULL|0)\b))\s*\(")
    for folder in ["tests/unit", "tests/contract", "tests/sim"]:
        for path in files(root, folder, (".c", ".h")):
            text, definition, before = read(root, path), "", ""
            pairs = zip(text.split("\n"), blank(text).split("\n"))
            for number, (line, code) in enumerate(pairs, 1):
                if re.match(r"\w.*\(", code):
                    definition = code
                m = clock.search(code)
                if m:
                    yield f"{path}:{number}: {m[1]}() in a test: wait for the event itself"
                m = re.search(r"\b(soq_sleep(?:_until)?)\s*\(", code)
                if m and not (may_sleep(folder, definition) or
                              re.search(r"if \(test_is_simulated\(\)", before)):
                    yield (f"{path}:{number}: {m[1]}() in a test on the real clock: wait for the "
                           "event itself, or let it be a SIM case (its functions named sim_)")
                before = code
                # A port in a string is fixed only where something listens or connects.
                m = re.search(r"(listen|connect|serve|open|bind)\w*\s*\(", code)
                if m and port.search(line):
                    yield f"{path}:{number}: a fixed port in a test: bind port 0 and ask"


def check_names(root):
    for folder in ["src", "tool", "include"]:
        for path in files(root, folder, (".c", ".h", ".S")):
            for number, code in enumerate(blank(read(root, path)).split("\n"), 1):
                m = re.search(r"\bsq_\w+", code)
                # sq_ is io_uring's own word for its submission queue.
                if m and "/engine/uring" not in path:
                    yield f"{path}:{number}: {m[0]}: names begin with soq_, never sq_"


CHECKS = [check_layers, check_libraries, check_length, check_waiting, check_names]

# For each check, a tree that it must find fault with, and one that it must not.
SELF_TEST = {
    check_layers: [
        ({"src/base/a.c": '#include "engine/b.h"\n', "src/engine/b.h": ""}, True),
        ({"src/engine/a.c": '#include "../fiber/b.h"\n', "src/fiber/b.h": ""}, True),
        ({"src/proto/a.c": "#include <soquete/stream.h>\n"}, True),
        ({"tool/a.c": '#include "net/b.h"\n', "src/net/b.h": ""}, True),
        ({"src/net/a.c": '#include "base/b.h"\n#include "c.h"\n#include <errno.h>\n',
          "src/base/b.h": "", "src/net/c.h": ""}, False),
        ({"tool/a.c": '#include "proto/b.h"\n', "src/proto/b.h": ""}, False),
    ],
    check_libraries: [
        ({"src/net/stream.c": "#include <openssl/ssl.h>\n"}, True),
        ({"include/soquete/tls.h": "#include <openssl/ssl.h>\n"}, True),
        ({"src/net/names.c": "#include <ares.h>\n"}, True),
        ({"src/net/tls_stream.c": "#include <openssl/ssl.h>\n"}, False),
    ],
    check_length: [
        ({"src/base/a.c": "int f(void)\n{\n" + "\tx();\n" * 71 + "}\n"}, True),
        ({"src/base/a.c": "int f(void)\n{\n" + "\tx();\n" * 70 + "}\n"}, False),
        ({"src/base/a.c": "int f(void)\n{\n\tstatic const int t[] = {\n" + "\t\t1,\n" * 99
          + "\t};\n" + "\tx();\n" * 60 + "}\n"}, False),
        ({"src/base/a.c": "int f(void)\n{\n\tstatic const struct {\n\t\tint a;\n\t} t[] = {\n"
          + "\t\t1,\n" * 99 + "\t};\n" + "\tx();\n" * 71 + "}\n"}, True),
        ({"src/base/a.c": "static const int t[] = {\n" + "\t1,\n" * 200 + "};\n"}, False),
    ],
    check_waiting: [
        ({"tests/unit/a.c": "\tsleep(1);\n"}, True),
        ({"tests/contract/a.c": "\tusleep (20);\n"}, True),
        ({"tests/contract/a.c": '\tsoq_listen(&l, "tcp://127.0.0.1:5555", NULL);\n'}, True),
        ({"tests/contract/a.c": '\tsoq_listen(&l, "tcp://127.0.0.1:0", NULL);\n'}, False),
        ({"tests/unit/a.c": '\t/* no sleep(1) */ x("sleep(1)");\n'}, False),
        ({"tests/unit/a.c": "\tpoll(NULL, 0, 5);\n"}, True),
        ({"tests/unit/a.c": "\tpoll(&fd, 1, -1);\n"}, False),
        ({"tests/contract/a.c": "CONTRACT(a)\n{\n\tsoq_sleep(1);\n}\n"}, True),
        ({"tests/contract/a.c": "static void f(void *arg)\n{\n\tsoq_sleep_until(1);\n}\n"}, True),
        ({"tests/contract/a.c": "SIM(a)\n{\n}\n\nCONTRACT(b)\n{\n\tsoq_sleep(1);\n}\n"}, True),
        ({"tests/contract/a.c": "SIM(a)\n{\n\tsoq_sleep(1);\n}\n"}, False),
        ({"tests/contract/a.c": "static void sim_f(void)\n{\n\tsoq_sleep(1);\n}\n"}, False),
        ({"tests/contract/a.c": "CONTRACT(sleep_limits)\n{\n\tsoq_sleep(1);\n}\n"}, False),
        ({"tests/contract/a.c": "CONTRACT(a)\n{\n\tif (test_is_simulated())\n"
          "\t\tsoq_sleep(1);\n}\n"}, False),
        ({"tests/contract/a.c": "CONTRACT(a)\n{\n\tif (!test_is_simulated())\n"
          "\t\tsoq_sleep(1);\n}\n"}, True),
        ({"tests/sim/a.c": "static void f(void)\n{\n\tsoq_sleep(1);\n}\n"}, False),
    ],
    check_names: [
        ({"src/net/a.c": "int sq_count;\n"}, True),
        ({"src/net/a.c": "int soq_count; /* sq_ */\n"}, False),
    ],
}


def self_test():
    wrong = 0
    for check, trees in SELF_TEST.items():
        for tree, has_fault in trees:
            with tempfile.TemporaryDirectory() as root:
                for path, text in tree.items():
                    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                    with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                        f.write(text)
                found = list(check(root))
            if bool(found) != has_fault:
                wrong += 1
                print(f"{check.__name__}: {'no' if has_fault else 'a'} fault in {tree}: {found}")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test() > 0
    faults = [fault for check in CHECKS for fault in check(ROOT)]
    for fault in faults:
        print(fault)
    return len(faults) > 0


sys.exit(main())
