"""The small model behind grpc.aio, one process: grpc_aio_app.py PORT. Stubs are on PYTHONPATH."""

import asyncio
import json
import os
import sys

import grpc
import inference_pb2
import inference_pb2_grpc
import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name
output_name = session.get_outputs()[0].name


class Service(inference_pb2_grpc.InferenceServiceServicer):
    async def Predict(self, request, context):
        rows = numpy.asarray(json.loads(request.payload)["instances"], dtype=numpy.float32)
        output = session.run([output_name], {input_name: rows})[0].tolist()
        return inference_pb2.PredictReply(body=json.dumps(output).encode(), content_type="application/json",
                                          metadata={"batch_size": str(len(rows))})


async def main(port):
    server = grpc.aio.server()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(Service(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
