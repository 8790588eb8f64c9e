"""What inspect says of a network."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from toys.plain import NETWORKS, C, LongSkip, Residual, build, conv
from toys.sized import SIZED, build_sized

import mga_wrap as mga
from mga_wrap.counting import count_macs
from mga_wrap.cut.anatomy import SHARES, TAILS

CROSSING = {  # after the first block: what every later cut has too
    "LongSkip": ("8 x 1", "8 x 1"),
    "ImageAdded": ("8 x 1", "3 x 4"),
    "CatFusion": ("8 x 1", "8 x 1"),
    "TwoStepUpsampler": ("8 x 1",),
    "TransposedTail": ("8 x 1",),
    "InPlace": ("8 x 1", "8 x 1"),
    "ControlFlow": ("8 x 1",),
    "SharedActivation": ("8 x 1",),
    "TiedBlocks": ("8 x 1", "8 x 1"),
    "AsksForSizes": ("8 x 1", "3 x 1", "3 x 4"),
    "Wrapped": ("8 x 1", "8 x 1"),
    "FSRCNN": ("12 x 1",),
    "PAN": ("16 x 1", "16 x 1", "3 x 4"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_add_up_and_are_named(name: str) -> None:
    model = build(name, 4)
    anatomy = mga.inspect(model)
    assert anatomy.macs * 32 * 24 == pytest.approx(count_macs(model, torch.rand(1, 3, 32, 24)))
    parts = (anatomy.head, *anatomy.blocks, anatomy.tail)
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert all(part.share == pytest.approx(part.macs / anatomy.macs) for part in parts)
    assert (anatomy.network, anatomy.scale) == (type(model).__name__, 4)
    assert anatomy.blocks[0].crossing == CROSSING[name]
    assert anatomy.blocks[-1].crossing == anatomy.head.crossing == anatomy.tail.crossing == ()
    shown = str(anatomy)
    assert all(block.name in shown for block in anatomy.blocks)
    assert f"{anatomy.network}: x4, {anatomy.macs:,.0f} MACs per lr pixel" in shown


def test_a_dense_fusion_lets_more_cross_at_every_block() -> None:
    blocks = mga.inspect(build("CatFusion", 2)).blocks
    assert [len(block.crossing) for block in blocks] == [2, 3, 4, 0]  # the skip, and every block's output so far


def test_an_example_and_a_batch_change_nothing() -> None:
    model = build("FSRCNN", 3)
    assert mga.inspect(model, example=torch.rand(2, 3, 16, 40)) == mga.inspect(model)


def test_hand_counted_macs() -> None:
    """3x3 convolutions: 3 -> 8, four blocks of two 8 -> 8, 8 -> 8, then 8 -> 12."""
    anatomy = mga.inspect(build("LongSkip", 2))
    assert anatomy.head.macs == 9 * 3 * 8
    assert [block.macs for block in anatomy.blocks] == [2 * 9 * 8 * 8] * 4
    assert anatomy.tail.macs == 9 * 8 * 8 + 9 * 8 * 12
    assert (anatomy.head.name, anatomy.tail.name) == ("head", "body.4, tail.0")


@pytest.mark.parametrize("coarse_tail", ["copy", "light"])
def test_the_cost_formula_is_what_the_cut_network_runs(coarse_tail: str) -> None:
    """Every window inside the image; the score predictor runs once a patch."""
    model = build("LongSkip", 2)
    anatomy = mga.inspect(model)
    net = mga.accelerate(model, split_at=1, p=8, halo=2, coarse_tail=coarse_tail)
    for k in (4, 16, 64):
        macs = net.macs(64, 64, k=k)["total"]
        cost = anatomy.cost(1, share=k / 64, p=8, halo=2, coarse_tail=coarse_tail)
        assert cost == pytest.approx(macs / (64 * 64 * anatomy.macs), rel=1e-6)


def test_the_cost_by_hand() -> None:
    part = mga.inspect(build("LongSkip", 2)).head
    block, tail = dataclasses.replace(part, macs=10.0), dataclasses.replace(part, macs=20.0)
    anatomy = dataclasses.replace(
        mga.inspect(build("LongSkip", 2)),
        head=dataclasses.replace(part, macs=5.0),
        blocks=(block,) * 4,
        tail=tail,
        score_macs=48.0,
        light_macs=7.0,
    )
    assert anatomy.macs == 65
    copied = anatomy.cost(3, share=0.5, p=4, halo=1)
    assert copied == pytest.approx((5 + 30 + 20 + 48 / 16 + 0.5 * 2.25 * (10 + 20)) / 65)
    assert anatomy.cost(1, share=0.0, p=16, halo=2) == pytest.approx((5 + 10 + 20) / 65)
    light = anatomy.cost(3, share=0.5, p=4, halo=1, coarse_tail="light")
    assert light == pytest.approx((5 + 30 + 7 + 3 + 0.5 * 2.25 * (10 + 20)) / 65)


def test_the_halo_that_makes_a_cut_exact() -> None:
    anatomy = mga.inspect(build("ControlFlow", 2))  # blocks of 2, 3, 2, 3, a tail of 1
    assert [anatomy.reach_after(count) for count in (1, 2, 3)] == [9, 6, 4]


class Pooling(nn.Module):
    """Sees the whole map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(C, C)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x - x.mean(dim=(2, 3), keepdim=True)


