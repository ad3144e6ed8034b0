"""case_ports.py - `soquete ports`: the standard ports, the ranges, and who listens, against
sockets that are really there, as root and as somebody else, and where /proc tells nothing."""

import contextlib
import os
import pwd
import re
import socket
import subprocess
import sys

from kit import (Build, Child, Failure, Skip, case, check, check_eq, check_in, has_ipv6, listen,
                 memory_is_watched, run, serve, tool)

WIDTH = 100
SETTINGS = "/proc/sys/net/ipv4/"
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}

# In a namespace for mounts: empty lists of what listens over IPv4, in the working directory.
FAKE_PROC = "mount -t tmpfs none /proc && mkdir /proc/net && cd /proc/net && touch tcp udp"


def ports(*args, **options):
    """What it prints; no line is too long, or ends with a blank."""
    out, err = tool("ports", *args, **options)
    check_eq(err, b"", args)
    return lines_of(out, args)


def lines_of(out, *what):
    lines = out.decode("ascii").splitlines()
    for line in lines:
        check(len(line) <= WIDTH and line == line.rstrip(), what, repr(line))
    return lines


def table(lines):
    """The rows of a table of listeners, as dictionaries; ADDRESSES is a list."""
    heading = next((i for i, line in enumerate(lines) if " ADDRESSES " in line), None)
    if heading is None:
        return []
    names = lines[heading].replace("  listening", " " * 11).split()
    starts = [lines[heading].index(name) for name in names]
    if names[0] == "PORT":
        starts[0] = 0  # on the right of its column
    rows = []
    for line in lines[heading + 1:]:
        if not line or line.lstrip().startswith("- is a process"):
            break
        cells = {name: line[start:end].strip()
                 for name, start, end in zip(names, starts, [*starts[1:], None])}
        addresses = cells["ADDRESSES"].split(", ")
        if cells["OVER"]:
            rows.append({**cells, "ADDRESSES": addresses})
        else:
            rows[-1]["ADDRESSES"] += addresses
    return rows


def rows_of(port, over, *args, **options):
    """The rows of a port in the list of all."""
    return [row for row in table(ports("--listening", *args, **options))
            if row["PORT"] == str(port) and row["OVER"] == over]


def row_of(port, over, **options):
    rows = rows_of(port, over, **options)
    check_eq(len(rows), 1, "rows of", port, over, rows)
    return rows[0]


def mine(port, over):
    """The rows of a port that are this program's."""
    return [row for row in rows_of(port, over) if row["PID"] == str(os.getpid())]


def me():
    """This user's name as the table has it."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return name if len(name) <= 12 else name[:9] + "..."


def my_name():
    with open("/proc/self/comm", encoding="utf-8") as f:
        return f.read()[:-1]


@contextlib.contextmanager
def bound(kind=socket.SOCK_STREAM, host="127.0.0.1", port=0):
    """A socket of this program's own; yields it and its port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as s:
        if ":" in host:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((host, port))
        if kind == socket.SOCK_STREAM:
            s.listen()
        yield s, s.getsockname()[1]


def setting(name):
    with open(SETTINGS + name, encoding="ascii") as f:
        return f.read().split()


def apart(script, *namespaces):
    """Run a line of shell in namespaces of its own, with the tool as $0; the output must begin
    with "begun", or what the case needs is not granted here. Returns output and errors."""
    args = ["unshare", *namespaces] if os.getuid() == 0 else ["unshare", "-r", *namespaces]
    with Child(*args, "sh", "-c", script, Build.tool()) as child:
        _, out, err = child.finish()
    if not out.startswith(b"begun\n"):
        raise Skip(f"unshare {' '.join(namespaces)}: {err.decode(errors='replace').strip()}")
    return out[len(b"begun\n"):], err


def need_no_proc():
    if not memory_is_watched():
        raise Skip("a sanitizer needs /proc itself")


# The standard ports, and the ranges.


