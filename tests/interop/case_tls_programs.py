"""case_tls_programs.py - HTTPS to curl, wget, Chromium and Java, and what testssl and sslscan
find in it; Java's SSLServerSocket for ours."""

import contextlib
import json
import re
import subprocess

from case_http import BIG, HELLO, chromium
from case_java import JAVA, java
from kit import (PATIENCE_S, SHAPES, Child, address, both, case, check, check_eq, check_in, connect,
                 folder, listen, need_engine, run, serve, write)
from lab import lab

HERE = "tls://127.0.0.1:0"


@contextlib.contextmanager
def https_site(*options, certificate="server"):
    """case_http's folder, over TLS alone."""
    with folder() as root:
        write(f"{root}/hello.txt", HELLO)
        write(f"{root}/big.bin", BIG)
        write(f"{root}/sub/one.txt", b"one")
        with serve("--root", root, "--cert", lab().path(certificate), *options,
                   "https=127.0.0.1:0") as server:
            server.root = root
            yield server


def https(server, path="/"):
    return f"https://localhost:{address(server.endpoints[-1][1])[1]}{path}"


def curl(*args, status=0, ca="ca"):
    out, _ = run("curl", "-sS", "--max-time", PATIENCE_S, "--cacert", lab().path(ca), *args,
                 status=status)
    return out


@case(needs=["curl"])
def https_curl_get():
    with https_site() as server:
        check_eq(server.endpoints[0][0], "https", "name")
        check_eq(curl(https(server, "/hello.txt")), HELLO)
        check_eq(curl("-r", "1000-1999", https(server, "/big.bin")), BIG[1000:2000], "range")
        head = curl("-I", https(server, "/hello.txt")).decode()
        check_in("200", head.split("\r\n", maxsplit=1)[0])
        got = curl("-w", "%{http_version} %{ssl_verify_result} %{scheme}", "-o", "/dev/null",
                   https(server, "/hello.txt"))
        check_eq(got.lower(), b"1.1 0 https")
        check_eq(curl("-0", https(server, "/hello.txt")), HELLO, "HTTP/1.0, which ALPN names")


@case(needs=["curl"], each=[(version, *row) for version in ("1.2", "1.3") for row in both(*SHAPES)])
def https_curl_big(version, shape, engine):
    need_engine(engine)
    with https_site("--shape", shape, "--engine", engine) as server:
        with open(f"{server.root}/huge.bin", "wb") as f:
            for _ in range(8):
                f.write(BIG)
        got = curl("--tls-max", version, https(server, "/huge.bin"))
        check(got == BIG * 8, "differs", len(got))


@case(needs=["curl"])
def https_curl_redirect():
    """The folder's own address stays an https one."""
    with https_site() as server:
        got = curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", https(server, "/sub"))
        check_eq(got.decode(), "301 " + https(server, "/sub/"))
        check_eq(curl("-L", https(server, "/sub/one.txt")), b"one")


@case(needs=["curl"])
def https_curl_keep_alive():
    with https_site() as server:
        pages = [https(server, "/hello.txt"), https(server, "/sub/one.txt")]
        options = [word for page in pages for word in ("-o", "/dev/null", page)]
        check_eq(curl("-w", "%{num_connects}", *options), b"10", "connections made")


@case(needs=["curl"])
def https_curl_upload():
    """A large body goes up through TLS, and all of it arrives."""
    with folder() as d:
        write(f"{d}/body", BIG)
        answer = "HTTP/1.1 201 Created\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"
        script = (f"while read -r line && [ ${{#line}} -gt 1 ]; do :; done; head -c {len(BIG)} >{d}/got; "
                  f"printf '{answer}'")
        with listen("--exec", script, "--cert", lab().path("server"), HERE) as ours:
            port = address(ours.endpoint)[1]
            got = curl("-T", f"{d}/body", "-H", "Expect:", "-w", "%{http_code} %{size_upload}",
                       f"https://localhost:{port}/x")
            check_eq(got.decode(), f"201 {len(BIG)}")
        with open(f"{d}/got", "rb") as f:
            check(f.read() == BIG, "arrived otherwise")


