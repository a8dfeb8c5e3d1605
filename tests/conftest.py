"""Fixtures of the integration and end-to-end tests."""

import pathlib
import shutil

import pytest

import backends
import onnxd_server
from onnxd_server import Server


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("chromium") and not shutil.which("chromedriver"):
            item.add_marker(pytest.mark.skip(reason="chromedriver is not installed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for server in onnxd_server.running:
            report.sections.append((f"server on port {server.port}", server.describe()))
    return report


def pytest_sessionfinish():
    """No server outlives the run, whatever a test did."""
    for server in list(onnxd_server.running):
        server.kill()


@pytest.fixture(scope="module")
def servers():
    """servers(model, fake=..., env={...}): a running server, shared by the module's equal calls."""
    made = {}

    def get(model=None, *, env=None, args=(), fake=False, expect_ready=True):
        key = (str(model), fake, expect_ready, tuple(args), tuple(sorted((env or {}).items())))
        if key in made and made[key].process.poll() is not None:
            died = made.pop(key)
            raise AssertionError(f"an earlier test has ended the server\n{died.stderr()}")
        if key not in made:
            made[key] = Server(model, env=env, args=args, fake=fake, expect_ready=expect_ready).start()
        return made[key]

    yield get
    problems = []
    for server in made.values():
        try:
            server.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def start():
    """start(...): a server of the test's own, stopped and checked at its end."""
    made = []

    def begin(*args, **options):
        server = Server(*args, **options).start()
        made.append(server)
        return server

    yield begin
    problems = []
    for server in made:
        try:
            server.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


BACKENDS = ["real", pytest.param("fake", marks=pytest.mark.fake_backend)]


@pytest.fixture(scope="module")
def module_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("module")


@pytest.fixture(params=BACKENDS)
def backend(request, servers, module_directory):
    """An echo model on each backend; its servers are shared by the module."""
    return backends.Backend(request.param, servers, module_directory)


@pytest.fixture(params=BACKENDS)
def own_backend(request, start, tmp_path):
    """The same with servers of the test's own, for tests that stop or break them."""
    return backends.Backend(request.param, start, tmp_path)


@pytest.fixture
def slow_server(start, tmp_path):
    """slow_server(delay_ms, env=...): an echo on the test double whose every run takes that long."""

    def begin(delay_ms, **options):
        model = backends.fake_model(tmp_path / "slow", delay_run_us=delay_ms * 1000)
        return start(model, fake=True, **options)

    return begin


@pytest.fixture
def model_dir(tmp_path):
    """model_dir("sum3", manifest={...}): a copy of a model's directory that a test may change."""

    def copy(model, manifest=None, name="model"):
        import json

        source = onnxd_server.MODELS / model
        target = tmp_path / name
        shutil.copytree(source, target)
        if manifest is not None:
            text = manifest if isinstance(manifest, str) else json.dumps(manifest)
            pathlib.Path(target / "manifest.json").write_text(text)
        return target

    return copy
