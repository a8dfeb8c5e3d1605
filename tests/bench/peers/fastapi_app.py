"""A bare FastAPI app: uvicorn, ONNX Runtime, one process.

No validation, limits, metrics or logging: whatever a real service adds makes it slower than this.
"""

import os

import numpy
import onnxruntime
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name
output_name = session.get_outputs()[0].name

app = FastAPI()


@app.post("/invocations")
async def invoke(request: Request):
    rows = numpy.asarray((await request.json())["instances"], dtype=numpy.float32)
    return JSONResponse(session.run([output_name], {input_name: rows})[0].tolist())
