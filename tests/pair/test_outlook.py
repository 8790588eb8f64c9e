"""What a pair would cost, for people."""

from __future__ import annotations

import copy

import pytest
import torch
from toys.plain import build
from toys.whole import Enlarges, build_whole

import mga_wrap as mga


def test_it_says_cost_halo_and_where_it_breaks_even() -> None:
    model, small = build_whole("UShaped", 2), build_whole("Enlarges", 2)
    state = copy.deepcopy(model.state_dict())
    outlook = mga.inspect(model, base=small)
    text = str(outlook)
    assert "UShaped on windows, Enlarges everywhere: x2, 3,960 and 324 MACs per lr pixel (0.08)" in " ".join(
        text.split()
    )
    assert "Refined patches are the model's own with a halo of" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    for window in outlook.windows:
        assert outlook.cost(window, share=outlook.breaks_even(window)) == pytest.approx(1)
        assert outlook.cost(window, share=0) == pytest.approx(324 / 3960)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_the_usual_window_is_what_accelerate_takes() -> None:
    model = build_whole("Hierarchical", 2)
    outlook, net = mga.inspect(model, base=Enlarges(2)), mga.accelerate(model, base=Enlarges(2))
    assert (outlook.usual.p, outlook.usual.halo) == (net.p, net.halo)
    (row,) = [line for line in str(outlook).splitlines() if "*" in line and "│" in line]
    assert row.split("│")[1].strip() == f"{net.p} *"


def test_a_network_that_sees_everything_is_told() -> None:
    text = " ".join(str(mga.inspect(build_whole("WholeMap", 2), base=Enlarges(2))).split())
    assert "No halo is exact: the model looks at the whole image" in text


def test_a_base_that_saves_nothing_is_told() -> None:
    text = " ".join(str(mga.inspect(Enlarges(2), base=build("LongSkip", 2))).split())
    assert "The base takes no fewer MACs than the model: the pair saves nothing." in text
