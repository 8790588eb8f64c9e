"""Arrays and tensors: there and back without a loss, rounded in one way, refused where they are no image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.pictures.arrays import array_from, as_bytes, batch_from, check_image

H, W = 5, 7


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(H, W, 3), (H, W)])
def test_there_and_back_is_the_same(dtype: Any, shape: tuple[int, ...]) -> None:
    array = values(*shape) if dtype == np.uint8 else (values(*shape) / 255).astype(dtype)
    batch = batch_from(array)
    assert (batch.shape, batch.dtype) == ((1, 3, H, W), torch.float32)
    assert 0 <= float(batch.min()) <= float(batch.max()) <= 1
    back = array_from(batch, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_allclose(back, array, rtol=0, atol=0 if dtype == np.uint8 else 1e-6)


def test_a_batch_is_a_copy_of_an_array_of_any_strides() -> None:
    array = (values(H, W, 3) / np.float32(255))[::-1, ::-1]
    array.setflags(write=False)
    batch = batch_from(array)
    np.testing.assert_array_equal(batch[0, 1].numpy(), array[..., 1])
    batch += 1
    assert array.max() <= 1


def test_grey_is_the_luma_of_what_the_network_made() -> None:
    sr = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    grey = array_from(sr, np.zeros((1, 1), np.float64))
    np.testing.assert_allclose(grey, [[0.299 + 0.587 / 2]], rtol=1e-6)
    assert array_from(torch.ones(1, 3, 1, 1), np.zeros((1, 1))).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bytes_are_rounded_half_up_and_clipped(dtype: Any) -> None:
    given = np.array([-3, 0, 0.49 / 255, 0.5 / 255, 127.5 / 255, 254.4 / 255, 1, 1.2], dtype=dtype)
    rounded = as_bytes(given)
    assert (rounded.dtype, rounded.tolist()) == (np.uint8, [0, 0, 0, 1, 128, 254, 255, 255])
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(as_bytes((every / 255).astype(dtype)), every)


def test_every_image_that_is_one_passes() -> None:
    for image in (
        Image.new("P", (1, 1)),
        values(H, W, 3),
        np.zeros((H, W)),
        torch.zeros(3, 1, 1),
        torch.ones(2, 3, H, W),
    ):
        check_image(image)


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        (b"", ImageError, "image of type bytes; expected a PIL image, a numpy array or a tensor$"),
        ("a.png", ImageError, r"image of type str; .*: open it first, PIL\.Image\.open\(path\)"),
        (np.zeros((3, H, W)), ImageError, r"move the channels last, image\.transpose\(1, 2, 0\)"),
        (np.full((H, W), np.nan), ImageError, "got 35 values that are NaN or infinite"),
        (np.full((H, W), 2.0), ArgumentError, r"got values from 2 to 2; expected 0\.\.1"),
        (torch.full((3, H, W), -1.0), ArgumentError, r"got values from -1 to -1; expected 0\.\.1"),
        (torch.zeros(3, H, W, device="meta"), ImageError, "got a tensor on the device meta, which holds no values"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        check_image(image)
