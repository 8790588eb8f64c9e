"""Costs by hand, what "auto" makes of them, and the warning for a cut that costs more than it saves."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch
from torch import nn
from toys.plain import C, LongSkip, Residual, build, conv
from toys.sized import build_sized

import mga_wrap as mga
from mga_wrap.config import CutConfig
from mga_wrap.counting import count_macs
from mga_wrap.cut.cost import AT_SHARE, DEAR, TARGET, Costs, costs_of, too_dear
from mga_wrap.cut.crossing import interface
from mga_wrap.graph.chain import find_chain

COSTS = Costs(head=5.0, blocks=(10.0,) * 8, tail=15.0, light=6.0, score=32.0)


def deep(blocks: int = 16) -> nn.Module:
    """A network as people write them: most of it is its body."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LongSkip(2)
        model.body = nn.Sequential(*[Residual() for _ in range(blocks)], conv(C, C))
    return model.eval()


def test_the_formula_by_hand() -> None:
    given = {"p": 4, "halo": 1, "coarse_tail": "copy"}
    assert COSTS.original == 100
    assert COSTS.over_original(3, share=0.0, **given) == pytest.approx((5 + 30 + 15) / 100)
    assert COSTS.over_original(3, share=0.5, **given) == pytest.approx((50 + 32 / 16 + 0.5 * 2.25 * 65) / 100)
    light = COSTS.over_original(3, share=0.5, **{**given, "coarse_tail": "light"})
    assert light == COSTS.over_original(3, share=0.5, **{**given, "coarse_tail": 4})  # a number is a light one
    assert light == pytest.approx((41 + 2 + 0.5 * 2.25 * 65) / 100)
    every_pixel = dataclasses.replace(COSTS, mask=7.0)
    assert every_pixel.over_original(3, share=0.5, **given) == pytest.approx((59 + 0.5 * 2.25 * 65) / 100)


@pytest.mark.parametrize(
    ("tail", "light", "usual"),
    [(80.0, 40.0, "light"), (15.0, 19.9, "light"), (15.0, 20.1, "copy"), (40.0, 40.0, "light"), (40.0, 40.1, "copy")],
)
def test_a_light_tail_is_taken_unless_it_is_dear(tail: float, light: float, usual: str) -> None:
    costs = dataclasses.replace(COSTS, tail=tail, light=light)
    assert costs.usual_tail() == usual
    assert (light > tail and light / costs.original > DEAR) == (usual == "copy")


def test_the_base_net_has_as_many_blocks_as_the_aim_allows() -> None:
    costs = dataclasses.replace(COSTS, blocks=(10.0,) * 16)

    def cost(count: int) -> float:
        return costs.over_original(count, share=AT_SHARE, p=16, halo=2, coarse_tail="copy")

    count = costs.usual_count(p=16, halo=2, coarse_tail="copy")
    assert cost(count) <= TARGET < cost(count + 1)
    assert costs.usual_count(p=16, halo=2, coarse_tail="light") > count
    light = {halo: costs.usual_count(p=16, halo=halo, coarse_tail="light") for halo in (2, 4)}
    assert light[4] < light[2]  # wider windows leave less


def test_the_base_net_has_a_quarter_of_the_blocks_at_least() -> None:
    assert COSTS.over_original(2, share=AT_SHARE, p=16, halo=2, coarse_tail="copy") > TARGET
    assert COSTS.usual_count(p=16, halo=2, coarse_tail="copy") == 2


def test_where_a_quarter_costs_more_than_the_original_the_cheapest_cut_is_taken() -> None:
    costs = dataclasses.replace(COSTS, tail=200.0)
    assert costs.over_original(1, share=AT_SHARE, p=16, halo=2, coarse_tail="copy") > TARGET
    assert costs.usual_count(p=16, halo=2, coarse_tail="copy") == 1
    wide = costs.usual_count(p=4, halo=4, coarse_tail="copy")  # 9 times the area: here more blocks are cheaper
    assert wide == len(costs.blocks) - 1


def test_nothing_is_run_and_nothing_drawn() -> None:
    chain = find_chain(build("PAN", 2))
    random_state = torch.random.get_rng_state()
    costs = costs_of(chain, interface(chain, 1))
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert costs.original * 32 * 24 == pytest.approx(count_macs(chain.traced.model, chain.example))


@pytest.mark.parametrize(
    ("mask", "tail"),
    [({}, "copy"), ({}, 3), ({"resolution": "full"}, "light"), ({"resolution": "patch"}, "copy")],
)
def test_the_costs_are_those_of_what_was_asked_for(mask: dict[str, object], tail: str | int) -> None:
    """Whatever predicts the errors, and however deep the light tail is; but for the dynamic kernel's 25 a patch."""
    net = mga.accelerate(deep(), split_at=4, coarse_tail=tail, mask=mask, p=8, k=16)
    chain = find_chain(deep())
    costs = costs_of(chain, interface(chain, 4), config=net.config)
    expected = costs.over_original(4, share=16 / 64, p=8, halo=2, coarse_tail=tail) * costs.original * 64 * 64
    kernel = 25 * 64 if mask else 0
    assert net.macs(64, 64)["total"] - kernel == pytest.approx(expected, rel=1e-6)


