#!/usr/bin/env python3
"""budget.py [--write]: instructions a request, counted by callgrind, against tests/bench/budget.json.

onnxd runs under valgrind with one loop thread, once without tracing and once with it, and answers a
fixed number of requests of one client on one connection, for each scenario first few and then many. A request for /metrics ends each
part: callgrind writes down and forgets its counts whenever MARK is called. What the many cost more
than the few is the cost of the further ones, so that start-up and the marks cancel out. Instructions
of the runtime's library are left out: they depend on its release and on the processor, not on us.
The C library is told to take the variants of memcpy and its like that every processor has.
Of tracing only the requests' part is counted: the exporter would send after the end.
Fails when a scenario costs more than its budget and 5 %; --write makes what was counted the budget.
A budget holds for the compiler, C library and architecture it was taken with; elsewhere the counts
are printed and nothing is judged.
"""

import collections
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import sys
import tempfile
import time

from contenders import request_of
from processes import NotUsable, Process, clean_environment, free_port, stop_all
from resources import read_answer

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUDGET = pathlib.Path(__file__).resolve().parent / "budget.json"
MODEL = ROOT / "examples/models/iris_logistic_regression"
TOLERANCE = 1.05
FEW, MANY = 50, 550
MARK = "metrics_write"  # of src/obs/metrics.c: what GET /metrics calls, and nothing else
TIME_LIMIT_S = 236
READY_TIMEOUT_S = 90
COMPILER = re.compile(r'^set\(CMAKE_C_COMPILER_(ID|VERSION) "([^".]*)', re.M)
# All that glibc chooses its string functions by (its sysdeps/x86/cpu-tunables.c, 2.33 and newer); it
# passes over names that a release does not know. What is left is SSE2, which every x86-64 has.
PROCESSOR_FEATURES = """AVX AVX2 AVX512F AVX512BW AVX512VL BMI1 BMI2 ERMS FSRM LZCNT MOVBE RTM SSE4_1
SSE4_2 SSSE3 AVX_Fast_Unaligned_Load Fast_Copy_Backward Fast_Rep_String Fast_Unaligned_Copy
Fast_Unaligned_Load Prefer_ERMS Prefer_FSRM Prefer_PMINUB_for_stringop Slow_BSF""".split()
TUNABLES = "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in PROCESSOR_FEATURES)
NOT_OURS = re.compile(r"/(libonnxruntime|libstdc\+\+|ld-linux|libm\.|libgcc_s)")

FLOWER = "5.1,3.5,1.4,0.2"
ROWS_100 = "[" + ",".join(f"[5.{i % 10},3.5,1.{i % 7},0.2]" for i in range(100)) + "]"
JSON_ROW = f'{{"instances":[[{FLOWER}]]}}'
SCENARIOS = {
    "json_row": request_of(JSON_ROW, "application/json"),
    "csv_row": request_of(FLOWER + "\n", "text/csv"),
    "json_100_rows": request_of(ROWS_100, "application/json"),
}
# No trace begins here, so that a request is recorded where its client's trace is, and only there.
TRACING = {
    "OTEL_ENABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    "OTEL_BSP_MAX_QUEUE_SIZE": "65536", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "65536",
}
PARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
TRACED_SCENARIOS = {
    "not_recorded": SCENARIOS["json_row"],
    "recorded": SCENARIOS["json_row"].replace(b"\r\n\r\n", b"\r\n" + PARENT + b"\r\n", 1),
}


def count_instructions(counts_file):
    """{object's file name: self cost} of everything that is not the runtime's, from callgrind's output."""
    objects, counts, current, is_callee = {}, collections.Counter(), "", False
    for line in counts_file.read_text().splitlines():
        key, _, value = line.partition("=")
        if key in ("ob", "cob"):  # "(7) /path" the first time, then "(7)"
            number, _, name = value.partition(" ")
            objects.setdefault(number, name)
            if key == "ob":
                current = objects[number]
        elif key == "calls":
            is_callee = True  # the next line is what the callee cost
        elif line[:1].isdigit() or line[:1] in "+-*":
            numbers = line.split()  # position and cost; a cost of zero may be left out
            if not is_callee and len(numbers) > 1:
                counts[current] += int(numbers[1])
            is_callee = False
    return collections.Counter({pathlib.Path(name).name: count for name, count in counts.items()
                                if not NOT_OURS.search(name)})


def wait_until_ready(process, port):
    request = b"GET /ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.is_alive():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=READY_TIMEOUT_S) as connection:
                connection.sendall(request)
                if b" 200 " in read_answer(connection):
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise NotUsable(f"onnxd under valgrind did not get ready: {process.last_words()}")


def send_all(connection, request, count):
    for _ in range(count):
        connection.sendall(request)
        if b" 200 " not in read_answer(connection):
            raise NotUsable(f"refused: {request[:200]!r}")


