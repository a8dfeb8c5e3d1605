"""deploy/sagemaker/pack-model: the archive holds the model's files and nothing else, always the same bytes."""

import gzip
import os
import shutil
import subprocess
import tarfile

import pytest
from onnxd_server import EXAMPLES, ROOT, binary

PACK = ROOT / "deploy/sagemaker/pack-model"

pytestmark = pytest.mark.skipif(not PACK.parent.is_dir(), reason="an image's build has no deploy/")


def pack(directory, *archive, cwd):
    return subprocess.run([PACK, directory, *archive], cwd=cwd, capture_output=True, text=True,
                          env={**os.environ, "ONNXD": str(binary())})


@pytest.fixture
def model(tmp_path):
    directory = tmp_path / "model"
    shutil.copytree(EXAMPLES / "iris_logistic_regression", directory)
    return directory


def test_an_archive_is_a_model(model, tmp_path, start):
    (model / ".cache").mkdir()
    (model / ".cache/notes").write_text("not for the other side")
    (model / "code").mkdir()
    (model / "code/-T").write_text("a name that looks like an option")
    done = pack(model, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == ["code/-T", "manifest.json", "model.onnx"]
        assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, 0)}
        assert all(member.isreg() for member in members)
    (tmp_path / "opt").mkdir()
    subprocess.run(["tar", "-xzf", "model.tar.gz", "-C", "opt"], cwd=tmp_path, check=True)
    server = start(tmp_path / "opt")
    assert server.invoke("[[5.1,3.5,1.4,0.2]]").json() == [0]


def test_the_same_files_make_the_same_bytes(model, tmp_path):
    assert pack(model, "one.tar.gz", cwd=tmp_path).returncode == 0
    os.utime(model / "model.onnx", (1, 1))
    (model / "model.onnx").chmod(0o600)
    assert pack(model, "two.tar.gz", cwd=tmp_path).returncode == 0
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_links_are_packed_as_what_they_point_at(model, tmp_path):
    shutil.move(model / "model.onnx", tmp_path / "weights")
    (model / "model.onnx").symlink_to(tmp_path / "weights")
    assert pack(model, cwd=tmp_path).returncode == 0
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        assert archive.extractfile("model.onnx").read() == (tmp_path / "weights").read_bytes()


@pytest.mark.parametrize("broken", ["no directory", "no model", "no such model"])
def test_what_cannot_be_served_is_not_packed(model, tmp_path, broken):
    if broken == "no directory":
        model = tmp_path / "elsewhere"
    elif broken == "no model":
        (model / "model.onnx").unlink()
    else:
        (model / "model.onnx").write_bytes(b"no model")
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(b"the archive before"))
    done = pack(model, cwd=tmp_path)
    assert done.returncode == 1
    assert "pack-model: error: " in done.stderr
    assert gzip.decompress((tmp_path / "model.tar.gz").read_bytes()) == b"the archive before"
    assert not list(tmp_path.glob("model.tar.gz.*"))


def test_an_archive_is_not_packed_into_itself(model, tmp_path):
    done = pack(model, model / "model.tar.gz", cwd=tmp_path)
    assert done.returncode == 1
    assert "would be in the directory" in done.stderr


def test_usage(tmp_path):
    assert subprocess.run([PACK], capture_output=True, cwd=tmp_path).returncode == 2
