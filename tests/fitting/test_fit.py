"""Fitting: better than before, never worse, in its time, and nothing of the original's is touched."""

from __future__ import annotations

import copy
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from toys.plain import build

import mga_wrap as mga
from mga_wrap.pictures.synthetic import synthetic


def picture(number: int, side: int = 96) -> np.ndarray:
    """(side, side, 3) uint8: another part of one large picture for each number."""
    large = synthetic(4 * side, 4 * side)[0].permute(1, 2, 0).numpy()
    top, left = number // 4 % 4 * side, number % 4 * side
    return (large[top : top + side, left : left + side] * 255).round().astype(np.uint8)


PICTURES = [picture(number) for number in range(8)]


def fresh(tail: str = "light", **options: object) -> mga.MGANet:
    return mga.accelerate(build("LongSkip", 2), coarse_tail=tail, p=4, halo="exact", **options)


@pytest.fixture(scope="module")
def fitted() -> tuple[mga.MGANet, mga.FitReport]:
    net = fresh()
    return net, mga.fit(net, PICTURES, seconds=6)


@pytest.mark.slow
def test_it_is_nearer_to_the_original_than_before(fitted: tuple[mga.MGANet, mga.FitReport]) -> None:
    _, report = fitted
    assert [row.share for row in report.after] == [0.0, 0.1, 0.2, 0.3]
    for old, new in zip(report.before, report.after, strict=True):
        assert new.fidelity > old.fidelity
    fidelity = [row.fidelity for row in report.after]
    assert fidelity == sorted(fidelity)
    assert report.crops >= 16
    assert report.steps > 0


def test_the_report_is_a_table(fitted: tuple[mga.MGANet, mga.FitReport]) -> None:
    lines = str(fitted[1]).splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
def test_it_ends_in_its_time(fitted: tuple[mga.MGANet, mga.FitReport]) -> None:
    start = time.monotonic()
    report = mga.fit(fresh(), PICTURES, seconds=3)
    assert report.seconds <= time.monotonic() - start < 3 + 4  # the machine may be busy


@pytest.mark.slow
@pytest.mark.parametrize("tail", ["light", "copy"])
def test_the_originals_weights_stay(tail: str) -> None:
    model = build("LongSkip", 2)
    net = mga.accelerate(model, coarse_tail=tail, p=4)
    lr = torch.rand(1, 3, 20, 17)
    mga.fit(net, PICTURES[:3], seconds=2)
    with torch.no_grad():
        assert torch.equal(net(lr, k="dense"), model(lr))


def test_no_seconds_measure_and_change_nothing() -> None:
    net = fresh()
    before = copy.deepcopy(net.state_dict())
    report = mga.fit(net, PICTURES[:2], seconds=0)
    assert report.before == report.after
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0, equal_nan=True)
    assert not net.fitted


def test_modes_gradients_and_random_state_are_as_before() -> None:
    net = fresh().train()
    net.refine.eval()
    modes = [module.training for module in net.modules()]
    grads = [parameter.requires_grad for parameter in net.parameters()]
    state = torch.get_rng_state()
    mga.fit(net, PICTURES[:2], seconds=1)
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == grads
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_auto_refines_more_where_less_may_be_lost(fitted: tuple[mga.MGANet, mga.FitReport]) -> None:
    net = copy.deepcopy(fitted[0]).eval()
    lr = torch.from_numpy(picture(9)).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        trace = net.trace(lr)
        net.mask.calibration[:, 1] = 1
        # A network of random weights is far from any real image: let it leave as little as refining takes away.
        net.mask.level[0, 1] += (
            trace.score.mean()
            - net.mask.predict(net.mask.statistics(trace.feature, lr, trace.coarse, p=4))[:, 1].mean()
        )
        shares = [net.trace(lr, k="auto", max_loss=loss).share for loss in (0.01, 0.1, 1.0)]
        assert shares == sorted(shares, reverse=True)
        assert shares[0] > shares[-1]
        assert torch.equal(net(lr, k="auto"), net.trace(lr, k="auto").sr)
        assert net(torch.cat([lr, lr]), k="auto").shape[0] == 2
    net.max_loss = 0.5
    assert net.config.max_loss == 0.5
    with pytest.raises(mga.ArgumentError, match="got max_loss=0; expected dB, a number above 0"):
        net.max_loss = 0


def test_it_is_saved(fitted: tuple[mga.MGANet, mga.FitReport], tmp_path: Path) -> None:
    net, _ = fitted
    net.save_pretrained(tmp_path)
    again = mga.from_pretrained(tmp_path, model=build("LongSkip", 2))
    lr = torch.rand(1, 3, 16, 16)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(again(lr, k="auto"), net.eval()(lr, k="auto"))
    assert again.fitted


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "file", "pil", "array", "grey", "tensor", "batch", "mixed"])
def test_every_kind_of_images(kind: str, tmp_path: Path) -> None:
    for number, values in enumerate(PICTURES[:2]):
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    tensor = torch.from_numpy(PICTURES[0]).permute(2, 0, 1) / 255
    given = {
        "folder": tmp_path,
        "file": str(tmp_path / "0.png"),
        "pil": Image.fromarray(PICTURES[0]),
        "array": PICTURES[0],
        "grey": PICTURES[0][..., 0],
        "tensor": tensor,
        "batch": torch.stack([tensor, tensor.flip(1)]),
        "mixed": [PICTURES[0], tensor, Image.fromarray(PICTURES[1]), tmp_path / "1.png"],
    }[kind]
    assert mga.fit(fresh(), given, seconds=0.5).crops >= 16


def nan_network() -> mga.MGANet:
    net = fresh()
    with torch.no_grad():
        next(net.refine.parameters()).fill_(torch.nan)
    return net


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: mga.fit(fresh(), []), mga.ArgumentError, "got no images; expected a folder with some"),
        (lambda: mga.fit(fresh(), "no/such/folder"), mga.ImageError, "no/such/folder"),
        (lambda: mga.fit(fresh(), 3), mga.ArgumentError, "got images of type int; expected a folder, a file"),
        (lambda: mga.fit(fresh(), [picture(0, 8)]), mga.ImageError, "the largest of 8 x 8 pixels; expected at least"),
        (lambda: mga.fit(fresh(), PICTURES, seconds=-1), mga.ArgumentError, "got seconds=-1; expected 0 or more"),
        (lambda: mga.fit(fresh(), PICTURES, seconds=float("nan")), mga.ArgumentError, "got seconds=nan"),
        (
            lambda: mga.fit(build("LongSkip", 2), PICTURES),
            mga.ArgumentError,
            "got net of type LongSkip; expected an MG",
        ),
        (
            lambda: mga.fit(mga.accelerate(build("LongSkip", 2), style="paper"), PICTURES),
            mga.ArgumentError,
            "style 'paper', which has no original's output",
        ),
        (lambda: mga.fit(nan_network(), PICTURES), mga.TrainingError, "the original returns NaN or infinity"),
    ],
)
def test_what_cannot_be_fitted(call: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_network_that_was_not_fitted_says_so_once() -> None:
    net, lr = fresh().eval(), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            net(lr, k="dense")  # the original: nothing new runs
        with pytest.warns(mga.UnfittedWarning, match=r"mga_wrap.fit\(net, images\), which takes a minute"):
            net(lr)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            net(lr, k=0)


def test_accelerate_can_fit_at_once() -> None:
    net = mga.accelerate(build("LongSkip", 2), coarse_tail="light", p=4, fit=PICTURES[:2], seconds=1)
    assert net.fitted
    assert isinstance(net.base.coarse_tail, nn.Module)
