"""From a chain and a config to a network: what the config names afterwards, and what stays as it was."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import torch
from torch import Tensor, nn
from toys.plain import C, LongSkip, Residual, build, conv
from toys.refused import DDBPN
from toys.sized import build_sized

from mga_wrap.config import CutConfig
from mga_wrap.counting import count_macs
from mga_wrap.cut.build import build as build_net
from mga_wrap.cut.build import resolve
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import find_chain
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.score import ScorePredictor

BODY = "body.0, body.1, body.2, body.3"


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    """Bit for bit; what was not calibrated is NaN."""
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(value, two[key], rtol=0, atol=0, equal_nan=True)


def test_the_config_names_what_it_came_to() -> None:
    model = build("LongSkip", 2)
    asked = CutConfig(split_at=0.5, k=7)
    net = build_net(model, find_chain(model), asked)
    assert net.config == dataclasses.replace(asked, split_at="body.1", halo=2, coarse_tail=net.config.coarse_tail)
    assert asked.split_at == 0.5
    again = build_net(model, find_chain(model), net.config)
    assert again.config == net.config
    same(net.state_dict(), again.state_dict())


@pytest.mark.parametrize("halo", ["exact", None, 5])
def test_a_halo_is_a_number_afterwards(halo: object) -> None:
    model = build("LongSkip", 2)
    net = build_net(model, find_chain(model), CutConfig(split_at=2, halo=halo))
    assert net.config.halo == {"exact": 6, None: 2, 5: 5}[halo]  # two blocks of 2 and a tail of 2
    assert [one.halo for one in net.geometry.crossing] == [net.config.halo] * 2


def test_what_the_geometry_knows() -> None:
    model = build("LongSkip", 2)
    chain = find_chain(model)
    geometry = build_net(model, chain, CutConfig(split_at=3)).geometry
    assert (geometry.scale, geometry.channels, geometry.zoom, geometry.border) == (2, 3, 2, "shift")
    assert geometry.blocks == (3, 4)
    assert geometry.original_macs * 32 * 24 == count_macs(model, chain.example)
    paper = build_net(model, chain, CutConfig(style="paper")).geometry
    assert (paper.border, paper.trim, paper.blocks) == ("zero", 0, (3, 4))


def test_it_is_in_eval_mode_and_the_predictor_is_the_one_asked_for() -> None:
    model = build("LongSkip", 2)
    chain = find_chain(model)
    net = build_net(model, chain, CutConfig())
    assert not any(module.training for module in net.modules())
    assert isinstance(net.mask, ScorePredictor)
    other = build_net(model, chain, CutConfig(mask={"resolution": "patch"}))
    assert isinstance(other.mask, MaskPredictor)
    assert isinstance(build_net(model, chain, CutConfig(style="paper")).mask, MaskPredictor)


@pytest.mark.parametrize(
    ("split_at", "count"), [("body.2", 3), (1, 1), (3, 3), (0.5, 2), (0.01, 1), (0.99, 3), (0.7, 3)]
)
def test_where_the_cut_falls(split_at: str | int | float, count: int) -> None:
    found, config = resolve(find_chain(build("LongSkip", 2)), CutConfig(split_at))
    assert (found, config.split_at) == (count, f"body.{count - 1}")


@pytest.mark.parametrize(
    ("split_at", "text"),
    [
        (
            "body.4",
            rf"got split_at='body.4'; expected one of the blocks but the last; the network has 4 blocks: {BODY}",
        ),
        (4, r"got split_at=4; expected a number from 1 to 3; the network has 4 blocks"),
        (0, r"got split_at=0; expected a number from 1 to 3"),
    ],
)
def test_where_it_cannot_fall(split_at: str | int, text: str) -> None:
    with pytest.raises(CutError, match=text):
        resolve(find_chain(build("LongSkip", 2)), CutConfig(split_at))


def test_auto_with_an_exact_halo_is_priced_with_the_usual_one() -> None:
    chain = find_chain(build("LongSkip", 2))
    assert resolve(chain, CutConfig(halo="exact"))[0] == resolve(chain, CutConfig())[0]
    with pytest.raises(CutError, match="got p=9; the network works in windows"):
        resolve(find_chain(build_sized("PadsToMultiple", 2), sized=True), CutConfig(p=9))


def test_new_layers_start_alike_and_the_random_state_is_left_alone() -> None:
    model = build("LongSkip", 2)
    chain, state = find_chain(model), torch.random.get_rng_state()
    one = build_net(model, chain, CutConfig(coarse_tail="light")).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(5)
    found: list[dict[str, Tensor]] = []

    def another() -> None:
        found.append(build_net(model, find_chain(model), CutConfig(coarse_tail="light")).state_dict())

    threads = [threading.Thread(target=another) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for two in found:
        same(one, two)


class Contiguous(Residual):
    """Asks for a view that windows, which are channels last, do not have."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(x.shape[0], -1).view(x.shape))


def test_windows_are_made_contiguous_where_a_block_asks_for_it() -> None:
    model = LongSkip(2).eval()
    model.body = nn.Sequential(*[Contiguous() for _ in range(3)], conv(C, C))
    net = build_net(model, find_chain(model), CutConfig(split_at=1))
    assert net.geometry.contiguous
    plain = build("LongSkip", 2)
    assert not build_net(plain, find_chain(plain), CutConfig(split_at=1)).geometry.contiguous


def test_a_tail_that_fails_without_the_other_blocks_is_told_in_one_sentence() -> None:
    model = DDBPN().eval()
    with pytest.raises(CutError, match=r"DDBPN cannot be cut after 1 of the blocks .* fails \(.*try another split_at"):
        build_net(model, find_chain(model), CutConfig(split_at=1, coarse_tail="copy"))
