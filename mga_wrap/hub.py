"""Checkpoints: a folder of model.safetensors and config.json, read and written whole or not at all."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import CheckpointError, MGAError
from mga_wrap.files import whole_file
from mga_wrap.nets.mga import MGANet

FORMAT_VERSION = 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"
ARGUMENTS = ("split_at", "k", "p", "halo", "style", "coarse_tail")
"""What config.json holds of `accelerate`'s arguments."""


def list_pretrained() -> tuple[str, ...]:
    """Names of the weights that come with the package, for `from_pretrained` and `upscale`."""
    root = resources.files("mga_wrap") / "weights"
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if (entry / CONFIG).is_file()))


def from_pretrained(name_or_dir: str | Path, *, model: nn.Module | None = None) -> MGANet:
    """Read an accelerated network.

    Args:
        name_or_dir: one of `list_pretrained()`, or a folder that `MGANet.save_pretrained` wrote.
        model: the network that was accelerated, if it is not a backbone of this package: its layers are replaced by
            the saved ones, its code says how they are connected. It is not changed.

    Returns:
        The network in eval mode, float32 on the CPU unless `model` is elsewhere.

    Raises:
        CheckpointError: there is no such name or folder, a file is missing or broken, the format is newer than this
            package, or the weights are of another network.
    """
    folder = _find(name_or_dir)
    config = _read_config(folder / CONFIG)
    if model is None and config["backbone"] is None:
        raise CheckpointError(
            f"{folder} was made from a network that is not a backbone of mga_wrap; build that network and give "
            "it: from_pretrained(folder, model=...)"
        )
    try:
        network = create_backbone(**config["backbone"]) if model is None else model
        arguments = {name: config[name] for name in ARGUMENTS}
        net = accelerate(network, **arguments, mask=config.get("mask")).eval()  # only where it is not the default
    except (MGAError, TypeError) as error:  # TypeError: a value of another kind than save_pretrained writes
        raise CheckpointError(f"{folder / CONFIG} builds no network: {error}") from error
    _load_weights(net, folder / WEIGHTS)
    return net


def save_pretrained(net: MGANet, folder: str | Path) -> None:
    """Write model.safetensors and config.json into a folder, which is made if it is not there.

    The files appear under their names only when both are complete, the config last.

    Raises:
        CheckpointError: the folder cannot be written, or the net was not made by `accelerate`.
    """
    folder = Path(folder)
    if not net.recipe:
        raise CheckpointError("the network has no recipe to build it again; make it with mga_wrap.accelerate")
    config = {"format_version": FORMAT_VERSION, "scale": net.scale, **net.recipe, "k": net.k}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in net.state_dict().items()}
    try:
        with whole_file(folder / CONFIG) as config_file, whole_file(folder / WEIGHTS) as weights_file:
            weights_file.write_bytes(save(tensors, metadata={"format": "pt"}))
            config_file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be written ({error}); choose another folder") from error


def _find(name_or_dir: str | Path) -> Path:
    folder = Path(name_or_dir)
    if folder.is_dir():
        return folder
    shipped = list_pretrained()
    if isinstance(name_or_dir, str) and name_or_dir in shipped:
        return Path(str(resources.files("mga_wrap") / "weights" / name_or_dir))
    if isinstance(name_or_dir, str) and re.fullmatch(r"[a-z0-9-]+", name_or_dir):
        raise CheckpointError(f"got {name_or_dir!r}; expected a folder or one of {', '.join(shipped) or 'no weights'}")
    raise CheckpointError(f"{folder} is no folder; expected one with {WEIGHTS} and {CONFIG}")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); expected the file that save_pretrained wrote"
        ) from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int):
        raise CheckpointError(f"{path} has no format_version; expected the file that save_pretrained wrote")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {version}, this mga_wrap reads up to {FORMAT_VERSION}; update it with "
            "pip install -U mga-wrap"
        )
    if missing := [name for name in ("backbone", *ARGUMENTS) if name not in config]:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; expected the file that save_pretrained wrote")
    return config


def _load_weights(net: MGANet, path: Path) -> None:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); it is missing, truncated or no safetensors") from error
    try:
        net.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path} holds the weights of another network: {reason}") from error
