"""case_sim.py - the simulated network as its users see it: `soquete sim`, what Wireshark's
programs and an XML parser say of what it writes, and the example that finds a bug."""

import os
import re
import subprocess
import xml.etree.ElementTree

from kit import Build, case, check, check_eq, check_in, folder, run, tool, write

SVG = "{http://www.w3.org/2000/svg}"


def scenarios():
    """The names that `soquete sim` lists."""
    return re.findall(r"^  ([a-z]+)  +\S", tool("sim")[0].decode(), re.M)


def sim(*args, **options):
    """What a scenario tells; it must end well."""
    out, err = tool("sim", *args, **options)
    check_eq(err, b"", args)
    return out.decode()


@case()
def sim_lists_scenarios():
    names = scenarios()
    for name in ("handshake", "echo", "http", "udp", "refused", "reset", "halfclose", "slow",
                 "partition", "three"):
        check_in(name, names, "scenarios")
    check_in("\nfinished: every program has ended", sim(names[0]))


@case()
def sim_bad_usage():
    for args, want in [
            (["--seed", "3"], "a scenario is missing: handshake, echo"),
            (["hanshake"], "unknown scenario 'hanshake' (did you mean 'handshake'?)"),
            (["frobnicate"], "unknown scenario 'frobnicate'; there are handshake"),
            (["echo", "udp"], "one scenario is wanted; 'udp' is one more"),
            (["echo", "--seed", "-1"], "--seed: '-1' is not a number from 0 on"),
            (["echo", "--loss", "101"], "--loss: '101' is not a percentage"),
            (["echo", "--latency", "5x"], "--latency: '5x' is not a duration"),
            (["echo", "--rate", "0"], "--rate: '0' is not a size"),
            (["echo", "--mtu", "10"], "mtu is from 576 to 65535, not 10"),
            (["echo", "--partition", "5-2"], "--partition: '5-2' is not [HOST:]FROM[-TO]"),
            (["echo", "--partition", "2-"], "--partition: '2-' is not [HOST:]FROM[-TO]"),
            (["echo", "--pause", "now"], "--pause: 'now' is not [HOST:]FROM[-TO]"),
            (["echo", "--crash", "router:1"],
             "--crash router:1: no host of this scenario is called 'router' (client or server)"),
            (["three", "--crash", "client:1"], "(client1, server or client2)"),
            (["echo", "--shape", "process"], "--shape process: a simulated host has the shapes"),
            (["echo", "--diagram", "-", "--trace", "-"], "cannot both be on standard output"),
            (["echo", "--diagran", "x"], "(did you mean '--diagram'?)"),
    ]:
        out, err = tool("sim", *args, status=2)
        check_eq((out, err.count(b"\n")), (b"", 1), args, err)
        check_in(b"soquete: sim: ", err, args)
        check_in(want.encode(), err, args)
    _, err = tool("sim", "echo", status=2, env={**os.environ, "SOQUETE_SEED": "seven"})
    check_in(b"SOQUETE_SEED is 'seven'", err)


@case()
def sim_files_that_cannot_be_written():
    for option in ("--diagram", "--trace"):
        for path, why in (("/nowhere/x", "No such file"), ("/dev/full", "No space left")):
            _, err = tool("sim", "echo", option, path, status=1)
            check_eq(err.count(b"\n"), 1, "lines", err)
            check_in(f"{option} {path}: {why}".encode(), err)


