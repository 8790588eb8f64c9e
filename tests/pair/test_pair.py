"""Pairs: a small network everywhere, any network whole where it matters; neither is changed."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.nets.patches import grid_size
from mga_wrap.pictures.synthetic import synthetic
from pair.networks import LARGE, Everywhere, OnlyLarge, Plain, UNet, large, small

EVERY = pytest.mark.parametrize("name", LARGE)


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height))


def pair(name: str, scale: int = 2, **how: object) -> tuple[nn.Module, nn.Module, mga.MGANet]:
    model, base = large(name, scale), small(scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mga.CostWarning)
        return model, base, mga.accelerate(model, base=base, **how)


@EVERY
@pytest.mark.parametrize("size", [(40, 56), (33, 61)])
@torch.no_grad()
def test_dense_is_the_model_and_0_the_small_one_bit_for_bit(name: str, size: tuple[int, int]) -> None:
    model, base, net = pair(name, 3)
    lr = image(*size, batch=2)
    given = lr.clone()
    assert torch.equal(net(lr, k="dense"), model(lr.clone()))
    assert torch.equal(net(lr, k=0), base(lr.clone()))
    assert torch.equal(lr, given)


@EVERY
@torch.no_grad()
def test_what_is_not_refined_is_the_small_ones(name: str) -> None:
    _, base, net = pair(name)
    lr = image(64, 80)
    trace = net.trace(lr, k=3)
    coarse, patches = base(lr), grid_size(64, 80, net.p)
    assert trace.index is not None
    chosen = torch.zeros(patches[0] * patches[1], dtype=torch.bool)
    chosen[trace.index[0]] = True
    side = net.p * net.scale
    mask = chosen.view(patches).repeat_interleave(side, 0).repeat_interleave(side, 1)[: 64 * 2, : 80 * 2]
    assert torch.equal(trace.sr[0][:, ~mask], coarse[0][:, ~mask])
    assert not torch.equal(trace.sr[0][:, mask], coarse[0][:, mask])


@pytest.mark.parametrize("name", ["UNet", "Dictionary", "WindowAttention"])
@torch.no_grad()
def test_a_wide_halo_makes_patches_the_models_own(name: str) -> None:
    found = mga.inspect(large(name, 2), base=small(2))
    if found.sight.reach is None:
        pytest.skip("no halo is exact, which inspect says")
    model, _, net = pair(name, halo="exact")
    lr = image(96, 96)
    torch.testing.assert_close(net(lr, k="all"), model(lr), atol=2e-5, rtol=0)


def test_a_model_that_looks_everywhere_is_told() -> None:
    shown = mga.inspect(Everywhere(2).eval(), base=small(2))
    assert shown.sight.reach is None
    assert "No halo is exact: the model looks at the whole image" in " ".join(str(shown).split())
    assert max(map(len, str(shown).splitlines())) <= 80
    with pytest.raises(mga.CutError, match="no halo makes refined patches exact here"):
        pair("Everywhere", halo="exact")


def test_the_outlook_says_where_it_breaks_even() -> None:
    with torch.random.fork_rng():
        model = Plain(2, blocks=8, width=16).eval()
    shown = mga.inspect(model, base=small(2))
    one = shown.usual
    share = shown.breaks_even(one)
    assert 0 < share < 1
    assert shown.cost(one, share=share) == pytest.approx(1.0)
    net = mga.accelerate(model, base=small(2), p=one.p, halo=one.halo)
    counted = net.macs(192, 192, k=0.25)["total"] / 192**2 / shown.model_macs
    assert counted == pytest.approx(shown.cost(one, share=0.25), rel=0.05)  # and the score


def test_an_accelerated_network_or_a_name_is_a_base() -> None:
    model = mga.create_backbone("pan", scale=4).eval()
    net = mga.accelerate(model, base="fsrcnn-m-x4", k=0.2)
    base, lr = mga.from_pretrained("fsrcnn-m-x4"), image(48, 48)
    with torch.no_grad():
        assert torch.equal(net(lr, k=0), base(lr))
        assert torch.equal(net(lr, k="dense"), model(lr))


@pytest.mark.slow
def test_a_fit_chooses_better_and_is_saved(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Plain(2, blocks=3, width=16).eval()
    base = small(2)
    net = mga.accelerate(model, base=base, p=8, halo=2)
    report = mga.fit(net, [image(160, 160)[0] for _ in range(4)], seconds=4)
    for old, new in zip(report.before, report.after, strict=True):
        assert new.fidelity >= old.fidelity - 0.02
    assert report.steps == 0
    net.save_pretrained(tmp_path)
    lr = image(40, 48)
    again = mga.from_pretrained(tmp_path, model=model, base=base)
    with torch.no_grad():
        for k in (0, 3, "auto", "dense"):
            assert torch.equal(net(lr, k=k), again(lr, k=k)), k
        assert torch.equal(net(lr, k="dense"), model(lr))
    with pytest.raises(mga.CheckpointError, match="was a Plain of your own, which is not a backbone of mga_wrap; give"):
        mga.from_pretrained(tmp_path, model=model)


def test_colours_are_matched_where_that_helps() -> None:
    class Tinted(nn.Module):
        """The model's image, darker and greener."""

        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net, self.scale = net, 2
            self.tint = nn.Parameter(torch.tensor([0.8, 1.0, 0.7])[:, None, None])

        def forward(self, lr: Tensor) -> Tensor:
            return self.net(lr) * self.tint

    class Sharper(nn.Module):
        """Bicubic interpolation, its edges made up for: nearer to pictures than without, or further."""

        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = nn.Parameter(torch.tensor(by))

        def forward(self, lr: Tensor) -> Tensor:
            large = nn.functional.interpolate(lr, scale_factor=2, mode="bicubic")
            return large + self.by * (large - nn.functional.avg_pool2d(large, 3, 1, 1, count_include_pad=False))

    pictures = [synthetic(160, 160)[0].roll(50 * number, -1) for number in range(3)]
    model = Sharper(0.4)
    net = mga.accelerate(model, base=Tinted(model), p=8, halo=2, k=0)
    lr, original = image(48, 48), None
    with torch.no_grad():
        original = model(lr)
        before = (net(lr, k=0) - original).abs().mean()
        report = mga.fit(net, pictures, seconds=1)
        after = (net(lr, k=0) - original).abs().mean()
    assert net.base.is_matched
    assert after < before / 10
    assert report.small_is_enough
    for_the_eye = Sharper(4.0)
    net = mga.accelerate(for_the_eye, base=Tinted(for_the_eye), p=8, halo=2, k=0)
    assert not mga.fit(net, pictures, seconds=1).small_is_enough, "PSNR to real images says nothing of it"


