"""Accelerate a trained network and teach what is new in it by the network's own output; no ground truth is needed.

python examples/finetune.py pan --weights PANx4_DF2K.pth --split-at 0.875 --data photographs --val others --out runs/pan
python examples/finetune.py realesr-animevideov3-x4.safetensors --data photographs --val others --out runs/video

The network is a backbone, a file that spandrel reads, or code of yours: net.py:MyNet --network-args '{"blocks": 16}'.
It is fitted first, which takes a minute and prints how near it is to the original; then it is trained for longer.
Killed, it goes on when the same is started again. `front.py` then measures what came of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

import mga_wrap as mga
from mga_wrap.cli.options import read_network_args
from mga_wrap.networks import load_network
from mga_wrap.train.data import Data
from mga_wrap.train.stages import changed, stage_set
from mga_wrap.train.state import STATE
from mga_wrap.train.validate import Validation


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, cut the network, train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_network(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder of HR images; they are reduced")
    parser.add_argument("--val", type=Path, required=True, help="folder of HR images to validate on")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights, the state and the log")
    parser.add_argument("--coarse-tail", default="light", help="of the Base-Net: light, copy, or its convolutions")
    parser.add_argument("--p", type=int, default=16, help="patch side")
    parser.add_argument("--halo", type=int, default=2, help="ring around each patch")
    parser.add_argument(
        "--stages",
        default="finetune",
        choices=["finetune", "finetune-all", "finetune-perceptual", "finetune-perceptual-all"],
        help="without -all the network's own weights stay as they are",
    )
    parser.add_argument("--seconds", type=float, default=60, help="of fitting, before the training")
    parser.add_argument("--steps", type=int, help="of the last stage before the mask, which has a tenth")
    parser.add_argument("--batch", type=int, help="crops a step; the mask has half")
    given = parser.parse_args(arguments)
    try:
        net = mga.accelerate(
            network_of(given),
            split_at=share_or_number(given.split_at),
            p=given.p,
            halo=given.halo,
            coarse_tail=number_or_name(given.coarse_tail),
            mask={"resolution": "patch"},
        )
        if not (given.out / STATE).is_file():  # killed, it goes on from what was fitted then
            print(mga.fit(net, given.data, seconds=given.seconds))
        mga.MGATrainer(
            net,
            Data(hr=given.data),
            stages=stages(given),
            target="original",
            output_dir=given.out,
            validation=Validation(given.val, images=6, k=(0, 0.1, 0.2)),
        ).fit()
    except mga.MGAError as error:
        sys.exit(f"error: {error}")


def stages(given: argparse.Namespace) -> tuple[mga.Stage, ...]:
    """The stages of the set, for networks that take longer than PAN perhaps with fewer steps and crops."""
    known = stage_set(given.stages)
    *_, last, mask = known
    steps, batch = given.steps or last.steps, given.batch or last.batch
    changes: dict[str, dict[str, int]] = {stage.name: {"batch": batch} for stage in known}
    changes[last.name]["steps"] = steps
    changes[mask.name] = {"steps": max(1, steps // 10), "batch": max(1, batch // 2)}
    return changed(known, changes)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Which network, and where it is cut."""
    parser.add_argument("network", help="a backbone (x4), a file that spandrel reads, or file.py:Factory")
    parser.add_argument("--network-args", help="of the factory, as JSON")
    parser.add_argument("--weights", type=Path, help="a checkpoint for the backbone or what the factory makes")
    parser.add_argument("--split-at", default="0.875", help="blocks in the Base-Net: a share with a point, or a number")


def share_or_number(text: str) -> float | int:
    """0.5 is a share, 8 a number of blocks."""
    return float(text) if "." in text else int(text)


def number_or_name(text: str) -> Any:  # accelerate says what it expects
    """12 is a number of convolutions, light a name."""
    return int(text) if text.isdecimal() else text


def network_of(given: argparse.Namespace) -> nn.Module:
    """The network that the command line names, trained, in eval mode."""
    if given.network in mga.list_backbones() and given.weights is None:
        raise mga.ArgumentError(f"got {given.network} without weights; expected --weights FILE")
    return load_network(given.network, args=read_network_args(given.network_args), weights=given.weights)


if __name__ == "__main__":
    main()
