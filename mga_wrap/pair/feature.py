"""What the score reads of a small network: its last feature at lr's resolution, where its graph shows one."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

from mga_wrap.cut.graphs import GraphCopy, written_in_place
from mga_wrap.cut.split import before_upsampler
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain, find_chain
from mga_wrap.graph.trace import Traced, fact
from mga_wrap.nets.mga import MGANet


class AcceleratedSmall(nn.Module):
    """An accelerated network as the small one: lr -> (sr at its own k, its feature)."""

    def __init__(self, net: MGANet) -> None:
        super().__init__()
        self.net = net

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Enlarge (B, 3, H, W)."""
        trace = self.net.trace(lr)
        return trace.sr, trace.feature


def with_feature(small: nn.Module, example: Tensor) -> nn.Module:
    """A copy of a small network that also returns its feature, or, where it shows none, a plain copy.

    A feature counts if it is a map of lr's sides at every size: only torch.fx's graphs say so, and a network that pads
    has another.

    Args:
        small: lr -> sr.
        example: (B, C, H, W), an image that it takes.

    Returns:
        lr -> (sr, feature) or lr -> sr; sr is the small network's, bit for bit.
    """
    wrapped = AcceleratedSmall(copy.deepcopy(small)) if isinstance(small, MGANet) else _traced(small, example)
    if wrapped is None:
        return copy.deepcopy(small)
    try:
        if all(_lies_over(wrapped, lr) for lr in (example, example[..., :-3, :-5])):
            return wrapped
    except Exception:  # whatever a network does with a size that it does not take: then nothing is known of its feature
        return copy.deepcopy(small)
    return copy.deepcopy(small)


@torch.no_grad()
def _lies_over(wrapped: nn.Module, lr: Tensor) -> bool:
    _, feature = wrapped(lr.clone())
    return feature.ndim == 4 and feature.shape[-2:] == lr.shape[-2:]


def _traced(small: nn.Module, example: Tensor) -> fx.GraphModule | None:
    try:
        chain = find_chain(small, example=example, sized=False)
        feature = before_upsampler(chain)
    except CutError:  # no chain of blocks, or a graph that holds for one size alone
        return None
    if (shape := fact(feature).shape) is None or len(shape) != 4:
        return None
    built = _built(chain, feature, cloned=False)
    writes = written_in_place(Traced(built, built.graph), chain.example)
    return _built(chain, feature, cloned=True) if 1 in writes else built


def _built(chain: Chain, feature: fx.Node, *, cloned: bool) -> fx.GraphModule:
    """The whole graph with its feature beside the image; cloned if the tail writes into it."""
    side, handed = GraphCopy(), None
    for node in chain.traced.graph.nodes:
        if node.op == "output":
            break
        side.take(node)
        if node is feature:
            copied = side.env[node]
            handed = side.graph.call_method("clone", (copied,)) if cloned else copied
    return side.finish(chain.traced, (side.env[chain.sr], handed), name="SmallNet")
