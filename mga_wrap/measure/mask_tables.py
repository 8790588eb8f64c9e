"""The table of `mga-wrap mask-accuracy`: the paper's Table 1, for any network and any pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mga_wrap.errors import ArgumentError
from mga_wrap.infer.api import explain
from mga_wrap.measure.evaluate import MEAN
from mga_wrap.measure.grid import Grid
from mga_wrap.measure.mask import Agreement, agreement, mask_of
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.files import Picture

PAPER_KS = (200, 400, 600, 800, 1000, 1200, 1400)
"""The columns of Table 1."""


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


def mask_grid(rows: Sequence[MaskRow], *, title: str, paper: Mapping[int, float] | None = None) -> Grid:
    """A line for each k: accuracy on average, by chance, and the paper's where it is given."""
    averages = mask_means(rows)
    columns = ["k", "in both", "accuracy", "by chance", "lowest", "highest"] + (["paper"] if paper else [])
    lines = []
    for row in averages:
        each = [one.accuracy for one in rows if one.asked == row.asked]
        line = [str(row.asked), f"{row.both:.1f}"]
        line += [f"{share:.1%}" for share in (row.accuracy, row.chance, min(each), max(each))]
        lines.append(line + ([f"{paper[row.asked]:.1f}%" if row.asked in paper else ""] if paper else []))
    notes = [f"Means over {len({row.picture for row in rows})} pictures of {averages[0].patches:,.0f} patches."]
    if any(row.k < row.asked for row in rows):
        notes.append("Pictures with no more patches than k count as 100%.")
    return Grid(title, columns, lines, notes=notes)


def read_table_1(path: Path) -> dict[int, float]:
    """The accuracy in percent at each k, from the paper's Table 1 as CSV.

    Raises:
        ArgumentError: it cannot be read, or lacks the columns k and accuracy_percent.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return {int(row["k"]): float(row["accuracy_percent"]) for row in csv.DictReader(handle)}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ArgumentError(
            f"{path} is no Table 1 ({type(error).__name__}: {error}); expected the columns k, accuracy_percent"
        ) from error


def _row(name: str, asked: int, found: Agreement) -> MaskRow:
    return MaskRow(name, asked, found.k, found.patches, found.both, found.accuracy, found.chance)


def _mean(group: Sequence[MaskRow]) -> MaskRow:
    def over(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in group]))

    return MaskRow(MEAN, group[0].asked, over("k"), over("patches"), over("both"), over("accuracy"), over("chance"))
