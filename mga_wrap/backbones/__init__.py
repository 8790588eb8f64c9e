"""Networks to accelerate, behind a small registry."""

from mga_wrap.backbones.fsrcnn import FSRCNN
from mga_wrap.backbones.pan import PAN
from mga_wrap.backbones.registry import create_backbone, describe_backbone, list_backbones

__all__ = ["FSRCNN", "PAN", "create_backbone", "describe_backbone", "list_backbones"]
