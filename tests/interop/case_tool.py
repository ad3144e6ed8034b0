"""case_tool.py - `soquete connect` and `soquete listen` on every kind of endpoint, at a pipe
and at a terminal; and what the tool says when it is used badly."""

import contextlib
import os
import pty
import random
import re
import select
import signal
import socket
import subprocess
import termios
import threading
import time

from kit import (Build, PATIENCE_S, SHAPES, address, both, case, check, check_eq, check_in,
                 connect, dial, eventually, folder, has_ipv6, listen, need_engine, recv_all,
                 recv_exactly, refused, run, serve, tool)

NOISE = random.Random(3).randbytes(5 << 20)
ENGINES = ["uring", "epoll"]


# Bad usage: exit status 2, one line, nothing on standard output.


@case()
def tool_bad_usage():
    for args, want in [
            ([], "a subcommand is missing: serve, connect, listen, resolve, sim, ports, cert or help"),
            (["conect"], "unknown subcommand 'conect' (did you mean 'connect'?)"),
            (["frobnicate"], "unknown subcommand 'frobnicate' (serve, connect, listen, resolve, sim, ports, cert or help)"),
            (["--verion"], "unknown option '--verion'"),
            (["connect"], "connect: an endpoint is missing"),
            (["connect", "--tiemout", "5", "h:1"],
             "connect: unknown option '--tiemout' (did you mean '--timeout'?)"),
            (["connect", "--frobnicate", "h:1"], "connect: unknown option '--frobnicate'"),
            (["connect", "-x", "h:1"], "connect: unknown option '-x'"),
            (["connect", "h:1", "--timeout"], "option '--timeout' needs a value"),
            (["connect", "--timeout", "5x", "h:1"], "'5x' is not a duration"),
            (["connect", "--timeout=0", "h:1"], "'0' is not a duration above 0"),
            (["connect", "--crlf=yes", "h:1"], "option '--crlf' takes no value"),
            (["connect", "--exec", "", "h:1"], "--exec"),
            (["connect", "--crlf", "--exec", "cat", "h:1"], "--crlf does not go with --exec"),
            (["connect", "--lines", "h:1"], "--lines is for datagrams"),
            (["connect", "localhost", "80"], "one endpoint is wanted: 'localhost:80'"),
            (["connect", "h:1", "h:2"], "'h:2' is one more"),
            (["connect", "h:70000"], "70000"),
            (["connect", "http://h:1"], "http"),
            (["connect", "tcp://[::1:80"], "["),
            (["connect", "unix://"], "unix"),
            (["connect", "h"], "h"),
            (["connect", "h:no-such-service"], "no-such-service"),
            (["connect", "--engine", "kqueue", "h:1"], "'kqueue' is not an engine"),
            (["listen", "--shape", "round", "--exec", "cat", ":0"], "'round' is not a shape"),
            (["listen", "--shape", "fiber", ":0"], "--shape goes with --exec only"),
            (["serve", "--workers", "0"], "'0' is not a number from 1 to 1024"),
            (["serve", "--unix-mode", "999"], "'999' is not octal permissions"),
            (["serve", "--header-max", "64q"], "'64q' is not a size"),
            (["serve", "--header-max", "17k"], "--header-max: a size from 512 to 16384"),
            (["serve", "--answers-per-address", "1001"], "1000 is the most, or none"),
            (["serve", "ecko"], "unknown service 'ecko' (did you mean 'echo'?)"),
            (["serve", "gopher"], "unknown service 'gopher'; there are http"),
            (["serve", "http=udp://127.0.0.1:0"], "http is not served over datagrams"),
            (["serve", "echo="], "echo"),
            (["help", "conect"], "did you mean 'connect'?"),
    ]:
        out, err = tool(*args, status=2)
        check_eq(out, b"", "output of", args)
        check_eq(err.count(b"\n"), 1, "lines of", args, err)
        check(err.startswith(b"soquete: "), args, err)
        check_in(want.encode(), err, args)


