"""`export`: a network as one ONNX file, seen to compute what the network does before the file appears."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from mga_wrap.config import Amount
from mga_wrap.errors import ArgumentError, EngineError, one_line
from mga_wrap.files import whole_file
from mga_wrap.infer.eval_mode import in_eval_mode
from mga_wrap.nets.mga import MGANet, neediest, score_of
from mga_wrap.origin import unwrapped
from mga_wrap.pictures.synthetic import synthetic
from mga_wrap.version import __version__

OPSET = 20
INPUT, OUTPUT = "input", "output"
NEEDED = ("onnx", "onnxscript", "onnxruntime")
AGREES = 1e-4
"""What the file's image may differ by from the network's, values in 0..1."""
TIED = 1e-3
"""Scores within this share of their range of the last one chosen may be chosen in another order."""
SMALLEST_PLAIN = 16
"""Pixels of a side that a network which is not cut is exported for, at least."""
TENSORRT = 3840
"""The largest k that TensorRT's TopK takes."""


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
    """Patches that were left out of it: their scores are nearly those of others, which may be chosen instead."""
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
            + (f" ({self.tied} patches of tied scores left out)" if self.tied else "")
        )
        lines = [f"{self.path}: ONNX opset {OPSET}, {sizes}, {checked}", *(f"note: {note}" for note in self.notes)]
        return "\n".join(lines)


class _Whole(nn.Module):
    """One input, one output, k baked in."""

    def __init__(self, net: nn.Module, k: Amount | None) -> None:
        super().__init__()
        self.net, self.options = net, {} if k is None else {"k": k}

    def forward(self, image: Tensor) -> Tensor:
        sr: Tensor = self.net(image, **self.options)
        return sr


@torch.inference_mode(False)
def export(
    net: nn.Module,
    path: str | Path,
    *,
    k: Amount | None = None,
    size: tuple[int, int] | None = None,
    check: bool = True,
) -> Exported:
    """Write a network as one ONNX file: one input (B, C, H, W), one output (B, C, s*H, s*W), float32, values in 0..1.

    Args:
        net: accelerated or not, float32; not changed.
        path: a .onnx file; it appears when all is done, and an older one stays until then.
        k: how much an accelerated network refines in this file, see `MGANet.forward`; None: its own. "auto", whose
            shapes would depend on data, is the share that it came to while fitting.
        size: (width, height) if the file shall take this size alone; None: any, where the network's graph allows it,
            else 256 x 256, which the result tells.
        check: run the file in onnxruntime at three sizes that it was not traced with, and compare.

    Returns:
        What was written; print it. The file's metadata say scale, p, halo, k, the smallest size and the version.

    Raises:
        ArgumentError: path is no .onnx, k cannot be or net takes none, a package is missing, or size is too small.
        EngineError: the network cannot be exported, or what the file computes is something else; no file is left.

    Example:
        ```python
        print(mga.export(net, "fast.onnx", k=0.2))
        ```
    """
    path, net = Path(path), unwrapped(net)
    k = _checked(net, path, k)
    net = in_eval_mode(net)
    smallest = _smallest(net)
    if size is not None and min(size) < smallest:
        raise ArgumentError(f"got size={size}; expected sides of at least {smallest} pixels for this network")
    program, fixed = _program(_Whole(net, k), net, smallest, None if size is None else (size[1], size[0]))
    channels = _channels(net)
    try:
        with whole_file(path) as part:
            _write(program, part, _metadata(net, k, smallest, fixed))
            difference, tied = _compare(net, part, k, smallest, fixed, channels) if check else (None, 0)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be written ({error}); choose another file") from error
    return Exported(path, fixed, smallest, k, difference, tied, _notes(net, k, fixed))


def _checked(net: nn.Module, path: Path, k: Amount | None) -> Amount | None:
    if not isinstance(net, nn.Module):
        raise ArgumentError(f"got {type(net).__name__}; expected a network, an nn.Module")
    if path.suffix.lower() != ".onnx":
        raise ArgumentError(f"got {path}; expected the name of an .onnx file")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ArgumentError(
            f"export needs {', '.join(missing)}, which is not installed: pip install 'mga-wrap[export]'"
        )
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


def _channels(net: nn.Module) -> int:
    return net.geometry.channels if isinstance(net, MGANet) else 3