def test_one_of_our_own_pairs_needs_no_code(tmp_path: Path) -> None:
    model = mga.create_backbone("pan", scale=4).eval()
    net = mga.accelerate(model, base="fsrcnn-m-x4", k=0.2)
    net.save_pretrained(tmp_path)
    again, lr = mga.from_pretrained(tmp_path), image(40, 40)
    with torch.no_grad():
        assert torch.equal(net(lr), again(lr))
    assert again.is_pair
    assert again.origin == net.origin


def test_what_was_never_fitted_is_said_where_something_is_chosen() -> None:
    _, _, net = pair("Dictionary")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(image(40, 40), k=0)
    with pytest.warns(mga.UnfittedWarning, match="of a pair was never fitted"):
        net(image(40, 40), k=2)


class Bytes(nn.Module):
    """Takes and gives 0..255: what its biases add is a texture there, and in 0..1 covers the image."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.height = 2, nn.Parameter(torch.tensor(4.0))

    def forward(self, lr: Tensor) -> Tensor:
        large = nn.functional.interpolate(lr, scale_factor=2)
        return large + self.height * (torch.arange(large.shape[-1]) / 3).sin()


def test_bad_pairs_are_refused() -> None:
    model, base = UNet(2).eval(), small(2)
    cases = [
        (mga.ArgumentError, "the model enlarges by 2 and the base by 3", model, {"base": small(3)}),
        (mga.ArgumentError, "which is the model itself", model, {"base": model}),
        (mga.ArgumentError, "a pair is not split", model, {"base": base, "split_at": 2}),
        (mga.ArgumentError, "which makes the coarse image itself", model, {"base": base, "coarse_tail": "light"}),
        (mga.ArgumentError, "a pair is of trained networks", model, {"base": base, "style": "paper"}),
        (
            mga.CutError,
            "OnlyLarge takes no windows of 20 pixels",
            OnlyLarge(2).eval(),
            {"base": base, "p": 16, "halo": 2},
        ),
    ]
    for kind, text, large_one, given in cases:
        with pytest.raises(kind, match=text):
            mga.accelerate(large_one, **given)


def test_another_range_of_values_is_refused() -> None:
    with pytest.raises(
        mga.ArgumentError, match=r"the base, Bytes, makes a better image of a picture .* 255 times as large"
    ):
        mga.accelerate(Plain(2, blocks=3).eval(), base=Bytes())


def test_a_base_that_is_dearer_warns_with_both_figures() -> None:
    with pytest.warns(mga.CostWarning, match="the base takes [0-9,]+ MACs per lr pixel, the model [0-9,]+"):
        mga.accelerate(Plain(2, blocks=1).eval(), base=Plain(2, blocks=8).eval())


def test_a_base_is_for_pairs_alone(tmp_path: Path) -> None:
    with pytest.raises(mga.CheckpointError, match="which is no pair; leave it out"):
        mga.from_pretrained("pan-m-x4", base=small(4))


class SquaresOnly(Plain):
    def forward(self, lr: Tensor) -> Tensor:
        if lr.shape[-2] != lr.shape[-1]:
            raise ValueError("squares, please")
        return super().forward(lr)


def test_what_was_accepted_by_its_example_loads_again(tmp_path: Path) -> None:
    model, base, example = SquaresOnly(2, blocks=8).eval(), small(2), image(40, 40)
    with pytest.raises(mga.CutError, match=r"fails on an image of .*squares, please"):
        mga.accelerate(model, base=base)
    net = mga.accelerate(model, base=base, example=example, k=2)
    net.save_pretrained(tmp_path)
    again, lr = mga.from_pretrained(tmp_path, model=model, base=base), image(48, 48)
    with torch.no_grad():
        assert torch.equal(net(lr), again(lr))


@pytest.mark.filterwarnings("ignore::mga_wrap.errors.CostWarning", "ignore::mga_wrap.errors.UnfittedWarning")
def test_a_cut_that_needed_its_example_loads_again_as_a_base_too(tmp_path: Path) -> None:
    model, lr = OnlyLarge(2).eval(), image(56, 48)
    with pytest.raises(mga.CutError, match="too small for five poolings"):
        mga.accelerate(model)
    cut = mga.accelerate(model, split_at=1, coarse_tail="copy", p=40, halo=2, example=lr, k=0)
    cut.save_pretrained(tmp_path / "cut")
    net = mga.accelerate(large("UNet", 2), base=cut)
    net.save_pretrained(tmp_path / "pair")
    with torch.no_grad():
        assert torch.equal(mga.from_pretrained(tmp_path / "cut", model=model)(lr), cut(lr))
        again = mga.from_pretrained(
            tmp_path / "pair", model=large("UNet", 2), base=mga.from_pretrained(tmp_path / "cut", model=model)
        )
        assert torch.equal(again(lr, k=0), cut(lr))
    assert again.small == net.small
    assert net.small is not None
    assert net.small.example == (1, 3, 56, 48)


@pytest.mark.parametrize("shape", [[1, 3, 40], [1, 3, 40, 0], [1, 3, 40, True], [1, 3, 5000, 5000], "large"])
def test_an_example_that_cannot_be_is_refused(tmp_path: Path, shape: object) -> None:
    net = mga.accelerate(large("UNet", 2), base=small(2), example=image(40, 40))
    net.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "example": shape}))
    with pytest.raises(mga.CheckpointError, match=r"got example=.*expected null, or a shape of four sides"):
        mga.from_pretrained(tmp_path, model=large("UNet", 2), base=small(2))
