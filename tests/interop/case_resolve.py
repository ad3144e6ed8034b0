"""case_resolve.py - `soquete resolve`, and connecting by name, against dnsmasq and against a
name server that lies: each case in a network and with files (hosts, resolv.conf, nsswitch.conf)
of its own. Run as a program, this file is the server that lies."""

import contextlib
import os
import re
import select
import socket
import struct
import sys
import time

from kit import (Build, Child, Failure, Skip, case, check, check_eq, check_in, folder,
                 need_engine, run, write)

NEEDS = ("unshare:util-linux", "nsenter:util-linux", "ip:iproute2")
DNSMASQ = (*NEEDS, "dnsmasq:dnsmasq-base")

# Addresses of the documentation, RFC 5737 and RFC 3849, that are this machine's own there.
HERE4, HERE6 = "192.0.2.1", "2001:db8::1"
AWAY4, AWAY6 = "192.0.2.7", "2001:db8::7"

SETUP = f"""
set -e
mount --bind hosts /etc/hosts
mount --bind resolv.conf /etc/resolv.conf
mount --bind nsswitch.conf /etc/nsswitch.conf
ip link set lo up
ip addr add {HERE4}/24 dev lo
ip addr add {HERE6}/64 dev lo nodad
echo begun
exec cat
"""

RESOLV_CONF = "nameserver 127.0.0.1\nsearch soquete.test\noptions ndots:1\n"



def wire(name):
    """A name as the DNS sends it, RFC 1035 section 3.1."""
    labels = name.encode("latin-1").split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


ZONE = [
    "--local=/test/", "--local=/2.0.192.in-addr.arpa/", "--local-ttl=120",
    f"--host-record=web.soquete.test,{AWAY4},{AWAY6},300",
    f"--host-record=four.soquete.test,{AWAY4}",
    f"--host-record=six.soquete.test,{AWAY6}",
    f"--host-record=here.soquete.test,{HERE4},{HERE6}",
    f"--host-record=xn--bcher-kva.soquete.test,{AWAY4}",
    "--cname=www.soquete.test,web.soquete.test,600",
    "--cname=old.soquete.test,www.soquete.test,700",
    "--mx-host=soquete.test,backup.soquete.test,20",
    "--mx-host=soquete.test,mail.soquete.test,10",
    "--mx-host=soquete.test,last.soquete.test,30",  # which dnsmasq tells first
    "--txt-record=soquete.test,v=spf1 -all",
    # Clears a terminal, and says otherwise.
    "--txt-record=evil.soquete.test,\x1b[2J\"all\" is \\well",
    "--srv-host=_http._tcp.soquete.test,web.soquete.test,8080,5,10",
    "--srv-host=_http._tcp.soquete.test,four.soquete.test,80,1,0",
    "--ptr-record=7.2.0.192.in-addr.arpa,web.soquete.test",
    "--dns-rr=soquete.test,257,00" + (b"\x05issue" + b"ca.soquete.test").hex(),
    "--dns-rr=soquete.test,2," + (wire("ns.soquete.test")).hex(),
    "--dns-rr=soquete.test,6," + (wire("ns.soquete.test") + wire("root.soquete.test") +
                                  struct.pack("!5I", 1, 2, 3, 4, 5)).hex(),
]


class World:
    """A network of its own; what runs in it sees files of its own."""

    def __init__(self, holder, path):
        self.path = path
        self.enter = ["nsenter", "-t", holder.pid, "-m", "-n"]
        if os.getuid() != 0:
            self.enter += ["-U", "--preserve-credentials"]

    def start(self, *args, **options):
        return Child(*self.enter, *args, **options)

    def run(self, *args, **options):
        return run(*self.enter, *args, **options)

    def resolve(self, *args, **options):
        """The lines that `soquete resolve` prints."""
        out, err = self.run(Build.tool(), "resolve", *args, **options)
        check_eq(err, b"", args)
        return out.decode("ascii").splitlines()

    def fail(self, *args, status=1):
        """The one line that it complains with."""
        out, err = self.run(Build.tool(), "resolve", *args, status=status)
        check_eq((out, err.count(b"\n")), (b"", 1), args, err)
        check(err.startswith(b"soquete: "), args, err)
        return err.decode()[len("soquete: "):-1]


