"""The network that the options name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mga_wrap.errors import ArgumentError
from mga_wrap.infer.engine import run
from mga_wrap.infer.networks import network_for, pick_device, settled
from mga_wrap.nets.mga import MGANet
from mga_wrap.networks import load_network
from mga_wrap.networks.load import kind_of

SIDE = 64
"""Of the grey image by which a network that does not say its scale is asked for it."""


@dataclass(frozen=True)
class Given:
    """What a command line says of a network, see `load_network`."""

    network: str | None
    """None: the best in the package for a scale."""
    args: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    original: str | None = None
    base: str | None = None
    """The small network of a pair."""

    def load(self, *, scale: int | None) -> nn.Module:
        """The network, on the CPU; one has to be named. A base is for a saved pair alone."""
        return load_network(
            str(self.network),
            scale=scale,
            args=self.args,
            weights=self.weights,
            original=self.original,
            base=self.base,
        )

    def load_two(self, *, scale: int | None) -> tuple[nn.Module, nn.Module | None]:
        """The network and, where it is not accelerated yet, the base with which it is to be a pair."""
        if self.base is None or kind_of(str(self.network)) == "accelerated":
            return self.load(scale=scale), None
        return replace(self, base=None).load(scale=scale), load_network(self.base)


def find_network(given: Given, *, scale: int | None, device: str) -> nn.Module:
    """The network that is named, or the best in the package for a scale, on its device.

    Raises:
        ArgumentError: there is no such network, or it is of another scale.
    """
    name = given.network
    if name is None and given != Given(None):
        raise ArgumentError(
            "got --network-args, --weights, --original or --base without --model; expected the network, too"
        )
    if name is None or (given == Given(name) and kind_of(name) == "accelerated"):
        return network_for(name, scale=scale, device=device)
    net = settled(given.load(scale=scale), pick_device(device))
    if scale is not None and scale_of(net) != scale:
        raise ArgumentError(f"got scale={scale} and a model that enlarges by {scale_of(net)}; leave one of them out")
    return net


def find_accelerated(given: Given, *, scale: int | None, device: str) -> MGANet:
    """`find_network`, for what only an accelerated network can do."""
    return accelerated(find_network(given, scale=scale, device=device), given)


def accelerated(net: nn.Module, given: Given) -> MGANet:
    """The network as it is.

    Raises:
        ArgumentError: it is not accelerated.
    """
    if not isinstance(net, MGANet):
        raise ArgumentError(
            f"got {given.network}, which is not accelerated; expected a network that is: mga-wrap fit NETWORK --data "
            "DIR -o OUT makes one of it"
        )
    return net


def with_max_loss(net: MGANet, max_loss: float | None) -> MGANet:
    """The network with another own `max_loss`, if one is given."""
    return net if max_loss is None else net.with_cut(config=replace(net.config, max_loss=max_loss))


def check_uncut(network: str | None, cut: Mapping[str, str | None]) -> None:
    """See that nobody asks for another cut of a network that is cut.

    Raises:
        ArgumentError: somebody does.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in cut.items() if value is not None]
    if given:
        raise ArgumentError(f"got {', '.join(given)} with {network}, which is cut already; leave out")


def scale_of(net: nn.Module) -> int:
    """How many times a side grows; a network that does not say is run once.

    Raises:
        ArgumentError: it is no super-resolution network.
    """
    own = getattr(net, "scale", None)
    if isinstance(own, int):
        return own
    return run(net, torch.full((1, 3, SIDE, SIDE), 0.5)).shape[-1] // SIDE