def test_a_look_at_the_whole_map_is_said() -> None:
    model = LongSkip(2)
    model.body = nn.Sequential(*[Pooling() for _ in range(3)], conv(C, C))
    anatomy = mga.inspect(model)
    assert anatomy.reach_after(1) is None
    assert "looks at the whole map" in anatomy.inexact_after(1)
    assert "whole map" not in str(mga.inspect(build("LongSkip", 2)))
    with pytest.raises(mga.CutError, match=r"halo='exact'; no halo makes refined patches exact here"):
        mga.accelerate(model, halo="exact")


def test_a_network_that_is_mostly_tail_has_little_to_give() -> None:
    model = LongSkip(2)
    model.tail = nn.Sequential(conv(C, 64), conv(64, 64), conv(64, 12), nn.PixelShuffle(2))
    said = "With a copy of the tail no cut saves anything here: head and tail are most of the network."
    assert said in " ".join(str(mga.inspect(model)).split())
    model.tail = nn.Sequential(conv(C, 12), nn.PixelShuffle(2))
    model.body = nn.Sequential(nn.Conv2d(C, C, 1), nn.Conv2d(C, C, 1), conv(C, C))
    assert "No cut saves anything here:" in str(mga.inspect(model))
    model = LongSkip(2)
    model.body = nn.Sequential(*[Residual() for _ in range(16)], conv(C, C))
    assert "saves anything" not in str(mga.inspect(model))


def test_a_network_that_works_in_windows_says_so() -> None:
    anatomy = mga.inspect(build_sized("WindowAttention", 2))
    assert anatomy.multiple == 4
    assert "p + 2 * halo has to be a multiple of 4; for an exact halo p too" in " ".join(str(anatomy).split())
    assert [block.crossing for block in anatomy.blocks] == [("8 x 1", "8 x 1")] * 3 + [()]
    assert [anatomy.reach_after(count) % 4 for count in (1, 2, 3)] == [0, 0, 0]


def test_the_halo_that_is_priced_is_the_one_that_accelerate_takes() -> None:
    model = build_sized("PadsToMultiple", 2)
    anatomy, net = mga.inspect(model), mga.accelerate(model)
    assert net.halo == anatomy.halo_for(16) == 4
    shown = str(anatomy)
    assert "p=16, halo=4" in shown
    assert f"{anatomy.cost(1, share=0.5, p=16, halo=4, coarse_tail='copy'):.2f}|" in shown
    assert anatomy.halo_for(8) == mga.accelerate(model, p=8).halo
    with pytest.raises(mga.CutError, match="got p=9; the network works in windows"):
        anatomy.halo_for(9)


def test_render_for_other_patches() -> None:
    anatomy = mga.inspect(build("LongSkip", 2))
    assert "p=16, halo=2" in anatomy.render()
    assert "p=4, halo=1" in anatomy.render(p=4, halo=1)
    assert f"{anatomy.cost(1, share=0.5, p=4, halo=1):.2f}" in anatomy.render(p=4, halo=1)
    assert f"{anatomy.head.macs:,.0f}" in anatomy.render()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETWORKS, *SIZED])
def test_it_is_shown_in_80_columns_with_every_fact(name: str) -> None:
    anatomy = mga.inspect(build_sized(name, 4) if name in SIZED else build(name, 4))
    shown = str(anatomy)
    assert max(map(len, shown.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in shown.splitlines())
    parts, cuts = (rows_of(table) for table in shown.split("┗")[0].split("└")[:2])
    assert [row[1:3] for row in parts] == [
        [f"{part.macs + 1e-9:,.0f}", f"{part.share:.1%}"] for part in (anatomy.head, *anatomy.blocks, anatomy.tail)
    ]
    assert [row[3] for row in parts[1:]] == [shown_reach(part.reach) for part in (*anatomy.blocks, anatomy.tail)]
    for count, (row, block) in enumerate(zip(cuts, anatomy.blocks, strict=False), 1):
        costs = [
            "|".join(
                f"{anatomy.cost(count, share=share, p=16, halo=anatomy.halo_for(16), coarse_tail=tail):.2f}"
                for tail in TAILS
            )
            for share in SHARES
        ]
        assert row == [block.name, shown_reach(anatomy.reach_after(count)), ", ".join(block.crossing), *costs]
    assert len(cuts) == len(anatomy.blocks) - 1


def shown_reach(reach: int | None) -> str:
    return "none" if reach is None else str(reach)


def rows_of(table: str) -> list[list[str]]:
    """The cells of the rows; what was folded is put together again: a line without a number goes on with the last."""
    rows: list[list[str]] = []
    for line in table.splitlines():
        if line.startswith("│"):
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            if cells[1]:
                rows.append(cells)
            else:
                rows[-1] = [f"{one} {more}".strip() for one, more in zip(rows[-1], cells, strict=True)]
    return rows


def test_long_names_are_shown_whole() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a_module_with_a_rather_long_name_of_its_own = LongSkip(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.a_module_with_a_rather_long_name_of_its_own(x)

    anatomy = mga.inspect(Long())
    letters = "".join(line.split("│")[1].strip() for line in str(anatomy).splitlines() if line.startswith("│"))
    for block in anatomy.blocks:
        assert block.name in letters
