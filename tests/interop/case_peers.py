"""case_peers.py - ncat, socat and rdate, as clients of ours and as servers for ours."""

import os
import re
import subprocess
import time

from kit import (Child, address, case, check, check_eq, connect, folder, listen, listening_port,
                 run, serve, tool)

TEXT = b"one\ntwo\nthree\n"


@case(needs=["ncat"])
def ncat_to_echo_tcp():
    with serve("echo=127.0.0.1:0") as server:
        out, _ = run("ncat", *address(server.endpoints[0][1]), stdin=TEXT)
        check_eq(out, TEXT)


@case(needs=["ncat"])
def ncat_to_echo_udp():
    with serve("echo=udp://127.0.0.1:0") as server:
        with Child("ncat", "-u", *address(server.endpoints[0][1]), stdin=subprocess.PIPE) as ncat:
            ncat.say(TEXT)
            ncat.wait_out(TEXT)


@case(needs=["ncat"])
def ncat_to_echo_unix():
    with folder() as d, serve(f"echo=unix://{d}/s"):
        out, _ = run("ncat", "-U", f"{d}/s", stdin=TEXT)
        check_eq(out, TEXT)


@case(needs=["ncat"])
def ncat_to_daytime_and_chargen():
    with serve("daytime=127.0.0.1:0", "chargen=127.0.0.1:0") as server:
        out, _ = run("ncat", *address(server.endpoints[0][1]))
        check(out.endswith(b"\n") and b":" in out, out)
        with Child("ncat", "--recv-only", *address(server.endpoints[1][1])) as ncat:
            ncat.wait_out(b"\r\n")
            lines = ncat.out.data.split(b"\r\n")
            check_eq(len(lines[0]), 72, "a line of chargen")


@case(needs=["ncat"])
def ncat_to_listen():
    with listen("127.0.0.1:0", stdin=subprocess.PIPE) as ours:
        with Child("ncat", *address(ours.endpoint), stdin=subprocess.PIPE) as ncat:
            ncat.say(b"up")
            ours.wait_out(b"up")
            ours.say(b"down")
            ours.stdin.close()
            ncat.wait_out(b"down")
            ncat.stdin.close()
            check_eq(ours.succeed(), b"up")


def with_ncat_server(scheme, ours_text, *options):
    with Child("ncat", "-v", "-l", *options, stdin=subprocess.PIPE) as ncat:
        ncat.wait_err(b"Listening")
        with connect(ours_text(ncat), stdin=subprocess.PIPE) as ours:
            ours.say(b"up")
            ncat.wait_out(b"up")
            ncat.say(b"down")
            ours.wait_out(b"down")


@case(needs=["ncat"])
def connect_to_ncat_tcp():
    with_ncat_server("tcp", lambda n: f"127.0.0.1:{listening_port(n.pid)}", "127.0.0.1", "0")


@case(needs=["ncat"])
def connect_to_ncat_udp():
    with_ncat_server(
        "udp", lambda n: f"udp://127.0.0.1:{listening_port(n.pid)}", "-u", "127.0.0.1", "0")


@case(needs=["ncat"])
def connect_to_ncat_unix():
    with folder() as d:
        with_ncat_server("unix", lambda n: f"unix://{d}/s", "-U", f"{d}/s")


def socat(*args, **options):
    return run("socat", "-t", "10", *args, **options)[0]


@case(needs=["socat"])
def socat_to_echo():
    name = f"soquete-test-{os.getpid()}"
    with folder() as d, serve("echo=127.0.0.1:0", f"echo=unix://{d}/s", f"echo=unix://@{name}",
                              f"echo=unixgram://{d}/g") as server:
        check_eq(server.endpoints[2][1], f"unix://@{name}", "table")
        host, port = address(server.endpoints[0][1])
        check_eq(socat("-", f"TCP:{host}:{port}", stdin=TEXT), TEXT, "tcp")
        check_eq(socat("-", f"UNIX-CONNECT:{d}/s", stdin=TEXT), TEXT, "unix")
        check_eq(socat("-", f"ABSTRACT-CONNECT:{name}", stdin=TEXT), TEXT, "abstract")
        with Child("socat", "-", f"UNIX-SENDTO:{d}/g,bind={d}/mine", stdin=subprocess.PIPE) as c:
            c.say(TEXT)
            c.wait_out(TEXT)


@case(needs=["socat"])
def socat_to_echo_udp():
    with serve("echo=udp://127.0.0.1:0") as server:
        host, port = address(server.endpoints[0][1])
        with Child("socat", "-", f"UDP:{host}:{port}", stdin=subprocess.PIPE) as c:
            c.say(TEXT)
            c.wait_out(TEXT)


def socat_port(child):
    """The port that a socat with -d -d says it listens on."""
    def ready(data):
        return re.search(rb"(?:listening on|bound to) AF=2 [0-9.]+:(\d+)", data)

    return int(child.err.wait(ready, "socat's port").group(1))


@case(needs=["socat"])
def connect_to_socat_tcp():
    with Child("socat", "-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1", "PIPE") as server:
        out, _ = tool("connect", f"127.0.0.1:{socat_port(server)}", stdin=TEXT)
        check_eq(out, TEXT)


@case(needs=["socat"])
def connect_to_socat_unix():
    with folder() as d:
        name = f"soquete-peer-{os.getpid()}"
        for kind, ours in [(f"UNIX-LISTEN:{d}/s", f"unix://{d}/s"),
                           (f"ABSTRACT-LISTEN:{name}", f"unix://@{name}")]:
            with Child("socat", "-d", "-d", kind, "PIPE") as server:
                server.wait_err(b"listening on")
                check_eq(tool("connect", ours, stdin=TEXT)[0], TEXT, ours)


@case(needs=["socat"])
def connect_to_socat_unixgram():
    with folder() as d:
        with Child("socat", "-d", "-d", f"UNIX-RECVFROM:{d}/s", "PIPE") as server:
            server.wait_err(b"receiving on")
            out, _ = tool("connect", "--timeout", "500ms", f"unixgram://{d}/s", stdin=TEXT)
            check_eq(out, TEXT)


@case(needs=["socat"])
def socat_to_listen_exec():
    with listen("--keep", "--exec", "tr a-z A-Z", "127.0.0.1:0") as ours:
        host, port = address(ours.endpoint)
        for _ in range(3):
            check_eq(socat("-", f"TCP:{host}:{port}", stdin=TEXT), TEXT.upper())


@case(needs=["rdate"], each=["tcp", "udp"])
def rdate_from_time(scheme):
    with serve(f"time={scheme}://127.0.0.1:0") as server:
        host, port = address(server.endpoints[0][1])
        before = int(time.time())
        options = ["-u"] if scheme == "udp" else []
        out, _ = run("rdate", *options, "-p", "-o", port, host, env={**os.environ, "TZ": "UTC", "LC_ALL": "C"})
        shown = out.decode().split(":", 1)[-1] if out.startswith(b"rdate") else out.decode()
        got = time.mktime(time.strptime(shown.replace("UTC", "").strip(),
                                        "%a %b %d %H:%M:%S %Y")) - time.timezone
        check(before - 1 <= got <= time.time() + 1, out, "at", before)
