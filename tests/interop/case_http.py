"""case_http.py - a folder served to curl, wget, Chromium, Python, and to those who attack."""

import contextlib
import http.client
import os
import re
import socket
import time

from kit import (Build, PATIENCE_S, SHAPES, Child, both, case, check, check_eq, check_in, dial,
                 folder, memory_is_watched, memory_kib, need_engine, recv_all, run, serve, url, write)

HELLO = b"Hello, world.\n" * 10
BIG = bytes(range(256)) * 4096  # 1 MiB


@contextlib.contextmanager
def site(*options):
    """A folder with a little of everything, served. Yields the server; .root is the folder."""
    with folder() as root:
        write(f"{root}/hello.txt", HELLO)
        write(f"{root}/big.bin", BIG)
        write(f"{root}/page.html", b"<!doctype html><title>Page</title><p>A page.</p>")
        write(f"{root}/sub/one.txt", b"one")
        write(f"{root}/sub/two.txt", b"two")
        write(f"{root}/index/index.html", b"<!doctype html><title>Index</title>")
        write(f"{root}/<script>alert(1)<script>.txt", b"odd")
        write(f"{root}/a b & c#d?.txt", b"spaced")
        write(f"{root}/\u00e9t\u00e9.txt", b"summer")
        write(f"{root}/.hidden", b"secret")
        with serve("--root", root, *options, "http=127.0.0.1:0") as server:
            server.root = root
            yield server


def curl(*args, status=0):
    out, _ = run("curl", "-sS", "--max-time", PATIENCE_S, *args, status=status)
    return out


def status_of(*args):
    return curl("-o", "/dev/null", "-w", "%{http_code}", *args).decode()


def head_of(*args):
    """The answer's status line and its header, names in lower case."""
    text = curl("-I", *args).decode()
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    return lines[0], {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip()
                      for line in lines[1:]}


@case(needs=["curl"])
def http_curl_get():
    with site() as server:
        check_eq(curl(url(server, "/hello.txt")), HELLO, "body")
        check_eq(curl(url(server, "/sub/two.txt")), b"two", "body")
        check_eq(curl(url(server, "/a%20b%20&%20c%23d%3f.txt")), b"spaced", "odd name")
        check_eq(curl(url(server, "/%C3%A9t%C3%A9.txt")), b"summer", "name in UTF-8")
        check_in(b"<title>Index</title>", curl(url(server, "/index/")), "index.html")


@case(needs=["curl"])
def http_curl_head():
    with site() as server:
        line, fields = head_of(url(server, "/hello.txt"))
        check_in("200", line)
        check_eq(fields.get("content-length"), str(len(HELLO)), "length")
        check(fields.get("content-type", "").startswith("text/plain"), "type", fields)
        for name in ("date", "last-modified"):
            check(name in fields, "no", name, "in", fields)
        check(head_of(url(server, "/page.html"))[1]["content-type"].startswith("text/html"), "html")


@case(needs=["curl"])
def http_curl_range():
    with site() as server:
        big = url(server, "/big.bin")
        check_eq(curl("-r", "1000-1999", big), BIG[1000:2000], "in the middle")
        check_eq(curl("-r", "-5", big), BIG[-5:], "the last bytes")
        check_eq(curl("-r", "1048570-", big), BIG[1048570:], "to the end")
        check_eq(status_of("-r", "0-0", big), "206", "status")
        check_eq(status_of("-r", "99999999-", big), "416", "past the end")


@case(needs=["curl"])
def http_curl_resume():
    with site() as server, folder() as there:
        write(f"{there}/big.bin", BIG[:300000])
        curl("-C", "-", "-o", f"{there}/big.bin", url(server, "/big.bin"))
        with open(f"{there}/big.bin", "rb") as f:
            check(f.read() == BIG, "resumed differs")


