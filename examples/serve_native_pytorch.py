"""A PyTorch module as it is: as TorchScript and pickled, served by worker processes, held to its own answers.

    python -m examples.serve_native_pytorch
"""

import warnings

import torch

from examples import points, serving


def train(rows, groups):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3), torch.nn.Softmax(dim=1)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(network(rows).log(), groups).backward()
        optimizer.step()
    return network.eval()


def save_torchscript(network, rows, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch wants torch.export to be used instead
        torch.jit.trace(network, rows).save(path)


def save_pickled(network, _rows, path):
    """The module itself: whoever loads it needs its classes, which here are PyTorch's own."""
    torch.save(network, path)


def example():
    rows, groups = points.make_points()
    tensor = torch.from_numpy(rows)
    network = train(tensor, torch.from_numpy(groups))
    with torch.inference_mode():
        scores = network(tensor).numpy()

    differences = []
    for save in (save_torchscript, save_pickled):
        with serving.model_directory() as directory:
            save(network, tensor, directory / "model.pt")
            differences.append(serving.compare_scores(directory, rows, scores, serving.NATIVE))
    return len(rows), max(differences)


if __name__ == "__main__":
    serving.main(example)
