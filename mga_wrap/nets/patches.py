"""Gather windows from a map and paste patches back: an inverse pair, by index alone.

Legend: B images, C channels, (H, W) the size of the feature in pixels, r the resolution of another map over the
feature's, p the patch side, n = p + 2 * halo the window side, (gh, gw) the grid, k patches an image, N = B * k.

Nothing here loops over patches, copies all of them, or looks at the data: every shape follows from (B, H, W, k).
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from mga_wrap.config import Amount
from mga_wrap.nets.layouts import Crossing

Border = Literal["shift", "zero"]
"""What a window does that would reach over the border of the image: "shift" moves it inside, so that the network's
own zero padding stays at the image's border (style "pretrained"); "zero" fills it with zeros (style "paper")."""


def grid_size(height: int, width: int, p: int) -> tuple[int, int]:
    """The patch grid (gh, gw) that covers a feature of (height, width)."""
    return (height - 1) // p + 1, (width - 1) // p + 1  # so written, torch.export sees that pooling agrees


def windows_of(
    x: Tensor, index: Tensor, crossing: Crossing, *, size: tuple[int, int], p: int, border: Border
) -> Tensor:
    """What goes with the chosen patches of a tensor that crosses the cut.

    Returns:
        Of a map what `gather` does; (B*k, ...) of what is one value an image; what all images share as it is.
    """
    if crossing.layout == "shared":
        return x
    if crossing.layout == "image":
        return x[:, None].expand(-1, index.shape[1], *x.shape[1:]).flatten(0, 1)
    return gather(x, index, size=size, p=p, ratio=crossing.ratio, halo=crossing.halo, border=border)


def gather(
    x: Tensor,
    index: Tensor,
    *,
    size: tuple[int, int],
    p: int,
    ratio: int = 1,
    halo: int = 0,
    border: Border = "shift",
) -> Tensor:
    """Cut the windows of the chosen patches out of a map.

    Args:
        x: (B, C, r*H, r*W), a map whose resolution is r times the feature's; it may end before the feature does, which
            is padded then.
        index: (B, k), flat positions in the grid.
        size: (H, W) of the feature.
        p: patch side in feature pixels.
        ratio: r.
        halo: ring of feature pixels around each patch.
        border: see `Border`.

    Returns:
        (B*k, C, r*n, r*n) with n = p + 2 * halo; with border "shift" a window is never larger than the feature.
    """
    if border == "zero":
        gh, gw = grid_size(*size, p)
        edges = (halo, gw * p - size[1] + halo, halo, gh * p - size[0] + halo)
        x = F.pad(x, [ratio * edge for edge in edges])
    (top, tall), (left, wide) = _spans(index, size, p, halo, border)
    rows = ratio * top[:, None] + torch.arange(ratio * tall, device=x.device)  # (N, r*n)
    cols = ratio * left[:, None] + torch.arange(ratio * wide, device=x.device)  # (N, r*n)
    if border == "shift":  # beyond the end of a map that is not padded as the feature is, its last pixel
        rows, cols = rows.clamp(max=x.shape[-2] - 1), cols.clamp(max=x.shape[-1] - 1)
    return _take(x, _image_of(index), rows, cols)


