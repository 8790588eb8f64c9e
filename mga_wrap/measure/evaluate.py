"""PSNR, SSIM, MACs and seconds of a network on a folder of pictures, by the protocol of the field and the paper."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mga_wrap.counting import count_macs
from mga_wrap.cut.original import Original, original_of
from mga_wrap.errors import ImageError
from mga_wrap.infer.api import enlarge
from mga_wrap.measure.costs import cost_table
from mga_wrap.measure.settings import ORIGINAL, Setting, variant_of, with_patch
from mga_wrap.nets.mga import Amount, MGANet
from mga_wrap.pictures.files import Picture
from mga_wrap.pictures.metrics import psnr, ssim
from mga_wrap.pictures.pairs import Pair, as_bytes, check_crop, pairs_of, read_pair

MEAN = "mean"


@dataclass(frozen=True)
class Row:
    """One picture at one k and p, or the mean over the pictures."""

    picture: str
    """The HR file's name, or `MEAN`."""
    k: Amount | None
    """How much was refined; None is the network's own k."""
    psnr_y: float
    """dB, on Y of BT.601 studio range, ``scale`` border pixels shaved."""
    ssim_y: float
    """0 to 1, as psnr_y."""
    p: int | None = None
    """Patch side in pixels of the feature; None is the network's own."""
    psnr_rgb: float | None = None
    """dB over all three channels, the same border; None if it was not asked for."""
    ssim_rgb: float | None = None
    """The mean over three channels; None if it was not asked for."""
    share: float | None = None
    """Refined patches over all, 0 to 1; None for a network without patches."""
    macs: float | None = None
    """Multiply-accumulates, see `count_macs`; None for a network that is no `MGANet`."""
    macs_paper: float | None = None
    """The same by the paper's rule."""
    seconds: float | None = None
    """From the lr values to the sr values: the median of the repeats. None if it was not timed."""

    @property
    def variant(self) -> str:
        """B, D, A or M of the paper, "original", or nothing."""
        return variant_of(self.k)


class Evaluation:
    """A network, and the ways in which it is run on each picture.

    Args:
        net: a network (B, 3, H, W) -> (B, 3, s*H, s*W), values in 0..1, on its device; left as it is.
        scale: s.
        settings: how it is run; only `Setting(None)` for a network that is no `MGANet`.
        rgb: also compare all three channels.
        repeats: how often each is timed; 0 times nothing.

    Raises:
        ArgumentError: `ORIGINAL` is asked of a network that does not hold it.
    """

    def __init__(
        self, net: nn.Module, *, scale: int, settings: Sequence[Setting], rgb: bool = False, repeats: int = 0
    ) -> None:
        self.scale, self.rgb, self.repeats = scale, rgb, repeats
        self._runs = [(setting, _network(net, setting)) for setting in settings]
        self._costs: dict[str, dict[str, float]] = {}
        self._warm = False

    def rows(self, lr: Picture, hr: np.ndarray, *, name: str) -> list[Row]:
        """Enlarge and compare one picture, in every way.

        Args:
            lr: the picture to enlarge.
            hr: (s*H, s*W, 3) uint8.
            name: for the rows and for errors.

        Raises:
            ImageError: the picture is too small for the border.
            ArgumentError: k or net are not what `mga_wrap.upscale` takes.
        """
        if self.repeats and not self._warm:
            for setting, net in self._runs:
                enlarge(net, lr, k=_amount(setting))
            self._warm = True
        return [self._row(net, setting, lr, hr, name=name) for setting, net in self._runs]

    def _row(self, net: nn.Module, setting: Setting, lr: Picture, hr: np.ndarray, *, name: str) -> Row:
        seconds = []
        for _ in range(max(1, self.repeats)):
            start = time.perf_counter()
            enlarged = enlarge(net, lr, k=_amount(setting))  # on the host when it returns: the device is done
            seconds.append(time.perf_counter() - start)
        sr, border = as_bytes(enlarged.rgb), self.scale
        try:
            measured: dict[str, Any] = {"psnr_y": psnr(sr, hr, border=border), "ssim_y": ssim(sr, hr, border=border)}
            if self.rgb:
                for metric in (psnr, ssim):
                    measured[f"{metric.__name__}_rgb"] = metric(sr, hr, border=border, channels="rgb")
        except ImageError as error:
            raise ImageError(f"cannot measure {name}: {error}") from error
        if self.repeats:
            measured["seconds"] = statistics.median(seconds)
        return Row(name, setting.k, p=setting.p, **measured, **self._cost(net, setting, *lr.size))

    def _cost(self, net: nn.Module, setting: Setting, width: int, height: int) -> dict[str, float]:
        key = repr((setting, height, width))  # 1 and 1.0 are not the same k
        if key not in self._costs:
            self._costs[key] = _count(net, setting, height, width)
        return self._costs[key]


def evaluate(
    net: nn.Module, files: Iterable[Path | Pair], *, scale: int, ks: Sequence[Amount | None], crop: int | None = None
) -> list[Row]:
    """Reduce each picture by exact bicubic interpolation, enlarge it again, and compare.

    A grey picture is treated as RGB with three equal channels; an alpha channel is left out.

    Args:
        net: a network (B, 3, H, W) -> (B, 3, s*H, s*W), values in 0..1, on its device; left as it is.
        files: the HR pictures, or pairs from `find_pairs`.
        scale: s.
        ks: each k to measure; (None,) for a network that has no k.
        crop: HR is cropped from the top left to multiples of this; None is 4 * scale, as in the paper.

    Returns:
        A row for each k and picture: all pictures of the first k, then of the second, ...

    Raises:
        ImageError: a picture cannot be read or is too small.
        ArgumentError: crop is no multiple of scale, or k or net are not what `mga_wrap.upscale` takes.
    """
    crop = check_crop(crop, scale=scale)
    evaluation = Evaluation(net, scale=scale, settings=[Setting(k) for k in ks])
    rows: list[list[Row]] = []
    for pair in pairs_of(files):
        rows.append(evaluation.rows(*read_pair(pair, scale=scale, crop=crop), name=pair.name))
    return [row for of_one_k in zip(*rows, strict=True) for row in of_one_k]


def means(rows: Iterable[Row]) -> list[Row]:
    """The mean over the pictures, one row for each k and p, in the order in which they come."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(repr((row.k, row.p)), []).append(row)  # 1 and 1.0 are not the same k
    averaged = [field.name for field in fields(Row) if field.name not in ("picture", "k", "p")]
    return [
        Row(MEAN, group[0].k, p=group[0].p, **{name: _mean([getattr(row, name) for row in group]) for name in averaged})
        for group in groups.values()
    ]


def _mean(values: list[Any]) -> Any:
    return None if None in values else float(np.mean(values))


def _network(net: nn.Module, setting: Setting) -> nn.Module:
    if not isinstance(net, MGANet):
        return net
    return original_of(net) if setting.k == ORIGINAL else with_patch(net, setting.p)


def _amount(setting: Setting) -> Amount | None:
    return None if setting.k == ORIGINAL else setting.k


def _count(net: nn.Module, setting: Setting, height: int, width: int) -> dict[str, float]:
    if isinstance(net, MGANet):
        table = cost_table(net, height, width, k=setting.k)
        return {"share": table.share, "macs": table.total.macs, "macs_paper": table.total.macs_paper}
    if isinstance(net, Original):
        hollow, lr = copy.deepcopy(net).to("meta"), torch.empty(1, 3, height, width, device="meta")
        return {"macs": count_macs(hollow, lr), "macs_paper": count_macs(hollow, lr, convention="paper")}
    return {}
