"""Rows about TLS: handshakes, bytes, and the memory of clients that stand idle."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import time

from figures import rounds_of, table_of
from programs import START_SECONDS, Failure, Server, usable

WINDOW_SECONDS = 0.7  # of each measurement, or less: there are many rows
WARMUP_SECONDS = 0.2

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
{user}
events {{ worker_connections 8192; }}
http {{
	access_log off;
	keepalive_requests 100000000;
	client_body_temp_path {folder}/body;
	proxy_temp_path {folder}/proxy;
	fastcgi_temp_path {folder}/fastcgi;
	uwsgi_temp_path {folder}/uwsgi;
	scgi_temp_path {folder}/scgi;
	server {{
		listen 127.0.0.1:{port} ssl;
		ssl_protocols TLSv1.3;
		ssl_certificate {certificate};
		ssl_certificate_key {certificate};
		location = /done {{ return 200 "done\\n"; }}
	}}
}}
"""


def free_port():
    """One that was free a moment ago: nginx cannot be told to take any."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@dataclasses.dataclass(frozen=True)
class Nginx:
    """nginx with one worker, which is what is measured, and its defaults."""

    certificate: pathlib.Path
    name: str = "nginx"
    program: str = "nginx"
    env: dict = dataclasses.field(default_factory=dict)
    port: int = dataclasses.field(default_factory=free_port)

    def check(self, bench):
        if not self.path():
            raise Failure("nginx: not installed (nginx-light)")

    @staticmethod
    def path():
        return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")

    def command(self, bench):
        folder = bench.program("nginx")
        folder.mkdir(exist_ok=True)
        conf = folder / "nginx.conf"
        conf.write_text(NGINX.format(
            folder=folder, port=self.port, certificate=self.certificate,
            user="user root;" if os.geteuid() == 0 else ""), encoding="utf-8")
        return [self.path(), "-p", folder, "-e", "stderr", "-c", conf]

    def ready(self, child):
        """The worker's pid, once it listens."""
        end = time.monotonic() + START_SECONDS
        children = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children")
        while time.monotonic() < end and child.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                worker = int(children.read_text(encoding="ascii").split()[0])
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return worker, self.port
            time.sleep(0.01)
        raise Failure("nginx: does not listen")


def make_certificate(bench, kind):
    """A certificate with its key, signed by itself, as every server reads it."""
    path = bench.program(f"tls-{kind}.pem")
    key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "p256" else [kind]
    command = ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-subj", "/CN=localhost",
               "-days", "30", "-keyout", "-", "-out", "-"]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except FileNotFoundError:
        raise Failure("openssl: not installed") from None
    except subprocess.SubprocessError as failure:
        raise Failure(f"openssl: {failure}") from None
    path.touch(0o600)
    path.write_text(made.stdout, encoding="ascii")
    return path


@dataclasses.dataclass(frozen=True)
class Tls:
    """Servers that do one task over TLS 1.3, and a client that makes them."""

    name: str
    title: str
    task: str  # of the servers: peer_openssl.c
    mode: str  # of the generator: load_tls.c
    clients: int
    baseline: str
    shown: tuple
    compared: str = "server_cpu_us"
    certificate: str = "p256"
    has_nginx: bool = False
    ours: str = ""  # soquete's own task, where it is another: soquete_tls.c
    rounds_max: int = 100  # memory is much the same in each

    def servers(self, certificate):
        args, ours = ((task, str(certificate)) for task in (self.task, self.ours or self.task))
        found = [
            Server("soquete uring", "soquete_tls", {"SOQUETE_ENGINE": "uring"}, "libssl-dev", ours),
            Server("soquete epoll", "soquete_tls", {"SOQUETE_ENGINE": "epoll"}, "libssl-dev", ours),
            Server("raw OpenSSL", "peer_openssl", {}, "libssl-dev", args),
        ]
        return found + ([Nginx(certificate)] if self.has_nginx else [])

    def run(self, bench):
        cells = []
        try:
            if not bench.program("load_tls").exists():
                raise Failure("load_tls: not built (its library: libssl-dev)")
            servers = usable(bench, self.servers(make_certificate(bench, self.certificate)))
            cells = rounds_of(self, bench, servers, lambda s: self.measure(bench, s),
                              self.rounds_max)
        except Failure as failure:
            bench.leave_out(self.name, failure)
        return {"name": self.name, "baseline": self.baseline, "cells": cells}

    def measure(self, bench, server):
        seconds = min(WINDOW_SECONDS, bench.options.seconds)
        try:
            with bench.server(server) as (pid, port):
                return bench.load("load_tls", seconds, WARMUP_SECONDS, mode=self.mode,
                                  clients=self.clients, port=port, pid=pid)
        except Failure as failure:
            bench.fail(f"{self.name}, {server.name}", failure)
            return None

    def table(self, result):
        if not result["cells"]:
            return ""
        return table_of(f"{self.name}: {self.title}", result["cells"], self.baseline, self.shown,
                        self.compared)


SHAKES = (("handshakes/s", "requests_per_s", 0), ("busy %", "server_busy_percent", 0),
          ("generator %", "load_busy_percent", 0), ("CPU \u00b5s each", "server_cpu_us", 1))
ECHOES = (("requests/s", "requests_per_s", 0), *SHAKES[1:])
BYTES = (("MB/s", "megabytes_per_s", 0), *SHAKES[1:3], ("CPU \u00b5s a MB", "server_cpu_us", 1))
MEMORY = (("bytes each", "server_bytes_per_client", 0), ("bytes in all", "server_bytes", 0))

TLS = (
    Tls("tls-shake", "full handshakes, P-256", "done", "shake", 32, "nginx", SHAKES,
        has_nginx=True),
    Tls("tls-shake-rsa", "full handshakes, RSA-2048", "done", "shake", 32, "nginx", SHAKES,
        certificate="rsa:2048", has_nginx=True),
    Tls("tls-resume", "resumed handshakes", "done", "resume", 32, "nginx", SHAKES,
        has_nginx=True),
    Tls("tls-echo", "64 bytes, 100 clients", "echo", "echo", 100, "raw OpenSSL", ECHOES),
    Tls("tls-turns", "the same, a call of the handler each", "echo", "echo", 100, "raw OpenSSL",
        ECHOES, ours="turns"),
    Tls("tls-bulk", "sending to 4 clients", "bulk", "bulk", 4, "raw OpenSSL", BYTES),
    Tls("tls-idle", "4,000 idle clients", "again", "idle", 4000, "nginx", MEMORY,
        compared="server_bytes_per_client", has_nginx=True, rounds_max=2),
)
