"""case_examples.py - each program of examples/, run as its reader would run it."""

import contextlib
import os
import re

from kit import Build, Child, case, check, check_eq, folder, run, serve, url, write

SERVERS = ["02_by_hand", "02_iterative_server", "03_process_server", "04_thread_server",
           "05_fiber_server"]


def example(name, *args, **options):
    return run(Build.example(name), *args, **options)[0]


@contextlib.contextmanager
def started(name, *args):
    """An example that serves; yields where."""
    with Child(Build.example(name), *args) as child:
        yield child, child.wait_line("listening ")


@case()
def example_01_tcp_client():
    with serve("echo=127.0.0.1:0") as server:
        check_eq(example("01_tcp_client", server.endpoints[0][1], "to and fro"), b"to and fro\n")
    _, err = run(Build.example("01_tcp_client"), "unix:///nowhere", status=1)
    check(b"/nowhere" in err, err)


@case(each=SERVERS)
def example_server(name):
    with started(name, "127.0.0.1:0") as (child, where):
        for _ in range(3):
            check_eq(example("01_tcp_client", where, "shout"), b"SHOUT\n")
        if name != "02_by_hand":  # which has no life of its own
            child.kill(15)
            check_eq(child.finish()[0], 0, "status after SIGTERM")


@case()
def example_servers_differ_in_a_word():
    texts = []
    for name in SERVERS[1:]:
        with open(f"examples/{name}.c", encoding="utf-8") as f:
            text = f.read().split("#include", 1)[1]
            text, changes = re.subn(r"SOQ_SHAPE_(ITERATIVE|PROCESS|THREAD|FIBER)", "SHAPE", text)
            check_eq(changes, 1, "words to change in", name)
            texts.append(re.sub(r"\s+", " ", text))
    check_eq(len(set(texts)), 1, "different programs")


@case()
def example_06_and_07_udp():
    with started("06_udp_service", "udp://127.0.0.1:0") as (_, where):
        check_eq(example("07_udp_client", f"udp://{where}", "shout"), b"SHOUT\n")


@case()
def example_08_http_get():
    with folder() as d, serve("--root", d, "http=127.0.0.1:0") as server:
        write(f"{d}/hello.txt", b"Hello.\n")
        out = example("08_http_get", url(server, "/hello.txt"))
        check(out.startswith(b"HTTP/1.1 200") and out.endswith(b"\r\n\r\nHello.\n"), out)
        run(Build.example("08_http_get"), "ftp://127.0.0.1/", status=2)


@case()
def example_09_stdio_client():
    with serve("echo=127.0.0.1:0") as server:
        check_eq(example("09_stdio_client", server.endpoints[0][1], "one", "two"),
                 b"1: one\n2: two\n")


@case()
def example_10_unix_talk():
    with folder() as d, started("10_unix_talk", f"{d}/s", "first") as (child, _):
        check_eq(example("10_unix_talk", f"{d}/s", "second"), b"heard: first\n")
        check_eq(child.succeed().splitlines()[1:],
                 [b"user %d has come" % os.getuid(), b"heard: second"])


@case()
def example_11_many_clients():
    with serve("echo=127.0.0.1:0") as server:
        check_eq(example("11_many_clients", server.endpoints[0][1], "200"),
                 b"200 of 200 clients were served\n")


@case()
def example_13_names():
    check_eq(example("13_names", "127.0.0.1:80").count(b"127.0.0.1:80 "), 1)
    lines = example("13_names").splitlines()
    check(b"127.0.0.1:80 is localhost" in lines, lines)
    _, err = run(Build.example("13_names"), "a..b:80", status=1)
    check(b"a..b" in err, err)


@case()
def example_readme_lists_all():
    with open("examples/README.md", encoding="utf-8") as f:
        listed = re.findall(r"^\| `(\w+)\.c`", f.read(), re.M)
    there = sorted(name[:-2] for name in os.listdir("examples") if name.endswith(".c"))
    check_eq(sorted(listed), there, "examples/README.md")
    for name in there:
        with open(f"examples/{name}.c", encoding="utf-8") as f:
            text = f.read()
        lines, most = text.count("\n"), 180 if "soq_sim_" in text else 50
        check(lines <= most, name, "has", lines, "lines: more than", most)
