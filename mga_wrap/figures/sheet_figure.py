"""A figure for a paper: whole pictures with what was refined, and crops at one place with their PSNR and SSIM."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from mga_wrap.config import Amount
from mga_wrap.figures.cropping import Crop, cut_out, neediest_crop
from mga_wrap.figures.overlays import grid_on_picture, mask_overlay, refined_patches, spotlight
from mga_wrap.figures.sheet_layout import Panel, SheetFigure, panel_width
from mga_wrap.infer.api import enlarge, explain
from mga_wrap.infer.compiled import Engine
from mga_wrap.measure.error_mask import mask_of, patch_side
from mga_wrap.measure.settings import Setting
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.pictures.bicubic import resize_bicubic
from mga_wrap.pictures.files import Picture
from mga_wrap.pictures.metrics import psnr, ssim
from mga_wrap.pictures.pairs import as_bytes

_FRAME = (255, 210, 0)
_PICTURES = 4  # HR, what was refined, the predicted error, the true one
_CROP_SIDES = (160, 80, 64, 40)  # sides of a crop, pixels: 320 of a panel is a multiple of each
_CROP_SHARE = 3  # of the picture's shorter side, at most


def sheet_figure(
    net: MGANet, lr: Picture, hr: np.ndarray, *, name: str, k: Amount | None = None, engine: Engine = "torch"
) -> SheetFigure:
    """Enlarge a picture in every way, and show where the predicted error is largest.

    PSNR and SSIM are of the whole picture, on Y, ``scale`` border pixels shaved.

    Args:
        net: the network, on its device.
        lr: the picture to enlarge.
        hr: (s*H, s*W, 3) uint8.
        name: the picture's, for the title.
        k: how much is refined; None is the network's own.
        engine: what runs the network, see `mga_wrap.compile`.

    Raises:
        ImageError: the picture is too small for the border.
        ArgumentError: k is none, or the network fails on this picture.
        EngineError: it cannot run in this engine.
    """
    k = net.k if k is None else k
    refined_name = f"refined ({Setting(k).label})"
    refined, trace = explain(net, lr, k=k, engine=engine)
    every, trace_of_all = explain(net, lr, k="all", engine=engine)
    results = {
        "bicubic": resize_bicubic(as_bytes(lr.rgb), net.scale),
        "coarse": as_bytes(_array(trace)),
        refined_name: as_bytes(refined.rgb),
    }
    if net.config.style == "pretrained":
        results["original"] = as_bytes(enlarge(net, lr, k="dense", engine=engine).rgb)
    else:
        results["every patch (k = all)"] = as_bytes(every.rgb)
    crop = _crop_of(trace, net=net, size=hr.shape[:2])
    pictures = [Panel(_framed(hr, crop), "HR"), *_maps(net, trace, trace_of_all, sr=results[refined_name])]
    crops = [Panel(cut_out(hr, crop), "HR", "PSNR-Y / SSIM-Y")]
    for result_name, sr in results.items():
        quality = f"{psnr(sr, hr, border=net.scale):.2f} dB / {ssim(sr, hr, border=net.scale):.4f}"
        crops.append(Panel(cut_out(sr, crop), result_name, quality))
    title = f"{name}, x{net.scale}: {trace.share:.1%} of {trace.score[0].numel():,} patches refined"
    return SheetFigure(title, pictures, crops)


def _maps(net: MGANet, trace: MGATrace, trace_of_all: MGATrace, *, sr: np.ndarray) -> list[Panel]:
    """What was refined, where the error was expected, and where it was."""
    side, zoom = patch_side(net), net.geometry.zoom
    # As wide as it has to be to be seen in a panel, and narrow enough that the patches are seen through it.
    line = max(1, min(side // 8, round(2.5 * sr.shape[1] / panel_width(_PICTURES))))
    index = refined_patches(trace, net=net)
    panels = [Panel(spotlight(sr, index=index, p=net.p, scale=zoom, line=line), "refined patches")]
    for name, mask in (("predicted error", trace.score), ("true error", mask_of(trace_of_all, net=net))):
        score = grid_on_picture(mask[0].float().cpu().numpy(), side=side, size=sr.shape[:2])
        panels.append(Panel(mask_overlay(sr, score=score, index=None, p=net.p, scale=zoom), name))
    return panels


def _crop_of(trace: MGATrace, *, net: MGANet, size: tuple[int, ...]) -> Crop:
    """The crop where the score is largest."""
    wanted = next((side for side in _CROP_SIDES if side * _CROP_SHARE <= min(size)), _CROP_SIDES[-1])
    side = patch_side(net)
    score = grid_on_picture(trace.score[0].float().cpu().numpy(), side=side, size=size)
    square = min(wanted, *size)
    return neediest_crop(score, side=side, size=size, crop=(square, square))


def _array(trace: MGATrace) -> np.ndarray:
    coarse: np.ndarray = trace.coarse[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return coarse


def _framed(picture: np.ndarray, crop: Crop) -> np.ndarray:
    """With the crop's frame around it, as wide as it has to be to be seen in a panel."""
    image = Image.fromarray(picture)
    line = max(2, round(3 * picture.shape[1] / panel_width(_PICTURES)))
    top, left, height, width = crop
    box = (max(0, left - line), max(0, top - line), left + width + line - 1, top + height + line - 1)
    ImageDraw.Draw(image).rectangle(box, outline=_FRAME, width=line)
    return np.asarray(image)
