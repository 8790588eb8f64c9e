"""The formula of a network's cost: through three squares, over a test set, and for mask prediction."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from mga_wrap.paper.cost_model import MapCost, PaperCost, mask_activations, mask_macs
from mga_wrap.paper.facts import PIXELS


def test_three_squares_fix_the_formula() -> None:
    cost = MapCost(per_pixel=Fraction(7), per_side=Fraction(-3, 2), once=Fraction(11))
    sides = (24, 36, 48)
    macs = [int(cost.per_pixel * side * side + cost.per_side * 2 * side + cost.once) for side in sides]
    assert MapCost.through(sides, macs) == cost


def test_a_mean_image_has_sides_as_4_to_3() -> None:
    cost = MapCost(per_pixel=Fraction(2), per_side=Fraction(5), once=Fraction(7))
    assert cost.of_mean(Decimal(40 * 30)) == pytest.approx(2 * 1200 + 5 * (40 + 30) + 7)


def test_each_variant_adds_what_it_runs() -> None:
    base, refine = (MapCost(Fraction(macs), Fraction(0), Fraction(0)) for macs in (10, 3))
    cost = PaperCost(base, refine, patch=80, mask=Fraction(1, 2), parameters={})
    pixels = float(PIXELS["Set5"][4])
    macs = {variant: cost.macs(variant, dataset="Set5", scale=4) / pixels for variant in "BDAM"}
    assert macs == pytest.approx({"B": 10, "D": 13, "A": 10 + 80 / 16, "M": 10.5 + 80 * 240 / pixels})
    assert cost.macs("M", dataset="Set5", scale=4, k=7) == pytest.approx(10.5 * pixels + 7 * 80)


def test_mask_prediction_in_table_5() -> None:
    assert mask_macs(50) == Fraction(2253125, 100)
    assert mask_macs(50, p=8) == 22_500 + Fraction(500, 64)
    assert mask_activations(50) == 50 + Fraction(1, 16)