@contextlib.contextmanager
def world(hosts="127.0.0.1 localhost\n::1 localhost\n", resolv_conf=RESOLV_CONF,
          nsswitch_conf="hosts: files dns\nservices: files\n"):
    apart = ["unshare", "-m", "-n"] if os.getuid() == 0 else ["unshare", "-r", "-m", "-n"]
    for file in ("hosts", "resolv.conf", "nsswitch.conf"):
        if not os.path.exists("/etc/" + file):
            raise Skip(f"there is no /etc/{file} that another could take the place of")
    with folder() as path:
        write(path + "/hosts", hosts.encode())
        write(path + "/resolv.conf", resolv_conf.encode())
        write(path + "/nsswitch.conf", nsswitch_conf.encode())
        with Child(*apart, "sh", "-c", SETUP, stdin=-1, cwd=path) as holder:
            try:
                holder.wait_line("begun")
            except Failure:
                raise Skip(f"{' '.join(apart)}: "
                           f"{holder.err.data.decode(errors='replace').strip()}") from None
            w = World(holder, path)
            with w.start(Build.tool(), "resolve", "a.test", "MX") as child:
                if b"no c-ares" in child.finish()[2]:
                    raise Skip("this build has no c-ares")
            yield w


@contextlib.contextmanager
def dnsmasq(w, *more):
    # --no-daemon, so that it remains who it is: in a user namespace it cannot be another.
    args = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--log-queries", *ZONE, *more]
    with w.start(*args) as server:
        server.wait_err(b"started, version")
        yield server


def queries(server):
    """What it was asked, each as ("AAAA", name)."""
    return re.findall(r"query\[(\w+)\] (\S+) from", server.err.data.decode())


@contextlib.contextmanager
def known(*more, **files):
    """A world whose names dnsmasq knows."""
    with world(**files) as w, dnsmasq(w, *more) as server:
        w.server = server
        yield w


# What is known: addresses, in the order in which they are tried.


ENGINES = ["uring", "epoll"]


@case(DNSMASQ, each=ENGINES)
def resolve_addresses(engine):
    need_engine(engine)
    with known() as w:
        for name, want in [
                ("web.soquete.test", [AWAY6, AWAY4]),
                ("WEB.Soquete.TEST", [AWAY6, AWAY4]),
                ("web.soquete.test.", [AWAY6, AWAY4]),
                ("four.soquete.test", [AWAY4]),
                ("six.soquete.test", [AWAY6]),
                ("old.soquete.test", [AWAY6, AWAY4]),
                ("web.soquete.test:http", [f"[{AWAY6}]:80", f"{AWAY4}:80"]),
                ("udp://four.soquete.test:53", [f"{AWAY4}:53"]),
                ("[::1]:7", ["[::1]:7"]),
        ]:
            check_eq(w.resolve("--engine", engine, name), want, name)


@case((*DNSMASQ, "getent"))
def resolve_order():
    """That of RFC 6724: IPv6 first, but what can be reached before all; and getent's, which
    leaves out what cannot be."""
    for gone, want in [("127.0.0.9/8", [AWAY6, AWAY4]), (f"{HERE6}/64", [AWAY4, AWAY6]),
                       (f"{HERE4}/24", [AWAY6, AWAY4])]:
        with known() as w:
            w.run("sh", "-c", f"ip addr del {gone} dev lo || test {gone} = 127.0.0.9/8")
            check_eq(w.resolve("web.soquete.test"), want, "without", gone)
            out, _ = w.run("getent", "ahosts", "web.soquete.test")
            check_eq(out.decode().split()[0], want[0], "getent, without", gone)


