"""What the Python worker makes of PyTorch modules; with the Python in ONNXD_TORCH_PYTHON."""

import os
import subprocess

import numpy as np
import pytest
from onnxd_worker_peer import LoadError, RunError, Worker, described, load_arrays, opening

PYTHON = os.environ.get("ONNXD_TORCH_PYTHON")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON, reason="ONNXD_TORCH_PYTHON is not set (make test-frameworks)"),
]

# Run by that Python in the models' directory: the models, and what they give.
MAKE = """
import sys

import numpy as np
import torch
from torch import nn

sys.path.append("code")
import modules

torch.manual_seed(0)
x = torch.rand(5, 4)
mlp = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
mlp(torch.rand(50, 4))
torch.jit.script(mlp).save("scripted.pt")
torch.save(mlp, "pickled.pth")
torch.save(mlp.state_dict(), "state_dict.pt")
torch.save(x, "tensor.pt")
mlp.eval()
torch.jit.trace(mlp, x).save("traced.pt")
np.savez("mlp.npz", x=x.numpy(), y=mlp(x).detach().numpy())
image = torch.rand(2, 3, 16, 16)
convolution = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
torch.save(convolution, "convolution.pt")
np.savez("convolution.npz", x=image.numpy(), y=convolution(image).detach().numpy())
tokens = torch.randint(0, 10, (2, 6))
embedding = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(1))
torch.jit.script(nn.Embedding(10, 4)).save("embedding.pt")
for name in ("Pair", "Named", "Dict", "TwoInputs", "Plain", "Grows", "Bfloat", "Memory", "Broken"):
    torch.save(getattr(modules, name)(), name + ".pt")
torch.jit.script(modules.TwoInputs()).save("TwoInputsScripted.pt")
"""

