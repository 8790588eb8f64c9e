"""Networks to accelerate, behind a small registry."""

from mga_wrap.backbones.fsrcnn import FSRCNN
from mga_wrap.backbones.pan import PAN
from mga_wrap.backbones.rcan import RCAN
from mga_wrap.backbones.registry import create_backbone, describe_backbone, list_backbones, register_backbone
from mga_wrap.backbones.rfdn import RFDN
from mga_wrap.backbones.srresnet import SRResNet
from mga_wrap.backbones.student import HalfStudent, Student

__all__ = [
    "FSRCNN",
    "PAN",
    "RCAN",
    "RFDN",
    "HalfStudent",
    "SRResNet",
    "Student",
    "create_backbone",
    "describe_backbone",
    "list_backbones",
    "register_backbone",
]
