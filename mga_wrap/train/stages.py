"""Stages of a training, as data: which parts learn, from which losses, for how long and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from mga_wrap.errors import ArgumentError, nearest
from mga_wrap.train.losses import LOSSES, SCORE

LEAST = {"steps": 1, "batch": 1, "crop": 1, "warmup": 0, "cycles": 1, "accumulate": 1}
"""The smallest value of each whole number."""
OPTIMISERS = ("adam", "muon")


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Raises:
        ArgumentError: a value is out of its range, or a loss is unknown.
    """

    name: str
    """Shown in the log; each stage of a training has its own."""
    parts: tuple[str, ...]
    """What learns; all else is frozen: "base", "mask", "refine", a dotted name of a module in them, or "coarse_tail":
    the parameters of the Base-Net that only the coarse image depends on."""
    losses: Mapping[str, float]
    """The weight of each loss by its name, see `mga_wrap.train.losses.LOSSES`; what no loss needs is not computed."""
    steps: int
    """Updates of the weights."""
    batch: int
    """Crops a step, in each process and each accumulated part of a step."""
    crop: int
    """Side of a crop in lr pixels."""
    rate: float
    """Highest learning rate: reached after `warmup` steps, then a cosine down to 0."""
    warmup: int = 200
    """Steps in which the learning rate rises. In a stage of less than twice as many it rises as fast, for half of them,
    and not to the top: an optimiser that has seen few gradients moves every weight by the whole rate."""
    cycles: int = 1
    """How many times the cosine goes down from the top."""
    accumulate: int = 1
    """Batches whose gradients are averaged for one step."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is validated and kept; 0 for no average."""
    least_squares: bool = False
    """Let a light coarse tail start by least squares (`mga_wrap.fit_coarse_tail`); nothing for other tails."""
    optimiser: Literal["adam", "muon"] = "adam"
    """"muon" moves matrices by orthogonal steps (timm): for layers that start from nothing."""

    @property
    def for_the_eye(self) -> bool:
        """Whether it teaches sharpness, for which PSNR is given up."""
        return any(name.endswith("_sharpness") for name in self.losses)

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"stage {self.name!r}: got {name}={value!r}; expected a whole number >= {least}")
        for name, top in (("rate", 1.0), ("clip", float("inf")), ("ema", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < top:
                raise ArgumentError(f"stage {self.name!r}: got {name}={value!r}; expected 0 <= {name} < {top}")
        if self.optimiser not in OPTIMISERS:
            raise ArgumentError(f"stage {self.name!r}: got the optimiser {nearest(self.optimiser, OPTIMISERS)}")
        if isinstance(self.parts, str) or not self.parts:
            raise ArgumentError(f"stage {self.name!r}: got parts={self.parts!r}; expected a list of parts, e.g. [base]")
        if not self.losses:
            raise ArgumentError(f"stage {self.name!r} has no loss; expected some of {', '.join(LOSSES)}")
        for loss, weight in self.losses.items():
            if loss not in LOSSES:
                raise ArgumentError(f"stage {self.name!r}: got the loss {nearest(loss, LOSSES)}")
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise ArgumentError(f"stage {self.name!r}: got the weight {weight!r} of {loss}; expected a number")


_BOTH = ("base", "refine")
_RESTORE = Stage("restore", _BOTH, {"refined_l1": 10, "coarse_l1": 1}, steps=100_000, batch=16, crop=32, rate=1e-3)
_MASK = Stage("mask", ("mask",), {"mask_l1": 10}, steps=20_000, batch=16, crop=48, rate=1e-3)

PAPER_STAGES: tuple[Stage, ...] = (_RESTORE, _MASK)
"""For style "paper": Base-Net and Refine-Net with every patch refined, then the mask predictor by the true gain."""

FINETUNE_STAGES: tuple[Stage, ...] = (
    Stage("coarse", ("coarse_tail",), {"coarse_psnr": 1}, steps=4_000, batch=8, crop=48, rate=3e-4, least_squares=True),
    Stage("mask", ("mask",), {SCORE: 1}, steps=400, batch=4, crop=96, rate=2e-3),
)
"""For a trained network in style "pretrained": the coarse tail, then the score; its own weights stay."""

_PERCEPTUAL = {"coarse_psnr_rgb": 1.0, "coarse_sharpness": 0.3}
_COARSE_PERCEPTUAL = replace(FINETUNE_STAGES[0], losses=_PERCEPTUAL)

STAGE_SETS: dict[str, tuple[Stage, ...]] = {
    "paper": PAPER_STAGES,
    "finetune": FINETUNE_STAGES,
    "finetune-all": (
        replace(FINETUNE_STAGES[0], steps=1_000),
        Stage("together", _BOTH, {"coarse_psnr": 1, "dense_psnr": 0.3}, steps=3_000, batch=8, crop=48, rate=2e-4),
        *FINETUNE_STAGES[1:],
    ),
    "finetune-perceptual": (_COARSE_PERCEPTUAL, *FINETUNE_STAGES[1:]),
    "finetune-perceptual-all": (
        replace(_COARSE_PERCEPTUAL, steps=1_000),
        Stage(
            "together",
            _BOTH,
            {**_PERCEPTUAL, "dense_psnr_rgb": 0.3, "dense_sharpness": 0.1},
            steps=3_000,
            batch=8,
            crop=48,
            rate=2e-4,
        ),
        *FINETUNE_STAGES[1:],
    ),
    "fsrcnn": (
        Stage("restore", _BOTH, {"refined_psnr": 0.8, "coarse_psnr": 0.2}, steps=40_000, batch=4, crop=48, rate=2e-3),
        Stage("mask", ("mask",), {"mask_l1": 10}, steps=1_200, batch=8, crop=32, rate=2e-3),
    ),
    "scratch": (
        Stage("restore", _BOTH, {"dense_psnr": 1, "coarse_psnr": 0.5}, steps=10_000, batch=8, crop=48, rate=1e-3),
        *FINETUNE_STAGES[1:],
    ),
    "table9-e2e": (
        replace(_RESTORE, name="e2e", parts=("base", "mask", "refine"), losses={**_RESTORE.losses, "mask_l1": 10}),
    ),
    "table9-without-supervision": (_RESTORE, replace(_MASK, losses={"gated_l1": 10})),
}
"""Named sets of stages, for `stages:` in a config."""


def stage_set(name: str) -> tuple[Stage, ...]:
    """The stages of a name in `STAGE_SETS`.

    Raises:
        ArgumentError: there is no such set; the message names the nearest.
    """
    if name not in STAGE_SETS:
        raise ArgumentError(f"got the stages {nearest(name, STAGE_SETS)}")
    return STAGE_SETS[name]


def changed(stages: Sequence[Stage], changes: Mapping[str, Mapping[str, Any]]) -> tuple[Stage, ...]:
    """The stages with some of their fields replaced.

    Args:
        stages: any.
        changes: new values of fields, by the name of the stage.

    Raises:
        ArgumentError: there is no such stage or field, or a value is out of its range.
    """
    names = [stage.name for stage in stages]
    known = [field.name for field in fields(Stage)]
    for name, change in changes.items():
        if name not in names:
            raise ArgumentError(f"got a change of the stage {nearest(name, names)}")
        for key in change:
            if key not in known:
                raise ArgumentError(f"stage {name!r}: got {nearest(key, known)}")
    return tuple(replace(stage, **changes.get(stage.name, {})) for stage in stages)
