"""What was asked for, in one place: how a network is cut (`CutConfig`), and how much of an image is refined (k)."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast

import numpy as np

from mga_wrap.errors import ArgumentError, nearest

Amount = int | float | str
"""How much to refine: patches (int), a share of them (float in (0, 1]), 0 or "base", "all", "dense" or "auto"."""
Style = Literal["pretrained", "paper"]
Halo = int | Literal["exact"]
CoarseTail = Literal["auto", "copy", "light"] | int

STYLES: tuple[Style, ...] = ("pretrained", "paper")
PATCH: dict[str, tuple[int, int]] = {"pretrained": (16, 2), "paper": (4, 1)}
"""(p, halo) of a style unless they are given."""
DEEPEST = 64
"""Convolutions of a light tail: more are a mistake."""
LARGEST_PATCH = 512
LARGEST_HALO: dict[str, int] = {"pretrained": 4096, "paper": 64}
"""Pixels of the feature: more are a mistake, or a checkpoint that wants all memory. In style "pretrained" windows lie
inside the image and take no more than it; in style "paper" they are filled with zeros, however large."""
MASK_OPTIONS: dict[str, tuple[object, ...]] = {
    "kind": ("statistics", "convolutions"),
    "dynamic": (True, False),
    "map_channels": (1, 2),
    "resolution": ("full", "patch"),
}
"""What predicts the error of each patch, the options of `MaskPredictor`, and what each may be."""
HELP = {
    "split_at": "Blocks in the Base-Net (8), a share of them (0.25), the last one's name, or auto.",
    "k": "How much to refine: patches (100), a share of them (0.25), base, all, dense or auto.",
    "p": "Patch side in pixels of the feature.",
    "halo": "Ring around a patch in pixels of the feature, or exact.",
    "style": "pretrained for a trained network, paper for the published layout.",
    "coarse_tail": "copy, light, or a number of convolutions.",
    "mask": "What predicts the error, and options of the paper's: kind, dynamic, map_channels, resolution.",
    "max_loss": "What k=auto may lose on average, in dB.",
}
"""A line for each field of `CutConfig`, as command lines show it."""


_WHOLE = (int, np.integer)
_REAL = (*_WHOLE, float, np.floating)
"""Numbers of numpy are as good as Python's."""


