"""The small model behind LitServe, one worker, as its documentation does it."""

import os
import sys

import litserve
import numpy
import onnxruntime


class Model(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"]
        )
        self.input_name = self.session.get_inputs()[0].name
        self.output_name = self.session.get_outputs()[0].name

    def decode_request(self, request):
        return numpy.asarray(request["instances"], dtype=numpy.float32)

    def predict(self, rows):
        return self.session.run([self.output_name], {self.input_name: rows})[0]

    def encode_response(self, output):
        return output.tolist()


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False,
               num_api_servers=1, log_level="warning", access_log=False)