@case()
def ports_standard_table():
    lines = ports()
    for port, name, over, rfc in [
            (7, "echo", "tcp udp", 862), (9, "discard", "tcp udp", 863),
            (13, "daytime", "tcp udp", 867), (19, "chargen", "tcp udp", 864),
            (20, "ftp-data", "tcp", 959), (21, "ftp", "tcp", 959), (22, "ssh", "tcp", 4253),
            (23, "telnet", "tcp", 854), (25, "smtp", "tcp", 5321), (37, "time", "tcp udp", 868),
            (53, "domain", "tcp udp", 1035), (80, "http", "tcp", 9112),
            (110, "pop3", "tcp", 1939), (119, "nntp", "tcp", 3977), (123, "ntp", "udp", 5905),
            (143, "imap", "tcp", 9051), (443, "https", "tcp udp", 9110),
            (563, "nntps", "tcp", 8143), (993, "imaps", "tcp", 8314), (995, "pop3s", "tcp", 8314)]:
        wanted = re.compile(rf" +{port} +{name} +{over} +{rfc} .* \S")
        check(any(wanted.match(line) for line in lines), wanted.pattern, lines)


@case()
def ports_where_serve_has_them():
    """The services and their ports are serve's own: it names them all when it is asked for one
    that it does not have."""
    _, err = tool("serve", "no-such", status=2)
    names = re.search(r"there are (.*)", err.decode())[1].split(", ")
    check("echo" in names and "http" in names, names)
    lines = ports()
    for name in names:
        row = next(line.split() for line in lines if re.match(rf" +\d+ +{name} ", line))
        ours = int(row[0]) + 8000
        check_in(str(ours), row, name)
        told = " ".join(ports(name))
        check_in(f"'soquete serve {name}' serves it, on port {ours} by default", told)
        check_in(f"'soquete serve {name}' listens there by default", " ".join(ports(ours)))
    check_in("does not serve it", " ".join(ports("telnet")))


@case()
def ports_ranges_of_this_machine():
    text = " ".join(" ".join(ports()).split())
    start, (low, high) = setting("ip_unprivileged_port_start")[0], setting("ip_local_port_range")
    check_in(f"the ports below {start}" if int(start) else "anybody may bind them", text)
    check_in(f"from {low} to {high} (net.ipv4.ip_local_port_range)", text)
    for number, want in [(0, "but not a port"), (1023, "system, 0 to 1023"),
                         (1024, "user, 1024 to 49151"), (49151, "user, 1024 to 49151"),
                         (49152, "dynamic, 49152 to 65535"), (65535, "dynamic, 49152 to 65535")]:
        check_in(want, " ".join(ports(number)), number)
    for number in (int(low), int(high)):
        told = " ".join(" ".join(ports(number)).split())
        check_in(f"clients get {low} to {high} here", told, number)
    check("clients get" not in " ".join(ports(int(low) - 1)), "a port below", low)


@case(needs=("unshare:util-linux",))
def ports_ranges_that_were_changed():
    out, err = apart(
        f"echo 90 >{SETTINGS}ip_unprivileged_port_start && "
        f"echo 40000 40999 >{SETTINGS}ip_local_port_range && echo begun && "
        '"$0" ports 89 90 39999 40000 40999 41000 && "$0" ports && '
        f'echo 0 >{SETTINGS}ip_unprivileged_port_start && "$0" ports && "$0" ports 1', "-n")
    check_eq(err, b"")
    text = " ".join(out.decode().split())
    for number, want in [(89, "root binds it, or who has CAP_NET_BIND_SERVICE soquete"),
                         (90, "anybody may bind it soquete"), (39999, "anybody may bind it soquete"),
                         (40000, "clients get 40000 to 40999 here"),
                         (40999, "clients get 40000 to 40999 here"),
                         (41000, "anybody may bind it soquete")]:
        check_in(want, re.search(rf"port {number} (.*?)listening", text)[1], number)
    check_in("root binds the ports below 90", text)
    check_in("from 40000 to 40999 (net.ipv4.ip_local_port_range)", text)
    check_in("Here anybody may bind them (net.ipv4.ip_unprivileged_port_start is 0)", text)
    check_in("anybody may bind it", re.search(r"port 1 (.*?)listening", text)[1])


# Names and numbers.


@case()
def ports_names():
    for name, want in [("http", ["port 80", "over TCP", "(RFC 9112)"]),
                       ("HTTP", ["port 80"]),
                       ("domain", ["port 53", "over TCP and UDP"]),
                       ("ntp", ["port 123", "ntp over UDP"]),
                       ("19", ["port 19", "chargen"]),
                       ("0019", ["port 19"])]:
        text = "\n".join(ports(name))
        for part in want:
            check_in(part, text, name)
    check_eq([line for line in ports("7", "9", "echo") if line.startswith("port")],
             ["port 7", "port 9", "port 7"])
    check_in("none that this machine has a name for", "\n".join(ports("0")))