@dataclass(frozen=True)
class CutConfig:
    """How a network is cut: the arguments of `accelerate`, checked, as checkpoints, trainings and commands hold them.

    Raises:
        ArgumentError: a value is out of its range; whether the network has such a block is found out by the cut.

    Example:
        >>> from mga_wrap import CutConfig
        >>> CutConfig(split_at=8, k=0.2).as_json()["p"]
        16
    """

    split_at: str | int | float = "auto"
    """Where the Base-Net ends: its last block by its dotted name, a number of blocks, a share of them in (0, 1), or
    "auto": as many blocks as an aim in MACs allows, see docs/scheme.md; in style "paper" three quarters of them."""
    k: Amount = 0.25
    """How much is refined unless a call says otherwise: patches an image (int), a share of them (float in (0, 1]), 0 or
    "base" (coarse only), "all" (every patch), "dense" (the Refine-Net once over the whole map), "auto" (as many patches
    as `max_loss` asks for; once the network is fitted)."""
    p: int = cast(int, None)  # None: by the style, see __post_init__
    """Patch side in pixels of the feature; 16, or 4 in style "paper"."""
    halo: Halo | None = None
    """Ring of feature pixels around each patch that the Refine-Net also sees. "exact": its receptive field, so that
    refined patches are the original's. None: 2, or 1 in style "paper"; more where the network works in windows, of
    which p + 2 * halo has to be a multiple."""
    style: Style = "pretrained"
    """"pretrained" for a trained network: the Refine-Net is the rest of it with its own weights, and k="dense" is the
    original bit for bit. "paper" for the published layout, which has to be trained."""
    coarse_tail: CoarseTail = "auto"
    """What makes the coarse image. "copy": a copy of the network's tail. "light": a few convolutions at the feature's
    resolution and a PixelShuffle; bilinear until it is fitted (`fit_coarse_tail`)
    or trained. It has up to six convolutions before its last, for at most half of the MACs of the network's own tail;
    where not even one fits, a narrow one. A number: as many as that, whatever they cost. "auto": "light", unless that
    has more than a fifth of the network's MACs and more than its tail has; in style "paper" always "copy"."""
    mask: Mapping[str, Any] = field(default_factory=dict)
    """What predicts the error of each patch: kind "statistics" (`ScorePredictor`, the default in style "pretrained") or
    "convolutions" (`MaskPredictor`, the paper's, with its options dynamic, map_channels, resolution)."""
    max_loss: float = 0.1
    """What k="auto" may lose, in dB below the original, as a mean over the kind of images that were fitted on."""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        if not isinstance(self.style, str) or self.style not in STYLES:
            renamed = '; "continue" is called "pretrained" now' if self.style == "continue" else ""
            raise ArgumentError(f"got style={self.style!r}; expected 'pretrained' or 'paper'{renamed}")
        set_(self, "split_at", _check_split_at(self.split_at))
        set_(self, "k", check_k(self.k))
        set_(self, "_p_open", self.p is None)  # no field: what is saved and compared says what it came to
        set_(self, "p", PATCH[self.style][0] if self.p is None else _within("p", self.p, 1, LARGEST_PATCH))
        if self.halo is not None and self.halo != "exact":
            set_(self, "halo", _within("halo", self.halo, 0, LARGEST_HALO[self.style]))
        set_(self, "coarse_tail", _check_tail(self.coarse_tail, self.style))
        set_(self, "mask", _check_mask(self.mask, self.style))
        set_(self, "max_loss", check_max_loss(self.max_loss))

    @property
    def leaves_p_open(self) -> bool:
        """Nobody said which p; a pair then chooses by its model."""
        return bool(self.__dict__["_p_open"])

    @property
    def mask_kind(self) -> str:
        """What predicts the errors, "statistics" or "convolutions"; by style and options where it is not given."""
        chosen: str = self.mask.get("kind", "convolutions" if self.style == "paper" or self.mask else "statistics")
        return chosen

    def as_json(self) -> dict[str, Any]:
        """The fields by name, to be written as JSON."""
        return {**asdict(self), "mask": dict(self.mask)}

    @classmethod
    def from_text(cls, **texts: str | None) -> CutConfig:
        """The arguments as a command line gives them: "8" is a number, "0.25" a share, anything else a name.

        Raises:
            ArgumentError: a value is out of its range.
        """
        values: dict[str, Any] = {
            name: parse_k(text) if name == "k" else _number_or_name(text)
            for name, text in texts.items()
            if text is not None
        }
        return cls(**values)

    @classmethod
    def from_json(cls, values: object) -> CutConfig:
        """The inverse of `as_json`; fields that are missing have their defaults.

        Raises:
            ArgumentError: values is no mapping, holds an unknown name, or a value out of its range.
        """
        if not isinstance(values, Mapping):
            raise ArgumentError(f"got {type(values).__name__}; expected the arguments of a cut by name")
        known = [one.name for one in fields(cls)]
        for name in values:
            if name not in known:
                raise ArgumentError(f"got {nearest(name, known)}")
        return cls(**values)


