"""The Python worker as a speaker of its protocol: handshake, records, areas, errors, its end.

The models are pickles of a class in the model's code/ directory; frameworks have test_worker_adapters.py.
"""

import os
import re
import signal
import struct
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from onnxd_server import wait_for
from onnxd_worker_peer import (
    DTYPES,
    END,
    ERROR,
    HELLO,
    READY,
    ROOT,
    RUN,
    SOURCE,
    WELCOME,
    Ended,
    LoadError,
    Raw,
    RunError,
    Worker,
    head,
)

# Refuses a trial, so that it may give back anything.
MODELS = '''
import os
import sys

import numpy as np


class Echo:
    def predict(self, X):
        if X.shape[:1] in ((2,), (3,)) and not X.any():
            raise ValueError("no trial, please")
        return X


class Big(Echo):
    def predict(self, X):
        super().predict(X)
        return np.broadcast_to(X.reshape(-1)[:1], (int(X.reshape(-1)[0]),))


class Doubler(Echo):
    def predict(self, X):
        super().predict(X)
        X *= 2
        return X[:, 0]


class Thing:
    def __str__(self):
        return "a thing"


GIVEN = {
    "bytes": np.array([b"caf\\xc3\\xa9", b""]),
    "text": np.array(["a", "bc\\u20ac"]),
    "objects": np.array(["a", Thing()], object),
    "numbers": np.array([1, 2.5], object),
    "big-endian": np.arange(3, dtype=">i4"),
    "long double": np.array([1.5], np.longdouble),
    "day": np.array(["2024-02-29"], "M8[D]"),
    "scalar": 7.0,
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "complex": np.array([1j]),
    "rank 9": np.zeros((1,) * 9),
    "ragged": [[1], [2, 3]],
}


class Giver(Echo):
    def predict(self, X):
        super().predict(X)
        return GIVEN[X[0, 0]]


class Breaker(Echo):
    def predict(self, X):
        super().predict(X)
        what = X[0, 0]
        if what == "print":
            print("a line on stdout", flush=True)
            return X
        if what == "exit":
            sys.exit(4)
        if what == "os._exit":
            os._exit(9)
        if what == "abort":
            os.abort()
        text = "first line\\nsecond line" if len(X) == 1 else "x\\u20ac" * 4000
        raise getattr(__import__("builtins"), what)(text)
'''


def write_model(directory, name):
    """A pickle that makes one of the classes above, found in code/."""
    (directory / "code").mkdir(exist_ok=True)
    (directory / "code" / "worker_models.py").write_text(MODELS)
    path = directory / f"{name}.pkl"
    path.write_bytes(f"cworker_models\n{name}\n(tR.".encode())
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    directory = tmp_path_factory.mktemp("models")
    return lambda name: write_model(directory, name)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python with NumPy, and in scikit-learn's place next to nothing: it starts in no time."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    for path in Path(np.__file__).parents[1].glob("numpy*"):
        (packages / path.name).symlink_to(path)
    (packages / "sklearn.py").write_text('__version__ = "1.0"\n')
    (packages / "joblib.py").write_text("")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "worker.zip"
    subprocess.run([ROOT / "scripts" / "pack-worker", path], check=True)
    return path


@pytest.fixture(scope="module")
def echo(models, python):
    with Worker(python=python) as worker:
        yield worker.open("sklearn", models("Echo"))


def text_row(*texts):
    return np.array([texts], object)


def test_packed(packed, models, python):
    with Worker(packed, python) as worker:
        worker.open("sklearn", models("Echo"))
        assert worker.framework == "scikit-learn"
        assert worker.run(np.ones((1, 2))).tolist() == [[1, 1]]


def test_packing_twice_gives_the_same(packed, tmp_path):
    subprocess.run([ROOT / "scripts" / "pack-worker", tmp_path / "again.zip"], check=True)
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_the_newest_version_may_be_newer(models, python):
    with Worker(python=python) as worker:
        worker.hello({"kind": "sklearn", "model": str(models("Echo"))}, 1, 3)
        worker.ready()


def test_a_version_that_it_does_not_speak():
    with Worker() as worker:
        with pytest.raises(LoadError, match="version 1") as failed:
            worker.hello({}, 2, 3)
        assert failed.value.reason == 3


