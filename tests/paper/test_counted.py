"""The paper's networks, counted: section 4's parts of each."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from mga_wrap.counting import macs_by_module
from mga_wrap.errors import ArgumentError
from mga_wrap.paper.counted import activations_at, count_at, paper_cost, paper_net

pytestmark = pytest.mark.slow

# (network, scale): parameters of B, D and A, M; MACs an lr pixel of B, of D; MACs a patch, of mask prediction a pixel
PARTS = {
    ("FSRCNN", 2): (23_363, 41_694, 43_270, 64_024.0, 123_096.0, 997_472, 1_303.50),
    ("FSRCNN", 3): (23_363, 41_694, 43_270, 132_064.0, 259_176.0, 2_086_112, 1_303.50),
    ("FSRCNN", 4): (23_363, 41_694, 43_270, 227_320.0, 449_688.0, 3_610_208, 1_303.50),
    ("PAN", 2): (203_723, 290_966, 306_178, 249_624.0, 382_328.0, 4_089_792, 14_425.00),
    ("PAN", 3): (203_723, 296_174, 311_386, 325_104.0, 580_160.0, 7_416_288, 14_425.00),
    ("PAN", 4): (214_739, 312_998, 328_210, 433_272.0, 749_624.0, 8_215_200, 14_425.00),
    ("RFDN", 2): (417_212, 684_224, 707_726, 397_371.6, 656_139.6, 8_706_432, 22_531.25),
    ("RFDN", 3): (423_977, 697_754, 721_256, 404_121.6, 669_639.6, 8_814_432, 22_531.25),
    ("RFDN", 4): (433_448, 716_696, 740_198, 413_571.6, 688_539.6, 8_965_632, 22_531.25),
    ("SRResNet", 2): (1_102_097, 1_671_577, 1_709_709, 1_147_904.0, 1_763_648.0, 17_231_104, 36_904.00),
    ("SRResNet", 3): (1_286_737, 2_040_857, 2_078_989, 1_410_304.0, 2_288_448.0, 21_429_504, 36_904.00),
    ("SRResNet", 4): (1_249_810, 1_967_003, 2_005_135, 1_925_376.0, 3_318_592.0, 29_670_656, 36_904.00),
    ("RCAN", 2): (10_867_699, 15_704_870, 15_743_002, 10_781_888.5, 15_585_024.6, 169_119_216, 36_904.00),
    ("RCAN", 3): (11_052_339, 16_074_150, 16_112_282, 10_974_848.5, 15_970_944.6, 172_206_576, 36_904.00),
    ("RCAN", 4): (11_015_411, 16_000_294, 16_038_426, 11_392_448.5, 16_806_144.6, 178_888_176, 36_904.00),
}
IMAGES = {"RFDN": (376, 512), "RCAN": (400, 400)}
"""Whose MACs a pixel depend on the size: RFDN's at the border, RCAN's by its attention (72,240 and 30,960 an image)."""


@pytest.mark.parametrize(("network", "scale"), PARTS)
def test_every_part_costs_what_the_paper_says(network: str, scale: int) -> None:
    base, both, masked, per_pixel, dense_per_pixel, patch, mask = PARTS[network, scale]
    cost = paper_cost(network, scale)
    assert cost.parameters == {"B": base, "D": both, "A": both, "M": masked}
    assert (cost.patch, cost.mask) == (patch, mask)
    height, width = IMAGES.get(network, (24, 36))
    macs, pixels = count_at(network, scale, height, width), height * width
    assert round(macs["base"] / pixels, 1) == per_pixel
    assert round((macs["base"] + macs["refine"]) / pixels, 1) == dense_per_pixel
    assert (cost.base.once, cost.refine.once) == (72_240, 30_960) or network != "RCAN"


def test_the_variants_are_one_network_called_in_four_ways() -> None:
    net, cost = paper_net("FSRCNN", 2), paper_cost("FSRCNN", 2)
    lr = torch.empty(1, 3, 24, 32, device="meta")
    base, dense = cost.base.per_pixel * 24 * 32, cost.refine.per_pixel * 24 * 32
    for k, refine in ((0, 0), ("dense", dense), ("all", 48 * cost.patch), (5, 5 * cost.patch)):
        macs = macs_by_module(net, lr, k=k, convention="paper")
        assert (macs["base"], macs["refine"]) == (base, refine), k


def test_a_squares_cost_follows_from_three_others() -> None:
    for network in ("FSRCNN", "RFDN"):
        cost = paper_cost(network, 2)
        macs = count_at(network, 2, 60, 72)
        for part, name in ((cost.base, "base"), (cost.refine, "refine")):
            assert part.per_pixel * 60 * 72 + part.per_side * (60 + 72) + part.once == macs[name]


def test_only_rfdn_pays_less_at_the_border() -> None:
    assert paper_cost("RFDN", 2).base.per_side < 0
    assert all(paper_cost(name, 2).base.per_side == 0 for name in ("FSRCNN", "PAN", "SRResNet"))


def test_activations_in_table_5() -> None:
    base, patch, mask = activations_at("RFDN", 2, 376, 512)
    assert (base, patch, mask) == (322_202_848, 33_704, (50 + Fraction(1, 16)) * 376 * 512)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ArgumentError, match="got network 'EDSR'; expected one of FSRCNN, PAN, RFDN, SRResNet, RCAN"):
        paper_net("EDSR", 2)
