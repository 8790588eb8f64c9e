"""The laws on networks whose graph holds for one size at a time (style "pretrained"; `k` and sizes as elsewhere)."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws import amounts, enlarge, image, refined_pixels
from torch import nn
from toys.sized import SIZED, WINDOW, WholeWindowsOnly, build_sized

import mga_wrap as mga
from mga_wrap.cut.sized import PLANS, SizedNet

pytestmark = pytest.mark.slow

EVERY = pytest.mark.parametrize("name", SIZED)
few = settings(max_examples=10, deadline=None)
side = st.integers(5, 50)


@lru_cache(maxsize=64)
def original(name: str, scale: int = 2) -> nn.Module:
    return build_sized(name, scale)


@lru_cache(maxsize=64)
def accelerated(name: str, scale: int = 2, p: int = 8, halo: int | str | None = None, tail: str = "copy") -> mga.MGANet:
    return mga.accelerate(original(name, scale), split_at=2, p=p, halo=halo, coarse_tail=tail)


@EVERY
def test_the_graph_is_made_for_each_size(name: str) -> None:
    assert isinstance(accelerated(name).base, SizedNet)


@EVERY
@few
@given(height=side, width=side, batch=st.integers(1, 3), scale=st.sampled_from([2, 3]))
def test_dense_is_the_original_bit_for_bit(name: str, height: int, width: int, batch: int, scale: int) -> None:
    lr = image(batch, height, width)
    dense = enlarge(accelerated(name, scale), lr, k="dense")
    assert torch.equal(dense, enlarge(original(name, scale), lr))


@EVERY
@few
@given(height=side, width=side, batch=st.integers(1, 2), k=amounts, tail=st.sampled_from(["copy", "light"]))
def test_what_is_not_refined_is_coarse(name: str, height: int, width: int, batch: int, k: object, tail: str) -> None:
    net, lr = accelerated(name, tail=tail), image(batch, height, width)
    with torch.no_grad():
        trace = net.trace(lr.clone(), k=k)
    assert trace.sr.shape == (batch, 3, 2 * height, 2 * width)
    assert torch.equal(enlarge(net, lr, k=0), trace.coarse)
    if k != "dense":
        gh, gw = trace.score.shape[1:]
        side = net.p * net.geometry.zoom
        grid = torch.zeros(batch, gh * gw, dtype=torch.bool)
        if trace.index is not None:
            grid.scatter_(1, trace.index, True)
        pixels = grid.view(batch, 1, gh, gw).repeat_interleave(side, 2).repeat_interleave(side, 3)
        outside = ~pixels[:, :, : 2 * height, : 2 * width].expand_as(trace.sr)
        assert torch.equal(trace.sr[outside], trace.coarse[outside])


@EVERY
@few
@given(height=side, width=side, k=st.sampled_from([0, 2, 0.5, "all", "dense"]))
def test_a_batch_gives_what_its_images_give(name: str, height: int, width: int, k: object) -> None:
    net, lr = copy.deepcopy(accelerated(name)).double(), image(3, height, width).double()
    one_by_one = torch.cat([enlarge(net, lr[i : i + 1], k=k) for i in range(3)])
    torch.testing.assert_close(enlarge(net, lr, k=k), one_by_one, atol=1e-9, rtol=0)


@EVERY
@few
@given(height=st.integers(9, 60), width=st.integers(9, 60))
def test_an_exact_halo_makes_patches_exact(name: str, height: int, width: int) -> None:
    net, lr = accelerated(name, halo="exact"), image(1, height, width)
    torch.testing.assert_close(enlarge(net, lr, k="all"), enlarge(original(name), lr), atol=1e-5, rtol=0)


@EVERY
def test_the_model_is_as_before(name: str) -> None:
    model = build_sized(name, 2).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = {key: dict(vars(module)) for key, module in model.named_modules()}
    nets = [mga.accelerate(model) for _ in range(2)]
    assert {key: dict(vars(module)) for key, module in model.named_modules()} == attributes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    lr = image(1, 20, 24)
    assert torch.equal(enlarge(nets[0].eval(), lr, k=3), enlarge(nets[1].eval(), lr, k=3))
    assert not {v.data_ptr() for v in model.state_dict().values()} & {
        v.data_ptr() for v in nets[0].state_dict().values() if v.numel()
    }


@EVERY
def test_it_is_a_module_like_any_other(name: str) -> None:
    net, lr = accelerated(name), image(1, 21, 30)
    expected = enlarge(net, lr, k=5)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(enlarge(twin, lr, k=5), expected)
    other = mga.accelerate(original(name), split_at=2, p=8, coarse_tail="copy")
    other.load_state_dict({key: value + 1 for key, value in net.state_dict().items()}, strict=True)
    assert not torch.equal(enlarge(other, lr, k=5), expected)
    other.load_state_dict(net.state_dict(), strict=True)
    assert torch.equal(enlarge(other, lr, k=5), expected)
    assert enlarge(copy.deepcopy(net).to(torch.bfloat16), lr.bfloat16(), k=5).dtype == torch.bfloat16
    parts = [list(part.parameters()) for part in (net.base, net.mask, net.refine)]
    assert sum(map(len, parts)) == len(list(net.parameters()))


def test_the_weights_trained_are_the_weights_used() -> None:
    net, lr = copy.deepcopy(accelerated("PadsToMultiple")), image(1, 21, 30)
    net(lr, k="all").square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.refine.parameters())
    before = enlarge(net, lr, k="all")
    with torch.no_grad():
        for parameter in net.refine.parameters():
            parameter.mul_(0.5)
    assert not torch.equal(enlarge(net, lr, k="all"), before)


def test_a_kept_network_takes_no_memory_twice() -> None:
    """The network that is traced again has parameters without storage, and stays out of the state."""
    net = accelerated("WindowAttention")
    hollow = net.base.blueprint.template.model
    assert all(p.untyped_storage().nbytes() <= p.element_size() for p in hollow.parameters())
    assert not {id(p) for p in hollow.parameters()} & {id(p) for p in net.parameters()}
    assert len(pickle.dumps(net)) < 4 * sum(p.numel() * 4 for p in net.parameters()) + 100_000


def test_plans_are_kept_and_bounded() -> None:
    net = copy.deepcopy(accelerated("PadsToMultiple"))
    enlarge(net, image(1, 20, 24), k=0)
    first = next(iter(net.base._plans.values()))
    enlarge(net, image(3, 20, 24), k=0)  # nothing in this forward names the number of images
    assert next(iter(net.base._plans.values())) is first
    assert len(net.base._plans) == 1
    for width in range(10, 30):
        enlarge(net, image(1, 20, width), k=0)
    assert len(net.base._plans) == PLANS


def test_many_threads_make_their_graphs_at_once() -> None:
    net = copy.deepcopy(accelerated("WindowAttention"))
    images = [image(1, 12 + number, 20, seed=number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda lr: enlarge(net, lr, k="dense"), images))
    for lr, result in zip(images, results, strict=True):
        assert torch.equal(result, enlarge(original("WindowAttention"), lr))


@EVERY
def test_macs_are_counted_for_any_size(name: str) -> None:
    net = accelerated(name)
    macs = net.macs(64, 80, k=5)
    assert macs["total"] == macs["base"] + macs["mask"] + macs["refine"]
    dense = net.macs(64, 80, k="dense")
    assert 0 < macs["refine"] < dense["refine"]


@EVERY
@pytest.mark.parametrize("k", [0.25, "dense"])
def test_it_exports_for_a_fixed_size(name: str, k: object) -> None:
    net, lr = copy.deepcopy(accelerated(name)), image(1, 21, 30)
    program = torch.export.export(net, (lr,), {"k": k}).module()
    other = image(1, 21, 30, seed=1)
    torch.testing.assert_close(enlarge(program, other, k=k), enlarge(net, other, k=k), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("p", "halo", "text"),
    [
        (8, 1, rf"p=8 and halo=1, windows of 10; the .* multiples of {WINDOW}: give halo=2"),
        (9, None, rf"p=9; the network works in windows .* multiples of {WINDOW}, .* give p=12"),
        (6, "exact", rf"p=6 with halo='exact'; the network works in windows of {WINDOW} x {WINDOW}.* give p=8"),
    ],
)
def test_windows_that_the_network_does_not_take(p: int, halo: int | str | None, text: str) -> None:
    with pytest.raises(mga.CutError, match=text):
        mga.accelerate(original("WindowAttention"), p=p, halo=halo)


def test_the_halo_is_chosen_to_fit_the_windows() -> None:
    assert mga.accelerate(original("WindowAttention")).halo == 2  # 16 + 2 * 2 is a multiple of 4
    assert mga.accelerate(original("PadsToMultiple")).halo == 4
    assert mga.accelerate(original("Tokens")).halo == 2


def test_a_network_that_always_pads_keeps_a_halo() -> None:
    model = original("AlwaysPads")
    assert mga.accelerate(model, p=16, halo=4).halo == 4
    with pytest.raises(mga.CutError, match=r"p=16 and halo=0, .* multiples of 8, with a halo: give halo=4"):
        mga.accelerate(model, p=16, halo=0)


def test_a_network_that_takes_whole_windows_only() -> None:
    """Nothing is padded here; which sides it takes is found by trying."""
    model = WholeWindowsOnly(2).eval()
    anatomy = mga.inspect(model)
    assert (anatomy.multiple, anatomy.reach_after(2)) == (WINDOW, 8)
    net, lr = mga.accelerate(model, split_at=2, p=8, halo="exact"), image(1, 28, 36)
    torch.testing.assert_close(enlarge(net, lr, k="all"), enlarge(model, lr), atol=1e-5, rtol=0)
    with pytest.raises(mga.CutError, match=rf"windows of 10; .* multiples of {WINDOW}: give halo=2"):
        mga.accelerate(model, p=8, halo=1)


def test_style_paper_says_that_it_needs_a_graph_for_every_size() -> None:
    with pytest.raises(mga.CutError, match="cannot be traced at the level of its blocks"):
        mga.accelerate(original("PadsToMultiple"), style="paper")


class PadsAllAround(nn.Module):
    """The image lies in the middle of the feature, not in its upper left corner."""

    def __init__(self) -> None:
        super().__init__()
        self.net = build_sized("Tokens", 2)

    def forward(self, x):
        height, width = x.shape[-2:]
        top, left = (-height % 8) // 2, (-width % 8) // 2
        x = nn.functional.pad(x, [left, -width % 8 - left, top, -height % 8 - top])
        return self.net(x)[..., 2 * top : 2 * (top + height), 2 * left : 2 * (left + width)]


def test_padding_on_all_sides_is_refused() -> None:
    with pytest.raises(mga.CutError, match=r"does not give the image of .* back: the network pads it on all sides"):
        mga.accelerate(PadsAllAround())


def test_refined_pixels_agree_with_the_grid() -> None:
    """The helper of the other laws, on a padded feature."""
    net, lr = accelerated("PadsToMultiple"), image(1, 13, 21)
    with torch.no_grad():
        trace = net.trace(lr, k="all")
    assert trace.score.shape[1:] == (2, 3)
    assert refined_pixels(net, trace).shape[-2:] == (26, 42)