def _number_or_name(text: str) -> Any:
    if re.fullmatch(r"[+-]?\d{1,9}", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _check_split_at(value: object) -> str | int | float:
    if isinstance(value, str):
        return value
    if not isinstance(value, _REAL) or isinstance(value, bool):
        raise ArgumentError(f"got split_at={value!r}; expected a block's name, a number of blocks or a share of them")
    if isinstance(value, _WHOLE):
        return int(value)
    if not 0 < value < 1:
        raise ArgumentError(f"got the share split_at={value}; expected a float between 0 and 1")
    return float(value)


def _check_tail(tail: object, style: Style) -> CoarseTail:
    if style == "pretrained":
        if isinstance(tail, str) and tail in ("auto", "copy", "light"):
            return cast(CoarseTail, tail)
        if isinstance(tail, _WHOLE) and not isinstance(tail, bool) and 1 <= tail <= DEEPEST:
            return int(tail)
        expected = f"'auto', 'copy', 'light', or a number of convolutions from 1 to {DEEPEST}"
    else:
        if isinstance(tail, str) and tail in ("auto", "copy"):
            return "copy"
        expected = "'copy'"
    raise ArgumentError(f"got coarse_tail={tail!r}; in style {style!r} expected {expected}")


def check_max_loss(max_loss: object) -> float:
    """Return a loss in dB as a float.

    Raises:
        ArgumentError: it is no number above 0.
    """
    if isinstance(max_loss, bool) or not isinstance(max_loss, _REAL) or not 0 < max_loss < 100:
        raise ArgumentError(f"got max_loss={max_loss!r}; expected dB, a number above 0 such as 0.1")
    return float(max_loss)


def _check_mask(mask: object, style: Style) -> dict[str, Any]:
    if mask is None:
        return {}
    if not isinstance(mask, Mapping):
        raise ArgumentError(f"got mask={mask!r}; expected options by name: {', '.join(MASK_OPTIONS)}")
    for option, value in mask.items():
        if option not in MASK_OPTIONS:
            raise ArgumentError(f"mask: got {nearest(option, MASK_OPTIONS)}")
        allowed = MASK_OPTIONS[option]
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise ArgumentError(f"mask: got {option}={value!r}; expected {' or '.join(map(repr, allowed))}")
    if mask.get("kind") == "statistics" and (style == "paper" or len(mask) > 1):
        raise ArgumentError(
            f"got mask={dict(mask)!r} in style {style!r}; expected kind 'statistics' alone, and in style 'pretrained'"
        )
    return dict(mask)


def _within(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, _WHOLE) or not least <= value <= most:
        raise ArgumentError(f"got {name}={_short(value)}; expected a whole number of pixels, from {least} to {most}")
    return int(value)


_EXPECTED_K = 'an int >= 0, a float in (0, 1], "base", "all", "dense" or "auto"'


def check_k(k: object) -> Amount:
    """Return k in one form: 0, a positive int, a float in (0, 1], "all", "dense" or "auto".

    Numbers of other libraries (``np.int64(3)``) are as good as Python's.

    Raises:
        ArgumentError: k is none of them.
    """
    if isinstance(k, str) and k in ("base", "all", "dense", "auto"):
        return 0 if k == "base" else k
    if isinstance(k, str | bool) or not isinstance(k, _REAL):
        raise ArgumentError(f"got k={_short(k)}; expected {_EXPECTED_K}")
    if isinstance(k, _WHOLE):
        if k < 0:
            raise ArgumentError(f"got k={_short(k)}; expected {_EXPECTED_K}")
        return int(k)
    if k == 0:
        return 0
    if not 0 < k <= 1:
        raise ArgumentError(f"got the share k={k}; expected {_EXPECTED_K} (for a number of patches give an int)")
    return float(k)


def parse_k(text: str) -> Amount:
    """What a k on a command line means: 100 is a number of patches, 1.0 a share of them.

    Raises:
        ArgumentError: text is neither a number that k may be, nor base, all, dense or auto.
    """
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return check_k(int(text))
    try:
        share = float(text)
    except ValueError:
        return check_k(text)
    if re.fullmatch(r"[+-]?\d+", text):  # of more digits than any picture has patches
        raise ArgumentError(f"got k={_short(text)}; expected {_EXPECTED_K}")
    return check_k(share)


def _short(value: object) -> str:
    shown = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a number of more than 30 digits"
    return shown if len(shown) <= 60 else f"{shown[:40]}... ({len(shown)} characters)"


ENGINES = ("onnxruntime", "openvino")
"""That run a network beside torch."""


def check_engine(engine: str) -> str:
    """See that an engine can be used; "auto" and "torch" always can.

    Raises:
        ArgumentError: there is none of that name, or it is not installed.
    """
    if engine in ("auto", "torch"):
        return engine
    if engine not in ENGINES:
        raise ArgumentError(f"got engine={nearest(engine, ('auto', 'torch', *ENGINES))}")
    for package in (engine, "onnx"):
        if importlib.util.find_spec(package) is None:
            command = 'pip install "mga-wrap[fast]"' if engine == "openvino" else "pip install onnx onnxruntime"
            raise ArgumentError(f"engine {engine!r} needs {package}, which is not installed: {command}")
    return engine