@case()
def tool_failed_connection():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    for endpoint, where, why in [
            (f"127.0.0.1:{port}", f"127.0.0.1:{port}", "refused"),
            (f"tcp://localhost:{port}", f"127.0.0.1:{port}", "refused"),
            ("unix:///nowhere/at/all", "/nowhere/at/all", "No such file"),
            ("unix://@soquete-nobody", "@soquete-nobody", "refused"),
            ("unixgram:///nowhere/at/all", "/nowhere/at/all", "No such file"),
            ("tcp://no-such-name.invalid:80", "no-such-name.invalid", ""),
            ("fd://99", "fd://99", "Bad file descriptor"),
    ]:
        out, err = tool("connect", endpoint, status=1)
        check_eq((out, err.count(b"\n")), (b"", 1), endpoint, err)
        operation = "look up" if "invalid" in endpoint else "connect"
        for part in ("soquete: " + operation, endpoint.split("://")[-1], where, why):
            check_in(part.encode(), err, endpoint)


@case()
def tool_failed_listen():
    with socket.create_server(("127.0.0.1", 0)) as s:
        endpoint = "127.0.0.1:%d" % s.getsockname()[1]
        _, err = tool("listen", endpoint, status=1)
        check_in(endpoint.encode(), err)
        check_in(b"in use", err)
    _, err = tool("listen", "192.0.2.1:0", status=1)
    check_in(b"192.0.2.1", err)


@case()
def tool_udp_refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    _, err = tool("connect", f"udp://127.0.0.1:{port}", stdin=b"x", status=1)
    check_in(b"refused", err)
    check_eq(err.count(b"\n"), 1, "lines", err)


@case()
def tool_version_and_help():
    out, err = tool("--version")
    check(re.match(rb"soquete \d+\.\d+\.\d+\n", out) and not err, out, err)
    for engine in (b"engine uring: ", b"engine epoll: works here"):
        check_in(engine, out)
    check_eq(out.count(b"in use\n"), 1, out)
    for args in (["--help"], ["-h"], ["help"]):
        check_in(b"listen", tool(*args)[0])
    for name in ("serve", "connect", "listen", "resolve", "sim", "ports", "cert", "help"):
        first = tool("help", name)[0]
        check_in(f"usage: soquete {name}".encode(), first)
        check_eq(tool(name, "--help")[0], first, name)
        check_eq(tool(name, "-h")[0], first, name)


@case()
def tool_manual_has_every_option():
    with open("man/soquete.1", encoding="utf-8") as f:
        page = f.read()
    for name in ("serve", "connect", "listen", "resolve", "sim", "ports", "cert"):
        for option in re.findall(r"--([a-z-]+)", tool("help", name)[0].decode()):
            check("Fl -" + option in page or option == "help", "--" + option, "is not in soquete(1)")


@case()
def tool_engine_refused():
    """Where io_uring is denied, epoll serves, and --version says why it must."""
    if "uring" in Build.engines():
        check_in(b"engine epoll: works here, in use",
                 tool("--version", env={**os.environ, "SOQUETE_ENGINE": "epoll"})[0])
        return
    check_in(b"engine uring: not in use: ", tool("--version")[0])
    _, err = tool("connect", "--engine", "uring", "127.0.0.1:1", status=1)
    check_in(b"uring", err)


# connect, against Python.


@contextlib.contextmanager
def peer(family, kind, where):
    """A listening or bound Python socket."""
    with socket.socket(family, kind) as s:
        s.settimeout(PATIENCE_S)
        s.bind(where)
        if kind == socket.SOCK_STREAM:
            s.listen()
        yield s


def stream_kinds(d):
    name = f"soquete-test-{os.getpid()}"
    yield socket.AF_INET, ("127.0.0.1", 0), lambda s: "tcp://127.0.0.1:%d" % s.getsockname()[1]
    if has_ipv6():
        yield socket.AF_INET6, ("::1", 0), lambda s: "tcp://[::1]:%d" % s.getsockname()[1]
    yield socket.AF_UNIX, f"{d}/s", lambda s: f"unix://{d}/s"
    yield socket.AF_UNIX, f"\0{name}", lambda s: f"unix://@{name}"