@case()
def ports_aliases_of_services():
    """What services(5) says here is what getservbyname() gives Python."""
    for alias in ("www", "sink", "mail", "null", "readnews"):
        with contextlib.suppress(OSError):
            port = socket.getservbyname(alias, "tcp")
            lines = ports(alias)
            check_eq(lines[0], f"port {port}")
            check_in(alias, lines[1])
            check_in(socket.getservbyport(port, "tcp"), lines[1])


@case(needs=("unshare:util-linux",))
def ports_without_services():
    """A small system has no services(5): the standard names are known all the same."""
    out, err = apart("mount --bind /dev/null /etc/services && echo begun && "
                     '"$0" ports echo pop3 && "$0" ports ecko', "-m")
    check_in(b"port 7\n  service    echo over TCP and UDP\n", out)
    check_in(b"port 110\n  service    pop3 over TCP\n", out)
    check_in(b"did you mean 'echo'?", err)


@case()
def ports_unknown():
    for args, want in [(["no-such-service"], "unknown service 'no-such-service'\n"),
                       (["htpp"], "unknown service 'htpp' (did you mean 'http'?)\n"),
                       (["80/tcp"], "unknown service '80/tcp'\n")]:
        out, err = tool("ports", *args, status=1)
        check_eq((out, err), (b"", f"soquete: ports: {want}".encode()), args)
    out, err = tool("ports", "7", "no-such-service", "9", status=1)
    check_eq((out.count(b"port "), err.count(b"\n")), (4, 1), out, err)


@case()
def ports_bad_usage():
    for args, want in [
            (["65536"], "'65536' is not a port: they are 0 to 65535"),
            (["7", "99999999999999999999"], "is not a port"),
            ([""], "a name or a number is empty"),
            (["-1"], "unknown option '-1'"),
            (["--lisening"], "(did you mean '--listening'?)"),
            (["--listening", "http"], "'soquete ports http'"),
            (["--listening=yes"], "takes no value")]:
        out, err = tool("ports", *args, status=2)
        check_eq((out, err.count(b"\n")), (b"", 1), args, err)
        check(err.startswith(b"soquete: ports: "), args, err)
        check_in(want.encode(), err, args)


@case()
def ports_output_that_cannot_be_written():
    for args in ([], ["--listening"], ["80"]):
        with open("/dev/full", "wb") as full:
            with Child(Build.tool(), "ports", *args, stdout=full) as child:
                status, _, err = child.finish()
        check_eq((status, err.count(b"\n")), (1, 1), args, err)
        check_in(b"standard output: No space left", err)


# Who listens.


@case()
def ports_listening_streams():
    hosts = ["127.0.0.1", "0.0.0.0"] + (["::1", "::"] if has_ipv6() else [])
    for host in hosts:
        with bound(host=host) as (s, port):
            row = row_of(port, "tcp")
            check_eq((row["ADDRESSES"], row["USER"], row["PID"], row["PROCESS"]),
                     ([host], me(), str(os.getpid()), my_name()), host)
            check_eq(mine(port, "udp"), [], "over udp")
            with socket.socket(s.family) as client:  # nor are connections what listens
                client.connect(("127.0.0.1" if s.family == socket.AF_INET else "::1", port))
                check_eq(row_of(port, "tcp"), row)
                check_eq(mine(client.getsockname()[1], "tcp"), [], "a client")
        check_eq(mine(port, "tcp"), [], "closed")


@case()
def ports_listening_datagrams():
    with bound(socket.SOCK_DGRAM) as (s, port):
        row = row_of(port, "udp")
        check_eq((row["ADDRESSES"], row["PID"]), (["127.0.0.1"], str(os.getpid())))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", port))
            check_eq(mine(client.getsockname()[1], "udp"), [], "a client")
    if has_ipv6():
        with bound(socket.SOCK_DGRAM, "::1") as (s, port):
            check_eq(row_of(port, "udp")["ADDRESSES"], ["::1"])


@contextlib.contextmanager
def bound_over_both():
    """A port over TCP and UDP: the one that was free over UDP may be somebody's over TCP."""
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            _, port = stack.enter_context(bound(socket.SOCK_DGRAM))
            try:
                stack.enter_context(bound(port=port))
            except OSError:
                continue
            yield port
            return
        raise Failure("no port is free over TCP and UDP")


