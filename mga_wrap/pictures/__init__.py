"""Pixels: read, written, reduced, compared."""

from mga_wrap.pictures.bicubic import crop_to_multiple, resize_bicubic
from mga_wrap.pictures.files import Picture, read_image, write_image
from mga_wrap.pictures.metrics import psnr, rgb_to_y, ssim

__all__ = ["Picture", "crop_to_multiple", "psnr", "read_image", "resize_bicubic", "rgb_to_y", "ssim", "write_image"]