@case(each=ENGINES)
def connect_streams(engine):
    need_engine(engine)
    with folder() as d:
        for family, where, endpoint in stream_kinds(d):
            with peer(family, socket.SOCK_STREAM, where) as listener:
                with connect("--engine", engine, endpoint(listener), stdin=subprocess.PIPE) as ours:
                    s, _ = listener.accept()
                    with s:
                        ours.say(b"up")
                        check_eq(recv_exactly(s, 2), b"up", endpoint(listener))
                        ours.stdin.close()
                        check_eq(recv_all(s), b"", "half-close")
                        s.sendall(b"down")
                    check_eq(ours.succeed(), b"down", endpoint(listener))


@case(each=ENGINES)
def connect_inherited(engine):
    need_engine(engine)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with connect("--engine", engine, f"fd://{ours.fileno()}", stdin=subprocess.PIPE,
                     pass_fds=[ours.fileno()]) as child:
            ours.close()
            child.say(b"up")
            child.stdin.close()
            check_eq(recv_all(theirs), b"up")
            theirs.sendall(b"down")
            theirs.close()
            check_eq(child.succeed(), b"down")


def dgram_kinds(d):
    name = f"soquete-test-{os.getpid()}"
    yield socket.AF_INET, ("127.0.0.1", 0), lambda s: "udp://127.0.0.1:%d" % s.getsockname()[1]
    if has_ipv6():
        yield socket.AF_INET6, ("::1", 0), lambda s: "udp://[::1]:%d" % s.getsockname()[1]
    yield socket.AF_UNIX, f"{d}/s", lambda s: f"unixgram://{d}/s"
    yield socket.AF_UNIX, f"\0{name}", lambda s: f"unixgram://@{name}"


@case(each=ENGINES)
def connect_dgrams(engine):
    need_engine(engine)
    with folder() as d:
        for family, where, endpoint in dgram_kinds(d):
            with peer(family, socket.SOCK_DGRAM, where) as s:
                with connect("--engine", engine, endpoint(s),
                             stdin=subprocess.PIPE) as ours:
                    ours.say(b"one\ntwo\n")
                    data, sender = s.recvfrom(1000)
                    check_eq(data, b"one\ntwo\n", "a read is a datagram:", endpoint(s))
                    check(sender, "our socket has no address:", endpoint(s))
                    s.sendto(b"reply", sender)
                    ours.wait_out(b"reply")


