"""PSNR, SSIM, MACs and seconds of a network on a folder of pictures, by the protocol of the field and the paper."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mga_wrap.config import Amount
from mga_wrap.counting import count_macs
from mga_wrap.cut.original import original_of
from mga_wrap.errors import ArgumentError, ImageError, one_line
from mga_wrap.infer.api import enlarge, explain
from mga_wrap.infer.compiled import Engine
from mga_wrap.measure.costs import cost_table
from mga_wrap.measure.rows import Row
from mga_wrap.measure.settings import Setting, with_patch
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.files import Picture
from mga_wrap.pictures.metrics import Channels, psnr, ssim
from mga_wrap.pictures.pairs import Pair, as_bytes, check_crop, pairs_of, read_pair


class Evaluation:
    """A network, and the ways in which it is run on each picture.

    Args:
        net: a network (B, 3, H, W) -> (B, 3, s*H, s*W), values in 0..1, on its device; left as it is.
        scale: s.
        settings: how it is run; only `Setting()` for a network that is no `MGANet`.
        rgb: also compare all three channels.
        repeats: how often each is timed; 0 times nothing.
        engine: see `mga_wrap.compile`.

    Raises:
        ArgumentError: the original is asked of a network that does not hold it.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        scale: int,
        settings: Sequence[Setting],
        rgb: bool = False,
        repeats: int = 0,
        engine: Engine = "torch",
    ) -> None:
        self.scale, self.rgb, self.repeats, self.engine = scale, rgb, repeats, engine
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
                enlarge(net, lr, k=setting.k, engine=self.engine)
            self._warm = True
        return [self._row(net, setting, lr, hr, name=name) for setting, net in self._runs]

    def _row(self, net: nn.Module, setting: Setting, lr: Picture, hr: np.ndarray, *, name: str) -> Row:
        seconds = []
        for _ in range(max(1, self.repeats)):
            start = time.perf_counter()
            enlarged = enlarge(
                net, lr, k=setting.k, engine=self.engine
            )  # on the host when it returns: the device is done
            seconds.append(time.perf_counter() - start)
        try:
            figures = self._quality(as_bytes(enlarged.rgb), hr) | self._cost(net, _counted(net, setting, lr), *lr.size)
        except ImageError as error:
            raise ImageError(f"cannot measure {name}: {one_line(error)}") from error
        if self.repeats:
            figures["seconds"] = statistics.median(seconds)
        return Row(name, setting.k, p=setting.p, original=setting.original, **figures)

    def _quality(self, sr: np.ndarray, hr: np.ndarray) -> dict[str, float]:
        channels: tuple[Channels, ...] = ("y", "rgb") if self.rgb else ("y",)
        return {
            f"{metric.__name__}_{of}": metric(sr, hr, border=self.scale, channels=of)
            for of in channels
            for metric in (psnr, ssim)
        }

    def _cost(self, net: nn.Module, setting: Setting, width: int, height: int) -> dict[str, float]:
        key = f"{setting.key}, {height} x {width}"
        if key not in self._costs:
            self._costs[key] = _count(net, setting, height, width)
        return self._costs[key]


def evaluate(
    net: nn.Module,
    files: Iterable[Path | Pair],
    *,
    scale: int,
    ks: Sequence[Amount | None],
    original: bool = False,
    crop: int | None = None,
) -> list[Row]:
    """Reduce each picture by exact bicubic interpolation, enlarge it again, and compare.

    A grey picture is treated as RGB with three equal channels; an alpha channel is left out.

    Args:
        net: a network (B, 3, H, W) -> (B, 3, s*H, s*W), values in 0..1, on its device; left as it is.
        files: the HR pictures, or pairs from `find_pairs`.
        scale: s.
        ks: each k to measure; (None,) for a network that has no k.
        original: also measure the network that was accelerated, out of the layers of the `MGANet`.
        crop: HR is cropped from the top left to multiples of this; None is 4 * scale, as in the paper.

    Returns:
        A row for each k and picture: all pictures of the first k, then of the second, ...; those of the original last.

    Raises:
        ImageError: a picture cannot be read or is too small.
        ArgumentError: crop is no multiple of scale, k or net are not what `mga_wrap.upscale` takes, or net does not
            hold the original.

    Example:
        ```pycon
        >>> from pathlib import Path
        >>> import mga_wrap as mga
        >>> from mga_wrap.measure import evaluate, means
        >>> model = mga.create_backbone("fsrcnn", scale=2)
        >>> net = mga.accelerate(model)
        >>> rows = evaluate(net, [Path("photo.png")], scale=2, ks=[0.25, "dense"], original=True)
        >>> [(row.picture, row.variant) for row in rows]
        [('photo.png', 'M'), ('photo.png', 'D'), ('photo.png', 'original')]
        >>> rows[1].psnr_y == rows[2].psnr_y  # k="dense" gives the original's image
        True
        >>> [row.psnr_y == mean.psnr_y for row, mean in zip(rows, means(rows))]  # of one picture
        [True, True, True]

        ```
    """
    crop = check_crop(crop, scale=scale)
    settings = [Setting(k) for k in ks] + ([Setting(original=True)] if original else [])
    evaluation = Evaluation(net, scale=scale, settings=settings)
    by_picture = [evaluation.rows(*read_pair(pair, scale=scale, crop=crop), name=pair.name) for pair in pairs_of(files)]
    return [row for of_one_setting in zip(*by_picture, strict=True) for row in of_one_setting]


def _network(net: nn.Module, setting: Setting) -> nn.Module:
    """The network that is run in this way."""
    if not isinstance(net, MGANet):
        if setting.original:
            raise ArgumentError(f"got {type(net).__name__}, which was not accelerated; measure it as it is, by k=None")
        return net
    return original_of(net) if setting.original else with_patch(net, setting.p)


def _counted(net: nn.Module, setting: Setting, lr: Picture) -> Setting:
    """The setting whose cost this picture has: of "auto" the number of patches that it takes."""
    if not isinstance(net, MGANet) or (net.k if setting.k is None else setting.k) != "auto":
        return setting
    _, trace = explain(net, lr, k="auto")
    return replace(setting, k=0 if trace.index is None else trace.index.shape[1])


def _count(net: nn.Module, setting: Setting, height: int, width: int) -> dict[str, float]:
    """The cost of a network for one lr image, as far as it can be counted."""
    if isinstance(net, MGANet):
        table = cost_table(net, height, width, k=setting.k)
        return {"share": table.share, "macs": table.total.macs, "macs_paper": table.total.macs_paper}
    hollow, lr = copy.deepcopy(net).to("meta"), torch.empty(1, 3, height, width, device="meta")
    try:
        return {"macs": count_macs(hollow, lr), "macs_paper": count_macs(hollow, lr, convention="paper")}
    except Exception:  # whatever a forward does without values; what was accelerated was counted without them before
        if setting.original:
            raise
        return {}