@case(DNSMASQ)
def resolve_search_domain():
    with known() as w:
        check_eq(w.resolve("web"), [AWAY6, AWAY4])
        check_in(("A", "web.soquete.test"), queries(w.server))
        # A name with a final dot, and one whose records are asked for, are complete.
        w.fail("web.")
        w.fail("web", "A")


@case(DNSMASQ)
def resolve_unicode():
    with known() as w:
        check_eq(w.resolve("bücher.soquete.test"), [AWAY4])
        check_eq(rows(w.resolve("-v", "bücher.soquete.test")),
                 [["xn--bcher-kva.soquete.test", "120", "A", AWAY4]])
        check_eq(w.resolve("bücher.soquete.test", "a"), [AWAY4])


@case(DNSMASQ)
def resolve_verbose():
    with known() as w:
        check_eq(rows(w.resolve("--verbose", "old.soquete.test")),
                 [["old.soquete.test", "700", "CNAME", "www.soquete.test"],
                  ["www.soquete.test", "600", "CNAME", "web.soquete.test"],
                  ["web.soquete.test", "300", "AAAA", AWAY6],
                  ["web.soquete.test", "300", "A", AWAY4]])
        # Nobody asks twice for what has just been told.
        check_eq(sorted(queries(w.server)),
                 [("A", "old.soquete.test"), ("AAAA", "old.soquete.test")])
        check_eq(rows(w.resolve("-v", "localhost:80")),
                 [["localhost", "0", "AAAA", "[::1]:80"], ["localhost", "0", "A", "127.0.0.1:80"]])


@case(DNSMASQ)
def resolve_verbose_hosts_file():
    with known(hosts=f"{AWAY4} web.soquete.test\n192.0.2.99 mine\n") as w:
        check_eq(rows(w.resolve("-v", "mine:80")), [["mine", "-", "A", "192.0.2.99:80"]])
        # It is the DNS's, too.
        check_eq(rows(w.resolve("-v", "web.soquete.test")),
                 [["web.soquete.test", "300", "A", AWAY4]])
        check_eq(rows(w.resolve("-v", "192.0.2.99")), [["192.0.2.99", "-", "PTR", "mine"]])


def rows(lines):
    """The columns of -v, each as wide as its widest cell."""
    starts = {tuple(m.start() for m in re.finditer(r"\S+", line.split('"')[0]))[2:4]
              for line in lines}
    check_eq(len(starts), 1, "columns are not straight:", lines)
    return [line.split(None, 3) for line in lines]


# Other records.


@case(DNSMASQ, each=ENGINES)
def resolve_records(engine):
    need_engine(engine)
    with known() as w:
        for name, kind, want in [
                ("web.soquete.test", "A", [AWAY4]),
                ("web.soquete.test", "aaaa", [AWAY6]),
                ("www.soquete.test", "CNAME", ["web.soquete.test"]),
                ("old.soquete.test", "A", [AWAY4]),
                ("soquete.test", "MX",
                 ["10 mail.soquete.test", "20 backup.soquete.test", "30 last.soquete.test"]),
                ("soquete.test", "TXT", ['"v=spf1 -all"']),
                ("evil.soquete.test", "TXT", [r'"\027[2J\"all\" is \\well"']),
                ("_http._tcp.soquete.test", "SRV",
                 ["1 0 80 four.soquete.test", "5 10 8080 web.soquete.test"]),
                ("7.2.0.192.in-addr.arpa", "PTR", ["web.soquete.test"]),
                (AWAY4, "PTR", ["web.soquete.test"]),
                (AWAY4, None, ["web.soquete.test"]),
                (AWAY6, None, ["web.soquete.test"]),
                (f"[{AWAY6}]", None, ["web.soquete.test"]),
                ("soquete.test", "NS", ["ns.soquete.test"]),
                ("soquete.test", "SOA", ["ns.soquete.test"]),
        ]:
            check_eq(w.resolve("--engine", engine, name, *([kind] if kind else [])), want, name,
                     kind)
        (line,) = w.resolve("soquete.test", "CAA")
        check(re.search(r'\bissue\b.*ca\.soquete\.test', line), line)
        check_eq(rows(w.resolve("-v", "soquete.test", "MX")),
                 [["soquete.test", "120", "MX", "10 mail.soquete.test"],
                  ["soquete.test", "120", "MX", "20 backup.soquete.test"],
                  ["soquete.test", "120", "MX", "30 last.soquete.test"]])
        check_eq(rows(w.resolve("-v", "www.soquete.test", "A")),
                 [["www.soquete.test", "600", "CNAME", "web.soquete.test"],
                  ["web.soquete.test", "300", "A", AWAY4]])


