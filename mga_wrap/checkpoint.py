"""The files of a checkpoint: a folder of model.safetensors and config.json, read and written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mga_wrap.errors import CheckpointError, one_line
from mga_wrap.files import whole_file

WEIGHTS, CONFIG = "model.safetensors", "config.json"
PLAIN = "network.json"
"""In place of CONFIG, where the network is not cut."""
LARGEST_CONFIG = 1_000_000
"""Bytes: a config is a few hundred."""


def write_checkpoint(
    folder: Path, *, config: Mapping[str, Any], tensors: Mapping[str, Tensor], config_name: str = CONFIG
) -> None:
    """Write both files into a folder, which is made if it is not there.

    They appear under their names only when both are complete, the config last.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        with whole_file(folder / config_name) as config_file, whole_file(folder / WEIGHTS) as weights_file:
            weights_file.write_bytes(save(plain, metadata={"format": "pt"}))
            config_file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be written ({error}); choose another folder") from error


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file.

    Raises:
        CheckpointError: the file cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise CheckpointError(f"{path} has more than {LARGEST_CONFIG:,} bytes; expected a config of a few hundred")
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: brackets in brackets in ...
        raise CheckpointError(
            f"{path} cannot be read ({one_line(error)}); expected the file that save_pretrained wrote"
        ) from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds a {type(config).__name__}; expected the file that save_pretrained wrote")
    return config


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated or something else.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({one_line(error)}); it is missing, truncated or no safetensors"
        ) from error
