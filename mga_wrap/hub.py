"""Accelerated networks by name or folder."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.backbones.registry import create_backbone
from mga_wrap.checkpoint import CONFIG, WEIGHTS, read_config, read_weights
from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError, CheckpointError, MGAError
from mga_wrap.making import accelerate_as
from mga_wrap.nets.mga import FORMAT_VERSION, MGANet
from mga_wrap.nets.pair import PairBase
from mga_wrap.origin import Origin, origin_of, unwrapped

FORMAT_1 = ("split_at", "k", "p", "halo", "style", "coarse_tail")
"""What a config.json of format 1 holds of the cut, beside "mask" where it is not the default."""


def list_pretrained() -> tuple[str, ...]:
    """Names of the weights that come with the package, for `from_pretrained` and `upscale`."""
    root = resources.files("mga_wrap") / "weights"
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if (entry / CONFIG).is_file()))


def from_pretrained(
    name_or_dir: str | Path, *, model: nn.Module | None = None, base: nn.Module | None = None
) -> MGANet:
    """Read an accelerated network.

    Args:
        name_or_dir: one of `list_pretrained()`, or a folder that `MGANet.save_pretrained` wrote.
        model: the network that was accelerated, if it is not a backbone of this package: its layers are replaced by
            the saved ones, its code says how they are connected. It is not changed. `mga_wrap.networks.load_network`
            makes it from a file or from code of your own; nothing that a checkpoint names is ever imported here.
        base: the same of the small network of a pair, if that is no backbone of this package, cut or not.

    Returns:
        The network in eval mode, float32 on the CPU unless `model` is elsewhere.

    Raises:
        CheckpointError: there is no such name or folder, a file is missing or broken, the format is newer than this
            package, or the weights are of another network.

    Example:
        >>> import mga_wrap as mga
        >>> net = mga.from_pretrained("fsrcnn-m-x4")
        >>> net.scale, net.p, net.config.style
        (4, 4, 'paper')
    """
    folder = _find(name_or_dir)
    path = folder / CONFIG
    config = read_config(path)
    _check_format(config, path)
    if model is None and config.get("backbone") is None:
        raise CheckpointError(_needs_original(folder, _recorded(config, path)))
    recorded = _recorded(config, path)
    if model is not None:
        model = unwrapped(model)
        _check_same(recorded, model, folder)
    try:
        cut = CutConfig.from_json(_cut_of_format_1(config) if config["format_version"] == 1 else config.get("cut"))
        small = _small(config, base, path)
        net = accelerate_as(create_backbone(**config["backbone"]) if model is None else model, cut, base=small).eval()
    except (MGAError, TypeError) as error:  # TypeError: a value of another kind than save_pretrained writes
        made_from = "" if model is None or recorded is None else f" (it was made from {recorded})"
        raise CheckpointError(f"{path} builds no network: {error}{made_from}") from error
    if config.get("scale", net.scale) != net.scale:
        raise CheckpointError(
            f"{path} says scale {config.get('scale')!r}, its network enlarges by {net.scale}; expected the same: "
            "restore the file that save_pretrained wrote"
        )
    if small is not None:
        _as_recorded(net, config["base"])
    _load(net, read_weights(folder / WEIGHTS), path=folder / WEIGHTS)
    net.fitted = config.get("fitted", True) is not False
    net.origin = recorded if recorded is not None or model is None else replace(origin_of(model), fingerprint=None)
    return net


def _small(config: dict[str, Any], base: nn.Module | None, path: Path) -> nn.Module | None:
    """The small network of a pair, its weights still to be loaded; None for a network that is none.

    Raises:
        ArgumentError: what config.json says of it cannot be.
        CheckpointError: it has to be given and is not, or another one is.
    """
    said = config.get("base")
    if said is None:
        if base is not None:
            raise CheckpointError(f"got base={type(base).__name__} for {path.parent}, which is no pair; leave it out")
        return None
    if not isinstance(said, dict):
        raise ArgumentError(f"base: got {type(said).__name__}; expected what the small network is, by name")
    origin = Origin.from_json(said.get("origin"))
    if base is not None:
        base = unwrapped(base)
        if not isinstance(base, MGANet) and not origin.accepts(given := origin_of(base)):
            raise CheckpointError(f"got {given} as the base of {path.parent}; expected {origin}")
        return base
    if said.get("backbone") is None:
        raise CheckpointError(
            f"the base of {path.parent} was {origin}, which is not a backbone of mga_wrap; give it: "
            "from_pretrained(folder, base=...), or on the command line --base with its file or its code"
        )
    backbone = create_backbone(**said["backbone"])
    return backbone if said.get("cut") is None else accelerate_as(backbone, CutConfig.from_json(said["cut"]))


def _as_recorded(net: MGANet, said: dict[str, Any]) -> None:
    """What a checkpoint says of a pair's small network."""
    assert isinstance(net.base, PairBase)
    assert net.small is not None
    net.small = replace(net.small, origin=Origin.from_json(said["origin"]))
    if said.get("matched") is True:
        channels = net.geometry.channels
        net.base.set_match(torch.eye(channels), torch.zeros(channels), like=next(net.parameters()))


def _recorded(config: dict[str, Any], path: Path) -> Origin | None:
    """Where the original came from; checkpoints of earlier versions do not say."""
    try:
        return None if config.get("original") is None else Origin.from_json(config["original"])
    except ArgumentError as error:
        raise CheckpointError(f"{path} builds no network: {error}") from error


def _needs_original(folder: Path, origin: Origin | None) -> str:
    if origin is None or origin.kind in ("module", "backbone"):
        what = "a network" if origin is None else str(origin)
        return (
            f"{folder} was made from {what}, which is not a backbone of mga_wrap; build that network and give it: "
            "from_pretrained(folder, model=...), or on the command line --original with its file or its code"
        )
    return (
        f"{folder} was made from {origin}; give that: from_pretrained(folder, model=load_network(...)), or on the "
        "command line --original"
    )


def _check_same(recorded: Origin | None, model: nn.Module, folder: Path) -> None:
    given = origin_of(model)
    if recorded is not None and not recorded.accepts(given):
        other = f", other weights than {recorded}" if str(given) == str(recorded) else f"; expected {recorded}"
        raise CheckpointError(f"got {given} for {folder}{other}, from which it was made")


def _check_format(config: dict[str, Any], path: Path) -> None:
    version = config.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path} has no format_version; expected the file that save_pretrained wrote")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {version}, this mga_wrap reads up to {FORMAT_VERSION}; update it with "
            "pip install -U mga-wrap"
        )
    expected = ("backbone", *FORMAT_1) if version == 1 else ("backbone", "cut", "scale")
    if missing := [name for name in expected if name not in config]:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; expected the file that save_pretrained wrote")


def _cut_of_format_1(config: dict[str, Any]) -> dict[str, Any]:
    """The cut of a checkpoint of format 1, in which style "pretrained" is called "continue"."""
    cut = {name: config[name] for name in (*FORMAT_1, "mask") if name in config}
    if cut["style"] == "continue":
        cut["style"] = "pretrained"
    cut.setdefault("mask", {"kind": "convolutions"})
    return cut


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


def _load(net: MGANet, tensors: dict[str, Tensor], *, path: Path) -> None:
    try:
        net.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path} holds the weights of another network: {reason}") from error
