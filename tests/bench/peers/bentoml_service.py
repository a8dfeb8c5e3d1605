"""The small model behind BentoML, one worker."""

import os

import bentoml
import numpy
import onnxruntime


@bentoml.service(workers=1)
class Model:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"]
        )
        self.input_name = self.session.get_inputs()[0].name
        self.output_name = self.session.get_outputs()[0].name

    @bentoml.api(route="/invocations")
    def invoke(self, instances: list[list[float]]) -> list[int]:
        rows = numpy.asarray(instances, dtype=numpy.float32)
        return self.session.run([self.output_name], {self.input_name: rows})[0].tolist()
