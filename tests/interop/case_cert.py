"""case_cert.py - `soquete cert`: certificates that openssl(1) and curl(1) take, and others that
they must not take; the files, and who may read them; wrong usage."""

import contextlib
import os
import re
import shlex
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile
import threading

from kit import (PATIENCE_S, Build, Child, Skip, case, check, check_eq, check_in, run)

SELF_SIGNED = "localhost, 127.0.0.1 and ::1"


def need_tls():
    """A build without OpenSSL has no certificates."""
    out = subprocess.run([Build.tool(), "cert", "--out", "/dev/null"], capture_output=True,
                         check=False)
    if b"this build has no TLS" in out.stderr:
        raise Skip("this build has no TLS")


@contextlib.contextmanager
def folder():
    need_tls()
    with tempfile.TemporaryDirectory() as path:
        yield path


def cert(path, *args, status=0):
    """Run it in a folder. Returns output and errors as text."""
    out, err = run(os.path.abspath(Build.tool()), "cert", *args, cwd=path, umask=0o022,
                   status=status)
    return out.decode(), err.decode()


def mode(*path):
    return stat.S_IMODE(os.stat(os.path.join(*path)).st_mode)


def content(*path):
    with open(os.path.join(*path), encoding="ascii") as f:
        return f.read()


def openssl(path, *args, status=0):
    out, err = run("openssl", *args, cwd=path, status=status)
    return (out + err).decode()


def text_of(path, name):
    return openssl(path, "x509", "-in", name, "-noout", "-text")


# What is made.


@case()
def cert_in_one_line():
    with folder() as path:
        out, err = cert(path)
        check_eq(err, "")
        check_eq(out.splitlines()[0], f"localhost.pem: a certificate for {SELF_SIGNED}, and its "
                                      "key, for 90 days")
        for part in ("nobody trusts it", "not\nencrypted",
                     "soquete serve --cert localhost.pem https\n",
                     "soquete connect --ca localhost.pem tls://localhost:8443\n"):
            check_in(part, out)
        check_eq(os.listdir(path), ["localhost.pem"])
        check_eq(mode(path, "localhost.pem"), 0o600)


@case(needs=["openssl"])
def cert_verified_by_openssl():
    with folder() as path:
        cert(path)
        for name in ("-verify_hostname", "localhost"), ("-verify_ip", "127.0.0.1"), \
                ("-verify_ip", "::1"):
            openssl(path, "verify", "-x509_strict", "-purpose", "sslserver", *name, "-CAfile",
                    "localhost.pem", "localhost.pem")
        cert(path, "--ca", "Lab CA")
        cert(path, "--sign", "Lab_CA.pem", "a.example", "*.b.example", "192.0.2.1")
        cert(path, "--sign", "Lab_CA.pem", "--client", "alice")
        cert(path, "--sign", "Lab_CA.pem", "--ca", "Middle", "--rsa", "2048")
        cert(path, "--sign", "Middle.pem", "c.example")
        for purpose, name, leaf in [("sslserver", "a.example", "a.example.pem"),
                                    ("sslserver", "x.b.example", "a.example.pem"),
                                    ("sslclient", "alice", "alice.pem"),
                                    ("sslserver", "c.example", "c.example.pem")]:
            openssl(path, "verify", "-x509_strict", "-purpose", purpose, "-verify_hostname", name,
                    "-CAfile", "Lab_CA.pem", "-untrusted", leaf, leaf)
        for purpose, name, leaf in [("sslclient", "a.example", "a.example.pem"),
                                    ("sslserver", "alice", "alice.pem"),
                                    ("sslserver", "b.example", "a.example.pem")]:
            openssl(path, "verify", "-purpose", purpose, "-verify_hostname", name, "-CAfile",
                    "Lab_CA.pem", leaf, status=2)
        openssl(path, "pkey", "-in", "Lab_CA.key", "-check", "-noout")
        check_in("Public-Key: (2048 bit)", text_of(path, "Middle.pem"))
        check_eq(len(set(re.findall(r"Serial Number:\s+(\S+)",
                                    text_of(path, "a.example.pem") + text_of(path, "alice.pem")))),
                 2)


