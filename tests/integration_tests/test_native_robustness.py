"""Worker processes that die, hang, leak and talk: they are replaced, and nobody else pays for it."""

import os
import pathlib
import re
import signal
import threading

import pytest
from native_models import (
    ANSWER,
    CHILD,
    DIE,
    ENVIRONMENT,
    EXIT,
    HANG,
    LEAK,
    PID,
    PRINT,
    PYTHON,
    RAISE,
    REFUSE,
    SLEEP,
    make_misbehaving,
)
from onnxd_server import Server, wait_for

SETTINGS = {"WORKER_PYTHON": PYTHON, "WORKERS": "2", "IO_THREADS": "1"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return make_misbehaving(tmp_path_factory.mktemp("misbehaving") / "model")


@pytest.fixture
def serve(start, directory):
    return lambda env=None, **options: start(directory, env={**SETTINGS, **(env or {})}, **options)


def ask(server, command, number=7, timeout_s=60):
    with server.client(timeout=timeout_s) as client:
        return client.post("/invocations", json=[[command, number]])


def answer(server, command=ANSWER, number=7):
    response = ask(server, command, number)
    assert response.status_code == 200, response.text
    return response.json()[0]


def worker_pids(server):
    children = pathlib.Path(f"/proc/{server.pid()}/task").glob("*/children")
    return {int(pid) for file in children for pid in file.read_text().split()}


def kept_descriptors(server):
    """What stays when clients come and go: all but the sockets, of which there is one a worker and client."""
    try:
        links = [os.readlink(path) for path in list(pathlib.Path(f"/proc/{server.pid()}/fd").iterdir())]
    except PermissionError:  # a server of workers is nobody's to look into, but for who may trace it
        pytest.skip("reading the server's descriptors needs CAP_SYS_PTRACE")
    return sorted(re.sub(r"\[.*", "", link) for link in links if not link.startswith("socket:"))


def wait_for_workers(server, count=2):
    """Until so many are ready; their pids."""
    wait_for(lambda: server.metric("onnxd_workers") == count, f"{count} workers")
    return worker_pids(server)


def test_who_dies_takes_only_the_guilty_request_along(serve):
    server = serve()
    wait_for_workers(server)
    response = ask(server, DIE)
    assert response.status_code == 500
    assert response.json() == {"error": "internal_server_error"}
    assert answer(server) == 7
    assert len(wait_for_workers(server)) == 2
    assert "ended with exit code 3" in server.stderr()


def test_requests_that_share_a_run_with_the_guilty_are_answered(serve):
    server = serve({"WORKERS": "1", "MAX_QUEUE_DELAY_US": "200000", "MAX_BATCH_SIZE": "8"})
    answers = {}

    def send(i):
        answers[i] = ask(server, DIE if i == 3 else ANSWER, i)

    threads = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {i: response.status_code for i, response in answers.items()} == {
        i: 500 if i == 3 else 200 for i in range(8)}
    assert all(answers[i].json() == [i] for i in range(8) if i != 3)


def test_who_hangs_is_ended_and_answered_504(serve):
    server = serve({"REQUEST_TIMEOUT_S": "1"})
    wait_for_workers(server)
    before = worker_pids(server)
    response = ask(server, HANG)
    assert response.status_code == 504
    assert answer(server) == 7
    wait_for(lambda: worker_pids(server) != before, "another worker")
    wait_for_workers(server)
    assert server.metric("onnxd_worker_kills_total", reason="timeout") == 1


def test_an_exception_keeps_the_worker_and_its_traceback_goes_to_the_log(serve):
    server = serve({"WORKERS": "1"})
    pid = answer(server, PID)
    response = ask(server, RAISE)
    assert (response.status_code, response.json()) == (500, {"error": "internal_server_error"})
    wait_for(lambda: "OSError: the disk of the model is on fire" in server.stderr(), "the error in the log")
    wait_for(lambda: "Traceback (most recent call last)" in server.stderr(), "the traceback in the log")
    wait_for(lambda: "misbehaving.py" in server.stderr(), "the place in the log")
    assert answer(server, PID) == pid


def test_a_value_error_is_the_clients(serve):
    server = serve({"WORKERS": "1"})
    response = ask(server, REFUSE)
    assert response.status_code == 400
    assert "rows of this kind cannot be judged" in response.json()["error"]


def test_sys_exit_in_a_model_is_a_failed_request(serve):
    server = serve({"WORKERS": "1"})
    assert ask(server, EXIT).status_code == 500
    assert answer(server) == 7


def test_what_a_model_prints_goes_to_the_log_and_disturbs_nothing(serve):
    server = serve({"WORKERS": "1"})
    pid = answer(server, PID)
    assert answer(server, PRINT, 11) == 11
    wait_for(lambda: "words of the model 11" in server.stderr(), "stdout in the log")
    wait_for(lambda: "complaint of the model 11" in server.stderr(), "stderr in the log")
    assert answer(server, PID) == pid
    with open(server.stdout_path) as stdout:
        assert "words of the model" not in stdout.read()


def test_who_leaks_is_replaced_between_requests(serve):
    server = serve({"WORKERS": "1", "WORKER_MAX_RSS_MB": "400"})
    pid = answer(server, PID)
    sizes = 0
    while answer(server, PID) == pid:
        assert answer(server, LEAK, 50) == 50
        sizes += 50
        assert sizes < 2000, "it is never replaced"
    assert server.metric("onnxd_worker_kills_total", reason="memory") >= 1


def test_killed_workers_are_replaced_and_nothing_is_left(serve):
    server = serve()
    wait_for_workers(server)
    descriptors = kept_descriptors(server)
    for _ in range(5):
        for pid in wait_for_workers(server):
            os.kill(pid, signal.SIGKILL)
        assert answer(server) == 7
    pids = wait_for_workers(server)
    states = [pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] for pid in pids]
    assert len(pids) == 2 and "Z" not in states
    wait_for(lambda: kept_descriptors(server) == descriptors, f"the descriptors of before, {descriptors}")


