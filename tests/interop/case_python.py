"""case_python.py - Python's sockets as clients, well behaved and not."""

import contextlib
import os
import random
import socket
import struct
import time

from kit import (PATIENCE_S, SHAPES, address, both, case, check, check_eq, dial, has_ipv6,
                 listen, memory_is_watched, memory_kib, need_engine, recv_all, recv_exactly, serve)

NOISE = random.Random(7).randbytes(300000)


@case(each=both(*SHAPES))
def python_echo(shape, engine):
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "echo=127.0.0.1:0") as server:
        for _ in range(3):
            with dial(server.endpoints[0][1]) as s:
                for start in range(0, len(NOISE), 30000):
                    s.sendall(NOISE[start:start + 30000])
                    check(recv_exactly(s, 30000) == NOISE[start:start + 30000], "differs")


@case(each=both(*SHAPES))
def python_echo_half_close(shape, engine):
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "echo=127.0.0.1:0") as server:
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"to the end")
            s.shutdown(socket.SHUT_WR)
            check_eq(recv_all(s), b"to the end")


@case(each=both(*SHAPES))
def python_small_services_udp(shape, engine):
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "echo=udp://127.0.0.1:0",
               "daytime=udp://127.0.0.1:0", "time=udp://127.0.0.1:0",
               "chargen=udp://127.0.0.1:0", "discard=udp://127.0.0.1:0") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE_S)

            def ask(name, request):
                s.sendto(request, address(dict(server.endpoints)[name]))
                answer, sender = s.recvfrom(65536)
                check_eq(sender, address(dict(server.endpoints)[name]), "the answer's sender")
                check(len(answer) <= len(request), name, "amplifies", request, "to", answer)
                return answer

            s.sendto(b"silence", address(dict(server.endpoints)["discard"]))
            check_eq(ask("echo", b"ping"), b"ping")
            check(ask("chargen", b"x" * 100), "chargen")
            check(b":" in ask("daytime", b"x" * 100), "daytime")
            now = struct.unpack("!I", ask("time", b"x" * 4))[0] - 2208988800
            check(abs(now - time.time()) < 3, "time", now)


@case()
def python_answers_per_address():
    """More than the limit's datagrams at once get no more than the limit's answers."""
    with serve("--answers-per-address", "5", "echo=udp://127.0.0.1:0") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            start = time.monotonic()
            for _ in range(50):
                s.sendto(b"x", address(server.endpoints[0][1]))
            s.settimeout(0.3)
            answers = 0
            with contextlib.suppress(TimeoutError):
                while s.recv(10):
                    answers += 1
            allowed = 5 + 5 * (time.monotonic() - start)
            check(5 <= answers <= allowed, answers, "answers;", allowed, "are allowed")


@case()
def python_time_and_daytime():
    with serve("time=127.0.0.1:0", "daytime=127.0.0.1:0") as server:
        with dial(server.endpoints[0][1]) as s:
            now = struct.unpack("!I", recv_all(s))[0] - 2208988800
            check(abs(now - time.time()) < 3, now)
        with dial(server.endpoints[1][1]) as s:
            check(recv_all(s).endswith(b"\r\n"), "daytime's line")


@case()
def python_discard():
    with serve("discard=127.0.0.1:0") as server, dial(server.endpoints[0][1]) as s:
        s.sendall(NOISE)
        s.shutdown(socket.SHUT_WR)
        check_eq(recv_all(s), b"")


@case()
def python_ipv6():
    if not has_ipv6():
        return
    with serve("echo=[::1]:0", "echo=udp://[::1]:0") as server:
        for _, endpoint in server.endpoints:
            check(endpoint.split("://")[1].startswith("[::1]:"), endpoint)
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"six")
            check_eq(recv_exactly(s, 3), b"six")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE_S)
            s.sendto(b"six", address(server.endpoints[1][1]))
            check_eq(s.recv(100), b"six")


@case(each=both(*SHAPES))
def python_reset_harms_only_itself(shape, engine):
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "chargen=127.0.0.1:0",
               "echo=127.0.0.1:0") as server:
        for i in range(20):
            with dial(server.endpoints[i % 2][1]) as s:
                s.sendall(b"x")
                s.recv(1)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with dial(server.endpoints[1][1]) as s:
            s.sendall(b"still here")
            check_eq(recv_exactly(s, 10), b"still here")


@case(each=both("thread", "fiber", "process"))
def python_slow_reader(shape, engine):
    """Who never reads what chargen and echo send him costs no memory and stops nobody."""
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "chargen=127.0.0.1:0",
               "echo=127.0.0.1:0") as server, contextlib.ExitStack() as stack:
        before = memory_kib(server.pid)
        for _ in range(10):
            check(stack.enter_context(dial(server.endpoints[0][1])).recv(1), "nothing came")
        for _ in range(10):
            s = stack.enter_context(dial(server.endpoints[1][1]))
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    s.send(NOISE)
        with dial(server.endpoints[1][1]) as s:
            s.sendall(b"still here")
            check_eq(recv_exactly(s, 10), b"still here")
        grown = memory_kib(server.pid) - before
        check(grown < 8192 or not memory_is_watched(), "memory grew by", grown, "KiB")


@case()
def python_byte_by_byte():
    with listen("--exec", "read line; echo got $line", "127.0.0.1:0") as ours:
        with dial(ours.endpoint) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"slowly\n":
                s.sendall(bytes([byte]))
            check_eq(recv_all(s), b"got slowly\n")


@case()
def python_unix_datagrams():
    name = f"soquete-test-{os.getpid()}"
    with serve(f"echo=unixgram://@{name}") as server:
        check_eq(server.endpoints, [("echo", f"unixgram://@{name}")], "table")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE_S)
            s.bind("")
            s.sendto(b"ping", f"\0{name}")
            check_eq(s.recv(100), b"ping")
