"""A figure for a paper: whole pictures with what was refined, and crops at one place with their PSNR and SSIM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mga_wrap.figures.overlays import Crop, mask_overlay, neediest, on_picture, refined_patches, spotlight
from mga_wrap.infer.api import enlarge, explain
from mga_wrap.measure.error_mask import mask_of, patch_side
from mga_wrap.measure.settings import Setting
from mga_wrap.nets.mga import Amount, MGANet, MGATrace
from mga_wrap.pictures.bicubic import resize_bicubic
from mga_wrap.pictures.files import Picture
from mga_wrap.pictures.metrics import psnr, ssim
from mga_wrap.pictures.pairs import as_bytes

Ink = tuple[int, int, int]

WIDTH = 1720
"""Of a figure, pixels: a page's width of 7.2 inches at 240 dpi."""
_MARGIN, _GAP = 24, 18
_TITLE, _TEXT, _LEADING = 26, 21, 1.35  # font sizes in pixels, line height
_SMALLEST = 12
_TALLEST = 1.35  # height over width of a whole picture's panel; a taller picture is shown narrower
_INK, _SOFT, _PAPER, _FRAME = (25, 25, 25), (100, 100, 100), (255, 255, 255), (255, 210, 0)
_CROPS = (160, 80, 64, 40)  # sides of a crop, pixels: 320 of a panel is a multiple of each
_CROP_SHARE = 3  # of the picture's shorter side, at most


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
class Figure:
    """What is shown of one picture."""

    title: str
    whole: Sequence[Panel]
    """Whole pictures, next to each other."""
    crops: Sequence[Panel]
    """The same place of several results."""

    def draw(self) -> np.ndarray:
        """(H, `WIDTH`, 3) uint8."""
        rows = [_row(self.whole, tallest=_TALLEST), _row(self.crops, tallest=1.0)]
        top = _MARGIN + round(_TITLE * _LEADING) + _GAP // 2
        height = top + sum(row.height for row in rows) + _GAP + _MARGIN
        sheet = Image.new("RGB", (WIDTH, height), _PAPER)
        draw, room = ImageDraw.Draw(sheet), WIDTH - 2 * _MARGIN
        _write(draw, (_MARGIN, _MARGIN), self.title, width=room, size=_TITLE, ink=_INK, anchor="la")
        for row in rows:
            sheet.paste(row, (_MARGIN, top))
            top += row.height + _GAP
        return np.asarray(sheet)


def figure(net: MGANet, lr: Picture, hr: np.ndarray, *, name: str, k: Amount | None = None) -> Figure:
    """Enlarge a picture in every way, and show where the predicted error is largest.

    PSNR and SSIM are of the whole picture, on Y, ``scale`` border pixels shaved.

    Args:
        net: the network, on its device.
        lr: the picture to enlarge.
        hr: (s*H, s*W, 3) uint8.
        name: the picture's, for the title.
        k: how much is refined; None is the network's own.

    Raises:
        ImageError: the picture is too small for the border.
        ArgumentError: k is none, or the network fails on this picture.
    """
    k = net.k if k is None else k
    refined, trace = explain(net, lr, k=k)
    every, full = explain(net, lr, k="all")
    results = {
        "bicubic": resize_bicubic(as_bytes(lr.rgb), net.scale),
        "coarse": as_bytes(_array(trace)),
        f"refined ({Setting(k).label})": as_bytes(refined.rgb),
    }
    if net.recipe.get("style") == "pretrained":
        results["original"] = as_bytes(enlarge(net, lr, k="dense").rgb)
    else:
        results["every patch (k = all)"] = as_bytes(every.rgb)
    crop = _place(trace, net=net, size=hr.shape[:2])
    whole = [Panel(_framed(hr, crop), "HR"), *_maps(net, trace, full, sr=results[f"refined ({Setting(k).label})"])]
    crops = [Panel(_cut(hr, crop), "HR", "PSNR-Y / SSIM-Y")]
    for what, sr in results.items():
        value = f"{psnr(sr, hr, border=net.scale):.2f} dB / {ssim(sr, hr, border=net.scale):.4f}"
        crops.append(Panel(_cut(sr, crop), what, value))
    title = f"{name}, x{net.scale}: {trace.share:.1%} of {trace.score[0].numel():,} patches refined"
    return Figure(title, whole, crops)


def _maps(net: MGANet, trace: MGATrace, full: MGATrace, *, sr: np.ndarray) -> list[Panel]:
    """What was refined, where the error was expected, and where it was."""
    side, zoom = patch_side(net), net.geometry.zoom
    line = max(1, min(side // 8, round(2.5 * sr.shape[1] / _panel_width(4))))  # seen, and patches seen through it
    index = refined_patches(trace, net=net)
    panels = [Panel(spotlight(sr, index=index, p=net.p, scale=zoom, line=line), "refined patches")]
    for name, mask in (("predicted error", trace.score), ("true error", mask_of(full, net=net))):
        score = on_picture(mask[0].float().cpu().numpy(), side=side, size=sr.shape[:2])
        panels.append(Panel(mask_overlay(sr, score=score, index=None, p=net.p, scale=zoom), name))
    return panels


def _place(trace: MGATrace, *, net: MGANet, size: tuple[int, ...]) -> Crop:
    """The crop where the score is largest."""
    wanted = next((side for side in _CROPS if side * _CROP_SHARE <= min(size)), _CROPS[-1])
    side = patch_side(net)
    score = on_picture(trace.score[0].float().cpu().numpy(), side=side, size=size)
    square = min(wanted, *size)
    return neediest(score, side=side, size=size, crop=(square, square))


def _array(trace: MGATrace) -> np.ndarray:
    coarse: np.ndarray = trace.coarse[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return coarse


def _cut(picture: np.ndarray, crop: Crop) -> np.ndarray:
    top, left, height, width = crop
    return picture[top : top + height, left : left + width]


def _framed(picture: np.ndarray, crop: Crop) -> np.ndarray:
    """With the crop's frame around it, as wide as it has to be to be seen in a panel."""
    image = Image.fromarray(picture)
    line = max(2, round(3 * picture.shape[1] / _panel_width(4)))
    top, left, height, width = crop
    box = (max(0, left - line), max(0, top - line), left + width + line - 1, top + height + line - 1)
    ImageDraw.Draw(image).rectangle(box, outline=_FRAME, width=line)
    return np.asarray(image)


# ------------------------------------------------------------------------------------------------------ drawing panels
def _panel_width(count: int) -> int:
    return (WIDTH - 2 * _MARGIN - (count - 1) * _GAP) // count


def _row(panels: Sequence[Panel], *, tallest: float) -> Image.Image:
    """Panels of one width, names and values under them."""
    width = _panel_width(len(panels))
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
