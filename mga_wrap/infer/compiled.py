"""`compile`: a network in the engine that is fastest on this machine, and what is remembered of the choice."""

from __future__ import annotations

import functools
import hashlib
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from mga_wrap.config import Amount, check_engine
from mga_wrap.engines.parts import EngineNet, Result
from mga_wrap.engines.sessions import ENGINES_IN_BFLOAT16, installed_engines
from mga_wrap.engines.stored import digest_of, versions
from mga_wrap.errors import ArgumentError, EngineError, MGAError
from mga_wrap.infer.engine import DType, check_dtype, checked, own_dtype, run, run_traced, torch_threads
from mga_wrap.infer.eval_mode import in_eval_mode
from mga_wrap.infer.networks import device_of
from mga_wrap.infer.remembered import Choice, Engine, keep, recall
from mga_wrap.infer.replay import Replayer
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.origin import unwrapped
from mga_wrap.processor import has_bfloat16, machine

T = TypeVar("T")
AGREES = 1e-4
"""What a float32 image may differ by from torch's, values in 0..1."""
AGREES_DB = 50.0
"""PSNR of a bfloat16 image to torch's in float32, dB."""
TIED = 0.05
"""A patch chosen instead of another has a score within this share of all scores' range of it."""
TRIED = ((360, 640), (180, 320), (90, 160))
"""(height, width) of the part of an image that engines are tried on: the first that does not take torch too long."""
LONG = 0.3
"""Seconds that are too long. A pixel takes as long in a part as in the whole."""
RUNS = 2
"""Timed runs of each, the shorter of which counts."""


