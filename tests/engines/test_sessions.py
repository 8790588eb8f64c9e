"""Other engines: which are installed, how they are called, and that a graph computes there what its module does."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import mga_wrap as mga
from mga_wrap.config import ENGINES, check_engine
from mga_wrap.engines.sessions import ENGINES_IN_BFLOAT16, installed_engines, open_session, to_onnx

LR = torch.rand(1, 3, 12, 16)


def test_only_what_can_be_imported_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ENGINES_IN_BFLOAT16) <= set(ENGINES)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in ("openvino", "onnx") or None)
    assert installed_engines() == ("openvino",)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "openvino" or None)
    assert installed_engines() == ()  # its graphs could not be written


def test_what_is_not_installed_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mga.ArgumentError, match=r"engine='openvin'; expected one of .*did you mean 'openvino'"):
        check_engine("openvin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(mga.ArgumentError, match=r"'openvino' needs openvino, .*: pip install \"mga-wrap\[fast\]\""):
        check_engine("openvino")
    with pytest.raises(mga.ArgumentError, match="pip install onnx onnxruntime"):
        mga.compile(nn.Identity(), engine="onnxruntime")
    assert check_engine("auto") == "auto"


def test_onnxruntime_gets_the_threads_and_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[SimpleNamespace] = []

    class Options(SimpleNamespace):
        def add_session_config_entry(self, name: str, value: str) -> None:
            setattr(self, name, value)

    def session(onnx: bytes, options: Options, *, providers: list[str]) -> SimpleNamespace:
        assert (onnx, providers) == (b"model", ["CPUExecutionProvider"])
        sessions.append(options)
        return SimpleNamespace(
            get_inputs=lambda: [SimpleNamespace(name="x1")], run=lambda outputs, feed: [feed["x1"] * 2]
        )

    fake = SimpleNamespace(SessionOptions=Options, InferenceSession=session)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    run = open_session("onnxruntime", b"model", shapes=[(1,), (1, 3, 12, 16)], threads=3, dtype=torch.float32)
    assert np.array_equal(run([np.zeros(1), LR.numpy()])[0], (LR * 2).numpy())  # the first is not an input of the graph
    assert (sessions[0].intra_op_num_threads, sessions[0].inter_op_num_threads) == (3, 1)


class TwoMaps(nn.Module):
    """Two inputs, two outputs; the second output does not need the first input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer(image) + other.mean(), other * 2


@pytest.mark.parametrize("engine", installed_engines())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_graph_computes_what_its_module_does(engine: str, dtype: torch.dtype) -> None:
    if dtype == torch.bfloat16 and engine not in ENGINES_IN_BFLOAT16:
        pytest.skip("no bfloat16")
    module = TwoMaps().eval()
    onnx = to_onnx(module, [LR, LR], dynamic={name: {2: "height", 3: "width"} for name in ("x0", "x1")})
    for height, width in ((12, 16), (9, 31)):
        image, other = torch.rand(1, 3, height, width), torch.rand(1, 3, height, width)
        shapes: Sequence[tuple[int, ...]] = [tuple(image.shape)] * 2
        run = open_session(engine, onnx, shapes=shapes, threads=1, dtype=dtype)
        with torch.no_grad():
            expected = module(image, other)
        close = 1e-5 if dtype == torch.float32 else 3e-2
        for own, found in zip(expected, run([image.numpy(), other.numpy()]), strict=True):
            torch.testing.assert_close(torch.from_numpy(np.array(found)), own, atol=close, rtol=close)


DROPPED = """
import gc, os, signal
import torch
from torch import nn
from mga_wrap.engines.sessions import open_session, to_onnx
lr = torch.rand(1, 3, 8, 8)
graph = to_onnx(nn.ReLU(), [lr])
sessions = [open_session("openvino", graph, shapes=[lr.shape], threads=1, dtype=torch.float32) for _ in range(2)]
while sessions:
    sessions.pop(0)([lr.numpy()])
    gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
for _ in range(3):
    os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals")
def test_signals_are_handled_after_sessions_are_gone() -> None:
    """By a stack that OpenVINO had freed, the first of them ended the process."""
    pytest.importorskip("openvino", reason="pip install -e .[dev]")
    result = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.split()) == (0, ["handled"] * 3), result.stderr
