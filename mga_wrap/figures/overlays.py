"""What lies over a picture: the predicted error as a heat map, and the refined patches as a spotlight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.pictures.arrays import as_bytes

# Dark blue, violet, red, orange, pale yellow: rises in lightness, so that it also reads in grey.
_COLOURS = np.array([[22, 14, 66], [104, 26, 116], [193, 50, 84], [245, 130, 48], [255, 236, 140]], dtype=np.float32)
_HEAT_WEIGHT = (0.35, 0.75)  # of the smallest and of the largest score: the picture stays readable where little happens
_ENDS = (2, 98)  # percentiles of the score that are drawn darkest and brightest: one odd patch shall not dim the rest
_PALE = 0.35  # how much ink is left where nothing is refined
_REFINED = (200, 40, 60)  # the outline of refined patches


def mask_overlay(picture: np.ndarray, *, score: np.ndarray, index: np.ndarray | None, p: int, scale: int) -> np.ndarray:
    """Lay the predicted error over the enlarged picture as a heat map, and outline what was refined.

    Args:
        picture: (sH, sW, 3), sr (or lr enlarged), uint8 or floating point in 0..1.
        score: (gh, gw), the predicted error; drawn from its own 2nd (dark) to 98th percentile (bright).
        index: (k,), flat positions of the refined patches in the grid; None outlines nothing.
        p: patch side in LR pixels.
        scale: s.

    Returns:
        (sH, sW, 3) uint8.

    Raises:
        ArgumentError: the grid does not fit the picture, or a position lies outside of it.
    """
    picture = checked_bytes(picture)
    height, width = picture.shape[:2]
    side = p * scale
    grid = (-(-height // side), -(-width // side))
    if score.shape != grid:
        raise ArgumentError(
            f"got a score of shape {score.shape} for a picture of {width} x {height}, p={p} and scale={scale}; expected"
            f" {grid}: give the enlarged picture"
        )
    chosen = _chosen(np.arange(0) if index is None else index, grid)
    grey = picture.astype(np.float32).mean(axis=2, keepdims=True)
    value = _by_pixel(_in_unit_range(score), side, height, width)
    weight = np.interp(value, (0, 1), _HEAT_WEIGHT)[..., None]
    blend = (1 - weight) * grey + weight * _colours(value)
    inside = _by_pixel(chosen, side, height, width)
    blend[_outline(inside, max(2, side // 16))] = 255
    overlay: np.ndarray = np.floor(blend + 0.5).astype(np.uint8)
    return overlay


def spotlight(picture: np.ndarray, *, index: np.ndarray, p: int, scale: int, line: int = 2) -> np.ndarray:
    """Show the refined patches in colour and outlined, everything else grey and pale.

    Args:
        picture: (sH, sW, 3), uint8 or floating point in 0..1.
        index: (k,), flat positions of the refined patches in the grid.
        p: patch side in LR pixels.
        scale: s.
        line: width of the outline, pixels.

    Returns:
        (sH, sW, 3) uint8.

    Raises:
        ArgumentError: a position lies outside of the grid.
    """
    picture = checked_bytes(picture)
    height, width = picture.shape[:2]
    side = p * scale
    inside = _by_pixel(_chosen(index, (-(-height // side), -(-width // side))), side, height, width)
    pale = 255 - _PALE * (255 - picture.astype(np.float32).mean(axis=2, keepdims=True))
    shown = np.where(inside[..., None], picture, pale)
    shown[_outline(inside, line)] = _REFINED
    spotlit: np.ndarray = np.floor(shown + 0.5).astype(np.uint8)
    return spotlit


def trace_overlay(trace: MGATrace, *, net: MGANet) -> np.ndarray:
    """`mask_overlay` of the first image of a trace; where the whole map was refined at once, every patch was."""
    sr = trace.sr[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    zoom = net.geometry.zoom
    score = trace.score[0].float().cpu().numpy()
    shown = grid_on_picture(score, side=net.p * zoom, size=sr.shape[:2])
    return mask_overlay(sr, score=shown, index=refined_patches(trace, net=net), p=net.p, scale=zoom)


def refined_patches(trace: MGATrace, *, net: MGANet) -> np.ndarray:
    """(k,): flat positions of the first image's refined patches in the grid that covers sr."""
    grid = trace.score.shape[-2:]
    index = np.arange(grid[0] * grid[1]) if trace.share == 1 else np.arange(0)
    if trace.index is not None:
        index = trace.index[0].cpu().numpy()
    shown = grid_on_picture(_chosen(index, grid), side=net.p * net.geometry.zoom, size=trace.sr.shape[-2:])
    return np.flatnonzero(shown)


def grid_on_picture(grid: np.ndarray, *, side: int, size: Sequence[int]) -> np.ndarray:
    """The part of a grid (gh, gw) that lies on a picture of (height, width): a padded feature's grid is larger."""
    return grid[: -(-size[0] // side), : -(-size[1] // side)]


def checked_bytes(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3), uint8 or floating point in 0..1, as uint8.

    Raises:
        ImageError: an array of another shape.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ImageError(f"got an array of shape {picture.shape}; expected a non-empty (H, W, 3)")
    return picture if picture.dtype == np.uint8 else as_bytes(picture)


def _chosen(index: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """(gh, gw): True at the positions."""
    chosen = np.zeros(grid[0] * grid[1], dtype=bool)
    if index.size and (index.min() < 0 or index.max() >= chosen.size):
        raise ArgumentError(f"got positions {index.min()} to {index.max()}; the grid has {chosen.size} patches")
    chosen[index] = True
    return chosen.reshape(tuple(grid))


def _in_unit_range(score: np.ndarray) -> np.ndarray:
    low, high = np.percentile(score, _ENDS)
    return np.zeros_like(score) if high == low else np.clip((score - low) / (high - low), 0, 1)


def _by_pixel(grid: np.ndarray, side: int, height: int, width: int) -> np.ndarray:
    """(gh, gw) to (height, width): each patch one value."""
    return grid.repeat(side, axis=0)[:height].repeat(side, axis=1)[:, :width]


def _colours(value: np.ndarray) -> np.ndarray:
    """(H, W) in 0..1 to (H, W, 3) float32 in 0..255."""
    stops = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(value, stops, channel) for channel in _COLOURS.T], axis=2).astype(np.float32)


def _outline(inside: np.ndarray, thickness: int) -> np.ndarray:
    """The pixels of a region that lie within ``thickness`` of its edge or of the picture's."""
    padded = np.pad(inside, thickness)
    height, width = inside.shape
    deep = inside.copy()
    for down in (0, thickness, 2 * thickness):
        for right in (0, thickness, 2 * thickness):
            deep &= padded[down : down + height, right : right + width]
    edge: np.ndarray = inside & ~deep
    return edge
