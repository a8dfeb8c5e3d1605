"""The parts of the bench that judge: figures, tables, the picture, and the count of instructions."""

import contextlib
import itertools
import json
import pathlib
import socketserver
import subprocess
import threading
import xml.etree.ElementTree as ElementTree

import pytest
from onnxd_server import build_dir

BENCH = pathlib.Path(__file__).resolve().parent.parent / "bench"

CALLGRIND = """\
# callgrind format
events: Ir
ob=(1) /usr/bin/onnxd
fn=(1) main
3 100
+1
cob=(2) /usr/lib/libonnxruntime.so.1
cfn=(2) Run
calls=1 0
5 9000
* 7
ob=(2)
fn=(2)
0 8000
cob=(3) /usr/lib/libc.so.6
cfn=(3) memcpy
calls=2 0
0 1000
ob=(3)
fn=(3)
0 1000
ob=(1)
fn=(4) other
9 3
"""


@pytest.fixture
def bench(monkeypatch):
    """Imports one module of tests/bench, which are scripts beside each other and no package."""
    monkeypatch.syspath_prepend(str(BENCH))
    return __import__


def test_instructions_are_self_cost_without_the_runtime(bench, tmp_path):
    file = tmp_path / "counts"
    file.write_text(CALLGRIND)
    assert bench("budget").count_instructions(file) == {"onnxd": 110, "libc.so.6": 1000}


@pytest.mark.parametrize("counted, failed", [(1000, 0), (1050, 0), (1051, 1), (500, 0)])
def test_five_percent_over_the_budget_fail(bench, counted, failed, capsys):
    assert bench("budget").compare({"row": counted}, {"row": 1000}) == (1 - failed, failed)
    assert ("TOO MANY" in capsys.readouterr().out) == bool(failed)


def test_a_scenario_without_a_budget_fails(bench):
    assert bench("budget").compare({"row": 1}, {}) == (0, 1)


@pytest.mark.parametrize("here, judged", [("GNU 12, glibc 2.36", (0, 1)), ("GNU 14, glibc 2.41", (0, 0))])
def test_a_budget_of_another_toolchain_is_not_judged_and_says_so(bench, here, judged, capsys):
    budget = {"toolchain": "GNU 12, glibc 2.36", "instructions": {"row": 1}}
    assert bench("budget").judge({"row": 1000}, budget, here) == judged
    assert ("SKIPPED" in capsys.readouterr().out) == (judged == (0, 0))


def test_the_budget_names_its_toolchain_and_all_scenarios(bench):
    budget = bench("budget")
    written = json.loads(budget.BUDGET.read_text())
    assert written["instructions"].keys() == budget.SCENARIOS.keys() | budget.TRACED_SCENARIOS.keys()
    assert written["toolchain"]


@pytest.mark.parametrize("samples, limits, verdict", [
    ([1.0, 9.0, 1.0], {"at_most": 1.0}, "pass"),
    ([1.0, 1.1, 1.2], {"at_most": 1.0}, "MISS"),
    ([31.0], {"at_least": 30}, "pass"),
    ([29.0], {"at_least": 30}, "MISS"),
    ([], {"at_least": 30}, "not measured"),
    ([5.0], {}, ""),
])
def test_the_median_is_judged(bench, samples, limits, verdict):
    row = bench("results").Row("key", "work", "figure", "x", samples=samples, **limits)
    assert row.verdict == verdict


METRICS = """\
# HELP onnxd_run_rows Rows of a run.
# TYPE onnxd_run_rows histogram
onnxd_run_rows_bucket{le="1.0"} 3
onnxd_run_rows_sum 40
onnxd_run_rows_count 4
http_requests_total{handler="/invocations",method="POST",status="2xx"} 7
http_requests_total{handler="none",method="GET",status="4xx"} 2
"""


def test_metrics_are_summed_over_their_series(bench):
    sums = bench("processes").sum_metrics(METRICS)
    assert sums["http_requests_total"] == 9 and sums["onnxd_run_rows_sum"] == 40


def test_the_slow_model_says_where_its_cpu_time_goes(bench):
    large, wrk = bench("large"), bench("wrk")
    load = large._SlowLoad("npy")
    ours = wrk.Round(requests=900, requests_per_s=900.0, p50_us=1.0, p99_us=40_000.0, cpu_us=190.0, client_cpu_us=10.0)
    counted = {"onnxd_run_rows_sum": 900, "onnxd_run_rows_count": 30,
               "onnxd_decode_duration_seconds_sum": 0.0018, "onnxd_decode_duration_seconds_count": 900}
    load.add(10, {"calls": 100, "wall_ns": 1e9, "cpu_ns": 160e6}, ours, counted)
    assert load.row.samples == [0.9] and load.row.verdict == "MISS"
    # 200 µs a row: one core does 5000 rows a second, five times the bare loop's 1000.
    text = load.describe(cpus=1)
    for part in ("bare loop 160;", "server 190,", "decode 2;", "client 10,", "at 5.00;", "30.0 rows a run;"):
        assert part in text


