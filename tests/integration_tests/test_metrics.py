"""What GET /metrics says, in which format, and that it is what clients have seen."""

import gzip
import os
import re
import signal
import subprocess

import pytest
from backends import ANSWER, QUESTION, Backend, fake_model
from load import Load
from onnxd_server import ROOT, metric_sum, parse_metrics, post_bytes, wait_for
from promtool import needs_promtool, promtool

pytestmark = pytest.mark.fake_backend

OPEN = "application/openmetrics-text"
PROMETHEUS_ASKS = (f"{OPEN};version=1.0.0,{OPEN};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
SAMPLE = re.compile(r'[a-zA-Z_:][\w:]*(\{(\w+="([^"\\\n]|\\[\\n"])*",?)*\})? [0-9+.eInf-]+( # \{[^}]*\} \S+ \S+)?')


@pytest.fixture(scope="module")
def server(backend):
    return backend.server()


@pytest.fixture(scope="module")
def backend(servers, module_directory):
    return Backend("fake", servers, module_directory)


def scrape(server, **fields):
    response = server.get("/metrics", headers={name.replace("_", "-"): value for name, value in fields.items()})
    assert response.status_code == 200
    return response


def make_traffic(server):
    """Something of everything that leaves a mark."""
    for question, status in ((QUESTION, 200), ([[1], [2, 3]], 400)):
        assert server.invoke(question).status_code == status
    assert server.invoke("1,2\n", content_type="text/csv").status_code == 200
    assert server.get("/nope").status_code == 404
    assert server.request("PATCH", "/live").status_code == 405
    for path in ("/live", "/ready", "/metrics"):
        assert server.get(path).status_code == 200


# The page.

def test_docs_hold_the_table():
    script = ROOT / "scripts/gen-metrics-table"
    environment = {**os.environ, "ONNXD_BUILD_DIR": os.environ.get("ONNXD_BUILD_DIR", str(ROOT / "build"))}
    done = subprocess.run([script, "--check"], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_every_metric_of_a_scrape_is_documented(server):
    make_traffic(server)
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.M))
    scraped = {re.sub(r"_(bucket|sum|count)$", "", name) for name in server.metrics()}
    assert scraped <= documented
    families = set(re.findall(r"^# TYPE (\w+) ", scrape(server).text, re.M))
    assert families == documented


@needs_promtool
@pytest.mark.parametrize("kind", ["fresh", "loaded", "without a model", "with a strange name"])
def test_promtool_finds_nothing(kind, server, start, tmp_path):
    if kind == "loaded":
        make_traffic(server)
    elif kind == "without a model":
        server = start(tmp_path, fake=True, expect_ready=False)
    elif kind == "with a strange name":
        model = fake_model(tmp_path / "strange")
        (model / "manifest.json").write_text(r'{"name": "a \"b\" \\ {c=\"d\"},\u00e9"}')
        server = start(model, fake=True)
        assert r'onnxd_jobs_total{model="a \"b\" \\ {c=\"d\"},é"} 0' in scrape(server).text
    assert promtool("check", "metrics", text=scrape(server).text) == ""


# Formats.

@pytest.mark.parametrize("accept, is_open", [
    ("", False), ("*/*", False), ("text/plain", False), (OPEN, True), (PROMETHEUS_ASKS, True),
    (f"{OPEN};q=0", False), (f"{OPEN};q=0.2, text/plain;q=0.9", False), (f"text/plain, {OPEN}", True),
])
def test_accept_decides(server, accept, is_open):
    response = scrape(server, Accept=accept)
    wanted = f"{OPEN}; version=1.0.0; charset=utf-8" if is_open else "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["content-type"] == wanted
    assert response.text.endswith("\n# EOF\n") == is_open
    assert response.headers["vary"] == "Accept, Accept-Encoding"


def test_openmetrics_is_well_formed(server):
    """Metadata before samples, one family after the other, counters by their family's name and _total."""
    make_traffic(server)
    lines = scrape(server, Accept=OPEN).text.splitlines()
    assert lines.pop() == "# EOF"
    family, kind, seen = None, None, set()
    for line in lines:
        if line.startswith("# "):
            _, keyword, name, value = line.split(" ", 3)
            if keyword == "HELP":
                assert name not in seen
                seen.add(name)
                family = name
            assert name == family
            if keyword == "TYPE":
                kind = value
            if keyword == "UNIT":
                assert name.endswith("_" + value)
            continue
        assert SAMPLE.fullmatch(line), line
        suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"],
                    "summary": ["_sum", "_count"]}[kind]
        assert re.split(r"[{ ]", line)[0] in [family + suffix for suffix in suffixes]


def test_gzip_is_the_same_text(server):
    with server.client() as client:
        plain = client.get("/metrics", headers={"Accept-Encoding": "identity"})
        with client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as response:
            packed = b"".join(response.iter_raw())
            assert response.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    names = re.compile(r"^# TYPE .*", re.M)
    assert names.findall(gzip.decompress(packed).decode()) == names.findall(plain.text)
    assert len(packed) < len(plain.content) / 3


