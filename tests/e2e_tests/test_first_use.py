"""What a new user does: start on a bundled example, paste the line the banner shows, read the answer."""

import json
import re
import shutil
import subprocess

import pytest
from onnxd_server import EXAMPLES, ROOT, run_onnxd, wait_for

EXAMPLE = EXAMPLES / "iris_logistic_regression"


def banner(server):
    return wait_for(lambda: server.stdout() if "curl " in server.stdout() else None, "the banner with its curl line")


def curl_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("curl ")]
    assert len(lines) == 1, text
    return lines[0]


def paste(line, directory=None):
    """Runs a line as a shell would; returns the status and the body."""
    assert shutil.which("curl"), "curl is needed"
    done = subprocess.run(["sh", "-c", line + " -w '\\n%{http_code}'"], cwd=directory, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), body


def test_start_and_paste(start):
    server = start(args=[EXAMPLE])
    text = banner(server)
    assert "x" in text and "float32" in text and "output_label" in text
    status, body = paste(curl_line(text))
    assert status == 200, body
    answer = json.loads(body)
    assert isinstance(answer, list) and answer


@pytest.mark.parametrize("model", ["add2", "labels", "multi", "identity_string", "fixed_batch", "mixed_columns"])
def test_the_line_works_for_every_kind_of_model(start, model):
    status, body = paste(curl_line(banner(start(model))))
    assert status == 200, body


def test_the_line_survives_quotes(start, model_dir):
    """The example of a manifest may hold what a shell would take for its own."""
    manifest = {"example": {"content_type": "application/json", "body": [["it's $HOME `id` \"x\" \\", "@file"]]}}
    status, body = paste(curl_line(banner(start(model_dir("identity_string", manifest)))))
    assert status == 200, body
    assert json.loads(body) == manifest["example"]["body"]


def test_the_line_works_for_an_example_of_several_lines(start, model_dir):
    manifest = {"example": {"content_type": "text/csv", "body": "a,b,c\n1,2,3\n4,5,6\n"}}
    server = start(model_dir("sum3", manifest))
    text = banner(server)
    command = text[text.index("curl "):].rstrip()
    status, body = paste(command)
    assert status == 200, body
    assert json.loads(body) == [[6.0], [15.0]]


def test_inspect_then_serve_then_ask_offline(tmp_path):
    done = run_onnxd("inspect", EXAMPLE)
    assert "float32" in done.stdout
    rows = tmp_path / "rows.csv"
    rows.write_text("5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
    done = run_onnxd("predict", EXAMPLE, "--input", rows, "--accept", "text/csv")
    assert done.stdout.split() == ["0", "2"]


def test_the_readme_tells_the_truth(start, tmp_path):
    """Every request the README shows works on the bundled example."""
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.fail("there is no README")
    text = readme.read_text()
    assert "make run" in text and "make test" in text
    lines = re.findall(r"^\s*\$?\s*(curl .*?localhost:8080/invocations.*)$", text, re.M)
    assert lines, "the README shows no request"
    (tmp_path / "rows.csv").write_text("5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
    server = start(args=[EXAMPLE])
    for line in lines:
        status, body = paste(line.replace("localhost:8080", f"127.0.0.1:{server.port}"), tmp_path)
        assert status == 200, (line, body)
