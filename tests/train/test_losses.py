"""The losses against values worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import build
from toys.trainings import paper_net

import mga_wrap as mga
from mga_wrap.fitting import samples
from mga_wrap.measure.error_mask import luma
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.pictures.metrics import LUMA
from mga_wrap.train.losses import LOSSES, Outputs, sharpness, sharpness_loss


class Stub(nn.Module):
    """Stands for a network of scale 2 whose two images are known."""

    p = 2
    geometry = SimpleNamespace(zoom=2)

    def __init__(self, coarse: Tensor, refined: Tensor, *, style: str = "paper") -> None:
        super().__init__()
        self.images = coarse, refined
        self.mask = MaskPredictor(1)
        self.config = SimpleNamespace(style=style)

    def every_patch(self, feature: Tensor) -> Tensor:
        return torch.zeros(feature.shape[0], 0, dtype=torch.long)

    def score(self, feature: Tensor, lr: Tensor, coarse: Tensor) -> Tensor:
        return self.mask(feature, lr, coarse, p=self.p)

    def refine_patches(self, coarse: Tensor, crossing: list[Tensor], index: Tensor) -> Tensor:
        return self.images[1]

    def refine(self, feature: Tensor, *, dense: bool) -> Tensor:
        assert dense
        return self.images[1]

    def base(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[0], torch.zeros(lr.shape[0], 1, *lr.shape[2:])


def grey(*values: float, height: int = 4, width: int = 4) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, height, width)


def losses(net: nn.Module, hr: Tensor) -> dict[str, float]:
    lr = hr[..., ::2, ::2]
    return {name: loss(Outputs(net, lr, hr)).item() for name, loss in LOSSES.items()}


def test_absolute_errors_by_hand() -> None:
    found = losses(Stub(grey(0.2, 0.4), grey(0.5, 0.7)), grey(0.6, 1.0))
    assert found["refined_l1"] == pytest.approx((0.1 + 0.3) / 2)
    assert found["dense_l1"] == found["refined_l1"]
    assert found["coarse_l1"] == pytest.approx((0.4 + 0.6) / 2)


def test_squared_errors_by_hand() -> None:
    """Of a grey error e, RGB gives half of e^2 and luma all of it."""
    found = losses(Stub(grey(0.2), grey(0.5)), grey(0.6))
    assert found["refined_squared"] == pytest.approx(100 * 1.5 * 0.1**2, rel=1e-5)
    assert found["coarse_squared"] == pytest.approx(100 * 1.5 * 0.4**2, rel=1e-5)


def test_squared_errors_count_luma_more_than_chroma() -> None:
    hr = grey(0.5)
    change = torch.tensor([0.1, 0.0, 0.0]).view(1, 3, 1, 1)  # red alone
    expected = 100 * (0.5 * 0.1**2 / 3 + (0.1 * LUMA[0] / sum(LUMA)) ** 2)
    assert losses(Stub(hr, hr + change), hr)["refined_squared"] == pytest.approx(expected, rel=1e-5)
    opposed = torch.tensor([LUMA[1], -LUMA[0], 0.0]).view(1, 3, 1, 1) / 1000  # another colour of the same luma
    expected = 100 * 0.5 * opposed.square().mean().item()
    assert losses(Stub(hr, hr + opposed), hr)["refined_squared"] == pytest.approx(expected, rel=1e-4)


def test_decibels_by_hand() -> None:
    """A tenth of the error is one step of log10 of the squares twice, in each crop alike."""
    far, near = grey(0.6, 0.6), grey(0.51, 0.6)
    found = losses(Stub(far, near), grey(0.5, 0.5))
    assert found["coarse_psnr"] == pytest.approx(torch.tensor(1.1 * 0.1**2 + 1e-6).log10().item(), rel=1e-4)
    near_one = torch.tensor(1.1 * 0.01**2 + 1e-6).log10().item()
    assert found["refined_psnr"] == pytest.approx((near_one + found["coarse_psnr"]) / 2, rel=1e-3)


def test_luma_is_that_of_the_field() -> None:
    assert sum(LUMA) == pytest.approx(219)  # studio range: black 16, white 235
    assert luma(grey(0.3)).unique().tolist() == pytest.approx([0.3])
    one = torch.rand(2, 1, 4, 4)
    assert torch.equal(luma(one), one)


@pytest.mark.parametrize("style", ["paper", "pretrained"])
def test_the_mask_loss_by_hand(style: str) -> None:
    """A predictor whose last layer is zero says 0.5 everywhere; hr is not looked at."""
    coarse = torch.zeros(1, 3, 8, 8)
    refined = coarse.clone()
    refined[..., :4, :4] = 1.0
    net = Stub(coarse, refined, style=style)
    nn.init.zeros_(net.mask.conv2.weight)
    nn.init.zeros_(net.mask.conv2.bias)
    assert losses(net, torch.full((1, 3, 8, 8), torch.nan))["mask_l1"] == pytest.approx(0.5)


def test_the_gated_image_lies_between_coarse_and_refined() -> None:
    net = Stub(grey(0.2, height=6, width=6), grey(0.6, height=6, width=6))  # feature 3 x 3: the last patches are cut
    nn.init.zeros_(net.mask.conv2.weight)
    nn.init.zeros_(net.mask.conv2.bias)
    out = Outputs(net, torch.zeros(1, 3, 3, 3), grey(0.5, height=6, width=6))
    torch.testing.assert_close(out.gated, grey(0.4, height=6, width=6).contiguous())
    assert LOSSES["gated_l1"](out).item() == pytest.approx(0.1)


LEARNS = {
    "coarse": {"base"},
    "refined": {"base", "refine"},
    "dense": {"base", "refine"},
    "gated": {"base", "mask", "refine"},
    "mask": {"base", "mask"},
    "score": {"base", "mask"},
}


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_teaches_what_it_looks_at(name: str) -> None:
    net = paper_net()
    LOSSES[name](Outputs(net, torch.rand(2, 3, 12, 12), torch.rand(2, 3, 24, 24))).backward()
    taught = {part for part, child in net.named_children() if any(x.grad is not None for x in child.parameters())}
    assert taught == LEARNS[name.split("_")[0]]


def ramp(slope: float) -> Tensor:
    """(1, 3, 24, 24), grey that rises by `slope` a pixel."""
    return (slope * torch.arange(24)).expand(1, 3, 24, 24)


def test_sharpness_by_hand() -> None:
    """The length of the gradient, however bright the image is; a thousandth where there is none."""
    torch.testing.assert_close(sharpness(ramp(0.02) + 0.1), torch.full((1, 4, 4), math.hypot(0.02, 0.001)))
    both = ramp(0.03) + ramp(0.04).mT
    torch.testing.assert_close(sharpness(both), torch.full((1, 4, 4), math.hypot(0.05, 0.001)))
    found = losses(Stub(ramp(0.01), ramp(0.02)), ramp(0.02))["coarse_sharpness"]
    full, half = (1 - math.hypot(slope, 0.001) / math.hypot(2 * slope, 0.001) for slope in (0.01, 0.02))
    assert found == pytest.approx((full + half) / 4, rel=1e-4)  # across; down there is nothing to find
    assert losses(Stub(ramp(0.02) + 0.3, ramp(0.02)), ramp(0.02))["coarse_sharpness"] == pytest.approx(0, abs=1e-4)


def test_a_soft_edge_is_worse_than_one_that_lies_a_little_beside_its_place() -> None:
    edge = torch.zeros(1, 3, 24, 24)
    edge[..., 15:] = 1.0
    beside = edge.roll(1, -1)
    beside[..., 0] = 0.0
    soft = F.avg_pool2d(edge, 3, stride=1, padding=1, count_include_pad=False)
    assert F.l1_loss(soft, edge) < F.l1_loss(beside, edge)
    assert sharpness_loss(soft, edge) > 0.15  # down there is nothing to find: half of the mean is 0
    assert sharpness_loss(beside, edge) < 1e-5


def test_a_pattern_of_pixels_is_no_line() -> None:
    """As steep as the lines at full size, but in both directions, and gone at half size."""
    lines = (torch.arange(24) // 2 % 2).float().expand(1, 3, 24, 24) * 0.2
    pixels = (torch.arange(24)[:, None] + torch.arange(24)).remainder(2).expand(1, 3, 24, 24) * 0.1
    torch.testing.assert_close(sharpness(pixels), sharpness(lines), rtol=0.1, atol=0)
    assert sharpness_loss(pixels, lines) > 0.9 * sharpness_loss(torch.zeros_like(lines), lines)


def test_errors_are_float32_where_images_are_not() -> None:
    """1/512 is below bfloat16's steps at 0.7, and a mean of squares has more digits than it."""
    found = LOSSES["coarse_squared"](Outputs(Stub(grey(0.7).bfloat16(), grey(0.7)), torch.zeros(1, 3, 2, 2), grey(0.7)))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(150 * (0.7 - grey(0.7).bfloat16().float().mean().item()) ** 2, rel=1e-3)


