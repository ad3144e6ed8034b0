"""case_java.py - Java's Socket, ServerSocket and DatagramSocket, both ways."""

import os

from kit import Build, Child, address, case, check_eq, listen, run, serve, tool

HERE = os.path.dirname(os.path.abspath(__file__))
JAVA = ["javac:default-jdk-headless", "java:default-jdk-headless"]


def java(name, *args):
    """The command; the class is compiled once for all cases."""
    classes = os.path.join(Build.dir, "interop-java")
    if not os.path.exists(f"{classes}/{name}.class") or (
            os.path.getmtime(f"{classes}/{name}.class") < os.path.getmtime(f"{HERE}/{name}.java")):
        run("javac", "-encoding", "UTF-8", "-d", classes, f"{HERE}/{name}.java")
    return ["java", "-Xshare:auto", "-cp", classes, name, *args]


def client(kind, endpoint):
    return run(*java("Client", kind, *address(endpoint)))[0].decode()


@case(needs=JAVA)
def java_socket_to_echo():
    with serve("echo=127.0.0.1:0", "echo=udp://127.0.0.1:0") as server:
        check_eq(client("tcp", server.endpoints[0][1]), "request 1\nrequest 2\nol\u00e1\n")
        check_eq(client("udp", server.endpoints[1][1]), "datagram\n")


@case(needs=JAVA, each=["iterative", "process", "thread", "fiber"])
def java_socket_to_listen_exec(shape):
    program = "while read -r line; do echo \"you said $line\"; done"
    with listen("--keep", "--shape", shape, "--exec", program, "127.0.0.1:0") as ours:
        check_eq(client("tcp", ours.endpoint),
                 "you said request 1\nyou said request 2\nyou said ol\u00e1\n")


@case(needs=JAVA)
def java_server_socket_from_connect():
    with Child(*java("Server", "tcp")) as server:
        port = server.wait_line("port ")
        out, _ = tool("connect", f"127.0.0.1:{port}", stdin=b"one\ntwo")
        check_eq(out, b"ONE\nTWO\n")
        server.succeed()


@case(needs=JAVA)
def java_datagram_socket_from_connect():
    with Child(*java("Server", "udp")) as server:
        port = server.wait_line("port ")
        _, err = tool("connect", "--exec", "printf hello; head -c 5 >&2", f"udp://127.0.0.1:{port}")
        check_eq(err, b"HELLO")
        server.succeed()


@case(needs=JAVA)
def java_server_socket_from_example():
    with Child(*java("Server", "tcp")) as server:
        port = server.wait_line("port ")
        out, _ = run(Build.example("01_tcp_client"), f"127.0.0.1:{port}", "example")
        check_eq(out, b"EXAMPLE\n")
        server.succeed()
