"""The laws on pairs: a small network everywhere, a whole one without a chain of blocks on windows."""

from __future__ import annotations

import copy
import pickle
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws import amounts, enlarge, image, refined_pixels
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from toys.whole import EXACT, SMALL, WHOLE, build_whole

import mga_wrap as mga
from mga_wrap.nets.patches import grid_size

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::mga_wrap.errors.CostWarning")]  # toys cost nothing

EVERY = pytest.mark.parametrize("name", WHOLE)
SMALLS = pytest.mark.parametrize("small", SMALL)
few = settings(max_examples=6, deadline=None)
side = st.integers(21, 70)  # LargeOnly takes no smaller ones


@lru_cache(maxsize=64)
def network(name: str, scale: int = 2) -> nn.Module:
    return build_whole(name, scale)


@lru_cache(maxsize=64)
def paired(
    name: str, small: str = "LongSkip", scale: int = 2, p: int = 16, halo: int | str | None = None
) -> mga.MGANet:
    return mga.accelerate(network(name, scale), base=network(small, scale), p=p, halo=halo, k=0.25)


@pytest.mark.parametrize("small", ["LongSkip", "Enlarges"])
def test_the_small_network_shows_a_feature_or_none(small: str) -> None:
    net = paired("UShaped", small)
    assert [one.name for one in net.geometry.crossing] == (["feature", "lr"] if small == "LongSkip" else ["lr"])
    assert net.trace(image(1, 40, 30), k=2).feature.shape == (1, 8 if small == "LongSkip" else 3, 40, 30)


@EVERY
@SMALLS
@few
@given(height=side, width=side, batch=st.integers(1, 2))
def test_laws_1_and_3_both_networks_bit_for_bit(name: str, small: str, height: int, width: int, batch: int) -> None:
    net, lr = paired(name, small), image(batch, height, width)
    assert torch.equal(enlarge(net, lr, k="dense"), enlarge(network(name), lr))
    assert torch.equal(enlarge(net, lr, k=0), enlarge(network(small), lr))
    assert torch.equal(enlarge(net, lr, k="base"), enlarge(network(small), lr))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("scale", [2, 3])
@few
@given(height=side, width=side, share=st.floats(0.01, 1))
def test_law_2_an_exact_halo_makes_patches_exact(name: str, scale: int, height: int, width: int, share: float) -> None:
    multiple = EXACT[name]
    height, width = height - height % multiple, width - width % multiple  # the original pads other sides itself
    net = paired(name, scale=scale, halo="exact")
    lr, model = image(1, height, width), network(name, scale)
    expected = enlarge(model, lr)
    torch.testing.assert_close(enlarge(net, lr, k="all"), expected, atol=1e-5, rtol=0)
    with torch.no_grad():
        trace = net.trace(lr.clone(), k=share)
    inside = refined_pixels(net, trace).expand_as(expected)
    torch.testing.assert_close(trace.sr[inside], expected[inside], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name, multiple in EXACT.items() if multiple == 1])
def test_law_2_is_sharp(name: str) -> None:
    """A pixel less of halo changes something."""
    halo = paired(name, halo="exact").halo - 1
    net = copy.deepcopy(paired(name, halo=halo)).double()
    lr = image(1, 64, 64).double()
    difference = enlarge(net, lr, k="all") - enlarge(copy.deepcopy(network(name)).double(), lr)
    assert difference.abs().max() > 1e-12


@EVERY
@SMALLS
@few
@given(height=side, width=side, batch=st.integers(1, 2), k=amounts)
def test_laws_4_and_7_sizes_and_what_is_not_refined(
    name: str, small: str, height: int, width: int, batch: int, k: object
) -> None:
    net, lr = paired(name, small), image(batch, height, width)
    with torch.no_grad():
        trace = net.trace(lr.clone(), k=k)
    assert trace.sr.shape == (batch, 3, 2 * height, 2 * width)
    assert torch.equal(enlarge(net, lr, k=k), trace.sr)
    if k != "dense":
        outside = ~refined_pixels(net, trace).expand_as(trace.sr)
        assert torch.equal(trace.sr[outside], trace.coarse[outside])
    assert trace.score.shape == (batch, *grid_size(height, width, net.p))


