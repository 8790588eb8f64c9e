"""From a configuration to a trainer."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.fsrcnn import start_as_nearest
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.checkpoints import load_weights
from mga_wrap.errors import ArgumentError
from mga_wrap.hub import from_pretrained
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.config import Config, Cut

if TYPE_CHECKING:
    from mga_wrap.train.trainer import MGATrainer


def build_trainer(config: Config) -> MGATrainer:
    """Make the network and its trainer.

    Raises:
        ArgumentError: a value does not fit the others.
        CheckpointError: the weights cannot be read, or are of another network.
        CutError: the network cannot be cut there.
        ImageError: there are no images.
    """
    from mga_wrap.train.trainer import MGATrainer

    return MGATrainer(
        build_network(config), config.data, output_dir=config.output_dir, stages=config.chosen_stages(),
        target=config.target, validation=config.validation, seed=config.seed, device=config.device,
        precision=config.precision, tensorboard=config.tensorboard, save_seconds=config.save_seconds,
    )  # fmt: skip


def build_network(config: Config) -> MGANet:
    """The accelerated network that learns; untrained layers start from the configuration's seed."""
    wanted, cut = config.network, config.accelerate
    if (wanted.backbone is None) == (wanted.pretrained is None):
        raise ArgumentError("network: expected either a backbone or a pretrained network")
    if wanted.pretrained is not None:
        if cut != Cut():
            raise ArgumentError("accelerate: a pretrained network is cut already; leave this section out")
        return from_pretrained(wanted.pretrained)
    if wanted.scale is None:
        raise ArgumentError("network lacks 'scale'; expected 2, 3 or 4")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        backbone = create_backbone(str(wanted.backbone), scale=wanted.scale).eval()
    if wanted.weights is not None:
        load_weights(backbone, wanted.weights)
    net = accelerate(backbone, **asdict(cut))
    if cut.style == "paper" and wanted.weights is None:
        start_patches_as_nearest(net)
    return net


def start_patches_as_nearest(net: MGANet) -> None:
    """Let a transposed convolution in the Refine-Net start by repeating each pixel.

    A patch's upsampler sees no neighbours: one that starts as interpolation leaves dark seams around every patch.
    """
    for module in net.refine.modules():
        if isinstance(module, nn.ConvTranspose2d) and module.out_channels == net.geometry.channels:
            start_as_nearest(module, channels=module.out_channels)