@case(DNSMASQ)
def resolve_address_verbose():
    with known() as w:
        check_eq(rows(w.resolve("-v", AWAY4)),
                 [["7.2.0.192.in-addr.arpa", "120", "PTR", "web.soquete.test"]])


@case((*DNSMASQ, "dig:bind9-dnsutils"))
def resolve_as_dig_does():
    with known() as w:
        for name, kind in [("web.soquete.test", "A"), ("web.soquete.test", "AAAA"),
                           ("soquete.test", "MX"), ("soquete.test", "TXT"),
                           ("evil.soquete.test", "TXT"), ("soquete.test", "NS"),
                           ("_http._tcp.soquete.test", "SRV"), ("www.soquete.test", "CNAME")]:
            out, _ = w.run("dig", "+short", name, kind)
            want = [re.sub(r"\.$", "", line) for line in out.decode().splitlines()]
            check_eq(sorted(w.resolve(name, kind)), sorted(want), name, kind)


# What is on this machine, and never asked for.


@case(DNSMASQ)
def resolve_hosts_file():
    with known(hosts="192.0.2.99 four.soquete.test mine box.local\n2001:db8::99 mine\n") as w:
        check_eq(w.resolve("four.soquete.test"), ["192.0.2.99"])
        check_eq(w.resolve("mine"), ["2001:db8::99", "192.0.2.99"])
        check_eq(w.resolve("box.local"), ["192.0.2.99"])
        w.fail("no.local")
        check_eq(w.resolve("192.0.2.99"), ["four.soquete.test"])
        check_eq(queries(w.server), [])
        # The DNS's own, which is what is asked for by a type.
        check_eq(w.resolve("four.soquete.test", "A"), [AWAY4])


@case(DNSMASQ)
def resolve_localhost_is_never_asked_for():
    with known(hosts="# nothing\n") as w:
        for name in ("localhost", "LOCALHOST.", "some.localhost"):
            check_eq(sorted(w.resolve(name)), ["127.0.0.1", "::1"], name)
            check_eq(w.resolve(name, "A"), ["127.0.0.1"], name)
            check_eq(len(rows(w.resolve("-v", name))), 2, name)
        check_eq(w.resolve("127.0.0.1"), ["localhost"])
        check_eq(queries(w.server), [])


# What is not known, and why.


@case(DNSMASQ)
def resolve_no_such_name():
    with known() as w:
        for args in (["no.soquete.test"], ["no.soquete.test", "MX"], ["192.0.2.77"],
                     ["no.soquete.test:80"]):
            line = w.fail(*args)
            check_in(args[0], line)
            check_in("does not exist", line)
        check_eq(w.fail("192.0.2.77"), "name of 192.0.2.77: Name does not exist")
        check_eq(w.fail("no.soquete.test"), "look up no.soquete.test: Name does not exist")


@case(DNSMASQ)
def resolve_no_record():
    with known() as w:
        line = w.fail("four.soquete.test", "AAAA")
        check_in("four.soquete.test", line)
        check_in("AAAA", line)
        check("does not exist" not in line, line)
        check_in("web.soquete.test MX", w.fail("web.soquete.test", "MX"))
        for name in ("soquete.test", "evil.soquete.test:80"):
            line = w.fail(name)
            check_in(name, line)
            check_in("has no address", line)


