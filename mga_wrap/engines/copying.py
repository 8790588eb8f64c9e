"""Windows out of maps, and patches into the coarse image, one slice after the other: on a CPU that copies least.

`mga_wrap.nets.patches` does the same by index, without a loop, for devices that must not be waited for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mga_wrap.nets.patches import Border, grid_size

Window = tuple[int, int, int, int, int, int]
"""Row and column of a patch in the grid; top, left, height and width of its window, in pixels of the feature."""


def windows_at(index: Sequence[int], *, size: tuple[int, int], p: int, halo: int, border: Border) -> list[Window]:
    """Where the windows of some patches lie, with border "zero" from `halo` pixels before the map's corner."""
    _, gw = grid_size(*size, p)
    side = p + 2 * halo
    found = []
    for flat in index:
        row, col = divmod(flat, gw)
        if border == "zero":
            found.append((row, col, row * p - halo, col * p - halo, side, side))
            continue
        tall, wide = min(side, size[0]), min(side, size[1])
        top, left = (min(max(at * p - halo, 0), most) for at, most in ((row, size[0] - tall), (col, size[1] - wide)))
        found.append((row, col, top, left, tall, wide))
    return found


def copy_windows(x: np.ndarray, windows: Sequence[Window], *, ratio: int, border: Border, into: np.ndarray) -> None:
    """Copy the windows of a map.

    Args:
        x: (C, r*H, r*W); it may end before the feature does: its last pixels are repeated then.
        windows: at most N.
        ratio: r.
        border: what lies beyond the map with "zero".
        into: (N, C, r*n, r*n), the first of which are written.
    """
    height, width = x.shape[-2:]
    for number, window in enumerate(windows):
        top, left, tall, wide = (ratio * length for length in window[2:])
        if top >= 0 and left >= 0 and top + tall <= height and left + wide <= width:
            into[number] = x[:, top : top + tall, left : left + wide]
            continue
        rows, cols = np.arange(top, top + tall), np.arange(left, left + wide)
        inside = x[:, rows.clip(0, height - 1)[:, None], cols.clip(0, width - 1)[None, :]]
        if border == "zero":
            there = ((rows >= 0) & (rows < height))[:, None] & ((cols >= 0) & (cols < width))[None, :]
            inside = np.where(there, inside, 0)
        into[number] = inside


def paste_patches(canvas: np.ndarray, refined: np.ndarray, windows: Sequence[Window], *, p: int, zoom: int) -> None:
    """Write the patches in the middle of their windows into an image.

    Args:
        canvas: (C, z*H, z*W), written to.
        refined: (N, C, z*n, z*n), N of them or more.
        windows: what `windows_at` says for the ring of feature pixels that is still around each patch.
        p: patch side in feature pixels.
        zoom: z.
    """
    height, width = canvas.shape[-2:]
    for patch, (row, col, top, left, _, _) in zip(refined, windows, strict=False):
        to_top, to_left = zoom * row * p, zoom * col * p
        tall, wide = min(zoom * p, height - to_top), min(zoom * p, width - to_left)
        from_top, from_left = to_top - zoom * top, to_left - zoom * left
        canvas[:, to_top : to_top + tall, to_left : to_left + wide] = patch[
            :, from_top : from_top + tall, from_left : from_left + wide
        ]