@case()
def connect_dgram_waits_for_replies():
    """The input's end is not the end: replies may be under way, here half a second."""
    with peer(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as s:
        with connect("udp://127.0.0.1:%d" % s.getsockname()[1], stdin=subprocess.PIPE) as ours:
            ours.say(b"ask")
            ours.stdin.close()
            _, sender = s.recvfrom(100)
            check_eq(select.select([ours.process.stdout], [], [], 0.5)[0], [], "ended already")
            s.sendto(b"late", sender)
            check_eq(ours.succeed(), b"late")


@case(each=ENGINES)
def connect_inherited_dgram(engine):
    need_engine(engine)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.settimeout(PATIENCE_S)
        with connect("--engine", engine, "--timeout", "200ms", f"fd://{ours.fileno()}",
                     stdin=subprocess.PIPE, pass_fds=[ours.fileno()]) as child:
            child.say(b"up")
            check_eq(theirs.recv(100), b"up")
            theirs.send(b"down")
            child.wait_out(b"down")
            child.stdin.close()
            check_eq(child.succeed(), b"down")


@case()
def connect_dgram_lines():
    with peer(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as s:
        with connect("--lines", "--timeout", "100ms", "udp://127.0.0.1:%d" % s.getsockname()[1],
                     stdin=subprocess.PIPE) as ours:
            ours.say(b"one\ntwo\nthr")
            check_eq([s.recv(100), s.recv(100)], [b"one\n", b"two\n"], "lines")
            ours.say(b"ee")
            ours.stdin.close()
            check_eq(s.recv(100), b"three", "the last one")
            ours.succeed()


@case()
def connect_dgram_big():
    with peer(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as s, folder() as d:
        with open(f"{d}/data", "w+b") as data:
            data.write(NOISE[:65507])
            data.seek(0)
            tool_with_stdin = connect("--timeout", "100ms",
                                      "udp://127.0.0.1:%d" % s.getsockname()[1], stdin=data)
            with tool_with_stdin as ours:
                check(s.recv(70000) == NOISE[:65507], "differs")
                ours.succeed()


@case()
def connect_crlf():
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        with connect("--crlf", "127.0.0.1:%d" % listener.getsockname()[1],
                     stdin=subprocess.PIPE) as ours:
            with listener.accept()[0] as s:
                ours.say(b"one\ntwo\r\n\nfour\r")
                check_eq(recv_exactly(s, 17), b"one\r\ntwo\r\n\r\nfour\r")
                ours.say(b"\n")
                ours.stdin.close()
                check_eq(recv_all(s), b"\n", "a CR LF in two pieces")
                s.sendall(b"lf\n")
            check_eq(ours.succeed(), b"lf\n")


@case()
def connect_timeout_connecting():
    """A listener whose queue is full answers nobody."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(listener.getsockname())
        start = time.monotonic()
        _, err = tool("connect", "--timeout", "300ms", "127.0.0.1:%d" % listener.getsockname()[1],
                      status=1)
        check(0.2 < time.monotonic() - start < 5, "took", time.monotonic() - start)
        check_in(b"timed out", err)


@case()
def connect_timeout_idle():
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        with connect("--timeout", "300ms", "127.0.0.1:%d" % listener.getsockname()[1],
                     stdin=subprocess.PIPE) as ours:
            with listener.accept()[0] as s:
                start = time.monotonic()
                s.sendall(b"before")
                status, out, err = ours.finish()
                check_eq((status, out), (1, b"before"))
                check_in(b"300ms", err)
                check(0.2 < time.monotonic() - start < 5, "took", time.monotonic() - start)


@case()
def connect_reset():
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        with connect("127.0.0.1:%d" % listener.getsockname()[1], stdin=subprocess.PIPE) as ours:
            s, _ = listener.accept()
            ours.say(b"unread")
            select.select([s], [], [], PATIENCE_S)
            s.close()  # with unread input: a reset
            status, _, err = ours.finish()
            check_eq(status, 1)
            check_eq(err.count(b"\n"), 1, err)


@case(each=ENGINES)
def connect_both_ways_loses_nothing(engine):
    """5 MiB each way at once; the peer ends first, and our input still goes on."""
    need_engine(engine)
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        with connect("--engine", engine, "127.0.0.1:%d" % listener.getsockname()[1],
                     stdin=subprocess.PIPE) as ours:
            with listener.accept()[0] as s:
                def send():
                    s.sendall(NOISE)
                    s.shutdown(socket.SHUT_WR)

                sender = threading.Thread(target=send)
                sender.start()
                ours.say(NOISE[:1 << 20])
                sender.join()
                ours.wait_out(NOISE[-100:])
                threading.Thread(target=lambda: (ours.say(NOISE[1 << 20:]), ours.stdin.close()),
                                 daemon=True).start()
                check(recv_all(s) == NOISE, "up differs")
            check(ours.succeed() == NOISE, "down differs")


@case()
def connect_stops_when_unix_peer_is_gone():
    """Its input goes on, but nobody is left to take it, and the kernel says so."""
    with folder() as d, peer(socket.AF_UNIX, socket.SOCK_STREAM, f"{d}/s") as listener:
        with connect(f"unix://{d}/s", stdin=subprocess.PIPE) as ours:
            listener.accept()[0].close()
            check_eq(ours.finish()[0], 0)


@case()
def connect_slow_output():
    """What reads our output slowly loses nothing of it."""
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        read_end, write_end = os.pipe()
        with connect("127.0.0.1:%d" % listener.getsockname()[1], stdout=write_end) as ours:
            os.close(write_end)
            with listener.accept()[0] as s:
                threading.Thread(target=lambda: (s.sendall(NOISE), s.shutdown(1)),
                                 daemon=True).start()
                got = bytearray()
                while piece := os.read(read_end, 4000):
                    got += piece
                os.close(read_end)
                check(got == NOISE, "differs")
            check_eq(ours.finish()[0], 0)


@case()
def connect_output_gone():
    """As usual for a filter: nobody reads any more, so end, silently, with status 1."""
    with serve("chargen=127.0.0.1:0") as server:
        read_end, write_end = os.pipe()
        with connect(server.endpoints[0][1], stdout=write_end) as ours:
            os.close(write_end)
            check(os.read(read_end, 10), "nothing came")
            os.close(read_end)
            status, _, err = ours.finish()
            check_eq((status, err), (1, b""))


@case(each=ENGINES)
def connect_exec(engine):
    need_engine(engine)
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with connect("--engine", engine, "--exec", 'read x; echo "got $x $SOQUETE_PEER"; exit 7',
                     f"127.0.0.1:{port}") as ours:
            with listener.accept()[0] as s:
                s.sendall(b"this\n")
                check_eq(recv_all(s), f"got this 127.0.0.1:{port}\n".encode())
            check_eq(ours.finish(), (7, b"", b""))


@case()
def connect_closed_standard_descriptors():
    """The socket must not become descriptor 0, 1 or 2."""
    with serve("echo=127.0.0.1:0") as server:
        out, _ = run("sh", "-c", 'printf x | "$0" connect "$1" 2>&-', Build.tool(),
                     server.endpoints[0][1])
        check_eq(out, b"x")
        run("sh", "-c", '"$0" connect "$1" <&- >&-', Build.tool(), server.endpoints[0][1])


# listen, with Python.


@case(each=ENGINES)
def listen_streams(engine):
    need_engine(engine)
    with folder() as d:
        for family, where, _ in stream_kinds(d):
            if family == socket.AF_UNIX:
                text = "unix://" + where.replace("\0", "@")
            else:
                text = "tcp://[::1]:0" if family == socket.AF_INET6 else "tcp://127.0.0.1:0"
            with listen("--engine", engine, text, stdin=subprocess.PIPE) as ours:
                check(ours.endpoint.startswith(text.rstrip("0")), text, "as", ours.endpoint)
                target = where if family == socket.AF_UNIX else address(ours.endpoint)
                with socket.socket(family) as s:
                    s.connect(target)
                    s.sendall(b"up")
                    s.shutdown(socket.SHUT_WR)
                    ours.wait_out(b"up")
                    ours.say(b"down")
                    ours.stdin.close()
                    check_eq(recv_all(s), b"down", text)
                check_eq(ours.succeed(), b"up", text)
        check_eq(os.listdir(d), [], "left behind")


@case(each=ENGINES)
def listen_dgrams(engine):
    need_engine(engine)
    with folder() as d:
        for family, where, _ in dgram_kinds(d):
            if family == socket.AF_UNIX:
                text = "unixgram://" + where.replace("\0", "@")
            else:
                text = "udp://[::1]:0" if family == socket.AF_INET6 else "udp://127.0.0.1:0"
            with listen("--engine", engine, "--timeout", "10s", text, stdin=subprocess.PIPE) as ours:
                target = where if family == socket.AF_UNIX else address(ours.endpoint)
                with socket.socket(family, socket.SOCK_DGRAM) as s:
                    s.settimeout(PATIENCE_S)
                    if family == socket.AF_UNIX:
                        s.bind("")  # an address to be answered at
                    s.sendto(b"up", target)
                    ours.wait_out(b"up")
                    ours.say(b"down")
                    check_eq(s.recv(100), b"down", text)


@case(each=ENGINES)
def listen_inherited(engine):
    need_engine(engine)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        with listen("--engine", engine, f"fd://{fd}", pass_fds=[fd]) as ours:
            check_eq(ours.endpoint, "tcp://127.0.0.1:%d" % listener.getsockname()[1])
            with dial(ours.endpoint) as s:
                s.sendall(b"up")
            check_eq(ours.succeed(), b"up")
    with peer(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as dgram:
        fd = dgram.fileno()
        with listen("--engine", engine, f"fd://{fd}", pass_fds=[fd]) as ours:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b"up", dgram.getsockname())
            ours.wait_out(b"up")


@case()
def listen_one_client_only():
    with listen("127.0.0.1:0", stdin=subprocess.PIPE) as ours:
        with dial(ours.endpoint) as s:
            s.sendall(b"first")
            ours.wait_out(b"first")
            try:
                dial(ours.endpoint).close()
                raise Exception("a second client was let in")
            except ConnectionRefusedError:
                pass
            ours.stdin.close()
        check_eq(ours.succeed(), b"first")


@case(each=["nothing", "a pipe"])
def listen_keep(stdin):
    with listen("--keep", "127.0.0.1:0",
                stdin=subprocess.PIPE if stdin == "a pipe" else subprocess.DEVNULL) as ours:
        for i in range(5):
            with dial(ours.endpoint) as s:
                s.sendall(b"client %d\n" % i)
                s.shutdown(socket.SHUT_WR)
                check_eq(recv_all(s), b"", "the end of the turn")
            ours.wait_out(b"client %d\n" % i)


@case()
def listen_keep_after_reset():
    with listen("--keep", "127.0.0.1:0") as ours:
        with dial(ours.endpoint) as s:
            s.sendall(b"reset")
            ours.wait_out(b"reset")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with dial(ours.endpoint) as s:
            s.sendall(b"next")
            ours.wait_out(b"next")


@case()
def listen_keep_dgrams():
    with listen("--keep", "udp://127.0.0.1:0", stdin=subprocess.PIPE) as ours:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b:
            for s, text in [(a, b"from a\n"), (b, b"from b\n")]:
                s.settimeout(PATIENCE_S)
                s.sendto(text, address(ours.endpoint))
                ours.wait_out(text)
                ours.say(b"to " + text)
                check_eq(s.recv(100), b"to " + text, "the latest sender gets the input")


@case()
def listen_timeout():
    _, err = tool("listen", "--timeout", "100ms", "127.0.0.1:0", status=1)
    check_in(b"timed out", err)


@case(each=both(*SHAPES))
def listen_exec_keep(shape, engine):
    need_engine(engine)
    program = 'read x; echo "$x $SOQUETE_PEER"'
    with listen("--keep", "--exec", program, "--shape", shape, "--engine", engine,
                "127.0.0.1:0") as ours:
        for i in range(5):
            with dial(ours.endpoint) as s:
                s.sendall(b"hello\n")
                check_eq(recv_all(s), ("hello 127.0.0.1:%d\n" % s.getsockname()[1]).encode())
        eventually(lambda: not children(ours.pid), "all programs are reaped")
        ours.kill(signal.SIGTERM)
        status, out, err = ours.finish()
        check_eq((status, out, err.count(b"\n")), (0, b"", 1), err)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return f.read().split()


@case(each=both("process", "thread", "fiber"))
def listen_exec_clients_overlap(shape, engine):
    need_engine(engine)
    with listen("--keep", "--exec", "cat", "--shape", shape, "--engine", engine,
                "127.0.0.1:0") as ours, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(dial(ours.endpoint)) for _ in range(8)]
        for s in reversed(clients):
            s.sendall(NOISE[:10000])
            check(recv_exactly(s, 10000) == NOISE[:10000], "differs")


@case(each=both(*SHAPES))
def listen_exec_dgrams(shape, engine):
    need_engine(engine)
    with listen("--keep", "--exec", "tr a-z A-Z", "--shape", shape, "--engine", engine,
                "udp://127.0.0.1:0") as ours:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE_S)
            for text in (b"one", b"two"):
                s.sendto(text, address(ours.endpoint))
                check_eq(s.recv(100), text.upper())


@case()
def listen_exec_once():
    with listen("--exec", "cat; exit 5", "127.0.0.1:0") as ours:
        with dial(ours.endpoint) as s:
            s.sendall(b"round")
            s.shutdown(socket.SHUT_WR)
            check_eq(recv_all(s), b"round")
        check_eq(ours.finish()[0], 5, "the program's status")
    with listen("--exec", "cat", "udp://127.0.0.1:0") as ours:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE_S)
            s.sendto(b"round", address(ours.endpoint))
            check_eq(s.recv(100), b"round")
        ours.succeed()


@case(each=both("process", "thread", "fiber"))
def listen_exec_client_gone(shape, engine):
    """A program whose client is gone gets an end, or a broken pipe, and is reaped."""
    need_engine(engine)
    for program in ("cat >/dev/null; exec sleep 0", "yes"):
        with listen("--keep", "--exec", program, "--shape", shape, "--engine", engine,
                    "127.0.0.1:0") as ours:
            with dial(ours.endpoint) as s:
                s.sendall(b"x")
                if program == "yes":
                    recv_exactly(s, 100)
            eventually(lambda: not children(ours.pid), f"{program} is reaped")
            ours.kill(signal.SIGTERM)
            check_eq(ours.finish()[0], 0)


@case(each=both("process", "thread", "fiber"))
def listen_exec_second_sigterm_kills(shape, engine):
    need_engine(engine)
    with listen("--keep", "--exec", "trap '' TERM; echo on; while :; do sleep 1; done", "--shape",
                shape, "--engine", engine, "127.0.0.1:0") as ours:
        with dial(ours.endpoint) as s:
            check_eq(recv_exactly(s, 3), b"on\n")
            ours.kill(signal.SIGTERM)
            eventually(lambda: refused(ours.endpoint), "the listener is closed")
            start = time.monotonic()
            ours.kill(signal.SIGTERM)
            ours.finish()
            check(time.monotonic() - start < 8, "took", time.monotonic() - start)


@case()
def listen_removes_path_on_signal():
    for text in ("unix", "unixgram"):
        with folder() as d, listen(f"{text}://{d}/s") as ours:
            check_eq(os.listdir(d), ["s"], "the path")
            ours.kill(signal.SIGTERM)
            check_eq(ours.finish()[0], -signal.SIGTERM, "status")
            check_eq(os.listdir(d), [], "left behind")


@case()
def listen_to_connect():
    """A file copied with the tool at both ends."""
    with folder() as d:
        with open(f"{d}/copy", "wb") as copy:
            with listen("127.0.0.1:0", stdout=copy) as ours:
                tool("connect", ours.endpoint, stdin=NOISE)
                check_eq(ours.finish()[0], 0)
        with open(f"{d}/copy", "rb") as copy:
            check(copy.read() == NOISE, "the copy differs")


# At a terminal.


class Terminal:
    """A tool at a pseudo-terminal."""

    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execv(Build.tool(), [Build.tool(), *args])
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.close(self.fd)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def read_until(self, part):
        while part not in self.data:
            ready, _, _ = select.select([self.fd], [], [], PATIENCE_S)
            check(ready, "no", part, "at the terminal:", self.data)
            try:
                self.data += os.read(self.fd, 4096)
            except OSError:  # the other side is closed
                raise Exception(f"no {part} at the terminal: {self.data}") from None

    def end(self):
        with contextlib.suppress(OSError):
            while select.select([self.fd], [], [], PATIENCE_S)[0]:
                self.data += os.read(self.fd, 4096)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 2 ** 30
        return status


@case()
def terminal_connect():
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        with Terminal("connect", "127.0.0.1:%d" % listener.getsockname()[1]) as ours:
            with listener.accept()[0] as s:
                os.write(ours.fd, b"typed\n")
                check_eq(recv_exactly(s, 6), b"typed\n")
                s.sendall(b"heard\n")
                ours.read_until(b"heard")
            check_eq(ours.end(), 0, "when the peer is gone, the terminal is free again")


@case()
def terminal_end_of_input():
    with peer(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as listener:
        with Terminal("connect", "127.0.0.1:%d" % listener.getsockname()[1]) as ours:
            with listener.accept()[0] as s:
                os.write(ours.fd, b"typed\n" + termios.tcgetattr(ours.fd)[6][termios.VEOF])
                check_eq(recv_all(s), b"typed\n", "Ctrl-D half-closes")
                s.sendall(b"goes on\n")
                ours.read_until(b"goes on")
            check_eq(ours.end(), 0)


@case()
def terminal_serve():
    with Terminal("serve", "http=127.0.0.1:0", "discard=udp://127.0.0.1:0") as ours:
        ours.read_until(b"ready")
        lines = ours.data.decode().splitlines()
        check_eq(lines[0].index("tcp://"), lines[1].index("udp://"), "columns", lines)
        rows = [line.split() for line in lines]
        check_eq([row[0] for row in rows], ["http", "discard", "ready"], rows)
        check_eq(rows[0][2].replace("http", "tcp").rstrip("/"), rows[0][1], "a browser's address")
        with dial(rows[0][1]) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            check_in(b"200", recv_all(s)[:20])
        os.write(ours.fd, termios.tcgetattr(ours.fd)[6][termios.VINTR])
        check_eq(ours.end(), 0, "Ctrl-C")


# Completion in bash.


def complete(*words):
    script = f"""
        . tool/completion.bash
        COMP_WORDS=({' '.join(repr(w) for w in words)})
        COMP_CWORD={len(words) - 1}
        COMP_LINE="${{COMP_WORDS[*]}}" COMP_POINT=${{#COMP_LINE}}
        compopt() {{ :; }}
        _soquete 2>&1
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = {**os.environ, "PATH": Build.dir + ":" + os.environ["PATH"]}
    return run("bash", "--norc", "-c", script, env=env)[0].decode().split()


@case(needs=["bash"])
def completion_in_bash():
    for words, want in [
            (("soquete", ""), {"serve", "connect", "listen", "resolve", "sim", "ports", "cert", "help", "--version",
                               "--help"}),
            (("soquete", "co"), {"connect"}),
            (("soquete", "help", "l"), {"listen"}),
            (("soquete", "connect", "--ti"), {"--timeout"}),
            (("soquete", "listen", "--kee"), {"--keep"}),
            (("soquete", "listen", "--shape", "t"), {"thread"}),
            (("soquete", "serve", "--engine", "u"), {"uring"}),
            (("soquete", "serve", "--root", "include/so"), {"include/soquete"}),
            (("soquete", "serve", "d"), {"discard", "daytime"}),
            (("soquete", "sim", "hal"), {"halfclose"}),
            (("soquete", "sim", "--di"), {"--diagram"}),
            (("soquete", "sim", "echo", "--shape", ""), {"iterative", "fiber"}),
            (("soquete", "connect", "unixg"), {"unixgram://"}),
            (("soquete", "resolve", "--t"), {"--timeout"}),
            (("soquete", "resolve", "localhost", "a"), {"A", "AAAA"}),
            (("soquete", "resolve", "-v", "localhost", "MX"), {"MX"}),
    ]:
        check_eq(set(complete(*words)), want, "completion of", words)
    options = set(re.findall(r"--[a-z-]+", tool("help", "serve")[0].decode()))
    check_eq(set(complete("soquete", "serve", "--")), options, "all options")
