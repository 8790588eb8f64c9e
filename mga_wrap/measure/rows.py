"""What was measured on one picture, or on average, in one of the ways in which a network is run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mga_wrap.measure.settings import ORIGINAL, Setting
from mga_wrap.nets.mga import Amount

MEAN = "mean"
_WHICH = ("picture", "k", "p", "original")
"""The fields that say what was measured; the others are figures."""


@dataclass(frozen=True)
class Row:
    """One picture at one k and p, or the mean over the pictures."""

    picture: str
    """The HR file's name, or `MEAN`."""
    k: Amount | None
    """How much was refined; None is the network's own k, and that of the original, which has none."""
    psnr_y: float
    """dB, on Y of BT.601 studio range, ``scale`` border pixels shaved."""
    ssim_y: float
    """0 to 1, as psnr_y."""
    p: int | None = None
    """Patch side in pixels of the feature; None is the network's own."""
    original: bool = False
    """Whether the network that was accelerated was run instead."""
    psnr_rgb: float | None = None
    """dB over all three channels, the same border; None if it was not asked for."""
    ssim_rgb: float | None = None
    """The mean over three channels; None if it was not asked for."""
    share: float | None = None
    """Refined patches over all, 0 to 1; None for a network without patches."""
    macs: float | None = None
    """Multiply-accumulates, see `count_macs`; None where a forward does not run without values."""
    macs_paper: float | None = None
    """The same by the paper's rule."""
    seconds: float | None = None
    """From the lr values to the sr values: the median of the repeats. None if it was not timed."""

    @property
    def setting(self) -> Setting:
        """The way in which the network was run."""
        return Setting(self.k, self.p, original=self.original)

    @property
    def variant(self) -> str:
        """B, D, A or M of the paper, "original", or nothing."""
        return self.setting.variant


def means(rows: Iterable[Row]) -> list[Row]:
    """The mean over the pictures, one row for each setting, in the order in which they come."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.setting.key, []).append(row)
    figures = [field.name for field in fields(Row) if field.name not in _WHICH]
    return [
        Row(
            MEAN,
            group[0].k,
            p=group[0].p,
            original=group[0].original,
            **{name: _mean([getattr(row, name) for row in group]) for name in figures},
        )
        for group in groups.values()
    ]


def record(row: Row) -> dict[str, Any]:
    """A row for CSV and JSON: what was measured, then the figures. The original is named in the column k."""
    k = ORIGINAL if row.original else row.k
    figures = {name: value for name, value in asdict(row).items() if name not in _WHICH}
    return {"picture": row.picture, "k": k, "p": row.p, "variant": row.variant, **figures}


def _mean(values: list[Any]) -> Any:
    return None if None in values else float(np.mean(values))
