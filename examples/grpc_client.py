#!/usr/bin/env python3
"""Ask a running onnxd over gRPC: is it live, is it ready, and what does the model say.

    make grpc-generate     (or any Python with grpcio and grpcio-tools in place of .venv/)
    .venv/bin/python examples/grpc_client.py --json '[[5.1,3.5,1.4,0.2]]'
    .venv/bin/python examples/grpc_client.py --csv rows.csv --accept text/csv --target localhost:50052

A value that is the name of a file stands for the file's content. Exits with 1 when the call fails.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile

import grpc

PROTO = pathlib.Path(__file__).resolve().parent.parent / "proto"
INFERENCE = "onnx_serving_grpc/inference.proto"


def load_stubs():
    """(messages, calls) of the service's .proto, compiled on the spot.

    A program of your own would generate them once, as `make grpc-generate` does, and import them.
    """
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        options = [f"--proto_path={PROTO}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
        if protoc.main(["protoc", *options, INFERENCE]) != 0:
            sys.exit(f"{PROTO / INFERENCE} does not compile")
        sys.path.insert(0, folder)
        names = ("onnx_serving_grpc.inference_pb2", "onnx_serving_grpc.inference_pb2_grpc")
        return [importlib.import_module(name) for name in names]


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--target", default="localhost:50052", help="HOST:PORT (default: %(default)s)")
    payload = parser.add_mutually_exclusive_group()
    payload.add_argument("--json", metavar="TEXT|FILE", help="predict for rows in JSON")
    payload.add_argument("--csv", metavar="TEXT|FILE", help="predict for rows in CSV")
    parser.add_argument("--accept", default="", help="content type of the answer, like text/csv")
    parser.add_argument("--timeout", type=float, default=10, metavar="S", help="of each call (default: %(default)s)")
    return parser.parse_args()


def content(text_or_file):
    """Of the file, where there is one of that name; else the text itself, \\n meaning a new line."""
    try:
        return pathlib.Path(text_or_file).read_bytes()
    except OSError:
        return text_or_file.replace("\\n", "\n").encode()


def main():
    arguments = read_arguments()
    messages, calls = load_stubs()
    with grpc.insecure_channel(arguments.target) as channel:
        service = calls.InferenceServiceStub(channel)
        try:
            live = service.Live(messages.LiveRequest(), timeout=arguments.timeout)
            ready = service.Ready(messages.ReadyRequest(), timeout=arguments.timeout)
            print(f"Live    {live.status}\nReady   {ready.status}")
            if arguments.json is None and arguments.csv is None:
                return
            is_json = arguments.json is not None
            reply = service.Predict(
                messages.PredictRequest(
                    payload=content(arguments.json if is_json else arguments.csv),
                    content_type="application/json" if is_json else "text/csv",
                    accept=arguments.accept,
                ),
                timeout=arguments.timeout,
            )
        except grpc.RpcError as problem:
            sys.exit(f"{problem.code().name}: {problem.details()}")
    print(f"Predict {reply.metadata['batch_size']} rows, {reply.content_type}")
    print(reply.body.decode())


if __name__ == "__main__":
    main()
