"""Pictures of one size next to each other under their names, with a crop of each."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mga_wrap.errors import ImageError
from mga_wrap.figures.cropping import Crop, check_crop_inside, cut_out
from mga_wrap.figures.overlays import checked_bytes

_WIDTH = 480  # of a panel, pixels
_GAP = 12
_LABEL_HEIGHT = 36
_FONT_SIZE = 20
_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_FRAME = (255, 210, 0)


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
    arrays = {label: checked_bytes(picture) for label, picture in pictures.items()}
    sizes = sorted({array.shape for array in arrays.values()})
    if len(sizes) != 1:
        raise ImageError(f"got pictures of shapes {sizes}; expected at least one picture, all of one size")
    if crop is not None:
        check_crop_inside(crop, sizes[0])
    columns = [_column(label, array, crop) for label, array in arrays.items()]
    sheet = Image.new("RGB", (len(columns) * (_WIDTH + _GAP) + _GAP, columns[0].height + _GAP), _PAPER)
    for number, column in enumerate(columns):
        sheet.paste(column, (_GAP + number * (_WIDTH + _GAP), 0))
    return np.asarray(sheet)


def _column(label: str, picture: np.ndarray, crop: Crop | None) -> Image.Image:
    """One label, its panel, and the enlarged crop under it."""
    panels = [_panel(picture)]
    if crop is not None:
        panels[0] = _framed(panels[0], crop, _WIDTH / picture.shape[1])
        panels.append(_panel(cut_out(picture, crop)))
    height = _LABEL_HEIGHT + sum(panel.height for panel in panels) + _GAP * (len(panels) - 1)
    column = Image.new("RGB", (_WIDTH, height), _PAPER)
    font = ImageFont.load_default(_FONT_SIZE)
    ImageDraw.Draw(column).text((_WIDTH // 2, _LABEL_HEIGHT // 2), label, fill=_INK, font=font, anchor="mm")
    top = _LABEL_HEIGHT
    for panel in panels:
        column.paste(panel, (0, top))
        top += panel.height + _GAP
    return column


def _panel(picture: np.ndarray) -> Image.Image:
    """Brought to the panel's width: smooth where it shrinks, pixels shown as they are where it grows."""
    height, width = picture.shape[:2]
    how = Image.Resampling.LANCZOS if width > _WIDTH else Image.Resampling.NEAREST
    return Image.fromarray(picture).resize((_WIDTH, max(1, round(height * _WIDTH / width))), how)


def _framed(panel: Image.Image, crop: Crop, ratio: float) -> Image.Image:
    top, left, height, width = (round(side * ratio) for side in crop)
    ImageDraw.Draw(panel).rectangle((left, top, left + width, top + height), outline=_FRAME, width=2)
    return panel
