"""Pictures that show what a network did: the predicted error over the image, and several results side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.pictures.arrays import as_bytes

Crop = tuple[int, int, int, int]
"""Top, left, height and width in pixels."""

# Dark blue, violet, red, orange, pale yellow: rises in lightness, so that it also reads in grey.
_COLOURS = np.array([[22, 14, 66], [104, 26, 116], [193, 50, 84], [245, 130, 48], [255, 236, 140]], dtype=np.float32)
_HEAT_WEIGHT = (0.35, 0.75)  # of the smallest and of the largest score: the picture stays readable where little happens
_ENDS = (2, 98)  # percentiles of the score that are drawn darkest and brightest: one odd patch shall not dim the rest
_PANEL = 480  # width of a panel, pixels
_GAP = 12
_LABEL = 36
_FONT_SIZE = 20
_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_FRAME = (255, 210, 0)
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
    picture = _as_bytes(picture)
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
    value = _spread(_in_unit_range(score), side, height, width)
    weight = np.interp(value, (0, 1), _HEAT_WEIGHT)[..., None]
    blend = (1 - weight) * grey + weight * _colours(value)
    inside = _spread(chosen, side, height, width)
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
    picture = _as_bytes(picture)
    height, width = picture.shape[:2]
    side = p * scale
    inside = _spread(_chosen(index, (-(-height // side), -(-width // side))), side, height, width)
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
    shown = on_picture(score, side=net.p * zoom, size=sr.shape[:2])
    return mask_overlay(sr, score=shown, index=refined_patches(trace, net=net), p=net.p, scale=zoom)


def refined_patches(trace: MGATrace, *, net: MGANet) -> np.ndarray:
    """(k,): flat positions of the first image's refined patches in the grid that covers sr."""
    grid = trace.score.shape[-2:]
    index = np.arange(grid[0] * grid[1]) if trace.share == 1 else np.arange(0)
    if trace.index is not None:
        index = trace.index[0].cpu().numpy()
    shown = on_picture(_chosen(index, grid), side=net.p * net.geometry.zoom, size=trace.sr.shape[-2:])
    return np.flatnonzero(shown)


def on_picture(grid: np.ndarray, *, side: int, size: Sequence[int]) -> np.ndarray:
    """The part of a grid (gh, gw) that lies on a picture of (height, width): a padded feature's grid is larger."""
    return grid[: -(-size[0] // side), : -(-size[1] // side)]


def neediest(score: np.ndarray, *, side: int, size: Sequence[int], crop: Sequence[int]) -> Crop:
    """Where the mean score is largest.

    Args:
        score: (gh, gw).
        side: of a patch, in pixels of the picture.
        size: height and width of the picture.
        crop: height and width wanted, pixels.

    Returns:
        (top, left, height, width), inside the picture; smaller than wanted where the picture is.
    """
    height, width = min(crop[0], size[0]), min(crop[1], size[1])
    rows, columns = max(1, height // side), max(1, width // side)
    mean = np.lib.stride_tricks.sliding_window_view(score, (rows, columns)).mean(axis=(2, 3))
    top, left = np.unravel_index(mean.argmax(), mean.shape)
    return min(int(top) * side, size[0] - height), min(int(left) * side, size[1] - width), height, width


def side_by_side(pictures: dict[str, np.ndarray], *, crop: Crop | None = None) -> np.ndarray:
    """Set pictures of one size next to each other under their names, all brought to one panel width.

    Args:
        pictures: label to (H, W, 3), uint8 or floating point in 0..1.
        crop: (top, left, height, width), a part that is shown enlarged under each picture and framed in it.

    Returns:
        uint8 (rows, columns, 3).

    Raises:
        ImageError: no picture, or pictures of different sizes.
        ArgumentError: the crop is not inside the picture.
    """
    arrays = {label: _as_bytes(picture) for label, picture in pictures.items()}
    sizes = sorted({array.shape for array in arrays.values()})
    if len(sizes) != 1:
        raise ImageError(f"got pictures of shapes {sizes}; expected at least one picture, all of one size")
    if crop is not None:
        _check_crop(crop, sizes[0])
    columns = [_column(label, array, crop) for label, array in arrays.items()]
    sheet = Image.new("RGB", (len(columns) * (_PANEL + _GAP) + _GAP, columns[0].height + _GAP), _PAPER)
    for number, column in enumerate(columns):
        sheet.paste(column, (_GAP + number * (_PANEL + _GAP), 0))
    return np.asarray(sheet)


def _column(label: str, picture: np.ndarray, crop: Crop | None) -> Image.Image:
    """One label, its panel, and the enlarged crop under it."""
    panels = [_panel(picture)]
    if crop is not None:
        top, left, height, width = crop
        panels[0] = _framed(panels[0], crop, _PANEL / picture.shape[1])
        panels.append(_panel(picture[top : top + height, left : left + width]))
    column = Image.new(
        "RGB", (_PANEL, _LABEL + sum(panel.height for panel in panels) + _GAP * (len(panels) - 1)), _PAPER
    )
    font = ImageFont.load_default(_FONT_SIZE)
    ImageDraw.Draw(column).text((_PANEL // 2, _LABEL // 2), label, fill=_INK, font=font, anchor="mm")
    row = _LABEL
    for panel in panels:
        column.paste(panel, (0, row))
        row += panel.height + _GAP
    return column


def _panel(picture: np.ndarray) -> Image.Image:
    """Brought to the panel's width: smooth where it shrinks, pixels shown as they are where it grows."""
    height, width = picture.shape[:2]
    how = Image.Resampling.LANCZOS if width > _PANEL else Image.Resampling.NEAREST
    return Image.fromarray(picture).resize((_PANEL, max(1, round(height * _PANEL / width))), how)


def _framed(panel: Image.Image, crop: Crop, ratio: float) -> Image.Image:
    top, left, height, width = (round(side * ratio) for side in crop)
    ImageDraw.Draw(panel).rectangle((left, top, left + width, top + height), outline=_FRAME, width=2)
    return panel


def _check_crop(crop: Crop, shape: tuple[int, ...]) -> None:
    top, left, height, width = crop
    if min(top, left) < 0 or min(height, width) < 1 or top + height > shape[0] or left + width > shape[1]:
        raise ArgumentError(
            f"got crop {crop}; expected (top, left, height, width) inside a picture of {shape[1]} x {shape[0]}"
        )


def _as_bytes(picture: np.ndarray) -> np.ndarray:
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


def _spread(grid: np.ndarray, side: int, height: int, width: int) -> np.ndarray:
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
