"""case_tls.py - TLS: the tool's own words, OpenSSL's command, and Python, each both ways."""

import contextlib
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import threading

from kit import (Build, PATIENCE_S, SHAPES, Child, address, both, case, check, check_eq, check_in,
                 connect, dial, die_with_parent, eventually, folder, listen, need_engine,
                 recv_all, recv_exactly, run, serve, tool, write)
from lab import lab

VERSIONS = ["1.2", "1.3"]
ECHO = "echo=tls://127.0.0.1:0"
HERE = "tls://127.0.0.1:0"


def port_of(server):
    return address(server.endpoints[0][1])[1]


def at(port, host="localhost"):
    return f"tls://{host}:{port}"


# What the command line says.


@case()
def tls_bad_usage():
    pem = lab().path("server")
    for args, want in [
            (["connect", "--ca", "x", "h:1"], "--ca is for TLS: an endpoint like tls://host:port"),
            (["connect", "--pin", "x", "udp://h:1"], "--pin is for TLS"),
            (["connect", "--tls-min", "1.1", "tls://h:1"], "--tls-min: '1.1' is not 1.2 or 1.3"),
            (["connect", "--tls-min", "1.3", "--tls-max", "1.2", "tls://h:1"], "is above --tls-max"),
            (["connect", "--insecure", "--ca", "x", "tls://h:1"], "--ca does not go with --insecure"),
            (["connect", "--key", "x", "tls://h:1"], "--key goes with --cert"),
            (["connect", "--cert", "x", "--cert", "y", "tls://h:1"], "one --cert is enough"),
            (["connect", "--starttls", "gopher", "h:1"], "'gopher' is not ftp, imap, nntp, pop3 or"),
            (["connect", "--starttls", "pop3", "tls://h:1"], "at tls:// TLS begins at once"),
            (["connect", "--starttls", "pop3", "udp://h:1"], "--starttls is for streams"),
            (["listen", HERE], "TLS needs a certificate: --cert FILE"),
            (["listen", HERE], "'soquete cert' makes one"),
            (["listen", "--cert", pem, "127.0.0.1:0"], "--cert is for TLS, and no endpoint is like"),
            (["listen", "--cert", pem, "--clients", "yes", HERE], "'yes' is not needed or asked"),
            (["listen", "--cert", pem, "--clients", "needed", HERE], "--ca FILE says it"),
            (["listen", "--cert", pem, "--ca", "x", HERE], "--clients needed, or asked, goes with it"),
            (["listen", "--cert", pem, "--key", "a", "--key", "b", HERE], "--key is given 2 times"),
            (["serve", "https"], "TLS needs a certificate: --cert FILE"),
            (["serve", "https=127.0.0.1:0"], "TLS needs a certificate: --cert FILE"),
            (["serve", ECHO], "TLS needs a certificate: --cert FILE"),
            (["serve", "--cert", pem, "http=127.0.0.1:0"], "'soquete serve https' would be right"),
            (["serve", "--tls-min", "1.3", "http=127.0.0.1:0"], "--tls-min is for TLS, and no endpoint"),
            (["serve", "--cert", pem, "https=tcp://127.0.0.1:0"], "tls://host:port would be right"),
            (["serve", "--cert", pem, "--cert", pem, "--staple", "x", ECHO], "--staple is given 1"),
            (["serve", "htps"], "did you mean 'https'?"),
            (["serve", "tcp://127.0.0.1:0"], "http=tcp://127.0.0.1:0 would be right"),
            (["serve", "--cert", "", ECHO], "--cert"),
    ]:
        out, err = tool(*args, status=2)
        check_eq(out, b"", "output of", args)
        check_eq(err.count(b"\n"), 1, "lines of", args, err)
        check(err.startswith(f"soquete: {args[0]}: ".encode()), args, err)
        check_in(want.encode(), err, args)


