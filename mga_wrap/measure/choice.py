"""How good the choice of patches is: what it loses, and what the best choice would have lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mga_wrap.config import Amount
from mga_wrap.errors import ArgumentError
from mga_wrap.fitting.samples import patch_errors
from mga_wrap.infer.eval_mode import in_eval_mode
from mga_wrap.measure.grid import Grid
from mga_wrap.measure.rows import MEAN
from mga_wrap.nets.mask import covered
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.arrays import as_bytes, batch_from
from mga_wrap.pictures.files import Picture
from mga_wrap.pictures.metrics import psnr

SAME = 99.0
"""PSNR of equal pictures, in dB: infinity has no mean."""


@dataclass(frozen=True)
class ChoiceRow:
    """One picture at one k, or the mean over the pictures. PSNR is on Y, after rounding to 8 bits, border shaved."""

    picture: str
    """The HR file's name, or `MEAN`."""
    asked: str
    """The k that was asked for."""
    share: float
    """Refined patches over all, 0 to 1."""
    fidelity: float
    """PSNR in dB to the original's output."""
    loss: float
    """PSNR in dB to HR, below the original's."""
    least: float
    """The loss, had as many patches been chosen by the true squared error of the coarse image to the original."""

    @property
    def regret(self) -> float:
        """What a perfect score would gain, in dB."""
        return self.loss - self.least


def choice_rows(net: MGANet, lr: Picture, hr: np.ndarray, *, ks: Sequence[Amount], name: str) -> list[ChoiceRow]:
    """Compare the predicted choice of patches on a picture with the best, at each k, in float32.

    Args:
        net: in style "pretrained".
        lr: the picture to enlarge.
        hr: (s*H, s*W, 3) uint8.
        ks: how much is refined: 0, numbers of patches, shares, "auto".
        name: for the rows.

    Raises:
        ArgumentError: the style is "paper", "auto" of a network that was not fitted, or k="dense" or "all", which
            choose nothing.
    """
    if any(k in ("dense", "all") for k in ks):
        raise ArgumentError('got k="dense" or "all", which choose nothing; expected 0, a number, a share or "auto"')
    check_pretrained(net)
    image = batch_from(lr.rgb).to(next(net.parameters()))
    with torch.inference_mode():
        return list(_rows(in_eval_mode(net), image, hr, ks=ks, name=name))


def check_pretrained(net: MGANet) -> None:
    """See that the network has an original that its choice can be compared by.

    Raises:
        ArgumentError: it has none: its style is "paper".
    """
    if net.config.style != "pretrained":
        raise ArgumentError("got a network in style 'paper', whose refinement has no original to be compared with")


def _rows(net: MGANet, lr: Tensor, hr: np.ndarray, *, ks: Sequence[Amount], name: str) -> Iterator[ChoiceRow]:
    def against(sr: Tensor, other: np.ndarray) -> float:
        return min(psnr(_bytes(sr), other, border=net.scale), SAME)

    original = net(lr, k="dense")
    best, shown = against(original, hr), _bytes(original)
    coarse, *crossing = net.base(lr)
    grid = net.score(crossing[0], lr, coarse).shape[-2:]
    whole = covered(*crossing[0].shape[-2:], p=net.p, grid=(grid[0], grid[1]), like=coarse)
    errors = (whole * patch_errors(net, coarse, original, grid=(grid[0], grid[1]))).flatten(1)
    for k in ks:
        trace = net.trace(lr, k=k)
        count = round(trace.share * errors.shape[1])
        chosen = net.refine_patches(coarse, crossing, errors.topk(count).indices) if count else coarse
        yield ChoiceRow(
            name,
            str(k),
            trace.share,
            fidelity=against(trace.sr, shown),
            loss=best - against(trace.sr, hr),
            least=best - against(chosen, hr),
        )


def _bytes(image: Tensor) -> np.ndarray:
    return as_bytes(image[0].float().permute(1, 2, 0).cpu().numpy())


def choice_means(rows: Sequence[ChoiceRow]) -> list[ChoiceRow]:
    """The mean over the pictures, a row for each k that was asked for."""
    groups: dict[str, list[ChoiceRow]] = {}
    for row in rows:
        groups.setdefault(row.asked, []).append(row)
    figures = ("share", "fidelity", "loss", "least")
    return [
        ChoiceRow(MEAN, asked, **{name: float(np.mean([getattr(row, name) for row in group])) for name in figures})
        for asked, group in groups.items()
    ]


def choice_grid(rows: Sequence[ChoiceRow], *, title: str) -> Grid:
    """A line for each k: the means over the pictures."""
    lines = [
        [
            row.asked,
            f"{row.share:.3f}",
            f"{row.fidelity:.2f}",
            f"{row.loss:.3f}",
            f"{row.least:.3f}",
            f"{row.regret:.3f}",
        ]
        for row in choice_means(rows)
    ]
    notes = [
        f"dB on Y, means over {len({row.picture for row in rows})} pictures; loss: below the original; least: with the "
        "patches whose true error is largest; regret: the difference."
    ]
    return Grid(title, ["k", "share", "to the original", "loss", "least", "regret"], lines, notes=notes)