def test_head_has_no_body(server):
    response = server.request("HEAD", "/metrics")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 1000


def test_many_scrapes_side_by_side(server):
    with Load(server, b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n", clients=8) as load:
        load.wait_for_answers(200)
    assert load.lost == [] and load.statuses() == {200}
    for _, body in load.answers:
        assert parse_metrics(body.decode())["byoc_up"] == [({}, 1.0)]


# What they say.

def test_counters_are_the_clients_own_count(server):
    """Whatever the load, and to the last request: what a rate over them is made of."""
    series = {"handler": "/invocations", "method": "POST"}
    before = server.metrics()
    with Load(server, post_bytes("[[1,2]]"), clients=4) as good, Load(server, post_bytes("[[1],[2,3]]"), clients=2) as bad:
        good.wait_for_answers(300)
        bad.wait_for_answers(100)
    after = server.metrics()

    def grown(name, **labels):
        return metric_sum(after, name, **labels) - metric_sum(before, name, **labels)

    assert grown("http_requests_total", status="2xx", **series) == len(good.answers)
    assert grown("http_requests_total", status="4xx", **series) == len(bad.answers)
    everything = len(good.answers) + len(bad.answers)
    assert grown("http_request_duration_seconds_count", **series) == everything
    assert grown("onnxd_inference_duration_seconds_count", interface="rest") == everything
    assert grown("onnxd_jobs_total") == len(good.answers)
    assert grown("onnxd_queue_duration_seconds_count") == len(good.answers)
    assert grown("onnxd_encode_duration_seconds_count") == len(good.answers)
    assert grown("onnxd_run_rows_sum") == len(good.answers)
    assert grown("onnxd_run_jobs_sum") == len(good.answers)
    assert grown("onnxd_run_jobs_count") == grown("onnxd_runs_total") == grown("onnxd_run_rows_count")


def test_connections_and_requests_by_protocol(server):
    def stands(name, **labels):
        return wait_for(lambda: all(server.metric(name, protocol=protocol) == value
                                    for protocol, value in labels.items()), f"{name} {labels}")

    opened = server.metric("onnxd_connections_opened_total", protocol="http1")
    half = b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n[["
    with server.connect() as silent, server.connect() as waiting:
        waiting.send(half)
        # The scrape itself is one, too.
        stands("onnxd_connections", undecided=1, http1=2, http2=0)
        stands("onnxd_requests_in_progress", http1=2, http2=0, grpc=0)
        silent.send(b"GET /live HTTP/1.1\r\nHost: t\r\n\r\n")
        assert silent.read_response().status == 200
        stands("onnxd_connections", undecided=0, http1=3)
    stands("onnxd_connections", undecided=0, http1=1)
    stands("onnxd_requests_in_progress", http1=1)
    assert server.metric("onnxd_connections_opened_total", protocol="http1") > opened + 2


def test_slots_and_rejections(slow_server):
    server = slow_server(300, env={"MAX_INFLIGHT": "1", "ACQUIRE_TIMEOUT_S": "0", "EXECUTION": "pooled"})
    assert server.metric("onnxd_slots") == 1
    assert server.metric("onnxd_rejections_total", reason="no_slot") == 0
    with server.connect() as connection:
        connection.send(post_bytes("[[1,2]]"))
        wait_for(lambda: server.metric("onnxd_in_flight") == 1, "the slot to be taken")
        refused = server.invoke(QUESTION).status_code
        assert connection.read_response().json() == ANSWER
    assert refused in (200, 429)  # the run may have been over by then
    assert server.metric("onnxd_rejections_total", reason="no_slot") == (refused == 429)
    assert server.metric("onnxd_in_flight") == 0


def test_a_reload_under_another_name_begins_new_series(start, tmp_path):
    model = fake_model(tmp_path / "model")
    (model / "manifest.json").write_text('{"name": "first", "version": "7"}')
    server = start(model, fake=True)
    for _ in range(3):
        server.invoke(QUESTION)
    facts, _ = server.metrics()["onnxd_model_info"][0]
    assert (facts["model"], facts["version"], facts["backend"]) == ("first", "7", "fake")
    (model / "manifest.json").write_text('{"name": "second"}')
    server.terminate(signal.SIGHUP)
    wait_for(lambda: server.metrics()["onnxd_model_info"][0][0]["model"] == "second", "the reload")
    server.invoke(QUESTION)
    wait_for(lambda: server.metric("onnxd_jobs_total", model="second") >= 1, "a job of the second model")
    metrics = server.metrics()
    assert metric_sum(metrics, "onnxd_jobs_total") == 4
    assert metric_sum(metrics, "onnxd_reloads_total", result="ok") == 1
    assert [labels["model"] for labels, _ in metrics["onnxd_model_load_seconds"]] == ["second"]


def test_without_a_model_nothing_is_said_of_one(start, tmp_path):
    server = start(tmp_path, fake=True, expect_ready=False)
    assert server.invoke(QUESTION).status_code == 503
    text = scrape(server).text
    assert "model=" not in text
    assert metric_sum(parse_metrics(text), "onnxd_rejections_total", reason="not_ready") == 1
