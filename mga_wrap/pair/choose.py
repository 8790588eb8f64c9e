"""Which windows are best, measured on a few pictures: what each leaves at one price, chosen by the true error."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.fitting.samples import luma
from mga_wrap.fitting.sources import Images, crops, read_pictures
from mga_wrap.nets.patches import gather, grid_size
from mga_wrap.pair.meet import Met
from mga_wrap.pair.windows import Window

PRICE = 0.5
"""MACs over the model's at which windows are compared."""
SIDE = 192
"""Lr pixels of a crop: a multiple of every p that is tried."""
CROPS = 4
WINDOWS = 12
"""Windows of a crop that are run at most for each geometry."""
Choose = Callable[[nn.Module, nn.Module, list[Window], Met], Window]


def chooser(images: Images, *, seconds: float, seed: int = 0) -> Choose:
    """What measures windows on some pictures for so many seconds; one geometry is measured at least."""

    def choose(model: nn.Module, small: nn.Module, windows: list[Window], met: Met) -> Window:
        return best_window(model, small, windows, met, images=images, seconds=seconds, seed=seed)

    return choose


@torch.no_grad()
def best_window(
    model: nn.Module,
    small: nn.Module,
    windows: list[Window],
    met: Met,
    *,
    images: Images,
    seconds: float,
    seed: int = 0,
) -> Window:
    """The windows that leave the least squared error to the model's own image at `PRICE`.

    Where nothing is refined that is the coarse image's, elsewhere what a halo of this width loses; the patches are
    chosen by the true error, as no score can. Geometries that come first are measured first, while time lasts.
    """
    until = time.monotonic() + seconds
    smallest = SIDE // 2 * met.scale
    pictures = read_pictures(images, smallest=min(smallest, max(one.p for one in windows) * met.scale))
    room = max(min(picture.shape[:2]) for picture in pictures) // met.scale
    windows = [one for one in windows if one.p + 2 * one.halo <= room] or windows[:1]  # `fit` refuses what holds none
    places = []
    for crop in itertools.islice(crops(pictures, scale=met.scale, side=SIDE, seed=seed), CROPS):
        lr = crop.lr.to(met.example)
        places.append((lr, model(lr.clone()), small(lr.clone())))
        if time.monotonic() > until - seconds / 2:
            break
    left: dict[Window, float] = {}
    for window in windows:
        if left and time.monotonic() > until:
            break
        left[window] = sum(_left(model, window, met, *place) for place in places)
    return min(left, key=left.__getitem__)


def _left(model: nn.Module, window: Window, met: Met, lr: Tensor, original: Tensor, coarse: Tensor) -> float:
    """Mean squared error on luma, over a crop, of a pair with these windows at `PRICE`."""
    size, side = (lr.shape[-2], lr.shape[-1]), window.p * met.scale
    squared = (luma(coarse.clamp(0, 1)) - luma(original.clamp(0, 1))).square()
    gh, gw = grid_size(*size, window.p)
    padded = F.pad(squared, [0, gw * side - squared.shape[-1], 0, gh * side - squared.shape[-2]])
    errors = F.avg_pool2d(padded, side).flatten()
    share = (PRICE * met.model_macs - met.small_macs) / window.macs_per_pixel
    count = min(max(round(share * len(errors)), 1), len(errors))
    order = errors.argsort(descending=True)
    refined = order[:count]
    some = refined[:: -(-count // WINDOWS)]
    index = some[None]
    given = gather(lr, index, size=size, p=window.p, halo=window.halo).contiguous()
    expected = gather(original, index, size=size, p=window.p, ratio=met.scale)
    tall, wide = expected.shape[-2:]
    rows, cols = some // gw * window.p, some % gw * window.p
    lost = []
    for number, sr in enumerate(model(one[None]) for one in given):
        top, left = (
            int(at - min(max(int(at) - window.halo, 0), length - window.p - 2 * window.halo)) * met.scale
            if length >= window.p + 2 * window.halo
            else int(at) * met.scale
            for at, length in ((rows[number], size[0]), (cols[number], size[1]))
        )
        patch = sr[..., top : top + tall, left : left + wide]
        true = expected[number : number + 1, :, : patch.shape[-2], : patch.shape[-1]]
        lost.append(float((luma(patch.clamp(0, 1)) - luma(true.clamp(0, 1))).square().mean()))
    return (float(errors[order[count:]].sum()) + count * sum(lost) / len(lost)) / len(errors)