def _smallest(net: nn.Module) -> int:
    """Pixels of a side from which on a graph for every size holds: a whole window and one pixel more."""
    if not isinstance(net, MGANet):
        return SMALLEST_PLAIN
    return max(SMALLEST_PLAIN, -(-(net.p + 2 * net.halo) * net.geometry.zoom // net.scale) + 1)


def _program(
    whole: nn.Module, net: nn.Module, smallest: int, size: tuple[int, int] | None
) -> tuple[Any, tuple[int, int] | None]:
    """The exported program, and the size for which alone it holds.

    Raises:
        EngineError: neither for every size nor for one.
    """
    failure = ""
    for fixed in [size] if size is not None else [None, (256, 256)]:
        height, width = fixed or (2 * smallest, 2 * smallest + 12)
        images = torch.rand(1 if fixed else 2, _channels(net), height, width)
        axes = {0: Dim("batch"), 2: Dim("height", min=smallest), 3: Dim("width", min=smallest)}
        try:
            with torch.no_grad(), _quiet():
                shapes = None if fixed else {"image": axes}
                graph = torch.export.export(whole, (images,), dynamic_shapes=shapes)
                return (
                    torch.onnx.export(
                        graph,
                        input_names=[INPUT],
                        output_names=[OUTPUT],
                        opset_version=OPSET,
                        dynamo=True,
                        external_data=False,
                        verbose=False,
                    ),
                    fixed,
                )
        except Exception as error:  # each stage of the exporter has its own kinds
            failure = one_line(error)
    raise EngineError(f"{type(net).__name__} cannot be exported to ONNX: {failure}")


def _write(program: Any, path: Path, metadata: dict[str, str]) -> None:
    import onnx

    model = program.model_proto
    for name, value in metadata.items():
        model.metadata_props.add(key=name, value=value)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _metadata(net: nn.Module, k: Amount | None, smallest: int, fixed: tuple[int, int] | None) -> dict[str, str]:
    said: dict[str, object] = {
        "mga_wrap": __version__,
        "scale": getattr(net, "scale", ""),
        "smallest": smallest,
        "size": "any" if fixed is None else f"{fixed[1]}x{fixed[0]}",
    }
    if isinstance(net, MGANet):
        said |= {"k": k, "p": net.p, "halo": net.halo}
    return {name: str(value) for name, value in said.items()}


def _notes(net: nn.Module, k: Amount | None, fixed: tuple[int, int] | None) -> tuple[str, ...]:
    if not isinstance(net, MGANet) or k in (0, "all", "dense"):
        return ()
    if isinstance(k, int) and k > TENSORRT:
        return (f"TensorRT's TopK takes at most {TENSORRT} patches, this file asks for {k}",)
    if isinstance(k, float) and fixed is None:
        return ("older TensorRT takes no k that depends on the size: give it size=, or k as a number",)
    return ()


def _compare(
    net: nn.Module, file: Path, k: Amount | None, smallest: int, fixed: tuple[int, int] | None, channels: int
) -> tuple[float, int]:
    """(the largest difference, patches of tied scores), over three images.

    Raises:
        EngineError: the file computes something else.
    """
    import onnxruntime

    sizes = [fixed] * 3 if fixed else [(smallest, smallest + 7), (2 * smallest + 9, smallest + 5), (67, 93 + smallest)]
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    worst, tied = 0.0, 0
    for number, (height, width) in enumerate(sizes):
        lr = synthetic(height, width, channels=channels).roll(31 * number, dims=-1)
        found = torch.from_numpy(session.run(None, {INPUT: lr.numpy()})[0])
        with torch.no_grad():
            expected = net(lr) if k is None else net(lr, k=k)
            counts = _tied_pixels(net, lr, k) if isinstance(net, MGANet) else None
        if found.shape != expected.shape:
            raise EngineError(
                f"the file turns {tuple(lr.shape)} into {tuple(found.shape)}, not {tuple(expected.shape)}"
            )
        difference = (found - expected).abs()
        if counts is not None:
            tied += counts[0]
            difference = difference.where(~counts[1], 0)
        worst = max(worst, float(difference.max()))
    if not worst <= AGREES:
        raise EngineError(
            f"{type(net).__name__} was exported, and the file's image differs by {worst:.1e} from the network's; "
            f"expected at most {AGREES:g}: no file was written"
        )
    return worst, tied


def _tied_pixels(net: MGANet, lr: Tensor, k: Amount | None) -> tuple[int, Tensor] | None:
    """How many patches have nearly the score of the last one chosen, and their pixels; None where none is chosen."""
    k = net.k if k is None else k
    if k in (0, "all", "dense"):
        return None
    coarse, *crossing = net.base(lr)
    score = score_of(net.mask(crossing[0], lr, coarse, p=net.p))
    chosen = score.flatten()[neediest(score, k).flatten()]
    near = (score - chosen.min()).abs() <= TIED * (score.max() - score.min())
    near &= near.sum() > 1  # the last one itself has no rival
    side = net.p * net.geometry.zoom
    pixels = near.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
    return int(near.sum()), pixels[:, None, : coarse.shape[-2], : coarse.shape[-1]]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's hundreds of lines, which say what the error says."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
