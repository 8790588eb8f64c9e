"""The table of costs: each part by hand, in every unit."""

from __future__ import annotations

import json

import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.counting import count_parameters
from mga_wrap.errors import ArgumentError
from mga_wrap.measure.costs import Cost, cost_table


@pytest.fixture(scope="module")
def net() -> mga.MGANet:
    return mga.accelerate(mga.create_backbone("fsrcnn", scale=4), style="paper").eval()


def test_fsrcnn_m_part_by_part_in_the_papers_units(net: mga.MGANet) -> None:
    """Section 4's figures: MACs an lr pixel of B and of D, MACs a patch; activations counted by hand."""
    pixels = 16 * 24
    table = cost_table(net, 16, 24, k=5)
    assert (table.patches, table.refined, table.share) == (24, 5, 5 / 24)
    assert table.base == Cost(23_363, pixels * 23_040, pixels * 227_320, pixels * (56 + 4 * 12 + 56 + 48))
    assert (table.refine.parameters, table.refine.macs_paper) == (18_331, 5 * 3_610_208)
    # A window of 6 x 6: the block, the first of the two more convolutions; then 4 x 4: the second, 1x1, deconvolution.
    assert table.refine.activations == 5 * (36 * 2 * 12 + 16 * (12 + 56 + 3 * 16))
    # Two 3x3 convolutions on the map, one of 1x1 to 25 weights on the grid.
    assert table.mask == Cost(1_576, pixels * 1_512 + 600, pixels * 1_512 + 600, pixels * 14 + 600)
    assert table.total.macs == net.macs(16, 24, k=5)["total"]


@pytest.mark.parametrize(
    ("k", "refined", "idle"), [(0, 0, ("mask", "refine")), ("dense", 24, ("mask",)), ("all", 24, ("mask",))]
)
def test_what_does_not_run_costs_parameters_alone(
    k: int | str, refined: int, idle: tuple[str, ...], net: mga.MGANet
) -> None:
    table = cost_table(net, 16, 24, k=k)
    assert table.refined == refined
    for part in ("base", "mask", "refine"):
        cost = getattr(table, part)
        assert cost.parameters == count_parameters(getattr(net, part))
        assert (cost.macs == cost.macs_paper == cost.activations == 0) == (part in idle)


def test_the_original_stands_beside_and_all_of_it_is_json(net: mga.MGANet) -> None:
    original = mga.create_backbone("fsrcnn", scale=4)
    table = cost_table(net, 8, 8, original=original)
    assert table.original is not None
    assert (table.original.parameters, table.original.macs) == (24_683, 64 * 24_336)
    assert table.k == 0.25
    document = json.loads(json.dumps(table.as_dict()))
    assert document["total"]["parameters"] == 43_270
    assert document["original"]["macs"] == table.original.macs
    assert cost_table(net, 8, 8).as_dict()["original"] is None


def test_counting_leaves_the_network_alone() -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    table = cost_table(net, 9, 7, k=3)
    assert (table.patches, table.refined) == (6, 3)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with pytest.raises(ArgumentError, match="k=-1"):
        cost_table(net, 9, 7, k=-1)
