"""Accelerated networks by folder, by name, or from the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap import remote
from mga_wrap.backbones.from_file import from_file
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.checkpoint import CONFIG, WEIGHTS, check_header, read_weights
from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError, CheckpointError, MGAError, in_short
from mga_wrap.making import accelerate_as
from mga_wrap.names import is_repo, list_pretrained, shipped_folder
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.pair import PairBase
from mga_wrap.nets.score import ScorePredictor
from mga_wrap.origin import Origin, file_digest, origin_of, remember, unwrapped
from mga_wrap.saved import BY_ITSELF, checked_config, cut_of, example_of, originals_of, recorded_origin

COMMIT = re.compile(r"[0-9a-f]{40}")
"""What a config.json may say of an original's revision: a branch could lead elsewhere, and a path out of the cache."""


@dataclass(frozen=True)
class _Place:
    """Where a checkpoint lies."""

    folder: Path
    repo: str | None = None
    """On the Hub, from which it was fetched."""
    token: str | bool | None = None
    local_files_only: bool = False

    def fetch(self, repo: str, name: str, *, revision: str | None) -> Path:
        """Another file that belongs to it."""
        return remote.download_file(
            repo, name, revision=revision, token=self.token, local_files_only=self.local_files_only
        )


@in_short()
@torch.inference_mode(False)
def from_pretrained(
    name_or_dir: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    model: nn.Module | None = None,
    base: nn.Module | None = None,
) -> MGANet:
    """Read an accelerated network: from a folder, else from the package, else from the Hub or its cache.

    Args:
        name_or_dir: a folder that `MGANet.save_pretrained` wrote, one of `list_pretrained()`, or "owner/name" on the
            Hub.
        revision: on the Hub: a branch, a tag or a commit; None: main.
        token: for the Hub; None: HF_TOKEN or what ``hf auth login`` has kept, False: none.
        local_files_only: do not ask the Hub, take what its cache holds.
        model: the network that was accelerated, if it is not a backbone of this package: its layers are replaced by
            the saved ones, its code says how they are connected. It is not changed. `mga_wrap.networks.load_network`
            makes it from a file or from code of your own; nothing that a checkpoint names is ever imported here. A
            file that spandrel reads is found by itself where it lies beside the checkpoint and is the same file.
        base: the same of the small network of a pair, if that is no backbone of this package, cut or not.

    Returns:
        The network in eval mode, float32 on the CPU unless `model` is elsewhere.

    Raises:
        CheckpointError: there is no such folder, name or repository, a file is missing or broken, the format is newer
            than this package, or the weights are of another network.
        ArgumentError: revision or local_files_only for what is not on the Hub.

    Example:
        >>> import mga_wrap as mga
        >>> net = mga.from_pretrained("fsrcnn-m-x4")
        >>> net.scale, net.p, net.config.style
        (4, 4, 'paper')
    """
    place = _find(name_or_dir, revision=revision, token=token, local_files_only=local_files_only)
    path = place.folder / CONFIG
    config = checked_config(path)
    recorded = recorded_origin(config, path)
    if model is not None:
        model = unwrapped(model)
        _check_same(recorded, model, place.folder)
    elif config["backbone"] is None:
        model = _beside(recorded, place)
        if model is None:
            raise CheckpointError(_needs_original(place.folder, recorded))
    net = built(
        config, path, model, lambda: small_of(config.get("base"), base, place.folder, lambda one: _beside(one, place))
    )
    net.load_state_dict(read_weights(place.folder / WEIGHTS, expected=net.state_dict()))
    return net


def built(config: dict[str, Any], path: Path, model: nn.Module | None, base: Callable[[], nn.Module | None]) -> MGANet:
    """The network of a config, its weights still to be loaded, in eval mode.

    Args:
        config: see `checked_config`.
        path: where it stood, for the message.
        model: the original; None: a backbone of this package.
        base: makes the small network of a pair; None for a network that is none.

    Raises:
        CheckpointError: config builds no network.
    """
    recorded = recorded_origin(config, path)
    try:
        cut, small = cut_of(config), base()
        given = create_backbone(**config["backbone"]) if model is None else model
        net = accelerate_as(given, cut, base=small, example=example_of(config, _like(given))).eval()
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
    net.fitted = config.get("fitted", True)
    if isinstance(net.mask, ScorePredictor):
        net.mask.by_area = config.get("by_area", False)
    net.origin = recorded if recorded is not None or model is None else replace(origin_of(model), fingerprint=None)
    return net


def check_checkpoint(folder: Path) -> dict[str, Any]:
    """See that a folder holds an accelerated network, as far as its originals are at hand; returns its config.

    Raises:
        CheckpointError: it does not.
    """
    config = checked_config(folder / CONFIG)
    needed = originals_of(config, folder / CONFIG)
    if all((folder / Path(one.name).name).is_file() for one in needed):
        from_pretrained(folder)
    else:
        check_header(folder / WEIGHTS)
    return config