@EVERY
@SMALLS
@few
@given(height=side, width=side, batch=st.integers(2, 3), k=amounts)
def test_law_6_a_batch_gives_what_its_images_give(
    name: str, small: str, height: int, width: int, batch: int, k: object
) -> None:
    net, lr = copy.deepcopy(paired(name, small)).double(), image(batch, height, width).double()
    one_by_one = torch.cat([enlarge(net, lr[i : i + 1], k=k) for i in range(batch)])
    torch.testing.assert_close(enlarge(net, lr, k=k), one_by_one, atol=1e-9, rtol=0)


@EVERY
@SMALLS
def test_law_8_both_are_as_before(name: str, small: str) -> None:
    model, base = build_whole(name, 2), build_whole(small, 2)
    model.train()
    next(model.children()).eval()  # a mode of its own deep inside
    hook = base.register_forward_hook(lambda *_: None)
    before = [
        (
            {key: module.training for key, module in net.named_modules()},
            {key: set(vars(module)) for key, module in net.named_modules()},
            {key: value.clone() for key, value in net.state_dict().items()},
            enlarge(net, image(1, 40, 32)),
        )
        for net in (model, base)
    ]
    pairs = [mga.accelerate(model, base=base, p=16, k=0.25) for _ in range(2)]
    assert hook.id in base._forward_hooks
    for net, (modes, attributes, state, sr) in zip((model, base), before, strict=True):
        assert {key: module.training for key, module in net.named_modules()} == modes
        assert {key: set(vars(module)) for key, module in net.named_modules()} == attributes
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
        assert torch.equal(enlarge(net, image(1, 40, 32)), sr)
        own = {value.data_ptr() for value in net.state_dict().values()}
        assert not own & {value.data_ptr() for value in pairs[0].state_dict().values()}
    assert torch.equal(*(enlarge(net.eval(), image(1, 40, 32), k=2) for net in pairs))


@EVERY
@SMALLS
@pytest.mark.parametrize("k", [0.25, "all", "dense", 0])
def test_law_9_never_waits_for_the_device(name: str, small: str, k: object) -> None:
    net = paired(name, small)
    shapes = {key: (value.shape, value.dtype) for key, value in net.state_dict().items()}
    with FakeTensorMode():
        state = {key: torch.empty(shape, dtype=dtype, device="cuda") for key, (shape, dtype) in shapes.items()}
        sr = torch.func.functional_call(net, state, (torch.empty(2, 3, 41, 30, device="cuda"),), {"k": k})
    assert (sr.shape, sr.device.type) == ((2, 3, 82, 60), "cuda")


@pytest.mark.parametrize("name", ["UShaped", "FilterMixer"])
@SMALLS
def test_law_9_exports(name: str, small: str) -> None:
    net, lr = paired(name, small), image(1, 48, 64)
    program = torch.export.export(net, (lr,), {"k": 0.25}).module()
    assert torch.equal(enlarge(program, lr, k=0.25), enlarge(net, lr, k=0.25))


@EVERY
@SMALLS
def test_law_10_it_is_a_module_like_any_other(name: str, small: str) -> None:
    net, lr = paired(name, small), image(1, 41, 30)
    expected = enlarge(net, lr, k=3)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(enlarge(twin, lr, k=3), expected)
        assert list(twin.state_dict()) == list(net.state_dict())
    other = mga.accelerate(network(name), base=network(small), p=16)
    other.load_state_dict(net.state_dict(), strict=True)
    assert torch.equal(enlarge(other, lr, k=3), expected)
    assert enlarge(copy.deepcopy(net).to(torch.float64), lr.double(), k=3).dtype == torch.float64
    assert all(module.training for module in copy.deepcopy(net).train().modules())
    parts = [list(part.parameters()) for part in (net.base, net.mask, net.refine)]
    assert sum(map(len, parts)) == len(list(net.parameters())) == len({id(p) for part in parts for p in part})