@case()
def ports_listening_over_both():
    """TCP and UDP have their ports apart."""
    with bound_over_both() as port:
        rows = table(ports("--listening"))
        check_eq([row["OVER"] for row in rows
                  if (row["PORT"], row["PID"]) == (str(port), str(os.getpid()))], ["tcp", "udp"])


@case()
def ports_listening_on_many_addresses():
    """One line, or as many as the addresses need; the same socket twice is told once."""
    with contextlib.ExitStack() as stack:
        _, port = stack.enter_context(bound())
        hosts = [f"127.0.0.{i}" for i in range(1, 60)]
        for host in hosts[1:]:
            stack.enter_context(bound(host=host, port=port))
        check_eq(row_of(port, "tcp")["ADDRESSES"], hosts)
    with contextlib.ExitStack() as stack:
        port = 0
        for _ in range(4):
            s = stack.enter_context(socket.socket())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(("127.0.0.1", port))
            s.listen()
            port = s.getsockname()[1]
        check_eq(row_of(port, "tcp")["ADDRESSES"], ["127.0.0.1"])


@case()
def ports_listening_many():
    with contextlib.ExitStack() as stack:
        bound_here = {stack.enter_context(bound())[1] for _ in range(400)}
        bound_here |= {stack.enter_context(bound(socket.SOCK_DGRAM))[1] for _ in range(400)}
        rows = table(ports("--listening"))
        told = [int(row["PORT"]) for row in rows]
        told_here = {int(row["PORT"]) for row in rows if row["PID"] == str(os.getpid())}
        check_eq(told, sorted(told), "order")
        check_eq(sorted(bound_here - told_here), [], "missing")


@case()
def ports_listening_of_our_own():
    """All that `soquete serve` prints is there."""
    services = ["echo", "daytime"]
    with serve("--quiet", *[f"{name}={scheme}://127.0.0.1:0" for name in services
                            for scheme in ("tcp", "udp")]) as server:
        rows = table(ports("--listening"))
        for _, endpoint in server.endpoints:
            scheme, _, address = endpoint.partition("://")
            host, _, port = address.rpartition(":")
            there = [row for row in rows if (row["PORT"], row["OVER"]) == (port, scheme)]
            check_eq([(row["PID"], row["PROCESS"], row["ADDRESSES"]) for row in there],
                     [(str(server.pid), "soquete", [host])], endpoint)


@case()
def ports_one_port():
    """What is said of a port has its listeners, and those of no other."""
    with bound() as (_, port), bound(socket.SOCK_DGRAM) as (_, other):
        lines = ports(port)
        check_eq(lines[0], f"port {port}")
        for told, over in (lines, "tcp"), (ports(other), "udp"):
            check_eq([row["OVER"] for row in table(told) if row["PID"] == str(os.getpid())],
                     [over], told)
    check(ports(0)[-1].endswith("listening  nobody"), ports(0)[-1])


@case()
def ports_shared_by_processes():
    with bound() as (s, port):
        check_eq(row_of(port, "tcp")["PROCESS"], my_name())
        with listen("tcp://127.0.0.1:0", pass_fds=[s.fileno()]) as one:
            with listen("tcp://127.0.0.1:0", pass_fds=[s.fileno()]) as two:
                row = row_of(port, "tcp")
                check_eq(row["PID"], str(min(os.getpid(), one.pid, two.pid)))
                check(re.fullmatch(r"\S+ and 2 more", row["PROCESS"]), row)


def calls_itself(name, addresses):
    """A program that listens on the same port of some addresses; it prints the port."""
    code = ("import ctypes, socket, sys\n"
            f"ctypes.CDLL(None).prctl(15, {name!r})\n"
            "port = 0\n"
            "sockets = []\n"
            f"for i in range({addresses}):\n"
            "    sockets.append(socket.create_server((f'127.0.0.{i + 1}', port)))\n"
            "    port = sockets[0].getsockname()[1]\n"
            "print(port, flush=True)\n"
            "sys.stdin.read()\n")
    return Child(sys.executable, "-c", code, stdin=subprocess.PIPE)


@case()
def ports_process_names_are_printable():
    """A process may call itself what it likes: nothing of it reaches the terminal as a control,
    and no line can be forged."""
    with calls_itself(b'a\x1b[2J\n 80 \xff"', 1) as child:
        row = row_of(child.wait_line(""), "tcp")
        check_eq((row["PID"], row["PROCESS"]), (str(child.pid), r"a\x1B[2J\x0A 80 \xFF\x22"))


