"""From two networks to a pair: what it holds, and what is refused."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from toys.plain import LongSkip, build
from toys.refused import OneImageOnly
from toys.whole import Enlarges, NoWindows, build_whole

import mga_wrap as mga
from mga_wrap.cut.original import original_of
from mga_wrap.errors import ArgumentError, CostWarning, CutError, UnfittedWarning


def lr(height: int = 40, width: int = 56) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_a_pair_is_an_accelerated_network() -> None:
    model, small = build_whole("UShaped", 2), build_whole("Enlarges", 2)
    net = mga.accelerate(model, base=small, k=3, p=16, halo=4)
    assert (net.scale, net.p, net.halo, net.k, net.is_pair, net.config.split_at) == (2, 16, 4, 3, True, "base")
    trace = net.trace(lr())
    assert trace.score.shape == (1, 3, 4)
    assert trace.index is not None
    assert trace.index.shape == (1, 3)
    text = str(net)
    assert "a network of its own as the Base-Net, the whole original as the Refine-Net" in text
    assert "coarse_tail" not in text


def test_macs_are_those_of_both_networks() -> None:
    model, small = build_whole("UShaped", 2), build_whole("Enlarges", 2)
    net = mga.accelerate(model, base=small, p=16, halo=4)
    outlook = mga.inspect(model, base=small)
    macs = net.macs(96, 64, k=6)
    assert macs["base"] == outlook.base_macs * 96 * 64
    (window,) = [one for one in outlook.windows if (one.p, one.halo) == (16, 4)]
    assert macs["refine"] == 6 * window.macs
    assert net.macs(96, 64, k="dense")["refine"] == outlook.model_macs * 96 * 64
    assert net.macs(96, 64, k=0)["refine"] == 0


def test_what_only_the_score_reads_is_not_gathered() -> None:
    net = mga.accelerate(build_whole("UShaped", 2), base=LongSkip(2), p=16, halo=4)
    _, *crossing = net.base(lr())
    assert len(crossing) == 2
    (window,) = net.windows(crossing, torch.tensor([[0, 5]]))
    assert window.shape == (2, 3, 24, 24)


def test_windows_see_the_halo() -> None:
    """The window of a patch inside the image is lr around it."""
    net = mga.accelerate(build_whole("UShaped", 2), base=Enlarges(2), p=16, halo=4)
    image = lr(64, 64)
    (window,) = net.windows([image], torch.tensor([[5]]))
    assert torch.equal(window[0], image[0, :, 12:36, 12:36])


def test_mode_dtype_and_original() -> None:
    model, small = build_whole("UShaped", 2).double(), build_whole("Enlarges", 2)
    net = mga.accelerate(model.train(), base=small)
    assert net.training
    assert not small.training
    assert net.eval()(lr().double(), k=0).dtype == torch.float64
    assert small.fix.weight.dtype == torch.float32
    original = original_of(net)
    assert torch.equal(original(lr().double()), model.eval()(lr().double()))
    with torch.no_grad():
        next(original.parameters()).zero_()
    assert not torch.equal(original(lr().double()), net(lr().double(), k="dense"))


def test_an_accelerated_network_as_the_base_works_at_its_own_k() -> None:
    inner = mga.from_pretrained("pan-m-x2")
    inner.k = 0.5
    net = mga.accelerate(build_whole("UShaped", 2), base=inner, p=16)
    assert torch.equal(net(lr(), k=0), inner(lr()))
    inner.k = 0
    assert not torch.equal(net(lr(), k=0), inner(lr())), "it is a copy"


def test_a_name_as_the_base() -> None:
    net = mga.accelerate(build_whole("UShaped", 2), base="fsrcnn-m-x2", p=16)
    assert torch.equal(net(lr(), k=0), mga.from_pretrained("fsrcnn-m-x2")(lr()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"split_at": 2}, r"got split_at=2 with a base; a pair is not split"),
        ({"coarse_tail": "light"}, r"got coarse_tail='light' with a base"),
        ({"style": "paper"}, r"got style='paper' with a base; a pair is of trained networks"),
        ({"base": "fsrcn-m-x2"}, r"fsrcnn-m-x2"),
        ({"halo": "exact", "p": 18}, r"begin at multiples of 4: give p=20"),
    ],
)
def test_what_a_pair_is_not_asked_for(given: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError if "halo" not in given else CutError, match=message):
        mga.accelerate(build_whole("UShaped", 2), **{"base": Enlarges(2), **given})  # type: ignore[arg-type]


class Forgets(LongSkip):
    """Returns something else each time."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(())


class NotFinite(LongSkip):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 0


class NoCopies(LongSkip):
    def __deepcopy__(self, memo: object) -> nn.Module:
        raise RuntimeError("only once")


def test_networks_that_cannot_be_refined_with() -> None:
    with pytest.raises(CutError, match=r"NoWindows takes no windows of .*32.* \(a picture of .*give p and halo"):
        mga.accelerate(NoWindows(2), base=Enlarges(2), p=20)
    with pytest.raises(CutError, match=r"the model fails on the windows .*refined as one batch"):
        mga.accelerate(OneImageOnly(2), base=Enlarges(2))
    with pytest.raises(CutError, match=r"depends on what it did before"):
        mga.accelerate(Forgets(2), base=Enlarges(2))
    with pytest.raises(CutError, match=r"not finite for a picture"):
        mga.accelerate(NotFinite(2), base=Enlarges(2))
    with pytest.raises(CutError, match=r"cannot be copied \(only once\)"):
        mga.accelerate(NoCopies(2), base=Enlarges(2))


def test_a_halo_that_is_exact_for_none() -> None:
    with pytest.raises(CutError, match=r"halo='exact'; no halo .* looks at the whole image"):
        mga.accelerate(build_whole("WholeMap", 2), base=Enlarges(2), halo="exact")


def test_a_base_that_is_no_smaller_is_told_with_both_figures() -> None:
    with pytest.warns(CostWarning, match=r"the base takes 6,264 MACs per lr pixel, the model 324; .*a smaller base"):
        mga.accelerate(Enlarges(2), base=build("LongSkip", 2), p=16)
    with pytest.warns(CostWarning, match=r"at k='all', p=16 and halo=4 the pair takes .* the model .* where it breaks"):
        mga.accelerate(build("LongSkip", 2), base=Enlarges(2), p=16, halo=4, k="all")
    with warnings.catch_warnings():
        warnings.simplefilter("error", CostWarning)
        mga.accelerate(build("LongSkip", 2), base=Enlarges(2), p=16, halo=4, k=0.1)


def test_a_pair_that_was_not_fitted_says_what_it_goes_by() -> None:
    net = mga.accelerate(build_whole("UShaped", 2), base=Enlarges(2), k=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in (0, "all", "dense"):
            copy.deepcopy(net)(lr(), k=k)
    with pytest.warns(UnfittedWarning, match=r"never fitted: it refines where lr has most contrast"):
        net(lr())
