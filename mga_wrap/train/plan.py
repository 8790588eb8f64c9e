"""The plan of a training: what must not change while it goes on, and what of it has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from mga_wrap.nets.mga import MGANet
from mga_wrap.train.parts import coarse_tail, is_the_original, parameters_of
from mga_wrap.train.stages import Stage

NUMBERS = ("seed", "target", "processes", "detail", "precision")
TOLD = 3
"""Differing images that are named; of more only their number is."""


def plan_of(
    net: MGANet, *, stages: Sequence[Stage], teacher: MGANet | None, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The facts of a training, as JSON gives them back.

    Args:
        net: before it has learned anything.
        stages: all of them.
        teacher: a copy of the original, if a stage changes it and it is the target.
        facts: `NUMBERS`, the `images` (see `data.fingerprints`) and the `validation` (`Validator.facts`, or None).
    """
    plan = {
        **facts,
        "cut": _cut(net),
        "original": None if teacher is None else _digest(teacher),
        "stages": [asdict(stage) for stage in stages],
    }
    same: dict[str, Any] = json.loads(json.dumps(plan))
    return same


def _cut(net: MGANet) -> dict[str, Any]:
    """Where and how the net is cut; k is left out, since nothing that learns depends on it."""
    asked = {name: value for name, value in net.config.as_json().items() if name not in ("k", "max_loss")}
    return {**asked, "backbone": net.backbone, "scale": net.scale, "channels": net.geometry.channels}


def _digest(net: MGANet) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, parameter in net.named_parameters():
        digest.update(name.encode() + parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def differences(old: dict[str, Any], new: dict[str, Any], *, begun: int) -> list[str]:
    """What differs between the plan in a state and the one of now, a few words each; [] if the training can go on.

    A state that was written before a fact was part of the plan is not asked for it.

    Args:
        old: of the state.
        new: of now.
        begun: how many stages have; the others may change.
    """
    found = _changes({name: old[name] for name in NUMBERS if name in old}, new)
    found += _within("the cut", old, new, "cut")
    if old.get("original") and new["original"] and old["original"] != new["original"]:
        found.append("the weights of the original network are others")
    if "images" in old:
        least = min((stage["crop"] for stage in new["stages"][:begun]), default=0)  # smaller ones are in no crop
        found += _image_changes(old["images"], new["images"], least=least)
    if "validation" in old and "validation" in new:
        found += _validation_changes(old["validation"], new["validation"])
    for number, stage in enumerate(old["stages"][:begun]):
        now = new["stages"][number] if number < len(new["stages"]) else dict.fromkeys(stage)
        found += [f"stage {stage['name']!r}: {change}" for change in _changes(stage, now, text=repr)]
    return found


def another_original(net: MGANet, tensors: dict[str, Tensor], *, begun: Sequence[Stage]) -> str | None:
    """The name of a weight that no stage so far has taught and that is not what a state holds; None: there is none.

    The mask predictor and the coarse tail are new in every network that is cut, and start at random.

    Args:
        net: as it is given, before the state is loaded.
        tensors: the net's of the state, by name.
        begun: the stages that have.
    """
    learned = {name for stage in begun for name in parameters_of(net, stage.parts, side=stage.crop)}
    tail = coarse_tail(net, side=begun[0].crop) if begun else set()
    for name, parameter in net.named_parameters():
        frozen = name not in learned and is_the_original(name, tail=tail)
        if frozen and not torch.equal(parameter.detach().cpu(), tensors[name]):
            return name
    return None


def _changes(old: dict[str, Any], new: dict[str, Any], *, text: Any = str) -> list[str]:
    return [
        f"{name} {text(old[name])}, now {text(new[name])}" for name in new if name in old and old[name] != new[name]
    ]


def _within(what: str, old: dict[str, Any], new: dict[str, Any], name: str) -> list[str]:
    """Changes of a part of the plan that is itself names and values."""
    if not isinstance(old.get(name), dict):
        return []
    return [f"{what}: {change}" for change in _changes(old[name], new[name], text=repr)]


def _validation_changes(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[str]:
    if old is None or new is None:
        given = [("none" if one is None else f"on {len(one['images'])} images") for one in (old, new)]
        return [] if old == new else [f"validation {given[0]}, now {given[1]}"]
    changes = _changes({"k": old["k"]}, new) + _image_changes(old["images"], new["images"])
    return [f"validation: {change}" for change in changes]


def _image_changes(old: Any, new: list[Any], *, least: int = 0) -> list[str]:
    if isinstance(old, int):  # older states hold their number alone
        return [] if old == len(new) else [f"images {old}, now {len(new)}"]
    before, now = ({name: rest for name, *rest in images if min(rest[:2]) >= least} for images in (old, new))
    found = [f"image {name!r} is gone" for name in before if name not in now]
    found += [f"image {name!r} is new" for name in now if name not in before]
    for name in (one for one in before if one in now):
        (*size, pixels), (*other, others) = before[name], now[name]
        if size != other:
            found.append(f"image {name!r} {size[0]} x {size[1]}, now {other[0]} x {other[1]}")
        elif pixels != others:
            found.append(f"image {name!r} has other pixels")
    if not found and list(before) != list(now):
        return ["the images come in another order"]
    return found[:TOLD] + ([f"{len(found) - TOLD} more images differ"] if len(found) > TOLD else [])
