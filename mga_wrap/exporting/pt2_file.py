"""A traced network as torch.export's archive, and what reads it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from mga_wrap.errors import ArgumentError, CheckpointError, one_line
from mga_wrap.exporting.formats import Format, Run
from mga_wrap.exporting.program import quietly
from mga_wrap.exporting.pt2_archive import FACTS, check_archive

TOLD = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
"""Of a node, where it came from: lines of code and paths of the machine, which are nobody's business elsewhere."""


class LoadedExport(nn.Module):
    """A network out of a .pt2, made by `mga_wrap.load_exported`: lr -> sr.

    Args:
        program: lr -> sr, which takes what it was traced with: contiguous float32.
        facts: what the file says of itself.
    """

    def __init__(self, program: nn.Module, facts: Mapping[str, str]) -> None:
        super().__init__()
        self.program = program
        self.facts = dict(facts)
        """What the file says of itself: scale, channels, k, share, p, halo, size, smallest, version; all as text."""
        self.scale = int(facts["scale"])
        """Sides of sr over sides of lr."""
        self.channels = int(facts["channels"])
        """Of lr and sr."""
        self.smallest = int(facts["smallest"])
        """Pixels of a side."""
        self.size = None if facts["size"] == "any" else tuple(int(side) for side in facts["size"].split("x"))
        """(width, height) if it takes this size alone."""
        if self.size is not None and len(self.size) != 2:
            raise ValueError(f"size={facts['size']}")

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge.

        Args:
            lr: (B, C, H, W), float32 in 0..1 on the CPU, however it lies in memory; B is 1 where `size` is fixed.

        Raises:
            ArgumentError: lr is something else.
        """
        if lr.ndim != 4 or 0 in lr.shape or lr.shape[1] != self.channels:
            raise ArgumentError(f"got lr of shape {tuple(lr.shape)}; expected a non-empty (B, {self.channels}, H, W)")
        if lr.dtype != torch.float32:
            raise ArgumentError(f"got lr in {lr.dtype}; expected float32 with values in 0..1: lr.float()")
        if lr.device.type != "cpu":
            raise ArgumentError(f"got lr on {lr.device}; expected it on the CPU, for which the file was made: lr.cpu()")
        height, width = lr.shape[-2:]
        if self.size is not None and (lr.shape[0], width, height) != (1, *self.size):
            raise ArgumentError(
                f"got {lr.shape[0]} of {width} x {height}; expected one image of {self.size[0]} x {self.size[1]}, for "
                "which alone the file was made: export it for another size"
            )
        if min(height, width) < self.smallest and self.size is None:
            raise ArgumentError(f"got {width} x {height}; expected sides of at least {self.smallest} pixels: pad lr")
        # In another layout the graph, which holds the strides that it was traced with, makes wrong pixels in silence.
        sr: Tensor = self.program(lr.contiguous())
        return sr


@torch.inference_mode(False)
def load_exported(path: str | Path) -> LoadedExport:
    """Read a .pt2 that `mga_wrap.export` wrote; nothing in it is unpickled, and none of its text is executed.

    The file is looked through before torch reads it: tensors as raw numbers, a graph of torch's own operators, sizes
    as expressions of a few known functions. What a file of another writer holds beside that is refused.

    Args:
        path: the file.

    Returns:
        The network, lr (B, C, H, W) -> sr. It refuses what the graph would take and answer with wrong pixels.

    Raises:
        CheckpointError: the file is missing, broken, of another torch or holds something else.

    Example:
        ```python
        net = mga.load_exported("fast.pt2")
        sr = net(lr)
        ```
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({one_line(error)}); check the path") from error
    try:
        return _loaded(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path} is not loaded: {error}; expected a file that mga_wrap.export wrote") from error


def _loaded(content: bytes) -> LoadedExport:
    facts = check_archive(content)
    try:
        with quietly():
            program = torch.export.load(io.BytesIO(content))
            return LoadedExport(program.module(), facts).requires_grad_(False)
    except Exception as error:  # a graph that fits no operator of this torch fails anywhere
        raise CheckpointError(f"torch {torch.__version__} makes no network of it ({one_line(error)})") from error


def _convert(program: ExportedProgram, facts: dict[str, str]) -> bytes:
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            for told in TOLD:
                node.meta.pop(told, None)
    program._example_inputs = None  # it would be pickled
    buffer = io.BytesIO()
    with quietly():
        torch.export.save(program, buffer, extra_files={FACTS: json.dumps(facts)})
    return buffer.getvalue()


def _write(content: bytes, files: tuple[Path, ...]) -> None:
    files[0].write_bytes(content)


def _open(files: tuple[Path, ...]) -> Run:
    return load_exported(files[0])


PT2 = Format("torch.export", (), "", _convert, _write, _open)
