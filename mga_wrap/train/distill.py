"""`distill`: a small network taught by the output of the user's large one, on the user's pictures, in a given time."""

from __future__ import annotations

import copy
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mga_wrap.backbones.registry import list_backbones
from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError, CutError, RangeWarning, TrainingError, one_line
from mga_wrap.fitting.sources import Images, apart, read_pictures
from mga_wrap.graph.trace import unchanged
from mga_wrap.measure.error_mask import luma
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.pair import PairBase
from mga_wrap.networks.load import load_network
from mga_wrap.networks.plain import student_for
from mga_wrap.origin import unwrapped
from mga_wrap.pair.build import build_pair
from mga_wrap.pair.meet import SIZES
from mga_wrap.pictures.synthetic import synthetic
from mga_wrap.train.crops import pool_of
from mga_wrap.train.data import Data, read_images
from mga_wrap.train.stages import STAGE_SETS, Stage
from mga_wrap.train.trainer import MGATrainer
from mga_wrap.train.validate import Validation, Validator

CROPS = (48, 64, 128)
"""Sides of a crop in lr pixels; the first that the model takes."""
BATCH = 8
HELD, HELD_SIDE = 6, 96
"""Pictures that are judged on, and their largest side in lr pixels."""
LOOKS = 8
"""Times that the student is judged."""
SPARE = 0.9
"""Share of the time that is planned: a machine is not always as fast as when it was measured."""
RATE, FRESH_RATE = 1e-3, 6e-3
"""By Muon, of a student that is trained already and of one that is not."""
WARMUP = 20
"""Muon's steps are even from the first on."""
Precision = Literal["no", "bf16"]


@dataclass(frozen=True)
class Distilled:
    """What `distill` made and reached; print it."""

    network: nn.Module
    """The student: plain, in eval mode."""
    seconds: float
    steps: int
    before: float
    """PSNR in dB on luma, to the original's output, of the student as it was given, on pictures held out."""
    after: float
    """The same of the student as it is now."""
    perceptual: bool
    """It learned colours and sharpness, for which PSNR is given up."""

    def __str__(self) -> str:
        how = ", colours and sharpness too" if self.perceptual else ""
        return (
            f"{self.steps} steps in {self.seconds:.0f} s{how}; PSNR to the original's output on pictures held out: "
            f"{self.before:.2f} -> {self.after:.2f} dB"
        )


