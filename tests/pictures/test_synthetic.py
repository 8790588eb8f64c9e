"""The picture that networks are tried on."""

from __future__ import annotations

import pytest
import torch

from mga_wrap.pictures.synthetic import synthetic


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 1), (32, 24, 3), (7, 300, 4), (200, 150, 12)])
def test_it_is_an_image_of_any_size(height: int, width: int, channels: int) -> None:
    picture = synthetic(height, width, channels=channels)
    assert picture.shape == (1, channels, height, width)
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() <= picture.max() <= 1


def test_it_is_the_same_each_time_and_a_larger_one_goes_on() -> None:
    assert torch.equal(synthetic(64, 48)[..., :32, :24], synthetic(32, 24))
    state = torch.random.get_rng_state()
    synthetic(8, 8)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_has_contrast_edges_and_texture_and_is_no_noise() -> None:
    for size in ((32, 24), (64, 48)):
        picture = synthetic(*size)
        assert 0.1 < picture.std() < 0.3
        steps = (picture[..., 1:] - picture[..., :-1]).abs()
        assert steps.max() > 0.2  # an edge
        assert 0.005 < steps.median() < 0.1  # texture, but neighbours are alike
        assert not torch.equal(picture[:, 0], picture[:, 1])


def test_no_place_is_like_the_one_a_window_further_on() -> None:
    """Where a network depends on the place in its window, a picture of that period would hide it."""
    picture = synthetic(112, 112)
    for step in (1, 2, 4, 8, 12, 16, 32):
        assert (picture[..., step:, step:] - picture[..., :-step, :-step]).abs().mean() > 0.02
