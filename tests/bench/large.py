"""Large work: a slow model beside a bare loop, a large body beside its library floor."""

import collections
import statistics

import contenders
import models
import wrk
from processes import Server
from results import Row

BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128]
MANY = 64


def measure_slow_model(lab):
    """The bare loop, JSON bodies and npy bodies by turns, on one server. A row each for the bodies."""
    model = lab.slow_model()
    sizes = [1, 16, 64] if lab.quick else BATCH_SIZES
    speed = {size: _rows_per_s(size, _bare(lab, model, size, 300)) for size in sizes}
    best = max(speed, key=speed.get)
    values = models.make_rows(1, models.SLOW_LAYERS[0])
    bodies = [("json", models.matrix_json(values[0]), "application/json"),
              ("npy", models.npy(values), "application/x-npy")]
    loads = {medium: _SlowLoad(medium) for medium, _, _ in bodies}
    with contenders.start_onnxd(lab.scratch, model, bodies[0][1]) as onnxd:
        clients = {medium: Server(onnxd.process, onnxd.port, onnxd.path, body, kind, f"onnxd-{medium}")
                   for medium, body, kind in bodies}
        wrk.measure(onnxd, lab.scratch, MANY, 1)
        for _ in lab.repeat(5):
            bare = _bare(lab, model, best, 1000)
            for medium, client in clients.items():
                before = client.metrics()
                ours = wrk.measure(client, lab.scratch, MANY, max(2, lab.seconds))
                loads[medium].add(best, bare, ours, client.metrics() - before)
    loads["json"].row.note = (
        f"bare loop: {lab.cpus} intra-op threads, best at batches of {best}; rows/s by size: "
        + ", ".join(f"{size}: {rate:.0f}" for size, rate in speed.items())
        + f". {loads['json'].describe(lab.cpus)}")
    loads["npy"].row.note = loads["npy"].describe(lab.cpus)
    return [load.row for load in loads.values()]


class _SlowLoad:
    """The rounds of one kind of body: its row, and where the CPU time of a row of the model goes."""

    def __init__(self, medium):
        self.row = Row(
            "slow_vs_bare" if medium == "json" else f"slow_{medium}_vs_bare",
            f"slow model ({'-'.join(map(str, models.SLOW_LAYERS))}), {medium} bodies, {MANY} connections",
            "rows/s ÷ bare loop at its best batch size", "x", at_least=0.95)
        self.parts = collections.defaultdict(list)

    def add(self, size, bare, ours, counted):
        self.row.samples.append(ours.requests_per_s / _rows_per_s(size, bare))
        decode_s = counted["onnxd_decode_duration_seconds_sum"]
        for name, value in {
            "batch": counted["onnxd_run_rows_sum"] / max(counted["onnxd_run_rows_count"], 1),
            "bare_rows_per_s": _rows_per_s(size, bare),
            "bare": bare["cpu_ns"] / bare["calls"] / size / 1e3,
            "server": ours.cpu_us,
            "decode": decode_s * 1e6 / max(counted["onnxd_decode_duration_seconds_count"], 1),
            "client": ours.client_cpu_us,
            "p99_ms": ours.p99_us / 1e3,
        }.items():
            self.parts[name].append(value)

    def describe(self, cpus):
        """The bound is the ratio at which the server and the client have all cores busy."""
        middle = {name: statistics.median(values) for name, values in self.parts.items()}
        possible = cpus * 1e6 / (middle["server"] + middle["client"])
        return ("CPU µs a row: bare loop {bare:.0f}; server {server:.0f}, of it decode {decode:.0f}; client "
                "{client:.0f}, which bounds the ratio at {bound:.2f}; {batch:.1f} rows a run; p99 {p99_ms:.0f} ms"
                ).format(bound=possible / middle["bare_rows_per_s"], **middle)


def _bare(lab, model, rows, milliseconds):
    return lab.run_bare(model, rows, milliseconds, lab.cpus)


def _rows_per_s(rows, bare):
    return rows * bare["calls"] / (bare["wall_ns"] / 1e9)


def measure_wide_body(lab):
    row = Row("wide_vs_floor", "1000 × 100 float matrix as JSON in, 1000 × 10 out",
              "server CPU ÷ (yyjson_read + Run + shortest digits)", "x", at_most=1.15)
    model = lab.wide_model()
    body = lab.keep / "wide_in.json"
    body.write_text(models.matrix_json(models.make_rows(models.WIDE_ROWS, models.WIDE_LAYERS[0])))
    answer = lab.keep / "wide_out.json"
    parts = []
    with contenders.start_onnxd(lab.scratch, model, body.read_text(), ONNX_INTRA_OP_THREADS=1) as onnxd:
        answer.write_bytes(onnxd.post()[1])
        wrk.measure(onnxd, lab.scratch, 2, 1)
        for _ in lab.repeat():
            ours = wrk.measure(onnxd, lab.scratch, 2, lab.seconds)
            floor = _floor_us(lab, model, body, answer)
            parts.append((ours.cpu_us, *floor))
            row.samples.append(ours.cpu_us / sum(floor))
    middle = [sorted(part)[len(part) // 2] for part in zip(*parts)]
    row.note = ("server {:.0f} µs a request, of it in the floor: yyjson_read {:.0f}, Run {:.0f}, "
                "digits {:.0f}; the server's figure includes the kernel's socket work".format(*middle))
    return [row]


def _floor_us(lab, model, body, answer):
    features, outputs = models.WIDE_LAYERS
    return [measured["cpu_ns"] / measured["calls"] / 1e3 for measured in (
        lab.run_codec("decode-json-floor", body, features, 300),
        lab.run_bare(model, models.WIDE_ROWS, 200),
        lab.run_codec("encode-json-floor", answer, outputs, 300),
    )]


CODECS = {
    "decode-json": "yyjson_read of the text",
    "decode-jsonl": "yyjson_read of each line",
    "decode-csv": "strtod of each cell",
    "decode-npy": "a copy of the bytes",
    "encode-json": "the shortest digits of each number",
    "encode-csv": "the shortest digits of each number",
    "encode-npy": "a copy of the elements",
}


def measure_codecs(lab):
    """Each codec by turns with its floor, on the same 1000 x 100 matrix. Rows without a target."""
    files = models.codec_bodies(lab.keep)
    columns = models.WIDE_LAYERS[0]
    milliseconds = 60 if lab.quick else 200
    rows = []
    for case, floor_text in CODECS.items():
        verb, medium = case.split("-")
        file = files[medium] if verb == "decode" else files["json"]
        row = Row(case, f"{verb} {medium}, 1000 × 100 float32", f"CPU ÷ {floor_text}", "x")
        took = []
        for _ in lab.repeat(5):
            ours, floor = (lab.run_codec(name, file, columns, milliseconds)
                           for name in (case, case + "-floor"))
            took.append(ours["cpu_ns"] / ours["calls"] / 1e3)
            row.samples.append(took[-1] / (floor["cpu_ns"] / floor["calls"] / 1e3))
        row.note = f"{sorted(took)[len(took) // 2]:.0f} µs"
        rows.append(row)
    return rows
