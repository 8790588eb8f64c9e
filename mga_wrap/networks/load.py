"""From what a user writes to a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from mga_wrap.backbones.from_file import SUFFIXES, from_file
from mga_wrap.backbones.registry import create_backbone, list_backbones
from mga_wrap.backbones.weights import load_weights
from mga_wrap.checkpoint import CONFIG
from mga_wrap.errors import ArgumentError, CheckpointError, nearest
from mga_wrap.hub import from_pretrained
from mga_wrap.names import hub_file, is_repo, list_pretrained
from mga_wrap.nets.mga import MGANet
from mga_wrap.networks.from_code import from_code, is_code
from mga_wrap.networks.plain import is_plain, list_students, load_plain
from mga_wrap.origin import Origin, file_digest, origin_of, remember
from mga_wrap.remote import download_file, download_plain
from mga_wrap.spandrel import is_single_file, load_single_file

Spec = str | os.PathLike[str]
Kind = Literal["backbone", "code", "file", "plain", "accelerated"]
DEFAULT_SCALE = 4


def load_network(
    spec: Spec,
    *,
    scale: int | None = None,
    args: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    original: Spec | None = None,
    base: Spec | None = None,
) -> nn.Module:
    """Build the network that is meant; `mga_wrap.origin.origin_of` says where it came from.

    Args:
        spec: one of these.

            * a backbone's name: one of `mga_wrap.list_backbones()`
            * an accelerated network: one of `mga_wrap.list_pretrained()`, a folder that `save_pretrained` wrote, or
              owner/name on the Hub
            * a small network: one of `mga_wrap.list_students()`, a folder that `save_network` wrote, or owner/name on
              the Hub
            * a file of weights that spandrel knows: net.pth, net.safetensors, or on the Hub
              owner/name:net.safetensors
            * code of your own: package.module:Factory or file.py:Factory, a class or function that returns the network

            Code is imported and run: name none that you would not run.
        scale: of a backbone, 4 unless given; any other network has to be of this scale.
        args: keyword arguments of the code.
        weights: a file of weights for the backbone or the code, see `load_weights`.
        original: for a folder that was made from no backbone: the network that was accelerated, as one of the above;
            args and weights are then its own.
        base: for the folder of a pair whose small network was no backbone: that network, as one of the above.

    Returns:
        An `MGANet` if it is an accelerated network, else the network itself; in eval mode, on the CPU.

    Raises:
        ArgumentError: spec is none of these, what is given beside it does not go with it, or the code raises or
            returns no network.
        CheckpointError: a file or folder is missing, broken, or of another network than expected.
        MGAError: spec is a file, and spandrel is not installed.

    Example:
        >>> from mga_wrap.networks import load_network
        >>> type(load_network("pan", scale=2)).__name__
        'PAN'
    """
    if not isinstance(spec, str | os.PathLike):
        raise ArgumentError(f"got a {type(spec).__name__}; expected {EXPECTED}")
    text = os.fspath(spec)
    kind = kind_of(text)
    _check_extras(kind, text, args=args, weights=weights, original=original, base=base)
    if kind == "backbone":
        model = create_backbone(text, scale=DEFAULT_SCALE if scale is None else scale).eval()
        remember(model, Origin("backbone", text, args={"scale": model.scale}))
    elif kind == "code":
        model = from_code(text, args=args or {})
    elif kind == "file":
        model = _from_hub(*found) if (found := _on_hub(text)) else _from_disk(Path(text))
    elif kind == "plain":
        model = load_plain(text)
    elif original is None and base is None and (small_one := _plain_on_hub(text)) is not None:
        model = load_plain(small_one)
    else:
        under = None if original is None else _original(original, args=args, weights=weights, scale=scale)
        small = None if base is None else load_network(base)
        model, weights = from_pretrained(text, model=under, base=small), None
    if weights is not None:
        load_weights(model, weights)
        remember(model, _with_weights(origin_of(model), Path(weights)))
    own = getattr(model, "scale", None)
    if scale is not None and isinstance(own, int) and own != scale:
        raise ArgumentError(f"got scale={scale} and a model that enlarges by {own}; leave one of them out")
    return model


EXPECTED = (
    "a backbone's name, a pretrained network's name, the folder of a saved one or owner/name on the Hub, a file of "
    "weights "
    f"({', '.join(SUFFIXES)}), or code: package.module:Factory or file.py:Factory"
)
"""What a network may be, for messages and help."""


def kind_of(spec: str) -> Kind:
    """What a spec names.

    Raises:
        ArgumentError: none of these.
    """
    path = Path(spec)
    if is_plain(spec):
        return "plain"
    if (path / CONFIG).is_file() or spec in list_pretrained():
        return "accelerated"
    if spec in list_backbones():
        return "backbone"
    if path.is_dir():
        return "accelerated"
    if path.is_file() and path.suffix != ".py":
        return "file"
    if _on_hub(spec):
        return "file"
    if is_code(spec):
        return "code"
    if path.suffix in SUFFIXES:
        raise CheckpointError(f"{spec} cannot be read: there is no such file; check the path")
    if path.name != spec:
        return "accelerated"  # on the Hub, or a folder that is not there: told by who reads it
    if path.suffix == ".py":
        raise ArgumentError(f"got {spec}; expected the name of what makes the network, too: {spec}:Factory")
    known = (*list_backbones(), *list_pretrained(), *list_students())
    raise ArgumentError(f"got {nearest(spec, known)}; or a folder, a file or code: {EXPECTED}")


def _on_hub(spec: str) -> tuple[str, str] | None:
    """Repository and file of a spec that names a file on the Hub, and none on this disk."""
    return None if Path(spec).exists() else hub_file(spec)


def _plain_on_hub(spec: str) -> Path | None:
    """The folder, in the cache, of a network that is not cut; None for anything else."""
    return download_plain(spec) if is_repo(spec) and not Path(spec).exists() else None


def _from_hub(repo: str, name: str) -> nn.Module:
    path = download_file(repo, name)
    model = _from_disk(path)
    if isinstance(model, MGANet):  # which says itself where it came from
        return model
    remember(model, replace(origin_of(model), name=name, repo=repo, revision=path.parent.name))
    return model


def _from_disk(path: Path) -> nn.Module:
    return load_single_file(path) if is_single_file(path) else from_file(path)


def _check_extras(kind: Kind, spec: str, **given: object) -> None:
    """What goes with which kind of network."""
    of_the_original = kind == "accelerated" and given["original"] is not None
    taken = {
        "backbone": ("weights",),
        "code": ("args", "weights"),
        "file": (),
        "plain": (),
        "accelerated": ("original", "base", *(("args", "weights") if of_the_original else ())),
    }[kind]
    wrong = [name for name, value in given.items() if value not in (None, {}) and name not in taken]
    if wrong:
        names = {
            "args": "network arguments",
            "weights": "a file of weights",
            "original": "an original",
            "base": "a base",
        }
        article = {"accelerated": "an accelerated network", "code": "code", "plain": "a saved network"}.get(
            kind, f"a {kind}"
        )
        takes = " and ".join(names[name] for name in taken) or "none of these"
        raise ArgumentError(f"got {names[wrong[0]]} for {spec}, {article}, which takes {takes}; leave out what is more")


def _original(
    spec: Spec, *, args: Mapping[str, Any] | None, weights: str | Path | None, scale: int | None
) -> nn.Module:
    model = load_network(spec, args=args, weights=weights, scale=scale)
    if isinstance(model, MGANet):
        raise ArgumentError(
            f"got {os.fspath(spec)} as the original, which is accelerated itself; expected the network before"
        )
    return model


def _with_weights(origin: Origin, path: Path) -> Origin:
    return replace(origin, weights=path.name, sha256=file_digest(path))
