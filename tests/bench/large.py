"""Large work: a slow model beside a bare loop, a large body beside its library floor."""

import contenders
import models
import wrk
from results import Row

BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128]
MANY = 64


def measure_slow_model(lab):
    row = Row("slow_vs_bare", f"slow model ({'-'.join(map(str, models.SLOW_LAYERS))}), {MANY} connections",
              "rows/s ÷ bare loop at its best batch size", "x", at_least=0.95)
    model = lab.slow_model()
    sizes = [1, 16, 64] if lab.quick else BATCH_SIZES
    speed = {size: _rows_per_s(lab, model, size, 300) for size in sizes}
    best = max(speed, key=speed.get)
    [values] = models.make_rows(1, models.SLOW_LAYERS[0])
    body = models.matrix_json([values])
    latencies = []
    with contenders.start_onnxd(lab.scratch, model, body) as onnxd:
        wrk.measure(onnxd, lab.scratch, MANY, 1)
        for _ in lab.repeat(5):
            bare = _rows_per_s(lab, model, best, 1000)
            ours = wrk.measure(onnxd, lab.scratch, MANY, max(2, lab.seconds))
            latencies.append(ours.p99_us)
            row.samples.append(ours.requests_per_s / bare)
    row.note = (f"bare loop: {lab.cpus} intra-op threads, best at batches of {best} "
                f"({speed[best]:.0f} rows/s; {speed[1]:.0f} at 1); onnxd's p99 "
                f"{sorted(latencies)[len(latencies) // 2] / 1e3:.0f} ms")
    return [row]


def _rows_per_s(lab, model, rows, milliseconds):
    bare = lab.run_bare(model, rows, milliseconds, lab.cpus)
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
