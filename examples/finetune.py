"""Accelerate a trained network and teach what is new in it by the network's own output; no ground truth is needed.

python examples/finetune.py pan --weights PANx4_DF2K.pth --split-at 0.875 --data photographs --val others --out runs/pan
python examples/finetune.py realesr-animevideov3-x4.safetensors --data photographs --val others --out runs/video

The network is "pan" or "rfdn", or a file that spandrel reads. Killed, it goes on when the same is started again.
`front.py` then measures what came of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

import mga_wrap as mga
from mga_wrap.backbones.rfdn import RFDN
from mga_wrap.backbones.weights import load_weights
from mga_wrap.errors import one_line
from mga_wrap.train.data import Data
from mga_wrap.train.stages import changed, stage_set
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
    parser.add_argument("--steps", type=int, help="of the last stage before the mask, which has a tenth")
    parser.add_argument("--batch", type=int, help="crops a step; the mask has half")
    given = parser.parse_args(arguments)
    try:
        net = mga.accelerate(
            load_network(given),
            split_at=share_or_number(given.split_at),
            p=given.p,
            halo=given.halo,
            coarse_tail=number_or_name(given.coarse_tail),
            mask={"resolution": "patch"},
        )
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
    parser.add_argument("network", help="pan or rfdn (x4, with --weights), or a file that spandrel reads")
    parser.add_argument("--weights", type=Path, help="a checkpoint for pan or rfdn")
    parser.add_argument("--split-at", default="0.875", help="blocks in the Base-Net: a share with a point, or a number")


def share_or_number(text: str) -> float | int:
    """0.5 is a share, 8 a number of blocks."""
    return float(text) if "." in text else int(text)


def number_or_name(text: str) -> Any:  # accelerate says what it expects
    """12 is a number of convolutions, light a name."""
    return int(text) if text.isdecimal() else text


def load_network(given: argparse.Namespace) -> nn.Module:
    """The network that the command line names, trained, in eval mode."""
    if given.network not in ("pan", "rfdn"):
        from spandrel import ModelLoader  # knows which network it is by the names in the file

        try:
            model: nn.Module = ModelLoader(device="cpu").load_from_file(given.network).model.float()
        except Exception as error:  # whatever a file that is something else makes of the readers
            raise mga.CheckpointError(
                f"{given.network} is no network that spandrel knows ({type(error).__name__}: {one_line(error)}); "
                "expected pan, rfdn, or a file with the weights of one"
            ) from error
        return model.eval()
    if given.weights is None:
        raise mga.ArgumentError(f"got {given.network} without weights; expected --weights FILE")
    # The checkpoint of RFDN's authors has four blocks and sees values in 0..255.
    model = (
        mga.create_backbone("pan", scale=4) if given.network == "pan" else RFDN(scale=4, num_modules=4, rgb_range=255)
    )
    load_weights(model, given.weights)
    return model.eval()


if __name__ == "__main__":
    main()
