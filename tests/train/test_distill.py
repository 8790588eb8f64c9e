from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mga_wrap as mga
from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError, CutError, ImageError
from mga_wrap.networks import load_network
from mga_wrap.train.distill import BATCH, plan, scale_of, steps_in
from mga_wrap.train.distill import build_pair as make_pair


class Darker(nn.Module):
    """An original that is cheap and that no interpolation equals: bicubic, and darker, in any range of values."""

    def __init__(self, *, by: float = 0.8, scale: int = 2) -> None:
        super().__init__()
        self.by, self.times = nn.Parameter(torch.tensor(by)), scale

    def forward(self, lr: Tensor) -> Tensor:
        return F.interpolate(lr, scale_factor=self.times, mode="bicubic") * self.by


def pictures(number: int = 4, side: int = 128) -> list[np.ndarray]:
    y, x = np.mgrid[0:side, 0:side]
    waves = [np.stack([np.sin(x / (3 + i)), np.cos(y / (4 + i)), np.sin((x + y) / 7)], axis=-1) for i in range(number)]
    return [((0.5 + 0.3 * one) * 255).astype(np.uint8) for one in waves]


def small(scale: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return mga.create_backbone("student-half", scale=scale).eval()


@pytest.fixture(scope="module")
def found() -> tuple[nn.Module, mga.Distilled, dict[str, Tensor]]:
    start, teacher = small(), Darker()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mga_wrap.train.distill.steps_in", lambda *_, **__: 30)  # what is learnt hangs on no clock
        return start, mga.distill(teacher, pictures(), minutes=0.1, student=start), before


def test_it_comes_nearer_to_the_original(found: tuple[nn.Module, mga.Distilled, dict[str, Tensor]]) -> None:
    result = found[1]
    assert result.after > result.before + 1
    assert "->" in str(result)
    assert result.steps >= 1


def test_a_folder_is_a_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mga_wrap.train.distill.steps_in", lambda *_, **__: 1)
    mga.save_network(small(), tmp_path)
    result = mga.distill(Darker(), pictures(), minutes=0.1, student=str(tmp_path), perceptual=False)
    given = mga.distill(Darker(), pictures(), minutes=0.1, student=small(), perceptual=False)
    assert result.before == given.before
    for name, value in given.network.state_dict().items():
        torch.testing.assert_close(result.network.state_dict()[name], value, msg=name)


def test_neither_network_is_changed(found: tuple[nn.Module, mga.Distilled, dict[str, Tensor]]) -> None:
    start, _, before = found
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())
    assert not start.training


def test_the_result_is_plain_and_becomes_a_base(
    found: tuple[nn.Module, mga.Distilled, dict[str, Tensor]], tmp_path: Path
) -> None:
    network = found[1].network
    mga.save_network(network, tmp_path / "small")
    again = load_network(tmp_path / "small")
    lr = torch.rand(1, 3, 40, 48)
    with torch.inference_mode():
        assert torch.equal(again(lr), network(lr))
        net = mga.accelerate(Darker(), base=tmp_path / "small", p=16, halo=4)
        assert torch.equal(net(lr, k=0), network(lr))


def test_colours_and_sharpness_are_taught_where_the_original_is_far_from_the_pictures(
    found: tuple[nn.Module, mga.Distilled, dict[str, Tensor]],
) -> None:
    assert found[1].perceptual  # darker by a fifth: further than bicubic
    pair, _ = make_pair(Darker(), small(), CutConfig(p=16, halo=2))
    assert plan(pair, crop=48, seconds=1, fresh=False, perceptual=True).for_the_eye
    assert not plan(pair, crop=48, seconds=1, fresh=False, perceptual=False).for_the_eye


class Same(nn.Module):
    """The student is the original already: nothing can be learned."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.inner(lr)
        return sr


def test_never_worse_than_its_start() -> None:
    result = mga.distill(Same(small()), pictures(), minutes=0.02, student=small(), perceptual=False)
    assert result.after >= result.before


@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0])
def test_the_planned_steps_fit_into_the_time_and_one_more_does_not(seconds: float) -> None:
    def cost(steps: int) -> float:
        draws = steps * BATCH
        return min(draws, max(512, -(-draws // 8))) * 0.3 + steps * 0.1

    steps = steps_in(seconds, a_crop=0.3, a_step=0.1)
    assert steps == 1 or cost(steps) <= seconds
    assert cost(steps + 1) > seconds


def test_there_is_always_a_step() -> None:
    assert steps_in(-5, a_crop=1, a_step=1) == 1


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), True, "30"])
def test_other_times_are_refused(minutes: Any) -> None:
    with pytest.raises(ArgumentError, match=r"got minutes=.*above 0"):
        mga.distill(Darker(), pictures(), minutes=minutes, student=small())


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [
        (ArgumentError, {"model": Darker(scale=8)}, "enlarges by 8, for which the package has no student"),
        (ArgumentError, {"student": small(3)}, "student that enlarges by 3 for a model that enlarges by 2"),
        (ArgumentError, {"images": []}, "got no images"),
        (ArgumentError, {"model": 3}, "got model of type int"),
        (ArgumentError, {"precision": "fp8"}, "got precision='fp8'"),
        (CutError, {"model": Darker(by=float("nan"))}, "not finite"),
        (ImageError, {"images": pictures(1, side=40)}, "expected at least one of 96 x 96"),
    ],
    ids=["no student", "scale", "no images", "no network", "precision", "NaN", "too small"],
)
def test_bad_input_is_refused(kind: type[Exception], arguments: dict[str, Any], text: str) -> None:
    given = {"model": Darker(), "images": pictures(1), "student": small(), **arguments}
    if "no student" in text:
        given["student"] = None
    model, images = given.pop("model"), given.pop("images")
    with pytest.raises(kind, match=text):
        mga.distill(model, images, minutes=0.01, **given)


def test_an_accelerated_network_is_no_student_and_no_original() -> None:
    net = mga.accelerate(mga.create_backbone("fsrcnn", scale=2), split_at=2)
    with pytest.raises(ArgumentError, match="accelerated network as the student"):
        mga.distill(Darker(), pictures(1), minutes=1, student=net)
    with pytest.raises(ArgumentError, match="accelerated network as the model"):
        mga.distill(net, pictures(1), minutes=1, student=small())


def test_the_scale_is_found_by_running() -> None:
    assert [scale_of(Darker(scale=scale)) for scale in (1, 2, 3, 4)] == [1, 2, 3, 4]