def send_parts(port, scenarios):
    """Names of the parts in the order in which their counts are written."""
    mark = b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n"
    parts = ["start"]
    with socket.create_connection(("127.0.0.1", port), timeout=READY_TIMEOUT_S) as connection:
        send_all(connection, mark, 1)
        for scenario, request in scenarios.items():
            for count in (FEW, FEW, MANY):  # the first part warms buffers up and is not used
                send_all(connection, request, count)
                send_all(connection, mark, 1)
                parts.append((scenario, count))
    return parts


def measure(scenarios, settings):
    """{scenario: {object: instructions a request}} of one server."""
    with tempfile.TemporaryDirectory(prefix="onnxd-budget-") as scratch:
        port = free_port()
        file = pathlib.Path(scratch) / "counts"
        environment = clean_environment(
            scratch, HOST="127.0.0.1", PORT=str(port), GRPC_PORT="0", IO_THREADS="1",
            EXECUTION="inline",  # valgrind is slow enough to have the model pooled
            ONNX_INTRA_OP_THREADS="1", SM_MODEL_DIR=str(MODEL), REQUEST_TIMEOUT_S="0",
            KEEPALIVE_TIMEOUT_S="600", GLIBC_TUNABLES=TUNABLES, **settings,
        )
        command = [shutil.which("valgrind"), "--tool=callgrind", f"--callgrind-out-file={file}",
                   f"--dump-before={MARK}", ROOT / "build/onnxd", "serve"]
        with Process(command, environment, scratch, "onnxd") as process:
            wait_until_ready(process, port)
            parts = send_parts(port, scenarios)
            process.child.send_signal(signal.SIGTERM)
            process.child.wait(READY_TIMEOUT_S)
        files = [pathlib.Path(f"{file}.{number}") for number in range(1, len(parts) + 1)]
        if not all(one.exists() for one in files) or pathlib.Path(f"{file}.{len(parts) + 2}").exists():
            raise NotUsable(f"callgrind did not write {len(parts)} parts: is {MARK} still what "
                            "GET /metrics calls?")
        counted = {part: count_instructions(one) for part, one in zip(parts, files)}
    return {scenario: {name: round((many - counted[scenario, FEW][name]) / (MANY - FEW))
                       for name, many in counted[scenario, MANY].most_common()}
            for scenario in scenarios}


def toolchain():
    """What a count depends on besides the source: one line of text."""
    found = {}
    for file in sorted((ROOT / "build/CMakeFiles").glob("*/CMakeCCompiler.cmake")):
        found = dict(COMPILER.findall(file.read_text()))
    compiler = f"{found.get('ID', 'unknown compiler')} {found.get('VERSION', '')}"
    return f"{compiler}, {os.confstr('CS_GNU_LIBC_VERSION')}, {platform.machine()}"


def compare(counted, budget):
    """Prints a line a scenario; how many are within their budget and how many are not."""
    failed = 0
    for scenario, instructions in counted.items():
        allowed = budget.get(scenario)
        if allowed is None:
            failed += 1
            print(f"{scenario:14} {instructions:>9} instructions a request, no budget: run budget.py --write")
            continue
        is_over = instructions > allowed * TOLERANCE
        failed += is_over
        print(f"{scenario:14} {instructions:>9} instructions a request, budget {allowed} "
              f"({instructions / allowed - 1:+.1%}) {'TOO MANY' if is_over else 'ok'}")
    return len(counted) - failed, failed


def judge(counted, budget, here):
    """compare(), where the budget speaks of this toolchain; else what was counted, unjudged."""
    taken_with = budget.get("toolchain")
    if taken_with == here:
        return compare(counted, budget["instructions"])
    for scenario, instructions in counted.items():
        print(f"{scenario:14} {instructions:>9} instructions a request, not judged")
    print(f"budget: SKIPPED: the budget was taken with {taken_with}; this is {here}")
    return 0, 0


def stop_in_time(*_):
    stop_all()
    sys.stderr.write(f"budget: error: stopped, it took longer than {TIME_LIMIT_S} s\n")
    sys.exit(1)


def main():
    if sys.argv[1:] not in ([], ["--write"]):
        sys.exit(__doc__)
    if shutil.which("valgrind") is None:
        sys.exit("budget: error: valgrind is not installed (scripts/setup budget)")
    signal.signal(signal.SIGALRM, stop_in_time)
    signal.alarm(TIME_LIMIT_S)
    try:
        parts = {**measure(SCENARIOS, {"OTEL_ENABLED": "false"}), **measure(TRACED_SCENARIOS, TRACING)}
    except NotUsable as problem:
        sys.exit(f"budget: error: {problem}")
    counted = {scenario: sum(counts.values()) for scenario, counts in parts.items()}
    for scenario, counts in parts.items():
        print(f"{scenario:14} " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    here = toolchain()
    if sys.argv[1:] == ["--write"]:
        BUDGET.write_text(json.dumps({"toolchain": here, "instructions": counted}, indent=1) + "\n")
    passed, failed = judge(counted, json.loads(BUDGET.read_text()), here)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
