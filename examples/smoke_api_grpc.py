#!/usr/bin/env python3
"""Ask a service over HTTP and over gRPC the same thing, and hold the answers to each other.

    examples/smoke_api_grpc.py --http http://127.0.0.1:8080 --grpc 127.0.0.1:50052

Waits for the service to be ready. Prints a line for each check; exits with 1 at the first that fails.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request

import grpc
from grpc_client import load_stubs

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [6.3, 3.3, 6.0, 2.5]]


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--http", default="http://127.0.0.1:8080", help="default: %(default)s")
    parser.add_argument("--grpc", default="127.0.0.1:50052", help="default: %(default)s")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait until it is ready")
    return parser.parse_args()


def http(url, body=None):
    """(status, body) of a GET, or of a POST of JSON."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def wait_until_ready(url, timeout_s):
    deadline = time.monotonic() + timeout_s
    last = "nothing answers"
    while time.monotonic() < deadline:
        try:
            status, body = http(f"{url}/ready")
            if status == 200:
                return
            last = f"{status} {body.decode()}"
        except OSError as problem:
            last = str(problem)
        time.sleep(0.05)
    sys.exit(f"FAIL not ready: {last}")


def check(name, got, wanted):
    print("ok  " if got == wanted else "FAIL", name, got, flush=True)
    if got != wanted:
        sys.exit(f"FAIL {name}: expected {wanted}")


def main():
    arguments = read_arguments()
    wait_until_ready(arguments.http, arguments.timeout)
    body = json.dumps(ROWS).encode()
    status, answer = http(f"{arguments.http}/invocations", body)
    check("HTTP status", status, 200)
    check("HTTP rows", len(json.loads(answer)), len(ROWS))

    messages, calls = load_stubs()
    with grpc.insecure_channel(arguments.grpc) as channel:
        service = calls.InferenceServiceStub(channel)
        check("gRPC Live", service.Live(messages.LiveRequest(), timeout=10).ok, True)
        check("gRPC Ready", service.Ready(messages.ReadyRequest(), timeout=10).ok, True)
        request = messages.PredictRequest(payload=body, content_type="application/json", accept="application/json")
        check("gRPC Predict", service.Predict(request, timeout=10).body, answer)

    status, answer = http(f"{arguments.http}/invocations", b"[[1]]")
    check("HTTP status of a wrong row", status, 400)
    print("PASS", flush=True)


main()
