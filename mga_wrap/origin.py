"""Where a network came from: what an accelerated network keeps of its original, to know it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mga_wrap.errors import ArgumentError, nearest

Kind = Literal["backbone", "file", "code", "module"]
SAMPLED = 64
"""Values of each tensor that a fingerprint looks at."""
SHOWN = 12
"""Digits of a hash that people are shown."""


@dataclass(frozen=True)
class Origin:
    """Where a network came from.

    A record alone: what stands in it is compared and printed, never imported and never opened.
    """

    kind: Kind
    """A backbone by its name, a file that spandrel read, code of the user's own, or a module that was handed over."""
    name: str
    """Of the backbone, of the file without its folder, of the code ("net.py:MyNet"), or of the module's class."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the backbone or of the code, as JSON holds them."""
    sha256: str | None = None
    """Of the file; of the weights, where the network is none that a file says by itself."""
    repo: str | None = None
    """On the Hub, in which the file lies: "owner/name"."""
    revision: str | None = None
    """Of the repository: the commit from which the file was taken."""
    weights: str | None = None
    """Name of the file of weights that were loaded, without its folder."""
    class_name: str | None = None
    """Of the module."""
    fingerprint: str | None = None
    """See `fingerprint`, of the module as it was cut."""

    def __str__(self) -> str:
        """The sentence's object: what to look for on the disk."""
        arguments = f" with the arguments {json.dumps(dict(self.args))}" if self.args else ""
        weights = f" and the weights {self.weights}" if self.weights else ""
        if self.kind == "file":
            where = f" of {self.repo} on the Hub" if self.repo else ""
            return f"the file {self.name}{where} (sha256 {str(self.sha256)[:SHOWN]}...)"
        if self.kind == "module":
            return f"a {self.name} of your own"
        return f"the {self.kind} {self.name}{arguments}{weights}"

    def as_json(self) -> dict[str, Any]:
        """The fields that say something, by name."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {})}

    @classmethod
    def from_json(cls, values: object) -> Origin:
        """The inverse of `as_json`.

        Raises:
            ArgumentError: values is something else.
        """
        if not isinstance(values, Mapping):
            raise ArgumentError(f"original: got {type(values).__name__}; expected where the network came from, by name")
        known = [one.name for one in fields(cls)]
        for name, value in values.items():
            if name not in known:
                raise ArgumentError(f"original: got {nearest(name, known)}")
            if not isinstance(value, dict if name == "args" else str):
                raise ArgumentError(f"original: got {name}={value!r}; expected {'names' if name == 'args' else 'text'}")
        if values.get("kind") not in get_args(Kind) or "name" not in values:
            raise ArgumentError(f"original: got kind={values.get('kind')!r}; expected {', '.join(get_args(Kind))}")
        return cls(**cast(Any, values))

    def accepts(self, other: Origin) -> bool:
        """Whether what came from `other` may stand where this network is needed.

        Of a module that is handed over only the code is used, so it may have any weights. What came from a file has to
        be the same network: the same file, or the same weights in another one.
        """
        if other.kind == "module":
            return True
        if other.kind == self.kind and other.kind != "file" and other._maker != self._maker:
            return False
        if self.sha256 is not None and other.sha256 == self.sha256:
            return True
        if self.class_name is not None and other.class_name != self.class_name:
            return False
        trained = other.kind == "file" or other.weights is not None
        return not trained or self.fingerprint is None or other.fingerprint == self.fingerprint

    @property
    def _maker(self) -> tuple[object, ...]:
        """What made it, wherever its code lies: models.net:MyNet and net.py:MyNet are one."""
        place, _, factory = self.name.rpartition(":")
        return place.removesuffix(".py").rpartition(".")[2], factory, json.dumps(dict(self.args), sort_keys=True)


_KNOWN: WeakKeyDictionary[nn.Module, Origin] = WeakKeyDictionary()
"""Of networks that `mga_wrap.networks.load_network` made; they are not written to."""


def remember(model: nn.Module, origin: Origin) -> None:
    """Keep where a network came from for as long as it lives."""
    _KNOWN[model] = replace(origin, class_name=type(model).__qualname__, fingerprint=fingerprint(model))


def origin_of(model: nn.Module) -> Origin:
    """Where a network came from; of one that nobody loaded for the user that is its class, and its fingerprint."""
    if model in _KNOWN:
        return _KNOWN[model]
    name = type(model).__qualname__
    return Origin("module", name, class_name=name, fingerprint=fingerprint(model))


def fingerprint(model: nn.Module) -> str | None:
    """A digest of a network's names, shapes and some values of each tensor; None where it holds no values.

    Some values tell one training from another and cost milliseconds, so that `accelerate` can afford them. The dtype
    does not matter: a network in float16 is the network in float32 that was made of it.
    """
    digest = hashlib.sha256()
    with torch.no_grad():
        for name, value in sorted(model.state_dict().items()):
            if not isinstance(value, Tensor):  # extra state
                continue
            if value.is_meta or value.is_quantized or is_lazy(value):
                return None
            some = value.flatten()[:: max(1, value.numel() // SAMPLED)].to("cpu", torch.float32)
            digest.update(f"{name} {tuple(value.shape)} {some.tolist()}".encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Sha256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def unwrapped(model: Any) -> Any:
    """The module in a descriptor, as spandrel's loader returns; anything else as it is.

    Told by what it has, so that spandrel need not be installed.
    """
    inner = None if isinstance(model, nn.Module) else getattr(model, "model", None)
    return inner if isinstance(inner, nn.Module) and hasattr(model, "architecture") else model