@case(needs=["curl"])
def http_curl_if_modified_since():
    with site() as server:
        hello = f"{server.root}/hello.txt"
        os.utime(hello, (1000000000, 1000000000))
        page = url(server, "/hello.txt")
        # Told by a header: with -z, curl makes a 304 of a 200 that is old (and says so).
        check_eq(status_of("-H", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT", page), "304",
                 "unchanged")
        check_eq(status_of("-z", hello, page), "304", "unchanged, with -z")
        check_eq(status_of("-z", "Sat, 08 Sep 2001 00:00:00 GMT", page), "200", "changed")


@case(needs=["curl"])
def http_curl_errors():
    with site() as server:
        for path, options, want in [
                ("/none.txt", [], "404"),
                ("/.hidden", [], "404"),
                ("/hello.txt", ["-X", "DELETE"], "405"),
                ("/hello.txt", ["-X", "BREW"], "501"),
                ("/hello.txt", ["-H", "Host:"], "400"),
                ("/" + "x" * 20000, [], "414"),
                ("/hello.txt", ["-H", "X: " + "x" * 20000], "431"),
        ]:
            check_eq(status_of(*options, url(server, path)), want, path[:20], options[:1])


@case(needs=["curl"])
def http_curl_redirect_to_folder():
    with site() as server:
        got = curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", url(server, "/sub"))
        status, target = got.decode().split()
        check_in(status, ("301", "302", "307", "308"))
        check_eq(target, url(server, "/sub/"), "target")


@case(needs=["curl"])
def http_curl_keep_alive():
    with site() as server:
        pages = [url(server, "/hello.txt"), url(server, "/sub/one.txt")]
        options = [word for page in pages for word in ("-o", "/dev/null", page)]
        check_eq(curl("-w", "%{num_connects}", *options), b"10", "connections made")


@case(needs=["curl"])
def http_curl_http10():
    with site() as server:
        got = curl("-0", "-i", url(server, "/hello.txt"))
        check(got.endswith(HELLO), "body")
        check_in(b"connection: close", got.lower())


@case(needs=["curl"])
def http_curl_unix():
    with folder() as root:
        write(f"{root}/hello.txt", HELLO)
        with serve("--root", root, f"http=unix://{root}/http.sock") as server:
            check_eq(server.endpoints, [("http", f"unix://{root}/http.sock")], "table")
            got = curl("--unix-socket", f"{root}/http.sock", "http://localhost/hello.txt")
            check_eq(got, HELLO, "body")


@case(needs=["curl"], each=both(*SHAPES))
def http_curl_big(shape, engine):
    need_engine(engine)
    with site("--shape", shape, "--engine", engine) as server:
        for _ in range(2):
            check(curl(url(server, "/big.bin")) == BIG, "body differs")


@case(needs=["curl"])
def http_attack_paths():
    with site() as server, folder() as outside:
        write(f"{outside}/secret.txt", b"root:secret")
        os.symlink(outside, f"{server.root}/out")
        os.symlink(f"{outside}/secret.txt", f"{server.root}/secret.txt")
        os.symlink("/etc/passwd", f"{server.root}/passwd")
        up = "/".join([".."] * 12)
        for path in [f"/{up}/etc/passwd", f"/sub/{up}/etc/passwd", "/out/secret.txt",
                     "/secret.txt", "/passwd", "/" + "%2e%2e/" * 12 + "etc/passwd",
                     "/" + "..%2f" * 12 + "etc/passwd", "/" + "%252e%252e/" * 12 + "etc/passwd",
                     "/" + "..%5c" * 12 + "etc/passwd", "//etc/passwd", "/hello.txt%00.html",
                     "/" + "%c0%ae%c0%ae/" * 12 + "etc/passwd", "/sub/..;/..;/etc/passwd"]:
            got = curl("--path-as-is", "-i", url(server, path))
            line = got.split(b"\r\n")[0]
            check(b"root:" not in got, path, "gave", line)
            check(line.split()[1][:1] == b"4" or path == "//etc/passwd", path, "gave", line)


@case(needs=["wget"])
def http_wget_mirror():
    with site() as server, folder() as there:
        # 8: some answer was an error (there is no robots.txt), all else was fetched.
        with Child("wget", "-q", "-m", "-nH", "-np", "-P", there, "--tries=1",
                   f"--timeout={PATIENCE_S}", url(server)) as wget:
            check_in(wget.finish()[0], (0, 8), "status")
        for path, want in [("hello.txt", HELLO), ("big.bin", BIG), ("sub/one.txt", b"one"),
                           ("sub/two.txt", b"two"), ("\u00e9t\u00e9.txt", b"summer"),
                           ("a b & c#d?.txt", b"spaced")]:
            with open(f"{there}/{path}", "rb") as f:
                check(f.read() == want, path, "differs")


def chromium(*args):
    with folder() as profile:
        out, _ = run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                     "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                     "--hide-scrollbars", f"--user-data-dir={profile}", *args)
        return out.decode()


SIZES = ["1280x800", "390x844"]  # a desktop, a phone


def screenshot(name, size, page):
    shots = f"{Build.dir}/screenshots"
    os.makedirs(shots, exist_ok=True)
    path = f"{shots}/{name}-{size}.png"
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    chromium(f"--window-size={size.replace('x', ',')}", f"--screenshot={path}", page)
    check(os.path.getsize(path) > 5000, path, "is empty")


@case(needs=["chromium"])
def http_chromium_listing():
    with site() as server:
        dom = chromium("--dump-dom", url(server))
        for part in ["hello.txt", "big.bin", "sub/", "\u00e9t\u00e9.txt", "a b &amp; c#d?.txt",
                     "&lt;script&gt;alert(1)&lt;script&gt;.txt"]:
            check_in(part, dom, "listing")
        check("<script>alert" not in dom, "a file's name became a script")
        check(".hidden" not in dom, "a hidden file is listed")
        # The links lead where they say.
        links = re.findall(r'href="([^"]+)"', dom)
        check(any("%3Cscript%3E" in link or "%3cscript%3e" in link for link in links), links)


@case(needs=["chromium"], each=SIZES)
def http_chromium_screenshot_listing(size):
    with site() as server:
        for i in range(30):
            write(f"{server.root}/photo {i:02}.jpg", b"x" * (i * 997))
        screenshot("listing", size, url(server))


@case(needs=["chromium"], each=SIZES)
def http_chromium_screenshot_welcome(size):
    with serve("--root", "site", "http=127.0.0.1:0") as server:
        screenshot("welcome", size, url(server))


@case()
def http_python_keep_alive():
    with site() as server:
        client = http.client.HTTPConnection(*url(server)[7:-1].split(":"), timeout=PATIENCE_S)
        for method, path, status, body in [
                ("GET", "/hello.txt", 200, HELLO), ("HEAD", "/big.bin", 200, b""),
                ("GET", "/none", 404, None), ("GET", "/big.bin", 200, BIG)]:
            client.request(method, path)
            answer = client.getresponse()
            got = answer.read()
            check_eq(answer.status, status, method, path)
            check(body is None or got == body, method, path, "differs")
        client.close()


@case()
def http_python_pipelining():
    paths = ["/hello.txt", "/sub/one.txt", "/none", "/sub/two.txt"] * 10
    with site() as server, dial(server.endpoints[0][1]) as s:
        request = "".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths)
        s.sendall(request.encode() + b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n"
                  b"Connection: close\r\n\r\n")
        got = recv_all(s)
        check_eq(re.findall(rb"HTTP/1\.1 (\d+)", got), [b"200", b"200", b"404", b"200"] * 10 +
                 [b"200"], "answers")
        check(got.index(b"one") < got.index(b"two"), "order")
        check(got.endswith(HELLO), "the last one")


