"""Receptive fields, against values found by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import C, LongSkip, Residual, build, conv
from toys.sized import build_sized

import mga_wrap as mga
from mga_wrap.cut import reach
from mga_wrap.cut.reach import Inexact, reaches
from mga_wrap.graph.chain import find_chain

BY_HAND = {
    # blocks, tail: one for each 3x3 convolution in a row
    "LongSkip": ([2, 2, 2, 2], 2),
    "ImageAdded": ([1, 1, 1, 1], 1),
    "CatFusion": ([2, 2, 2, 2], 2),  # c is 1x1; LR_conv and upsampler are 3x3
    "InPlace": ([1, 1, 1, 1], 1),
    "ControlFlow": ([2, 3, 2, 3], 1),  # odd blocks call their first convolution twice
    "SharedActivation": ([1, 1, 1, 1], 1),
    "TiedBlocks": ([2, 2, 2, 2], 1),
    "FSRCNN": ([1, 1, 1, 1], 1),  # the 9x9 kernel at stride 4 spans 4 sr pixels: one feature pixel more
    "PAN": ([2, 2, 2, 2], 3),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_known_by_hand_at_x4(name: str) -> None:
    assert reaches(find_chain(build(name, 4))) == BY_HAND[name]


@pytest.mark.parametrize(("scale", "far"), [(2, 2), (3, 2), (4, 1)])
def test_a_transposed_convolution_reaches_less_the_larger_its_stride(scale: int, far: int) -> None:
    """9x9 with padding 4: 4 sr pixels to each side, so ceil(4 / s) feature pixels."""
    assert reaches(find_chain(build("TransposedTail", scale)))[1] == far


class PoolingBlock(nn.Module):
    """Channel attention: its weights come from an average over the whole map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.attention = conv(C, C), nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(C, C, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.attention(x)


def test_a_block_that_averages_over_the_whole_map_has_no_reach() -> None:
    model = LongSkip(2)
    model.body = nn.Sequential(*[PoolingBlock() for _ in range(3)], conv(C, C))
    assert reaches(find_chain(model)) == ([Inexact.WHOLE] * 3, 2)


def test_a_whole_map_operation_in_the_tail_alone() -> None:
    class PoolingTail(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            x = self.body(self.head(x))
            return self.tail(x - x.mean(dim=(2, 3), keepdim=True))

    assert reaches(find_chain(PoolingTail(2))) == ([2, 2, 2, 2], Inexact.WHOLE)


class Wide(nn.Module):
    """One 3x3 convolution of a wide dilation."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


@pytest.mark.parametrize(("dilation", "far"), [(7, 7), (30, 30)])
def test_a_wide_field_is_found_on_a_larger_map(dilation: int, far: int) -> None:
    """On the first map, of 48 x 48, a NaN in the middle would jump over the border."""
    model = LongSkip(2)
    model.body = nn.Sequential(Wide(dilation), Wide(dilation), conv(C, C))
    blocks, _ = reaches(find_chain(model))
    assert blocks == [far, far]


def test_one_by_one_convolutions_reach_nowhere() -> None:
    model = LongSkip(2)
    model.body = nn.Sequential(conv(C, C, 1), conv(C, C, 1))
    assert reaches(find_chain(model))[0] == [0, 0]


def test_an_uneven_kernel_counts_its_longer_side() -> None:
    model = LongSkip(2)
    layers = [nn.Sequential(nn.ZeroPad2d((3, 0, 0, 0)), nn.Conv2d(C, C, (1, 4)), nn.ReLU()) for _ in range(2)]
    model.body = nn.Sequential(*layers)
    assert reaches(find_chain(model))[0] == [3, 3]


def test_it_is_the_same_in_double_and_half() -> None:
    for dtype in (torch.float64, torch.bfloat16):
        assert reaches(find_chain(build("LongSkip", 2).to(dtype))) == BY_HAND["LongSkip"]


class Strided(Residual):
    """Attention from a map of half the resolution, as in RFDN: its pixels depend on where the map begins."""

    def forward(self, x: Tensor) -> Tensor:
        weight = F.interpolate(self.conv1(x)[..., ::2, ::2], size=x.shape[2:], mode="bilinear")
        return x + self.conv2(x) * weight.sigmoid()


@pytest.mark.parametrize("block", [Strided, Residual])
def test_a_stride_inside_a_block_has_no_exact_halo(block: type[nn.Module]) -> None:
    model = LongSkip(2).eval()
    model.body = nn.Sequential(*[block() for _ in range(3)], conv(C, C))
    blocks, tail = reaches(find_chain(model))
    assert blocks == [Inexact.PLACE] * 3 if block is Strided else [2] * 3
    assert tail == 2


def test_the_published_attention_has_no_exact_halo() -> None:
    """Nor have those after the first, which do the same: with random weights their features are all but flat."""
    blocks, tail = reaches(find_chain(mga.create_backbone("rfdn", scale=2)))
    assert (blocks, tail) == ([Inexact.PLACE] * 6, 2)


def test_like_blocks_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    spread = reach._spread
    monkeypatch.setattr(reach, "_spread", lambda part: (measured.append(part.end.name), spread(part))[1])
    assert reaches(find_chain(build("LongSkip", 2))) == BY_HAND["LongSkip"]
    assert measured[0] == "body_0"
    assert len(measured) == 2  # and the tail
    measured.clear()
    assert reaches(find_chain(build("ControlFlow", 2))) == BY_HAND["ControlFlow"]
    assert measured[:2] == ["body_0", "body_1"]  # of one class, but they do not do the same
    assert len(measured) == 3


def test_windows_are_moved_as_a_whole() -> None:
    """Attention in windows depends on where a map begins, but not on which of its windows comes first."""
    blocks, _ = reaches(find_chain(build_sized("WindowAttention", 2)))
    assert blocks == [3, 3, 3, 3]