MODULES = """
from collections import namedtuple

import torch
from torch import nn

Result = namedtuple("Result", "low high")


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return x * 2, x.sum(dim=1).to(torch.int64), x > 0.5


class Named(Pair):
    def forward(self, x):
        return Result(x - 1, x + 1)


class Dict(Pair):
    def forward(self, x):
        return {"logits": self.layer(x), "twice": x * 2}


class TwoInputs(nn.Module):
    def forward(self, left, right):
        return left + 2 * right


class Plain(nn.Module):
    def forward(self, x):
        assert x.dtype == torch.float32 or x.dtype == torch.int64
        assert not torch.is_grad_enabled() and not self.training
        return x + 1


class Grows(nn.Module):
    def forward(self, x):
        return x.reshape(-1), x


class Bfloat(nn.Module):
    def forward(self, x):
        return x.to(torch.bfloat16), x.to_sparse(), x.to(torch.float16)


class Memory(nn.Module):
    def forward(self, x):
        return torch.empty(1 << 60)


class Broken(nn.Module):
    def forward(self, x):
        return {"text": "no tensor"}[x]
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    directory = tmp_path_factory.mktemp("torch")
    (directory / "code").mkdir()
    (directory / "code" / "modules.py").write_text(MODULES)
    subprocess.run([PYTHON, "-W", "ignore", "-c", MAKE], cwd=directory, check=True)
    return directory


@pytest.fixture
def serve(models, tmp_path):
    with opening("pytorch", tmp_path, PYTHON) as open_model:
        yield lambda name, manifest=None, **options: open_model(models / name, manifest, **options)


@pytest.mark.parametrize("name", ["scripted.pt", "traced.pt", "pickled.pth"])
def test_modules(serve, models, name):
    worker = serve(name)
    assert worker.framework == "PyTorch" and worker.version.startswith("2.")
    assert described(worker.inputs) == [("input", 1, [-1, 4])]
    assert described(worker.outputs) == [("output", 1, [-1, 3])]
    expected = load_arrays(models / "mlp.npz")
    for _ in range(3):  # a traced module is optimized on the way
        assert np.allclose(worker.run(expected["x"]), expected["y"], atol=1e-6)
    with pytest.raises(RunError) as failed:
        worker.run(expected["x"][:, :3])
    assert failed.value.cause == 1
    assert failed.value.text == "mat1 and mat2 shapes cannot be multiplied (5x3 and 4x8)"


def test_convolution(serve, models):
    worker = serve("convolution.pt")
    assert described(worker.inputs) == [("input", 1, [-1, 3, -1, -1])]
    assert described(worker.outputs) == [("output", 1, [-1, 2])]
    expected = load_arrays(models / "convolution.npz")
    assert np.allclose(worker.run(expected["x"]), expected["y"], atol=1e-6)


def test_embedding(serve):
    worker = serve("embedding.pt")
    assert described(worker.inputs) == [("input", 7, [-1, -1])]
    assert described(worker.outputs) == [("output", 1, [-1, -1, 4])]
    assert worker.run(np.array([[1, 2, 3]])).shape == (1, 3, 4)
    with pytest.raises(RunError, match="index out of range") as failed:
        worker.run(np.array([[99]]))
    assert failed.value.cause == 1


def test_a_state_dict_is_no_module(serve):
    with pytest.raises(LoadError, match="state_dict.*save the module itself") as failed:
        serve("state_dict.pt")
    assert failed.value.reason == 2


def test_a_tensor_is_no_module(serve):
    with pytest.raises(LoadError, match="holds a Tensor") as failed:
        serve("tensor.pt")
    assert failed.value.reason == 2


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_files_that_are_none(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with Worker(python=PYTHON) as worker:
        with pytest.raises(LoadError, match="model.pt") as failed:
            worker.open("pytorch", tmp_path / "model.pt")
        assert failed.value.reason == 2


def test_several_outputs(serve):
    worker = serve("Pair.pt")
    assert described(worker.outputs) == [("output_0", 1, [-1, 4]), ("output_1", 7, [-1]), ("output_2", 9, [-1, 4])]
    x = np.array([[1, 0, 2, 0.25]], "f4")
    first, second, third = worker.run(x, wanted=["output_0", "output_1", "output_2"])
    assert (first.tolist(), second.tolist()) == ((x * 2).tolist(), [3])
    assert third.tolist() == [[True, False, True, False]]


def test_a_named_tuple(serve):
    worker = serve("Named.pt")
    assert described(worker.outputs) == [("low", 1, [-1, 4]), ("high", 1, [-1, 4])]


def test_a_dict(serve):
    worker = serve("Dict.pt", {"outputs": [{"name": "twice"}]})
    assert described(worker.outputs) == [("twice", 1, [-1, 4]), ("logits", 1, [-1, 2])]
    assert worker.run(np.ones((1, 4), "f4")).tolist() == [[2] * 4]


def test_the_manifest_names_outputs(serve):
    worker = serve("Pair.pt", {"outputs": [{"name": "doubled"}, {"name": "sum", "dtype": "int64"}]})
    assert [port.name for port in worker.outputs] == ["doubled", "sum", "output_2"]


def test_a_manifest_with_outputs_that_are_not_there(serve):
    with pytest.raises(LoadError, match="declares the output 'labels'; the model gives logits, twice"):
        serve("Dict.pt", {"outputs": [{"name": "labels"}]})


@pytest.mark.parametrize("name", ["TwoInputs.pt", "TwoInputsScripted.pt"])
def test_two_inputs(serve, name):
    worker = serve(name)
    assert described(worker.inputs) == [("left", 1, None), ("right", 1, None)]
    assert worker.run(np.ones((2, 2), "f4"), np.ones((2, 2), "f4")).tolist() == [[3, 3], [3, 3]]
    with pytest.raises(RunError, match="'right' is missing") as failed:
        worker.run(np.ones(2, "f4"), None)
    assert failed.value.cause == 1


def test_two_inputs_of_the_manifest(serve):
    inputs = [{"name": "a", "dtype": "float64", "shape": [-1, 2]}, {"name": "b", "dtype": "int64", "shape": [-1, 2]}]
    worker = serve("TwoInputs.pt", {"inputs": inputs})
    assert described(worker.inputs) == [("a", 11, [-1, 2]), ("b", 7, [-1, 2])]
    assert described(worker.outputs) == [("output", 11, [-1, 2])]
    assert worker.run(np.ones((1, 2)), np.ones((1, 2), "i8")).tolist() == [[3, 3]]


def test_nothing_known(serve):
    worker = serve("Plain.pt")
    assert described(worker.inputs) == [("input", 1, None)]
    assert described(worker.outputs) == [("output", 0, None)]
    for shape in ((3,), (2, 2), (1, 2, 3), ()):
        assert worker.run(np.ones(shape, "f4")).tolist() == np.full(shape, 2.0).tolist()


def test_more_outputs_than_known(serve):
    worker = serve("Grows.pt")
    for _ in range(2):
        assert worker.run(np.ones((2, 1), "f4")).tolist() == [1, 1]
    assert worker.log().count("gives 2 outputs") == 1


def test_dtypes_that_are_converted(serve):
    worker = serve("Bfloat.pt", {"inputs": [{"name": "x", "shape": [-1, 2]}]})
    assert [port.dtype for port in worker.outputs] == [1, 1, 10]
    values = worker.run(np.array([[0, 1.5]], "f4"), wanted=range(3))
    assert [value.tolist() for value in values] == [[[0, 1.5]]] * 3


def test_out_of_memory_is_not_the_inputs_fault(serve):
    worker = serve("Memory.pt")
    with pytest.raises(RunError) as failed:
        worker.run(np.ones(1, "f4"))
    assert failed.value.cause == 2


def test_text_is_the_inputs_fault(serve):
    with pytest.raises(RunError, match="is text") as failed:
        serve("Plain.pt").run(np.array(["a"], object))
    assert failed.value.cause == 1