@case()
def http_python_byte_by_byte():
    with site() as server, dial(server.endpoints[0][1]) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /hello.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            s.sendall(bytes([byte]))
        check(recv_all(s).endswith(HELLO), "body")


@case()
def http_python_slow_header():
    with site("--header-timeout", "300ms") as server, dial(server.endpoints[0][1]) as s:
        s.sendall(b"GET /hello.txt HTT")
        start = time.monotonic()
        got = recv_all(s)
        check(not got or b" 408 " in got.split(b"\r\n")[0], got)
        check(0.2 < time.monotonic() - start < 5, "after", time.monotonic() - start)


@case()
def http_python_smuggling():
    """What two servers might read differently is refused, and the connection ends."""
    for lines in ["Content-Length: 4\r\nContent-Length: 5", "Content-Length: +4",
                  "Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length: 0x4",
                  "Transfer-Encoding : chunked", " Folded: yes", "Host: y",
                  "Transfer-Encoding: gzip", "Bad\x00Name: x"]:
        with site() as server, dial(server.endpoints[0][1]) as s:
            s.sendall(f"GET /hello.txt HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\nabcd".encode())
            s.shutdown(socket.SHUT_WR)
            got = recv_all(s)
            line = got.split(b"\r\n")[0]
            check(line.split()[1:2] in ([b"400"], [b"501"]), repr(lines), "gave", line)
            check_eq(got.count(b"HTTP/1.1 "), 1, "answers to", repr(lines))


