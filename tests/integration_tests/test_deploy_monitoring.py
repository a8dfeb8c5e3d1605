"""deploy/prometheus and deploy/grafana hold to the metrics there are, and to PromQL."""

import json
import re

import pytest
from onnxd_server import ROOT
from promtool import needs_promtool, promtool

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = json.loads((ROOT / "deploy/grafana/onnxd.json").read_text())
OURS = re.compile(r"\b(?:onnxd|http|process|byoc)_[a-z0-9_]+")


def documented():
    """{name: (type, its labels)} of docs/metrics.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| \w* \| (.*?) \| [^|]+ \|$", (ROOT / "docs/metrics.md").read_text(), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def expressions():
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def for_promtool(expression):
    return expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*").replace("$model", ".*")


def check_names(expression):
    metrics = documented()
    for name in OURS.findall(expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        kind = metrics[base if base in metrics else name][0]
        assert (base != name) == (kind in ("histogram", "summary")), name
    for name, labels in re.findall(r"(\w+)\{([^}]*)\}", expression):
        if OURS.fullmatch(name):
            known = metrics[name if name in metrics else re.sub(r"_(bucket|sum|count)$", "", name)][1]
            used = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", labels))
            assert used <= known | {"job", "instance"}, (name, used)


@pytest.mark.parametrize("title, expression", expressions())
def test_the_dashboard_asks_for_metrics_that_exist(title, expression):
    check_names(expression)


def test_alerts_ask_for_metrics_that_exist():
    rules = re.findall(r"expr: (?:>-\n)?((?:.+\n)+?)(?= +(?:for|labels):)", (PROMETHEUS / "alerts.yml").read_text())
    assert len(rules) > 10
    for rule in rules:
        check_names(rule)


def test_every_alert_is_tested_both_ways():
    alerts = re.findall(r"alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text())
    tests = (PROMETHEUS / "alerts_test.yml").read_text()
    for alert in alerts:
        outcomes = re.findall(rf"alertname: {alert}\n +exp_alerts:(.*)\n", tests)
        assert "" in outcomes and " []" in outcomes, alert


def test_the_dashboard_is_one_that_grafana_imports():
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] == "onnxd"
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance", "model"]
    assert variables["datasource"]["type"] == "datasource"
    for variable in list(variables.values())[1:]:
        check_names(variable["definition"])
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"] and panel["targets"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_dashboard_leaves_no_metric_out():
    """Whoever adds one says where it is seen, or here why not."""
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for _, text in expressions() for name in OURS.findall(text)}
    elsewhere = {
        "http_request_duration_seconds",  # its few buckets tell less than onnxd_inference_duration_seconds
        "process_virtual_memory_bytes", "process_start_time_seconds", "onnxd_build_info",
    }
    assert set(documented()) - shown == elsewhere


@needs_promtool
def test_the_dashboards_promql_parses(tmp_path):
    """As rules, since that is what promtool reads."""
    rules = [{"record": f"panel:{number}", "expr": for_promtool(text)} for number, (_, text) in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


@needs_promtool
def test_prometheus_takes_the_alerts_and_the_example():
    promtool("check", "rules", PROMETHEUS / "alerts.yml")
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


@needs_promtool
def test_alerts_fire_when_they_should():
    promtool("test", "rules", PROMETHEUS / "alerts_test.yml")
