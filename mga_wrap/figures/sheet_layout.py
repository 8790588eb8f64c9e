"""How a figure of one picture is laid out on a page: rows of panels of one width, names and values under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Ink = tuple[int, int, int]

WIDTH = 1720
"""Of a figure, pixels: a page's width of 7.2 inches at 240 dpi."""
_MARGIN, _GAP = 24, 18
_TITLE, _TEXT, _LEADING = 26, 21, 1.35  # font sizes in pixels, line height
_SMALLEST = 12
_TALLEST = 1.35  # height over width of a whole picture's panel; a taller picture is shown narrower
_INK, _SOFT, _PAPER = (25, 25, 25), (100, 100, 100), (255, 255, 255)


@dataclass(frozen=True)
class Panel:
    """A picture and the two lines under it."""

    image: np.ndarray
    """(H, W, 3) uint8."""
    name: str
    """What it is."""
    value: str = ""
    """What was measured."""


@dataclass(frozen=True)
class SheetFigure:
    """What is shown of one picture."""

    title: str
    pictures: Sequence[Panel]
    """Whole pictures, next to each other."""
    crops: Sequence[Panel]
    """The same place of several results."""

    def draw(self) -> np.ndarray:
        """(H, `WIDTH`, 3) uint8."""
        rows = [_row(self.pictures, tallest=_TALLEST), _row(self.crops, tallest=1.0)]
        top = _MARGIN + round(_TITLE * _LEADING) + _GAP // 2
        height = top + sum(row.height for row in rows) + _GAP + _MARGIN
        sheet = Image.new("RGB", (WIDTH, height), _PAPER)
        draw, room = ImageDraw.Draw(sheet), WIDTH - 2 * _MARGIN
        _write(draw, (_MARGIN, _MARGIN), self.title, width=room, size=_TITLE, ink=_INK, anchor="la")
        for row in rows:
            sheet.paste(row, (_MARGIN, top))
            top += row.height + _GAP
        return np.asarray(sheet)


def panel_width(count: int) -> int:
    """Of each of so many panels in a row, pixels."""
    return (WIDTH - 2 * _MARGIN - (count - 1) * _GAP) // count


def _row(panels: Sequence[Panel], *, tallest: float) -> Image.Image:
    """Panels of one width, names and values under them."""
    width = panel_width(len(panels))
    images = [_resized(panel.image, width, round(width * tallest)) for panel in panels]
    lines = 2 if any(panel.value for panel in panels) else 1
    height = max(image.height for image in images)
    row = Image.new("RGB", (WIDTH - 2 * _MARGIN, height + _GAP // 2 + round(lines * _TEXT * _LEADING)), _PAPER)
    draw = ImageDraw.Draw(row)
    for number, (panel, image) in enumerate(zip(panels, images, strict=True)):
        left = number * (width + _GAP)
        row.paste(image, (left + (width - image.width) // 2, 0))
        for place, (text, ink) in enumerate(((panel.name, _INK), (panel.value, _SOFT))):
            at = left + width // 2, height + _GAP // 2 + round(place * _TEXT * _LEADING)
            _write(draw, at, text, width=width, size=_TEXT, ink=ink, anchor="ma")
    return row


def _resized(picture: np.ndarray, width: int, tallest: int) -> Image.Image:
    """As wide as the panel, or as tall as it may be: smooth where it shrinks, pixels as they are where it grows."""
    ratio = min(width / picture.shape[1], tallest / picture.shape[0])
    size = max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio))
    how = Image.Resampling.LANCZOS if ratio < 1 else Image.Resampling.NEAREST
    return Image.fromarray(picture).resize(size, how)


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, *, width: int, size: int, ink: Ink, anchor: str
) -> None:
    """Write a line no wider than there is room: in a smaller font, and shortened if that is not enough."""
    font = ImageFont.load_default(size)
    while size > _SMALLEST and font.getlength(text) > width:
        size -= 1
        font = ImageFont.load_default(size)
    if font.getlength(text) > width:
        while text and font.getlength(text + "...") > width:
            text = text[:-1]
        text += "..."
    draw.text(at, text, fill=ink, font=font, anchor=anchor)
