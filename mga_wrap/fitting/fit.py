"""`fit`: collect crops, fit the coarse tail, fit the score, calibrate it, and say what was reached, in a given time."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mga_wrap.errors import ArgumentError
from mga_wrap.fitting import score as score_fit
from mga_wrap.fitting import tail as tail_fit
from mga_wrap.fitting.match import match_colours
from mga_wrap.fitting.samples import Sample, light_tail, luma, sample
from mga_wrap.fitting.sources import Images, apart, crops, read_pictures
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.parts import coarse_tail
from mga_wrap.nets.score import ScorePredictor

SHARES = (0.0, 0.1, 0.2, 0.3)
"""Shares of refined patches that are reported; 0 is the coarse image."""
CROPS = 400
"""Most crops that are learned from: more bring little, and take memory."""
HELD = 48
"""Most crops that are measured on."""
PATCHES = 6
"""Patches a side of a crop."""
PATCHES_PAIR = 4
"""The same for a pair, whose original is dear and whose patches are larger."""
UNTIL = {"collect": 0.3, "tail": 0.75, "score": 0.92}
"""Shares of the time at which each part is over; the rest is for measuring."""
MEASURE = 0.05
"""Share of the time for each of the two measurements."""
LEAST = 4
"""Crops that are measured on at least."""
COLLECT_PAIR = 0.7
"""The same for a pair: it has no coarse tail, and its original is the dear part."""
NOTHING = 0.01
"""dB below the original, to the real image, that are worth no refining."""
ALONE = "by PSNR to the real images the small network alone is as good: use it, or k=0"
SCORE_STEPS = 600
"""More did not choose better."""


@dataclass(frozen=True)
class FitRow:
    """How near the network is at one share, as means over crops that it was not fitted on."""

    share: float
    """Refined patches over all; 0: the coarse image."""
    fidelity: float
    """PSNR in dB on luma, to the original's output."""
    loss: float
    """PSNR in dB on luma, to the real image, below the original's."""


@dataclass(frozen=True)
class FitReport:
    """What `fit` did and reached; print it."""

    seconds: float
    crops: int
    """Crops that were learned from."""
    steps: int
    """Steps that the coarse tail learned by gradient."""
    held_out: int
    """Crops that were not learned from, on which the figures are."""
    before: tuple[FitRow, ...]
    after: tuple[FitRow, ...]
    small_is_enough: bool = False
    """Of a pair: its small network is as near to the real images as the original."""

    def __str__(self) -> str:
        head = f"fitted in {self.seconds:.0f} s on {self.crops} crops; on {self.held_out} others, before -> after:"
        rows = [
            f"{new.share:5.1f}   {old.fidelity:8.2f} -> {new.fidelity:5.2f} dB   {old.loss:8.2f} -> {new.loss:5.2f} dB"
            for old, new in zip(self.before, self.after, strict=True)
        ]
        advice = [ALONE] if self.small_is_enough else []
        return "\n".join([head, "share   PSNR to the original   below the original", *rows, *advice])


