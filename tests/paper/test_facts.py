"""What the paper says, as far as it can be checked: the mean size of the images of Set5."""

from __future__ import annotations

import numpy as np
import pytest

from mga_wrap.paper.facts import CUTS, PIXELS, REFINED, SIZES_OF_IMAGES


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_mean_lr_pixels_are_those_of_cropped_pictures(scale: int, set5: dict[str, np.ndarray]) -> None:
    """Fails if HR were cropped to the scale alone, or not at all."""
    pixels = [hr.shape[0] // (4 * scale) * 4 * (hr.shape[1] // (4 * scale) * 4) for hr in set5.values()]
    assert float(PIXELS["Set5"][scale]) == sum(pixels) / len(pixels)


def test_the_images_that_are_listed_have_the_mean_of_their_set() -> None:
    for (network, dataset, scale), sizes in SIZES_OF_IMAGES.items():
        assert network in CUTS
        mean = sum(height * width for height, width in sizes) / len(sizes)
        assert mean == pytest.approx(float(PIXELS[dataset][scale]), abs=0.005)
    assert set(REFINED) == set(PIXELS)
