from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.pictures import crop_to_multiple, psnr, resize_bicubic, rgb_to_y, ssim


def random_image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def grey(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side), value, np.uint8)


@pytest.mark.parametrize(
    ("rgb", "luma"),
    [((0, 0, 0), 16.0), ((255, 255, 255), 235.0), ((255, 0, 0), 81.481), ((0, 255, 0), 144.553), ((0, 0, 255), 40.966)],
)
def test_luma_of_the_corners_of_the_colour_cube(rgb: tuple[int, int, int], luma: float) -> None:
    pixel = np.array([[rgb]], np.uint8)
    assert rgb_to_y(pixel).shape == (1, 1)
    assert rgb_to_y(pixel).dtype == np.float64
    assert rgb_to_y(pixel)[0, 0] == pytest.approx(luma, abs=1e-9)
    assert rgb_to_y(pixel.astype(np.float32))[0, 0] == pytest.approx(luma, abs=1e-9)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), ()])
def test_luma_of_what_has_no_three_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"3\) RGB"):
        rgb_to_y(np.zeros(shape))


def test_psnr_of_a_known_difference() -> None:
    assert psnr(grey(100), grey(110), border=0) == pytest.approx(20 * math.log10(255 / 10))
    colour = np.zeros((4, 4, 3), np.uint8)
    red = colour.copy()
    red[..., 0] = 30
    assert psnr(colour, red, border=0, channels="rgb") == pytest.approx(10 * math.log10(255**2 / (900 / 3)))
    assert psnr(colour, red, border=0) == pytest.approx(20 * math.log10(255 / (30 * 65.481 / 255)))


def test_the_border_is_not_compared() -> None:
    sr, hr = random_image(20, 18, 3), random_image(20, 18, 3)
    sr[:3] = sr[-3:] = 0
    sr[:, :3] = sr[:, -3:] = 0
    assert psnr(sr, hr, border=3) == math.inf
    assert ssim(sr, hr, border=3) == pytest.approx(1.0)
    assert psnr(sr, hr, border=2) < 60


@pytest.mark.parametrize("channels", ["y", "rgb"])
@pytest.mark.parametrize("shape", [(12, 13), (12, 13, 3)])
def test_equal_images_are_perfect(shape: tuple[int, ...], channels: str) -> None:
    image = random_image(*shape)
    assert psnr(image, image, border=0, channels=channels) == math.inf
    assert ssim(image, image, border=0, channels=channels) == pytest.approx(1.0, abs=1e-12)


@given(st.integers(11, 24), st.integers(11, 24), st.integers(0, 1000), st.sampled_from(["y", "rgb"]))
@settings(max_examples=25)
def test_both_measures_are_symmetric_and_bounded(height: int, width: int, seed: int, channels: str) -> None:
    a, b = random_image(height, width, 3, seed=seed), random_image(height, width, 3, seed=seed + 1)
    assert psnr(a, b, border=0, channels=channels) == pytest.approx(psnr(b, a, border=0, channels=channels))
    assert ssim(a, b, border=0, channels=channels) == pytest.approx(ssim(b, a, border=0, channels=channels))
    assert -1 <= ssim(a, b, border=0, channels=channels) < 1


def test_ssim_of_constants_is_the_luminance_term() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 200 + c1) / (50**2 + 200**2 + c1)
    assert ssim(grey(50), grey(200), border=0) == pytest.approx(expected)


def test_ssim_of_one_window_by_hand() -> None:
    """On 11 x 11 pixels there is one position: the weighted moments written out with a 2-D window."""
    a, b = (random_image(11, 11, seed=seed).astype(float) for seed in (1, 2))
    y, x = np.mgrid[-5:6, -5:6]
    weight = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    weight /= weight.sum()
    mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
    variance_a, variance_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
    covariance = (weight * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    expected /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    assert ssim(a.astype(np.uint8), b.astype(np.uint8), border=0) == pytest.approx(expected)


def test_bicubic_on_set5_gives_the_fields_figures(set5: dict[str, np.ndarray]) -> None:
    """The bicubic rows that every paper prints for Set5: 33.66 / 0.9299, 30.39 / 0.8682, 28.42 / 0.8104."""
    for scale, decibels, similarity in ((2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)):
        scores = []
        for image in set5.values():
            hr = crop_to_multiple(image, scale)
            sr = resize_bicubic(resize_bicubic(hr, 1 / scale), scale)
            scores.append((psnr(sr, hr, border=scale), ssim(sr, hr, border=scale)))
        mean = np.mean(scores, axis=0)
        assert mean[0] == pytest.approx(decibels, abs=0.02), scores
        assert mean[1] == pytest.approx(similarity, abs=0.001), scores


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_what_cannot_be_compared_is_refused(measure: object) -> None:
    assert callable(measure)
    image = random_image(16, 14, 3)
    with pytest.raises(ImageError, match=r"\(16, 14, 3\) and \(15, 14, 3\); crop both"):
        measure(image, image[1:], border=0)
    with pytest.raises(ImageError, match="14 x 16, of which a border of 7 leaves 0 x 2"):
        measure(image, image, border=7)
    with pytest.raises(ImageError, match="dtype float64; expected uint8"):
        measure(image / 255, image / 255, border=0)
    with pytest.raises(ImageError, match=r"shape \(16, 14, 2\)"):
        measure(image[..., :2], image[..., :2], border=0)
    with pytest.raises(ArgumentError, match="border=-1"):
        measure(image, image, border=-1)
    with pytest.raises(ArgumentError, match="channels='lab'"):
        measure(image, image, border=0, channels="lab")


def test_ssim_needs_a_whole_window() -> None:
    image = random_image(14, 20)
    assert ssim(image, image, border=1) == pytest.approx(1.0)
    with pytest.raises(ImageError, match="leaves 16 x 10; expected at least 11 x 11"):
        ssim(image, image, border=2)
