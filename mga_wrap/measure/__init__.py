"""What a result is worth and what it costs: PSNR, SSIM, the field's degradation, MACs, activations and seconds."""

from mga_wrap.measure.benchmark import Bench, BenchRow, bench
from mga_wrap.measure.cost import count_activations, count_macs, count_parameters, macs_by_module
from mga_wrap.measure.degrade import crop_to_multiple, resize_bicubic
from mga_wrap.measure.metrics import psnr, rgb_to_y, ssim

__all__ = [
    "Bench",
    "BenchRow",
    "bench",
    "count_activations",
    "count_macs",
    "count_parameters",
    "crop_to_multiple",
    "macs_by_module",
    "psnr",
    "resize_bicubic",
    "rgb_to_y",
    "ssim",
]