@case()
def tls_files_that_are_none():
    with folder() as d:
        good, other = lab().path("server"), lab().path("again")
        write(f"{d}/empty.pem", b"")
        write(f"{d}/words.pem", b"no certificate\n")
        with open(good, "rb") as f:
            pem = f.read()
        write(f"{d}/cut.pem", pem[:len(pem) // 3])
        for options, where in [
                (["--cert", f"{d}/none.pem"], f"{d}/none.pem"),
                (["--cert", f"{d}/empty.pem"], f"{d}/empty.pem"),
                (["--cert", f"{d}/words.pem"], f"{d}/words.pem"),
                (["--cert", f"{d}/cut.pem"], f"{d}/cut.pem"),
                (["--cert", d], d),
                (["--cert", lab().file("server.crt")], lab().file("server.crt")),
                (["--cert", good, "--key", lab().file("again.key")], "again.key"),
                (["--cert", good, "--cert", f"{d}/words.pem"], f"{d}/words.pem"),
                (["--cert", good, "--staple", f"{d}/words.pem"], f"{d}/words.pem"),
                (["--cert", good, "--clients", "needed", "--ca", f"{d}/words.pem"], "words.pem"),
                (["--cert", good, "--clients", "needed", "--ca", good, "--crl", other], "again.pem"),
        ]:
            _, err = tool("listen", *options, HERE, status=1)
            check_eq(err.count(b"\n"), 1, "lines", options, err)
            check_in(where.encode(), err, options)


@case()
def tls_tells_what_was_agreed():
    with serve("--cert", lab().path("server"), ECHO) as server:
        out, err = tool("connect", "-v", "--ca", lab().path("ca"), at(port_of(server)), stdin=b"x")
        check_eq(out, b"x")
        lines = dict(line.split(" ", 2)[1:] for line in err.decode().splitlines()
                     if line.startswith("tls "))
        check_eq(lines["version"], "TLSv1.3")
        check_eq(lines["resumed"], "no")
        check_eq(lines["name"], "localhost")
        check_eq(lines["trusted"], "yes")
        check_eq(lines["subject"], "CN = server")
        check_eq(lines["issuer"], "CN = ca of the laboratory")
        check_eq(lines["pin"], lab().pin("server"))
        check(re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", lines["until"]), lines)
        check(err.startswith(b"connected 127.0.0.1:"), err)


# Ours at both ends.


@case(each=both("cat", "relay"))
def tls_listen_and_connect(how, engine):
    need_engine(engine)
    data = bytes(range(256)) * 20000
    options = ["--engine", engine, "--cert", lab().path("server")]
    program = ["--exec", "cat"] if how == "cat" else []
    with listen(*options, *program, "tls://127.0.0.1:0", stdin=None) as ours:
        out, err = tool("connect", "--engine", engine, "--ca", lab().path("ca"),
                        ours.endpoint.replace("127.0.0.1", "localhost"), stdin=data)
        check_eq(err, b"")
        if how == "cat":
            check(out == data, "came back otherwise", len(out))
        else:
            ours_out = ours.succeed()
            check(ours_out == data, "arrived otherwise", len(ours_out))


@case()
def tls_connect_exec():
    """A program beside TLS; its status is ours."""
    with serve("--cert", lab().path("server"), ECHO) as server:
        _, err = tool("connect", "--ca", lab().path("ca"), "--exec",
                      'echo ping; read -r x; echo "got $x from $SOQUETE_PEER" >&2; exit 7',
                      at(port_of(server)), status=7)
        check_eq(err.decode(), f"got ping from 127.0.0.1:{port_of(server)}\n")


@case(each=SHAPES)
def tls_listen_keep_exec(shape):
    with listen("--keep", "--exec", "tr a-z A-Z", "--shape", shape, "--cert", lab().path("server"),
                HERE) as ours:
        for word in (b"one", b"two"):
            out, _ = tool("connect", "--insecure", ours.endpoint, stdin=word)
            check_eq(out, word.upper())


@case()
def tls_listen_keep_outlives_a_bad_client():
    with listen("--keep", "-v", "--cert", lab().path("server"), HERE) as ours:
        with dial(ours.endpoint) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            recv_all(s)
        ours.wait_err(b"does not speak TLS")
        tool("connect", "--ca", lab().path("ca"), ours.endpoint, stdin=b"good")
        ours.wait_out(b"good")


# Whom we do not trust, and what we are told then.


REFUSED = [  # certificate, options, words
    ("lonely", [], "self-signed"),
    ("expired", [], "expired on 2020-01-31"),
    ("future", [], "not valid before 2099-01-01"),
    ("elsewhere", [], "elsewhere.example"),
    ("stranger", [], "other-ca of the laboratory"),
    ("revoked", ["--crl", "crl"], "revoked"),
    ("server", ["--pin", "revoked"], "pin"),
    ("server", ["--name", "my.server.it"], "my.server.it"),
    ("named", ["--name", "a.c.b.example"], "a.c.b.example"),
    ("server", ["--staple-needed"], "OCSP"),
]


@case(each=[(*row[:1], *row[1]) for row in REFUSED])
def tls_refuses(certificate, *options):
    want = next(row[2] for row in REFUSED if row[:2] == (certificate, list(options)))
    options = [lab().path("crl") if word == "crl" else lab().pin("revoked") if word == "revoked"
               else word for word in options]
    with serve("--cert", lab().path(certificate), ECHO) as server:
        out, err = tool("connect", "--ca", lab().path("ca"), *options, at(port_of(server)),
                        stdin=b"secret", status=1)
        check_eq((out, err.count(b"\n")), (b"", 1), err)
        check_in(want.encode(), err)
        check_in(f":{port_of(server)}".encode(), err, "where")


@case()
def tls_trusts():
    """The other way round: what is right although it looks wrong."""
    for certificate, options in [
            ("server", ["--crl", lab().path("crl")]),
            ("server", ["--pin", f"{lab().pin('revoked')} {lab().pin('server')}"]),
            ("named", ["--name", "my.server.it"]),
            ("named", ["--name", "a.b.example"]),
            ("revoked", []),
    ]:
        with serve("--cert", lab().path(certificate), ECHO) as server:
            out, err = tool("connect", "--ca", lab().path("ca"), *options, at(port_of(server)),
                            stdin=b"ping")
            check_eq((out, err), (b"ping", b""), certificate, options)


@case()
def tls_insecure():
    with serve("--cert", lab().path("lonely"), ECHO) as server:
        out, err = tool("connect", "--insecure", at(port_of(server)), stdin=b"ping")
        check_eq((out, err.count(b"\n")), (b"ping", 1), err)
        check_in(b"warning: --insecure", err)
        options = ["--insecure", "--pin", lab().pin("lonely")]
        check_eq(tool("connect", *options, at(port_of(server)), stdin=b"ping")[0], b"ping")
        options = ["--insecure", "--pin", lab().pin("server")]
        _, err = tool("connect", *options, at(port_of(server)), stdin=b"ping", status=1)
        check_in(b"pin", err)


@case()
def tls_staple():
    with serve("--cert", lab().path("server"), "--staple", lab().file("server.staple"),
               ECHO) as server:
        out, _ = tool("connect", "--ca", lab().path("ca"), "--staple-needed", at(port_of(server)),
                      stdin=b"ping")
        check_eq(out, b"ping")


@case(needs=["openssl"])
def tls_staple_that_says_revoked():
    with s_server("-status_file", lab().file("revoked.staple"), "-rev", name="revoked") as server:
        _, err = tool("connect", "--ca", lab().path("ca"), "--staple-needed", at(server.port), status=1)
        check_in(b"revoked", err)


@contextlib.contextmanager
def python_server(talk):
    """talk(socket) with one client, in a thread; yields the port."""
    failures = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)

        def main():
            try:
                s, _ = listener.accept()
                with s:
                    s.settimeout(PATIENCE_S)
                    talk(s)
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(failure)

        thread = threading.Thread(target=main, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE_S)
        if failures:
            raise failures[0]


def hello_then(answer):
    """Read the client's hello, answer, and end."""

    def talk(s):
        s.recv(65536)
        s.sendall(answer)
        with contextlib.suppress(OSError):  # who has seen enough is gone
            s.shutdown(socket.SHUT_WR)
            recv_all(s)

    return talk


GARBAGE = {
    "nothing": (b"", "ended the connection in the handshake"),
    "http": (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "does not speak TLS"),
    "smtp": (b"220 mail.server.it ESMTP\r\n", "does not speak TLS"),
    "noise": (bytes(range(200, 256)) * 10, "does not speak TLS"),
    "alert": (bytes([21, 3, 3, 0, 2, 2, 40]), "refused"),
    "SSL 3": (bytes([22, 3, 0, 0, 42, 2, 0, 0, 38, 3, 0]) + bytes(32) + bytes([0, 0, 47, 0]), "version"),
    "long record": (bytes([22, 3, 3, 255, 255]) + bytes(70000), "record"),
    "half a record": (bytes([22, 3, 3, 0, 100, 2, 0]), "ended the connection in the handshake"),
}


@case(each=list(GARBAGE))
def tls_peer_that_has_no_tls(what):
    answer, want = GARBAGE[what]
    with python_server(hello_then(answer)) as port:
        out, err = tool("connect", "--ca", lab().path("ca"), at(port), stdin=b"secret", status=1)
        check_eq((out, err.count(b"\n")), (b"", 1), err)
        check_in(want.encode(), err)
        check(not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", err), err)


@case()
def tls_peer_that_is_plain_http():
    with folder() as d, serve("--root", d, "http=127.0.0.1:0") as server:
        _, err = tool("connect", "--ca", lab().path("ca"), at(port_of(server)), status=1)
        check_in(b"does not speak TLS", err)


@case()
def tls_client_that_is_plain_http():
    """Whoever takes https for http is told in the log; others are served."""
    with folder() as d, serve("--root", d, "--cert", lab().path("server"), "https=127.0.0.1:0") as server:
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            recv_all(s)
        server.wait_err(b"HTTP")
        check_eq(server.err.data.count(b"\n"), 1, server.err.data)
        with tls_dial(port_of(server)) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            check_in(b"200", s.recv(1000))


@case(each=["silent", "drip"])
def tls_peer_that_is_slow(how):
    over = threading.Event()

    def talk(s):
        s.recv(65536)
        record = bytes([22, 3, 3, 0, 100, 2, 0, 0, 96, 3, 3])
        with contextlib.suppress(OSError):
            for byte in record if how == "drip" else b"":
                s.sendall(bytes([byte]))
                if over.wait(0.1):
                    break
        over.wait(PATIENCE_S)

    with python_server(talk) as port:
        try:
            _, err = tool("connect", "--ca", lab().path("ca"), "--timeout", "400ms", at(port), status=1)
        finally:
            over.set()
        check_in(f":{port}".encode(), err)
        check_in(b"time", err)
        check_eq(err.count(b"\n"), 1, err)


# Ends: said, and not said.


def tls_dial(port, context=None, name="localhost", **options):
    """A Python client, connected. It tells a truncation from an end."""
    s = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    return (context or lab().trust()).wrap_socket(s, server_hostname=name,
                                                  suppress_ragged_eofs=False, **options)


@case(each=VERSIONS)
def tls_truncated(version):
    def talk(s):
        with lab().serve(version=version).wrap_socket(s, server_side=True) as t:
            t.sendall(b"the first half")
            t.shutdown(socket.SHUT_WR)  # TCP's end, without TLS's
            with contextlib.suppress(OSError):
                t.recv(1)

    with python_server(talk) as port:
        out, err = tool("connect", "--ca", lab().path("ca"), at(port), status=1)
        check_eq(out, b"the first half")
        check_in(b"cut off", err)
        check_eq(err.count(b"\n"), 1, err)


@case(each=VERSIONS)
def tls_program_is_told_nothing_but_we_are_of_a_truncation(version):
    def talk(s):
        with lab().serve(version=version).wrap_socket(s, server_side=True) as t:
            t.sendall(b"half")
            t.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                t.recv(1)

    with python_server(talk) as port:
        _, err = tool("connect", "--ca", lab().path("ca"), "--exec", "cat >&2", at(port), status=1)
        check(err.startswith(b"half"), err)
        check_in(b"cut off", err)


class Half:
    """A Python client that can end its flow and go on receiving, as SSLSocket cannot."""

    def __init__(self, s, context, name="localhost"):
        self.s, self.inward, self.outward = s, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, self.outward, server_hostname=name)

    def _do(self, what, *args):
        while True:
            try:
                result = what(*args)
                self.s.sendall(self.outward.read())
                return result
            except ssl.SSLWantReadError:
                self.s.sendall(self.outward.read())
                data = self.s.recv(65536)
                if data:
                    self.inward.write(data)
                else:
                    self.inward.write_eof()

    def send(self, data):
        self._do(self.tls.write, data)

    def end(self):
        """close_notify, and nothing more of ours."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.s.sendall(self.outward.read())

    def recv_all(self):
        data = b""
        while True:
            try:
                piece = self._do(self.tls.read, 65536)
            except ssl.SSLZeroReturnError:
                return data
            if not piece:
                return data
            data += piece


@case(each=VERSIONS)
def tls_half_close_by_the_client(version):
    """Our flow goes on after the client's end: all of a large answer arrives, and its end."""
    program = "cat >/dev/null; head -c 3000000 /dev/zero"
    with listen("--exec", program, "--cert", lab().path("server"), HERE) as ours:
        with dial(ours.endpoint) as s:
            client = Half(s, lab().trust(version=version))
            client.send(b"request")
            client.end()
            check_eq(len(client.recv_all()), 3000000, "bytes after our end")
        check_eq(ours.finish()[0], 0, "status")


@case(each=VERSIONS)
def tls_half_close_by_connect(version):
    """The end of standard input is close_notify; what comes after it still counts."""

    def talk(s):
        with lab().serve(version=version).wrap_socket(
                s, server_side=True, suppress_ragged_eofs=False) as t:
            check_eq(recv_all(t), b"request", "up to the end that was said")
            t.sendall(b"answer")
            t.unwrap()

    with python_server(talk) as port:
        out, err = tool("connect", "--ca", lab().path("ca"), at(port), stdin=b"request")
        check_eq((out, err), (b"answer", b""))


# Python's clients.


@case(each=[(version, *row) for version in VERSIONS for row in both(*SHAPES)])
def tls_python_client(version, shape, engine):
    need_engine(engine)
    data = os.urandom(1 << 20)
    with serve("--shape", shape, "--engine", engine, "--cert", lab().path("server"), ECHO) as server:
        with tls_dial(port_of(server), lab().trust(version=version)) as s:
            check_eq(s.version(), "TLSv" + version)
            # Turn by turn: a Python socket with TLS is not for two threads at once.
            for i in range(0, len(data), 50000):
                s.sendall(data[i:i + 50000])
                check(recv_exactly(s, len(data[i:i + 50000])) == data[i:i + 50000], "differs at", i)
            s.unwrap().close()  # a close_notify each way, or an exception


@case(each=[(version, shape) for version in VERSIONS for shape in SHAPES])
def tls_python_session(version, shape):
    """The second handshake is a short one, whoever served the first."""
    context = lab().trust(version=version)
    with serve("--shape", shape, "--cert", lab().path("server"), ECHO) as server:
        with tls_dial(port_of(server), context) as s:
            s.sendall(b"ping")
            check_eq(recv_exactly(s, 4), b"ping")
            check(not s.session_reused, "the first is resumed?")
            session = s.session
        with tls_dial(port_of(server), context, session=session) as s:
            s.sendall(b"pong")
            check_eq(recv_exactly(s, 4), b"pong")
            check(s.session_reused, "not resumed")


@case()
def tls_python_alpn():
    with folder() as d, serve("--root", d, "--cert", lab().path("server"), "https=127.0.0.1:0",
                              ECHO) as server:
        http, echo = port_of(server), address(server.endpoints[1][1])[1]
        for port, offered, want in [(http, ["h2", "http/1.1"], "http/1.1"), (http, ["http/1.0"], "http/1.0"),
                                    (http, [], None), (echo, [], None)]:
            with tls_dial(port, lab().trust(alpn=offered)) as s:
                check_eq(s.selected_alpn_protocol(), want, offered)
        try:
            with tls_dial(http, lab().trust(alpn=["h3"])):
                raise AssertionError("HTTP/3 was agreed on")
        except ssl.SSLError as error:
            check_in("no application protocol", str(error))


@case()
def tls_python_names():
    """SNI chooses the certificate, the first is for everybody else."""
    with serve("--cert", lab().path("server"), "--cert", lab().path("named"), ECHO) as server:
        context = lab().trust()
        for name, want in [("localhost", "server"), ("my.server.it", "named"), ("x.b.example", "named"),
                           ("MY.SERVER.IT", "named")]:
            with tls_dial(port_of(server), context, name=name) as s:
                check_eq(dict(rdn[0] for rdn in s.getpeercert()["subject"])["commonName"], want, name)
        context = lab().trust()
        context.check_hostname = False
        for name in (None, "elsewhere.example"):
            with tls_dial(port_of(server), context, name=name) as s:
                check_eq(dict(rdn[0] for rdn in s.getpeercert()["subject"])["commonName"], "server", name)


@case(each=VERSIONS)
def tls_python_client_certificate(version):
    options = ["--ca", lab().path("ca"), "--crl", lab().path("crl"), "--cert", lab().path("server")]
    for clients, certificate, is_good in [
            ("needed", "client", True), ("needed", None, False), ("needed", "strange-client", False),
            ("needed", "lost-client", False), ("needed", "server", False), ("asked", "client", True),
            ("asked", None, True), ("asked", "strange-client", False)]:
        with serve("--clients", clients, *options, ECHO) as server:
            got = b""
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                with tls_dial(port_of(server), lab().trust(version=version, certificate=certificate)) as s:
                    s.sendall(b"ping")
                    got = s.recv(4)
            check_eq(got, b"ping" if is_good else b"", version, clients, certificate)
            if not is_good:
                server.wait_err(b"\n")
                check_eq(server.err.data.count(b"\n"), 1, server.err.data)
                check_in(b"certificate", server.err.data, certificate)


@case(each=VERSIONS)
def tls_connect_with_a_certificate(version):
    """Our own client before a server that needs to know it, and is told why it may not."""
    with serve("--clients", "needed", "--ca", lab().path("ca"), "--cert", lab().path("server"),
               "--tls-max", version, ECHO) as server:
        ca = ["--ca", lab().path("ca")]
        out, _ = tool("connect", *ca, "--cert", lab().path("client"), at(port_of(server)), stdin=b"ping")
        check_eq(out, b"ping")
        out, _ = tool("connect", *ca, "--cert", lab().file("client.crt"), "--key",
                      lab().file("client.key"), at(port_of(server)), stdin=b"ping")
        check_eq(out, b"ping")
        _, err = tool("connect", *ca, at(port_of(server)), stdin=b"ping", status=1)
        check_in(b"a certificate", err)
        check_eq(err.count(b"\n"), 1, err)
        _, err = tool("connect", *ca, "--cert", lab().path("strange-client"), at(port_of(server)),
                      stdin=b"ping", status=1)
        check_in(b"CA", err)
        check_eq(err.count(b"\n"), 1, err)


@case()
def tls_versions():
    for ours, theirs, want in [("1.2", "1.2", True), ("1.2", "1.3", False), ("1.3", "1.2", False)]:
        with serve("--tls-min", ours, "--tls-max", ours, "--cert", lab().path("server"), ECHO) as server:
            args = ["connect", "--ca", lab().path("ca"), "--tls-min", theirs, "--tls-max", theirs,
                    at(port_of(server))]
            out, err = tool(*args, stdin=b"x", status=0 if want else 1)
            check_eq(out, b"x" if want else b"", ours, theirs)
            check(want or b"version" in err, err)


# STARTTLS: the words before, in five protocols.


STARTTLS = {
    "ftp": [b"220-Welcome\r\n220 ready\r\n", (b"AUTH TLS", b"234 go\r\n")],
    "imap": [b"* OK ready\r\n", (b"tls STARTTLS", b"* CAPABILITY IMAP4rev1\r\ntls OK go\r\n")],
    "nntp": [b"201 no posting\r\n", (b"STARTTLS", b"382 go\r\n")],
    "pop3": [b"+OK ready\r\n", (b"STLS", b"+OK go\r\n")],
    "smtp": [b"220 mail ready\r\n", (b"EHLO", b"250-mail\r\n250 STARTTLS\r\n"), (b"STARTTLS", b"220 go\r\n")],
}


def starttls(protocol, *, refuse=None, injected=b""):
    greeting, *steps = STARTTLS[protocol]

    def talk(s):
        s.sendall(greeting)
        for i, (want, answer) in enumerate(steps):
            line = b""
            while not line.endswith(b"\r\n"):
                line += recv_exactly(s, 1)
            check(line.startswith(want), line)
            last = i == len(steps) - 1
            s.sendall((refuse if refuse and last else answer) + (injected if last else b""))
        if refuse:
            check_eq(s.recv(1), b"", "after a refusal")
            return
        with lab().serve().wrap_socket(s, server_side=True) as t:
            t.sendall(b"got " + recv_all(t))
            t.unwrap()

    return python_server(talk)


@case(each=list(STARTTLS))
def tls_starttls(protocol):
    args = ["connect", "--starttls", protocol, "--ca", lab().path("ca")]
    with starttls(protocol, injected=b"injected\r\n") as port:
        out, err = tool(*args, f"localhost:{port}", stdin=b"secret")
        check_eq((out, err), (b"got secret", b""))
    with starttls(protocol, refuse=b"500 never \x1b[31mhere\r\n") as port:
        _, err = tool(*args, f"localhost:{port}", stdin=b"secret", status=1)
        check_in(b"'500 never ?[31mhere'", err)


@case()
def tls_starttls_endings():
    args = ["connect", "--starttls", "pop3", "--ca", lab().path("ca"), "--timeout", "300ms"]
    for talk, want in [(lambda s: None, b"ended the connection"), (lambda s: s.recv(1), b"time"),
                       (lambda s: s.sendall(b"-ERR busy\r\n"), b"'-ERR busy'")]:
        with python_server(talk) as port:
            _, err = tool(*args, f"localhost:{port}", status=1)
            check_in(want, err)
            check_eq(err.count(b"\n"), 1, err)


# OpenSSL's own client and server.


def s_client(port, *options, stdin=b"", status=0, name="localhost"):
    """Its output; standard input ends when it has had what it waits for."""
    args = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", lab().path("ca"),
            "-verify_return_error", *(["-servername", name] if name else ["-noservername"]), *options]
    out, err = run(*args, stdin=stdin, status=status)
    return out + err


@contextlib.contextmanager
def s_server(*options, name="server"):
    with Child("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", lab().path(name), *options,
               stdin=subprocess.PIPE) as child:
        child.port = int(child.wait_line("ACCEPT ").rsplit(":", 1)[1])
        yield child


@case(needs=["openssl"], each=VERSIONS)
def tls_s_client(version):
    with serve("--cert", lab().path("server"), ECHO) as server:
        out = s_client(port_of(server), f"-tls{version.replace('.', '_')}", stdin=b"Q\n")
        check_in(b"Verify return code: 0 (ok)", out)
        check_in(f"New, TLSv{version}".encode(), out)


@case(needs=["openssl"])
def tls_s_client_reconnects():
    with serve("--cert", lab().path("server"), ECHO) as server:
        out = s_client(port_of(server), "-tls1_2", "-reconnect", stdin=b"Q\n")
        check_eq((out.count(b"\nNew, TLSv1.2"), out.count(b"\nReused, TLSv1.2")), (1, 5), "handshakes")


@case(needs=["openssl"], each=VERSIONS)
def tls_s_client_sessions(version):
    """A ticket kept in a file; after a reload of the certificates it still counts."""
    option = f"-tls{version.replace('.', '_')}"
    with folder() as d, serve("--cert", lab().path("server"), "chargen=" + HERE) as server:
        keep = ["openssl", "s_client", "-connect", f"127.0.0.1:{port_of(server)}", "-CAfile",
                lab().path("ca"), option, "-servername", "localhost", "-sess_out", f"{d}/s"]
        with Child(*keep, stdin=subprocess.PIPE) as client:
            client.wait_out(b"!\"#$%")  # a ticket of TLS 1.3 comes before the first data
        server.kill(signal.SIGHUP)
        server.wait_err(b"read again")
        out = s_client(port_of(server), option, "-sess_in", f"{d}/s", stdin=b"Q\n")
        check_in(f"Reused, TLSv{version}".encode(), out)


@case(needs=["openssl"])
def tls_s_client_renegotiates():
    """TLS 1.2's renegotiation is refused, and that is no crash."""
    with serve("--cert", lab().path("server"), ECHO) as server:
        args = ["openssl", "s_client", "-connect", f"127.0.0.1:{port_of(server)}", "-tls1_2", "-CAfile",
                lab().path("ca")]
        with Child(*args, stdin=subprocess.PIPE) as client:
            client.wait_out(b"Verify return code")
            client.say(b"R\n")
            client.wait_err(b"RENEGOTIATING")
            client.wait_err(b"no renegotiation")
        tool("connect", "--ca", lab().path("ca"), at(port_of(server)), stdin=b"x")


@case(needs=["openssl"], each=VERSIONS)
def tls_s_server(version):
    with s_server("-rev", "-alpn", "pop3") as server:
        with connect("-v", "--ca", lab().path("ca"), "--tls-max", version, "--alpn", "imap,pop3",
                     at(server.port), stdin=subprocess.PIPE) as client:
            client.say(b"stressed\n")
            client.wait_out(b"desserts\n")
            client.wait_err(f"tls version TLSv{version}\n".encode())
            client.wait_err(b"tls alpn pop3\n")


@case(needs=["openssl"], each=VERSIONS)
def tls_s_server_ends(version):
    """It says its end with -www, and cuts the connection off when it is told to quit."""
    with s_server("-www") as server:
        out, err = tool("connect", "--ca", lab().path("ca"), "--tls-max", version, at(server.port),
                        stdin=b"GET / HTTP/1.0\r\n\r\n")
        check_in(b"</HTML>", out)
        check_eq(err, b"")
    with s_server() as server:
        with connect("--ca", lab().path("ca"), "--tls-max", version, at(server.port),
                     stdin=subprocess.PIPE) as client:
            client.say(b"hello\n")
            server.wait_out(b"hello\n")
            server.say(b"answer\n")
            client.wait_out(b"answer\n")
            server.say(b"Q\n")
            status, _, err = client.finish()
            check_eq(status, 1)
            check_in(b"cut off", err)


@case(needs=["openssl"])
def tls_s_server_renegotiates():
    """Asked for another handshake, ours refuses, and says so if the connection ends for it."""
    with s_server("-tls1_2") as server:
        with connect("--ca", lab().path("ca"), at(server.port), stdin=subprocess.PIPE) as client:
            client.say(b"hello\n")
            server.wait_out(b"hello\n")
            server.say(b"R\n")
            server.wait_err(b"no renegotiation")
            client.stdin.close()
            status, out, err = client.finish()
            check(status == 1 and err.count(b"\n") == 1 or status == 0 and not err, status, out, err)


# Certificates that are renewed.


@case(each=SHAPES)
def tls_reload(shape):
    """SIGHUP: who is served stays served, who comes meets the new certificate."""
    with folder() as d:
        pem = f"{d}/ours.pem"

        def install(name):
            with open(lab().path(name), "rb") as f:
                write(pem + ".new", f.read())
            os.replace(pem + ".new", pem)

        def subject():
            with tls_dial(port_of(server)) as s:
                return dict(rdn[0] for rdn in s.getpeercert()["subject"])["commonName"]

        install("server")
        with serve("--shape", shape, "--cert", pem, ECHO) as server:
            if shape == "iterative":
                check_eq(subject(), "server")
                old = contextlib.nullcontext()
            else:
                old = tls_dial(port_of(server))
            with old:
                install("again")
                server.kill(signal.SIGHUP)
                server.wait_err(b"SIGHUP: the certificates were read again\n")
                check_eq(subject(), "again")
                write(pem, b"nonsense")
                server.kill(signal.SIGHUP)
                server.wait_err(b"the certificates stay as they were: ")
                check_in(pem.encode(), server.err.data)
                check_eq(subject(), "again", "after a reload that failed")
                if old and shape != "iterative":
                    old.sendall(b"still here")
                    check_eq(recv_exactly(old, 10), b"still here")
            server.kill(signal.SIGTERM)
            check_eq(server.finish()[0], 0, "status")


@case()
def tls_terminal_goes_away():
    """Its SIGHUP is an end, not a wish for new certificates."""
    pid, terminal = pty.fork()
    if pid == 0:
        die_with_parent()
        os.execv(Build.tool(), [Build.tool(), "serve", "--cert", lab().path("server"), ECHO])
    try:
        said = b""
        while b"ready" not in said:
            said += os.read(terminal, 1000)
        os.kill(pid, signal.SIGHUP)
        while b"read again" not in said:
            said += os.read(terminal, 1000)
        os.close(terminal)
        ended = []
        eventually(lambda: ended.append(os.waitpid(pid, os.WNOHANG)) or ended[-1][0], "its end")
        check_eq(os.waitstatus_to_exitcode(ended[-1][1]), 0, "status")
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
