"""Two networks that do not fit together are told, with what was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import LongSkip, build, conv
from toys.public import UnitRange, read_public
from toys.whole import Enlarges, build_whole

import mga_wrap as mga
from mga_wrap.counting import count_macs
from mga_wrap.errors import ArgumentError, CutError, RangeWarning
from mga_wrap.pair.meet import meet


class Bicubic(nn.Module):
    """What every trained network nearly is, so that ranges of values can be told."""

    def __init__(self, scale: int = 2, *, strange: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.scale, self.strange, self.fix = scale, strange, conv(3, 3)
        nn.init.normal_(self.fix.weight, std=1e-6)
        nn.init.zeros_(self.fix.bias)

    def forward(self, x: Tensor) -> Tensor:
        up = F.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        return self.strange(up + self.fix(up))


class OfBytes(Bicubic):
    """Takes and returns 0..255: of a picture in 0..1 it sees nothing but black."""

    def forward(self, x: Tensor) -> Tensor:
        up = F.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        return up + 20 * torch.sin(up * 40) * torch.exp(-up)  # what a step of one grey level does to the first layer


class Biased(Bicubic):
    """Of 0..1, but not trained: its biases lift the image, the more so beside values that are small."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.tensor([2.0, -1.0, 0.5])[:, None, None]


class Grey(Bicubic):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :1].expand(-1, 3, -1, -1))[:, :1]


class Two(Bicubic):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(x), x


class OneChannelOnly(nn.Module):
    def __init__(self, side: int = 3) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, side, padding=side // 2, bias=False), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def test_what_is_known_of_two() -> None:
    model, small = build_whole("UShaped", 3), build_whole("Enlarges", 3)
    met = meet(model, small)
    assert (met.scale, met.example.shape, met.model_writes, met.small_writes) == (3, (1, 3, 64, 48), False, False)
    assert met.small_macs == count_macs(small, torch.zeros(1, 3, 10, 10)) / 100 == 3 * 3 * 9 * 9
    assert met.model_macs == count_macs(model, torch.zeros(1, 3, 64, 64)) / 64**2
    assert meet(build_whole("WritesIntoLr", 2), build_whole("Enlarges", 2)).model_writes


def test_an_example_is_used() -> None:
    model, small = OneChannelOnly(), OneChannelOnly(1)
    met = meet(model, small, example=torch.rand(2, 1, 20, 28))
    assert met.example.shape == (2, 1, 20, 28)
    with pytest.raises(
        CutError, match=r"the model, OneChannelOnly, fails on an image of \(1, 3, 64, 48\) or .*the base"
    ):
        meet(model, small)


@pytest.mark.parametrize(
    ("model", "small", "message"),
    [
        (LongSkip(2), Enlarges(3), r"the model enlarges by 2 and the base by 3; expected two networks of one scale"),
        (Bicubic(), Grey(), r"the base turns 3 channels into 1; expected as many"),
        (Two(), Bicubic(), r"the model, Two, returns a tuple; expected one image"),
        (Bicubic(), nn.Flatten(), r"the base, Flatten, returns a tensor of shape \(1, 9216\); expected one image"),
        (Bicubic(), OneChannelOnly(), r"the base, OneChannelOnly, fails on an image of .*: Given groups=1"),
        (Bicubic(), Bicubic(strange=lambda x: x * 255), r"the model's image is \S+ times lr and the base's 25. times"),
        (
            Bicubic(),
            OfBytes(),
            r"the base, OfBytes, makes a better image of a picture whose values are 255 times as large",
        ),
        (OfBytes(), Bicubic(), r"the model, OfBytes, makes a better .* wrap it, net\(lr \* 255\) / 255"),
        (
            Bicubic(),
            Bicubic(strange=lambda x: x[..., 1:]),
            r"\(1, 3, 128, 95\); expected both sides larger by one whole",
        ),
        (nn.Upsample(scale_factor=2), Bicubic(), r"has no parameters; expected a trained"),
    ],
)
def test_what_does_not_fit(model: nn.Module, small: nn.Module, message: str) -> None:
    with pytest.raises((ArgumentError, CutError), match=message):
        mga.accelerate(model, base=small)
    with pytest.raises((ArgumentError, CutError), match=message):
        mga.inspect(model, base=small)


def test_the_model_itself_is_no_base() -> None:
    model, twin = build("LongSkip", 2), build("LongSkip", 2)
    for small in (model, twin):
        for call in (mga.accelerate, mga.inspect):
            with pytest.raises(
                ArgumentError, match=r"got base=LongSkip, which is the model itself; expected a smaller"
            ):
                call(model, base=small)
    other = LongSkip(2)  # of the same class, with other weights
    assert mga.accelerate(model, base=other, p=16).is_pair


def test_what_is_no_network() -> None:
    with pytest.raises(ArgumentError, match=r"got base of type int; expected an nn.Module"):
        mga.accelerate(build("LongSkip", 2), base=3)  # type: ignore[arg-type]
    net = mga.accelerate(build("LongSkip", 2), coarse_tail="copy")
    with pytest.raises(ArgumentError, match=r"got an accelerated network as the model of a pair"):
        mga.accelerate(net, base=Enlarges(2))


def test_random_networks_are_of_no_range() -> None:
    """Neither makes an image of anything: nothing is certain of their ranges, which is said with the figures."""
    doubt = meet(build_whole("UShaped", 2), build("LongSkip", 2)).doubt
    figures = r"of lr's contrast (\d\.\d+) is lost, of one 255 times as large (\d\.\d+), 255 times as small (\d\.\d+)"
    found = re.findall(figures, doubt)
    assert re.findall(r"the (\w+), (\w+), makes no image", doubt) == [("model", "UShaped"), ("base", "LongSkip")]
    assert all(0.7 < float(figure) < 2 for row in found for figure in row), found


def test_what_biases_drown_is_told_and_taken() -> None:
    with pytest.warns(RangeWarning, match=r"the base, Biased, makes no image of a picture in 0..1: of lr's") as told:
        net = mga.accelerate(Bicubic(), base=Biased(), p=16)
    assert net.is_pair
    assert [one.filename for one in told if one.category is RangeWarning] == [__file__]
    shown = mga.inspect(Biased(), base=Bicubic())
    assert "Doubtful: the model, Biased, makes no image" in " ".join(str(shown).split())
    assert not meet(Bicubic(), Bicubic(strange=lambda x: x + 0.01)).doubt


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ELAN_light_x4", "EMT_x3"])
def test_public_networks_of_bytes_are_noticed(name: str, shared: Path) -> None:
    wrapped = read_public(shared / "weights" / f"{name}.pth")
    assert isinstance(wrapped, UnitRange)
    small = Bicubic(int(name[-1]))
    with pytest.raises(ArgumentError, match=rf"the model, {type(wrapped.inner).__name__}, makes a better .* 255 times"):
        meet(wrapped.inner, small)
    assert meet(wrapped, small).scale == small.scale


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SMFANet_x4", "IMDN_nb8_x4"])
def test_public_networks_of_0_to_1_are_taken(name: str, shared: Path) -> None:
    assert meet(read_public(shared / "weights" / f"{name}.pth"), Bicubic(4)).scale == 4
