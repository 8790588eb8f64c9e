from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mga_wrap.backbones import FSRCNN
from mga_wrap.backbones.weights import load_weights
from mga_wrap.counting import count_parameters
from mga_wrap.errors import ArgumentError, CheckpointError

SCALES = (2, 3, 4)


def smooth_image(height: int, width: int) -> torch.Tensor:
    """(1, 3, H, W) in 0.1..0.9: a few waves, another direction a channel."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return 0.5 + 0.4 * torch.sin(torch.stack((x, y, x + y)))[None]


def decibels(error: torch.Tensor) -> float:
    return float(-10 * torch.log10(error.double().square().mean()))


@pytest.mark.parametrize("scale", SCALES)
def test_parameters_equal_the_papers_base_net(scale: int) -> None:
    assert count_parameters(FSRCNN(scale=scale, m=3)) == 23_363


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 5)])
def test_sr_has_scale_times_the_sides(scale: int, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        sr = FSRCNN(scale=scale)(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(3))
def test_a_fresh_network_is_nearly_bilinear(scale: int, seed: int) -> None:
    torch.manual_seed(seed)
    lr = smooth_image(24, 32)
    with torch.inference_mode():
        difference = FSRCNN(scale=scale)(lr) - F.interpolate(lr, scale_factor=scale, mode="bilinear")
    inner = difference[..., 2 * scale : -2 * scale, 2 * scale : -2 * scale]
    assert decibels(inner) > 30  # torch's own initialisation gives 4 dB
    assert decibels(difference) > 22  # zero padding darkens the outermost pixels


@pytest.mark.parametrize("scale", SCALES)
def test_a_fresh_network_without_its_noise_keeps_a_constant(scale: int) -> None:
    net = FSRCNN(scale=scale)
    with torch.no_grad():
        net.upsampler.weight[3:] = 0
        sr = net(torch.full((1, 3, 9, 9), 0.6))
    torch.testing.assert_close(
        sr[..., 2 * scale : -2 * scale, 2 * scale : -2 * scale], torch.tensor(0.6).expand(1, 3, 5 * scale, 5 * scale)
    )


@pytest.mark.parametrize("scale", [2, 3])
def test_the_start_is_exactly_bilinear_where_the_kernel_has_room(scale: int) -> None:
    net = FSRCNN(scale=scale)
    lr = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        net.upsampler.weight[3:] = 0
        sr = net(lr)
    inner = (..., slice(scale, -scale), slice(scale, -scale))
    torch.testing.assert_close(sr[inner], F.interpolate(lr, scale_factor=scale, mode="bilinear")[inner])


def test_options_set_the_layers() -> None:
    net = FSRCNN(scale=2, d=20, s=6, m=2, channels=1)
    assert net(torch.rand(1, 1, 4, 4)).shape == (1, 1, 8, 8)
    assert len(net.body) == 2
    assert net.body[0][0].weight.shape == (6, 6, 3, 3)


@pytest.mark.parametrize("scale", [0, 1, 5, -2, "4"])
def test_other_scales_are_refused(scale: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"got scale={scale!r}.*\(2, 3, 4\)"):
        FSRCNN(scale=scale)


def test_more_image_channels_than_features_are_refused() -> None:
    with pytest.raises(ArgumentError, match="channels=5 with s=4"):
        FSRCNN(scale=2, s=4, channels=5)


class PublicFSRCNN(torch.nn.Module):
    """The layers of FSRCNN under the names of FSRCNN-pytorch, of which checkpoints are public."""

    def __init__(self, scale: int, *, d: int = 56, s: int = 12, m: int = 4) -> None:
        super().__init__()
        conv, act = torch.nn.Conv2d, torch.nn.PReLU
        self.first_part = torch.nn.Sequential(conv(1, d, 5, padding=2), act(d))
        middle = [layer for _ in range(m) for layer in (conv(s, s, 3, padding=1), act(s))]
        self.mid_part = torch.nn.Sequential(conv(d, s, 1), act(s), *middle, conv(s, d, 1), act(d))
        self.last_part = torch.nn.ConvTranspose2d(d, 1, 9, stride=scale, padding=4, output_padding=scale - 1)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        sr: torch.Tensor = self.last_part(self.mid_part(self.first_part(lr)))
        return sr


@pytest.mark.parametrize("scale", SCALES)
def test_public_names_load_strictly(scale: int, tmp_path: Path) -> None:
    theirs = PublicFSRCNN(scale)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.1)
    torch.save(theirs.state_dict(), tmp_path / "fsrcnn.pth")
    ours = FSRCNN(scale=scale, channels=1)
    load_weights(ours, tmp_path / "fsrcnn.pth")
    lr = torch.rand(1, 1, 9, 7)
    with torch.no_grad():
        assert torch.equal(ours(lr), theirs(lr))


def test_public_names_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(PublicFSRCNN(2, m=3).state_dict(), tmp_path / "fsrcnn.pth")
    with pytest.raises(CheckpointError, match="holds the weights of another network than FSRCNN"):
        load_weights(FSRCNN(scale=2, channels=1), tmp_path / "fsrcnn.pth")
    with pytest.raises(CheckpointError, match="another network than FSRCNN"):  # three channels
        load_weights(FSRCNN(scale=2), tmp_path / "fsrcnn.pth")