def hello(*, oldest=1, newest=1, area=4096, offset=0, size=4, **of_head):
    of_head = {"version": newest, **of_head}
    return head(HELLO, **of_head) + struct.pack("<HHIQQQ", oldest, newest, 0, area, offset, size)


BAD_HELLOS = {
    "short": b"ONXW",
    "long": hello() + bytes(8),
    "cut": hello()[:-1],
    "too long": bytes(4097),
    "magic": hello(magic=1),
    "type": head(RUN) + bytes(24),
    "run": hello(run=1),
    "versions": hello(oldest=2, newest=1),
    "version of the head": hello(version=2),
    "area": hello(area=1 << 40),
    "beyond the area": hello(offset=4096),
    "overflow": hello(offset=(1 << 64) - 2),
    "no options": hello(size=0),
    "options cut": hello(size=3),
    "bytes after the options": hello(size=5),
}


@pytest.mark.parametrize("packet", BAD_HELLOS.values(), ids=BAD_HELLOS)
def test_bad_hello(packet):
    with Worker() as worker:
        worker.send(packet)
        with pytest.raises(Ended) as ended:
            worker.receive()
        assert ended.value.code == 3, ended.value.log
        assert "broke the protocol" in ended.value.log


BAD_OPTIONS = {
    "count": struct.pack("<I", 1),
    "length": struct.pack("<II", 1, 100),
    "utf-8": struct.pack("<II", 1, 1) + b"\xff" + bytes(4),
    "twice": struct.pack("<I", 2) + 2 * (struct.pack("<I", 1) + b"k" + bytes(4)),
}