OVER = {"goodput_per_s": 95.0, "sent": 1500, "not_sent": 0, "ok": 400, "rejected": 750, "late": 50, "failed": 0,
        "rejected_p99_ms": 3.0, "ok_p99_ms": 600.0}


def test_a_refusal_costs_what_served_requests_leave(bench):
    overload, wrk = bench("overload"), bench("wrk")
    peak = wrk.Round(requests=200, requests_per_s=100.0, p50_us=1.0, p99_us=1.0, cpu_us=1.0, client_cpu_us=1.0)
    # 475 requests served at 20 µs each; 1025 others share what is left of the loop's time.
    found = overload.summarise(peak, OVER, 4000.0, 475 * 20.0 + 1025 * 8.0, 5)
    assert found["refusal_cpu_us"] == pytest.approx(8.0)
    assert (found["rejected"], found["late"]) == (0.625, pytest.approx(1 / 24))
    goodput, late = overload.describe([found])
    assert "62% rejected" in goodput and "lost" not in goodput and "8 µs" in late


H2LOAD = """\
finished in 2.00s, 261272.00 req/s, 9.47MB/s
requests: 522544 total, 522800 started, 522544 done, 522544 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 522544 2xx, 0 3xx, 0 4xx, 0 5xx
"""


def test_h2load_is_read_and_held_to_success(bench):
    h2load = bench("h2load")
    assert h2load.parse(H2LOAD) == (522544, 261272.0)
    for text in ("", H2LOAD.replace("522544 succeeded, 0 failed", "522540 succeeded, 4 failed"),
                 H2LOAD.replace("0 timeout", "3 timeout")):
        with pytest.raises(h2load.BadRound):
            h2load.parse(text)


@pytest.mark.parametrize("body, start", [("ab", b"\x00\x00\x00\x00\x0e\x0a\x02ab\x12\x08text/csv"),
                                         ("x" * 300, b"\x00\x00\x00\x01\x39\x0a\xac\x02xxx")])
def test_a_request_for_grpc_is_framed_by_hand(bench, body, start):
    assert bench("contenders").grpc_frame(body, "text/csv").startswith(start)


class Answers(socketserver.StreamRequestHandler):
    """Answers requests in the order in which they come, over all connections, from a fixed round."""

    ROUND = ("200 OK", "200 OK", "429 Too Many Requests", "504 Gateway Timeout")
    counter = itertools.count()

    def handle(self):
        while self.rfile.readline().startswith(b"POST "):
            while self.rfile.readline().strip():
                pass
            status = self.ROUND[next(self.counter) % len(self.ROUND)]
            close = "Connection: close\r\n" if status.startswith("504") else ""
            self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: 3\r\n{close}\r\n[0]".encode())
            if close:
                return


class AnsweringServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1000  # a client that finds it full tries again a second later


def test_the_open_loop_tells_served_refused_and_late_requests_apart(tmp_path):
    request = tmp_path / "request"
    request.write_bytes(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    server = AnsweringServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with server, contextlib.closing(server.socket):
        command = [build_dir() / "bench/open_loop", str(server.server_address[1]), request, "200", "1000", "1000", "1000"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["failed"], found["not_sent"]) == (0, 0)
    assert found["ok"] > max(found["rejected"], found["late"]) and min(found["rejected"], found["late"]) > 0
    # What came within the warm-up is not counted.
    assert found["ok"] + found["rejected"] + found["late"] < found["sent"]


def contenders(results):
    return [results.Contender("nginx", 64, 50000.0, 10.0, 1000.0, 2000.0),
            results.Contender("onnxd", 64, 60000.0, 9.5, 900.0, 1900.0),
            results.Contender("A & B", 64, 40.0, 3972.0, 9e5, 2e6)]


def test_the_picture_shows_each_figure_longest_bar_inside(bench):
    plot = bench("plot")
    picture = ElementTree.fromstring(plot.draw(contenders(bench("results")), "a <caption>"))
    space = "{http://www.w3.org/2000/svg}"
    bars = [float(bar.get("width")) for bar in picture.iter(f"{space}rect")]
    assert len(bars) == 6 and max(bars) <= plot.WIDTH - plot.LABEL - plot.FIGURE
    assert bars[0] > bars[1] and bars[5] < bars[3] < bars[4]
    texts = [text.text for text in picture.iter(f"{space}text")]
    assert {"A & B", "3,972", "9.5", "60,000", "a <caption>"} <= set(texts)


def test_the_table_replaces_only_what_is_between_its_markers(bench, tmp_path):
    report = bench("report")
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.publish(document, "new")
    assert document.read_text() == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    document.write_text("no markers")
    with pytest.raises(ValueError):
        report.publish(document, "new")


@pytest.mark.parametrize("left_s, shares", [(100, [50, 25, 25]), (50, [25, 12.5, 12.5])])
def test_the_time_is_shared_by_what_measurements_need(bench, left_s, shares):
    planned = [40, 20, 20]
    given = []
    for number in range(len(planned)):
        given.append(bench("bench").share_time(planned[number:], left_s - sum(given)))
    assert given == pytest.approx(shares)


def test_what_one_measurement_leaves_is_for_the_later_ones(bench):
    assert bench("bench").share_time([20, 20], 100) == 50
