"""The mask predictor against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.errors import ArgumentError
from mga_wrap.nets import mask as mask_module
from mga_wrap.nets.mask import MaskPredictor

NF = 5
side = st.integers(1, 40)
few = settings(max_examples=30)


def predictor(**options: object) -> MaskPredictor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaskPredictor(NF, **options).double()


def feature(batch: int, height: int, width: int) -> Tensor:
    return torch.randn(batch, NF, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def average(x: Tensor, p: int) -> Tensor:
    """(B, C, H, W) -> (B, C, gh, gw), patch by patch; a slice beyond the border ends there."""
    gh, gw = math.ceil(x.shape[2] / p), math.ceil(x.shape[3] / p)
    rows = [
        torch.stack([x[..., r * p : r * p + p, c * p : c * p + p].mean(dim=(2, 3)) for c in range(gw)], dim=-1)
        for r in range(gh)
    ]
    return torch.stack(rows, dim=-2)


@few
@given(
    height=side,
    width=side,
    p=st.integers(1, 20),
    batch=st.integers(1, 3),
    dynamic=st.booleans(),
    channels=st.sampled_from([1, 2]),
    resolution=st.sampled_from(["full", "patch"]),
)
def test_one_score_for_each_patch_at_every_size(
    height: int, width: int, p: int, batch: int, dynamic: bool, channels: int, resolution: str
) -> None:
    mask = predictor(dynamic=dynamic, map_channels=channels, resolution=resolution)
    with torch.no_grad():
        score = mask(feature(batch, height, width), p=p)
    assert score.shape == (batch, math.ceil(height / p), math.ceil(width / p))
    assert score.isfinite().all()
    assert ((score > 0) & (score < 1)).all()  # averages of probabilities


@few
@given(height=side, width=side, p=st.integers(1, 20))
def test_a_partial_patch_averages_over_what_it_has(height: int, width: int, p: int) -> None:
    x = feature(2, height, width)
    torch.testing.assert_close(mask_module.average(x, p=p), average(x, p), atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 1), (3, 30)])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_words_of_the_paper_as_a_loop(size: tuple[int, int], channels: int) -> None:
    """Two convolutions, softmax or sigmoid, averages, then each patch weighs its 5 x 5 neighbours in its own way."""
    mask, x = predictor(map_channels=channels), feature(1, *size)
    with torch.no_grad():
        nn.init.normal_(mask.kernel.weight)
        maps = mask.conv2(mask.conv1(x).clamp(min=0))
        error = 1 / (1 + torch.exp(maps[:, :1] - maps[:, 1:])) if channels == 2 else 1 / (1 + torch.exp(-maps))
        pooled = average(error, 4)[0, 0]
        weights = mask.kernel(pooled[None, None])[0]  # (25, gh, gw)
        padded = F.pad(pooled, [2, 2, 2, 2])
        expected = torch.zeros_like(pooled)
        for row in range(pooled.shape[0]):
            for col in range(pooled.shape[1]):
                for tap in range(25):
                    expected[row, col] += weights[tap, row, col] * padded[row + tap // 5, col + tap % 5]
        torch.testing.assert_close(mask(x, p=4)[0], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("p", [1, 2, 7, 11, 16, 22, 24, 64, 72, 96])
def test_averages_in_steps_are_the_averages(p: int) -> None:
    sides = mask_module.steps(p)
    assert math.prod(sides) == p
    assert all(side <= mask_module.STEP for side in sides) or p % 11 == 0
    x = torch.rand(2, 3, 2 * p, 3 * p, dtype=torch.float64)
    stepped = x
    for side in sides:
        stepped = F.avg_pool2d(stepped, side)
    torch.testing.assert_close(stepped, mask_module.average(x, p=p), atol=1e-12, rtol=0)


def test_at_patch_resolution_the_convolutions_run_on_averages() -> None:
    mask, x = predictor(resolution="patch"), feature(2, 10, 13)
    with torch.no_grad():
        expected = mask.conv2(F.relu(mask.conv1(average(x, 4)))).softmax(dim=1)[:, 1]
        torch.testing.assert_close(mask(x, p=4), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("nf", [1, 12, 40, 50])
def test_parameters_are_those_of_the_tables(nf: int) -> None:
    def count(**options: object) -> int:
        return sum(parameter.numel() for parameter in MaskPredictor(nf, **options).parameters())

    assert count() == 9 * nf**2 + nf + 18 * nf + 2 + 50
    assert count(dynamic=False) == 9 * nf**2 + nf + 18 * nf + 2
    assert count(map_channels=1) == 9 * nf**2 + nf + 9 * nf + 1 + 50
    assert count(resolution="patch") == count()


@pytest.mark.parametrize("resolution", ["full", "patch"])
@pytest.mark.parametrize("channels", [1, 2])
def test_it_starts_as_the_average(resolution: str, channels: int) -> None:
    x = feature(2, 11, 7)
    with torch.no_grad():
        dynamic = predictor(resolution=resolution, map_channels=channels)
        plain = predictor(resolution=resolution, map_channels=channels, dynamic=False)
        plain.load_state_dict({k: v for k, v in dynamic.state_dict().items() if not k.startswith("kernel")})
        assert torch.equal(dynamic(x, p=4), plain(x, p=4))


@pytest.mark.parametrize("options", [{}, {"dynamic": False}, {"map_channels": 1}, {"resolution": "patch"}])
def test_every_parameter_learns_from_the_first_step(options: dict[str, object]) -> None:
    mask = predictor(**options)
    (mask(feature(2, 17, 10), p=4) * torch.rand(2, 5, 3)).sum().backward()
    for name, parameter in mask.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"map_channels": 3}, "got map_channels=3; expected 1 or 2"),
        ({"map_channels": 0}, "got map_channels=0; expected 1 or 2"),
        ({"resolution": "half"}, "got resolution='half'; expected 'full' or 'patch'"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        MaskPredictor(NF, **options)
