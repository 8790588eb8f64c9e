from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from mga_wrap.backbones import PAN
from mga_wrap.counting import count_macs, count_parameters
from mga_wrap.errors import ArgumentError
from mga_wrap.pictures import crop_to_multiple, psnr, ssim
from mga_wrap.pictures.arrays import as_bytes
from mga_wrap.pictures.pairs import find_pairs, read_pair

SCALES = (2, 3, 4)

# PSNR-Y, SSIM-Y as the authors' checkpoints give on MATLAB's LR images (shared/weights/README.md)
PUBLISHED = {
    2: {
        "baby": (38.930, 0.9680),
        "bird": (43.289, 0.9906),
        "butterfly": (35.313, 0.9781),
        "head": (36.018, 0.8911),
        "woman": (36.453, 0.9748),
    },
    3: {
        "baby": (35.677, 0.9296),
        "bird": (38.181, 0.9726),
        "butterfly": (31.127, 0.9515),
        "head": (34.122, 0.8365),
        "woman": (32.894, 0.9456),
    },
    4: {
        "baby": (33.776, 0.8937),
        "bird": (35.000, 0.9456),
        "butterfly": (28.350, 0.9235),
        "head": (32.963, 0.7972),
        "woman": (30.567, 0.9141),
    },
}


MEANS = {2: 38.001, 3: 34.400, 4: 32.131}
"""PSNR-Y on Set5 as the authors logged it."""


def load(path: Path, scale: int) -> PAN:
    net = PAN(scale=scale).eval()
    net.load_state_dict(torch.load(path, weights_only=True), strict=True)
    return net


def enlarge(net: nn.Module, lr: np.ndarray) -> np.ndarray:
    """Uint8 (H, W, 3) to uint8 (sH, sW, 3)."""
    x = torch.from_numpy(lr.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        sr = net(x.contiguous(memory_format=torch.channels_last))
    return (sr[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
def test_public_checkpoints_reproduce_their_published_quality(
    scale: int,
    pan_checkpoints: dict[int, Path],
    set5: dict[str, np.ndarray],
    set5_lr: dict[tuple[str, int], np.ndarray],
) -> None:
    net = load(pan_checkpoints[scale], scale).to(memory_format=torch.channels_last)
    got, rgb = {}, []
    for name in PUBLISHED[scale]:
        sr, hr = enlarge(net, set5_lr[name, scale]), crop_to_multiple(set5[name], scale)
        got[name] = (psnr(sr, hr, border=scale), ssim(sr, hr, border=scale))
        rgb.append(psnr(sr, hr, border=scale, channels="rgb"))
    for name, (decibels, similarity) in PUBLISHED[scale].items():
        assert got[name][0] == pytest.approx(decibels, abs=0.002), got
        assert got[name][1] == pytest.approx(similarity, abs=0.0002), got
    mean = np.mean(list(got.values()), axis=0)
    assert mean[0] == pytest.approx(MEANS[scale], abs=0.002)
    if scale == 4:
        assert mean[1] == pytest.approx(0.8948, abs=0.0002)
        assert np.mean(rgb) == pytest.approx(30.218, abs=0.002)


@pytest.mark.slow
def test_the_public_checkpoint_reproduces_its_colours_on_set14(pan_checkpoints: dict[int, Path], shared: Path) -> None:
    net = load(pan_checkpoints[4], 4).to(memory_format=torch.channels_last)
    rgb = []
    for pair in find_pairs(shared / "data/test/Set14", scale=4):
        lr, hr = read_pair(pair, scale=4, crop=4)
        rgb.append(psnr(enlarge(net, as_bytes(lr.rgb)), hr, border=4, channels="rgb"))
    assert (len(rgb), np.mean(rgb)) == (14, pytest.approx(26.804, abs=0.002))


@pytest.mark.parametrize(("scale", "parameters"), [(2, 203_723), (3, 203_723), (4, 214_739)])
def test_parameters_equal_the_papers_base_net(scale: int, parameters: int) -> None:
    assert count_parameters(PAN(scale=scale, nb=12)) == parameters


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 4)])
def test_sr_has_scale_times_the_sides(scale: int, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        sr = PAN(scale=scale, nb=1)(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])


@pytest.mark.parametrize("scale", SCALES)
def test_the_network_traces_and_the_trace_takes_other_sizes(scale: int) -> None:
    net = PAN(scale=scale, nb=2).eval()
    traced = fx.symbolic_trace(net)
    lr = torch.rand(2, 3, 5, 7)
    with torch.inference_mode():
        assert torch.equal(traced(lr), net(lr))


