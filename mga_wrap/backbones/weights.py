"""Weights that others trained, read from a file into a network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mga_wrap.errors import CheckpointError, one_line

_WRAPPERS = ("params_ema", "params", "state_dict", "model")
"""Names under which training codes put the state dict into a file; the averaged weights come first."""


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a state dict into a network, every parameter of it.

    Args:
        model: the network; it is changed.
        path: a .safetensors file, or what torch.save wrote of a state dict, alone or under the name by which training
            codes wrap it ("params_ema", "params", "state_dict", "model"); it is read without running code from it.

    Raises:
        CheckpointError: the file cannot be read, holds something else, or the weights of another network.
    """
    path = Path(path)
    tensors = _tensors(open_weights(path), path)
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path} holds the weights of another network than {type(model).__name__}: {reason}"
        ) from error


def open_weights(path: Path) -> object:
    """What is in a file of weights, read without running code from it.

    Raises:
        CheckpointError: it cannot be read so.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise CheckpointError(f"{path} is no file; expected a .safetensors file or a state dict written by torch.save")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch advises to run what is in the file, which is no advice of ours
        raise CheckpointError(
            f"{path} holds other objects than tensors, or is damaged; expected a .safetensors file or a state dict, "
            "as torch.save(model.state_dict(), path) writes it"
        ) from None
    except Exception as error:  # whatever the readers make of a file that is something else
        if "weights_only" in str(error):  # a TorchScript archive: again their advice
            raise CheckpointError(
                f"{path} is a TorchScript archive, which holds code; expected a .safetensors file or a state dict, as "
                "torch.save(model.state_dict(), path) writes it"
            ) from None
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}: {one_line(error)}); expected a .safetensors file or a "
            "state dict written by torch.save"
        ) from error


def _tensors(found: object, path: Path) -> Mapping[str, Tensor]:
    inner = next((found[name] for name in _WRAPPERS if name in found), found) if isinstance(found, Mapping) else found
    if not isinstance(inner, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in inner.items()
    ):
        raise CheckpointError(f"{path} holds {type(found).__name__}; expected a state dict, names to tensors")
    return inner