@case()
def sim_what_is_told():
    """A part of each scenario that is its point."""
    for args, parts in [
            (["handshake"], ["is connected", "the server has ended, too"]),
            (["echo"], ['hears "one", and answers', 'gets "three"']),
            (["http"], ["HTTP/1.1 200 OK", '"GET / HTTP/1.1" 200', "<title>Hello</title>"]),
            (["udp", "--loss", "0"], ['gets "one"', 'gets "six"']),
            (["udp", "--loss", "100"], ["gets nothing: Connection timed out", "; LOST"]),
            (["refused"], ["(10.0.0.2:7): Connection refused", "receive: Connection refused"]),
            (["timeout"], ["cannot connect tcp://server:7 (10.0.0.2:7): no answer yet"]),
            (["reset"], ["server               cannot receive: Connection reset by peer"]),
            (["halfclose"], ['gets "2 lines"']),
            (["slow"], ["has received 65536 bytes"]),
            (["partition"], ["! partition begins", "; LOST: a partition", "! partition ends",
                             'gets "four"']),
            (["three"], ['client1              gets "pear"', 'client2              gets "bear"']),
            (["echo", "--crash", "30ms"], ["! crashes", "! starts again", "reset by peer"]),
            (["echo", "--crash", "client:30ms-1"], ["client               ! starts again",
                                                    'gets "three"']),
            (["echo", "--pause", "30ms-2s"], ['   2.0', 'gets "three"']),
            (["echo", "--partition", "client:30ms-2s"], ["partition begins: client and all",
                                                         'gets "three"']),
            (["echo", "--lose", "3"], ["; LOST, as was asked for", 'gets "three"']),
            (["echo", "--duplicate", "100", "--log"], ["(duplicate)"]),
            (["echo", "--log"], ["[SYN] seq=0", "[FIN, ACK]", "program 1 ends"]),
    ]:
        told = sim(*args)
        check_in("finished: every program has ended", told, args)
        for part in parts:
            check_in(part, told, args)


@case()
def sim_shape_of_the_server():
    """In turn, the second client is served when the first has gone; else at once."""
    def order(*args):
        told = sim("three", *args)
        return told.index('hears "lion"') < told.index('hears "pear"')

    check(order(), "fibers: the second client waits")
    check(not order("--shape", "iterative"), "iterative: the second client does not wait")


@case()
def sim_seed_decides():
    rough = ["three", "--loss", "20", "--jitter", "30ms", "--rough", "--log"]
    first = sim(*rough, "--seed", "7")
    check_eq(sim(*rough, "--seed", "7"), first, "the same seed")
    check(sim(*rough, "--seed", "8") != first, "another seed gives the same run")
    check_eq(sim(*rough, env={**os.environ, "SOQUETE_SEED": "7"}), first, "SOQUETE_SEED")
    check_eq(sim(*rough, "--seed", "7", env={**os.environ, "SOQUETE_ENGINE": "epoll"}), first,
             "the thread's engine is not asked")


@case()
def sim_link_options():
    """Virtual time tells what a link is like."""
    def took_s(*args):
        return float(re.search(r"after (\d+\.\d+) s", sim("echo", *args))[1])

    plain = took_s()
    check(took_s("--latency", "none") < plain - 0.09, "no latency")
    check(took_s("--latency", "1s") > 9, "a latency of 1 s")
    check(took_s("--jitter", "1s") > plain + 0.1, "jitter")
    check(took_s("--loss", "30") > plain + 0.2, "losses cost time-outs")
    check(float(re.search(r"after (\d+\.\d+) s", sim("slow", "--rate", "10k"))[1]) > 6, "a rate")


@case()
def sim_not_finished():
    out, err = tool("sim", "echo", "--limit", "30ms", status=1)
    check_eq(err, b"soquete: sim: echo: time limit\n")
    check_in(b"client, program 1, fiber main: waits to receive", out)


@case()
def sim_http_leaves_nothing():
    with folder() as d:
        env = {**os.environ, "TMPDIR": d}
        first = sim("http", env=env)
        check_eq(os.listdir(d), [], "left behind")
        check_eq(sim("http", env=env), first, "each run has a folder of its own, and tells the same")
        _, err = tool("sim", "http", status=1, env={**env, "TMPDIR": f"{d}/none"})
        check_in(b"No such file", err)


# Diagrams.


def texts(svg):
    return ["".join(element.itertext()) for element in svg.iter(SVG + "text")]