@pytest.mark.parametrize("scale", [1, 5, "4"])
def test_other_scales_are_refused(scale: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"got scale={scale!r}.*\(2, 3, 4\)"):
        PAN(scale=scale)


def test_an_odd_body_is_refused() -> None:
    with pytest.raises(ArgumentError, match="got nf=41"):
        PAN(scale=2, nf=41)


class PaperRefine(nn.Module):
    """The paper's Refine-Net for PAN: 4 blocks and a body convolution, padded, then the shrinking upsampler."""

    def __init__(self, pan: PAN) -> None:
        super().__init__()
        self.blocks, self.trunk_conv, self.tail = pan.SCPA_trunk, pan.trunk_conv, pan.paper_refine_tail()

    def forward(self, feature: torch.Tensor, *, shrink: bool) -> torch.Tensor:
        return self.tail(feature + self.trunk_conv(self.blocks(feature)), shrink=shrink)


# scale: parameters, MACs of a 6 x 6 patch, MACs an LR pixel on the whole map (D minus B), paper section 4
PAPER_REFINE = {
    2: (290_966 - 203_723, 4_089_792, 382_328 - 249_624),
    3: (296_174 - 203_723, 7_416_288, 580_160 - 325_104),
    4: (312_998 - 214_739, 8_215_200, 749_624 - 433_272),
}


@pytest.mark.parametrize("scale", SCALES)
def test_the_paper_refine_net_costs_what_the_paper_says(scale: int) -> None:
    parameters, macs_patch, macs_pixel = PAPER_REFINE[scale]
    refine = PaperRefine(PAN(scale=scale, nb=4)).to("meta")
    assert count_parameters(refine) == parameters
    windows = torch.empty(5, 40, 6, 6, device="meta")
    assert count_macs(refine, windows, convention="paper", shrink=True) == 5 * macs_patch
    feature = torch.empty(1, 40, 20, 12, device="meta")
    assert count_macs(refine, feature, convention="paper", shrink=False) == 20 * 12 * macs_pixel


@pytest.mark.parametrize("scale", SCALES)
def test_the_paper_refine_tail_takes_the_ring_off(scale: int) -> None:
    tail = PAN(scale=scale, nb=0).paper_refine_tail()
    feature = torch.randn(2, 40, 6, 9)
    with torch.inference_mode():
        assert tail(feature, shrink=True).shape == (2, 3, scale * 4, scale * 7)
        assert tail(feature, shrink=False).shape == (2, 3, scale * 6, scale * 9)


@pytest.mark.parametrize("scale", SCALES)
def test_the_paper_refine_tail_agrees_with_itself_inside(scale: int) -> None:
    """What the unpadded convolutions give is the padded result, as far as no padding reached it."""
    tail = PAN(scale=scale, nb=0).paper_refine_tail()
    feature = torch.randn(1, 40, 10, 9)
    with torch.inference_mode():
        valid, padded = tail(feature, shrink=True), tail(feature, shrink=False)
    reach = 4 * scale  # more than any of the upsamplers' receptive fields
    inner = (..., slice(reach, -reach), slice(reach, -reach))
    torch.testing.assert_close(valid[..., reach - scale : scale - reach, reach - scale : scale - reach], padded[inner])


@pytest.mark.parametrize("scale", [2, 4])
def test_the_paper_refine_tail_starts_as_the_networks_own_upsampler(scale: int) -> None:
    net = PAN(scale=scale, nb=0)
    feature = torch.randn(1, 40, 6, 5)
    with torch.inference_mode():
        assert torch.equal(net.paper_refine_tail()(feature, shrink=False), net.upsample(feature))


def test_the_extra_convolution_at_x3_starts_as_the_identity() -> None:
    net = PAN(scale=3, nb=0)
    tail = net.paper_refine_tail()
    up = torch.rand(1, 24, 5, 5)
    with torch.inference_mode():
        torch.testing.assert_close(tail.HRconv_extra(up), up)
    assert torch.equal(tail.conv_last.weight, net.conv_last.weight)


@pytest.mark.parametrize("scale", SCALES)
def test_the_paper_refine_tail_shares_nothing_with_the_network(scale: int) -> None:
    net = PAN(scale=scale, nb=1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    tail = net.paper_refine_tail()
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_image_itself_is_added_at_the_end() -> None:
    net = PAN(scale=2, nb=1)
    with torch.no_grad():
        net.conv_last.weight.zero_()
        net.conv_last.bias.zero_()
        lr = torch.rand(1, 3, 5, 6)
        assert torch.equal(net(lr), F.interpolate(lr, scale_factor=2, mode="bilinear", align_corners=False))
