"""From a configuration to a trainer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from mga_wrap.backbones.fsrcnn import start_as_nearest
from mga_wrap.backbones.registry import list_backbones
from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError, nearest
from mga_wrap.making import accelerate_and_doubt
from mga_wrap.nets.mga import MGANet
from mga_wrap.networks import load_network
from mga_wrap.train.yaml_config import Config, Network

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
        build_network(config),
        config.data,
        output_dir=config.output_dir,
        stages=config.chosen_stages(),
        target=config.target,
        validation=config.validation,
        seed=config.seed,
        device=config.device,
        precision=config.precision,
        tensorboard=config.tensorboard,
        save_seconds=config.save_seconds,
        cache_bytes=config.cache_bytes,
    )


def build_network(config: Config) -> MGANet:
    """The accelerated network that learns; untrained layers start from the configuration's seed.

    It warns of what `accelerate` warns of.
    """
    wanted, cut = config.network, config.accelerate
    _check(wanted)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        model = load_network(
            str(wanted.spec or wanted.backbone or wanted.pretrained),
            scale=wanted.scale,
            args=wanted.args,
            weights=wanted.weights,
            original=wanted.original,
        )
        start = None if wanted.start is None else load_network(wanted.start)
    if isinstance(model, MGANet):
        if wanted.base is not None:
            raise ArgumentError("network: got 'base' with a network that is accelerated already; leave it out")
        if cut != CutConfig():
            raise ArgumentError("accelerate: a pretrained network is cut already; leave this section out")
        return model
    if start is not None and not isinstance(start, MGANet):
        start_from(model, start)
    base = None if wanted.base is None else load_network(wanted.base)
    net, told = accelerate_and_doubt(model, cut, base=base)
    for warning in told:
        warnings.warn(warning, stacklevel=3)
    if cut.style == "paper" and wanted.weights is None:
        start_patches_as_nearest(net)
    if isinstance(start, MGANet):
        start_from(net, start)
    return net


def _check(wanted: Network) -> None:
    """What goes with what; `load_network` says what goes with a spec."""
    named = [name for name in ("spec", "backbone", "pretrained") if getattr(wanted, name) is not None]
    if len(named) != 1:
        raise ArgumentError(
            f"network: got {' and '.join(named) or 'none of them'}; expected one of spec, backbone, pretrained"
        )
    if wanted.start is not None and (wanted.pretrained or wanted.weights) is not None:
        raise ArgumentError("network: got 'start' beside other weights; expected one of start, weights, pretrained")
    if wanted.scale is None and (wanted.backbone or wanted.spec) in list_backbones():
        raise ArgumentError("network lacks 'scale'; expected 2, 3 or 4")
    if wanted.backbone is not None and wanted.backbone not in list_backbones():
        raise ArgumentError(f"network.backbone: got {nearest(wanted.backbone, list_backbones())}; see network.spec")


def start_from(net: nn.Module, other: nn.Module) -> None:
    """Copy the parameters of another network that have the same name and shape; the others stay.

    Both are accelerated, or neither is: a cut gives parameters other names.

    A body trained at one scale is a good start for another, whose upsampler is all that differs.

    Raises:
        ArgumentError: not even half of the values are found.
    """
    own, given = net.state_dict(), other.state_dict()
    shared = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    found, wanted = (sum(value.numel() for value in tensors.values()) for tensors in (shared, own))
    if found < wanted / 2:
        raise ArgumentError(
            f"network.start: got a network that has {found} of {wanted} values; expected the same backbone, cut at the "
            "same place in the same style, or not cut"
        )
    net.load_state_dict(shared, strict=False)


def start_patches_as_nearest(net: MGANet) -> None:
    """Let a transposed convolution in the Refine-Net start by repeating each pixel.

    A patch's upsampler sees no neighbours: one that starts as interpolation leaves dark seams around every patch.
    """
    for module in net.refine.modules():
        if isinstance(module, nn.ConvTranspose2d) and module.out_channels == net.geometry.channels:
            start_as_nearest(module, channels=module.out_channels)
