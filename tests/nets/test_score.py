"""The score: what it knows of a patch, what it costs, and how many patches a loss in dB asks for."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toys.plain import build

import mga_wrap as mga
from mga_wrap.nets import score as score_module
from mga_wrap.nets.mask import average
from mga_wrap.nets.patches import grid_size
from mga_wrap.nets.score import CALIBRATED, ScorePredictor, allowance

side = st.integers(1, 40)


def predictor(channels: int = 5, *, scale: int = 2, zoom: int = 2) -> ScorePredictor:
    torch.manual_seed(0)
    return ScorePredictor(channels, scale=scale, zoom=zoom)


def images(height: int, width: int, *, batch: int = 1, scale: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = (5, height, width), (3, height, width), (3, scale * height, scale * width)
    feature, lr, coarse = (torch.rand(batch, *size, generator=generator) for size in sizes)
    return feature, lr, coarse


@settings(max_examples=40)
@given(height=side, width=side, p=st.integers(1, 20))
def test_every_size_has_a_score_a_patch(height: int, width: int, p: int) -> None:
    score = predictor()(*images(height, width), p=p)
    assert score.shape == (1, 2, *grid_size(height, width, p))
    assert score.isfinite().all()


def test_a_feature_that_was_padded_has_patches_beyond_the_image() -> None:
    _, lr, coarse = images(9, 10)
    score = predictor()(torch.rand(1, 5, 16, 16), lr, coarse, p=4)
    assert score.shape == (1, 2, 4, 4)
    assert score.isfinite().all()


def test_a_feature_of_half_the_resolution() -> None:
    """The network unshuffles its image: four pixels of sr a side for one of the feature, at x2."""
    _, lr, coarse = images(16, 24)
    assert predictor(zoom=4)(torch.rand(1, 5, 8, 12), lr, coarse, p=4).shape == (1, 2, 2, 3)


def test_before_it_is_fitted_it_sees_where_lr_changes() -> None:
    feature, lr, coarse = images(16, 16)
    lr[..., :8, :8] = 0.5  # flat
    score = predictor()(feature, lr, coarse, p=4)[0, 0]
    assert score[0, 0] < score[2:, 2:].min()


def test_a_batch_is_its_images_one_by_one() -> None:
    feature, lr, coarse = images(13, 9, batch=3)
    score = predictor()
    one_by_one = [score(feature[i : i + 1], lr[i : i + 1], coarse[i : i + 1], p=4) for i in range(3)]
    torch.testing.assert_close(score(feature, lr, coarse, p=4), torch.cat(one_by_one))


def test_it_costs_less_than_a_hundredth_of_a_light_network() -> None:
    net = mga.accelerate(mga.create_backbone("pan", scale=4), split_at=12)
    macs = net.macs(180, 320, k=0.2)
    assert 0 < macs["mask"] < 0.01 * net.geometry.original_macs * 320 * 180


def calibrated(factor: float = 1.0) -> ScorePredictor:
    score = predictor()
    losses = torch.logspace(-2, 0, CALIBRATED)
    score.calibration.copy_(torch.stack([losses, torch.full_like(losses, factor), 1 - losses / 2], dim=1))
    return score


@settings(max_examples=60)
@given(
    taken=st.lists(st.floats(1e-9, 1e-1), min_size=1, max_size=30),
    left=st.floats(1e-6, 1e-1),
    loss=st.floats(0.01, 1.0),
)
def test_as_many_patches_as_the_loss_asks_for_and_no_more(taken: list[float], left: float, loss: float) -> None:
    errors = torch.tensor(taken, dtype=torch.float64)
    predicted = torch.stack([errors, torch.full_like(errors, left)]).log().view(1, 2, 1, -1)
    count = calibrated().needed(predicted, loss)
    allowed = allowance(loss) * left * len(taken)
    unrefined = sorted(taken)
    assert sum(unrefined[: len(taken) - count]) <= allowed * (1 + 1e-6)
    if count:
        assert sum(unrefined[: len(taken) - count + 1]) > allowed * (1 - 1e-6)


def test_between_calibrated_losses_it_is_interpolated() -> None:
    score = calibrated()
    assert score.is_calibrated
    assert not predictor().is_calibrated
    assert score.usual_share(1e-6) == pytest.approx(1 - 0.01 / 2)
    assert score.usual_share(10) == pytest.approx(0.5)
    assert 0.5 < score.usual_share(0.3) < score.usual_share(0.1) < 1


def test_auto_before_fitting_says_what_to_do() -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4)
    with pytest.raises(mga.ArgumentError, match=r"not fitted; call mga_wrap.fit\(net, images\) first, or give"):
        net(torch.rand(1, 3, 8, 8), k="auto")
    assert math.isclose(allowance(10 * math.log10(2)), 1.0)


def test_a_patch_that_the_border_cuts_counts_for_what_it_has() -> None:
    score = predictor()
    with torch.no_grad():
        score.direct.weight.zero_()  # every pixel costs the same
    found = score(*images(20, 24), p=16)
    expected = torch.tensor([[1.0, 8 / 16], [4 / 16, 8 * 4 / 16**2]]).log().expand(1, 2, 2, 2)
    torch.testing.assert_close(found, expected)
    score.by_area = False
    assert torch.equal(score(*images(20, 24), p=16), torch.zeros(1, 2, 2, 2))


def test_what_was_saved_before_chooses_as_it_did(tmp_path: Path) -> None:
    net = mga.accelerate(mga.create_backbone("fsrcnn", scale=2), p=8)
    net.save_pretrained(tmp_path)
    assert mga.from_pretrained(tmp_path).mask.by_area
    said = json.loads((tmp_path / "config.json").read_text())
    assert said.pop("by_area") is True
    (tmp_path / "config.json").write_text(json.dumps(said))
    old = mga.from_pretrained(tmp_path)
    assert not old.mask.by_area
    old.save_pretrained(tmp_path / "again")
    assert "by_area" not in json.loads((tmp_path / "again" / "config.json").read_text())
    mga.fit(old, [np.random.default_rng(0).integers(256, size=(96, 96, 3), dtype=np.uint8)], seconds=2)
    assert old.mask.by_area
    (tmp_path / "config.json").write_text(json.dumps({**said, "by_area": 1}))
    with pytest.raises(mga.CheckpointError, match="got by_area=1; expected true, or nothing"):
        mga.from_pretrained(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moments_row_by_row_are_those_of_the_whole(dtype: torch.dtype, layout: torch.memory_format) -> None:
    feature = torch.randn(2, 5, 37, 29).to(dtype).to(memory_format=layout)
    means, squares = score_module._moments(feature, p=8)
    assert torch.equal(means, average(feature.float(), p=8))
    assert torch.equal(squares, average(feature.float().square(), p=8))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_grey_image_is_the_mean_of_the_channels(channels: int, layout: torch.memory_format) -> None:
    x = torch.rand(2, channels, 9, 14).to(memory_format=layout)
    torch.testing.assert_close(score_module._grey(x), x.mean(dim=1), atol=1e-7, rtol=0)


def test_what_is_known_of_a_patch_does_not_depend_on_how_maps_lie() -> None:
    score = ScorePredictor(5, scale=2, zoom=2)
    given = torch.randn(2, 5, 37, 29), torch.rand(2, 3, 37, 29), torch.rand(2, 3, 74, 58)
    other = [x.to(memory_format=torch.channels_last) for x in given]
    torch.testing.assert_close(score.statistics(*other, p=8), score.statistics(*given, p=8), atol=1e-5, rtol=0)