@case()
def sim_diagram_is_svg():
    with folder() as d:
        for name in scenarios():
            sim(name, "--diagram", f"{d}/{name}.svg")
            root = xml.etree.ElementTree.parse(f"{d}/{name}.svg").getroot()
            check_eq(root.tag, SVG + "svg", name)
            check_in(f"{name}, seed 1", texts(root), name)
            check_in("server", texts(root), name)
        root = xml.etree.ElementTree.parse(f"{d}/handshake.svg").getroot()
        for word in ("SYN", "SYN+ACK", "FIN"):
            check_in(word, texts(root), "handshake")
        out, err = tool("sim", "handshake", "--diagram", "-")
        with open(f"{d}/handshake.svg", "rb") as f:
            check_eq(out, f.read(), "on standard output")
        check_in(b"finished", err)


@case(needs=["chromium"])
def sim_diagram_in_a_browser():
    """A browser finds no fault with the file, and gives the drawing a size."""
    with folder() as d:
        sim("partition", "--diagram", f"{d}/p.svg")
        dom = run("chromium", "--headless", "--no-sandbox", "--disable-gpu",
                  f"--user-data-dir={d}/profile", "--dump-dom", f"file://{d}/p.svg")[0].decode()
        check("parsererror" not in dom and "This page contains the following errors" not in dom,
              "the browser complains:", dom[:500])
        check_in("partition, seed 1", dom)
        run("chromium", "--headless", "--no-sandbox", "--disable-gpu",
            f"--user-data-dir={d}/profile", "--window-size=900,900",
            f"--screenshot={d}/p.png", f"file://{d}/p.svg")
        check(os.path.getsize(f"{d}/p.png") > 20000, "a picture of nothing")


# Traces.


def tshark(path, *args):
    """The lines that tshark prints of a trace, with every checksum checked."""
    options = [word for protocol in ("ip", "tcp", "udp")
               for word in ("-o", f"{protocol}.check_checksum:TRUE")]
    return run("tshark", "-r", path, *options, *args)[0].decode().splitlines()


@case(needs=["tshark"])
def sim_trace_is_sound():
    """Of each scenario, also over a bad network: well-formed, with right checksums."""
    bad = ["--loss", "10", "--duplicate", "10", "--reorder", "10", "--jitter", "20ms"]
    faults = " || ".join(["_ws.malformed", "_ws.unreassembled", "ip.checksum.status == 0",
                          "tcp.checksum.status == 0", "udp.checksum.status == 0"])
    with folder() as d:
        for name in scenarios():
            for args in ([], bad) if name in ("echo", "http", "slow", "udp") else ([],):
                sim(name, "--trace", f"{d}/t", *args)
                check(os.path.getsize(f"{d}/t") > 1000, name, "has hardly a packet")
                check_eq(tshark(f"{d}/t", "-Y", faults), [], name, args)


@case(needs=["tshark"])
def sim_trace_tells():
    with folder() as d:
        def fields(scenario, wanted, field, *args):
            sim(scenario, "--trace", f"{d}/t", *args)
            return tshark(f"{d}/t", "-Y", wanted, "-T", "fields", "-e", field)

        flags = fields("handshake", "tcp", "tcp.flags.str")
        check_eq([re.sub(r"[^A-Z]", "", f) for f in flags], ["S", "AS", "A", "AF", "AF", "A"])
        times = [float(t) for t in fields("timeout", "tcp.flags.syn == 1", "frame.time_relative")]
        gaps = [round(b - a, 2) for a, b in zip(times, times[1:])]
        check_eq(gaps, [1, 2, 4], "between SYNs")
        check(fields("slow", "tcp.analysis.zero_window", "frame.number"), "no zero window")
        check(fields("partition", "tcp.analysis.retransmission", "frame.number"),
              "no retransmission")
        check(fields("reset", "tcp.flags.reset == 1", "frame.number"), "no reset")
        check_eq(fields("refused", "icmp", "icmp.type"), ["3"])
        check(any("lost" in c.lower() for c in fields("udp", "udp", "frame.comment", "--loss", "50")),
              "no comment tells of a loss")
        page = fields("http", "http.response", "http.response.code")
        check_eq(page, ["200"], "http")


