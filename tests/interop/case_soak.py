"""case_soak.py - many clients at once, and many one after the other."""

import contextlib
import resource
import selectors
import socket
import struct
import time

from kit import (PATIENCE_S, Failure, Skip, address, both, case, check, check_eq, descriptors, dial,
                 die_with_parent, eventually, memory_is_watched, memory_kib, need_engine, recv_exactly, serve)


def raise_descriptors(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except ValueError:
            raise Skip(f"only {hard} descriptors are allowed here") from None
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def usual_descriptors():
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


class Crowd:
    """Many connected sockets, served by one thread of ours."""

    def __init__(self, endpoint, count):
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        where = address(endpoint)
        for _ in range(count):
            s = socket.socket()
            self.sockets.append(s)
            s.setblocking(False)
            if s.connect_ex(where) not in (0, 115):
                raise Failure("connect")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for s in self.sockets:
            s.close()
        self.selector.close()

    def round(self, text):
        """Each sends text and gets it back."""
        missing = {}
        for s in self.sockets:
            missing[s] = len(text)
            self.selector.register(s, selectors.EVENT_WRITE)
        while missing:
            ready = self.selector.select(PATIENCE_S)
            check(ready, len(missing), "of", len(self.sockets), "clients wait for the server")
            for key, events in ready:
                s = key.fileobj
                if events & selectors.EVENT_WRITE:
                    check_eq(s.send(text), len(text), "sent")
                    self.selector.modify(s, selectors.EVENT_READ)
                    continue
                piece = s.recv(len(text))
                check(piece, "closed by the server")
                missing[s] -= len(piece)
                if not missing[s]:
                    del missing[s]
                    self.selector.unregister(s)


@case(each=["uring", "epoll"])
def soak_ten_thousand_clients(engine):
    """Default settings, the fiber shape; all of them connected at once, twice served. The
    shell's soft limit is as usual, and the tool raises it."""
    need_engine(engine)
    raise_descriptors(11000)
    with serve("--engine", engine, "echo=127.0.0.1:0", preexec_fn=usual_descriptors) as server:
        before = memory_kib(server.pid)
        with Crowd(server.endpoints[0][1], 10000) as crowd:
            crowd.round(b"hello")
            crowd.round(b"again")
            check(descriptors(server.pid) >= 10000 or engine == "uring", "descriptors",
                  descriptors(server.pid))
            each = (memory_kib(server.pid) - before) / 10000
            check(each < 24 or not memory_is_watched(), "a client costs", each, "KiB")
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"still here")
            check_eq(recv_exactly(s, 10), b"still here")


def rounds(endpoint, count):
    """Connect, one echo in ten, close: by a reset, so that no port waits (TIME-WAIT)."""
    where, reset = address(endpoint), struct.pack("ii", 1, 0)
    for i in range(count):
        s = socket.socket()
        s.connect(where)
        if i % 10 == 0:
            s.settimeout(PATIENCE_S)
            s.sendall(b"x")
            check_eq(s.recv(1), b"x", "round", i)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        s.close()


def steady(server):
    """Descriptors and memory once all of the clients are gone."""
    last = [descriptors(server.pid), 0]

    def settled():
        now = descriptors(server.pid)
        last[1] = last[1] + 1 if now == last[0] else 0
        last[0] = now
        return last[1] > 20

    eventually(settled, "descriptors settle")
    return last[0], memory_kib(server.pid)


@case(each=both(("fiber", 100000), ("thread", 20000), ("process", 3000), ("iterative", 20000)))
def soak_connect_and_close(shape, count, engine):
    need_engine(engine)
    with serve("--shape", shape, "--engine", engine, "echo=127.0.0.1:0") as server:
        rounds(server.endpoints[0][1], count // 10)  # what is kept for reuse is there now
        fds, memory = steady(server)
        start = time.monotonic()
        rounds(server.endpoints[0][1], count)
        fds_after, memory_after = steady(server)
        check_eq(fds_after, fds, "descriptors")
        check(memory_after - memory < 512 or not memory_is_watched(), "memory grew from", memory, "to", memory_after,
              "KiB in", round(time.monotonic() - start), "s")
        with contextlib.closing(dial(server.endpoints[0][1])) as s:
            s.sendall(b"still here")
            check_eq(recv_exactly(s, 10), b"still here")
