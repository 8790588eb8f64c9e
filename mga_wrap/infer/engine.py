"""Run a network: in eval mode, its memory format and dtype, and errors told in one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from mga_wrap.config import Amount, check_k
from mga_wrap.errors import ArgumentError, MGAError, one_line
from mga_wrap.infer.eval_mode import Net, in_eval_mode
from mga_wrap.infer.networks import device_of
from mga_wrap.infer.replay import Replayer
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.processor import warn_of_emulation

DType = Literal["float32", "bfloat16", "float16"]
"""The dtype of a network's arithmetic."""


@dataclass(frozen=True)
class Format:
    """How a network runs: how its maps lie in memory, and in which dtype its layers compute.

    Only the image is laid out: a network's maps follow it, so its weights stay where they are. A dtype below that of
    the weights is torch's autocast, which keeps sums, interpolations and softmaxes in float32. That is as fast as
    weights cast to bfloat16 and keeps more of the image (docs/speed.md).
    """

    channels_last: bool
    dtype: torch.dtype

    def lay(self, lr: Tensor) -> Tensor:
        """(B, 3, H, W) in this memory format."""
        return lr.contiguous(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    def autocast(self, lr: Tensor) -> AbstractContextManager[object]:
        """The context in which the layers compute in this dtype, for an image in the dtype of the weights."""
        return nullcontext() if self.dtype == lr.dtype else torch.autocast(lr.device.type, self.dtype)

    def __str__(self) -> str:
        return f"{'channels_last' if self.channels_last else 'contiguous'} {str(self.dtype).removeprefix('torch.')}"


def format_for(net: nn.Module, device: torch.device, dtype: DType | None = None) -> Format:
    """The format in which `run` runs a network.

    Raises:
        ArgumentError: dtype is none of them, or float32 for a network whose weights are not.
    """
    own, dtype = own_dtype(net), check_dtype(dtype)
    wanted = own if dtype is None else getattr(torch, dtype)
    if wanted != own and (own != torch.float32 or wanted == torch.float32):
        raise ArgumentError(
            f"got dtype={dtype!r} for a network with weights of {str(own).removeprefix('torch.')}; leave dtype out, or "
            "give the network in float32: model.float()"
        )
    if dtype is not None:
        warn_of_emulation(wanted, device)
    contiguous = isinstance(net, MGANet) and net.geometry.contiguous
    return Format(channels_last=device.type != "mps" and not contiguous, dtype=wanted)


def check_dtype(dtype: str | None) -> DType | None:
    """Return dtype as it is.

    Raises:
        ArgumentError: it is no `DType`.
    """
    if dtype is not None and dtype not in get_args(DType):
        raise ArgumentError(f"got dtype={dtype!r}; expected one of {', '.join(get_args(DType))}")
    return cast("DType | None", dtype)


def own_dtype(net: nn.Module) -> torch.dtype:
    """The dtype of a network's weights."""
    return next((x.dtype for x in net.parameters() if x.is_floating_point()), torch.float32)


def run(
    net: nn.Module,
    lr: Tensor,
    *,
    k: Amount | None = None,
    max_loss: float | None = None,
    scale: int | None = None,
    dtype: DType | None = None,
    replayer: Replayer | None = None,
) -> Tensor:
    """Run a network on a batch: (B, 3, H, W) in 0..1 to (B, 3, s*H, s*W) float32, clipped to 0..1.

    What is not finite in a dtype below that of the weights is run again in theirs, with a RuntimeWarning. A replayer
    of the network replays sizes that come again, on a GPU.

    Raises:
        ArgumentError: k for a network that has none, a dtype that its weights do not allow, a network that does not
            turn (B, 3, H, W) into a multiple, or into another one than ``scale``.
    """
    if k is not None and not isinstance(net, MGANet):
        raise ArgumentError(f"got k={k!r} for {type(net).__name__}; only an MGANet takes k: see mga_wrap.accelerate")
    options: dict[str, object] = {} if k is None else {"k": check_k(k)}
    if max_loss is not None and isinstance(net, MGANet):
        options["max_loss"] = max_loss
    with _ready(net, lr, dtype) as (quiet, ready):
        amount = net.k if k is None and isinstance(net, MGANet) else k
        if replayer is not None and quiet is net and amount != "auto":  # what "auto" launches depends on the image
            (sr,) = replayer(lambda x: (quiet(x, **options),), ready, of=("forward", type(amount), amount))
        else:
            sr = quiet(ready, **options)
    if _has_overflowed(net, sr, dtype):
        with _ready(net, lr, None) as (quiet, ready):
            sr = quiet(ready, **options)
    return checked(net, lr, sr, scale=scale)


def run_traced(
    net: MGANet,
    lr: Tensor,
    *,
    k: Amount | None = None,
    max_loss: float | None = None,
    dtype: DType | None = None,
    replayer: Replayer | None = None,
) -> tuple[Tensor, MGATrace]:
    """Like `run`, with everything that `MGANet.trace` shows."""
    with _ready(net, lr, dtype) as (quiet, ready):
        amount = net.k if k is None else check_k(k)
        if replayer is not None and quiet is net and amount not in (0, "auto", "dense"):
            names = ("feature", "coarse", "score", "index", "sr")

            def traced(x: Tensor) -> tuple[Tensor, ...]:
                found = net.trace(x, k=amount)
                return tuple(getattr(found, name) for name in names)

            found = replayer(traced, ready, of=("trace", type(amount), amount))
            trace = MGATrace(lr=ready, **dict(zip(names, found, strict=True)))
        else:
            trace = quiet.trace(ready, k=k, max_loss=max_loss)
    if _has_overflowed(net, trace.sr, dtype):
        with _ready(net, lr, None) as (quiet, ready):
            trace = quiet.trace(ready, k=k, max_loss=max_loss)
    return checked(net, lr, trace.sr), trace


def _has_overflowed(net: nn.Module, sr: object, dtype: DType | None) -> bool:
    """Whether a dtype of less range than the weights' was too small for this image, which is told."""
    if dtype is None or getattr(torch, dtype) == own_dtype(net) or not isinstance(sr, Tensor):
        return False
    if bool(sr.isfinite().all()):
        return False
    own = str(own_dtype(net)).removeprefix("torch.")
    warnings.warn(
        f"{type(net).__name__} made NaN or infinity of an image in {dtype}; it is run again in {own}, which takes "
        f"longer: leave dtype={dtype!r} out for this network",
        RuntimeWarning,
        stacklevel=4,
    )
    return True


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """The network in eval mode and torch in inference mode; each module's own mode comes back, whatever happens.

    For benchmarks, which time the very network that is given: meanwhile no other thread may use it. `run` may.
    """
    modes = [(module, module.training) for module in net.modules()]  # each its own: a frozen part may be in eval mode
    try:
        net.eval()
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """That many threads of torch, and as many as before afterwards; None leaves them."""
    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        if threads is not None:
            torch.set_num_threads(before)


@contextmanager
def _ready(net: Net, lr: Tensor, dtype: DType | None) -> Iterator[tuple[Net, Tensor]]:
    """The network in eval mode, the batch as it needs it, and the network's errors told in one line."""
    device = device_of(net) or lr.device
    form = format_for(net, device, dtype)
    quiet = in_eval_mode(net)
    try:
        with torch.inference_mode():
            ready = form.lay(lr.to(device, own_dtype(net)))
            with form.autocast(ready):
                yield quiet, ready
    except MGAError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise ArgumentError(
            f"{type(net).__name__} failed on lr of shape {tuple(lr.shape)}: {one_line(error)}; {_EXPECTED_NETWORK}"
        ) from error


_EXPECTED_NETWORK = "expected a network from (B, 3, H, W) to (B, 3, s*H, s*W), and memory enough for it"


def checked(net: nn.Module, lr: Tensor, sr: object, *, scale: int | None = None) -> Tensor:
    """The network's answer, checked and clipped."""
    name = type(net).__name__
    if not isinstance(sr, Tensor):
        raise ArgumentError(f"{name} returned {type(sr).__name__}; {_EXPECTED_NETWORK}")
    height, width = lr.shape[-2:]
    factor = sr.shape[-1] // width if sr.ndim == 4 else 0
    if factor < 1 or sr.shape != (lr.shape[0], 3, factor * height, factor * width):
        raise ArgumentError(f"{name} turned {tuple(lr.shape)} into {tuple(sr.shape)}; {_EXPECTED_NETWORK}")
    if scale not in (None, factor):  # a plain network says its scale only by what it returns
        raise ArgumentError(f"got scale={scale} and a model that enlarges by {factor}; leave one of them out")
    sr = sr.float()
    if not bool(sr.isfinite().all()):
        raise ArgumentError(f"{name} returned NaN or infinity; check its weights, or give it another dtype")
    return sr.clamp(0, 1)  # out of inference mode, so a tensor like any other, for training too
