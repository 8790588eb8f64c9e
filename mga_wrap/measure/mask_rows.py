"""How well the predicted mask chooses patches, picture by picture: the figures of the paper's Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mga_wrap.infer.api import explain
from mga_wrap.measure.error_mask import Agreement, agreement, mask_of
from mga_wrap.measure.rows import MEAN
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.files import Picture


@dataclass(frozen=True)
class MaskRow:
    """How well the predicted mask chooses, on one picture or on average."""

    picture: str
    """The HR file's name, or `MEAN`."""
    asked: int
    """The k that was asked for."""
    k: float
    """Patches chosen: no more than the picture has."""
    patches: float
    """Patches that the picture has."""
    both: float
    """Chosen by the predicted mask and by the true one."""
    accuracy: float
    """The share both / k, 0 to 1; the mean of it over pictures."""
    chance: float
    """What patches drawn at random reach: k / patches."""


def mask_rows(net: MGANet, lr: Picture, *, ks: Sequence[int], name: str) -> list[MaskRow]:
    """Compare the predicted mask of a picture with the true one, at each k.

    Raises:
        ArgumentError: a k is less than 1, or the network fails on this picture.
    """
    _, trace = explain(net, lr, k="all")
    predicted, true = trace.score[0], mask_of(trace, net=net)[0]
    return [_row(name, k, agreement(predicted, true, k=k)) for k in ks]


def mask_means(rows: Sequence[MaskRow]) -> list[MaskRow]:
    """The mean over the pictures, a row for each k that was asked for."""
    groups: dict[int, list[MaskRow]] = {}
    for row in rows:
        groups.setdefault(row.asked, []).append(row)
    return [_mean(group) for group in groups.values()]


def _row(name: str, asked: int, found: Agreement) -> MaskRow:
    return MaskRow(name, asked, found.k, found.patches, found.both, found.accuracy, found.chance)


def _mean(group: Sequence[MaskRow]) -> MaskRow:
    def over(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in group]))

    return MaskRow(MEAN, group[0].asked, over("k"), over("patches"), over("both"), over("accuracy"), over("chance"))
