"""mga_wrap: make a super-resolution network fast - restore globally, refine locally."""

from mga_wrap.api import accelerate, inspect
from mga_wrap.backbones.registry import create_backbone, list_backbones
from mga_wrap.errors import ArgumentError, CheckpointError, CutError, ImageError, MGAError
from mga_wrap.hub import from_pretrained, list_pretrained
from mga_wrap.infer.engine import upscale
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.mga import MGANet

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "CutError",
    "ImageError",
    "MGAError",
    "MGANet",
    "MaskPredictor",
    "accelerate",
    "create_backbone",
    "from_pretrained",
    "inspect",
    "list_backbones",
    "list_pretrained",
    "upscale",
]

__version__ = "0.1.0"
