"""A network as an ONNX file: the image of the network at sizes it was not traced with, or no file."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.cli import app
from mga_wrap.exporting import onnx_file

needs = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in onnx_file.NEEDED), reason="needs onnx, onnxscript, onnxruntime"
)
quietly = pytest.mark.filterwarnings("ignore::mga_wrap.errors.UnfittedWarning", "ignore::mga_wrap.errors.CostWarning")

REOPENED = """
import sys
import onnx, onnxruntime, numpy as np
file = sys.argv[1]
onnx.checker.check_model(file, full_check=True)
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
(one,), (out,) = session.get_inputs(), session.get_outputs()
made = session.run(None, {one.name: np.load(sys.argv[2])})[0]
np.save(sys.argv[3], made)
print(one.name, out.name, one.type, session.get_modelmeta().custom_metadata_map)
"""


def in_a_fresh_process(file: Path, lr: Tensor, tmp_path: Path) -> tuple[Tensor, str]:
    import numpy as np

    np.save(tmp_path / "lr.npy", lr.numpy())
    words = [sys.executable, "-c", REOPENED, str(file), str(tmp_path / "lr.npy"), str(tmp_path / "sr.npy")]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return torch.from_numpy(np.load(tmp_path / "sr.npy")), said


@needs
@pytest.mark.slow
def test_an_accelerated_network_at_any_size(tmp_path: Path) -> None:
    net, file = mga.from_pretrained("fsrcnn-m-x2"), tmp_path / "fast.onnx"
    found = mga.export(net, file, k=0.3)
    assert found.size is None
    assert found.difference is not None
    assert found.difference <= 1e-4
    assert f"{file}: ONNX opset 20, any size from 16 x 16 on, within" in str(found)
    lr = torch.cat([onnx_file.synthetic(37, 50), onnx_file.synthetic(37, 50).flip(3)])
    made, said = in_a_fresh_process(file, lr, tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(made, net(lr, k=0.3), atol=1e-4, rtol=0)
    assert said.startswith("input output tensor(float) ")
    for fact in ("'scale': '2'", "'k': '0.3'", "'p': '4'", "'smallest': '16'", f"'mga_wrap': '{mga.__version__}'"):
        assert fact in said


@needs
@quietly
@pytest.mark.slow
def test_by_the_command_for_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mga.save_network(mga.create_backbone("student-half", scale=2), tmp_path / "small")
    words = ["export", str(tmp_path / "small"), "-o", str(tmp_path / "small.onnx"), "--size", "40x24"]
    app(words, standalone_mode=False)
    assert "small.onnx: ONNX opset 20, 40 x 24 alone, within" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] in (["small", "small.onnx"], ["small.onnx", "small"])


class Random(nn.Module):
    """What it makes hangs on how often it was called: no file computes that."""

    scale = 2

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Conv2d(3, 12, 1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return nn.functional.pixel_shuffle(self.layer(x) * float(self.calls), 2)


@needs
@pytest.mark.slow
def test_a_file_that_computes_something_else_does_not_appear(tmp_path: Path) -> None:
    file = tmp_path / "wrong.onnx"
    file.write_bytes(b"older")
    with pytest.raises(mga.EngineError, match=r"Random was exported, and the file's image differs by .*no file was"):
        mga.export(Random().eval(), file, size=(20, 20))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]


class Values(nn.Module):
    """Looks at values, which no graph does."""

    scale = 2

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=2.0 if float(x.mean()) > 0 else 3.0)


@needs
@quietly
def test_bad_input_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, file = mga.from_pretrained("fsrcnn-m-x2"), tmp_path / "fast.onnx"
    for wrong, text in (
        (lambda: mga.export(net, tmp_path / "fast.pth"), "expected the name of an .onnx file"),
        (lambda: mga.export(mga.create_backbone("fsrcnn", scale=2), file, k=1), "only an MGANet takes k"),
        (lambda: mga.export("pan", file), "expected a network"),  # type: ignore[arg-type]
        (lambda: mga.export(net, file, k=2.5), "got the share k=2.5"),
        (lambda: mga.export(net, file, size=(8, 64)), "expected sides of at least 16 pixels"),
        (lambda: mga.export(mga.create_backbone("fsrcnn", scale=2).double(), file), r"net\.float\(\)"),
    ):
        with pytest.raises(mga.ArgumentError, match=text):
            wrong()
    with pytest.raises(mga.EngineError, match="Values cannot be exported to ONNX: "):
        mga.export(Values(), file, size=(16, 16))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(mga.ArgumentError, match=r"onnx, onnxscript, onnxruntime, .*pip install 'mga-wrap\[export\]'"):
        mga.export(net, file)
    assert not [*tmp_path.iterdir()]


def test_what_tensorrt_does_not_take_is_told() -> None:
    net = mga.from_pretrained("fsrcnn-m-x2")
    assert "at most 3840" in onnx_file._notes(net, 4000, None)[0]
    assert "size=" in onnx_file._notes(net, 0.2, None)[0]
    assert onnx_file._notes(net, 0.2, (90, 160)) == onnx_file._notes(net, "dense", None) == ()
