"""The reference's stack, metrics on and tracing off: FastAPI, uvicorn, one process.

What the reference does for a request, and no more: count it (prometheus-fastapi-instrumentator, whose
metric names are the reference's), hold the body to its limit, take one of its slots, choose by the
content type, hold the rows to their limit, run the model (ONNX, or scikit-learn by joblib), answer with JSON. The run is on the event
loop, without a thread pool: that is the faster way for a model this small.
"""

import asyncio
import json
import os

import numpy
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_fastapi_instrumentator import Instrumentator

MAX_BODY_BYTES = 6291456
MAX_RECORDS = 5000
MAX_INFLIGHT = 16
ACQUIRE_TIMEOUT_S = 0.25



def load_onnx(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    input_name = session.get_inputs()[0].name
    output_name = session.get_outputs()[0].name
    return lambda rows: session.run([output_name], {input_name: rows})[0]


def load_sklearn(path):
    import joblib

    return joblib.load(path).predict


model = os.environ["BENCH_MODEL"]
run = load_sklearn(model) if model.endswith(".joblib") else load_onnx(model)

app = FastAPI()
Instrumentator().instrument(app).expose(app)
slots = asyncio.Semaphore(MAX_INFLIGHT)


def refuse(status, text, **more):
    return JSONResponse({"error": text, **more}, status)


@app.get("/ready")
async def ready():
    return PlainTextResponse("\n")


@app.post("/invocations")
async def invoke(request: Request):
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        return refuse(413, "payload_too_large", max_bytes=MAX_BODY_BYTES)
    if slots.locked():
        try:
            await asyncio.wait_for(slots.acquire(), ACQUIRE_TIMEOUT_S)
        except TimeoutError:
            return refuse(429, "too_many_requests")
    else:
        await slots.acquire()  # at once, without the task that wait_for makes
    try:
        return predict(body, request.headers.get("content-type", "application/json"))
    except ValueError as problem:
        return refuse(400, str(problem))
    finally:
        slots.release()


def predict(body, content_type):
    if content_type.split(";")[0].strip().lower() != "application/json":
        return refuse(400, f"Unsupported Content-Type: {content_type}")
    payload = json.loads(body)
    rows = numpy.asarray(payload["instances"] if isinstance(payload, dict) else payload, numpy.float32)
    if len(rows) > MAX_RECORDS:
        return refuse(400, f"too_many_records: {len(rows)} > {MAX_RECORDS}")
    return JSONResponse(run(rows).tolist())
