"""From a chain and a `CutConfig` to an accelerated network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from mga_wrap.config import CutConfig
from mga_wrap.cut.anatomy import describe
from mga_wrap.cut.cost import costs_of, mask_of, tail_of
from mga_wrap.cut.crossing import Interface, interface
from mga_wrap.cut.graphs import Split
from mga_wrap.cut.split import split_paper, split_pretrained
from mga_wrap.cut.verify import WindowError, verify
from mga_wrap.cut.windows import halo_of
from mga_wrap.errors import CutError, MGAError, one_line
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.trace import fact
from mga_wrap.nets.geometry import Geometry
from mga_wrap.nets.mga import MGANet

PAPER_SHARE = 0.75
"""Share of the blocks that split_at="auto" leaves to the Base-Net in style "paper"."""
_ONE_DRAWS = threading.RLock()
_PADS_NOTHING = Interface((), stride=1, zoom=1)


def build(model: nn.Module, chain: Chain, config: CutConfig, *, backbone: dict[str, Any] | None = None) -> MGANet:
    """Cut a chain, and check what came out.

    Args:
        model: the user's network, for what it declares about its Refine-Net; the chain holds a copy.
        chain: of the network.
        config: how it is cut.
        backbone: the arguments of `create_backbone` that build the network, if it is one of ours.

    Returns:
        The accelerated network in eval mode, whose config names the block, the halo and the tail that it came to.

    Raises:
        CutError: there is no such block, or the network cannot be cut there.
    """
    count, config = resolve(chain, config)
    with new_layers_start_alike(), _failing_as_cut_error(chain, count):
        split, halo = _split(model, chain, count, config)
        predictor = mask_of(config, _channels(split, chain), scale=chain.scale, zoom=split.zoom)
        mask = predictor.to(chain.example)  # its dtype, device
    batch, channels, height, width = chain.example.shape
    macs = sum(fact(node).macs for node in chain.traced.graph.nodes if node.op != "output")
    geometry = Geometry(
        scale=chain.scale,
        channels=channels,
        zoom=split.zoom,
        border="shift" if config.style == "pretrained" else "zero",
        trim=split.trim,
        crossing=split.crossing,
        blocks=(count, len(chain.blocks)),
        original_macs=macs / (batch * height * width),
    )
    resolved = replace(config, halo=halo)
    net = MGANet(split.base, mask, split.refine, config=resolved, geometry=geometry, backbone=backbone).eval()
    try:
        verify(net, chain)
    except WindowError:  # windows are channels last; a block may ask for a view that only contiguous memory has
        net = net.with_cut(geometry=replace(geometry, contiguous=True))
        verify(net, chain)
    return net


def resolve(chain: Chain, config: CutConfig) -> tuple[int, CutConfig]:
    """How many blocks the Base-Net gets, and the config in which nothing but the halo is left open.

    Raises:
        CutError: there is no such block; the message lists those that there are.
    """
    if config.split_at == "auto":
        count = _blocks_in_base(chain, PAPER_SHARE) if config.style == "paper" else None
    else:
        count = _blocks_in_base(chain, config.split_at)
    if count is None or config.coarse_tail == "auto":
        crosses = interface(chain, count or 1)
        costs = costs_of(chain, crosses, config=config)
        if config.coarse_tail == "auto":
            config = replace(config, coarse_tail=costs.usual_tail())
        if count is None:
            # An exact halo depends on the cut, and is no reason for another one.
            halo = halo_of(replace(config, halo=None) if config.halo == "exact" else config, crosses)
            count = costs.usual_count(p=config.p, halo=halo, coarse_tail=config.coarse_tail)
    return count, replace(config, split_at=chain.blocks[count - 1].name)


def _blocks_in_base(chain: Chain, split_at: str | int | float) -> int:
    names = [block.name for block in chain.blocks]
    shown = f"the network has {len(names)} blocks: {', '.join(names)}"
    if isinstance(split_at, str):
        if split_at not in names[:-1]:
            raise CutError(f"got split_at={split_at!r}; expected one of the blocks but the last; {shown}")
        return names.index(split_at) + 1
    if isinstance(split_at, float):
        return min(max(round(split_at * len(names)), 1), len(names) - 1)
    if not 1 <= split_at < len(names):
        raise CutError(f"got split_at={split_at!r}; expected a number from 1 to {len(names) - 1}; {shown}")
    return split_at


def _split(model: nn.Module, chain: Chain, count: int, config: CutConfig) -> tuple[Split, int]:
    """The cut network and its halo."""
    if config.style == "paper":
        halo = halo_of(config, _PADS_NOTHING)
        tail, block = (getattr(model, f"paper_refine_{part}", None) for part in ("tail", "block"))
        return split_paper(chain, count, halo=halo, refine_tail=tail, refine_block=block), halo
    crosses = interface(chain, count)
    reach, why = None, ""
    if config.halo == "exact":
        anatomy = describe(chain)
        reach, why = anatomy.reach_after(count), anatomy.inexact_after(count)
    halo = halo_of(config, crosses, reach=reach, why=why)
    light = None
    if config.coarse_tail != "copy":
        depth = config.coarse_tail if isinstance(config.coarse_tail, int) else None
        light = tail_of(chain, count, crosses, depth=depth).to(chain.example)
    return split_pretrained(chain, count, crosses, halo=halo, light=light), halo


def _channels(split: Split, chain: Chain) -> int:
    """C of the feature."""
    with torch.no_grad():
        _, feature, *_ = split.base(chain.example)
    channels: int = feature.shape[1]
    return channels


@contextmanager
def new_layers_start_alike() -> Iterator[None]:
    """New layers start alike each time, whatever the caller has drawn, and leave the caller's random state alone.

    Torch's layers draw from the one generator of the process: one thread builds at a time.
    """
    with _ONE_DRAWS, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


@contextmanager
def _failing_as_cut_error(chain: Chain, count: int) -> Iterator[None]:
    try:
        yield
    except MGAError:
        raise
    except Exception as error:  # whatever a tail does with what replaces its inputs
        names = ", ".join(block.name for block in chain.blocks)
        raise CutError(
            f"{chain.name} cannot be cut after {count} of the blocks {names}: without the others its tail fails "
            f"({one_line(error)}). Expected a head, a chain of blocks and a tail, which U-Nets and up-and-down "
            "networks are not; try another split_at"
        ) from error