# What "auto" comes to ------------------------------------------------------------------------------------------------


def test_the_defaults_pay() -> None:
    net = mga.accelerate(deep())
    anatomy = mga.inspect(deep())
    count = net.geometry.blocks[0]
    assert net.config.split_at == f"body.{count - 1}"
    assert net.config.coarse_tail in ("copy", "light")
    costs = [
        anatomy.cost(one, share=AT_SHARE, p=16, halo=2, coarse_tail=net.config.coarse_tail) for one in range(1, 16)
    ]
    assert costs[count - 1] <= TARGET < costs[count]
    assert net.macs(160, 320, k=AT_SHARE)["total"] / (160 * 320 * anatomy.macs) <= TARGET


@pytest.mark.parametrize(("name", "scale"), [("fsrcnn", 4), ("pan", 4), ("srresnet", 4)])
def test_the_backbones_cost_less_than_themselves_by_default(name: str, scale: int) -> None:
    """They took 1.23, 1.09 and 1.04 of their MACs."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", mga.CostWarning)
        net = mga.accelerate(mga.create_backbone(name, scale=scale))
    assert net.config.coarse_tail == "light"
    assert net.macs(180, 320)["total"] < net.geometry.original_macs * 180 * 320


def test_what_is_given_stays() -> None:
    assert mga.accelerate(deep(), split_at=9).config.split_at == "body.8"
    assert mga.accelerate(deep(), split_at=2, coarse_tail="light").config.coarse_tail == "light"
    paper = mga.accelerate(build("LongSkip", 2), style="paper").config
    assert (paper.split_at, paper.coarse_tail) == ("body.2", "copy")
    assert CutConfig(style="paper").coarse_tail == "copy"


def test_a_network_in_windows_is_priced_with_the_halo_that_it_takes() -> None:
    net = mga.accelerate(build_sized("PadsToMultiple", 2))
    assert net.halo == 4
    chain = find_chain(build_sized("PadsToMultiple", 2))
    costs = costs_of(chain, interface(chain, 1))
    assert net.geometry.blocks[0] == costs.usual_count(p=16, halo=4, coarse_tail=net.config.coarse_tail)


# The warning ---------------------------------------------------------------------------------------------------------


def test_a_cut_that_costs_more_than_the_original_says_so_and_names_another() -> None:
    model = mga.create_backbone("fsrcnn", scale=4)
    with pytest.warns(mga.CostWarning) as told:
        net = mga.accelerate(model, split_at=2, coarse_tail="copy")
    text = str(told[0].message)
    assert told[0].filename == __file__
    assert "cut after body.1 with coarse_tail='copy' and k=0.25, FSRCNN takes " in text
    assert f"the original {net.geometry.original_macs:,.0f};" in text
    assert "split_at='body.0', coarse_tail='light' takes 0.90 of it" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error", mga.CostWarning)
        mga.accelerate(model, split_at="body.0", coarse_tail="light")


@pytest.mark.parametrize("k", ["all", 1.0, 10**9])
def test_where_no_cut_pays_that_is_said(k: object) -> None:
    with pytest.warns(mga.CostWarning, match=r"no cut of this network takes less at this k, so take a smaller one"):
        mga.accelerate(deep(), k=k)


@pytest.mark.parametrize("k", [0, 0.1, 5, "auto"])
def test_a_cut_that_pays_says_nothing(k: object) -> None:
    chain = find_chain(deep())
    config = dataclasses.replace(mga.accelerate(deep(), split_at=4).config, k=k)
    assert too_dear(chain, config) == ""


def test_dense_is_the_original_and_a_coarse_image() -> None:
    chain = find_chain(deep())
    config = mga.accelerate(deep(), split_at=4, coarse_tail="copy").config
    text = too_dear(chain, dataclasses.replace(config, k="dense"))
    net = mga.accelerate(deep(), split_at=4, coarse_tail="copy")
    assert f"takes {net.macs(180, 320, k='dense')['total'] / (180 * 320):,.0f} MACs per lr pixel" in text


def test_the_paper_s_style_and_checkpoints_say_nothing(tmp_path: object) -> None:
    model = mga.create_backbone("fsrcnn", scale=4)
    with pytest.warns(mga.CostWarning):
        mga.accelerate(model, split_at=2, coarse_tail="copy").save_pretrained(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error", mga.CostWarning)
        mga.accelerate(model, style="paper")
        again = mga.from_pretrained(str(tmp_path))
    assert (again.config.split_at, again.config.coarse_tail) == ("body.1", "copy")
