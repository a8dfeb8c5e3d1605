"""What judges changes: the rules for workflows, the gates of coverage, the form of commits."""

import importlib.util
import re
import shutil
import subprocess
from importlib.machinery import SourceFileLoader

import pytest
import yaml
from onnxd_server import ROOT

WORKFLOWS = ROOT / ".github/workflows"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def script(name):
    """A Python script of scripts/ as a module."""
    loader = SourceFileLoader(re.sub(r"\W", "_", name), str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


# Workflows.


@pytest.mark.parametrize("uses, pinned", [
    (f"actions/checkout@{COMMIT} # v4.2.2", True),
    (f"github/codeql-action/init@{COMMIT} # v4", True),
    ("./.github/actions/make", True),
    (f"actions/checkout@{COMMIT}", False),
    ("actions/checkout@v4", False),
    ("actions/checkout@0123456 # v4", False),
    ("actions/checkout", False),
])
def test_actions_are_pinned(uses, pinned):
    assert (list(script("workflow_rules.py").check_pins(f"  - uses: {uses}\n")) == []) is pinned


GOOD = {"permissions": {}, "concurrency": {"group": "one"},
        "jobs": {"lint": {"timeout-minutes": 5, "permissions": {"contents": "read"}, "steps": [{"run": "make lint"}]}}}


@pytest.mark.parametrize("change, complaint", [
    ({}, None),
    ({"permissions": {"contents": "write"}}, "permissions"),
    ({"concurrency": {}}, "concurrency"),
    ({"jobs": {"lint": {**GOOD["jobs"]["lint"], "permissions": None}}}, "permissions of its own"),
    ({"jobs": {"lint": {"permissions": {"contents": "read"}}}}, "timeout-minutes"),
    ({"jobs": {"lint": {**GOOD["jobs"]["lint"], "steps": [{"run": "cd src\nmake lint"}]}}}, "more than one command"),
    ({"jobs": {"lint": {**GOOD["jobs"]["lint"], "steps": [{"run": "cd src && make"}]}}}, "more than one command"),
])
def test_workflows_are_held_to_rules(change, complaint):
    found = list(script("workflow_rules.py").check_workflow({**GOOD, **change}))
    assert len(found) == (complaint is not None), found
    assert complaint is None or complaint in found[0]


@pytest.mark.skipif(not WORKFLOWS.is_dir(), reason="an image's build has no .github/")
@pytest.mark.parametrize("targets, matrix, missing", [
    ("build test-unit", {}, []),
    ("fuzz FUZZ_SECONDS=${{ github.event_name == 'schedule' && 600 || 15 }}", {}, []),
    ("build-images CONTAINER_COMMAND=docker", {}, []),
    ("buidl", {}, ["buidl"]),
    ("${{ matrix.target }}", {"target": ["asan", "dev"], "include": [{"target": "build nothing"}]}, ["dev", "nothing"]),
])
def test_workflows_run_targets_that_exist(targets, matrix, missing):
    job = {"strategy": {"matrix": matrix}, "steps": [{"uses": "./.github/actions/make", "with": {"targets": targets}}]}
    found = list(script("workflow_rules.py").check_targets(job, "a job"))
    assert found == [f"a job: the Makefile has no target {word}" for word in missing]


def test_the_workflows_of_the_service_before_are_all_there():
    names = {path.stem for path in WORKFLOWS.glob("*.yml")}
    assert names >= {"build-all", "code-quality", "code-review", "commit-checks", "coverage", "deepsource",
                     "docker-build", "e2e", "examples", "grype", "integration", "lint", "trivy", "fuzz", "bench"}
    for path in WORKFLOWS.glob("*.yml"):
        assert yaml.safe_load(path.read_text())["name"] == path.stem


# Coverage.


def test_layers_are_added_up():
    files = [{"filename": "src/http/h1.c", "line_covered": 8, "line_total": 10},
             {"filename": "src/http/h2.c", "line_covered": 2, "line_total": 10},
             {"filename": "src/main.c", "line_covered": 0, "line_total": 5}]
    assert script("coverage").by_layer(files) == {"http": [10, 20], "main": [0, 5]}


def test_gates_are_gates():
    coverage = script("coverage")
    layers = {name: [95, 100] for name in coverage.GATES}
    assert coverage.missed_gates(layers) == []
    assert [line.split(":")[0] for line in coverage.missed_gates({**layers, "http": [94, 100]})] == ["http"]
    assert [line.split(":")[0] for line in coverage.missed_gates({**layers, "cli": [0, 400]})] == ["all"]
    del layers["codec"]
    assert coverage.missed_gates(layers) == ["codec: no such layer, but it has a gate"]


# Commits.


@pytest.fixture
def commit(tmp_path):
    """commit(message, text): a commit in a repository of the test's own; what check-commits says of it."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/check-commits", tmp_path / "scripts")

    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "core.hooksPath=/dev/null"]
        subprocess.run(["git", *identity, "-c", "commit.gpgsign=false", *arguments], cwd=tmp_path, check=True,
                       capture_output=True)

    def make(message, text="text\n"):
        (tmp_path / "file").write_text(text)
        git("add", "file")
        git("commit", "-m", message)
        return subprocess.run(["scripts/check-commits", "HEAD~1..HEAD"], cwd=tmp_path, capture_output=True, text=True)

    git("init", "-q")
    (tmp_path / "file").write_text("first\n")
    git("add", "file")
    git("commit", "-m", "all: begin")
    return make


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("message, text, complaint", [
    ("http: refuse a second length", "text\n", None),
    ("serve, codec: log every failure of ours\n\nWhy it matters.", "text\n", None),
    ("Refuse a second length", "text\n", "area: sentence"),
    ("http: refuse a second length.", "text\n", "area: sentence"),
    ("fixup! http: refuse a second length", "text\n", "area: sentence"),
    ("http: " + "x" * 120, "text\n", "longer than"),
    ("http: refuse a second length\nat once", "text\n", "second line"),
    ("http: refuse a second length", "text \n", "blanks at a line's end"),
])
def test_commits_have_a_form(commit, message, text, complaint):
    done = commit(message, text)
    assert done.returncode == (complaint is not None), done.stdout + done.stderr
    assert complaint is None or complaint in done.stdout