@case()
def ports_process_names_fit():
    """A name that is too long for a line is cut, so that one sees it."""
    with calls_itself(b"\x1b" * 15, 4) as child:
        row = row_of(child.wait_line(""), "tcp")
        check(re.fullmatch(r"(\\x1B){2,14}[\\x1B]*\.\.\.", row["PROCESS"]), row)
        check_eq(max(len(line) for line in ports("--listening")), WIDTH)


# As somebody else, and where little can be seen.


def need_root():
    if os.getuid() != 0:
        raise Skip("only root can be somebody else")
    try:
        run(Build.tool(), "--version", **NOBODY)
    except (Failure, PermissionError):
        raise Skip("the build is in a folder that others may not enter") from None


@case()
def ports_of_another_user():
    need_root()
    with listen("tcp://127.0.0.1:0", **NOBODY) as child:
        row = row_of(child.endpoint.rpartition(":")[2], "tcp")
        check_eq((row["USER"], row["PID"]), (pwd.getpwuid(65534).pw_name, str(child.pid)))


@case()
def ports_seen_by_another_user():
    """The socket and its user are for all to see, the process is not."""
    need_root()
    with bound() as (_, port):
        row = row_of(port, "tcp", **NOBODY)
        check_eq((row["USER"], row["PID"], row["PROCESS"]), (me(), "-", "-"))
        check_in("- is a process that cannot be seen from here",
                 "\n".join(ports("--listening", **NOBODY)))
    with listen("tcp://127.0.0.1:0", **NOBODY) as child:
        row = row_of(child.endpoint.rpartition(":")[2], "tcp", **NOBODY)
        check_eq((row["PID"], row["PROCESS"]), (str(child.pid), "soquete"))


@case(needs=("unshare:util-linux",))
def ports_in_an_empty_network():
    with bound():
        out, err = apart('echo begun && "$0" ports --listening && "$0" ports 7', "-n")
    check_eq(err, b"")
    check_eq(out.splitlines()[0], b"  nobody")
    check(out.endswith(b"  listening  nobody\n"), out)


@case(needs=("unshare:util-linux",))
def ports_without_proc():
    """All else is told, and one line says what could not be."""
    need_no_proc()
    out, err = apart('mount -t tmpfs none /proc && echo begun && for a in "" 80 -l; do '
                     '"$0" ports $a; echo status $?; done', "-m")
    check_eq(re.findall(rb"status (\d)\n", out), [b"1"] * 3, out)
    check_eq(err.splitlines(), [b"soquete: ports: who listens cannot be told: /proc/net/tcp: "
                                b"No such file or directory"] * 3)
    everything, one, listening = re.split(rb"status 1\n", out)[:3]
    check_in(b"what holds here cannot be read", b" ".join(everything.split()))
    check_in(b"pop3", everything)
    check_in(b"port 80\n", one)
    check_eq(listening, b"")
    for part in (everything, one):
        lines_of(part)


@case(needs=("unshare:util-linux", "setpriv:util-linux"))
def ports_without_permission():
    """Where somebody has forbidden it: a list that only root may read."""
    need_no_proc()
    need_root()
    out, err = apart(f"{FAKE_PROC} && chmod 0 udp && echo begun && "
                     "exec setpriv --reuid=65534 --regid=65534 --clear-groups "
                     '"$0" ports --listening', "-m")
    check_eq(out, b"")
    check_eq(err, b"soquete: ports: who listens cannot be told: /proc/net/udp: "
                  b"Permission denied\n")


@case(needs=("unshare:util-linux",))
def ports_without_ipv6():
    """A kernel without it has no lists for it. The lists here are written by hand."""
    need_no_proc()
    word = "%08X" % int.from_bytes(bytes([10, 0, 0, 1]), sys.byteorder)
    line = f"0: {word}:0050 00000000:0000 0A 0:0 0:0 0 4000000000 0 4711 1 0 100"
    out, err = apart(f"{FAKE_PROC} && echo '{line}' >tcp && echo begun && "
                     '"$0" ports --listening', "-m")
    check_eq(err, b"")
    check_eq(table(lines_of(out)),
             [{"PORT": "80", "SERVICE": "http", "OVER": "tcp", "ADDRESSES": ["10.0.0.1"],
               "USER": "4000000000", "PID": "-", "PROCESS": "-"}])