@case(DNSMASQ)
def resolve_refused():
    """A server that does not care for the name: it is not told that there is none."""
    with known() as w:
        line = w.fail("www.elsewhere.example")
        check("does not exist" not in line, line)


@case(NEEDS, each=["down", "silent", "garbage", "other-port", "other-id", "other-question",
                   "server-failure", "loop-in-a-name"])
def resolve_no_answer(lie):
    """Nobody who answers, or with nothing to believe: an error, and in time."""
    with world() as w, liar(w, lie):
        for args in (["web.soquete.test"], ["soquete.test", "MX"]):
            start = time.monotonic()
            line = w.fail("--timeout", "1s", *args)
            check(time.monotonic() - start < 10, "it took", time.monotonic() - start)
            check_in(args[0], line)
            check("does not exist" not in line, line)


@case(DNSMASQ)
def resolve_long_answer():
    """What is too long for a datagram is asked for over TCP."""
    texts = [f"{'long ' * 40}{i:03}" for i in range(60)]
    with known(*(f"--txt-record=long.soquete.test,{text}" for text in texts)) as w:
        check_eq(sorted(w.resolve("long.soquete.test", "TXT")), [f'"{text}"' for text in texts])


@case(NEEDS)
def resolve_truncated_answer():
    """The same, where one sees who is asked and how."""
    with world() as w, liar(w, "truncate") as server:
        check_eq(len(w.resolve("many.soquete.test", "TXT")), 50)
        check_in(b"tcp TXT many.soquete.test\n", server.out.data)
        check_eq(len(w.resolve("many.soquete.test")), 100)


@case(NEEDS)
def resolve_names_that_are_controls():
    """No byte of the answer moves the cursor."""
    with world() as w, liar(w, "controls"):
        for args in (["any.soquete.test", "CNAME"], ["any.soquete.test", "TXT"], ["192.0.2.7"],
                     ["any.soquete.test", "MX"], ["-v", "any.soquete.test"], ["192.0.2.7", "PTR"],
                     ["-v", "any.soquete.test", "A"]):
            with w.start(Build.tool(), "resolve", "--timeout", "5s", *args) as child:
                _, out, err = child.finish()
            check(all(byte == 10 or 32 <= byte < 127 for byte in out + err), args, out, err)


@case(NEEDS)
def resolve_aliases_without_end():
    with world() as w, liar(w, "alias-loop"):
        check_in("a.soquete.test", w.fail("--timeout", "5s", "a.soquete.test"))
        w.fail("--timeout", "5s", "a.soquete.test", "A")


@case(DNSMASQ)
def resolve_second_server():
    """The first one of resolv.conf is not there."""
    with known("--listen-address=127.0.0.2", "--bind-interfaces",
               resolv_conf="nameserver 127.0.0.9\nnameserver 127.0.0.2\n") as w:
        check_eq(w.resolve("web.soquete.test"), [AWAY6, AWAY4])


# Bad usage.


@case()
def resolve_bad_usage():
    for args, want in [
            ([], "resolve: a name is missing"),
            ([""], "the name is empty"),
            (["a.example", "MX", "c"], "'c' is one more"),
            (["a.example", "MXX"], "unknown type 'MXX' (A, AAAA, CAA, CNAME, MX, NS, PTR"),
            (["a.example", "80"], "unknown type '80'"),
            (["mx", "a.example"], "after the name: 'soquete resolve a.example mx'"),
            (["https://a.example:8/x"], "its name alone is wanted: 'soquete resolve a.example'"),
            (["https://me@a.example/"], "is a URL; a name is wanted"),
            (["https://"], "is a URL; a name is wanted"),
            (["unix:///tmp/x"], "'unix:///tmp/x' has no name to look up"),
            (["fd://3"], "has no name to look up"),
            (["[]"], "'[]'"),
            (["[a.example]"], "'[a.example]'"),
            (["a.example:80", "MX"], "'soquete resolve a.example MX'"),
            (["a.example:99999"], "99999"),
            (["a.example:no-such-service"], "no-such-service"),
            (["tcp://a.example"], "a.example"),
            (["192.0.2.7", "MX"], "'192.0.2.7' is an address"),
            (["::1", "A"], "'::1' is an address"),
            (["--timeout", "0", "a.example"], "'0' is not a duration above 0"),
            (["--engine", "sim", "a.example"], "'sim' is not an engine"),
    ]:
        out, err = run(Build.tool(), "resolve", *args, status=2)
        check_eq((out, err.count(b"\n")), (b"", 1), args, err)
        check(err.startswith(b"soquete: "), args, err)
        check_in(want.encode(), err, args)


