"""What `mga-wrap fit` does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mga_wrap.making import accelerate_as
from mga_wrap.cli.work.network import Given, check_uncut
from mga_wrap.config import CutConfig
from mga_wrap.fitting.fit import fit as fit_network
from mga_wrap.infer.networks import pick_device
from mga_wrap.nets.mga import MGANet


def fit(
    network: str,
    data: Path,
    out: Path,
    seconds: float,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
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
    net = Given(network, args=network_args, weights=weights, original=original).load(scale=scale)
    cut = {"split_at": split_at, "coarse_tail": coarse_tail, "p": p, "halo": halo, "k": k}
    if isinstance(net, MGANet):
        check_uncut(network, cut)
    else:
        net = accelerate_as(net, CutConfig.from_text(**cut))
    if max_loss is not None:
        net.max_loss = max_loss
    print(fit_network(net.to(place), data, seconds=seconds, seed=seed, report=_say))
    net.save_pretrained(out)
    print(out)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