@pytest.mark.parametrize("content", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options(content):
    with Worker() as worker:
        worker.write_input(content)
        worker.send(hello(size=len(content)))
        with pytest.raises(Ended) as ended:
            worker.receive()
        assert ended.value.code == 3, ended.value.log


def run_packet(*, area=4096, offset=0, inputs=1, wanted=1, **of_head):
    return head(RUN, **{"run": 1, **of_head}) + struct.pack("<QQII", area, offset, inputs, wanted)


def record(dtype=11, rank=1, offset=128, size=16, dims=(2,)):
    return struct.pack("<IIQQ8q", dtype, rank, offset, size, *dims, *(0,) * (8 - len(dims)))


def strings(*positions, content=b""):
    return struct.pack(f"<{len(positions)}Q", *positions) + content


GOOD = record() + struct.pack("<I", 0)
BAD_RUNS = {
    "long": (run_packet() + bytes(8), GOOD),
    "cut": (run_packet()[:-1], GOOD),
    "version": (run_packet(version=2), GOOD),
    "magic": (run_packet(magic=2), GOOD),
    "welcome": (head(WELCOME), GOOD),
    "ready": (head(READY), GOOD),
    "error": (head(ERROR), GOOD),
    "hello again": (hello(), GOOD),
    "end with a body": (head(END) + b"x", GOOD),
    "area": (run_packet(area=1 << 40), GOOD),
    "records beyond the area": (run_packet(offset=4095), GOOD),
    "records overflow": (run_packet(offset=(1 << 64) - 8), GOOD),
    "too few inputs": (run_packet(inputs=0), GOOD),
    "too many inputs": (run_packet(inputs=2), GOOD),
    "too many wanted": (run_packet(wanted=0xFFFFFFFF), GOOD),
    "no such output": (run_packet(), record() + struct.pack("<I", 1)),
    "no such dtype": (run_packet(), record(dtype=14) + bytes(4)),
    "rank": (run_packet(), record(rank=9) + bytes(4)),
    "dimensions beyond the rank": (run_packet(), record(dims=(2, 1)) + bytes(4)),
    "negative dimension": (run_packet(), record(dims=(-2,)) + bytes(4)),
    "alignment": (run_packet(), record(offset=136) + bytes(4)),
    "data beyond the area": (run_packet(), record(offset=4096) + bytes(4)),
    "data overflow": (run_packet(), record(offset=(1 << 64) - 64) + bytes(4)),
    "size": (run_packet(), record(size=17) + bytes(4)),
    "elements overflow": (run_packet(), record(rank=2, dims=(1 << 62, 4), size=0) + bytes(4)),
    "bool": (run_packet(), record(dtype=9, size=2).ljust(128, b"\0") + b"\1\2"),
    "strings cut": (run_packet(), record(dtype=8, size=16) + bytes(4)),
    "strings begin": (run_packet(), record(dtype=8, size=24).ljust(128, b"\0") + strings(0, 24, 24)),
    "strings end": (run_packet(), record(dtype=8, size=25).ljust(128, b"\0") + strings(24, 24, 24, content=b"x")),
    "strings fall": (run_packet(), record(dtype=8, size=26).ljust(128, b"\0") + strings(24, 27, 26, content=b"xy")),
    "strings utf-8": (run_packet(), record(dtype=8, size=25).ljust(128, b"\0") + strings(24, 24, 25, content=b"\xff")),
}


@pytest.fixture(scope="module")
def ready_worker(models, python):
    return lambda: Worker(python=python).open("sklearn", models("Echo"))


@pytest.mark.parametrize(("packet", "content"), BAD_RUNS.values(), ids=BAD_RUNS)
def test_bad_run(ready_worker, packet, content):
    with ready_worker() as worker:
        worker.write_input(content)
        worker.write_input(b"", 4096)
        worker.send(packet)
        with pytest.raises(Ended) as ended:
            worker.receive()
        assert ended.value.code == 3, ended.value.log
        assert "broke the protocol" in ended.value.log


def test_what_the_bad_runs_are_made_of_is_good(ready_worker):
    with ready_worker() as worker:
        worker.write_input(GOOD.ljust(144, b"\0"))
        worker.run_number = 1
        worker.send(run_packet())
        assert worker.read_result([0])[0].tolist() == [[0, 0]]


def test_end(ready_worker):
    with ready_worker() as worker:
        assert worker.end() == 0


def test_the_end_of_the_socket_is_the_end(ready_worker):
    with ready_worker() as worker:
        worker.ours.close()
        assert worker.wait() == 0


def test_the_end_of_the_socket_before_hello():
    with Worker() as worker:
        worker.ours.close()
        assert worker.wait() == 0
        assert worker.log() == ""


KEPT = f"""
import os
import sys
sys.path.insert(0, {str(SOURCE)!r})
from onnxd_worker import keeper
"""
NO_SECOND_FORK = """
fork = os.fork
def refuse():
    raise BlockingIOError(11, "not again")
def fork_once():
    os.fork = refuse
    return fork()
os.fork = fork_once
"""


def is_a_group(number):
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_keeper_ends_the_group_with_the_reader_of_the_log(python):
    leader = subprocess.Popen([python, "-c", KEPT + "keeper.start()"], stderr=subprocess.PIPE, process_group=0)
    leader.wait()
    assert is_a_group(leader.pid)
    leader.stderr.close()
    wait_for(lambda: not is_a_group(leader.pid), "the end of the keeper")


def test_there_is_no_keeper_where_a_worker_is_started_by_hand(python, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        leader = subprocess.Popen([python, "-c", KEPT + "keeper.start()"], stderr=log, process_group=0)
    assert leader.wait() == 0
    assert not is_a_group(leader.pid)
    assert (tmp_path / "log").read_text() == ""


def test_it_is_said_where_there_can_be_no_keeper(python):
    leader = subprocess.run([python, "-c", KEPT + NO_SECOND_FORK + "keeper.start()"], stderr=subprocess.PIPE,
                            process_group=0, text=True, check=True)
    assert "no keeper: what the model starts may outlive a killed onnxd: Resource temporarily" in leader.stderr


def test_interrupts_are_not_for_workers(ready_worker):
    with ready_worker() as worker:
        os.kill(worker.pid, signal.SIGINT)
        assert worker.run(np.ones((4, 1))).tolist() == [[1]] * 4


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_dtypes(echo, dtype):
    values = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]]).astype(dtype)
    given = echo.run(values)
    assert given.dtype == values.dtype
    assert given.tolist() == values.tolist()


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_values_that_are_no_numbers(echo, dtype):
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1.5], dtype)
    assert echo.run(values).tobytes() == values.tobytes()


