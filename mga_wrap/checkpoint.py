"""The files of a checkpoint: a folder of model.safetensors and config.json, read and written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mga_wrap.errors import CheckpointError, one_line
from mga_wrap.files import whole_file
from mga_wrap.names import CONFIG

WEIGHTS = "model.safetensors"
LARGEST_CONFIG = 1_000_000
"""Bytes: a config is a few hundred."""
LARGEST_HEADER = 4_000_000
"""Bytes: a hundred for each tensor, of which large networks have some thousands."""
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""What weights may be, each read into any other."""
LONGEST_NAME = 100
"""Characters that are shown of a tensor's name, which a file may make as long as it likes."""


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
        CheckpointError: the file cannot be read, is too large, or holds something else.
    """
    try:
        content = _bytes_of(path)
    except OSError as error:
        raise _unlike(path, error) from error
    return parse_config(content, path)


def parse_config(content: bytes, path: Path) -> dict[str, Any]:
    """The mapping in the bytes of a JSON file.

    Args:
        content: the bytes.
        path: where they stood, for the message.

    Raises:
        CheckpointError: they are something else.
    """
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:  # RecursionError: brackets in brackets in ...
        raise _unlike(path, error) from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds a {type(config).__name__}; expected the file that save_pretrained wrote")
    return config


def _unlike(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} cannot be read ({one_line(error)}); expected the file that save_pretrained wrote")


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise CheckpointError(f"{path} is no file; expected the one that save_pretrained wrote")
    with path.open("rb") as handle:
        found = handle.read(LARGEST_CONFIG + 1)
    if len(found) > LARGEST_CONFIG:
        raise CheckpointError(f"{path} has more than {LARGEST_CONFIG:,} bytes; expected a config of a few hundred")
    return found


def read_weights(path: Path, *, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, of which names and shapes are known.

    The header is held against what is expected before any value is read, so that no file takes more memory than the
    network that it is for.

    Args:
        path: the file.
        expected: the state dict of the network; only its names, shapes and kinds of numbers count.

    Returns:
        Name to tensor, in the dtypes of the file.

    Raises:
        CheckpointError: the file is missing, truncated or something else; a tensor is missing, unknown, of another
            shape or kind of numbers, or holds NaN or infinity. The message names it.
    """
    check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            _check_names(set(file.keys()), expected, path=path)
            return {name: _checked(file, name, like, path=path) for name, like in expected.items()}
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def check_header(path: Path) -> None:
    """See that a safetensors file is what its header says, before it is opened; no value is read.

    Raises:
        CheckpointError: it is missing, truncated or something else.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise CheckpointError(f"{path} is no file; expected the one that save_pretrained wrote")
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"its header says that it has {length:,} bytes; expected at most {LARGEST_HEADER:,}")
        with safe_open(path, framework="pt") as file:
            file.keys()
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _check_names(found: set[str], expected: Mapping[str, Tensor], *, path: Path) -> None:
    missing, unknown = [name for name in expected if name not in found], sorted(found - set(expected))
    if missing or unknown:
        parts = [f"{what} {_some(names)}" for what, names in (("lacks", missing), ("has also", unknown)) if names]
        raise _of_another(path, " and ".join(parts))


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, path: Path) -> None:
    """The same as `read_weights` asks of a file, of tensors that another program read.

    Raises:
        CheckpointError: see there.
    """
    _check_names(set(found), expected, path=path)
    for name, like in expected.items():
        _check_tensor(found[name], name, like, path=path)


def _checked(file: Any, name: str, like: Tensor, *, path: Path) -> Tensor:
    _check_shape(tuple(file.get_slice(name).get_shape()), name, like, path=path)
    return _check_tensor(file.get_tensor(name), name, like, path=path)


def _check_shape(shape: tuple[int, ...], name: str, like: Tensor, *, path: Path) -> None:
    if shape != tuple(like.shape):
        raise _of_another(path, f"{name} has the shape {shape}, expected {tuple(like.shape)}")


def _check_tensor(tensor: Tensor, name: str, like: Tensor, *, path: Path) -> Tensor:
    _check_shape(tuple(tensor.shape), name, like, path=path)
    if tensor.dtype != like.dtype and not (tensor.dtype in FLOATS and like.dtype in FLOATS):
        raise _of_another(path, f"{name} holds {tensor.dtype}, expected {like.dtype}")
    if tensor.dtype in FLOATS and not tensor.isfinite().all():
        raise CheckpointError(
            f"{path} holds NaN or infinity in {name}; expected finite weights: copy or download it again, or train anew"
        )
    return tensor


_UNREADABLE = (OSError, SafetensorError, ValueError, OverflowError)  # the last two: sizes beyond 64 bits


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read ({one_line(error)}); it is missing, truncated or no safetensors: copy or download it "
        "again"
    )


def _of_another(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds the weights of another network: {reason}; expected those that belong to the {CONFIG} beside it"
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:LONGEST_NAME] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
