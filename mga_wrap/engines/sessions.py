"""Graphs in onnxruntime and OpenVINO: what is installed, a module as ONNX, and what runs it."""

from __future__ import annotations

import importlib.util
import io
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mga_wrap.config import ENGINES
from mga_wrap.engines.rewriting import rewrite
from mga_wrap.errors import EngineError, one_line
from mga_wrap.nets.bilinear import for_engines

ENGINES_IN_BFLOAT16 = ("openvino",)
"""Those that compute in bfloat16 on a CPU."""
Session = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Inputs in their order to outputs in theirs; the outputs may be overwritten by the next call.

A map that is handed on is (B, C, H, W) of uint16, which are the bits of bfloat16, its channels lying together.
"""


@dataclass(frozen=True)
class HandedOn:
    """The maps that one graph hands to another, by their numbers.

    They stay as OpenVINO lays them out in bfloat16: else they would be laid out anew, and be twice as much to copy.
    """

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


NONE = HandedOn()
_OPSET = 17
_IR = ("graph.xml", "graph.bin")
"""Names in what `to_ir` returns, an archive."""


def installed_engines() -> tuple[str, ...]:
    """Those of `ENGINES` that can be imported, and whose graphs can be written."""
    found = tuple(name for name in ENGINES if importlib.util.find_spec(name))
    return found if importlib.util.find_spec("onnx") else ()


def to_onnx(
    module: nn.Module,
    inputs: Sequence[Tensor],
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> bytes:
    """A module as ONNX; its inputs are called x0, x1, ...

    Args:
        module: in eval mode.
        inputs: by whose shapes it is traced.
        dynamic: axes that may be of any length, by the input's name; the others hold for these shapes.

    Raises:
        EngineError: axes may be of any length, and tracing decided something by their lengths here.
    """
    buffer: Any = io.BytesIO()  # which the exporter takes, though its types do not say so
    names = [f"x{number}" for number in range(len(inputs))]
    with warnings.catch_warnings(record=True) as said, torch.inference_mode(False), torch.no_grad(), _quiet():
        warnings.simplefilter("always")  # torch's older exporter needs no package but onnx, and says that it is old
        given = tuple(x.clone() for x in inputs)  # out of inference mode, which the exporter does not take
        torch.onnx.export(
            module, given, buffer, dynamo=False, opset_version=_OPSET, input_names=names, dynamic_axes=dynamic
        )
    decided = [one for one in said if issubclass(one.category, torch.jit.TracerWarning)]
    if dynamic and decided:  # right for lengths like these, and elsewhere wrong in silence
        raise EngineError(f"tracing decided something by the size: {one_line(Exception(decided[0].message))}")
    return buffer.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the graph that torch's older exporter prints, whole, where it does not know an operator.

    It is C++ that prints, whatever its own switch says, so the function that is called is another one meanwhile.
    """
    own: Any = getattr(torch._C, "_jit_onnx_log", None)
    if own is None:
        yield
        return
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = own


def to_ir(module: nn.Module, inputs: Sequence[Tensor]) -> bytes:
    """A module in OpenVINO's own form by torch.export, for these shapes: slower to make than ONNX, and knows more.

    Args:
        module: in eval mode.
        inputs: by whose shapes it is exported.
    """
    import openvino

    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad(), for_engines():
        warnings.simplefilter("ignore")
        given = tuple(x.clone() for x in inputs)
        model = openvino.convert_model(torch.export.export(module, given))
    # It has its inputs of any size, though torch.export's program is for this one.
    model.reshape({place: list(x.shape) for place, x in enumerate(given)})
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="mga-graph-") as place, zipfile.ZipFile(packed, "w") as archive:
        names = [Path(place) / name for name in _IR]
        openvino.serialize(model, *names)
        for name in names:
            archive.write(name, name.name)
    return packed.getvalue()


