"""The ten laws of the design, each on every toy network, FSRCNN, PAN and the field's shapes.

Style "paper" is trained from scratch and not meant to equal a network without its second upsampler: laws 1 and 2 do
not hold there (docs/styles.md); all others do.
"""

from __future__ import annotations

import copy
import pickle
from functools import lru_cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toys.plain import NETWORKS as TOYS
from toys.plain import build
from toys.published import FIELD

import mga_wrap as mga
from mga_wrap.nets.patches import gather, grid_size, paste

pytestmark = pytest.mark.slow

NETWORKS = {**TOYS, **FIELD}
EVERY = pytest.mark.parametrize("name", NETWORKS)
STYLES = pytest.mark.parametrize("style", ["pretrained", "paper"])

side = st.integers(1, 70)
scales = st.sampled_from([2, 3, 4])
patch = st.sampled_from([1, 3, 4, 8, 16])
halos = st.integers(0, 4)
amounts = st.one_of(
    st.integers(1, 400), st.floats(0.001, 1.0), st.sampled_from(["all", "dense", "base", 0]), st.just(10**9)
)
few = settings(max_examples=12)


@lru_cache(maxsize=256)
def original(name: str, scale: int) -> nn.Module:
    return build(name, scale, NETWORKS)


@lru_cache(maxsize=256)
def accelerated(
    name: str, scale: int, style: str = "pretrained", p: int = 4, halo: int = 1, split_at: str | int = "auto"
) -> mga.MGANet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return mga.accelerate(original(name, scale), split_at=split_at, p=p, halo=halo, style=style)


