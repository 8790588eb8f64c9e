"""Train FSRCNN-M in the paper's stages: `python examples/train_fsrcnn.py --scale 4 --data FOLDER --val FOLDER`.

A killed run goes on where it was when the same command is given again. When it is done, the folder `--out` holds
model.safetensors and config.json, which `mga_wrap.from_pretrained` reads, and log.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import mga_wrap as mga
from mga_wrap.backbones.fsrcnn import start_as_nearest
from mga_wrap.measure.degrade import crop_to_multiple, resize_bicubic
from mga_wrap.measure.metrics import psnr
from mga_wrap.train.data import Crops
from mga_wrap.train.loop import Run
from mga_wrap.train.stages import paper_stages

BLOCKS_IN_BASE = 3
VALIDATION_IMAGES = 6


def main() -> None:
    """Parse the arguments, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of HR images to train on")
    parser.add_argument("--val", type=Path, required=True, help="folder of HR images to validate on")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights, the state and the log")
    parser.add_argument("--steps", type=int, default=24_000, help="of the first stage")
    parser.add_argument("--start", help="go on from these weights: a pretrained name or a folder")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="run only these stages, e.g. --only psnr mask")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    net = build(arguments.scale)
    if arguments.start:
        net.load_state_dict(mga.from_pretrained(arguments.start).state_dict())
    validation = [_pair(path, arguments.scale) for path in sorted(arguments.val.iterdir())[:VALIDATION_IMAGES]]
    run = Run(
        net=net,
        stages=tuple(s for s in paper_stages(arguments.steps) if s.name in (arguments.only or (s.name,))),
        data=lambda crop: Crops(arguments.data, scale=arguments.scale, crop=crop),
        output_dir=arguments.out,
        validate=lambda averaged: validate(averaged, validation),
    )
    run.fit().save_pretrained(arguments.out)


def build(scale: int) -> mga.MGANet:
    """FSRCNN-M of the paper, 3 + 1 blocks, ready to train."""
    backbone = mga.create_backbone("fsrcnn", scale=scale)
    net = mga.accelerate(backbone, split_at=BLOCKS_IN_BASE, style="paper")
    # A patch's upsampler sees no neighbours: bilinear interpolation would leave dark seams around every patch.
    upsampler = net.refine.get_submodule("upsampler")
    assert isinstance(upsampler, torch.nn.ConvTranspose2d)
    start_as_nearest(upsampler, channels=3)
    return net


@torch.no_grad()
def validate(net: mga.MGANet, pairs: list[tuple[Tensor, np.ndarray]]) -> dict[str, float]:
    """Mean PSNR-Y in dB of the Base-Net, of 10 % of the patches, and of all patches."""
    border = net.scale
    means = {}
    for name, k in (("B", 0), ("M", 0.1), ("A", "all")):
        values = [psnr(_image(net(lr, k=k)), hr, border=border) for lr, hr in pairs]
        means[f"psnr_{name}"] = round(float(np.mean(values)), 4)
    return means


def _pair(path: Path, scale: int) -> tuple[Tensor, np.ndarray]:
    with Image.open(path) as image:
        hr = crop_to_multiple(np.asarray(image.convert("RGB")), 4 * scale)
    lr = torch.from_numpy(resize_bicubic(hr, 1 / scale)).permute(2, 0, 1)[None].float().div(255)
    return lr.contiguous(memory_format=torch.channels_last), hr


def _image(sr: Tensor) -> np.ndarray:
    return sr[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()


if __name__ == "__main__":
    main()