def small_of(
    said: dict[str, Any] | None, base: nn.Module | None, folder: Path, beside: Callable[[Origin], nn.Module | None]
) -> nn.Module | None:
    """The small network of a pair, its weights still to be loaded; None for a network that is none.

    Args:
        said: what the config says of it.
        base: the network, where it is given.
        folder: where the config stood, for the message.
        beside: finds the network by its origin, or returns None.

    Raises:
        ArgumentError: what the config says of it cannot be.
        CheckpointError: it has to be given and is not, or another one is.
    """
    if said is None:
        if base is not None:
            raise CheckpointError(f"got base={type(base).__name__} for {folder}, which is no pair; leave it out")
        return None
    origin = Origin.from_json(said.get("origin"))
    if base is not None:
        base = unwrapped(base)
        if not isinstance(base, MGANet) and not origin.accepts(given := origin_of(base)):
            raise CheckpointError(f"got {given} as the base of {folder}; expected {origin}")
        return base
    small = beside(origin) if said.get("backbone") is None else create_backbone(**said["backbone"])
    if small is None:
        raise CheckpointError(
            f"the base of {folder} was {origin}, which is not a backbone of mga_wrap; give it: "
            "from_pretrained(folder, base=...), or on the command line --base with its file or its code"
        )
    if said.get("cut") is None:
        return small
    return accelerate_as(small, CutConfig.from_json(said["cut"]), example=example_of(said, _like(small)))


def _like(model: nn.Module) -> Tensor:
    """For the dtype and device of what a network is given."""
    return next((one for one in model.parameters() if one.is_floating_point()), torch.zeros(()))


def _as_recorded(net: MGANet, said: dict[str, Any]) -> None:
    """What a checkpoint says of a pair's small network."""
    assert isinstance(net.base, PairBase)
    assert net.small is not None
    net.small = replace(net.small, origin=Origin.from_json(said["origin"]))
    if said.get("matched") is True:
        channels = net.geometry.channels
        net.base.set_match(torch.eye(channels), torch.zeros(channels), like=next(net.parameters()))


def _beside(recorded: Origin | None, place: _Place) -> nn.Module | None:
    """The network of a file that lies beside the checkpoint or on the Hub; None if none can be found by itself.

    Raises:
        CheckpointError: there is no such file, it is another one, or spandrel does not know it.
    """
    if recorded is None or recorded.kind != "file" or Path(recorded.name).name != recorded.name:
        return None
    file = place.folder / recorded.name
    if not file.is_file():
        if not recorded.name.endswith(BY_ITSELF):
            return None
        if place.repo is not None and recorded.repo is None:
            file = place.fetch(place.repo, recorded.name, revision=place.folder.name)
        elif recorded.repo is not None and COMMIT.fullmatch(str(recorded.revision)):
            file = place.fetch(recorded.repo, recorded.name, revision=recorded.revision)
        else:
            return None
    found = file_digest(file)
    if found != recorded.sha256:
        raise CheckpointError(f"{file} is another file than {recorded}, from which {place.folder} was made: {found}")
    if file.name.endswith(BY_ITSELF):
        check_header(file)
    model = from_file(file)
    remember(model, replace(origin_of(model), name=recorded.name))  # the cache's files are links with other names
    return model


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


def _find(name_or_dir: str | Path, *, revision: str | None, token: str | bool | None, local_files_only: bool) -> _Place:
    """A folder, else a name in the package, else a repository on the Hub."""
    folder, here = Path(name_or_dir), None
    if folder.is_dir():
        here = folder
    elif isinstance(name_or_dir, str) and name_or_dir in list_pretrained():
        here = shipped_folder(name_or_dir)
    if here is not None:
        if revision is not None:
            raise ArgumentError(f"got revision={revision!r} for {here}, which is on this disk; leave it out")
        return _Place(here)
    if is_repo(name_or_dir):
        repo = str(name_or_dir)
        try:
            found = remote.download(repo, revision=revision, token=token, local_files_only=local_files_only)
        except CheckpointError as error:
            raise CheckpointError(f"{repo} is no folder here; on the Hub: {error}") from error
        return _Place(found, repo=repo, token=token, local_files_only=local_files_only)
    if isinstance(name_or_dir, str) and folder.name == name_or_dir:
        known = ", ".join(list_pretrained()) or "no weights"
        raise CheckpointError(f"got {name_or_dir!r}; expected a folder, one of {known}, or owner/name on the Hub")
    raise CheckpointError(f"{folder} is no folder; expected one with {WEIGHTS} and {CONFIG}")
