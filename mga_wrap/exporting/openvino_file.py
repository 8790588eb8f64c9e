"""A traced network as OpenVINO's intermediate representation: a graph in .xml, its weights in .bin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mga_wrap.engines.sessions import openvino_core
from mga_wrap.errors import one_line
from mga_wrap.exporting.formats import INPUT, OUTPUT, Format, Run
from mga_wrap.exporting.onnx_file import to_onnx
from mga_wrap.exporting.program import quietly


def _convert(program: ExportedProgram, facts: dict[str, str]) -> Any:
    """The openvino.Model, by way of ONNX, for its own reader knows no maximum of two sizes; else by its own reader."""
    import openvino

    try:
        graph = to_onnx(program, optimize=False).SerializeToString()
        model = openvino_core().read_model(graph)
    except Exception:  # of either package; what OpenVINO says to the graph itself is what counts
        with torch.no_grad(), quietly():
            model = openvino.convert_model(program)
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    for name, value in facts.items():
        model.set_rt_info(value, ["mga_wrap", "version" if name == "mga_wrap" else name])
    return model


def _write(model: Any, files: tuple[Path, ...]) -> None:
    import openvino

    part, weights = files
    graph = part.with_name(f"{part.name}.xml")  # it writes to no other name
    try:
        openvino.serialize(model, graph, weights)
        graph.replace(part)
        _read(files)  # a disk that is full is not told by who writes
    except RuntimeError as error:
        raise OSError(one_line(error)) from error
    finally:
        graph.unlink(missing_ok=True)


def _read(files: tuple[Path, ...]) -> Any:
    return openvino_core().read_model(*(file.read_bytes() for file in files))


def _open(files: tuple[Path, ...]) -> Run:
    model = _read(files)
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(lr: Tensor) -> Tensor:
        return torch.from_numpy(compiled(lr.numpy())[0].copy())

    return run


OPENVINO = Format(
    "OpenVINO IR", ("openvino", "onnx", "onnxscript"), "export,fast", _convert, _write, _open, beside=(".bin",)
)