def test_colours_count_alike_by_hand() -> None:
    red = torch.zeros(2, 3, 4, 4)
    red[:, 0] = torch.tensor([0.1, 0.2]).view(2, 1, 1)
    expected = (math.log10(0.01 / 3 + 1e-6) + math.log10(0.04 / 3 + 1e-6)) / 2
    assert losses(Stub(red, red), torch.zeros(2, 3, 4, 4))["coarse_psnr_rgb"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["dense_l1", "refined_l1"])
def test_an_image_that_the_true_mask_looked_at_first_still_teaches(name: str) -> None:
    net = mga.accelerate(build("LongSkip", 2), style="pretrained")
    out = Outputs(net, torch.rand(1, 3, 12, 12), torch.rand(1, 3, 24, 24))
    (LOSSES["mask_l1"](out) + LOSSES[name](out)).backward()
    assert all(parameter.grad is not None for parameter in net.refine.parameters())
    assert not out.true_mask.requires_grad


class Counting(nn.Module):
    """Counts the calls of a part."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.calls = part, 0

    def forward(self, *inputs: object, **named: object) -> object:
        self.calls += 1
        return self.part(*inputs, **named)


def test_nothing_is_computed_that_no_loss_asks_for_and_nothing_twice() -> None:
    net = mga.accelerate(build("LongSkip", 2))
    net.base, net.refine = Counting(net.base), Counting(net.refine)
    lr, hr = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16)
    LOSSES["coarse_l1"](Outputs(net, lr, hr))
    assert (net.base.calls, net.refine.calls) == (1, 0)
    net.base.calls = net.refine.calls = 0
    out = Outputs(net, lr, None)
    for loss in LOSSES.values():
        loss(out)
    assert (net.base.calls, net.refine.calls) == (1, 2)  # every patch once, and the whole map once: the target


def test_without_hr_the_original_teaches() -> None:
    model = build("InPlace", 2)
    net = mga.accelerate(model)
    lr = torch.rand(2, 3, 9, 7)
    expected = model(lr.clone())
    out = Outputs(net, lr.clone(), None)
    assert torch.equal(out.target, expected)
    assert not out.target.requires_grad
    LOSSES["coarse_l1"](out).backward()  # the tail writes in place, yet the gradient is there
    with torch.no_grad():
        changed = mga.accelerate(model)
        for parameter in changed.parameters():
            parameter.zero_()
    assert torch.equal(Outputs(changed, lr.clone(), None, teacher=net).target, expected)


# The score -----------------------------------------------------------------------------------------------------------


def scored() -> mga.MGANet:
    """A net of which every weight is its own, so that coarse, original and HR differ."""
    return mga.accelerate(build("LongSkip", 2), p=4)


def test_the_score_loss_by_hand() -> None:
    """Squared errors of logarithms over their deviations, of both channels."""
    net, lr, hr = scored(), torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    net.mask.level.copy_(torch.tensor([[-5.0, -6.0], [2.0, 4.0]]))
    nn.init.zeros_(net.mask.direct.weight)  # it says its levels alone
    out = Outputs(net, lr, hr)
    with torch.no_grad():
        images = [samples.luma(x.clamp(0, 1)) for x in (net(lr, k=0), net(lr, k="dense"), hr)]
    expected = 0.0
    for image, other, level, deviation in ((*images[:2], -5.0, 2.0), (*images[1:], -6.0, 4.0)):
        errors = F.avg_pool2d((image - other).square(), 8).add(1e-7).log()
        expected += ((errors - level) / deviation).square().mean().item() / 2
    assert LOSSES["score"](out).item() == pytest.approx(expected, rel=1e-3)


def test_without_hr_what_the_original_leaves_has_no_target() -> None:
    net, lr = scored(), torch.rand(2, 3, 8, 8)
    found = LOSSES["score"](Outputs(net, lr, None))
    found.backward()
    assert net.mask.leave.weight.grad[0].any()
    assert not net.mask.leave.weight.grad[1].any()
    beside = Outputs(net, lr, torch.rand(2, 3, 16, 16), taught=True)
    assert torch.equal(beside.target, net(lr, k="dense"))
    assert LOSSES["score"](beside).item() != found.item()


def test_only_the_score_learns_from_its_loss_and_other_losses_beside_it_still_teach() -> None:
    net = scored()
    out = Outputs(net, torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16))
    (LOSSES["score"](out)).backward(retain_graph=True)
    assert not any(x.grad is not None for part in (net.base, net.refine) for x in part.parameters())
    LOSSES["dense_l1"](out).backward()
    assert all(x.grad is not None for x in net.refine.parameters())


def test_a_paper_mask_learns_from_the_same_loss() -> None:
    net = mga.accelerate(build("LongSkip", 2), mask={"kind": "convolutions"})
    out = Outputs(net, torch.rand(1, 3, 32, 32), None)
    assert LOSSES["score"](out).item() == pytest.approx(10 * LOSSES["mask_l1"](out).item())


def test_what_is_known_of_the_original_is_not_computed_again() -> None:
    net = scored()
    lr, hr = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16)
    known = net(lr, k="dense").detach()
    expected = {name: LOSSES[name](Outputs(net, lr, hr, taught=True)).item() for name in ("coarse_psnr", "score")}
    net.refine = Counting(net.refine)
    out = Outputs(net, lr, hr, taught=True, original=known)
    assert {name: LOSSES[name](out).item() for name in expected} == pytest.approx(expected)
    assert net.refine.calls == 0
