"""case_serve.py - `soquete serve`: its table, its life, its limits."""

import contextlib
import os
import signal
import socket
import subprocess
import time

from kit import (Build, PATIENCE_S, SHAPES, Child, Skip, address, both, case, check, check_eq,
                 check_in, cpu_s, dial, eventually, folder, need_engine, recv_exactly, refused, serve,
                 tool, write)

@case()
def serve_table():
    with folder() as d, serve("echo=127.0.0.1:0", "echo=udp://127.0.0.1:0", f"daytime=unix://{d}/d",
                              "time=localhost:0", "discard=:0") as server:
        names = [name for name, _ in server.endpoints]
        check_eq(names, ["echo", "echo", "daytime", "time", "discard"], "names in order")
        endpoints = [endpoint for _, endpoint in server.endpoints]
        check(endpoints[0].startswith("tcp://127.0.0.1:"), endpoints)
        check(endpoints[1].startswith("udp://127.0.0.1:"), endpoints)
        check_eq(endpoints[2], f"unix://{d}/d", "unix")
        check_in(address(endpoints[3])[0], ("127.0.0.1", "::1"), "a name's address is numeric")
        check_in(address(endpoints[4])[0], ("::", "0.0.0.0"), "every address")
        check(all(address(e)[1] for e in endpoints if not e.startswith("unix")), "ports", endpoints)
        with socket.create_connection(("127.0.0.1", address(endpoints[4])[1]), PATIENCE_S):
            pass  # IPv4 too


@case()
def serve_inherited():
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dgram:
        dgram.bind(("127.0.0.1", 0))
        fds = (listener.fileno(), dgram.fileno())
        with serve(*(f"echo=fd://{fd}" for fd in fds), pass_fds=fds) as server:
            check_eq(server.endpoints, [("echo", "tcp://127.0.0.1:%d" % listener.getsockname()[1]),
                                        ("echo", "udp://127.0.0.1:%d" % dgram.getsockname()[1])])
            with dial(server.endpoints[0][1]) as s:
                s.sendall(b"ping")
                check_eq(recv_exactly(s, 4), b"ping")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(PATIENCE_S)
                s.sendto(b"ping", address(server.endpoints[1][1]))
                check_eq(s.recv(100), b"ping")


def namespace(script, *args):
    """The tool in a network of its own, where the default ports are free."""
    command = ["unshare", "-rn", "--kill-child=KILL", "sh", "-c", script + '; exec "$0" "$@"',
               Build.tool(), *args]
    if subprocess.run(["unshare", "-rn", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("this machine grants no network namespace")
    return Child(*command)


NEEDS = ["unshare:util-linux", "ip:iproute2"]


@case(needs=NEEDS, each=[(), ("--public",)])
def serve_default_endpoints(*options):
    with folder() as d, namespace("ip link set lo up", "serve", "--root", d, *options) as server:
        server.wait_line("ready")
        got = server.out.data.decode().splitlines()[:-1]
        ports = {"http": 8080, "echo": 8007, "discard": 8009, "daytime": 8013, "chargen": 8019,
                 "time": 8037}
        want = {f"{name} {scheme}://{host}:{ports[name]}"
                for name in ports for scheme in ("tcp", "udp")
                for host in (("[::]",) if options else ("127.0.0.1", "[::1]"))
                if name != "http" or scheme == "tcp"}
        check_eq(sorted(got), sorted(want), "table")


@case(needs=NEEDS)
def serve_without_ipv6():
    script = "ip link set lo up; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"
    with namespace(script, "serve", "echo", "time") as server:
        server.wait_line("ready")
        got = server.out.data.decode().splitlines()
        check_eq(sorted(got), sorted(["echo tcp://127.0.0.1:8007", "echo udp://127.0.0.1:8007",
                                      "time tcp://127.0.0.1:8037", "time udp://127.0.0.1:8037",
                                      "ready"]), "table")
        server.wait_err(b"IPv6")
        check_eq(server.err.data.count(b"\n"), 1, "notes", server.err.data)


@case()
def serve_port_taken():
    with serve("echo=127.0.0.1:0") as server:
        _, err = tool("serve", f"echo={server.endpoints[0][1]}", status=1)
        check_in(server.endpoints[0][1].encode(), err)
        check_in(b"in use", err)
        check_eq(err.count(b"\n"), 1, "lines", err)


@case(each=both(*SHAPES))
def serve_sigterm_drains(shape, engine):
    """A request in flight ends well; nobody else is let in; the status is 0."""
    need_engine(engine)
    size = 32 << 20
    with folder() as d:
        with open(f"{d}/huge.bin", "wb") as f:
            f.truncate(size)
        with serve("--root", d, "--shape", shape, "--engine", engine, "http=127.0.0.1:0") as server:
            with dial(server.endpoints[0][1]) as s:
                s.sendall(b"GET /huge.bin HTTP/1.0\r\n\r\n")
                got = len(recv_exactly(s, 1000))
                server.kill(signal.SIGTERM)
                eventually(lambda: refused(server.endpoints[0][1]), "the listener is closed")
                check(server.process.poll() is None, "ended with a request in flight")
                while piece := s.recv(1 << 20):
                    got += len(piece)
                check(got >= size, "got", got, "of", size)
            check_eq(server.finish()[0], 0, "status")


@case(each=both(*SHAPES))
def serve_second_sigterm_ends_at_once(shape, engine):
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "chargen=127.0.0.1:0") as server:
        with dial(server.endpoints[0][1]) as s:
            recv_exactly(s, 1000)  # then nothing more: the service waits in a send
            server.kill(signal.SIGTERM)
            eventually(lambda: refused(server.endpoints[0][1]), "the listener is closed")
            check(server.process.poll() is None, "one signal was enough")
            start = time.monotonic()
            server.kill(signal.SIGTERM)
            status, _, err = server.finish()
            check(time.monotonic() - start < 3, "took", time.monotonic() - start)
            check_eq(status, 0, err)


@case(each=both(*SHAPES))
def serve_idle_client_does_not_delay_the_end(shape, engine):
    need_engine(engine)
    with folder() as d:
        write(f"{d}/x", b"x")
        with serve("--root", d, "--shape", shape, "--engine", engine, "http=127.0.0.1:0") as server:
            with dial(server.endpoints[0][1]) as s:
                s.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                check_in(b"200", recv_exactly(s, 15))
                start = time.monotonic()
                server.kill(signal.SIGINT)
                check_eq(server.finish()[0], 0, "status")
                check(time.monotonic() - start < 5, "took", time.monotonic() - start)


@case(each=both(*SHAPES))
def serve_idle_timeout(shape, engine):
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "--idle-timeout", "200ms",
               "echo=127.0.0.1:0") as server:
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"ping")
            check_eq(recv_exactly(s, 4), b"ping")
            start = time.monotonic()
            check_eq(s.recv(1), b"", "the end")
            check(0.1 < time.monotonic() - start < 10, "after", time.monotonic() - start)


