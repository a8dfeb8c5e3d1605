"""What the process takes besides CPU time: memory, start, idle connections, others' patience."""

import collections
import contextlib
import math
import resource
import socket
import time

import contenders
import models
import wrk
from processes import NotUsable, Server
from results import Row

MB = 1e6
IDLE_CONNECTIONS = 10_000
PACE_S = 0.004  # between two small requests of the patient client
SETTLE_S = 0.5
AFTER_BURST_S = 2


def measure_memory(lab):
    row = Row("idle_memory", "4-feature classifier, idle", "resident memory − a bare program that "
              "loaded the same model", "MB", at_most=6)
    for _ in lab.repeat(5):
        with contenders.start_onnxd(lab.scratch, models.SMALL) as onnxd:
            bare, _ = lab.load_bare(models.SMALL, lab.cpus)
            with bare:
                time.sleep(SETTLE_S)
                ours, theirs = onnxd.process.rss_bytes(), bare.rss_bytes()
                row.samples.append((ours - theirs) / MB)
    row.note = f"{ours / MB:.1f} MB and {theirs / MB:.1f} MB (VmRSS)"
    return [row]


def measure_burst_memory(lab):
    """What a burst of large bodies leaves behind, when it is over and nobody asks for anything."""
    large_body = models.large_body()
    [small] = models.make_rows(1, models.WIDE_LAYERS[0])
    row = Row("burst_memory", f"4 clients send {len(large_body) / MB:.1f} MB JSON bodies, then nothing",
              "resident memory after − before", "MB")
    for _ in lab.repeat(1 if lab.quick else 2):
        with contenders.start_onnxd(lab.scratch, lab.wide_model(), models.matrix_json([small])) as onnxd:
            client = Server(onnxd.process, onnxd.port, onnxd.path, large_body, name="onnxd-large")
            time.sleep(SETTLE_S)
            at_mb = [onnxd.process.rss_bytes() / MB]
            for _ in range(2):
                wrk.measure(client, lab.scratch, 4, 1)
                time.sleep(AFTER_BURST_S)
                at_mb.append(onnxd.process.rss_bytes() / MB)
            row.samples.append(at_mb[1] - at_mb[0])
            peak_mb = onnxd.process.peak_rss_bytes() / MB
    row.note = (f"{at_mb[0]:.0f} MB before, {peak_mb:.0f} at most, {at_mb[1]:.0f} after {AFTER_BURST_S} s of "
                f"silence, {at_mb[2]:.0f} after a second burst")
    return [row]


def measure_start(lab):
    row = Row("start", "process start → first 200 on /ready", "minus the runtime's own load time", "ms",
              at_most=15)
    loads_ms = []
    for _ in lab.repeat(10):
        bare, load_ns = lab.load_bare(models.SMALL, lab.cpus)
        bare.stop()
        loads_ms.append(load_ns / 1e6)
        started = time.monotonic()
        with contenders.start_onnxd(lab.scratch, models.SMALL, wait=False) as onnxd:
            row.samples.append(_time_to_ready_ms(onnxd, started) - load_ns / 1e6)
    row.note = f"the runtime's own: {sorted(loads_ms)[len(loads_ms) // 2]:.0f} ms (dlopen to session)"
    return [row]


def _time_to_ready_ms(server, started):
    request = b"GET /ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    while time.monotonic() < started + 30:
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
                connection.sendall(request)
                if connection.recv(65536).startswith(b"HTTP/1.1 200"):
                    return (time.monotonic() - started) * 1e3
        time.sleep(0.0005)
    raise NotUsable("onnxd did not get ready within 30 s")


