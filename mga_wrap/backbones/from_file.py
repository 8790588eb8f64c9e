"""A network from its file of weights: spandrel knows by the names in it which network it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mga_wrap.backbones.weights import open_weights
from mga_wrap.errors import CheckpointError, MGAError, one_line
from mga_wrap.origin import Origin, file_digest, remember

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")


def from_file(path: Path) -> nn.Module:
    """Build the network whose weights are in a file.

    Args:
        path: a .safetensors file, or one that torch.save wrote; it is read without running code from it.

    Returns:
        The network in float32, in eval mode.

    Raises:
        MGAError: spandrel is not installed.
        CheckpointError: the file cannot be read, or holds no network that enlarges an RGB image and that spandrel
            knows.
    """
    spandrel = _spandrel(path)
    found = open_weights(path)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds {type(found).__name__}; expected a state dict, names to tensors")
    try:
        descriptor = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(found))
    except Exception as error:  # whatever a file of something else makes of the detectors of networks
        name, said = type(error).__name__, one_line(error)
        raise CheckpointError(
            f"{path} is no network that spandrel knows ({name if said == name else f'{name}: {said}'}); give its code "
            "and the file as its weights: package.module:Factory or file.py:Factory, and --weights"
        ) from error
    _check(descriptor, path, image=isinstance(descriptor, spandrel.ImageModelDescriptor))
    model: nn.Module = descriptor.model.float().eval()
    remember(model, Origin("file", path.name, sha256=file_digest(path)))
    return model


def _spandrel(path: Path) -> Any:
    try:
        import spandrel
    except ImportError as error:
        raise MGAError(
            f"{path} is read by way of spandrel, which is not installed; pip install 'mga-wrap[spandrel]'"
        ) from error
    return spandrel


def _check(descriptor: Any, path: Path, *, image: bool) -> None:
    channels = descriptor.input_channels, descriptor.output_channels
    if not image or channels != (3, 3) or descriptor.scale < 2:
        raise CheckpointError(
            f"{path} holds {descriptor.architecture.name}, x{descriptor.scale}, {channels[0]} channels to "
            f"{channels[1]}; expected a network that enlarges an RGB image"
        )
