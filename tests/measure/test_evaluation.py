"""evaluate: the field's protocol around a network, against known numbers and against its parts."""

from __future__ import annotations

import doctest
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.measure.evaluation import Evaluation, evaluate
from mga_wrap.measure.rows import Row
from mga_wrap.measure.settings import Setting
from mga_wrap.pictures import Picture
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


def test_rows_come_by_k(tmp_path: Path) -> None:
    net = accelerate(create_backbone("fsrcnn", scale=2), style="paper")
    files = save(tmp_path, (40, 40), (48, 32))
    rows = evaluate(net, files, scale=2, ks=[0, 1, 1.0])
    assert [(row.picture, row.k) for row in rows] == [(name, k) for k in (0, 1, 1.0) for name in ("0.png", "1.png")]
    assert len({row.psnr_y for row in rows[::2]}) == 3  # 1 is one patch, 1.0 all of them


def test_auto_costs_what_each_picture_takes(tmp_path: Path) -> None:
    net = mga.from_pretrained("pan-m-x2")
    Image.fromarray(np.full((96, 96, 3), 90, np.uint8)).save(tmp_path / "flat.png")
    files = [tmp_path / "flat.png", *save(tmp_path, (96, 96))]
    flat, busy = evaluate(net, files, scale=2, ks=["auto"])
    assert flat.share is not None
    assert busy.share is not None
    assert flat.share < busy.share
    assert (flat.macs or 0) < (busy.macs or 0) <= net.macs(48, 48, k="all")["total"]
    assert net.macs(48, 48, k="auto") == net.macs(48, 48, k=net.without_image("auto"))


def test_the_original_is_asked_for_beside_the_ks(tmp_path: Path) -> None:
    """It is no k: k="original" is refused like any other word."""
    files = save(tmp_path, (40, 40), (48, 32))
    net = accelerate(create_backbone("fsrcnn", scale=2))
    rows = evaluate(net, files, scale=2, ks=["dense"], original=True)
    assert [(row.k, row.original, row.variant) for row in rows[1:3]] == [
        ("dense", False, "D"),
        (None, True, "original"),
    ]
    assert [row.psnr_y for row in rows[:2]] == [row.psnr_y for row in rows[2:]]
    assert (rows[2].share, rows[0].share) == (None, 1.0)
    assert rows[2].macs < rows[0].macs
    with pytest.raises(ArgumentError, match="k='original'"):
        evaluate(net, files, scale=2, ks=["original"])


def test_only_an_accelerated_network_holds_an_original(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="got Bicubic, which was not accelerated; measure it as it is"):
        evaluate(Bicubic(2), save(tmp_path, (40, 40)), scale=2, ks=[], original=True)
    paper = accelerate(create_backbone("fsrcnn", scale=2), style="paper")
    with pytest.raises(ArgumentError, match="holds no original"):
        Evaluation(paper, scale=2, settings=[Setting(original=True)])


def test_rgb_and_seconds_are_measured_where_they_are_asked_for(tmp_path: Path) -> None:
    (file,) = save(tmp_path, (40, 40))
    net = Bicubic(2).eval()
    evaluation = Evaluation(net, scale=2, settings=[Setting()], rgb=True, repeats=2)
    hr = smooth(40, 40)
    (row,) = evaluation.rows(Picture(resize_bicubic(hr, Fraction(1, 2)).astype(np.float32) / 255), hr, name=file.name)
    assert row.psnr_rgb is not None
    assert row.ssim_rgb is not None
    assert row.psnr_rgb < row.psnr_y
    assert row.seconds is not None
    assert row.seconds > 0
    assert len(net.sizes) == 3  # the first warms up


def test_the_example_of_its_docstring_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = save(tmp_path, (40, 48))
    file.rename(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestFinder().find(evaluate, "evaluate", globs={})[0]
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


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
