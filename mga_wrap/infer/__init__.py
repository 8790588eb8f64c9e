"""Inference: image files, arrays and tensors in and out, and pictures that show what was refined."""

from __future__ import annotations

from mga_wrap.infer.api import enlarge, explain, upscale
from mga_wrap.infer.images import Picture, list_images, read_image, write_image
from mga_wrap.infer.networks import prepare
from mga_wrap.infer.pictures import mask_overlay, neediest, side_by_side, spotlight, trace_overlay

__all__ = [
    "Picture",
    "enlarge",
    "explain",
    "list_images",
    "mask_overlay",
    "neediest",
    "prepare",
    "read_image",
    "side_by_side",
    "spotlight",
    "trace_overlay",
    "upscale",
    "write_image",
]