@case(each=both("fiber", "thread", "process"))
def serve_clients_max(shape, engine):
    """Further clients wait unaccepted, and get their turn."""
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "--clients-max", "2",
               "echo=127.0.0.1:0") as server, contextlib.ExitStack() as stack:
        first = [stack.enter_context(dial(server.endpoints[0][1])) for _ in range(2)]
        for s in first:
            s.sendall(b"a")
            check_eq(recv_exactly(s, 1), b"a")
        third = stack.enter_context(dial(server.endpoints[0][1]))
        third.sendall(b"b")
        third.settimeout(0.3)
        try:
            check(not third.recv(1), "the third client was served")
            raise Exception("the third client was closed")
        except TimeoutError:
            pass
        third.settimeout(PATIENCE_S)
        first[0].close()
        check_eq(recv_exactly(third, 1), b"b", "the third client's turn")


@case(each=both("fiber", "thread", "process"))
def serve_descriptors_run_out(shape, engine):
    """More clients than descriptors: accepting pauses, nothing spins, and all recovers."""
    need_engine(engine)

    # A root would raise the limit again: CAP_SYS_RESOURCE is taken away.
    drop = ["setpriv", "--bounding-set=-sys_resource"] if os.geteuid() == 0 else []
    command = [*drop, "sh", "-c", 'ulimit -n 64; exec "$0" "$@"', Build.tool()]
    with Child(*command, "serve", "--shape", shape, "--engine", engine, "--clients-max", "1000",
               "echo=127.0.0.1:0") as server, contextlib.ExitStack() as stack:
        server.wait_line("ready")
        endpoint = server.out.data.decode().split()[1]
        clients = [stack.enter_context(dial(endpoint)) for _ in range(150)]
        for s in clients:
            s.sendall(b"x")
        check_eq(recv_exactly(clients[0], 1), b"x")
        start_cpu, start = cpu_s(server.pid), time.monotonic()
        clients[-1].settimeout(1.5)
        with contextlib.suppress(TimeoutError):
            clients[-1].recv(1)
        used = (cpu_s(server.pid) - start_cpu) / (time.monotonic() - start)
        check(used < 0.25, "the server spins:", used)
        for s in clients[:-1]:
            s.close()
        clients[-1].settimeout(PATIENCE_S)
        check_eq(recv_exactly(clients[-1], 1), b"x", "the last client's turn")
        with dial(endpoint) as s:
            s.sendall(b"back")
            check_eq(recv_exactly(s, 4), b"back", "a new client")


@case()
def serve_many_workers():
    with serve("--workers", "3", "echo=127.0.0.1:0", "echo=udp://127.0.0.1:0") as server:
        for _ in range(30):
            with dial(server.endpoints[0][1]) as s:
                s.sendall(b"ping")
                check_eq(recv_exactly(s, 4), b"ping")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE_S)
            for _ in range(10):
                s.sendto(b"ping", address(server.endpoints[1][1]))
                check_eq(s.recv(100), b"ping")


@case()
def serve_unix_mode():
    with folder() as d, serve("--unix-mode", "600", f"echo=unix://{d}/s"):
        check_eq(os.stat(f"{d}/s").st_mode & 0o777, 0o600, "mode")


@case()
def serve_removes_unix_path():
    with folder() as d, serve(f"echo=unix://{d}/s") as server:
        server.kill(signal.SIGTERM)
        check_eq(server.finish()[0], 0, "status")
        check_eq(os.listdir(d), [], "left behind")