@case(needs=["tshark"])
def sim_trace_in_a_pipe():
    out, err = tool("sim", "echo", "--trace", "-")
    check_in(b"finished", err)
    lines = subprocess.run(["tshark", "-r", "-"], input=out, capture_output=True, check=True)
    check_in(b"[SYN]", lines.stdout)


@case(needs=["capinfos:tshark"])
def sim_trace_has_hosts_as_interfaces():
    with folder() as d:
        sim("three", "--trace", f"{d}/t")
        told = run("capinfos", "-M", f"{d}/t")[0].decode()
        check(re.search(r"Number of packets: +\d\d", told), told)
        times = [float(t) for t in tshark(f"{d}/t", "-Y", "ip", "-T", "fields", "-e",
                                          "frame.time_relative")]
        check_eq(times, sorted(times), "packets are in the order of their times")
        for name in ("client1", "server", "client2"):
            check_in(f"Name = {name}", told)


# What the documents say.


@case(needs=["cc:gcc"])
def sim_documents_compile():
    """The programs of the tutorial and the manual are whole: they compile, run and finish."""
    with open("docs/simulation.md", encoding="utf-8") as f:
        tutorial = re.findall(r"```c\n(.*?)```", f.read(), re.S)
    with open("man/soq_sim.3", encoding="utf-8") as f:
        manual = re.search(r"\.Sh EXAMPLES\n.*?\.Bd -literal\n(.*?)\.Ed\n", f.read(), re.S)[1]
    programs = [text for text in tutorial if "int main" in text] + [manual.replace("\\e", "\\")]
    check_eq(len(programs), 2, "programs")
    # A program begins with the runtime of the sanitizer that its library was built with.
    sanitizer = [flag for ending, flag in (("asan", "-fsanitize=address"),
                                           ("tsan", "-fsanitize=thread"))
                 if Build.dir.endswith(ending)]
    with folder() as d:
        for text in programs:
            write(f"{d}/program.c", text.encode())
            run("cc", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-Iinclude", *sanitizer,
                f"{d}/program.c", "-o", f"{d}/program", f"-L{Build.dir}/src", "-lsoquete")
            out = run(f"{d}/program", env={**os.environ, "LD_LIBRARY_PATH": f"{Build.dir}/src"})[0]
            check(re.match(rb"the simulated run: (finished|halted)", out), out)


@case(each=[("lost-packet", "echo", "--lose", "3"), ("partition", "partition")])
def sim_documents_diagrams(name, *args):
    """The drawings of the tutorial are what the tool draws now: their words, not their places."""
    drawn = xml.etree.ElementTree.fromstring(tool("sim", *args, "--diagram", "-")[0])
    kept = xml.etree.ElementTree.parse(f"docs/img/{name}.svg").getroot()
    check_eq(texts(kept), texts(drawn), f"make it anew: build/soquete sim {' '.join(args)} --diagram "
             f"docs/img/{name}.svg; it")


# The example.


@case()
def example_12_lost_write():
    name = Build.example("12_lost_write")
    out = run(name, status=1)[0].decode()
    seed = re.search(r"lost_write: seed (\d+) failed: broken "
                     r"\(an acknowledged write is never lost\)", out)
    check(seed, out)
    check(re.search(r"Shrunk in \d+ runs from \d+ faults to 1:\n", out), "shrunk", out)
    test = out[out.index("\nTEST("):]
    check_eq(re.findall(r"\.kind = (\w+)", test), ["SOQ_SIM_CRASH"], "what is left", test)
    check_in("soq_sim_replay(", test)
    replay = run(name, status=1, env={**os.environ, "SOQUETE_SEED": seed[1]})[0].decode()
    check_in("broken: an acknowledged write is never lost", replay)
    check_in("! crashes", replay, "the log of the seed")
    out = run(name, "--fixed")[0].decode()
    check(re.match(r"1000 seeds, \d+ s of virtual time in \d+ ms: no acknowledged write was lost\n$",
                   out), out)