@case(needs=["openssl"])
def cert_days():
    with folder() as path:
        out, _ = cert(path, "--days", "30", "a")
        check_in(", for 30 days\n", out)
        for days, status in (29, 0), (31, 1):
            openssl(path, "x509", "-in", "a.pem", "-noout", "-checkend", str(days * 86400),
                    status=status)
        check_in(", for 10 years\n", cert(path, "--ca", "Long")[0])
        check_in(", for 1 day\n", cert(path, "--ca", "Short", "--days", "1")[0])
        # What is signed does not outlast the CA.
        check_in(" or as long as the CA's\n", cert(path, "--sign", "Short.pem", "b")[0])
        openssl(path, "x509", "-in", "b.pem", "-noout", "-checkend", "86500", status=1)


@case()
def cert_files():
    with folder() as path:
        cert(path, "--ca", "Lab CA")
        check_eq(sorted(os.listdir(path)), ["Lab_CA.key", "Lab_CA.pem"])
        check_eq((mode(path, "Lab_CA.key"), mode(path, "Lab_CA.pem")), (0o600, 0o644))
        check("PRIVATE" not in content(path, "Lab_CA.pem"))
        cert(path, "--out", "c.crt", "--key", "c.key", "a")
        check_eq((mode(path, "c.key"), mode(path, "c.crt")), (0o600, 0o644))
        check("PRIVATE" not in content(path, "c.crt") and "CERT" not in content(path, "c.key"))
        for name, want in [("*.a.example", "_.a.example.pem"), ("::1", "__1.pem"),
                           ("a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 50,
                            "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 8 + ".pem")]:
            cert(path, name)
            check_in(want, os.listdir(path), name)
        cert(path, "--ca", "../.. $(x)")
        check_in("___..___x_.pem", os.listdir(path))
        # A key that is with the CA's certificate, and one that is elsewhere.
        cert(path, "--ca", "One", "--out", "one.pem", "--key", "one.pem")
        cert(path, "--sign", "one.pem", "in-one")
        os.rename(os.path.join(path, "Lab_CA.key"), os.path.join(path, "secret"))
        cert(path, "--sign", "Lab_CA.pem", "--sign-key", "secret", "elsewhere")


@case()
def cert_spares_what_is_there():
    with folder() as path:
        cert(path)
        before = content(path, "localhost.pem")
        _, err = cert(path, status=1)
        check_eq(err, "soquete: make certificate: write 'localhost.pem': File exists (--force "
                      "writes it anew)\n")
        check_eq(content(path, "localhost.pem"), before)
        _, err = cert(path, "--out", "new.pem", "--key", "localhost.pem", status=1)
        check_eq((os.listdir(path), content(path, "localhost.pem")), (["localhost.pem"], before))
        cert(path, "--force")
        check(content(path, "localhost.pem") != before)
        check_eq(os.listdir(path), ["localhost.pem"])


@case()
def cert_commands_as_a_shell_reads_them():
    """What is proposed can be typed, whatever the file is called."""
    with folder() as path:
        name = "-it's $HOME.pem"
        out, _ = cert(path, "--out=" + name, "a")
        command = re.search(r"openssl x509 -in (.*) -out", out)[1]
        words, _ = run("sh", "-c", f"printf '%s\\n' {command}")
        check_eq(words.decode(), f"./{name}\n")


@case()
def cert_bad_usage():
    for args, want in [
            (["--days", "0"], "'0' is not a number from 1 on"),
            (["--days", "36501"], "--days: 1 to 36500"),
            (["--days", "none"], "--days: 1 to 36500"),
            (["--rsa", "1024"], "--rsa: 2048 to 8192"),
            (["--rsa"], "option '--rsa' needs a value"),
            (["--ca", "x", "localhost"], "which is for no host"),
            (["--ca", "x", "--client"], "exclude each other"),
            (["--ca", "x" * 65], "1 to 64 bytes"),
            (["--ca", "a\nb"], "control character"),
            (["--client"], "who is it?"),
            (["--sign-key", "x"], "whose certificate --sign names"),
            ([""], "'' is no name"),
            (["a b"], "'a b' is no name"),
            (["a"] * 101, "101 names: 100 are possible"),
            (["a_b..c"], "'a_b..c' is neither a host's name nor an IPv4 or IPv6 address"),
            (["b\u00fccher.example"], "written as IDNA has it: 'xn--...'"),
            (["a\033[2J"], r"'a\x1B[2J' is neither"),
            (["--out", ""], "it is empty"),
            (["--frce"], "(did you mean '--force'?)")]:
        with folder() as path:
            out, err = cert(path, *args, status=2)
            check_eq((out, os.listdir(path), err.count("\n")), ("", [], 1), args, err)
            check_in(want, err, args)


@case()
def cert_that_cannot_be_made():
    with folder() as path:
        cert(path, "--ca", "Lab")
        cert(path, "--ca", "Other")
        cert(path, "leaf")
        with open(os.path.join(path, "text"), "w", encoding="ascii") as f:
            f.write("no certificate\n")
        for args, want in [
                (["--sign", "none.pem", "a"], "the CA's certificate 'none.pem': No such file"),
                (["--sign", "text", "a"], "'text': there is no certificate in it"),
                (["--sign", "leaf.pem", "a"], "('leaf.pem') is no CA's, and cannot sign others"),
                (["--sign", "Lab.pem", "--sign-key", "Other.key", "a"], "does not belong to"),
                (["--sign", "Lab.pem", "--sign-key", "text", "a"], "there is no key in it"),
                (["--out", "no/a.pem"], "write 'no/a.pem': No such file"),
                (["--out", "/dev/full"], "write '/dev/full': File exists")]:
            before = sorted(os.listdir(path))
            out, err = cert(path, *args, status=1)
            check_eq((out, err.count("\n"), sorted(os.listdir(path))), ("", 1, before), args, err)
            check(err.startswith("soquete: make certificate: "), args, err)
            check_in(want, err, args)


@case(needs=["openssl"])
def cert_ca_with_an_encrypted_key():
    """Nobody is asked for a password, not even at a terminal."""
    with folder() as path:
        cert(path, "--ca", "Lab")
        openssl(path, "pkey", "-in", "Lab.key", "-aes256", "-passout", "pass:x", "-out", "locked")
        _, err = cert(path, "--sign", "Lab.pem", "--sign-key", "locked", "a", status=1)
        check_in("the key is encrypted; 'openssl pkey -in", err)


@case()
def cert_output_that_cannot_be_written():
    with folder() as path, open("/dev/full", "wb") as full:
        with Child(os.path.abspath(Build.tool()), "cert", cwd=path, stdout=full) as child:
            status, _, err = child.finish()
        check_eq((status, err.count(b"\n")), (1, 1), err)
        check_in(b"standard output: No space left", err)


# Who takes it.


def proposed(out, command, port=None):
    """The command that is proposed, as its words; with a port that is free."""
    line = re.search(rf"^  soquete ({command} .*)$", out, re.M)[1]
    if port is None:
        line = re.sub(r" https$", " https=tls://127.0.0.1:0", line)
    else:
        line = re.sub(r":8443$", f":{port}", line)
    return [os.path.abspath(Build.tool()), *shlex.split(line)]


@contextlib.contextmanager
def served(path, *words):
    """`soquete serve` as it is proposed; yields the port."""
    with Child(*words, cwd=path) as server:
        server.wait_line("ready")
        yield server.out.data.decode().split()[1].rpartition(":")[2]


@case()
def cert_proposes_what_works():
    request = b"GET / HTTP/1.0\r\n\r\n"
    with folder() as path:
        cert(path, "--ca", "Lab CA")
        for args in ([], ["127.0.0.1"], ["localhost", "--out", "it's.pem", "--key", "a key"],
                     ["--sign", "Lab_CA.pem", "localhost", "--out=-signed.pem"]):
            out, _ = cert(path, *args)
            with served(path, *proposed(out, "serve")) as port:
                reply, _ = run(*proposed(out, "connect", port), stdin=request, cwd=path)
                check_in(b"HTTP/1.1 200", reply, args)
        out, _ = cert(path, "--client", "--sign", "Lab_CA.pem", "alice")
        server = ["serve", "--cert=./-signed.pem", "--ca=Lab_CA.pem", "--clients=needed",
                  "https=tls://127.0.0.1:0"]
        with served(path, os.path.abspath(Build.tool()), *server) as port:
            reply, _ = run(*proposed(out, "connect", port), stdin=request, cwd=path)
            check_in(b"HTTP/1.1 200", reply, "a client")
        out, _ = cert(path, "--ca", "Next")
        command = re.search(r"^  soquete (cert .*)$", out, re.M)[1]
        cert(path, *shlex.split(command)[1:], "b.example")


class Server:
    """A server of Python's, over OpenSSL: it greets, perhaps after it has seen a certificate."""

    def __init__(self, path, certificate, clients_ca=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(os.path.join(path, certificate))
        if clients_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(os.path.join(path, clients_ca))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(PATIENCE_S)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                with contextlib.suppress(OSError, ssl.SSLError), client:
                    with self.context.wrap_socket(client, server_side=True) as stream:
                        stream.recv(65536)
                        stream.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")


@case(needs=["curl"])
def cert_taken_by_curl():
    with folder() as path:
        cert(path)
        cert(path, "--ca", "Lab")
        cert(path, "--ca", "Middle", "--sign", "Lab.pem")
        cert(path, "--sign", "Middle.pem", "localhost", "--out", "signed.pem")
        for certificate, ca in ("localhost.pem", "localhost.pem"), ("signed.pem", "Lab.pem"):
            with Server(path, certificate) as server:
                curl = ["curl", "-sS", "--max-time", PATIENCE_S, "--noproxy", "*"]
                url = f"https://localhost:{server.port}/"
                out, _ = run(*curl, "--cacert", os.path.join(path, ca), url)
                check_eq(out, b"hello", certificate)
                run(*curl, url, status=60)  # nobody else trusts it
                run(*curl, "--cacert", os.path.join(path, ca), "--resolve",
                    f"other.example:{server.port}:127.0.0.1",
                    f"https://other.example:{server.port}/", status=60)


@case(needs=["curl"])
def cert_of_a_client_taken():
    with folder() as path:
        cert(path, "--ca", "Lab")
        cert(path, "--sign", "Lab.pem")
        cert(path, "--sign", "Lab.pem", "--client", "alice")
        with Server(path, "localhost.pem", "Lab.pem") as server:
            for certificate, good in ("alice.pem", True), ("localhost.pem", False):
                with Child("curl", "-sS", "--max-time", PATIENCE_S, "--noproxy", "*", "--cacert",
                           os.path.join(path, "Lab.pem"), "--cert",
                           os.path.join(path, certificate),
                           f"https://localhost:{server.port}/") as child:
                    status, out, err = child.finish()
                check_eq((status == 0, out == b"hello"), (good, good), certificate, err)


@case(needs=["openssl"])
def cert_between_openssl_commands():
    with folder() as path:
        cert(path, "--ca", "Lab")
        cert(path, "--sign", "Lab.pem", "a.example", "--rsa", "3072")
        with Child("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "a.example.pem",
                   "-www", cwd=path) as server:
            port = server.wait_line("ACCEPT ").rpartition(":")[2]
            for ca, want in ("Lab.pem", 0), ("a.example.pem", 1):
                with Child("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", ca,
                           "-verify_hostname", "a.example", "-verify_return_error", cwd=path,
                           stdin=subprocess.PIPE) as client:
                    if want == 0:
                        client.say(b"GET / HTTP/1.0\r\n\r\n")
                    status, out, err = client.finish()
                check_eq(status, want, ca, err)
                if want == 0:
                    check_in(b"Verify return code: 0 (ok)", out)


@case()
def cert_taken_by_java():
    """keytool(1) reads it, as it would for a trust store."""
    if not shutil.which("keytool"):
        raise Skip("keytool: openjdk-17-jre-headless")
    with folder() as path:
        cert(path, "--ca", "Lab")
        out, _ = run("keytool", "-printcert", "-file", "Lab.pem", cwd=path)
        check_in(b"Owner: CN=Lab", out)
