"""evaluate: the field's protocol around a network, against known numbers and against its parts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.measure.evaluate import MEAN, Row, evaluate, means
from mga_wrap.pictures.bicubic import resize_bicubic
from mga_wrap.pictures.metrics import psnr, ssim


class Bicubic(nn.Module):
    """MATLAB's bicubic as a network; remembers the sizes of its inputs."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, lr: Tensor) -> Tensor:
        self.sizes.append(tuple(lr.shape))
        image = np.floor(lr[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        return torch.from_numpy(resize_bicubic(image, self.scale)).permute(2, 0, 1)[None] / 255


def smooth(height: int, width: int) -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (-(-height // 8), -(-width // 8), 3)).astype(np.uint8)
    return resize_bicubic(small, 8)[:height, :width]


def save(folder: Path, *sizes: tuple[int, int]) -> list[Path]:
    files = [folder / f"{number}.png" for number, _ in enumerate(sizes)]
    for file, size in zip(files, sizes, strict=True):
        Image.fromarray(smooth(*size)).save(file)
    return files


def test_the_protocol_is_crop_reduce_enlarge_and_compare(tmp_path: Path) -> None:
    files = save(tmp_path, (35, 41))
    net = Bicubic(2).eval()  # in train mode a copy would run
    (row,) = evaluate(net, files, scale=2, ks=[None])
    hr = smooth(35, 41)[:32, :40]  # multiples of 4 * scale
    sr = resize_bicubic(resize_bicubic(hr, Fraction(1, 2)), 2)
    assert net.sizes == [(1, 3, 16, 20)]
    assert row == Row("0.png", None, psnr(sr, hr, border=2), ssim(sr, hr, border=2))


def test_crop_can_be_set(tmp_path: Path) -> None:
    net = Bicubic(2).eval()  # in train mode a copy would run
    evaluate(net, save(tmp_path, (35, 41)), scale=2, ks=[None], crop=2)
    assert net.sizes == [(1, 3, 17, 20)]


def test_rows_come_by_k_and_means_keep_them_apart(tmp_path: Path) -> None:
    net = accelerate(create_backbone("fsrcnn", scale=2), style="paper")
    files = save(tmp_path, (40, 40), (48, 32))
    rows = evaluate(net, files, scale=2, ks=[0, 1, 1.0])
    assert [(row.picture, row.k) for row in rows] == [(name, k) for k in (0, 1, 1.0) for name in ("0.png", "1.png")]
    averages = means(rows)
    assert [(row.picture, repr(row.k)) for row in averages] == [(MEAN, "0"), (MEAN, "1"), (MEAN, "1.0")]
    assert averages[0].psnr_y == pytest.approx((rows[0].psnr_y + rows[1].psnr_y) / 2)
    assert len({row.psnr_y for row in averages}) == 3


def test_a_grey_picture_counts_as_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(smooth(40, 40)[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(smooth(40, 40)[..., :1].repeat(3, axis=2)).save(tmp_path / "rgb.png")
    grey, rgb = evaluate(Bicubic(2), [tmp_path / "grey.png", tmp_path / "rgb.png"], scale=2, ks=[None])
    assert (grey.psnr_y, grey.ssim_y) == pytest.approx((rgb.psnr_y, rgb.ssim_y), abs=1e-6)


@pytest.mark.parametrize(
    ("size", "options", "error", "text"),
    [
        ((7, 40), {}, ImageError, r"cannot measure .*0\.png: got an image of 40 x 7; both sides must be at least 8"),
        ((8, 8), {}, ImageError, r"cannot measure .*0\.png: .*expected at least 11 x 11 pixels"),
        ((40, 40), {"crop": 3}, ArgumentError, "crop=3; expected a multiple of the scale 2"),
    ],
)
def test_what_cannot_be_measured_is_named(
    size: tuple[int, int], options: dict[str, int], error: type, text: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=text):
        evaluate(Bicubic(2), save(tmp_path, size), scale=2, ks=[None], **options)


def test_pan_reproduces_its_published_figure_on_a_picture(shared: Path, pan_checkpoints: dict[int, Path]) -> None:
    net = create_backbone("pan", scale=4)
    net.load_state_dict(torch.load(pan_checkpoints[4], weights_only=True))
    (row,) = evaluate(net, [shared / "data/test/Set5/butterfly.png"], scale=4, ks=[None], crop=4)
    assert row.psnr_y == pytest.approx(28.350, abs=0.002)
    assert row.ssim_y == pytest.approx(0.9235, abs=0.0001)