class Runner:
    """A network in an engine: `runner(lr, k=...)`; made by `mga_wrap.compile`.

    A network that learns meanwhile is taken over anew at the next call.

    Attributes:
        net: the network, as it was given.
        engine: as it was asked for.
        dtype: as it was asked for.
        threads: of the engines; None: as many as torch has at each call.
    """

    def __init__(self, net: nn.Module, *, engine: Engine, dtype: DType | None, threads: int | None) -> None:
        self.net, self.engine, self.dtype, self.threads = net, engine, dtype, threads
        self._nets: dict[tuple[str, DType | None, int], EngineNet] = {}
        self._chosen: dict[str, Choice] = {}
        self._digest: str | None = None
        self._replayer = Replayer(net)
        self._stamp = _stamp(net) if engine != "torch" else ()

    def __call__(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> Tensor:
        """Enlarge a batch.

        Args:
            lr: (B, 3, H, W), values in 0..1.
            k: how much to refine, see `MGANet.forward`; only for an `MGANet`.
            max_loss: for k="auto", in dB.

        Returns:
            (B, 3, s*H, s*W), float32, clipped to 0..1.

        Raises:
            ArgumentError: lr or k are not what the network takes.
            EngineError: the network cannot run in the engine that was asked for.
        """
        k, max_loss = self._meant(lr, k, max_loss)

        def work(choice: Choice) -> Tensor:
            if choice.engine == "torch":
                return run(self.net, lr, k=k, max_loss=max_loss, dtype=choice.dtype, replayer=self._replayer)
            return checked(self.net, lr, self._in_engine(choice)(lr.float().cpu(), k=k, max_loss=max_loss))

        return self._done(work, lr, k, max_loss)

    def enlarge(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> Result:
        """One image (1, 3, H, W), clipped, with what was refined; arguments and errors as a call's."""
        k, max_loss = self._meant(lr, k, max_loss)

        def work(choice: Choice) -> Result:
            found = self._result(choice, lr, k=k, max_loss=max_loss)
            return found if choice.engine == "torch" else replace(found, sr=checked(self.net, lr, found.sr))

        return self._done(work, lr, k, max_loss)

    def trace(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> tuple[Tensor, MGATrace]:
        """One image (1, 3, H, W), clipped, with all that `MGANet.trace` shows; only for an `MGANet`."""
        k, max_loss = self._meant(lr, k, max_loss)
        net = self.net
        assert isinstance(net, MGANet)

        def work(choice: Choice) -> tuple[Tensor, MGATrace]:
            if choice.engine == "torch":
                return run_traced(net, lr, k=k, max_loss=max_loss, dtype=choice.dtype, replayer=self._replayer)
            trace = self._in_engine(choice).trace(lr.float().cpu(), k=k, max_loss=max_loss)
            return checked(net, lr, trace.sr), trace

        return self._done(work, lr, k, max_loss)

    def _done(self, work: Callable[[Choice], T], lr: Tensor, k: Amount | None, max_loss: float | None) -> T:
        """What a choice does; where "auto" chose an engine that fails at this image, what torch does."""
        choice = self.choice_for(lr, k=k, max_loss=max_loss)
        with torch_threads(self.threads):
            try:
                return work(choice)
            except EngineError as error:
                if self.engine != "auto":
                    raise
                warnings.warn(
                    f"{error}: engine='auto' had chosen {choice} for images of this size, and takes torch for them in "
                    "this process from now on",
                    RuntimeWarning,
                    stacklevel=3,
                )
                self._chosen[self._key(lr, k)] = instead = Choice("torch", self.dtype)
                return work(instead)

    def choice_for(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> Choice:
        """What runs an image of this size; with engine "auto" what is remembered, or else found now."""
        k, max_loss = self._meant(lr, k, max_loss)
        if self.engine == "torch":
            return Choice("torch", self.dtype)
        if self.engine == "auto" and (_device(self.net).type != "cpu" or own_dtype(self.net) != torch.float32):
            return Choice("torch", self.dtype)
        if (stamp := _stamp(self.net)) != self._stamp:
            self._nets, self._chosen, self._digest, self._stamp = {}, {}, None, stamp
        if self.engine != "auto":
            return Choice(self.engine, self.dtype)
        key = self._key(lr, k)
        if key not in self._chosen:
            found = recall(key)
            if found is None:
                with torch_threads(self.threads):
                    found, seconds = self._find(lr, k=k, max_loss=max_loss)
                keep(key, found, seconds)
            self._chosen[key] = found
        return self._chosen[key]

    def _meant(self, lr: Tensor, k: Amount | None, max_loss: float | None) -> tuple[Amount | None, float | None]:
        """K and max_loss as the network has them now: what runs may be a copy in eval mode, made before.

        Raises:
            ArgumentError: lr is no batch, or k is for a network that has none.
        """
        if not isinstance(lr, Tensor) or lr.ndim != 4 or 0 in lr.shape or not lr.is_floating_point():
            got = f"{lr.dtype} of shape {tuple(lr.shape)}" if isinstance(lr, Tensor) else type(lr).__name__
            raise ArgumentError(f"got lr: {got}; expected a non-empty (B, 3, H, W), floating point in 0..1")
        if isinstance(self.net, MGANet):
            return self.net.k if k is None else k, self.net.max_loss if max_loss is None else max_loss
        if k is not None:
            raise ArgumentError(
                f"got k={k!r} for {type(self.net).__name__}; only an MGANet takes k: see mga_wrap.accelerate"
            )
        return None, max_loss

    def _in_engine(self, choice: Choice) -> EngineNet:
        threads = self.threads or torch.get_num_threads()
        key = (choice.engine, choice.dtype, threads)
        if key not in self._nets:
            dtype = getattr(torch, choice.dtype or "float32")
            net = in_eval_mode(self.net)
            self._nets[key] = EngineNet(net, engine=choice.engine, dtype=dtype, threads=threads)
        return self._nets[key]

    # ------------------------------------------------------------------------------------------------------ the choice
    def _key(self, lr: Tensor, k: Amount | None) -> str:
        """Network, machine, versions, size to a factor of two, and which parts run."""
        if self._digest is None:
            self._digest = digest_of(self.net)
        k = self.net.k if k is None and isinstance(self.net, MGANet) else k
        which = k if k in (None, 0, "dense") and not isinstance(k, bool) else "refined"
        size = (lr.shape[-2] * lr.shape[-1]).bit_length()
        threads = self.threads or torch.get_num_threads()
        said = (self._digest, machine(), versions(), size, str(which), threads, self.dtype)
        return hashlib.sha256(repr(said).encode()).hexdigest()

    def _candidates(self) -> list[Choice]:
        fast: list[DType | None] = ["float32", "bfloat16"] if has_bfloat16() else ["float32"]
        dtypes = fast if self.dtype is None else [self.dtype]
        found = [Choice("torch", None if dtype == "float32" else dtype) for dtype in dtypes]
        for engine in installed_engines():
            found += [
                Choice(cast(Engine, engine), d) for d in dtypes if d == "float32" or engine in ENGINES_IN_BFLOAT16
            ]
        return found

    def _find(self, lr: Tensor, *, k: Amount | None, max_loss: float | None) -> tuple[Choice, dict[str, float]]:
        """Run each candidate on the image, and take the fastest of those that agree with torch in float32."""
        lr = self._part(lr, k=k, max_loss=max_loss)
        agrees = self._judge(lr, k=k, max_loss=max_loss)
        seconds: dict[str, float] = {}
        best: tuple[float, Choice] = float("inf"), Choice("torch", self.dtype)
        for choice in self._candidates():
            try:
                if not agrees(self._result(choice, lr, k=k, max_loss=max_loss), choice):
                    continue
                took = min(self._timed(choice, lr, k=k, max_loss=max_loss) for _ in range(RUNS))
            except MGAError:  # an engine that cannot run it is no candidate; torch's own errors came before
                continue
            seconds[str(choice)] = took
            best = min(best, (took, choice), key=lambda pair: pair[0])
        self._nets = {key: net for key, net in self._nets.items() if key[:2] == (best[1].engine, best[1].dtype)}
        return best[1], seconds

    def _part(self, lr: Tensor, *, k: Amount | None, max_loss: float | None) -> Tensor:
        """What engines are tried on: a slow network would take minutes for an image."""
        parts = [lr[:1, :, :height, :width] for height, width in TRIED]
        plain = Choice("torch", None if self.dtype == "float32" else self.dtype)
        if parts[0].shape == parts[-1].shape:
            return parts[0]
        try:
            _, seconds = (self._timed(plain, parts[-1], k=k, max_loss=max_loss) for _ in range(2))
        except MGAError:  # it does not take so small an image
            return parts[0]
        a_value = seconds / parts[-1].numel()
        return next((part for part in parts if a_value * part.numel() <= LONG), parts[-1])

    def _timed(self, choice: Choice, lr: Tensor, *, k: Amount | None, max_loss: float | None) -> float:
        start = time.perf_counter()
        self._result(choice, lr, k=k, max_loss=max_loss)
        return time.perf_counter() - start

    def _result(self, choice: Choice, lr: Tensor, *, k: Amount | None, max_loss: float | None) -> Result:
        if choice.engine != "torch":
            return self._in_engine(choice).enlarge(lr.float(), k=k, max_loss=max_loss)
        if not isinstance(self.net, MGANet):
            return Result(run(self.net, lr, dtype=choice.dtype, replayer=self._replayer), None)
        amount = self.net.k if k is None else k
        if amount in (0, "all", "dense"):  # nothing to choose: no score is predicted
            sr = run(self.net, lr, k=amount, dtype=choice.dtype, replayer=self._replayer)
            return Result(sr, None, float(amount != 0))
        sr, trace = run_traced(self.net, lr, k=k, max_loss=max_loss, dtype=choice.dtype, replayer=self._replayer)
        return Result(sr, trace.index, trace.share)

    def _judge(self, lr: Tensor, *, k: Amount | None, max_loss: float | None) -> Callable[[Result, Choice], bool]:
        """Whether a result is what torch makes in float32, where the same patches are refined.

        Which these are may differ by patches of nearly the same score.
        """
        if not isinstance(self.net, MGANet):
            plain = run(self.net, lr)
            return lambda result, choice: _alike(result.sr, plain, choice)
        net = in_eval_mode(self.net)
        sr, trace = run_traced(net, lr, k=k, max_loss=max_loss)
        with torch.inference_mode():
            coarse, *crossing = net.base(lr.float())
        score = trace.score.flatten()

        def agrees(result: Result, choice: Choice) -> bool:
            expected = sr
            if result.index is not None and trace.index is not None:
                lowest = score[trace.index.flatten()].min() - TIED * (score.max() - score.min())
                if bool((score[result.index.flatten()] < lowest).any()):
                    return False
                with torch.inference_mode():
                    expected = net.refine_patches(coarse, crossing, result.index).clamp(0, 1)
            return _alike(result.sr, expected, choice)

        return agrees


def compile(
    net: nn.Module, *, engine: Engine = "auto", dtype: DType | None = None, threads: int | None = None
) -> Runner:
    """Make a network run in the engine that is fastest on this machine.

    OpenVINO and onnxruntime run its parts as graphs of their own: Base-Net with score, and Refine-Net for a fixed
    number of windows. So k stays free at each call. A graph is written once and kept in the user's cache folder
    (``MGA_WRAP_CACHE``); what it computes is held against the network at the first sizes.

    Args:
        net: accelerated or not, (B, 3, H, W) -> (B, 3, s*H, s*W); not changed.
        engine: "torch", "openvino", "onnxruntime"; "auto" tries those that are installed on the first image of each
            size class, takes the fastest whose image agrees with torch's (float32 to 1e-4, bfloat16 above 50 dB),
            and remembers it for this network and machine. On a GPU that is torch, which records a size that comes
            again as a CUDA graph and replays it from then on; the last two recordings are kept, with their memory.
        dtype: of the arithmetic; None: float32, with "auto" the faster of float32 and bfloat16, which is tried where
            the processor has it.
        threads: None: torch's number.

    Returns:
        `runner(lr, k=..., max_loss=...)`, float32 in 0..1.

    Raises:
        ArgumentError: no such engine or dtype, or one that is not installed; net is no network.

    Example:
        ```pycon
        >>> import torch, mga_wrap as mga
        >>> runner = mga.compile(mga.from_pretrained("fsrcnn-m-x2"), engine="torch")
        >>> runner(torch.rand(1, 3, 24, 32), k=0.2).shape
        torch.Size([1, 3, 48, 64])

        ```
    """
    net = unwrapped(net)
    if not isinstance(net, nn.Module):
        raise ArgumentError(f"got {type(net).__name__}; expected a network, an nn.Module")
    check_engine(engine)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ArgumentError(f"got threads={threads!r}; expected a number of 1 or more, or None")
    runner = Runner(net, engine=engine, dtype=check_dtype(dtype), threads=threads)
    if engine not in ("auto", "torch"):
        runner._in_engine(Choice(engine, runner.dtype))  # so that what it cannot take is told at once
    return runner


@functools.lru_cache(maxsize=2)
def runner_for(net: nn.Module, engine: Engine, dtype: DType | None) -> Runner:
    """`compile`, the last two of them kept: what a folder of pictures needs."""
    return compile(net, engine=engine, dtype=dtype)


@torch.no_grad()
def _stamp(net: nn.Module) -> tuple[tuple[int, int, str], ...]:
    """Changes whenever a network's weights do: where each lies, how often it was written to, and its sum.

    What is written through ``.data`` or in inference mode is not counted as written; a sum takes milliseconds.
    """
    tensors = [x for x in (*net.parameters(), *net.buffers()) if not x.is_meta]
    return tuple((x.data_ptr(), -1 if x.is_inference() else x._version, str(x.sum().item())) for x in tensors)


def _alike(sr: Tensor, expected: Tensor, choice: Choice) -> bool:
    difference = sr.float().clamp(0, 1) - expected.float()
    if choice.dtype in (None, "float32"):
        return bool(difference.abs().max() <= AGREES)
    return bool(difference.square().mean() <= 10 ** (-AGREES_DB / 10))


def _device(net: nn.Module) -> torch.device:
    return device_of(net) or torch.device("cpu")