def open_session(
    engine: str,
    graph: bytes,
    *,
    shapes: Sequence[tuple[int, ...]],
    threads: int,
    dtype: torch.dtype,
    handed: HandedOn = NONE,
) -> Session:
    """Load a graph into an engine, for inputs of these shapes.

    Args:
        engine: one of `ENGINES`.
        graph: what `to_onnx` returned; for OpenVINO what `to_ir` did, too.
        shapes: of its inputs, in their order.
        threads: how many the engine may use.
        dtype: of the arithmetic; onnxruntime has float32 only on the CPU. Inputs and outputs are float32.
        handed: but for these, in OpenVINO.
    """
    if engine == "onnxruntime":
        return _onnxruntime(graph, threads)
    return _openvino(graph, list(shapes), threads, dtype, handed)


def _onnxruntime(onnx: bytes, threads: int) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")  # or its threads slow whoever comes next
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        found: Sequence[np.ndarray] = session.run(None, _named(names, arrays))
        return found

    return run


@cache
def openvino_core() -> Any:
    """The one `openvino.Core` of this process.

    Each core gives the thread a stack for its signals (AMX needs a larger one), and puts the one before back when it
    goes. Cores that do not go in the reverse order leave a stack that is freed: the next signal that Python handles,
    Ctrl-C or the end of a child, overwrites what lies there now, or ends the process.
    """
    import openvino

    return openvino.Core()


def _openvino(
    graph: bytes, shapes: list[tuple[int, ...]], threads: int, dtype: torch.dtype, handed: HandedOn
) -> Session:
    if zipfile.is_zipfile(io.BytesIO(graph)):
        with zipfile.ZipFile(io.BytesIO(graph)) as archive:
            model = openvino_core().read_model(*(archive.read(name) for name in _IR))
        return _openvino_session(model, list(range(len(shapes))), threads, dtype, handed)
    model = openvino_core().read_model(graph)
    names = [one.get_any_name() for one in model.inputs]
    if any(one.partial_shape.is_dynamic for one in model.inputs):  # fixed shapes run up to twice as fast
        model.reshape({name: list(shapes[int(name[1:])]) for name in names})
    return _openvino_session(model, [int(name[1:]) for name in names], threads, dtype, handed)


def _openvino_session(
    model: Any, numbers: Sequence[int], threads: int, dtype: torch.dtype, handed: HandedOn
) -> Session:
    """What runs a model of fixed shapes, whose inputs are those of these numbers."""
    from openvino import Tensor as OpenVINOTensor
    from openvino import Type

    rewrite(model)
    given_on = [number in handed.inputs for number in numbers]
    found_on = [number in handed.outputs for number in range(len(model.outputs))]
    model = _with_ports(model, given_on, found_on)
    compiled = openvino_core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",  # by default it picks bf16 itself
        },
    )
    request = compiled.create_infer_request()
    outputs = compiled.outputs

    def given(array: np.ndarray, on: bool) -> Any:
        if not on:
            return array
        rows = np.ascontiguousarray(array.transpose(0, 2, 3, 1))
        return OpenVINOTensor(rows, rows.shape, Type.bf16)

    def run(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        inputs = {
            place: given(arrays[number], on) for place, (number, on) in enumerate(zip(numbers, given_on, strict=True))
        }
        found = request.infer(inputs, share_inputs=True, share_outputs=True)
        return [
            found[one].view(np.uint16).transpose(0, 3, 1, 2) if on else found[one]
            for one, on in zip(outputs, found_on, strict=True)
        ]

    return run


def _with_ports(model: Any, given_on: Sequence[bool], found_on: Sequence[bool]) -> Any:
    """A model of (B, C, H, W) in float32 that takes and gives maps as they are handed on."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    if not any((*given_on, *found_on)):
        return model
    ports = PrePostProcessor(model.clone())
    for ends, on in ((ports.input, given_on), (ports.output, found_on)):
        for place in [place for place, one in enumerate(on) if one]:
            ends(place).model().set_layout(Layout("NCHW"))
            ends(place).tensor().set_layout(Layout("NHWC")).set_element_type(Type.bf16)
    return ports.build()


def _named(names: Sequence[str], arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """A graph leaves inputs out that it does not need."""
    return {name: arrays[int(name[1:])] for name in names}
