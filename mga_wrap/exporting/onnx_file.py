"""A traced network as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mga_wrap.exporting.formats import INPUT, OUTPUT, Format, Run
from mga_wrap.exporting.program import quietly

OPSET = 20


def to_onnx(program: ExportedProgram, *, optimize: bool = True) -> Any:
    """The onnx.ModelProto; simplified, unless who takes it does that itself."""
    with torch.no_grad(), quietly():
        made = torch.onnx.export(
            program,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=optimize,
            verbose=False,
        )
    assert made is not None
    return made.model_proto


def _convert(program: ExportedProgram, facts: dict[str, str]) -> Any:
    """The same, checked, with what it says of itself among its metadata."""
    import onnx

    model = to_onnx(program)
    for name, value in facts.items():
        model.metadata_props.add(key=name, value=value)
    onnx.checker.check_model(model, full_check=True)
    return model


def _write(model: Any, files: tuple[Path, ...]) -> None:
    files[0].write_bytes(model.SerializeToString())


def _open(files: tuple[Path, ...]) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(files[0].read_bytes(), providers=["CPUExecutionProvider"])

    def run(lr: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {INPUT: lr.numpy()})[0])

    return run


ONNX = Format(f"ONNX opset {OPSET}", ("onnx", "onnxscript", "onnxruntime"), "export", _convert, _write, _open)
