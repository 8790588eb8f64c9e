"""What the config.json of a saved network says: its names and kinds checked, whatever its format."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import Tensor

from mga_wrap.checkpoint import read_config
from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError, CheckpointError
from mga_wrap.nets.mga import FORMAT_VERSION, LARGEST_EXAMPLE
from mga_wrap.origin import Origin
from mga_wrap.pictures.synthetic import synthetic

FORMAT_1 = ("split_at", "k", "p", "halo", "style", "coarse_tail")
"""What a config.json of format 1 holds of the cut, beside "mask" where it is not the default."""


KNOWN = ("format_version", "backbone", "scale", "original", "fitted", "base", "example", "by_area")
"""What a config.json of any format may hold, beside the cut."""
SMALL = ("origin", "backbone", "cut", "matched", "example")
"""What stands under "base": the small network of a pair."""
BY_ITSELF = ".safetensors"
"""Files of originals that are fetched from the Hub: what others have put there is never unpickled."""


def checked_config(path: Path) -> dict[str, Any]:
    """A config.json of any format: its names, and the kinds of what stands under them; the cut is checked by its own.

    Raises:
        CheckpointError: it cannot be read, is newer than this package, or holds something else.
    """
    return check_config(read_config(path), path)


def check_config(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same of a config that was read already; `path` is for the message."""
    _check_format(config, path)
    for name, value, right, expected in (
        ("scale", config.get("scale", 2), _is_whole(config.get("scale", 2)), "a whole number"),
        ("fitted", config.get("fitted", True), isinstance(config.get("fitted", True), bool), "true or false"),
        ("by_area", config.get("by_area", True), config.get("by_area", True) is True, "true, or nothing"),
        ("backbone", config["backbone"], _is_backbone(config["backbone"]), 'null, or {"name": ..., "scale": ...}'),
        ("example", config.get("example"), _is_example(config.get("example")), "null, or a shape of four sides"),
        ("base", config.get("base"), _is_small(config.get("base")), f"null, or {', '.join(SMALL)}"),
    ):
        if not right:
            raise CheckpointError(f"{path} builds no network: got {name}={str(value)[:100]}; expected {expected}")
    return config


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
    known = {*KNOWN, *expected, *(("mask",) if version == 1 else ())}
    if unknown := [name for name in config if name not in known]:
        raise CheckpointError(
            f"{path} holds {unknown[0][:100]!r}, which format {version} has not; expected the file that "
            "save_pretrained wrote, or update this package with pip install -U mga-wrap"
        )
    if missing := [name for name in expected if name not in config]:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; expected the file that save_pretrained wrote")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64


def _is_backbone(value: object) -> bool:
    return value is None or (
        isinstance(value, dict)
        and set(value) == {"name", "scale"}
        and isinstance(value["name"], str)
        and _is_whole(value["scale"])
    )


def _is_small(value: object) -> bool:
    return value is None or (
        isinstance(value, dict)
        and set(value) <= set(SMALL)
        and _is_backbone(value.get("backbone"))
        and isinstance(value.get("matched", False), bool)
        and _is_example(value.get("example"))
    )


def _is_example(value: object) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in value)
        and math.prod(value) <= LARGEST_EXAMPLE
    )


def example_of(said: dict[str, Any], like: Tensor) -> Tensor | None:
    """An image of the shape that was needed to accelerate a network; None where none was.

    Args:
        said: a config.json, or what it says of a pair's small network.
        like: for dtype and device.
    """
    if said.get("example") is None:
        return None
    batch, channels, height, width = said["example"]
    return synthetic(height, width, channels=channels).to(like).expand(batch, -1, -1, -1).contiguous()


def cut_of(config: dict[str, Any]) -> CutConfig:
    """The cut; in format 1 it stands among the rest, and style "pretrained" is called "continue".

    Raises:
        ArgumentError: it cannot be.
    """
    if config["format_version"] > 1:
        return CutConfig.from_json(config["cut"])
    cut = {name: config[name] for name in (*FORMAT_1, "mask") if name in config}
    if cut["style"] == "continue":
        cut["style"] = "pretrained"
    cut.setdefault("mask", {"kind": "convolutions"})
    return CutConfig.from_json(cut)


def recorded_origin(config: dict[str, Any], path: Path) -> Origin | None:
    """Where the original came from; checkpoints of earlier versions do not say."""
    try:
        return None if config.get("original") is None else Origin.from_json(config["original"])
    except ArgumentError as error:
        raise CheckpointError(f"{path} builds no network: {error}") from error


def originals_of(config: dict[str, Any], path: Path) -> list[Origin]:
    """The networks that a saved one was made from and that are no backbones: its original, the small one of a pair.

    Raises:
        CheckpointError: what it says of them cannot be.
    """
    said = [config] if config["backbone"] is None else []
    small = config.get("base")
    if small is not None and small.get("backbone") is None:
        said.append({"original": small.get("origin")})
    return [recorded_origin(one, path) or Origin("module", "network") for one in said]


def files_of(config: dict[str, Any], path: Path) -> list[Origin]:
    """Those of `originals_of` whose files may lie beside the checkpoint on the Hub, and are then found."""
    found = originals_of(config, path)
    return [one for one in found if one.kind == "file" and one.name.endswith(BY_ITSELF) and one.repo is None]