def test_workers_do_not_outlive_a_killed_server(directory):
    server = Server(directory, env=SETTINGS).start()
    pids = wait_for_workers(server)
    server.kill()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the end of the workers")


def test_what_a_worker_has_started_does_not_outlive_a_killed_server(directory):
    server = Server(directory, env={**SETTINGS, "WORKERS": "1"}).start()
    child = int(answer(server, CHILD))
    assert os.path.exists(f"/proc/{child}")
    server.kill()
    wait_for(lambda: not os.path.exists(f"/proc/{child}"), "the end of the worker's child")


def test_workers_end_with_the_server(serve):
    server = serve()
    pids = wait_for_workers(server)
    server.stop()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_busy_worker_does_not_hold_up_the_drain(serve):
    server = serve({"DRAIN_TIMEOUT_S": "0.5", "REQUEST_TIMEOUT_S": "0"})
    pids = wait_for_workers(server)
    thread = threading.Thread(target=lambda: pytest.raises(Exception, ask, server, HANG))
    thread.start()
    wait_for(lambda: server.metric("onnxd_runners_busy") == 1, "a busy runner")
    server.stop()
    thread.join()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the end of the workers")


def test_a_crash_loop_backs_off_and_is_not_ready(start, directory, tmp_path):
    """Loading succeeds once and never again: as when a file the model needs has gone."""
    model = make_misbehaving(tmp_path / "fragile")
    server = start(model, env={**SETTINGS, "WORKERS": "1"})
    pid = answer(server, PID)
    code = model / "code/misbehaving.py"
    whole = code.read_text()
    code.write_text("raise SystemExit('gone')")
    os.kill(int(pid), signal.SIGKILL)
    with server.client() as client:
        wait_for(lambda: client.get("/ready").status_code == 500, "not ready")
        assert client.get("/live").status_code == 200
        response = client.post("/invocations", json=[[ANSWER, 1]])
        assert response.status_code == 503
    starts = server.metric("onnxd_worker_starts_total")
    assert starts < 20
    code.write_text(whole)
    with server.client() as client:
        wait_for(lambda: client.get("/ready").status_code == 200, "ready again")
    assert answer(server) == 7


def test_workers_have_no_more_than_they_need(serve):
    server = serve({"WORKERS": "1", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret",
                    "AWS_SECRET_ACCESS_KEY": "secret", "KEPT": "x", "WORKER_ENVIRONMENT": "KEPT"})
    assert answer(server, ENVIRONMENT) == 7
    wait_for(lambda: "FACTS new privileges" in server.stderr(), "the facts in the log")
    facts = dict(re.findall(r"FACTS (variables|descriptors|capabilities|new privileges) (.*)", server.stderr()))
    variables = set(facts["variables"].split())
    assert "KEPT" in variables and "PATH" in variables
    assert not {name for name in variables if name.startswith(("OTEL_", "AWS_", "SM_", "MODEL_"))}
    descriptors = facts["descriptors"].split()
    assert descriptors.count("socket:") == 1, descriptors
    assert descriptors.count("pipe:") == 2, descriptors
    assert set(facts["capabilities"].split()[:2]) == {"0000000000000000"}
    assert facts["new privileges"].strip() == "1"


def test_a_reload_starts_new_workers_and_ends_the_old(serve):
    server = serve()
    old = wait_for_workers(server)
    server.terminate(signal.SIGHUP)
    wait_for(lambda: server.metric("onnxd_reloads_total", result="ok") == 1, "the reload")
    wait_for(lambda: not worker_pids(server) & old, "the end of the old workers")
    assert answer(server) == 7


def test_requests_wait_for_a_worker_that_is_being_replaced(serve):
    server = serve({"WORKERS": "1"})
    pid = int(answer(server, PID))
    os.kill(pid, signal.SIGKILL)
    assert answer(server) == 7


def test_several_workers_run_at_once(serve):
    server = serve({"BATCHING": "off"})
    wait_for_workers(server)
    with server.client(timeout=60) as client:
        thread = threading.Thread(target=lambda: client.post("/invocations", json=[[HANG, 0]]))
        thread.start()
        wait_for(lambda: server.metric("onnxd_runners_busy") == 1, "a busy runner")
        assert answer(server) == 7
        assert ask(server, SLEEP, 0.01).status_code == 200
        while thread.is_alive():  # a run whose worker was killed is begun anew, once
            for pid in worker_pids(server):
                os.kill(pid, signal.SIGKILL)
            thread.join(0.1)
