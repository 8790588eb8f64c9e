"""Other engines that run the same network, for comparison: onnxruntime and OpenVINO, where they are installed."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

ENGINES = ("onnxruntime", "openvino")
ENGINES_IN_BFLOAT16 = ("openvino",)
"""Those that compute in bfloat16 on a CPU."""
Run = Callable[[], object]
_OPSET = 17


def installed_engines() -> tuple[str, ...]:
    """Those of `ENGINES` that can be imported."""
    return tuple(name for name in ENGINES if importlib.util.find_spec(name))


def export(net: nn.Module, lr: Tensor) -> bytes:
    """The network as ONNX, for images of the size of lr (1, 3, H, W)."""
    buffer: Any = io.BytesIO()  # which the exporter takes, though its types do not say so
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's older exporter needs no package but onnx, and says that it is old
        torch.onnx.export(net, (lr,), buffer, dynamo=False, opset_version=_OPSET)
    return buffer.getvalue()


def open_engine(name: str, onnx: bytes, lr: Tensor, *, threads: int, dtype: torch.dtype) -> tuple[Run, Tensor]:
    """Load an exported network into another engine.

    Args:
        name: one of `ENGINES`.
        onnx: what `export` returned.
        lr: the image that is enlarged at each call.
        threads: how many the engine may use.
        dtype: of the arithmetic; onnxruntime has float32 only on the CPU.

    Returns:
        What runs it, and the image that it gives.
    """
    run = (_onnxruntime if name == "onnxruntime" else _openvino)(onnx, lr, threads, dtype)
    return run, torch.as_tensor(run())


def _onnxruntime(onnx: bytes, lr: Tensor, threads: int, dtype: torch.dtype) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")  # or its threads slow whoever comes next
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: lr.numpy()}
    return lambda: session.run(None, feed)[0]


def _openvino(onnx: bytes, lr: Tensor, threads: int, dtype: torch.dtype) -> Callable[[], object]:
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(onnx),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",  # by default it picks bf16 itself
        },
    )
    array = lr.numpy()
    return lambda: compiled(array)[0]
