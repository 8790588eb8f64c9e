"""`export`: a network as a file for other programs, seen to compute what the network does before it appears."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mga_wrap.config import Amount
from mga_wrap.errors import ArgumentError, EngineError
from mga_wrap.exporting.formats import Format, facts_of, patches_of
from mga_wrap.exporting.onnx_file import ONNX
from mga_wrap.exporting.openvino_file import OPENVINO
from mga_wrap.exporting.parity import compare
from mga_wrap.exporting.program import Traced, reason, smallest_by_formula, trace, where
from mga_wrap.exporting.pt2_file import PT2
from mga_wrap.files import whole_file
from mga_wrap.infer.eval_mode import in_eval_mode
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.patches import patch_count
from mga_wrap.origin import unwrapped

FORMATS = {".onnx": ONNX, ".xml": OPENVINO, ".pt2": PT2}
ONE_SIZE = (256, 256)
"""(height, width) of a file for one size, where nobody says which."""
TENSORRT = 3840
"""The largest k that TensorRT's TopK takes."""

LONGEST = 200
"""Characters of another program's reason that are shown in a note."""


@dataclass(frozen=True)
class Exported:
    """What was written; print it."""

    path: Path
    size: tuple[int, int] | None
    """(height, width) if the file takes this size alone; None: any from `smallest` on, and any number of images."""
    smallest: int
    """Pixels of a side."""
    k: Amount | None
    difference: float | None
    """The largest to the network's image over the sizes that were tried; None: not checked."""
    tied: int
    """Patches whose scores are nearly those of others, which may be chosen instead: refined or not, both are right."""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        sizes = (
            f"{self.size[1]} x {self.size[0]} alone"
            if self.size
            else f"any size from {self.smallest} x {self.smallest} on"
        )
        checked = (
            "not checked"
            if self.difference is None
            else f"within {self.difference:.1e} of the network at three other {'images' if self.size else 'sizes'}"
            + (f" ({self.tied} patches of tied scores, refined or not)" if self.tied else "")
        )
        kind = FORMATS[self.path.suffix.lower()].name
        lines = [f"{self.path}: {kind}, {sizes}, {checked}", *(f"note: {note}" for note in self.notes)]
        return "\n".join(lines)


@torch.inference_mode(False)
def export(
    net: nn.Module,
    path: str | Path,
    *,
    k: Amount | None = None,
    dynamic: bool = True,
    size: tuple[int, int] | None = None,
    check: bool = True,
) -> Exported:
    """Write a network as one file: one input (B, C, H, W), one output (B, C, s*H, s*W), float32, values in 0..1.

    Args:
        net: accelerated or not, float32; not changed.
        path: .onnx; .xml for OpenVINO, with its weights in a .bin beside it; .pt2 for torch.export, which
            `load_exported` reads. It appears when all is done, and an older one stays until then.
        k: how much an accelerated network refines in this file, see `MGANet.forward`; None: its own. "auto", whose
            shapes would depend on data, is the share that it came to while fitting.
        dynamic: for any number of images of any size, where the network's graph allows it, else for one image of
            256 x 256, which the result tells; False: for one image of one size.
        size: (width, height), for one image of this size alone.
        check: run the file at three sizes that it was not traced with, and compare.

    Returns:
        What was written; print it. The file says of itself: scale, p, halo, k and share, size, version.

    Raises:
        ArgumentError: no such format, k cannot be or net takes none, a package is missing, size is too small, or the
            file cannot be written.
        EngineError: the network cannot be exported, or what the file computes is something else; no file is left.

    Example:
        ```python
        print(mga.export(net, "fast.onnx", k=0.2))
        ```
    """
    path, net = Path(path), unwrapped(net)
    form = _format(path)
    k = _checked(net, k)
    net = _on_cpu(in_eval_mode(net))
    smallest, channels = smallest_by_formula(net), _channels(net)
    if size is not None and min(size) < smallest:
        raise ArgumentError(f"got size={size}; expected sides of at least {smallest} pixels for this network")
    traced, converted, why = _converted(net, k, form, _tries(size, dynamic), smallest, channels)
    difference, tied = None, 0
    with _written(form, path, converted) as files:
        if check:
            difference, tied = _compared(net, k, form, files, traced, channels)
    notes = why + (_notes(net, k, traced.size) if form is ONNX else ())
    return Exported(path, traced.size, traced.smallest, k, difference, tied, notes)


def _format(path: Path) -> Format:
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise ArgumentError(f"got {path}; expected the name of a file that ends in {', '.join(FORMATS)}")
    missing = [name for name in form.needs if importlib.util.find_spec(name) is None]
    if missing:
        raise ArgumentError(
            f"{path.suffix} needs {', '.join(missing)}, which is not installed: pip install 'mga-wrap[{form.extras}]'"
        )
    return form