@case(DNSMASQ)
def resolve_what_cannot_be_a_name():
    """Nobody is asked for it."""
    with known() as w:
        for name in ("a" * 64 + ".soquete.test", "a." * 128 + "test", "a..soquete.test", ".test",
                     "\udcff.soquete.test", "a b.soquete.test"):
            for kind in ([], ["MX"]):
                with w.start(Build.tool(), "resolve", name, *kind) as child:
                    status, out, err = child.finish()
                check((status in (1, 2), out, err.count(b"\n")) == (True, b"", 1), name, kind, err)
                check_in(os.fsencode(name)[:40], err)
        check_eq(queries(w.server), [])


# Connecting by name.


@contextlib.contextmanager
def greeter(w, address):
    """`soquete listen` in a world, which says hello to whoever comes; yields its port."""
    with w.start(Build.tool(), "listen", "--keep", "--exec", "echo hello", address) as child:
        yield child.wait_line("listening ", child.err).rpartition(":")[2]


@case(DNSMASQ, each=ENGINES)
def resolve_and_connect(engine):
    need_engine(engine)
    with known() as w, greeter(w, f"tcp://[{HERE6}]:0") as port:
        out, err = w.run(Build.tool(), "connect", "--engine", engine,
                         f"tcp://here.soquete.test:{port}")
        check_eq((out, err), (b"hello\n", b""))
        out, err = w.run(Build.tool(), "connect", f"here:{port}")
        check_eq((out, err), (b"hello\n", b""), "search domain")
        _, err = w.run(Build.tool(), "connect", f"no.soquete.test:{port}", status=1)
        check_in(b"no.soquete.test", err)
        check_eq(err.count(b"\n"), 1, err)


# A pair of devices, and a neighbour whose hardware address nobody has: what goes there is gone.
BLACK_HOLE = """
set -e
ip link add hole type veth peer name bottom
ip link set bottom up
ip link set hole up
ip addr add 2001:db8:dead::1/64 dev hole nodad
ip neigh add 2001:db8:dead::7 dev hole lladdr 02:00:00:00:00:77 nud permanent
"""

# Linux gives up after 6 SYNs, 127 s; so this is far from either end.
HOLE_S = 20


@case(DNSMASQ, each=ENGINES)
def resolve_and_connect_past_a_black_hole(engine):
    """The first address, IPv6, swallows everything: the second is tried meanwhile, RFC 8305."""
    need_engine(engine)
    with known(f"--host-record=dual.soquete.test,{HERE4},2001:db8:dead::7") as w:
        with w.start("sh", "-c", BLACK_HOLE) as child:
            status, _, err = child.finish()
        if status:
            raise Skip(f"a pair of devices: {err.decode(errors='replace').strip()}")
        check_eq(w.resolve("dual.soquete.test"), ["2001:db8:dead::7", HERE4])
        with greeter(w, f"tcp://{HERE4}:0") as port:
            start = time.monotonic()
            out, err = w.run(Build.tool(), "connect", "--engine", engine,
                             f"dual.soquete.test:{port}")
            check_eq((out, err), (b"hello\n", b""))
            check(time.monotonic() - start < HOLE_S, "it took", time.monotonic() - start)
            # It is a hole indeed.
            _, err = w.run(Build.tool(), "connect", "--timeout", "1s", f"[2001:db8:dead::7]:{port}",
                           status=1)
            check_in(b"timed out", err)