@torch.inference_mode(False)
def fit(
    net: MGANet,
    images: Images,
    *,
    seconds: float = 60.0,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> FitReport:
    """Fit what is new in an accelerated network: its coarse tail and its score; the original's weights stay.

    The coarse tail is solved for by least squares where it is a light one, then learns by gradient while time lasts;
    the score is a regression on the errors that are left, and k="auto" is calibrated by them. All is taught by the
    original's own output, computed once for each crop. A quarter of the images is not learned from: by these the best
    weights are chosen, the start among them, and the report's figures are theirs.

    Args:
        net: from `accelerate`, style "pretrained"; it is changed, but for the original's weights in it.
        images: a folder, a file, or PIL images, arrays or tensors as `upscale` takes them. They stand for what the
            network is to make: reduced, they are its input. Any images of the kind that will be enlarged do, LR images
            too, whose reduction then is the input.
        seconds: about how long, 0 changes nothing and only measures. More is better, up to some minutes.
        seed: of the draw of crops and steps. The same seed takes the same crops in the same order; how many there is
            time for depends on the machine.
        report: called with a line now and then.

    Returns:
        What was reached; print it.

    Raises:
        ArgumentError: net is in style "paper", seconds is negative, there are no images.
        ImageError: an image cannot be read, or all are too small.
        TrainingError: the original returns NaN.

    Example:
        ```python
        net = mga.accelerate(model, coarse_tail="light")
        print(mga.fit(net, "photos", seconds=60))
        sr = net(lr, k="auto", max_loss=0.1)
        ```
    """
    _check(net, seconds)
    run = _Run(net, images, seconds=float(seconds), seed=seed, report=report or _silent)
    with _undisturbed(net):
        return run.run()


class _Run:
    """One call of `fit`."""

    def __init__(
        self, net: MGANet, images: Images, *, seconds: float, seed: int, report: Callable[[str], None]
    ) -> None:
        self.start = time.monotonic()
        self.net, self.seconds, self.seed, self.report = net, seconds, seed, report
        patches = PATCHES_PAIR if net.is_pair else PATCHES
        self.side = patches * net.p * net.geometry.zoom // net.scale
        smallest = (net.p + 2 * net.halo) * net.geometry.zoom
        self.learn_from, self.measure_on = apart(
            read_pictures(images, smallest=smallest), smallest=2 * smallest, seed=seed
        )

    def run(self) -> FitReport:
        net = self.net
        held, learn = self._collect()
        reported, before = self._measure_first(held)
        steps = 0
        if learn:
            self.report(
                f"{len(learn)} crops; the coarse image is {before[0].fidelity:.2f} dB from the original's output"
            )
            steps = self._fit_tail(learn, held)
            self._fit_score(learn, held)
            net.fitted = True
        after = rows(net, reported)
        enough = net.is_pair and after[0].loss <= NOTHING and not _for_the_eye(reported)
        return FitReport(time.monotonic() - self.start, len(learn), steps, len(reported), before, after, enough)

    def _measure_first(self, held: list[Sample]) -> tuple[list[Sample], tuple[FitRow, ...]]:
        """The crops that the report is on, as many as there is time to measure twice, and how they are before."""
        start = time.monotonic()
        rows(self.net, held[:1])
        each = time.monotonic() - start
        count = max(LEAST, int(MEASURE * self.seconds / max(each, 1e-9)))
        return held[:count], rows(self.net, held[:count])

    @property
    def _over(self) -> float:
        """The share of the time that is over."""
        return (time.monotonic() - self.start) / self.seconds if self.seconds else 1.0

    def _collect(self) -> tuple[list[Sample], list[Sample]]:
        """(held out, to learn from): in turn, so that any time gives enough of both."""
        measure = crops(self.measure_on, scale=self.net.scale, side=self.side, seed=self.seed + 1)
        learn = crops(self.learn_from, scale=self.net.scale, side=self.side, seed=self.seed)
        held = [sample(self.net, crop) for crop in itertools.islice(measure, LEAST)]
        found: list[Sample] = []
        until = COLLECT_PAIR if self.net.is_pair else UNTIL["collect"]
        while self.seconds and len(found) < CROPS and (self._over < until or len(found) < 16):
            found.append(sample(self.net, next(learn)))
            if len(found) % 6 == 0 and len(held) < HELD:
                held.append(sample(self.net, next(measure)))
        return held, found

    def _clock(self, *, until: float) -> Callable[[], float]:
        """What says which share is over of the time from now to a share of the whole."""
        begun = self._over
        return lambda: (self._over - begun) / max(until - begun, 1e-9)

    def _fit_tail(self, learn: list[Sample], held: list[Sample]) -> int:
        net, tail = self.net, light_tail(self.net)
        if net.is_pair:
            if match_colours(net, learn, held):
                self.report("the colours of the coarse image are matched to the original's")
            return 0
        names = coarse_tail(net, side=self.side)
        parameters = [parameter for name, parameter in net.named_parameters() if name in names]
        if tail is not None:
            _kept_if_better(
                net, held, parameters, lambda: tail_fit.solve(tail, learn, seed=self.seed, seconds=self.seconds)
            )
        clock = self._clock(until=UNTIL["tail"])
        steps = tail_fit.learn_by_gradient(net, parameters, learn, held, seed=self.seed, going_on=clock)
        for one in learn:
            one.refresh(net)
        return steps

    def _fit_score(self, learn: list[Sample], held: list[Sample]) -> None:
        if not isinstance(self.net.mask, ScorePredictor):
            return
        self.report(f"the coarse image is {rows(self.net, held, shares=SHARES[:1])[0].fidelity:.2f} dB from it")
        clock = self._clock(until=UNTIL["score"])
        score_fit.regress_if_better(self.net, learn, held, seed=self.seed, steps=SCORE_STEPS, going_on=clock)
        score_fit.calibrate(self.net, held)


@torch.no_grad()
def rows(net: MGANet, held: Sequence[Sample], *, shares: Sequence[float] = SHARES) -> tuple[FitRow, ...]:
    """The network as it is, on crops."""
    found: list[list[tuple[float, float]]] = [[] for _ in shares]
    for one in held:
        one.refresh(net)
        ring = net.scale
        target, reference = (luma(x.clamp(0, 1))[..., ring:-ring, ring:-ring] for x in (one.original, one.hr))
        own = _psnr(target, reference)
        for share, of_share in zip(shares, found, strict=True):
            image = net(one.lr, k=share)
            shown = luma(image.clamp(0, 1))[..., ring:-ring, ring:-ring]
            of_share.append((_psnr(shown, target), own - _psnr(shown, reference)))
    means = (torch.tensor(of_share).mean(dim=0).tolist() for of_share in found)
    return tuple(FitRow(share, *pair) for share, pair in zip(shares, means, strict=True))


def _for_the_eye(held: Sequence[Sample]) -> bool:
    """Whether the original is further from the real images than bicubic interpolation: PSNR to them says nothing."""
    ahead = 0.0
    for one in held:
        bicubic = nn.functional.interpolate(one.lr, size=one.hr.shape[-2:], mode="bicubic")
        known, own, simple = (luma(x.clamp(0, 1)) for x in (one.hr, one.original, bicubic))
        ahead += _psnr(own, known) - _psnr(simple, known)
    return ahead < 0


def _psnr(one: Tensor, two: Tensor) -> float:
    return float(-10 * (one - two).square().mean().clamp(min=1e-10).log10())


def _kept_if_better(
    net: MGANet, held: Sequence[Sample], parameters: Sequence[nn.Parameter], change: Callable[[], None]
) -> None:
    before, old = rows(net, held, shares=SHARES[:1])[0].fidelity, [p.detach().clone() for p in parameters]
    change()
    if rows(net, held, shares=SHARES[:1])[0].fidelity < before:
        with torch.no_grad():
            for parameter, value in zip(parameters, old, strict=True):
                parameter.copy_(value)


@contextmanager
def _undisturbed(net: MGANet) -> Iterator[None]:
    """In eval mode, with what learns and the modes as they were afterwards; torch's random state is not touched."""
    modes = [(module, module.training) for module in net.modules()]
    grads = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    said, net.said_unfitted = net.said_unfitted, True  # it is used to be fitted
    try:
        net.eval().requires_grad_(False)
        if isinstance(net.mask, ScorePredictor):
            net.mask.requires_grad_(True)
        with torch.no_grad():
            yield
    finally:
        net.said_unfitted = said
        for module, mode in modes:
            module.training = mode
        for parameter, grad in grads:
            parameter.requires_grad_(grad)
            parameter.grad = None


def _check(net: MGANet, seconds: float) -> None:
    if not isinstance(net, MGANet):
        raise ArgumentError(f"got net of type {type(net).__name__}; expected an MGANet: see mga_wrap.accelerate")
    if net.config.style != "pretrained":
        raise ArgumentError(
            "got a network in style 'paper', which has no original's output to be fitted to; train it by MGATrainer"
        )
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ArgumentError(f"got seconds={seconds!r}; expected 0 or more")


def _silent(line: str) -> None:
    """Say nothing."""