@case(needs=["curl"])
def https_curl_refuses():
    with https_site() as server:
        curl(https(server), ca="other-ca", status=60)
        curl("--resolve", f"elsewhere.example:{address(server.endpoints[0][1])[1]}:127.0.0.1",
             https(server).replace("localhost", "elsewhere.example"), status=60)
        server.wait_err(b"CA")
        check_eq(curl(https(server, "/hello.txt")), HELLO, "then one who trusts us")


@case(needs=["curl"])
def https_curl_staple():
    # This curl wants the issuer from the server, too.
    with https_site("--staple", lab().file("server.staple"), certificate="chain") as server:
        check_eq(curl("--cert-status", https(server, "/hello.txt")), HELLO)
    with https_site() as server:
        curl("--cert-status", https(server, "/hello.txt"), status=91)


@case(needs=["curl"])
def https_curl_client_certificate():
    with https_site("--clients", "needed", "--ca", lab().path("ca")) as server:
        check_eq(curl("--cert", lab().path("client"), https(server, "/hello.txt")), HELLO)
        for options in ([], ["--cert", lab().path("strange-client")]):
            _, err = run("curl", "-sS", "--cacert", lab().path("ca"), *options, https(server), status=56)
            check_in(b"alert", err)


@case(needs=["curl"])
def https_beside_http():
    with folder() as root:
        write(f"{root}/hello.txt", HELLO)
        with serve("--root", root, "--cert", lab().path("server"), "http", "tcp://127.0.0.1:0",
                   "tls://127.0.0.1:0") as server:
            check_eq([name for name, _ in server.endpoints], ["http", "https"])
            check_eq(curl("http://%s:%d/hello.txt" % address(server.endpoints[0][1])), HELLO)
            check_eq(curl(https(server, "/hello.txt")), HELLO)


@case(needs=["wget"])
def https_wget():
    """Which speaks TLS through GnuTLS."""
    with https_site() as server, folder() as there:
        args = ["wget", "-q", "--tries=1", f"--timeout={PATIENCE_S}", "-P", there]
        run(*args, "--ca-certificate", lab().path("ca"), https(server, "/big.bin"))
        with open(f"{there}/big.bin", "rb") as f:
            check(f.read() == BIG, "differs")
        run(*args, "--ca-certificate", lab().path("other-ca"), https(server, "/hello.txt"), status=5)


@case(needs=["chromium"])
def https_chromium():
    """A page and its listing, seen by a browser that knows our key."""
    with https_site() as server:
        dom = chromium("--dump-dom", "--ignore-certificate-errors-spki-list=" + lab().pin("server"),
                       https(server))
        for part in ("hello.txt", "big.bin", "sub/"):
            check_in(part, dom, "listing")
        check("ERR_" not in dom, dom[:500])
        refused = chromium("--dump-dom", https(server))
        check("hello.txt" not in refused, "a page of an unknown CA was shown")


# Java.


def truststore(d):
    path = f"{d}/trust.p12"
    run("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", lab().path("ca"), "-storetype",
        "PKCS12", "-keystore", path, "-storepass", "laboratory")
    return [f"-Djavax.net.ssl.trustStore={path}", "-Djavax.net.ssl.trustStorePassword=laboratory"]


def keystore(d, name="server"):
    path = f"{d}/{name}.p12"
    run("openssl", "pkcs12", "-export", "-in", lab().path(name), "-certfile", lab().path("ca"), "-out",
        path, "-passout", "pass:laboratory")
    return [f"-Djavax.net.ssl.keyStore={path}", "-Djavax.net.ssl.keyStorePassword=laboratory"]


def java_tls(name, version, properties, *args):
    command = java(name, *args)
    return [command[0], *properties, f"-Djdk.tls.client.protocols=TLSv{version}",
            f"-Djdk.tls.server.protocols=TLSv{version}", *command[1:]]


@case(needs=JAVA, each=["1.2", "1.3"])
def tls_java_socket(version):
    """A conversation, a half-close, and the end that each side says."""
    with folder() as d, serve("--cert", lab().path("server"), "echo=" + HERE) as server:
        port = address(server.endpoints[0][1])[1]
        out, _ = run(*java_tls("Client", version, truststore(d), "tls", "localhost", str(port)))
        check_eq(out.decode(), "request 1\nrequest 2\nol\u00e1\n")