# The server that lies.


@contextlib.contextmanager
def liar(w, lie):
    if lie == "down":
        yield None
        return
    with w.start(sys.executable, "-B", os.path.abspath(__file__), lie) as server:
        server.wait_line("ready")
        yield server


TYPES = {1: "A", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA"}

CONTROLS = "\x1b[2J\r\x9b\n\x07.soquete.test"


def record(kind, data, owner=b"\xc0\x0c"):
    """A record of the name that was asked for, which is where a message has it first."""
    return owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def message(query, records, flags=0x8180, question=None):
    """An answer (RFC 1035 section 4.1) to a query, whose question ends where the query does or
    its additional section begins."""
    if question is None:
        question = question_of(query)
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + \
        b"".join(records)


def question_of(query):
    return query[12:query.index(b"\0", 12) + 5]


def asked(query):
    """The type and the name."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    return struct.unpack_from("!H", query, at + 1)[0], ".".join(labels)


def an_address(kind, n=7):
    return socket.inet_pton(socket.AF_INET, f"192.0.2.{n}") if kind == 1 else \
        socket.inet_pton(socket.AF_INET6, f"2001:db8::{n}")


def honest(query, count=1):
    """As many records as are wanted of the type that is wanted."""
    kind, _ = asked(query)
    if kind in (1, 28):
        data = [an_address(kind, n + 1) for n in range(count)]
    else:
        data = [b"\x14" + b"text number %8d" % n for n in range(count)]
    return message(query, [record(kind, one) for one in data])


def with_controls(query):
    kind, _ = asked(query)
    name = wire(CONTROLS)
    data = {5: name, 12: name, 15: b"\0\x05" + name, 16: b"\x08\x1b[2J\r\x9b\n\x07"}.get(kind)
    if data:
        return message(query, [record(kind, data)])
    return message(query, [record(5, name), record(kind, an_address(kind), name)])


def with_loop(query):
    """Whose record it is, is where that is told."""
    itself = b"\xc0" + bytes([12 + len(question_of(query))])
    return message(query, [record(asked(query)[0], b"\xc0\x0c", itself)])


def aliases_without_end(query):
    return message(query, [record(5, wire("b.soquete.test")),
                           record(5, b"\xc0\x0c", wire("b.soquete.test"))])


LIES = {
    "silent": lambda query: None,
    "garbage": lambda query: query[:2] + b"\x81\x80" + b"\xff" * 40,
    "other-port": honest,
    "other-id": lambda query: bytes([query[0] ^ 1]) + honest(query)[1:],
    "other-question": lambda query: message(query, [record(1, an_address(1))],
                                            question=wire("other.test") + b"\0\1\0\1"),
    "server-failure": lambda query: message(query, [], flags=0x8182),
    "loop-in-a-name": with_loop,
    "truncate": lambda query: message(query, [], flags=0x8380),
    "controls": with_controls,
    "alias-loop": aliases_without_end,
}


def answer_stream(stream):
    with stream:
        length = stream.recv(2, socket.MSG_WAITALL)
        query = stream.recv(struct.unpack("!H", length)[0], socket.MSG_WAITALL)
        kind, name = asked(query)
        print("tcp", TYPES.get(kind, kind), name, flush=True)
        data = honest(query, 50)
        stream.sendall(struct.pack("!H", len(data)) + data)


def lie_for_ever(lie):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 53))
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    tcp = socket.create_server(("127.0.0.1", 53))
    print("ready", flush=True)
    while True:
        for ready in select.select([udp, tcp], [], [])[0]:
            if ready == tcp:
                answer_stream(tcp.accept()[0])
                continue
            query, client = udp.recvfrom(4096)
            kind, name = asked(query)
            print("udp", TYPES.get(kind, kind), name, flush=True)
            data = LIES[lie](query)
            if data:
                (other if lie == "other-port" else udp).sendto(data, client)


if __name__ == "__main__":
    lie_for_ever(sys.argv[1])
