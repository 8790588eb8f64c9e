"""The configuration of a training, as YAML on disk: typed, and nothing unknown is let through."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError, nearest
from mga_wrap.train.crops import check_seed
from mga_wrap.train.data import Data
from mga_wrap.train.stages import Stage, changed, stage_set
from mga_wrap.train.validate import Validation


@dataclass(frozen=True)
class Network:
    """Where the network comes from: a spec, a backbone or a pretrained network, one of the three."""

    spec: str | None = None
    """As `mga_wrap.networks.load_network` takes it: a name, a folder, a file, or code of your own, which is run:
    package.module:Factory or file.py:Factory."""
    args: dict[str, Any] | None = None
    """Keyword arguments of the code."""
    original: str | None = None
    """Of a folder that was made from no backbone: the network that was accelerated, a spec itself; args and weights are
    then its own."""
    base: str | None = None
    """A small network for the whole image, a spec itself: the other refines, as a pair."""
    backbone: str | None = None
    """One of `mga_wrap.list_backbones()`."""
    scale: int | None = None
    """Of a backbone; any other network has to be of this scale."""
    weights: Path | None = None
    """A state dict for the backbone or the code (.safetensors, or .pth read with weights_only); None: untrained."""
    start: str | None = None
    """A network, a spec itself, not cut or cut in the same way, perhaps of another scale: the untrained one starts from
    those of its parameters that have the same name and shape."""
    pretrained: str | None = None
    """A name or folder for `mga_wrap.from_pretrained`: training goes on from there."""


@dataclass(frozen=True)
class Stages:
    """A named set of stages, some of their fields changed."""

    set: str
    """One of `mga_wrap.train.stages.STAGE_SETS`."""
    change: dict[str, dict[str, Any]] = field(default_factory=dict)
    """New values of fields, by the name of the stage."""
    only: list[str] | None = None
    """Names of the stages to run."""


@dataclass(frozen=True)
class Config:
    """A training: the network, the images, the stages."""

    network: Network
    output_dir: Path
    data: Data
    accelerate: CutConfig = field(default_factory=CutConfig)
    validation: Validation | None = None
    stages: str | Stages | list[Stage] | None = None
    """The name of a set, a set with changes, or a list of whole stages; None: by the style."""
    target: Literal["hr", "original"] = "hr"
    seed: int = 0
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["no", "bf16"] | None = None
    tensorboard: bool = False
    save_seconds: float = 60.0
    cache_bytes: int = 2 * 2**30

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def chosen_stages(self) -> tuple[Stage, ...] | None:
        """The stages that `stages` means.

        Raises:
            ArgumentError: there is no such set, stage or field.
        """
        if self.stages is None or isinstance(self.stages, list):
            return None if self.stages is None else tuple(self.stages)
        if isinstance(self.stages, str):
            return stage_set(self.stages)
        hints = typing.get_type_hints(Stage)
        changes = {
            name: {
                key: parse(hints[key], value, f"stages.change.{name}.{key}") if key in hints else value
                for key, value in change.items()
            }
            for name, change in self.stages.change.items()
        }
        found = changed(stage_set(self.stages.set), changes)
        names = [stage.name for stage in found]
        for name in self.stages.only or ():
            if name not in names:
                raise ArgumentError(f"stages.only: got {nearest(name, names)}")
        return tuple(stage for stage in found if self.stages.only is None or stage.name in self.stages.only)


def read_config(path: str | Path, *, changes: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Paths in it are relative to the folder in which the command is given.

    Args:
        path: a YAML file.
        changes: values in place of those in the file, e.g. "accelerate.p=8" or "stages.change.mask.steps=100".

    Raises:
        ArgumentError: the file cannot be read, is no YAML, or a key or value in it is not what `Config` says.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        for change in changes:
            _change(values, change)
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path} cannot be read ({error}); expected a configuration as YAML") from error
    except (yaml.YAMLError, RecursionError) as error:  # RecursionError: brackets in brackets in ...
        raise ArgumentError(
            f"{path}, or what --set puts into it, is no YAML: {' '.join(str(error).split())}"
        ) from error
    try:
        config = parse(Config, values)
        config.chosen_stages()
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from error
    assert isinstance(config, Config)
    return config


def _change(values: Any, change: str) -> None:
    """Put one value, written as "key.key=value", into nested mappings."""
    name, equals, text = change.partition("=")
    *outer, last = name.split(".")
    if not equals or not all((*outer, last)):
        raise ArgumentError(f"got the change {change!r}; expected KEY=VALUE, e.g. accelerate.p=8")
    for key in outer:
        if isinstance(values, dict):
            values[key] = values.get(key) or {}
            values = values[key]
    if not isinstance(values, dict):
        raise ArgumentError(f"got the change {change!r}; {'.'.join(outer) or 'the file'} does not hold keys and values")
    values[last] = yaml.safe_load(text)


def parse(kind: Any, value: Any, where: str = "") -> Any:
    """Turn what YAML gives into a value of a type: dataclasses, unions, lists, mappings, literals, paths and scalars.

    Raises:
        ArgumentError: it does not fit; the message says where, what was got and what was expected.
    """
    if is_dataclass(kind):
        return _parse_dataclass(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if value is False and any("no" in get_args(one) for one in (kind, *arguments)):
        value = "no"  # YAML reads the bare word as false
    if origin in (Union, types.UnionType):
        return _parse_union(arguments, value, where)
    if origin is Literal:
        if value in arguments and not isinstance(value, bool):
            return value
        raise ArgumentError(f"{where}: got {nearest(value, map(str, arguments))}")
    if origin in (list, tuple):
        if isinstance(value, list):
            return origin(parse(arguments[0], one, f"{where}[{number}]") for number, one in enumerate(value))
        raise _wrong(where, value, "a list")
    if origin in (dict, Mapping):
        if isinstance(value, dict):
            return {key: parse(arguments[1], one, f"{where}.{key}") for key, one in value.items()}
        raise _wrong(where, value, "keys and values")
    return _parse_scalar(kind, value, where)


def _parse_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where or "the file", value, f"keys and values: {', '.join(one.name for one in fields(kind))}")
    hints = typing.get_type_hints(kind)
    known = [one.name for one in fields(kind)]
    for key in value:
        if key not in known:
            raise ArgumentError(f"{where or 'the file'}: got the key {nearest(key, known)}")
    for one in fields(kind):
        if one.default is MISSING and one.default_factory is MISSING and one.name not in value:
            raise ArgumentError(f"{where or 'the file'} lacks {one.name!r}")
    prefix = f"{where}." if where else ""
    return kind(**{key: parse(hints[key], one, f"{prefix}{key}") for key, one in value.items()})


def _parse_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The first kind whose outside fits; what is inside of it then has to fit, too."""
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if _outside_fits(kind, value):
            return parse(kind, value, where)
    raise _wrong(where, value, " or ".join(_named(kind) for kind in kinds if kind is not type(None)))


def _outside_fits(kind: Any, value: Any) -> bool:
    origin = get_origin(kind)
    if is_dataclass(kind) or origin in (dict, Mapping):
        return isinstance(value, dict)
    if origin in (list, tuple):
        return isinstance(value, list)
    if origin is Literal:
        return value in get_args(kind) and not isinstance(value, bool)
    if kind is Path:
        return isinstance(value, str)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _parse_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, str):  # YAML reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            raise _wrong(where, value, "a number") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise _wrong(where, value, _named(kind))


def _named(kind: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    if kind in names:
        return names[kind]
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) in (list, tuple):
        return "a list"
    return "keys and values"


def _wrong(where: str, value: Any, expected: str) -> ArgumentError:
    return ArgumentError(f"{where}: got {value!r}; expected {expected}")
