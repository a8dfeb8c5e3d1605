"""How each server of the comparison is started, and what is sent to it.

All serve with one process or one I/O thread, on loopback, over HTTP/1.1 with keep-alive. A server
that is not installed raises NotUsable with what is missing.
"""

import json
import pathlib
import shutil
import subprocess

from processes import NotUsable, Process, Server, clean_environment, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(__file__).resolve().parent / "peers"
PREDICT = "/invocations"
RPC = "/onnxserving.grpc.InferenceService/Predict"
PROTO = ROOT / "proto/onnx_serving_grpc/inference.proto"
ROW = [5.1, 3.5, 1.4, 0.2]
SMALL_BODY = json.dumps({"instances": [ROW]}, separators=(",", ":"))

NGINX_CONFIGURATION = """
user {user};
worker_processes 1;
daemon off;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx-error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    default_type application/json;
    client_body_temp_path {scratch}/nginx-body;
    proxy_temp_path {scratch}/nginx-proxy;
    fastcgi_temp_path {scratch}/nginx-fastcgi;
    uwsgi_temp_path {scratch}/nginx-uwsgi;
    scgi_temp_path {scratch}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "{answer}"; }}
    }}
}}
"""

MLSERVER_MODEL = {"name": "small", "implementation": "mlserver_runtime.Model"}