def test_bfloat16_becomes_float32(echo):
    values = np.array([1.0, -2.5, 3.0, 65536.0], "f4")
    given = echo.run(Raw(16, (1, 4), (values.view("u4") >> 16).astype("u2").tobytes()))
    assert given.dtype == np.float32
    assert given.tolist() == [values.tolist()]


@pytest.mark.parametrize("texts", [["a", "bc", "", "d"], ["é", "€uro", "", "😀"], [""] * 4])
def test_strings(echo, texts):
    assert echo.run(np.array([texts, texts, texts, ["x", "", "y", ""]], object)).tolist()[0] == texts


@pytest.mark.parametrize("shape", [(0,), (0, 4), (5, 0), (1,) * 8, (4, 1, 2), ()], ids=str)
@pytest.mark.parametrize("dtype", ["f8", "O"])
def test_shapes(echo, shape, dtype):
    values = np.full(shape, "x" if dtype == "O" else 1, dtype)
    given = echo.run(values)
    # A vector is one row.
    assert given.shape == ((1, shape[0]) if len(shape) == 1 else shape)
    assert given.tolist() == values.reshape(given.shape).tolist()


def test_equal_records_with_other_contents(echo):
    for i in range(5):
        for values in (np.full((4, 2), i + 1.0), np.full((4, 2), f"{i}", object), np.full((4, 2), i % 2 == 0)):
            assert echo.run(values).tolist() == values.tolist()
            assert echo.run(values + values).tolist() == (values + values).tolist()


def test_records_anywhere(echo):
    for start in (0, 8, 4096, 12345):
        assert echo.run(np.full((4, 1), 2.0), start=start).tolist() == [[2.0]] * 4


@pytest.mark.parametrize("wanted", [(), (0, 0)])
def test_wanted(echo, wanted):
    values = echo.run(np.full((4, 1), 2.0), wanted=wanted)
    assert [value.tolist() for value in values] == [[[2.0]] * 4] * len(wanted)


def test_areas_grow(models, python):
    with Worker(python=python, input_bytes=64, output_bytes=0) as worker:
        worker.open("sklearn", models("Echo"))
        for rows in (1, 100, 10, 5000, 1, 300_000, 4):
            values = np.arange(1.0, rows + 1).reshape(rows, 1)
            assert (worker.run(values) == values).all()
            texts = values[:1000].astype(int).astype(str).astype(object)
            assert (worker.run(texts) == texts).all()


def test_output_alone_grows(models, python):
    with Worker(python=python) as worker:
        worker.open("sklearn", models("Big"))
        for count in (1, 1 << 20, 5):
            assert worker.run(np.full(1, float(count))).tolist() == [count] * count
        with pytest.raises(RunError, match="at most 1073741824 are possible") as failed:
            worker.run(np.full(1, float((1 << 27) + 1)))
        assert failed.value.cause == 2
        assert worker.run(np.full(1, 3.0)).tolist() == [3, 3, 3]


def test_inputs_are_the_shared_memory_itself(models, python):
    with Worker(python=python) as worker:
        worker.open("sklearn", models("Doubler"))
        values = np.arange(1.0, 5).reshape(4, 1)
        assert worker.run(values).tolist() == [2, 4, 6, 8]
        assert os.pread(worker.areas[0], 32, 128) == (values * 2).tobytes()


def test_an_input_left_out(echo):
    with pytest.raises(RunError, match="missing") as failed:
        echo.run(None)
    assert failed.value.cause == 1


@pytest.fixture(scope="module")
def giver(models, python):
    with Worker(python=python) as worker:
        yield worker.open("sklearn", models("Giver"))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("bytes", ["café", ""]),
        ("text", ["a", "bc€"]),
        ("objects", ["a", "a thing"]),
        ("numbers", [1.0, 2.5]),
        ("big-endian", [0, 1, 2]),
        ("long double", [1.5]),
        ("day", ["2024-02-29"]),
        ("scalar", 7.0),
        ("transposed", [[0, 3], [1, 4], [2, 5]]),
    ],
)
def test_what_models_give(giver, what, expected):
    for _ in range(2):
        assert giver.run(text_row(what)).tolist() == expected


