"""Other engines: which are installed, how they are called, and that they give the same image where they are."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench.engines import ENGINES, ENGINES_IN_BFLOAT16, export, installed_engines, open_engine

LR = torch.rand(1, 3, 12, 16)


def test_only_what_can_be_imported_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ENGINES_IN_BFLOAT16) <= set(ENGINES)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "openvino" or None)
    assert installed_engines() == ("openvino",)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert installed_engines() == ()


def test_onnxruntime_gets_the_threads_and_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[SimpleNamespace] = []

    class Options(SimpleNamespace):
        def add_session_config_entry(self, name: str, value: str) -> None:
            setattr(self, name, value)

    def session(onnx: bytes, options: Options, *, providers: list[str]) -> SimpleNamespace:
        assert (onnx, providers) == (b"model", ["CPUExecutionProvider"])
        sessions.append(options)
        return SimpleNamespace(
            get_inputs=lambda: [SimpleNamespace(name="x")], run=lambda outputs, feed: [feed["x"] * 2]
        )

    fake = SimpleNamespace(SessionOptions=Options, InferenceSession=session)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    run, sr = open_engine("onnxruntime", b"model", LR, threads=3, dtype=torch.float32)
    assert torch.equal(sr, LR * 2)
    assert np.array_equal(run(), (LR * 2).numpy())
    assert (sessions[0].intra_op_num_threads, sessions[0].inter_op_num_threads) == (3, 1)


@pytest.mark.parametrize(("dtype", "hint"), [(torch.float32, "f32"), (torch.bfloat16, "bf16")])
def test_openvino_computes_in_the_dtype_that_is_asked_for(
    dtype: torch.dtype, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Core:
        def read_model(self, onnx: bytes) -> bytes:
            return onnx

        def compile_model(self, model: bytes, device: str, options: dict[str, object]) -> object:
            assert (model, device) == (b"model", "CPU")
            assert (options["INFERENCE_PRECISION_HINT"], options["INFERENCE_NUM_THREADS"]) == (hint, 2)
            return lambda array: [array + 1]

    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core))
    _, sr = open_engine("openvino", b"model", LR, threads=2, dtype=dtype)
    assert torch.equal(sr, LR + 1)


@pytest.mark.skipif(not installed_engines(), reason="needs onnxruntime or openvino")
@pytest.mark.parametrize("name", installed_engines())
def test_the_image_is_that_of_torch(name: str) -> None:
    model = create_backbone("fsrcnn", scale=2).eval()
    with torch.no_grad():
        expected = model(LR)
        _, sr = open_engine(name, export(model, LR), LR, threads=1, dtype=torch.float32)
    torch.testing.assert_close(sr, expected, atol=1e-4, rtol=1e-4)
