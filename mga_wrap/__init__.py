"""mga_wrap: make a super-resolution network fast - restore globally, refine locally.

`import mga_wrap` itself loads nothing: each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mga_wrap.version import __version__

if TYPE_CHECKING:
    from mga_wrap.api import accelerate, inspect
    from mga_wrap.backbones.registry import create_backbone, list_backbones, register_backbone
    from mga_wrap.config import CutConfig
    from mga_wrap.errors import (
        ArgumentError,
        CheckpointError,
        CostWarning,
        CutError,
        EngineError,
        ImageError,
        MGAError,
        RangeWarning,
        TrainingError,
        UnfittedWarning,
    )
    from mga_wrap.exporting.export import Exported, export
    from mga_wrap.exporting.pt2_file import LoadedExport, load_exported
    from mga_wrap.fitting.fit import FitReport, fit
    from mga_wrap.fitting.least_squares import fit_coarse_tail
    from mga_wrap.hub import from_pretrained
    from mga_wrap.infer.api import upscale
    from mga_wrap.infer.compiled import Runner, compile
    from mga_wrap.memory import keep_freed_memory
    from mga_wrap.names import list_pretrained, list_students
    from mga_wrap.nets.mask import MaskPredictor
    from mga_wrap.nets.mga import MGANet
    from mga_wrap.networks.plain import save_network
    from mga_wrap.spandrel import save_single_file
    from mga_wrap.train.data import Data
    from mga_wrap.train.distill import Distilled, distill
    from mga_wrap.train.stages import FINETUNE_STAGES, PAPER_STAGES, Stage
    from mga_wrap.train.trainer import MGATrainer
    from mga_wrap.train.validate import Validation

__all__ = [
    "FINETUNE_STAGES",
    "PAPER_STAGES",
    "ArgumentError",
    "CheckpointError",
    "CostWarning",
    "CutConfig",
    "CutError",
    "Data",
    "Distilled",
    "EngineError",
    "Exported",
    "FitReport",
    "ImageError",
    "LoadedExport",
    "MGAError",
    "MGANet",
    "MGATrainer",
    "MaskPredictor",
    "RangeWarning",
    "Runner",
    "Stage",
    "TrainingError",
    "UnfittedWarning",
    "Validation",
    "__version__",
    "accelerate",
    "compile",
    "create_backbone",
    "distill",
    "export",
    "fit",
    "fit_coarse_tail",
    "from_pretrained",
    "inspect",
    "keep_freed_memory",
    "list_backbones",
    "list_pretrained",
    "list_students",
    "load_exported",
    "register_backbone",
    "save_network",
    "save_single_file",
    "upscale",
]


_HOME = {
    "accelerate": "mga_wrap.api",
    "inspect": "mga_wrap.api",
    "CutConfig": "mga_wrap.config",
    "FitReport": "mga_wrap.fitting.fit",
    "Exported": "mga_wrap.exporting.export",
    "export": "mga_wrap.exporting.export",
    "LoadedExport": "mga_wrap.exporting.pt2_file",
    "load_exported": "mga_wrap.exporting.pt2_file",
    "fit": "mga_wrap.fitting.fit",
    "keep_freed_memory": "mga_wrap.memory",
    "create_backbone": "mga_wrap.backbones.registry",
    "list_backbones": "mga_wrap.backbones.registry",
    "register_backbone": "mga_wrap.backbones.registry",
    "from_pretrained": "mga_wrap.hub",
    "list_pretrained": "mga_wrap.names",
    "upscale": "mga_wrap.infer.api",
    "Runner": "mga_wrap.infer.compiled",
    "compile": "mga_wrap.infer.compiled",
    "MaskPredictor": "mga_wrap.nets.mask",
    "MGANet": "mga_wrap.nets.mga",
    "Data": "mga_wrap.train.data",
    "list_students": "mga_wrap.names",
    "save_network": "mga_wrap.networks.plain",
    "save_single_file": "mga_wrap.spandrel",
    "Distilled": "mga_wrap.train.distill",
    "distill": "mga_wrap.train.distill",
    "fit_coarse_tail": "mga_wrap.fitting.least_squares",
    "FINETUNE_STAGES": "mga_wrap.train.stages",
    "PAPER_STAGES": "mga_wrap.train.stages",
    "Stage": "mga_wrap.train.stages",
    "MGATrainer": "mga_wrap.train.trainer",
    "Validation": "mga_wrap.train.validate",
}
"""The module in which a public name lives; errors live in mga_wrap.errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME.get(name, "mga_wrap.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
