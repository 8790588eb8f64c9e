"""MGANet: how much is refined, what it costs, what it shows."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor
from toys.plain import build

import mga_wrap as mga
from mga_wrap.config import check_k
from mga_wrap.counting import count_macs
from mga_wrap.nets.patches import patch_count


@pytest.fixture(params=["pretrained", "paper"])
def net(request: pytest.FixtureRequest) -> mga.MGANet:
    split_at = {"pretrained": 2, "paper": 3}[request.param]
    return mga.accelerate(build("LongSkip", 2), split_at=split_at, p=4, halo=1, style=request.param, k=0.5)


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (0, 0),
        (0.0, 0),
        ("base", 0),
        (1, 1),
        (10**9, 10**9),
        (0.25, 0.25),
        (1.0, 1.0),
        (1e-9, 1e-9),
        ("all", "all"),
        ("dense", "dense"),
    ],
)
def test_amounts_in_one_form(k: object, expected: object) -> None:
    got = check_k(k)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize("k", [-1, -0.1, 1.0001, float("inf"), float("nan"), True, False, None, "ALL", "", [1], (1, 2)])
def test_what_is_no_amount(k: object) -> None:
    with pytest.raises(
        mga.ArgumentError, match=r'expected an int >= 0, a float in \(0, 1\], "base", "all", "dense" or "auto"'
    ):
        check_k(k)


@pytest.mark.parametrize(
    ("k", "patches", "count"),
    [
        (1, 10, 1),
        (10, 10, 10),
        (11, 10, 10),
        (10**9, 10, 10),
        ("all", 10, 10),
        (1.0, 10, 10),
        (0.25, 10, 3),
        (0.24, 10, 2),
        (0.5, 5, 3),
        (0.5, 1, 1),
        (1e-9, 10, 1),
        (0.001, 10, 1),
        (0.999, 10, 10),
        (0.3, 10, 3),
        (0.1, 1_000_000, 100_000),
        (1.0, 123_457, 123_457),
        (1 / 3, 3, 1),
        (2 / 3, 3, 2),
    ],
)
def test_at_least_one_patch_and_at_most_all(k: object, patches: int, count: int) -> None:
    assert patch_count(k, patches) == count


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 21), (3, 2)])
@pytest.mark.parametrize("k", [0, "base", 2, 0.3, 1.0, "all", "dense", None, 10**6])
def test_macs_are_those_of_the_parts_that_run(net: mga.MGANet, height: int, width: int, k: object) -> None:
    macs = net.macs(height, width, k=k)
    lr = image(height, width)
    with torch.no_grad():
        trace = net.trace(lr, k=k)
        _, *crossing = net.base(lr)
    assert macs["base"] == count_macs(net.base, lr)
    assert macs["total"] == macs["base"] + macs["mask"] + macs["refine"]
    assert set(macs) == {"base", "mask", "refine", "total"}
    k = net.k if k is None else k
    if k in (0, "base"):
        assert (macs["mask"], macs["refine"]) == (0, 0)
    elif k == "dense":
        assert (macs["mask"], macs["refine"]) == (0, count_macs(net.refine, *crossing, dense=True))
    else:
        assert macs["mask"] == (0 if k == "all" else count_macs(net.mask, crossing[0], lr, trace.coarse, p=net.p))
        assert macs["refine"] == count_macs(net.refine, *net.windows(crossing, trace.index))
    assert macs["total"] == count_macs(net, lr, k=k)


def test_macs_grow_with_the_share(net: mga.MGANet) -> None:
    one, half, all_ = (net.macs(32, 32, k=k)["refine"] for k in (1, 0.5, 1.0))
    assert (half, all_) == (32 * one, 64 * one)
    assert net.macs(32, 32, k=64)["refine"] == net.macs(32, 32, k="all")["refine"] == all_


def test_macs_leave_the_net_as_it_is(net: mga.MGANet) -> None:
    net.train()
    state = copy.deepcopy(net.state_dict())
    net.macs(2000, 3000, k=0.2)  # no image is too large: nothing is computed
    assert net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert next(net.parameters()).device.type == "cpu"


@torch.no_grad()
def test_the_trace_holds_everything_between(net: mga.MGANet) -> None:
    lr = image(13, 18, batch=2)
    trace = net.trace(lr, k=3)
    assert trace.lr is lr
    assert trace.feature.shape == (2, 8, 13, 18)
    assert trace.coarse.shape == trace.sr.shape == (2, 3, 26, 36)
    assert trace.score.shape == (2, 4, 5)
    assert trace.index.shape == (2, 3)
    assert trace.share == pytest.approx(3 / 20)
    best = trace.score.flatten(1).topk(3).indices
    assert torch.equal(trace.index.sort(dim=1).values, best.sort(dim=1).values)
    assert torch.equal(trace.score, net.score(trace.feature, trace.lr, trace.coarse))
    assert torch.equal(trace.sr, net(lr, k=3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.sr = trace.coarse


@torch.no_grad()
@pytest.mark.parametrize(
    ("k", "share", "count"),
    [
        (0, 0.0, None),
        ("dense", 1.0, None),
        ("all", 1.0, 20),
        (1.0, 1.0, 20),
        (0.5, 0.5, 10),
        (99, 1.0, 20),
    ],
)
def test_the_share_that_a_trace_says(net: mga.MGANet, k: object, share: float, count: int | None) -> None:
    trace = net.trace(image(13, 18), k=k)
    assert trace.share == share
    assert (None if trace.index is None else trace.index.shape[1]) == count
    assert trace.score.shape == (1, 4, 5)  # predicted even where nobody asks


@torch.no_grad()
@pytest.mark.parametrize("k", ["dense", "all", 5])
def test_the_traced_feature_is_not_written_into(k: object) -> None:
    net, lr = mga.accelerate(build("InPlace", 2), p=4), image(9, 9)
    assert torch.equal(net.trace(lr, k=k).feature, net.trace(lr, k=0).feature)


@torch.no_grad()
def test_k_is_the_nets_own_unless_told(net: mga.MGANet) -> None:
    lr = image(16, 16)
    assert torch.equal(net(lr), net(lr, k=0.5))
    net.k = 0
    assert torch.equal(net(lr), net.trace(lr).coarse)


@torch.no_grad()
def test_every_patch_is_refined_from_what_the_base_net_returned(net: mga.MGANet) -> None:
    lr = image(9, 10, batch=2)
    coarse, *crossing = net.base(lr)
    assert torch.equal(net.refine_patches(coarse, crossing, net.every_patch(crossing[0])), net(lr, k="all"))


@pytest.mark.parametrize("k", [3, "all", "dense"])
def test_gradients_reach_base_and_refine(net: mga.MGANet, k: object) -> None:
    net.train()(image(9, 10), k=k).square().mean().backward()
    for part in (net.base, net.refine):
        # A coarse tail that is covered everywhere has no say in the result.
        learns = [parameter.grad is not None for name, parameter in part.named_parameters() if "body.0" in name]
        assert all(learns)
    assert all(parameter.grad is not None for parameter in net.refine.parameters())
    assert all(parameter.grad is None for parameter in net.mask.parameters())


def test_print_says_what_its_owner_knows(net: mga.MGANet) -> None:
    shown = "\n".join(repr(net).splitlines()[1:4])
    cut = 2 if net.config.style == "pretrained" else 3
    for item in ("x2,", f"style='{net.config.style}'", f"({cut} of 4 blocks)", "p=4, halo=1, k=0.5"):
        assert item in shown
    share = net.macs(180, 320)["total"] / (320 * 180 * mga.inspect(build("LongSkip", 2)).macs)
    assert f"{share:.2f} of the original's MACs at 320 x 180: base " in shown
    assert max(map(len, repr(net).splitlines()[1:4])) <= 80


def test_k_is_checked_where_it_is_set(net: mga.MGANet) -> None:
    net.k = np.int64(3)
    assert (net.k, net.config.k) == (3, 3)
    with pytest.raises(mga.ArgumentError, match="got k=-1"):
        net.k = -1
    assert net.k == 3


def test_another_cut_shares_the_layers_and_changes_nothing(net: mga.MGANet) -> None:
    other = net.with_cut(config=dataclasses.replace(net.config, p=8, k="all"))
    assert (other.p, other.k, net.p, net.k, other.training) == (8, "all", 4, 0.5, net.training)
    assert other.base is net.base
    assert net.trace(image(16, 16)).score.shape[1:] == (4, 4)
    assert other.trace(image(16, 16)).score.shape[1:] == (2, 2)


def test_a_nan_stays_inside_the_patches_that_see_it() -> None:
    net = mga.accelerate(build("LongSkip", 2), p=8, halo=2)
    clean = image(40, 40)
    broken = clean.clone()
    broken[0, 1, 3, 4] = torch.nan
    with torch.no_grad():
        expected, got = net(clean, k="all"), net(broken, k="all")
    # Head (1), two blocks of the Base-Net (2 each): features up to 3 + 5 see the NaN, and windows up to halo 2 more.
    far = torch.ones(1, 1, 80, 80, dtype=torch.bool)
    far[..., : 2 * 16, : 2 * 16] = False
    far = far.expand_as(got)
    assert torch.equal(got[far], expected[far])
    assert got[0, :, 6:8, 8:10].isnan().all()
    assert got.isfinite().any()


def test_an_image_of_nan_alone_still_chooses_patches() -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4)
    with torch.no_grad():
        trace = net.trace(torch.full((1, 3, 9, 9), torch.nan), k=3)
    assert trace.sr.isnan().all()
    assert len(set(trace.index[0].tolist())) == 3
    assert trace.index.max() < 9
