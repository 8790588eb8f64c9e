"""What `mga-wrap fit` does."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mga_wrap.cli.work.network import Given, check_uncut
from mga_wrap.config import CutConfig
from mga_wrap.fitting.fit import fit as fit_network
from mga_wrap.infer.networks import pick_device
from mga_wrap.making import accelerate_and_doubt
from mga_wrap.nets.mga import MGANet
from mga_wrap.networks.plain import uncut


def fit(
    network: str,
    data: Path,
    out: Path,
    seconds: float,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    scale: int | None,
    split_at: str | None,
    coarse_tail: str | None,
    p: str | None,
    halo: str | None,
    k: str | None,
    max_loss: float | None,
    seed: int,
    device: str,
) -> None:
    """Accelerate, fit, save; prints what was reached, and the folder."""
    place = pick_device(device)
    out.mkdir(parents=True, exist_ok=True)  # whatever forbids it is told before a minute is over
    given = Given(network, args=network_args, weights=weights, original=original, base=base)
    net, small = given.load_two(scale=scale)
    cut = {"split_at": split_at, "coarse_tail": coarse_tail, "p": p, "halo": halo, "k": k}
    if isinstance(net, MGANet) and any(value is not None for value in cut.values()):
        net = _whole(net, network, cut)
    if not isinstance(net, MGANet):
        config = CutConfig.from_text(**cut)
        net, told = accelerate_and_doubt(net, config, base=small, images=data, seconds=seconds)
        for warning in told:
            warnings.warn(warning, stacklevel=2)
    if max_loss is not None:
        net.max_loss = max_loss
    print(fit_network(net.to(place), data, seconds=seconds, seed=seed, report=_say))
    net.save_pretrained(out)
    print(out)


def _whole(net: MGANet, network: str, cut: Mapping[str, str | None]) -> nn.Module:
    """The backbone that was cut, with its weights, to be cut anew.

    Raises:
        ArgumentError: it is no backbone of the package, or its layers are not in it as they were.
    """
    model = uncut(net)
    if model is None:
        check_uncut(network, cut)
    assert model is not None
    return model


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