@pytest.mark.parametrize("what", ["complex", "rank 9", "ragged"])
def test_what_cannot_be_sent(giver, what):
    with pytest.raises(RunError) as failed:
        giver.run(text_row(what))
    assert failed.value.cause == 2


@pytest.fixture(scope="module")
def breaker(models, python):
    with Worker(python=python) as worker:
        yield worker.open("sklearn", models("Breaker"))


@pytest.mark.parametrize("kind", ["ValueError", "TypeError", "IndexError"])
def test_errors_of_inputs(breaker, kind):
    with pytest.raises(RunError) as failed:
        breaker.run(text_row(kind))
    assert (failed.value.cause, failed.value.text) == (1, "first line")


def test_a_key_error_says_what_it_is(breaker):
    with pytest.raises(RunError) as failed:
        breaker.run(text_row("KeyError"))
    assert failed.value.cause == 1
    assert failed.value.text.startswith("KeyError: 'first line")


@pytest.mark.parametrize("kind", ["AttributeError", "ZeroDivisionError", "MemoryError", "KeyboardInterrupt", "OSError"])
def test_errors_of_the_model(breaker, kind):
    with pytest.raises(RunError) as failed:
        breaker.run(text_row(kind))
    assert (failed.value.cause, failed.value.text) == (2, f"{kind}: first line")
    assert f"{kind}: first line\nsecond line" in breaker.log()
    assert "Traceback" in breaker.log() and "in predict" in breaker.log()


def test_a_model_that_exits_is_an_error(breaker):
    with pytest.raises(RunError) as failed:
        breaker.run(text_row("exit"))
    assert (failed.value.cause, failed.value.text) == (2, "SystemExit: 4")


def test_long_texts_are_cut_at_a_character(breaker):
    with pytest.raises(RunError) as failed:
        breaker.run(np.repeat(text_row("ValueError"), 2, axis=0))
    assert failed.value.text == "x€" * 256


def test_a_model_may_print(breaker):
    assert breaker.run(text_row("print")).tolist() == [["print"]]
    assert "a line on stdout\n" in breaker.log()


@pytest.mark.parametrize(("what", "code"), [("os._exit", 9), ("abort", -signal.SIGABRT)])
def test_a_model_that_ends_its_process(models, python, what, code):
    with Worker(python=python) as worker:
        worker.open("sklearn", models("Breaker"))
        with pytest.raises(Ended) as ended:
            worker.run(text_row(what))
        assert ended.value.code == code
        assert (what == "abort") == ("Fatal Python error: Aborted" in ended.value.log)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


@pytest.mark.parametrize("kind", ["sklearn", "pytorch", "tensorflow"])
def test_missing_framework(bare_python, models, kind):
    sys.path.insert(0, str(SOURCE))
    try:
        from onnxd_worker.model import PINS
    finally:
        sys.path.remove(str(SOURCE))
    with Worker(python=bare_python) as worker:
        with pytest.raises(LoadError) as failed:
            worker.open(kind, models("Echo"))
        assert failed.value.reason == 1
        assert f"{bare_python} -m pip install {' '.join(PINS[kind])}" in failed.value.text


def test_the_pins_are_what_the_lock_files_hold():
    source = (SOURCE / "onnxd_worker" / "model.py").read_text()
    table = source[source.index("PINS = {") : source.index("\n}\n")]
    pins = re.findall(r"\"([\w-]+==[\w.]+)\"", table)
    assert len(pins) >= 6
    locked = "\n".join((ROOT / "requirements" / f"{name}.txt").read_text() for name in ("sklearn", "tensorflow"))
    locked += (ROOT / "requirements" / "torch-build.txt").read_text()
    for pin in pins:
        assert re.search(rf"^{re.escape(pin)}( |$)", locked, re.M), pin


@pytest.mark.parametrize(
    ("options", "words"),
    [({"kind": "spark"}, "'spark'"), ({"kind": "sklearn"}, "option model"), ({}, "kind")],
)
def test_options_that_cannot_be_served(python, options, words):
    with Worker(python=python) as worker:
        worker.hello(options)
        with pytest.raises(LoadError, match=words) as failed:
            worker.ready()
        assert failed.value.reason == 2