class StaysOnDevice(TorchDispatchMode):
    """Refuses copies from one device to another."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        given, returned = (
            {x.device.type for x in tree_leaves(found) if isinstance(x, Tensor) and x.ndim}
            for found in ((args, kwargs), results)
        )
        assert not given or returned <= given, f"{func} goes from {given} to {returned}"
        return results


def image(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def enlarge(net: nn.Module, lr: Tensor, **how: object) -> Tensor:
    return net(lr.clone(), **how)


def refined_pixels(net: mga.MGANet, trace: object) -> Tensor:
    """(B, 1, s*H, s*W): True inside the refined patches."""
    batch, _, height, width = trace.lr.shape
    gh, gw = grid_size(height, width, net.p)
    grid = torch.zeros(batch, gh * gw, dtype=torch.bool)
    if trace.index is not None:
        grid.scatter_(1, trace.index, True)
    side = net.p * net.scale
    pixels = grid.view(batch, 1, gh, gw).repeat_interleave(side, 2).repeat_interleave(side, 3)
    return pixels[:, :, : net.scale * height, : net.scale * width]


@EVERY
@few
@given(scale=scales, height=side, width=side, batch=st.integers(1, 2), count=st.integers(1, 2))
def test_law_1_dense_is_the_original_bit_for_bit(
    name: str, scale: int, height: int, width: int, batch: int, count: int
) -> None:
    net, lr = accelerated(name, scale, split_at=count), image(batch, height, width)
    assert torch.equal(enlarge(net, lr, k="dense"), enlarge(original(name, scale), lr))


@EVERY
@settings(max_examples=8)
@given(scale=scales, height=side, width=side, p=patch, count=st.integers(1, 2), share=st.floats(0.01, 1))
def test_law_2_a_halo_of_the_receptive_field_makes_patches_exact(
    name: str, scale: int, height: int, width: int, p: int, count: int, share: float
) -> None:
    model = original(name, scale)
    halo = mga.inspect(model).reach_after(count)
    assert halo is not None
    net, lr = accelerated(name, scale, p=p, halo=halo, split_at=count), image(1, height, width)
    expected = enlarge(model, lr)
    torch.testing.assert_close(enlarge(net, lr, k="all"), expected, atol=1e-5, rtol=0)
    with torch.no_grad():
        trace = net.trace(lr, k=share)
    inside = refined_pixels(net, trace).expand_as(expected)
    torch.testing.assert_close(trace.sr[inside], expected[inside], atol=1e-5, rtol=0)


@EVERY
def test_law_2_is_sharp(name: str) -> None:
    """One pixel less of halo changes something: the receptive field is no larger than it must be."""
    model = original(name, 2)
    halo = mga.inspect(model).reach_after(1)
    assert halo
    net, lr = accelerated(name, 2, p=4, halo=halo - 1, split_at=1), image(1, 40, 40).double()
    difference = enlarge(copy.deepcopy(net).double(), lr, k="all") - enlarge(copy.deepcopy(model).double(), lr)
    assert difference.abs().max() > 1e-15


@EVERY
@STYLES
@few
@given(scale=scales, height=side, width=side, p=patch, halo=halos)
def test_law_3_without_patches_sr_is_coarse(
    name: str, style: str, scale: int, height: int, width: int, p: int, halo: int
) -> None:
    net, lr = accelerated(name, scale, style, p, halo), image(1, height, width)
    coarse = net.trace(lr.clone(), k=0.5).coarse
    assert torch.equal(enlarge(net, lr, k=0), coarse)
    assert torch.equal(enlarge(net, lr, k="base"), coarse)


@EVERY
@STYLES
@few
@given(scale=scales, height=side, width=side, batch=st.integers(1, 2), p=patch, halo=halos, k=amounts)
def test_laws_4_and_7_sizes_and_what_is_not_refined(
    name: str, style: str, scale: int, height: int, width: int, batch: int, p: int, halo: int, k: object
) -> None:
    net, lr = accelerated(name, scale, style, p, halo), image(batch, height, width)
    with torch.no_grad():
        trace = net.trace(lr.clone(), k=k)
    assert trace.sr.shape == (batch, 3, scale * height, scale * width)
    assert torch.equal(enlarge(net, lr, k=k), trace.sr)
    if k == "all":
        assert torch.equal(trace.index, torch.arange(trace.score[0].numel()).expand(batch, -1))
    if k != "dense":
        outside = ~refined_pixels(net, trace).expand_as(trace.sr)
        assert torch.equal(trace.sr[outside], trace.coarse[outside])
    gh, gw = grid_size(height, width, p)
    assert trace.score.shape == (batch, gh, gw)
    if isinstance(k, int) and k > 0:
        assert trace.index.shape == (batch, min(k, gh * gw))
        assert all(len(set(row.tolist())) == len(row) for row in trace.index)


@STYLES
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 4),
    height=side,
    width=side,
    p=st.integers(1, 20),
    halo=halos,
    ratio=st.integers(1, 4),
    data=st.data(),
)
def test_law_5_paste_undoes_gather(
    style: str, batch: int, channels: int, height: int, width: int, p: int, halo: int, ratio: int, data: st.DataObject
) -> None:
    border = "shift" if style == "pretrained" else "zero"
    where = {"size": (height, width), "p": p, "halo": halo, "border": border, "ratio": ratio}
    gh, gw = grid_size(height, width, p)
    x = torch.rand(batch, channels, ratio * height, ratio * width)
    every = torch.arange(gh * gw).expand(batch, -1)
    canvas = torch.zeros_like(x)
    assert torch.equal(paste(canvas, gather(x, every, **where), every, **where), x)
    k = data.draw(st.integers(1, gh * gw))
    some = torch.stack([torch.randperm(gh * gw)[:k] for _ in range(batch)])
    assert torch.equal(paste(x, gather(x, some, **where), some, **where), x)
    assert not canvas.any()


@EVERY
@STYLES
@few
@given(scale=scales, height=side, width=side, batch=st.integers(2, 3), p=patch, halo=halos, k=amounts)
def test_law_6_a_batch_gives_what_its_images_give(
    name: str, style: str, scale: int, height: int, width: int, batch: int, p: int, halo: int, k: object
) -> None:
    """In double: in float a convolution may sum in another order for another batch, and scores that tie may swap."""
    net = copy.deepcopy(accelerated(name, scale, style, p, halo)).double()
    lr = image(batch, height, width).double()
    together = enlarge(net, lr, k=k)
    one_by_one = torch.cat([enlarge(net, lr[i : i + 1], k=k) for i in range(batch)])
    torch.testing.assert_close(together, one_by_one, atol=1e-9, rtol=0)


@EVERY
@STYLES
def test_law_8_the_model_is_as_before(name: str, style: str) -> None:
    model = build(name, 2, NETWORKS)
    model.train()
    next(model.children()).eval()  # a mode of its own deep inside
    hook = next(model.modules()).register_forward_hook(lambda *_: None)
    modes = {key: module.training for key, module in model.named_modules()}
    state = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = {key: set(vars(module)) for key, module in model.named_modules()}
    lr, random_state = image(1, 20, 24), torch.random.get_rng_state()
    before = enlarge(model, lr)
    nets = []
    for _ in range(2):
        torch.random.set_rng_state(random_state)
        nets.append(mga.accelerate(model, style=style))
    assert {key: module.training for key, module in model.named_modules()} == modes
    assert {key: set(vars(module)) for key, module in model.named_modules()} == attributes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert hook.id in next(model.modules())._forward_hooks
    assert torch.equal(enlarge(model, lr), before)
    assert torch.equal(enlarge(nets[0], lr, k=3), enlarge(nets[1], lr, k=3))
    own = {value.data_ptr() for value in model.state_dict().values()}
    assert not own & {value.data_ptr() for value in nets[0].state_dict().values()}


@pytest.mark.parametrize(
    ("name", "style", "k"),
    [
        ("FSRCNN", "paper", 7),
        ("FSRCNN", "pretrained", 0.25),
        ("PAN", "pretrained", 0.25),
        ("PAN", "paper", "all"),
        ("LongSkip", "pretrained", "all"),
        ("AsksForSizes", "pretrained", 9),
        ("CatFusion", "paper", 0.5),
        ("InPlace", "pretrained", "dense"),
        ("TiedBlocks", "pretrained", 0),
    ],
)
def test_law_9_exports_with_dynamic_sizes(name: str, style: str, k: object) -> None:
    net = accelerated(name, 3, style, 4, 1)
    sizes = {0: Dim("B", min=1, max=8), 2: Dim("H", min=12, max=512), 3: Dim("W", min=12, max=512)}
    program = torch.export.export(net, (image(2, 24, 20),), {"k": k}, dynamic_shapes={"lr": sizes, "k": None}).module()
    for batch, height, width in ((2, 24, 20), (3, 37, 61), (1, 50, 13)):
        lr = image(batch, height, width)
        assert torch.equal(enlarge(program, lr, k=k), enlarge(net, lr, k=k))


@EVERY
@STYLES
@pytest.mark.parametrize("k", [0.25, 7, "all", "dense", 0])
def test_law_9_never_waits_for_the_device(name: str, style: str, k: object) -> None:
    """On a fake device there are no values: whatever asked for one would raise.

    Nor does anything travel from the processor, which no CUDA graph could replay.
    """
    net = accelerated(name, 2, style)
    shapes = {key: (value.shape, value.dtype) for key, value in net.state_dict().items()}
    with FakeTensorMode(), StaysOnDevice():
        state = {key: torch.empty(shape, dtype=dtype, device="cuda") for key, (shape, dtype) in shapes.items()}
        lr = torch.empty(2, 3, 21, 30, device="cuda")
        sr = torch.func.functional_call(net, state, (lr,), {"k": k}, tie_weights=False)  # all of a tied weight's names
    assert sr.shape == (2, 3, 42, 60)
    assert sr.device.type == "cuda"


def test_law_9_would_see_a_copy_from_the_processor() -> None:
    with FakeTensorMode(), StaysOnDevice():
        torch.ones(3, device="cuda") + torch.ones((), device="cpu")  # a number, which goes with the launch
        with pytest.raises(AssertionError, match=r"goes from \{.cpu.\} to \{.cuda.\}"):
            torch.ones(3).to("cuda")


@EVERY
@STYLES
def test_law_10_it_is_a_module_like_any_other(name: str, style: str) -> None:
    net, lr = accelerated(name, 2, style), image(1, 21, 30)
    expected = enlarge(net, lr, k=5)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(enlarge(twin, lr, k=5), expected)
        assert list(twin.state_dict()) == list(net.state_dict())
    other = mga.accelerate(original(name, 2), style=style, p=4, halo=1)
    other.load_state_dict(net.state_dict(), strict=True)
    assert torch.equal(enlarge(other, lr, k=5), expected)
    double = copy.deepcopy(net).to(torch.float64)
    assert enlarge(double, lr.double(), k=5).dtype == torch.float64
    assert all(module.training for module in copy.deepcopy(net).train().modules())
    assert not any(module.training for module in copy.deepcopy(net).eval().modules())
    parts = [list(part.parameters()) for part in (net.base, net.mask, net.refine)]
    assert sum(map(len, parts)) == len(list(net.parameters())) == len({id(p) for part in parts for p in part})
