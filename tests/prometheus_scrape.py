#!/usr/bin/env python3
"""prometheus_scrape.py [--seconds 60] [--interval 1]: a real Prometheus scrapes a server under load.

Every scrape has to succeed, the series have to grow by what the clients have counted (within 1 %, though at
rest they are equal to the request), the rates Prometheus works out have to be the clients' own, exemplars'
format (OpenMetrics) is what it asks for, and no alert of deploy/prometheus may fire. Prints the figures and
PASS or FAIL. `make prometheus-check` is the front door.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from load import Load
from onnxd_server import ROOT, Server, post_bytes, wait_for

TOLERANCE = 0.01
OK = 'http_requests_total{handler="/invocations",method="POST",status="2xx"}'
BAD = 'http_requests_total{handler="/invocations",method="POST",status="4xx"}'
CONFIG = """\
global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}
rule_files: ["{alerts}"]
scrape_configs:
  - job_name: onnxd
    scrape_timeout: {interval}s
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    """Beside a server, with its data in a folder of its own."""

    def __init__(self, server, interval_s, directory):
        self.port = free_port()
        config = directory / "prometheus.yml"
        config.write_text(CONFIG.format(interval=interval_s, port=server.port,
                                        alerts=ROOT / "deploy/prometheus/alerts.yml"))
        self.log = open(directory / "log", "wb+")
        self.process = subprocess.Popen(
            [shutil.which("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}", "--enable-feature=exemplar-storage"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        wait_for(self._is_ready, "Prometheus to be ready", 60)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/{path}?{urllib.parse.urlencode(parameters)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment's
        with opener.open(url, timeout=20) as answer:
            return answer.read()

    def _is_ready(self):
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()
        with contextlib.suppress(OSError):
            return b"Ready" in self.ask("-/ready")
        return False

    def value(self, expression, at=None):
        """Of the first series; None where there is none."""
        parameters = {"query": expression, **({} if at is None else {"time": at})}
        result = json.loads(self.ask("api/v1/query", **parameters))["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def sample_times(self, selector, at):
        """When the samples of a series in a range were taken."""
        result = json.loads(self.ask("api/v1/query", query=selector, time=at))["data"]["result"]
        return [when for when, _ in result[0]["values"]]

    def target(self):
        targets = json.loads(self.ask("api/v1/targets"))["data"]["activeTargets"]
        assert len(targets) == 1
        return targets[0]

    def firing(self):
        alerts = json.loads(self.ask("api/v1/alerts"))["data"]["alerts"]
        return [alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"]


def is_near(seen, wanted):
    return seen is not None and abs(seen - wanted) <= TOLERANCE * wanted


def count_at(counts, when):
    """What the clients had counted then, from [(time, count)]."""
    for (begun, low), (ended, high) in zip(counts, counts[1:]):
        if begun <= when <= ended:
            return low + (high - low) * (when - begun) / (ended - begun)
    raise ValueError(f"nothing was counted around {when}")


def check(prometheus, seconds, server):
    """[(what, Prometheus' figure, the clients' own, good)]"""
    wait_for(lambda: prometheus.value("up") == 1, "the first scrape", 60)
    asked = post_bytes("[[5.1,3.5,1.4,0.2]]")
    wrong = post_bytes("[[1],[2,3]]")
    # The series have to be there before they grow, or Prometheus has no start to count from.
    server.invoke("[[5.1,3.5,1.4,0.2]]")
    server.invoke("[[1],[2,3]]")
    for series in (OK, BAD):
        wait_for(lambda series=series: prometheus.value(series), f"{series} to be scraped", 60)
    begun = {series: prometheus.value(series) for series in (OK, BAD)}
    counts = []
    with Load(server, asked, clients=4) as good, Load(server, wrong, clients=1) as bad:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            counts.append((time.time(), len(good.answers)))
            time.sleep(0.05)
    wanted = {OK: len(good.answers), BAD: len(bad.answers)}
    for series, count in wanted.items():
        # At rest: the last scrape says all there was.
        wait_for(lambda series=series, count=count: prometheus.value(series) >= begun[series] + count,
                 f"{series} to have been scraped for the last time", 60)
    found = [(f"growth of {series}", prometheus.value(series) - begun[series], count)
             for series, count in wanted.items()]
    # A rate over the middle, where the load was under way at both ends. It is that between the first and the
    # last sample of the range; between the same moments the clients' own is taken, however uneven it was.
    first, last = counts[len(counts) // 4], counts[len(counts) * 9 // 10]
    series = f"{OK}[{max(int(last[0] - first[0]), 3)}s]"
    rate = prometheus.value(f"rate({series})", at=last[0])
    begun_at, *_, ended_at = prometheus.sample_times(series, last[0])
    own = (count_at(counts, ended_at) - count_at(counts, begun_at)) / (ended_at - begun_at)
    found.append(("rate of good requests", rate, own))
    rows = [(what, seen, own, is_near(seen, own)) for what, seen, own in found]
    failed = prometheus.value(f"count_over_time((up == 0)[{int(seconds) + 60}s:1s])") or 0
    rows.append(("failed scrapes", failed, 0, failed == 0))
    rows.append(("last error of a scrape", prometheus.target()["lastError"], "", prometheus.target()["lastError"] == ""))
    rows.append(("alerts that fire", prometheus.firing(), [], prometheus.firing() == []))
    rows.append(("answers lost", len(good.lost + bad.lost), 0, good.lost + bad.lost == []))
    took = prometheus.value(f"max_over_time(scrape_duration_seconds[{int(seconds) + 60}s])")
    rows.append(("longest scrape, seconds", took, "", True))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--interval", type=int, default=1)
    arguments = parser.parse_args()
    if shutil.which("prometheus") is None:
        sys.exit("prometheus_scrape.py: prometheus is not installed")
    model = ROOT / "examples/models/iris_logistic_regression"
    with tempfile.TemporaryDirectory(prefix="onnxd-prometheus-") as scratch, Server(model) as server, \
            Prometheus(server, arguments.interval, pathlib.Path(scratch)) as prometheus:
        rows = check(prometheus, arguments.seconds, server)
    for what, seen, own, good in rows:
        print(f"{'ok  ' if good else 'FAIL'}  {what}: {seen}" + (f" (clients: {own})" if own != "" else ""))
    passed = all(good for *_, good in rows)
    print("PASS" if passed else "FAIL")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