def read_answer(connection):
    """One whole answer with a Content-Length; its status line."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += _receive(connection)
    head, body = text.split(b"\r\n\r\n", 1)
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    missing = int(fields[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(_receive(connection))
    return head.split(b"\r\n")[0]


def _receive(connection):
    more = connection.recv(65536)
    if not more:
        raise wrk.BadRound("the server closed a connection")
    return more


def loop_of(process, connection):
    """The thread that serves a connection: the one that a few requests for /live cost CPU time."""
    request = b"GET /live HTTP/1.1\r\nHost: bench\r\n\r\n"
    before = process.thread_cpu_ns()
    for _ in range(20):
        connection.sendall(request)
        read_answer(connection)
    return (process.thread_cpu_ns() - before).most_common(1)[0][0]


def measure_spread(lab):
    """How the kernel and the listeners give few connections to two loops. No target of its own."""
    rows = []
    with contenders.start_onnxd(lab.scratch, models.SMALL, IO_THREADS=2) as onnxd:
        for count in (4, 8):
            row = Row(f"spread_{count}", f"{count} keep-alive connections, IO_THREADS=2",
                      "share of them on the busier loop", "x")
            for _ in range(6 if lab.quick else 20):
                row.samples.append(_busier_share(onnxd, count))
            even = sum(share == 0.5 for share in row.samples)
            row.note = f"{len(row.samples)} sets of new connections, {even} of them spread evenly"
            rows.append(row)
    return rows


def _busier_share(onnxd, count):
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", onnxd.port), timeout=10))
                       for _ in range(count)]
        loops = collections.Counter(loop_of(onnxd.process, connection) for connection in connections)
    return max(loops.values()) / count


def measure_patience(lab):
    """The p99 of small requests, one each few milliseconds, with and without a client that sends
    large bodies back to back."""
    row = Row("large_beside_small", "one client sending 6 MB JSON bodies back to back",
              "p99 of the small requests beside it − without it", "ms", at_most=2)
    large_body = models.large_body()
    [small] = models.make_rows(1, models.WIDE_LAYERS[0])
    seconds = max(2, lab.seconds)
    sent, with_ms = [], []
    with contenders.start_onnxd(lab.scratch, lab.wide_model(), large_body) as onnxd:
        request = contenders.request_of(models.matrix_json([small]))
        for _ in lab.repeat(4):
            alone = _pace(onnxd.port, request, seconds)
            disturber = wrk.start(onnxd, lab.scratch, 1, seconds + 1)
            beside = _pace(onnxd.port, request, seconds)
            result = wrk.finish(disturber)
            if result["bad_status"] or result["lost"] or not result["requests"]:
                raise wrk.BadRound(f"the large bodies: {result}")
            sent.append(result["requests"] / result["seconds"])
            with_ms.append(beside)
            row.samples.append(beside - alone)
    row.note = (f"p99 beside it {sorted(with_ms)[len(with_ms) // 2]:.1f} ms; {len(large_body) / MB:.1f} MB "
                f"bodies of 5000 × 100 numbers, {sorted(sent)[len(sent) // 2]:.1f} a second")
    return [row]


def _pace(port, request, seconds):
    """p99 in milliseconds of requests sent one each PACE_S. An answer that takes longer than that
    keeps others from being sent; they count too, with the time they would have waited."""
    times = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sent = time.monotonic()
            connection.sendall(request)
            if b" 200 " not in read_answer(connection):
                raise wrk.BadRound("a small request was refused")
            took = time.monotonic() - sent
            times.append(took)
            while took > PACE_S:
                took -= PACE_S
                times.append(took)
            time.sleep(max(0.0, sent + PACE_S - time.monotonic()))
    times.sort()
    return times[math.ceil(len(times) * 0.99) - 1] * 1e3


def measure_idle_connections(lab):
    memory = Row("idle_connections_memory", f"{IDLE_CONNECTIONS} idle keep-alive connections",
                 "additional memory", "MB", at_most=50)
    rate = Row("idle_connections_rate", f"{IDLE_CONNECTIONS} idle keep-alive connections",
               "the active ones' requests/s ÷ without them", "x", at_least=0.95)
    with contenders.start_onnxd(lab.scratch, models.SMALL, KEEPALIVE_TIMEOUT_S=600) as onnxd:
        wrk.measure(onnxd, lab.scratch, 64, 1)
        for number in lab.repeat(4):
            alone = wrk.measure(onnxd, lab.scratch, 64, lab.seconds)
            before = onnxd.process.rss_bytes()
            with _open_idle(onnxd.port, IDLE_CONNECTIONS):
                if number == 0:  # later the memory of the first time is there to be used again
                    time.sleep(SETTLE_S)
                    memory.samples.append((onnxd.process.rss_bytes() - before) / MB)
                beside = wrk.measure(onnxd, lab.scratch, 64, lab.seconds)
            rate.samples.append(beside.requests_per_s / alone.requests_per_s)
            time.sleep(SETTLE_S)
    return [memory, rate]


@contextlib.contextmanager
def _open_idle(port, count):
    """Connections that have each been answered once and then stay silent."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < count + 200:
        raise NotUsable(f"{hard} open files are allowed, {count} connections need more")
    request = b"GET /live HTTP/1.1\r\nHost: bench\r\n\r\n"
    connections = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            connections.append(connection)
            connection.sendall(request)
            read_answer(connection)
        yield
    finally:
        for connection in connections:
            connection.close()