@torch.inference_mode(False)
def distill(
    model: nn.Module,
    images: Images,
    *,
    minutes: float,
    student: nn.Module | str | os.PathLike[str] | None = None,
    perceptual: bool | None = None,
    precision: Precision | None = None,
    seed: int = 0,
) -> Distilled:
    """Teach a small network what a large one makes of your pictures: the base of a pair, or a network of its own.

    A quarter of the pictures is kept apart; what is returned is the best that was judged on them, the student as it was
    given among it (where sharpness is taught: by that loss, on crops held out of the others).

    Args:
        model: the original, any nn.Module lr -> sr. It is not changed.
        images: pictures of the kind that will be enlarged, taken for HR: a folder, a file, or images as
            `mga_wrap.upscale` takes them.
        minutes: about how long, above 0.
        student: where it starts: a network, or what `mga_wrap.networks.load_network` takes; it is not changed. None:
            the package's student of the model's scale.
        perceptual: teach colours and sharpness, too: for networks that were not trained for PSNR. None: yes, if to the
            real pictures the model is further than bicubic interpolation.
        precision: see `MGATrainer`.
        seed: of what is held out and drawn.

    Returns:
        What was reached, and the network: `mga_wrap.save_network` writes it, `accelerate(model, base=network)` uses it.

    Warns:
        RangeWarning: one of the two makes no image of a picture in 0..1: untrained, or of another range.

    Raises:
        ArgumentError: an argument is out of its range, the two networks are of other scales or channels, or the
            package has no student of this scale.
        CutError: the model returns no finite values, or takes no crops.
        ImageError: there are no images, or none large enough.
        TrainingError: a loss is not finite.

    Example:
        ```python
        found = mga.distill(model, "photos", minutes=30)
        mga.save_network(found.network, "small")
        net = mga.accelerate(model, base="small", fit="photos")
        ```
    """
    start = time.monotonic()
    _check(minutes, precision)
    model = unwrapped(model)
    if isinstance(model, MGANet):
        raise ArgumentError("got an accelerated network as the model; give the network that it was made of")
    scale = scale_of(model)
    small = _student(student, scale)
    pair, met = build_pair(model, small, CutConfig(p=16, halo=2))
    if met.doubt:
        warnings.warn(met.doubt, RangeWarning, stacklevel=3)  # past the decorator: the caller's line
    crop = _crop_of(pair)
    pictures = read_pictures(images, smallest=crop * scale)
    learn, held = apart(pictures, smallest=crop * scale, seed=seed)
    with tempfile.TemporaryDirectory(prefix="mga-distill-") as place:
        folder = Path(place)
        _write(learn, folder / "learn")
        _write([_middle(one, HELD_SIDE * scale) for one in held[:HELD]], folder / "held")
        for_the_eye = is_perceptual(pair, folder / "held") if perceptual is None else perceptual
        measure = Validator(pair, Validation(folder / "held", images=HELD, k=(0,)), taught=True)
        before = measure(pair)["psnr_0"]
        left = 60 * minutes * SPARE - (time.monotonic() - start)
        stage = plan(pair, crop=crop, seconds=left, fresh=student in list_backbones(), perceptual=for_the_eye)
        trainer = MGATrainer(
            pair,
            Data(hr=folder / "learn", detail=1.0),
            output_dir=folder / "training",
            stages=[stage],
            target="original",
            validation=Validation(folder / "held", images=HELD, every=max(1, stage.steps // LOOKS), k=(0,)),
            seed=seed,
            device="auto" if next(model.parameters()).is_cuda else "cpu",
            precision=precision,
            save_seconds=60.0 * minutes,
        )
        trainer.fit()
        after = measure(pair)["psnr_0"]
    network = taken_out(pair, small)
    return Distilled(network, time.monotonic() - start, stage.steps, before, after, for_the_eye)


def _check(minutes: float, precision: object) -> None:
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes < math.inf:
        raise ArgumentError(f"got minutes={minutes!r}; expected a number above 0, e.g. 30")
    if precision not in ("no", "bf16", None):
        raise ArgumentError(f"got precision={precision!r}; expected 'no', 'bf16' or None")


@torch.no_grad()
def scale_of(model: nn.Module) -> int:
    """How many times a side grows, by running the model on small pictures.

    Raises:
        ArgumentError: model is no network.
        CutError: it fails on all of them, or returns values that are not finite.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"got model of type {type(model).__name__}; expected an nn.Module that turns lr into sr")
    alone, reasons = copy.deepcopy(model).eval(), []
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    for size in SIZES:
        lr = synthetic(*size).to(like)
        try:
            with unchanged(alone):
                sr = alone(lr)
        except Exception as error:  # whatever a forward does with an image that it does not take
            reasons.append(one_line(error))
            continue
        if not isinstance(sr, Tensor) or sr.ndim != 4 or sr.shape[-1] < lr.shape[-1]:
            raise ArgumentError(f"{type(model).__name__} returns no enlarged image (B, 3, s*H, s*W); wrap it")
        if not bool(sr.isfinite().all()):
            raise CutError(
                f"{type(model).__name__} returns values that are not finite for a picture of {tuple(lr.shape)}; there "
                "is nothing to learn from: check its weights"
            )
        return sr.shape[-1] // lr.shape[-1]
    raise CutError(f"{type(model).__name__} takes no image of 3 channels in 0..1 that was tried: {reasons[0]}")


def _student(student: nn.Module | str | os.PathLike[str] | None, scale: int) -> nn.Module:
    """A network of that scale, none of the caller's."""
    if student is None:
        student = student_for(scale)
    if isinstance(student, nn.Module):
        small = copy.deepcopy(student)
    else:
        small = load_network(student, scale=scale if student in list_backbones() else None)
    if isinstance(small, MGANet):
        raise ArgumentError("got an accelerated network as the student; expected a plain one, e.g. student-x4")
    own = scale_of(small)
    if own != scale:
        raise ArgumentError(
            f"got a student that enlarges by {own} for a model that enlarges by {scale}; expected one of the same "
            "scale, or student=None for the package's own"
        )
    return small


@torch.no_grad()
def _crop_of(pair: MGANet) -> int:
    """The side of a crop that the model takes."""
    reasons = []
    for side in CROPS:
        try:
            pair(synthetic(side, side).to(next(pair.parameters())), k="dense")
        except Exception as error:  # whatever a forward does with an image that it does not take
            reasons.append(one_line(error))
        else:
            return side
    raise CutError(f"the model takes no crops of {', '.join(map(str, CROPS))} pixels a side: {reasons[0]}")


def _write(pictures: list[np.ndarray], folder: Path) -> None:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{number:05d}.png", compress_level=1)


def _middle(picture: np.ndarray, side: int) -> np.ndarray:
    top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


@torch.no_grad()
def is_perceptual(pair: MGANet, folder: Path) -> bool:
    """Whether the original is further from the real pictures, by PSNR on luma, than bicubic interpolation."""
    read = read_images(Data(hr=folder), scale=pair.scale, channels=3, smallest=1, taught=False)
    errors: list[list[float]] = [[], []]
    for one in read.pairs:
        lr, hr = (_tensor(x).to(next(pair.parameters())) for x in (one.lr, cast(np.ndarray, one.hr)))
        bicubic = nn.functional.interpolate(lr, scale_factor=pair.scale, mode="bicubic")
        for found, sr in zip(errors, (pair(lr, k="dense"), bicubic), strict=True):
            found.append(float((luma(sr.clamp(0, 1)) - luma(hr)).square().mean().clamp(min=1e-10).log10()))
    return float(np.mean(errors[0])) > float(np.mean(errors[1]))


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


def plan(pair: MGANet, *, crop: int, seconds: float, fresh: bool, perceptual: bool) -> Stage:
    """One stage of as many steps as fit into the time, by what a crop and a step take on this machine.

    Args:
        pair: the student as Base-Net, the original as Refine-Net.
        crop: side in lr pixels.
        seconds: for everything; at least one step is planned.
        fresh: the student has learned nothing yet.
        perceptual: colours and sharpness, too.
    """
    lr = synthetic(crop, crop).to(next(pair.parameters()))
    with torch.no_grad():
        a_crop = _fastest(lambda: pair(lr, k="dense"))
    batch = lr.repeat(BATCH, 1, 1, 1)
    with torch.enable_grad():
        a_step = _fastest(lambda: pair.base(batch)[0].square().mean().backward())
    pair.zero_grad(set_to_none=True)
    losses = STAGE_SETS["finetune-perceptual" if perceptual else "finetune"][0].losses
    return Stage(
        "distill",
        ("base",),
        losses,
        steps=steps_in(seconds, a_crop=a_crop, a_step=a_step),
        batch=BATCH,
        crop=crop,
        rate=FRESH_RATE if fresh else RATE,
        warmup=WARMUP,
        optimiser="muon",
    )


def steps_in(seconds: float, *, a_crop: float, a_step: float) -> int:
    """The steps that fit into a time: each crop of the pool is made once by the original. At least 1."""

    def cost(steps: int) -> float:
        return min(steps * BATCH, pool_of(steps * BATCH)) * a_crop + steps * a_step

    low, high = 1, max(2, math.ceil(seconds / a_step))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= seconds else (low, middle)
    return low


def _fastest(run: Callable[[], object]) -> float:
    """Seconds of the faster of two runs, after one that warms up."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        run()
        times.append(time.monotonic() - start)
    return min(times[1:])


def taken_out(pair: MGANet, small: nn.Module) -> nn.Module:
    """A copy of the small network with the weights of a pair's Base-Net.

    Raises:
        TrainingError: the Base-Net does not hold them under their names.
    """
    assert isinstance(pair.base, PairBase)
    learned = pair.base.small.state_dict()
    network = copy.deepcopy(small)
    own = network.state_dict()
    if missing := [name for name in own if name not in learned]:
        raise TrainingError(f"the student's {', '.join(missing[:3])} cannot be found again after training")
    network.load_state_dict({name: learned[name] for name in own})
    return network.eval().requires_grad_(True)