def request_of(body, content_type="application/json"):
    """The bytes of one HTTP/1.1 request."""
    body = body if isinstance(body, bytes) else body.encode()
    head = (f"POST {PREDICT} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    return head.encode() + body


def start_onnxd(scratch, model, body=SMALL_BODY, content_type="application/json", wait=True, **settings):
    """One loop thread, metrics on, tracing off; everything else as it comes, unless `settings` say."""
    port = free_port()
    environment = clean_environment(
        scratch, HOST="127.0.0.1", PORT=str(port), GRPC_PORT="0", IO_THREADS="1",
        OTEL_ENABLED="false", SM_MODEL_DIR=str(pathlib.Path(model).parent),
    )
    environment.update({name: str(value) for name, value in settings.items()})
    process = Process([ROOT / "build/onnxd", "serve"], environment, scratch, "onnxd")
    server = Server(process, port, PREDICT, body, content_type)
    return server.wait_until_ready() if wait else server


def start_nginx(scratch, answer="[0]"):
    """A constant: `return 200` with the bytes onnxd answers; one worker."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise NotUsable("nginx is not installed")
    port = free_port()
    configuration = pathlib.Path(scratch) / "nginx.conf"
    user = pathlib.Path(scratch).owner()
    configuration.write_text(
        NGINX_CONFIGURATION.format(scratch=scratch, port=port, answer=answer, user=user)
    )
    command = [program, "-p", scratch, "-e", f"{scratch}/nginx-error.log", "-c", configuration]
    process = Process(command, clean_environment(scratch), scratch, "nginx")
    return Server(process, port, PREDICT, SMALL_BODY).wait_until_ready()


def _varint(number):
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def grpc_frame(body, content_type="application/json"):
    """A PredictRequest {bytes payload = 1; string content_type = 2} as one gRPC message."""
    fields = ((b"\x0a", body.encode()), (b"\x12", content_type.encode()))
    message = b"".join(tag + _varint(len(value)) + value for tag, value in fields)
    return b"\x00" + len(message).to_bytes(4, "big") + message


def start_onnxd_grpc(scratch, model):
    port = free_port()
    onnxd = start_onnxd(scratch, model, GRPC_PORT=port)
    return Server(onnxd.process, port, RPC, grpc_frame(SMALL_BODY), name="onnxd-grpc")


def start_nghttpd(scratch, model):
    """A constant over HTTP/2: a file of ten bytes in answer to the same POSTs; one worker."""
    program = shutil.which("nghttpd") or shutil.which("nghttpd", path="/usr/sbin")
    if program is None:
        raise NotUsable("nghttpd is not installed")
    port = free_port()
    file = pathlib.Path(scratch) / f"nghttpd{RPC}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("0123456789")
    command = [program, "--no-tls", "-n1", "-a", "127.0.0.1", "-d", f"{scratch}/nghttpd", port]
    process = Process(command, clean_environment(scratch), scratch, "nghttpd")
    return Server(process, port, RPC, grpc_frame(SMALL_BODY))


def start_grpc_aio(scratch, model):
    program = _program(".venv.bench", "python")
    if not PROTO.exists():
        raise NotUsable(f"{PROTO.relative_to(ROOT)} is not there")
    stubs = pathlib.Path(scratch) / "stubs"
    stubs.mkdir(exist_ok=True)
    made = subprocess.run([program, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", f"--python_out={stubs}",
                           f"--grpc_python_out={stubs}", PROTO.name], capture_output=True, text=True)
    if made.returncode != 0:
        raise NotUsable(f"no stubs for grpc.aio: {made.stderr.strip()[-200:]}")
    port = free_port()
    environment = _peer_environment(scratch, model, program)
    environment["PYTHONPATH"] += f":{stubs}"
    process = Process([program, PEERS / "grpc_aio_app.py", port], environment, scratch, "grpc.aio")
    return Server(process, port, RPC, grpc_frame(SMALL_BODY))


def _program(folder, name):
    program = ROOT / folder / "bin" / name
    if not program.exists():
        raise NotUsable(f"{name} is not installed in {folder}/ (see scripts/setup bench)")
    return program


def _peer_environment(scratch, model, program):
    environment = clean_environment(scratch, BENCH_MODEL=str(model), PYTHONPATH=str(PEERS))
    environment["PATH"] = f"{program.parent}:{environment.get('PATH', '')}"
    environment.update(BENTOML_DO_NOT_TRACK="True", PYTHONDONTWRITEBYTECODE="1")
    return environment


def _start_uvicorn(scratch, model, name, app):
    program = _program(".venv.bench", "uvicorn")
    port = free_port()
    command = [program, app, "--host", "127.0.0.1", "--port", port, "--workers", 1,
               "--log-level", "warning", "--no-access-log"]
    process = Process(command, _peer_environment(scratch, model, program), scratch, name)
    return Server(process, port, PREDICT, SMALL_BODY).wait_until_ready()


def start_reference(scratch, model):
    return _start_uvicorn(scratch, model, "reference", "reference_app:app")


def start_fastapi(scratch, model):
    return _start_uvicorn(scratch, model, "FastAPI", "fastapi_app:app")


def start_litserve(scratch, model):
    program = _program(".venv.bench", "python")
    _program(".venv.bench", "litserve")
    port = free_port()
    command = [program, PEERS / "litserve_app.py", port]
    process = Process(command, _peer_environment(scratch, model, program), scratch, "LitServe")
    return Server(process, port, "/predict", SMALL_BODY).wait_until_ready()


def start_bentoml(scratch, model):
    program = _program(".venv.bench", "bentoml")
    port = free_port()
    command = [program, "serve", "bentoml_service:Model", "--host", "127.0.0.1", "--port", port,
               "--working-dir", PEERS]
    process = Process(command, _peer_environment(scratch, model, program), scratch, "BentoML")
    return Server(process, port, PREDICT, SMALL_BODY).wait_until_ready()


def start_mlserver(scratch, model):
    program = _program(".venv.mlserver", "mlserver")
    folder = pathlib.Path(scratch) / "mlserver"
    folder.mkdir(exist_ok=True)
    port = free_port()
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
                "metrics_port": free_port(), "parallel_workers": 0, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(MLSERVER_MODEL))
    process = Process([program, "start", folder], _peer_environment(scratch, model, program),
                      scratch, "MLServer")
    body = {"inputs": [{"name": "x", "shape": [1, len(ROW)], "datatype": "FP32", "data": ROW}]}
    return Server(process, port, "/v2/models/small/infer", json.dumps(body)).wait_until_ready()


# What is measured besides onnxd and nginx; the first is the one a target speaks of.
PEER_STARTERS = {
    "reference stack": start_reference,
    "bare FastAPI": start_fastapi,
    "LitServe": start_litserve,
    "BentoML": start_bentoml,
    "MLServer": start_mlserver,
}


def versions():
    """Name and version of what is installed to compare with."""
    script = ("import importlib.metadata as m, sys\n"
              "for name in sys.argv[1:]:\n"
              "    try: print(name, m.version(name))\n"
              "    except m.PackageNotFoundError: pass\n")
    found = {}
    for folder, names in ((".venv.bench", ["fastapi", "uvicorn", "prometheus-fastapi-instrumentator",
                                           "grpcio", "litserve", "bentoml", "onnxruntime"]),
                          (".venv.mlserver", ["mlserver"])):
        python = ROOT / folder / "bin" / "python"
        if python.exists():
            done = subprocess.run([python, "-c", script, *names], capture_output=True, text=True)
            found.update(line.split() for line in done.stdout.splitlines())
    return found

