"""A network in another engine: each of its parts a graph of its own, so that k stays free and sizes cost little."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from mga_wrap.config import Amount, check_engine, check_max_loss
from mga_wrap.engines.copying import copy_windows, paste_patches, windows_at
from mga_wrap.engines.sessions import ENGINES_IN_BFLOAT16, HandedOn, Session, open_session, to_ir, to_onnx
from mga_wrap.engines.stored import IR, ONNX, Checked, digest_of, forget, stored
from mga_wrap.errors import ArgumentError, EngineError, one_line
from mga_wrap.nets.chunks import PIXELS
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.nets.patches import grid_size
from mga_wrap.nets.score import neediest, score_of
from mga_wrap.processor import warn_of_emulation

TRACED = (64, 96)
"""(height, width) by which a graph for every size is traced."""
SIZES_CHECKED = 2
"""A graph for every size is held against the network at the first sizes that it runs; one for a size at this one."""
SIZES_KEPT = 2
"""What is compiled for a size holds memory for its maps: of each part the sizes used last are kept, no others."""
TOLERANCE = 1e-3
"""Mean difference of what a graph computes in float32 over the mean of what the network computes."""
FREE, FIXED, CONVERTED = "free", "fixed", "converted"
"""A graph for every size; for one; for one by torch.export, which knows more operators."""
FEW = 5
"""A chunk of windows that is not full is run in pieces of a fifth."""


@dataclass(frozen=True)
class Result:
    """One image enlarged."""

    sr: Tensor
    """(1, 3, s*H, s*W)."""
    index: Tensor | None
    """(1, k): the refined patches; None if there are none, or the whole map was refined at once."""
    share: float = 1.0
    """Refined patches over all patches, 0 to 1; 1 if the whole map was refined at once."""


class _Graph(nn.Module):
    """One part of a network, as it is written."""

    def __init__(self, part: nn.Module, run: Callable[..., object]) -> None:
        super().__init__()
        self.part, self.run = part, run
        self.training = False  # else the exporter puts all of it, the network too, into train mode when it is done

    def forward(self, *inputs: Tensor) -> object:
        return self.run(*inputs)


class EngineNet:
    """A network that runs in another engine, on the CPU; called by one thread at a time, others wait.

    Args:
        net: in eval mode, float32, on the CPU; accelerated or not.
        engine: one of `mga_wrap.config.ENGINES`.
        dtype: of the arithmetic: torch.float32, or torch.bfloat16 where the engine has it.
        threads: of the engine.

    Raises:
        ArgumentError: the engine is not installed, or computes in no such dtype.
    """

    def __init__(self, net: nn.Module, *, engine: str, dtype: torch.dtype, threads: int) -> None:
        check_engine(engine)
        if dtype != torch.float32 and not (dtype == torch.bfloat16 and engine in ENGINES_IN_BFLOAT16):
            raise ArgumentError(
                f"got dtype={str(dtype).removeprefix('torch.')!r} for engine {engine!r}; expected float32"
                + (" or bfloat16" if engine in ENGINES_IN_BFLOAT16 else "")
            )
        weights = next((x for x in net.parameters() if x.is_floating_point()), None)
        if weights is not None and (weights.dtype != torch.float32 or weights.device.type != "cpu"):
            raise ArgumentError(
                f"got a network of {str(weights.dtype).removeprefix('torch.')} on {weights.device.type}; engine "
                f"{engine!r} takes one of float32 on the CPU: net.float().cpu()"
            )
        warn_of_emulation(dtype, torch.device("cpu"))
        self.net, self.engine, self.dtype, self.threads = net, engine, dtype, threads
        self._digest = digest_of(net)
        self._sessions: dict[tuple[object, ...], Session] = {}
        self._graphs: dict[tuple[object, ...], bytes] = {}
        self._checked: dict[str, Checked] = {}
        self._lock = threading.Lock()

    @torch.inference_mode()
    def __call__(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> Tensor:
        """Enlarge (B, 3, H, W), float32; arguments as `MGANet.forward`.

        Raises:
            ArgumentError: as there.
            EngineError: the network cannot be run in this engine.
        """
        found = [self.enlarge(one[None], k=k, max_loss=max_loss).sr for one in lr]
        return found[0] if len(found) == 1 else torch.cat(found)

    @torch.inference_mode()
    def enlarge(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> Result:
        """One image, and what was refined of it; arguments and errors as `__call__`."""
        net = self.net
        with self._lock:
            if not isinstance(net, MGANet):
                return Result(self._whole("plain", net, lr), None)
            k = net.check(lr, k)
            if k == 0:
                return Result(self._whole("coarse", lambda x: net.base(x)[0], lr), None, 0.0)
            if k == "dense":
                return Result(self._whole("dense", lambda x: net.refine(*net.base(x)[1:], dense=True), lr), None)
            return self._refined(net, lr, k, max_loss)

    @torch.inference_mode()
    def trace(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> MGATrace:
        """`MGANet.trace` of one image; of a network that is accelerated."""
        net = self.net
        assert isinstance(net, MGANet)

        def base(x: Tensor) -> tuple[Tensor, ...]:
            coarse, *crossing = net.base(x)
            return (coarse, net.mask(crossing[0], x, coarse, p=net.p), *crossing)

        with self._lock:
            k = net.check(lr, k)
            found = self._run("traced", base, [lr.contiguous()])
            coarse, predicted, *crossing = (torch.from_numpy(np.array(x)) for x in found)
            sr, index = coarse, None
            if k == "dense":
                sr = self._whole("dense", lambda x: net.refine(*net.base(x)[1:], dense=True), lr)
            elif k != 0:
                size = (crossing[0].shape[-2], crossing[0].shape[-1])
                index = self._chosen(net, predicted, size, k, max_loss)
                if index is not None:
                    maps = [
                        x.numpy() for x, one in zip(crossing, net.geometry.crossing, strict=True) if not one.for_score
                    ]
                    sr = coarse.clone()
                    self._refine(net, sr.numpy()[0], maps, index[0].tolist(), size)
        return MGATrace(lr=lr, feature=crossing[0], coarse=coarse, score=score_of(predicted), index=index, sr=sr)

    def _whole(self, kind: str, run: Callable[[Tensor], Tensor], lr: Tensor) -> Tensor:
        (sr,) = self._run(kind, run, [lr.contiguous()])
        return torch.from_numpy(sr).clone()  # the engine owns what it returned

    def _refined(self, net: MGANet, lr: Tensor, k: Amount, max_loss: float | None) -> Result:
        gathered = [number for number, one in enumerate(net.geometry.crossing) if not one.for_score]

        def base(x: Tensor) -> tuple[Tensor, ...]:
            coarse, *crossing = net.base(x)
            predicted = net.mask(crossing[0], x, coarse, p=net.p)
            return (coarse, predicted, crossing[0][:, :1], *(crossing[number] for number in gathered))

        on = [place for place, number in enumerate(gathered, 3) if net.geometry.crossing[number].is_map]
        coarse, predicted, feature, *maps = self._run("base", base, [lr.contiguous()], handed_on=on)
        size = (feature.shape[-2], feature.shape[-1])
        index = self._chosen(net, torch.from_numpy(np.array(predicted)), size, k, max_loss)
        sr = torch.from_numpy(coarse).clone()
        if index is None:
            return Result(sr, None, 0.0)
        self._refine(net, sr.numpy()[0], [np.array(x) if x.ndim != 4 else x for x in maps], index[0].tolist(), size)
        gh, gw = grid_size(*size, net.p)
        return Result(sr, index, index.shape[1] / (gh * gw))

    def _chosen(
        self, net: MGANet, predicted: Tensor, size: tuple[int, int], k: Amount, max_loss: float | None
    ) -> Tensor | None:
        """(1, k), as `MGANet.forward` chooses them."""
        if k == "all":
            gh, gw = grid_size(*size, net.p)
            return torch.arange(gh * gw)[None]
        if k == "auto":
            k = net.enough(predicted, net.max_loss if max_loss is None else check_max_loss(max_loss))
        return None if k == 0 else neediest(score_of(predicted), k)

    def _refine(
        self, net: MGANet, canvas: np.ndarray, maps: list[np.ndarray], index: list[int], size: tuple[int, int]
    ) -> None:
        """Refine the patches and paste them into the coarse image (3, s*H, s*W)."""
        geometry = net.geometry
        crossing = [one for one in geometry.crossing if not one.for_score]
        places = [windows_at(index, size=size, p=net.p, halo=one.halo, border=geometry.border) for one in crossing]
        home = windows_at(index, size=size, p=net.p, halo=geometry.trim, border=geometry.border)
        most = max(1, PIXELS // (places[0][0][4] * places[0][0][5]))
        at = 0
        while at < len(index):
            left = len(index) - at
            count = most if left > most - max(1, most // FEW) else max(1, most // FEW)
            inputs = []
            for x, one, there in zip(maps, crossing, places, strict=True):
                if not one.is_map:
                    inputs.append(np.repeat(x, count, axis=0) if one.layout == "image" else x)
                    continue
                tall, wide = one.ratio * there[0][4], one.ratio * there[0][5]
                into = np.zeros_like(x, shape=(count, x.shape[1], tall, wide))
                copy_windows(x[0], there[at : at + count], ratio=one.ratio, border=geometry.border, into=into)
                inputs.append(into)
            (refined,) = self._run("refine", net.refine, [_tensor(x) for x in inputs], batched=True)
            paste_patches(canvas, refined, home[at : at + count], p=net.p, zoom=geometry.zoom)
            at += count

    # ------------------------------------------------------------------------------------------------------- sessions
    def _run(
        self,
        kind: str,
        run: Callable[..., object],
        inputs: Sequence[Tensor],
        *,
        batched: bool = False,
        handed_on: Sequence[int] = (),
    ) -> Sequence[np.ndarray]:
        """What a part makes of its inputs, in this engine.

        Args:
            kind: of the part.
            run: the part.
            inputs: maps that another part handed on in bfloat16.
            batched: the inputs are windows.
            handed_on: numbers of the outputs that go to another part, and may be bfloat16.
        """
        shapes = tuple(tuple(x.shape) for x in inputs)
        key = (kind, shapes)
        session = self._sessions.pop(key, None)
        if session is None:
            for old in [one for one in self._sessions if one[0] == kind][: 1 - SIZES_KEPT]:
                del self._sessions[old]
            handed = HandedOn(
                tuple(number for number, x in enumerate(inputs) if x.dtype == torch.bfloat16),
                tuple(handed_on) if self.dtype == torch.bfloat16 else (),
            )
            session = self._opened(kind, run, [x.float() for x in inputs], shapes, batched=batched, handed=handed)
        self._sessions[key] = session  # the one that was used last stands last
        try:
            return session([(x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy() for x in inputs])
        except Exception as error:  # of an engine: each has its own kinds
            raise EngineError(
                f"{type(self.net).__name__} failed in {self.engine}: its {kind} part, {one_line(error)}; use "
                "engine='torch'"
            ) from error

    def _opened(
        self,
        kind: str,
        run: Callable[..., object],
        inputs: Sequence[Tensor],
        shapes: tuple[tuple[int, ...], ...],
        *,
        batched: bool,
        handed: HandedOn,
    ) -> Session:
        """A session for these shapes, its first results held against the network's.

        Raises:
            EngineError: neither a graph for every size nor one for this size computes what the network does.
            ArgumentError: the network itself does not take these inputs.
        """
        failure = ""
        if kind not in self._checked:
            self._checked[kind] = Checked.recall(f"{self._digest}-{kind}", engine=self.engine)
        checked = self._checked[kind]
        ways, made = list(self._ways(checked.way)), set[str]()
        while ways:
            way = ways.pop(0)
            key = (kind, way, None if way == FREE else shapes)
            name = "-".join(str(one) for one in (self._digest, *key)).replace(" ", "")

            def make(way: str = way) -> bytes:
                made.add(way)
                return self._written(run, inputs, way=way, batched=batched)

            absent = key not in self._graphs
            try:
                if absent:
                    self._graphs[key] = stored(name, make, ending=IR if way == CONVERTED else ONNX)
                graph = self._graphs[key]
                opened = partial(open_session, self.engine, graph, shapes=shapes, threads=self.threads)
                session = opened(dtype=self.dtype, handed=handed)
                exact = session if self.dtype == torch.float32 else partial(_once, partial(opened, dtype=torch.float32))
                self._believe(kind, way, graph, run, inputs, exact)
            except Exception as error:  # of the exporter, of an engine: each has its own kinds
                failure = one_line(error)
                self._graphs.pop(key, None)
                forget(name)
                if absent and way not in made:  # what lay in the cache is broken: it is made again
                    ways.insert(0, way)
                continue
            checked.way = way
            if way != FREE:  # a folder of pictures may have as many sizes as pictures
                del self._graphs[key]
            return session
        try:
            run(*(x.clone() for x in inputs))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
            raise ArgumentError(
                f"{type(self.net).__name__} failed on {' and '.join(str(one) for one in shapes)}: {one_line(error)}; "
                "expected an image that it takes in torch"
            ) from error
        raise EngineError(
            f"{type(self.net).__name__} cannot run in {self.engine}: its {kind} part, {failure}; use engine='torch'"
        )

    def _ways(self, right: str) -> tuple[str, ...]:
        """The ways to make a graph of a part, from the one on that was right before."""
        ways = (FREE, FIXED, *((CONVERTED,) if self.engine == "openvino" else ()))
        return ways[ways.index(right) :] if right in ways else ways

    def _written(self, run: Callable[..., object], inputs: Sequence[Tensor], *, way: str, batched: bool) -> bytes:
        """The graph of a part: of its windows for any number of them, of an image for any size."""
        part = _Graph(self.net, run)
        if way == CONVERTED:
            return to_ir(part, inputs)
        if way == FIXED:
            return to_onnx(part, inputs)
        if batched:
            maps = [f"x{number}" for number, x in enumerate(inputs) if x.shape[0] == inputs[0].shape[0]]
            return to_onnx(part, inputs, dynamic={name: {0: "n"} for name in maps})
        (lr,) = inputs
        small = lr[..., : TRACED[0], : TRACED[1]]
        return to_onnx(part, [small], dynamic={"x0": {2: "height", 3: "width"}})

    def _believe(
        self,
        kind: str,
        way: str,
        graph: bytes,
        run: Callable[..., object],
        inputs: Sequence[Tensor],
        exact: Session,
    ) -> None:
        """Hold a graph against the network, unless that was done before; that it was right is remembered.

        Raises:
            EngineError: it computes something else.
        """
        checked = self._checked[kind]
        this = (hashlib.sha256(graph).hexdigest(), str(tuple(tuple(x.shape) for x in inputs)))
        before = [one for one in checked.sizes if one[0] == this[0]]
        if this in before or (way == FREE and len(before) >= SIZES_CHECKED):
            return
        self._check(run, inputs, exact([x.numpy() for x in inputs]))
        checked.way = way
        checked.sizes.append(this)
        checked.keep(f"{self._digest}-{kind}", engine=self.engine)

    def _check(self, run: Callable[..., object], inputs: Sequence[Tensor], found: Sequence[np.ndarray]) -> None:
        """Hold what a graph computes against what the network does.

        Raises:
            EngineError: it is something else.
        """
        expected = run(*(x.clone() for x in inputs))
        wanted: Sequence[Tensor] = expected if isinstance(expected, tuple | list) else [expected]  # type: ignore[list-item]
        if len(wanted) != len(found):
            raise EngineError(f"it returns {len(found)} tensors, not {len(wanted)}")
        for own, other in zip(wanted, found, strict=True):
            if tuple(other.shape) != tuple(own.shape):
                raise EngineError(f"it returns {tuple(other.shape)}, not {tuple(own.shape)}")
            difference = (torch.from_numpy(np.asarray(other)) - own).abs().mean() / own.abs().mean().clamp(min=1e-9)
            if not float(difference) < TOLERANCE:
                raise EngineError(f"what it computes differs by {float(difference):.1%}")


def _once(opened: Callable[[], Session], arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """A session that is opened when it is run, and for this alone."""
    return opened()(arrays)


def _tensor(x: np.ndarray) -> Tensor:
    """An array of a session's kind: uint16 are the bits of bfloat16."""
    found = torch.from_numpy(x)
    return found.view(torch.bfloat16) if x.dtype == np.uint16 else found