def _checked(net: nn.Module, k: Amount | None) -> Amount | None:
    if not isinstance(net, nn.Module):
        raise ArgumentError(f"got {type(net).__name__}; expected a network, an nn.Module")
    weights = next((x for x in net.parameters() if x.is_floating_point()), None)
    if weights is not None and weights.dtype != torch.float32:
        raise ArgumentError(f"got a network in {weights.dtype}; expected float32: net.float()")
    if not isinstance(net, MGANet):
        if k is not None:
            raise ArgumentError(
                f"got k={k!r} for {type(net).__name__}; only an MGANet takes k: see mga_wrap.accelerate"
            )
        return None
    return net.without_image(k)


def _on_cpu(net: nn.Module) -> nn.Module:
    """The network itself where it is on the CPU, else a copy."""
    return net if all(x.device.type == "cpu" for x in net.parameters()) else copy.deepcopy(net).cpu()


def _channels(net: nn.Module) -> int:
    return net.geometry.channels if isinstance(net, MGANet) else 3


def _tries(size: tuple[int, int] | None, dynamic: bool) -> tuple[tuple[int, int] | None, ...]:
    """(height, width) for which a graph is made, until one can be; None: every size."""
    if size is not None:
        return ((size[1], size[0]),)
    return (None, ONE_SIZE) if dynamic else (ONE_SIZE,)


def _converted(
    net: nn.Module,
    k: Amount | None,
    form: Format,
    tries: tuple[tuple[int, int] | None, ...],
    smallest: int,
    channels: int,
) -> tuple[Traced, Any, tuple[str, ...]]:
    """The network's graph, the same in the file's own form, and why it is for one size where it should not be.

    Raises:
        EngineError: it cannot be exported, for no size of those to be tried.
    """
    failure: EngineError | None = None
    for size in tries:
        try:
            traced = trace(net, k, size=size, smallest=smallest, channels=channels)
            facts = facts_of(net, k, traced.smallest, traced.size, scale=traced.scale, channels=channels)
            converted = _in_form(net, form, traced, facts)
        except EngineError as error:
            failure = error
        else:
            return (
                traced,
                converted,
                () if failure is None else (f"for one size alone, since {str(failure)[:LONGEST]}",),
            )
    raise EngineError(f"{type(net).__name__} cannot be exported to {form.name}: {failure}") from failure


def _in_form(net: nn.Module, form: Format, traced: Traced, facts: dict[str, str]) -> Any:
    try:
        return form.convert(traced.program, facts)
    except Exception as error:  # each stage of each exporter has its own kinds
        raise EngineError(
            f"{reason(error)}{where(error, net, traced.program)}; another format may take it: {', '.join(FORMATS)}"
        ) from error


@contextmanager
def _written(form: Format, path: Path, converted: Any) -> Iterator[tuple[Path, ...]]:
    """The files under temporary names, which they lose when all that is done with them is done."""
    try:
        with ExitStack() as stack:
            names = (path, *(path.with_suffix(suffix) for suffix in form.beside))
            files = tuple(stack.enter_context(whole_file(name)) for name in names)
            form.write(converted, files)
            yield files
    except OSError as error:
        raise ArgumentError(f"{path} cannot be written ({error}); choose another file") from error


def _compared(
    net: nn.Module, k: Amount | None, form: Format, files: tuple[Path, ...], traced: Traced, channels: int
) -> tuple[float, int]:
    side, fixed = traced.smallest, traced.size
    sizes = [fixed] * 3 if fixed else [(side, side + 7), (2 * side + 9, side + 5), (67, 93 + side)]
    try:
        return compare(net, form.open(files), k, sizes, channels=channels)
    except Exception as error:  # of the program that runs the file, too
        raise EngineError(
            f"{type(net).__name__} was exported, and the file does not compute what the network does: "
            f"{reason(error)}; no file was written"
        ) from error


def _notes(net: nn.Module, k: Amount | None, fixed: tuple[int, int] | None) -> tuple[str, ...]:
    """What TensorRT does not take of an ONNX file."""
    if not isinstance(net, MGANet) or k in (0, "all", "dense"):
        return ()
    notes = []
    asked = k if fixed is None else patch_count(k, patches_of(net, fixed)) if k is not None else 0
    if isinstance(asked, int) and asked > TENSORRT:
        notes.append(f"TensorRT's TopK takes at most {TENSORRT:,} patches, this file asks for {asked:,}")
    if fixed is None:
        notes.append("older TensorRT takes no number of patches that depends on the size, as here: give size=")
        if isinstance(k, float):
            notes.append(
                f"TensorRT's TopK takes at most {TENSORRT:,} patches, so this file's images may have "
                f"{int(TENSORRT / k):,} patches of {net.p} x {net.p}"
            )
    return tuple(notes)