@case()
def http_python_slow_reader():
    """Who asks for 64 MiB and does not read them costs no memory, and stops nobody."""
    with site() as server:
        with open(f"{server.root}/huge.bin", "wb") as f:
            f.truncate(64 << 20)
        with contextlib.ExitStack() as stack:
            before = memory_kib(server.pid)
            for _ in range(20):
                s = stack.enter_context(dial(server.endpoints[0][1]))
                s.sendall(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n")
                check(s.recv(1), "nothing came")
            with dial(server.endpoints[0][1]) as s:
                s.sendall(b"GET /hello.txt HTTP/1.0\r\n\r\n")
                check(recv_all(s).endswith(HELLO), "another client")
            grown = memory_kib(server.pid) - before
            check(grown < 8192 or not memory_is_watched(), "memory grew by", grown, "KiB")


@case()
def http_access_log():
    with site() as server:
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"GET /hello.txt HTTP/1.0\r\nUser-Agent: evil\x9b31m\" 999\r\n\r\n")
            recv_all(s)
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"GET /forged%0d%0a127.0.0.1%20forged HTTP/1.0\r\n\r\n")
            recv_all(s)
        server.wait_err(b"forged")
        lines = server.err.data.decode("latin-1").splitlines()
        check_eq(len(lines), 2, "lines", lines)
        check_in("/hello.txt", lines[0])
        check_in("evil", lines[0])
        check('" 999' not in lines[0], "a forged field", lines)
        check(not re.search(r"[\x00-\x1f\x7f-\x9f]", lines[0] + lines[1]), lines)


@case()
def http_quiet():
    with site("--quiet") as server:
        with dial(server.endpoints[0][1]) as s:
            s.sendall(b"GET /hello.txt HTTP/1.0\r\n\r\n")
            check(recv_all(s).endswith(HELLO), "body")
        server.kill(15)
        status, _, err = server.finish()
        check_eq((status, err), (0, b""), "status and errors")


@case()
def http_no_listing():
    with site("--no-listing", "--dotfiles") as server:
        check_eq(get(server, "/"), 404, "listing")
        check_eq(get(server, "/index/"), 200, "index.html")
        check_eq(get(server, "/.hidden"), 200, "with --dotfiles")


def get(server, path):
    client = http.client.HTTPConnection(*url(server)[7:-1].split(":"), timeout=PATIENCE_S)
    client.request("GET", path)
    status = client.getresponse().status
    client.close()
    return status


@case()
def http_root_missing():
    with Child(Build.tool(), "serve", "--root", "/nowhere/at/all", "http=127.0.0.1:0") as server:
        status, out, err = server.finish()
        check_eq((status, out), (1, b""), "status and output")
        check_in(b"--root /nowhere/at/all", err)
        check_eq(err.count(b"\n"), 1, "lines", err)