def paste(
    canvas: Tensor,
    windows: Tensor,
    index: Tensor,
    *,
    size: tuple[int, int],
    p: int,
    ratio: int = 1,
    halo: int = 0,
    border: Border = "shift",
) -> Tensor:
    """Put the patches in the middle of their windows back: the inverse of `gather`.

    Args:
        canvas: (B, C, r*H, r*W) or smaller, if the feature is padded; left as it is.
        windows: (B*k, C, r*n, r*n), what `gather` returns with the same arguments.
        index: (B, k), flat positions in the grid, each at most once an image.
        size: (H, W) of the feature.
        p: patch side in feature pixels.
        ratio: r, pixels of the canvas a side for one of the feature.
        halo: ring of feature pixels to cut off around each patch.
        border: see `Border`.

    Returns:
        A new tensor of the canvas's shape: the patches where index says so, the canvas bit for bit elsewhere.
    """
    batch, channels, height, width = canvas.shape
    _, gw = grid_size(*size, p)
    (top, tall), (left, wide) = _spans(index, size, p, halo, border)
    grid_row, grid_col = _grid_position(index, gw)
    shift = halo if border == "zero" else 0  # a zero-filled window starts `halo` pixels before its patch
    inner = torch.arange(ratio * p, device=canvas.device)
    to_row = ratio * grid_row[:, None] * p + inner  # (N, r*p), beyond the image where a patch is
    to_col = ratio * grid_col[:, None] * p + inner
    from_row = (to_row + ratio * (shift - top)[:, None]).clamp(max=ratio * tall - 1)
    from_col = (to_col + ratio * (shift - left)[:, None]).clamp(max=ratio * wide - 1)
    number = torch.arange(windows.shape[0], device=canvas.device)
    patches = _take(windows, number, from_row, from_col).permute(0, 2, 3, 1)  # (N, r*p, r*p, C)
    where = (_image_of(index)[:, None, None] * height + to_row[:, :, None]) * width + to_col[:, None, :]
    inside = (to_row < height)[:, :, None] & (to_col < width)[:, None, :]
    # What lies beyond the image goes into one pixel more than the canvas has, which is then dropped: so no shape
    # depends on how the patches fit.
    where = torch.where(inside, where, batch * height * width)
    pixels = F.pad(canvas.permute(0, 2, 3, 1).reshape(-1, channels), [0, 0, 0, 1])  # always a copy
    pixels = pixels.index_copy(0, where.reshape(-1), patches.reshape(-1, channels).to(canvas.dtype))
    return pixels[:-1].view(batch, height, width, channels).permute(0, 3, 1, 2)


def patch_count(k: Amount, patches: int) -> int:
    """How many of an image's patches a checked k means: none for 0, else at least one, at most all.

    A share is rounded in whole numbers, so that it also works where torch.export makes the number of patches symbolic.
    """
    if isinstance(k, str):
        return patches
    if isinstance(k, float):
        parts = 1_000_000
        return cast(int, torch.sym_max(1, (round(k * parts) * patches + parts // 2) // parts))
    return at_most(k, patches)


def at_most(value: int, limit: int) -> int:
    """min(value, limit), also where torch.export makes the limit symbolic."""
    return cast(int, torch.sym_min(value, limit))


def _image_of(index: Tensor) -> Tensor:
    """(N,): the image that each patch belongs to."""
    return torch.arange(index.shape[0], device=index.device)[:, None].expand_as(index).reshape(-1)


def _grid_position(index: Tensor, gw: int) -> tuple[Tensor, Tensor]:
    flat = index.reshape(-1)
    row = flat // gw
    return row, flat - row * gw  # not flat % gw, which torch's exporter to ONNX does not know of a symbolic gw


def _spans(
    index: Tensor, size: tuple[int, int], p: int, halo: int, border: Border
) -> tuple[tuple[Tensor, int], tuple[Tensor, int]]:
    """Where each window starts (N,) and how long it is, down and across."""
    _, gw = grid_size(*size, p)
    position = _grid_position(index, gw)
    side = p + 2 * halo
    if border == "zero":
        return (position[0] * p, side), (position[1] * p, side)  # in the padded map, halo pixels further
    tall, wide = at_most(side, size[0]), at_most(side, size[1])
    top = (position[0] * p - halo).clamp(min=0).clamp(max=size[0] - tall)
    left = (position[1] * p - halo).clamp(min=0).clamp(max=size[1] - wide)
    return (top, tall), (left, wide)


def _take(x: Tensor, image: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """x[image, :, rows, cols] as an outer product of rows and columns: (N, C, len(rows), len(cols)), channels last.

    One index_select over pixels: with channels_last memory each pixel's channels lie together, nothing else of the
    map is touched, and the gradient is one index_add.
    """
    batch, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    where = (image[:, None, None] * height + rows[:, :, None]) * width + cols[:, None, :]
    out = pixels.index_select(0, where.reshape(-1))
    return out.view(rows.shape[0], rows.shape[1], cols.shape[1], channels).permute(0, 3, 1, 2)
