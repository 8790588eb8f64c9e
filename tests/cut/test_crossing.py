"""What crosses a cut: which nodes, how they lie in memory, at which resolution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from toys.plain import NETWORKS, C, LongSkip, build
from toys.sized import build_sized

from mga_wrap.cut.crossing import crossing_nodes, feature_channels, interface, map_size
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import find_chain
from mga_wrap.graph.trace import UntraceableError, fact
from mga_wrap.nets.layouts import Crossing


@pytest.mark.parametrize("name", NETWORKS)
def test_the_refine_net_needs_what_crosses_and_nothing_else(name: str) -> None:
    chain = find_chain(build(name, 2))
    for count in range(1, len(chain.blocks)):
        inside, crossing = crossing_nodes(chain, count)
        assert crossing[0] is chain.blocks[count - 1].end
        known = {*inside, *crossing}
        assert all(source in known for node in inside for source in node.all_input_nodes)
        assert chain.sr in inside
        late = {node for block in chain.blocks[count:] for node in block.nodes}
        assert late <= set(inside)
        assert not late & set(crossing)


def test_sizes_are_asked_again_and_do_not_cross() -> None:
    chain = find_chain(build("AsksForSizes", 2))
    inside, crossing = crossing_nodes(chain, 1)
    assert all(fact(node).shape is not None for node in crossing)
    assert any(fact(node).shape is None for node in inside if node.op != "get_attr")


def test_a_graph_for_one_size_takes_lr_last() -> None:
    chain = find_chain(build_sized("WindowAttention", 2), sized=True)
    crossing = crossing_nodes(chain, 2)[1]
    assert crossing[0] is chain.blocks[1].end
    assert crossing[-1] is chain.lr
    assert crossing.count(chain.lr) == 1


def test_maps_at_their_own_resolution() -> None:
    chain = find_chain(build("ImageAdded", 4))
    found = interface(chain, 2)
    assert (found.stride, found.zoom, found.multiple, found.spare) == (1, 4, 1, 0)
    assert [(one.layout, one.ratio) for one in found.crossing] == [("map", 1), ("map", 4)]
    assert feature_channels(chain, 2, found) == C


@pytest.mark.parametrize(
    ("name", "layout", "multiple"),
    [("WindowAttention", "map", 4), ("PadsToMultiple", "map", 8), ("Tokens", "tokens", 1)],
)
def test_layout_and_windows_of_a_graph_for_one_size(name: str, layout: str, multiple: int) -> None:
    chain = find_chain(build_sized(name, 2), sized=True)
    found = interface(chain, 1)
    assert found.crossing[0].layout == layout
    assert found.multiple == multiple
    assert feature_channels(chain, 1, found) == C
    height, width = chain.example.shape[-2:]
    assert map_size(chain.blocks[0].end, found.crossing[0].layout, chain.example.shape) == (height, width)


class PerImage(LongSkip):
    """A gate of one value an image and channel, made ahead of the blocks."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        gate = x.mean(dim=(2, 3), keepdim=True)
        return self.tail(self.body(x) * gate)


def test_one_value_an_image_goes_along_as_it_is() -> None:
    crossing = interface(find_chain(PerImage(2)), 1).crossing
    assert [one.layout for one in crossing] == ["map", "image"]
    assert [one.is_map for one in crossing] == [True, False]
    assert isinstance(crossing[1], Crossing)


class Cropped(LongSkip):
    """The skip has lost its border: it lies nowhere over the feature."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        skip = F.relu(x[..., 1:-1, 1:-1])
        return self.tail(F.pad(self.body(x)[..., 1:-1, 1:-1] + skip, [1, 1, 1, 1]))


class Flat(LongSkip):
    """Hands on all pixels and channels in one row."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        flat = F.relu(x.flatten(1))
        return self.tail((self.body(x).flatten(1) + flat).view(x.shape))


@pytest.mark.parametrize(
    ("make", "text", "for_a_size"),
    [
        (
            Cropped,
            "relu crosses the cut at 30 x 22, the feature is 32 x 24; expected a whole multiple of the feature's sides",
            r"relu crosses the cut at 30 x 22, the feature is 32 x 24 for an image of 32 x 24; expected a who",
        ),
        (
            Flat,
            r"relu, of shape \(1, 6144\), crosses the cut; expected maps \(B, C, H, W\)",
            r"relu, of shape \(1, 6144\), crosses the cut; expected a map \(B, C, H, W\), \(B, H, W, C\) or rows o",
        ),
    ],
)
def test_what_lies_nowhere_over_the_feature_is_refused(make: type[LongSkip], text: str, for_a_size: str) -> None:
    with pytest.raises(UntraceableError, match=text):
        interface(find_chain(make(2), sized=False), 1)
    with pytest.raises(CutError, match=for_a_size):
        interface(find_chain(make(2), sized=True), 1)


def test_the_height_of_rows_of_pixels_is_that_of_the_map_before_them() -> None:
    chain = find_chain(build_sized("Tokens", 2), sized=True, example=torch.rand(1, 3, 16, 40))
    layout = interface(chain, 1).crossing[0].layout
    assert map_size(chain.blocks[0].end, layout, chain.example.shape) == (16, 40)