@case(needs=JAVA)
def tls_java_socket_with_a_certificate():
    with folder() as d, serve("--cert", lab().path("server"), "--clients", "needed", "--ca",
                              lab().path("ca"), "echo=" + HERE) as server:
        port = address(server.endpoints[0][1])[1]
        properties = truststore(d) + keystore(d, "client")
        out, _ = run(*java_tls("Client", "1.3", properties, "tls", "localhost", str(port)))
        check_eq(out.decode(), "request 1\nrequest 2\nol\u00e1\n")


@case(needs=JAVA)
def tls_java_socket_refuses():
    with folder() as d, serve("--cert", lab().path("stranger"), "echo=" + HERE) as server:
        port = address(server.endpoints[0][1])[1]
        _, err = run(*java_tls("Client", "1.3", truststore(d), "tls", "localhost", str(port)), status=1)
        check_in(b"unable to find valid certification path", err)
        server.wait_err(b"certificate_unknown")


@case(needs=JAVA, each=["1.2", "1.3"])
def tls_java_server_socket(version):
    with folder() as d, Child(*java_tls("Server", version, keystore(d), "tls")) as server:
        port = server.wait_line("port ")
        with connect("--ca", lab().path("ca"), f"tls://localhost:{port}", stdin=subprocess.PIPE) as client:
            client.say(b"one\n")
            client.wait_out(b"ONE\n")
            # Before TLS 1.3 Java ends its flow when it hears of the end of ours, as RFC 5246
            # section 7.2.1 wants it: an answer would come too late.
            client.say(b"" if version == "1.2" else b"two")
            client.stdin.close()
            check_eq(client.finish(), (0, b"ONE\n" if version == "1.2" else b"ONE\nTWO\n", b""))
        server.succeed()


# Those who look for weaknesses.


# What a certificate of a laboratory cannot have, and why.
UNAVOIDABLE = {
    "cert_ocspURL": "our CA runs no OCSP responder: its word is stapled",
    "cert_crlDistributionPoints": "nor does it publish its CRL",
    "cert_revocation": "of both together",
    "DNS_CAArecord": "localhost has no records in the DNS",
    "sessionresumption": "its client leaves at once, often before the ticket has come",
    "HSTS": "a name like localhost has many servers, of which others speak http",
    "scan_time": "not a finding",
    "engine_problem": "of testssl's own openssl command",
}


@case(needs=["testssl:testssl.sh"])
def tls_testssl():
    """Nothing above INFO but what a laboratory cannot have."""
    with https_site("--staple", lab().file("server.staple")) as server, folder() as d:
        host, port = "localhost", address(server.endpoints[0][1])[1]
        args = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--sneaky",
                "--ip", "127.0.0.1", "--add-ca", lab().path("ca"), "--jsonfile", f"{d}/all.json",
                "-p", "-P", "-S", "-f", "-U", f"{host}:{port}"]
        with Child(*args) as child:
            child.process.wait(110)
        with open(f"{d}/all.json", encoding="utf-8") as f:
            findings = json.load(f)
        check(len(findings) > 40, "only", len(findings), "findings")
        bad = [f"{f['severity']} {f['id']}: {f['finding']}" for f in findings
               if f["severity"] not in ("OK", "INFO", "DEBUG") and
               not any(f["id"].startswith(name) for name in UNAVOIDABLE)]
        check(not bad, "\n".join(bad))


@case(needs=["sslscan"])
def tls_sslscan():
    with https_site() as server:
        port = address(server.endpoints[0][1])[1]
        out, _ = run("sslscan", "--no-colour", "--ipv4", "--sni-name=localhost", f"127.0.0.1:{port}")
        text = out.decode()
        for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
            check(re.search(rf"^{version}\s+disabled", text, re.M), version, text)
        for version in ("TLSv1.2", "TLSv1.3"):
            check(re.search(rf"^{version}\s+enabled", text, re.M), version, text)
        check("Compression enabled" not in text, text)
        check(text.count("not vulnerable to heartbleed") >= 2, text)
        accepted = re.findall(r"^(?:Preferred|Accepted)\s+(\S+)\s+(\d+) bits\s+(\S+)", text, re.M)
        check(len(accepted) >= 6, text)
        for version, bits, cipher in accepted:
            check(int(bits) >= 128 and not re.search("CBC|RC4|DES|MD5|NULL|-SHA$|EXP", cipher), version, cipher)
            check(version == "TLSv1.3" or cipher.startswith("ECDHE-") or cipher.startswith("DHE-"), cipher)
