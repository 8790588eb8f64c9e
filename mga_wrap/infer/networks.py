"""Find the network that is meant, and put it on its device."""

from __future__ import annotations

import copy
import functools
import os
import threading
from pathlib import Path

import torch
from torch import nn

from mga_wrap.errors import ArgumentError, one_line
from mga_wrap.hub import from_pretrained
from mga_wrap.origin import unwrapped

Model = nn.Module | str | os.PathLike[str]
"""A network lr -> sr, the name of a pretrained one, or the folder of a saved one."""

EMBEDDED = {2: "pan-m-x2", 3: "pan-m-x3", 4: "pan-m-x4"}
"""The network in the package that is used for a scale where none is named: the best of that scale."""

_LOADING = threading.Lock()  # threads that ask for one network at once shall get one


def network_for(
    model: Model | None = None, *, scale: int | None = None, device: str | torch.device = "auto"
) -> nn.Module:
    """Find the network and put it on its device; see `mga_wrap.upscale` for the arguments.

    Returns:
        The network itself if it was given and lies on the device already, a copy there otherwise. A pretrained one is
        loaded once and kept.

    Raises:
        ArgumentError: model is no network or has no values, its scale is not the one asked for, or the device does
            not exist or computes nothing.
        CheckpointError: no pretrained network of that name, or a broken one.
    """
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, int) or scale < 1):
        raise ArgumentError(f"got scale={scale!r}; expected a whole number such as 2, 3 or 4")
    model = unwrapped(model)
    if isinstance(model, nn.Module):
        net = _placed(model, device)
    elif model is None or isinstance(model, str | os.PathLike):
        name = os.fspath(model) if model is not None else embedded(scale)
        place = pick_device(device)
        with _LOADING:
            net = _pretrained(name, place, _stamp(name))
    else:
        raise ArgumentError(
            f"got model of type {type(model).__name__}; expected an nn.Module, the name of a pretrained network or a"
            " folder"
        )
    own = getattr(net, "scale", None)
    if scale is not None and isinstance(own, int) and own != scale:
        raise ArgumentError(f"got scale={scale} and a model that enlarges by {own}; leave one of them out")
    return net


def embedded(scale: int | None) -> str:
    """The name of the network that is used for a scale where none is named.

    Raises:
        ArgumentError: the package has none of this scale.
    """
    scale = 4 if scale is None else scale
    if scale not in EMBEDDED:
        raise ArgumentError(f"got scale={scale}; the networks in the package enlarge by 2, 3 or 4: give a model")
    return EMBEDDED[scale]


@functools.lru_cache(maxsize=4)
def _pretrained(name: str, device: torch.device, stamp: tuple[str, int] | None) -> nn.Module:
    """Load once for each name and device; a folder that is written anew has another stamp and is loaded anew."""
    del stamp
    return settled(from_pretrained(name), device)


def settled(net: nn.Module, device: torch.device) -> nn.Module:
    """The network itself, moved to where it will only run."""
    net = net.eval().requires_grad_(False).to(device)
    return net if device.type == "mps" else net.to(memory_format=torch.channels_last)


def _stamp(name: str) -> tuple[str, int] | None:
    folder = Path(name)
    if not folder.is_dir():
        return None
    files = [folder / "config.json", folder / "model.safetensors"]
    return str(folder.resolve()), max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)


def _placed(model: nn.Module, device: str | torch.device) -> nn.Module:
    """The caller's network where it lies, or a copy on another device: it is never moved."""
    if any(x.is_meta for x in (*model.parameters(), *model.buffers())):
        raise ArgumentError(
            f"got a {type(model).__name__} on the device meta, which holds no values; expected a network with weights: "
            "move it by to_empty, and load them"
        )
    if str(device) == "auto":
        return model
    here, there = device_of(model), pick_device(device)
    return model if here in (None, there) else copy.deepcopy(model).to(there)


def device_of(net: nn.Module) -> torch.device | None:
    """The device of a network; None if it has neither parameters nor buffers."""
    first = next(net.parameters(), next(net.buffers(), None))
    return None if first is None else first.device


def pick_device(device: str | torch.device) -> torch.device:
    """The device that is meant, "auto" among them.

    Raises:
        ArgumentError: there is no such device here, or one on which no images can be computed.
    """
    if str(device) == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return pick_device(kind)
    try:
        picked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(f"got device={device!r}; expected auto, cpu, cuda, cuda:0, mps or the like") from error
    if picked.type == "cuda" and (picked.index or 0) >= torch.cuda.device_count():
        raise ArgumentError(
            f"got device={device!r}; torch sees {torch.cuda.device_count()} CUDA devices: use auto or cpu"
        )
    if picked.type == "mps" and not torch.backends.mps.is_available():
        raise ArgumentError(f"got device={device!r}; torch has no MPS here: use auto or cpu")
    try:
        torch.ones(1, device=picked).item()
    except (RuntimeError, AssertionError, ImportError) as error:  # meta holds no values; torch knows names of many more
        raise ArgumentError(
            f"got device={device!r}; expected a device on which images can be computed, such as auto, cpu or cuda: "
            f"{one_line(error)}"
        ) from error
    return torch.device("cuda", torch.cuda.current_device()) if picked == torch.device("cuda") else picked
