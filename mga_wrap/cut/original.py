"""The original network, put together again from the two sides of a cut."""

from __future__ import annotations

import copy

from torch import Tensor, fx, nn

from mga_wrap.errors import ArgumentError
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.pair import PairRefine


class Original(nn.Module):
    """The original: the Base-Net without its tail, then the Refine-Net on the whole map."""

    def __init__(self, trunk: nn.Module, refine: nn.Module) -> None:
        super().__init__()
        self.trunk, self.refine = trunk, refine

    def forward(self, lr: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, s*H, s*W), the layers of the original and no others."""
        sr: Tensor = self.refine(*self.trunk(lr), dense=True)
        return sr


def original_of(net: MGANet) -> nn.Module:
    """The network that was accelerated: of a pair a copy of it, else out of copies of the layers of what it became.

    ``net(lr, k="dense")`` gives the same image, but also runs the coarse tail, which the original does not have.

    Raises:
        ArgumentError: style "paper", whose Refine-Net has layers that the original lacks; or a network whose graph is
            made anew for each size, from which no tail can be taken off.
    """
    if isinstance(net.refine, PairRefine):
        return copy.deepcopy(net.refine.model)
    style = net.config.style
    if style != "pretrained":
        raise ArgumentError(
            f"a network in style {style!r} holds no original: its Refine-Net has layers of its own; "
            "measure the original by itself, or k='dense'"
        )
    if not isinstance(net.base, fx.GraphModule):
        raise ArgumentError(
            "the graph of this network depends on the size of the image, so its coarse tail cannot be taken off; "
            "measure k='dense': the image is the original's, the cost includes the coarse tail"
        )
    trunk = copy.deepcopy(net.base)
    output = next(node for node in trunk.graph.nodes if node.op == "output")
    _, *crossing = output.args[0]
    output.args = (tuple(crossing),)
    trunk.graph.eliminate_dead_code()
    trunk.delete_all_unused_submodules()
    trunk.recompile()
    return Original(trunk, copy.deepcopy(net.refine)).train(net.training)
