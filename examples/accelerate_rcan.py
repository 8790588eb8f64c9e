"""Accelerate an RCAN: cut it, fit it, enlarge a photograph, say how near it is to the original, and time it.

python examples/accelerate_rcan.py
python examples/accelerate_rcan.py --weights RCAN_BIX4.pt --rgb-range 255

Without weights the network is untrained: MACs and seconds are those of a trained one, the picture is noise, and how
near it comes to the original says nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import mga_wrap as mga
from mga_wrap.backbones.rcan import RCAN
from mga_wrap.backbones.weights import load_weights
from mga_wrap.bench import bench

HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, build an RCAN and go through it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a checkpoint of RCAN: .pt, .pth or .safetensors")
    parser.add_argument("--rgb-range", type=float, help="255 for the checkpoints of RCAN's authors")
    parser.add_argument("--scale", type=int, default=4, help="how many times a side grows: 2, 3 or 4")
    parser.add_argument("--groups", type=int, default=10, help="residual groups, the blocks that are cut")
    parser.add_argument("--blocks", type=int, default=20, help="RCABs in each group")
    add_options(parser)
    given = parser.parse_args(arguments)
    try:
        model = RCAN(scale=given.scale, n_resgroups=given.groups, n_resblocks=given.blocks, rgb_range=given.rgb_range)
        if given.weights is not None:
            load_weights(model, given.weights)
        walk_through(model, given)
    except mga.MGAError as error:
        sys.exit(f"error: {error}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every network is accelerated with, here and in the other examples."""
    parser.add_argument("--split-at", type=share, default="auto", help="share of the blocks in the Base-Net, or auto")
    parser.add_argument("--coarse-tail", default="auto", help="of the Base-Net: light or copy")
    parser.add_argument("--fit", type=Path, default=HERE, help="folder of photographs to fit on: more are better")
    parser.add_argument("--seconds", type=float, default=60, help="of fitting")
    parser.add_argument("--share", type=float, default=0.25, help="of the patches, to refine in the picture")
    parser.add_argument("--image", type=Path, default=HERE / "chelsea.png", help="the photograph to enlarge")
    parser.add_argument("--width", type=int, default=120, help="it is first reduced to this width, to be quick")
    parser.add_argument("--out", type=Path, default=HERE.parent / "demo-output", help="folder for the result")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of the timing")


def share(text: str) -> float | str:
    """A number, or auto."""
    return text if text == "auto" else float(text)


def walk_through(model: nn.Module, given: argparse.Namespace) -> None:
    """Accelerate a network, step by step."""
    model.eval()
    photograph = reduced(Image.open(given.image).convert("RGB"), width=given.width)
    lr = torch.from_numpy(np.asarray(photograph, dtype=np.float32) / 255).permute(2, 0, 1).unsqueeze(0)  # (1, 3, H, W)

    print(mga.inspect(model))  # where it can be cut, and what that would cost

    net = mga.accelerate(model, split_at=given.split_at, k=given.share, coarse_tail=given.coarse_tail)
    print(mga.fit(net, given.fit, seconds=given.seconds))  # what is new in it: the coarse tail and the score

    with torch.inference_mode():
        expected = model(lr.clone())  # RCAN by others writes into its input
        same = torch.equal(net(lr, k="dense"), expected)
        near = {k: psnr(net(lr, k=k), expected) for k in (0, given.share)}
    print(f"k='dense' is the original, bit for bit: {same}")

    enlarged = mga.upscale(photograph, model=net)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"{given.image.stem}_{type(model).__name__.lower()}.png"
    enlarged.save(path)
    print(f"written: {path}, {photograph.width} x {photograph.height} -> {enlarged.width} x {enlarged.height}")

    result = bench(net, model, size=photograph.size, repeats=given.repeats, engines=False, memory=False)
    print(result)
    for k, fidelity in near.items():
        print(f"k={k}: {fidelity:.1f} dB from the original's picture, all channels")


def psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    """In dB, of images shown in 0..1."""
    error = (image.clamp(0, 1) - reference.clamp(0, 1)).square().mean()
    return float(-10 * error.clamp(min=1e-10).log10())


def reduced(image: Image.Image, *, width: int) -> Image.Image:
    """The photograph at this width."""
    return image.resize((width, round(image.height * width / image.width)), Image.Resampling.BICUBIC)


if __name__ == "__main__":
    main()
