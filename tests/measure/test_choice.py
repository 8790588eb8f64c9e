"""The choice of patches beside the best one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.measure.choice import MEAN, choice_grid, choice_means, choice_rows
from mga_wrap.pictures import psnr, resize_bicubic
from mga_wrap.pictures.files import Picture
from mga_wrap.pictures.synthetic import synthetic

HR = (synthetic(48, 64)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
LR = Picture(resize_bicubic(HR, 1 / 2).astype(np.float32) / 255)


@pytest.fixture(scope="module")
def net() -> mga.MGANet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mga.CostWarning)  # a toy, whose cut costs more than it saves
        net = mga.accelerate(build("LongSkip", 2), coarse_tail="light", p=4, halo="exact", split_at=1)
    net.said_unfitted = True
    return net.eval()


def test_nothing_and_everything_leave_no_choice(net: mga.MGANet) -> None:
    nothing, everything = choice_rows(net, LR, HR, ks=[0, 1.0], name="one")
    assert (nothing.share, everything.share) == (0.0, 1.0)
    assert nothing.regret == everything.regret == 0
    assert everything.loss == pytest.approx(0, abs=1e-3)  # the halo is exact
    assert everything.fidelity > nothing.fidelity


def test_the_loss_is_that_of_what_the_network_makes(net: mga.MGANet) -> None:
    (row,) = choice_rows(net, LR, HR, ks=[0.25], name="one")
    lr = torch.from_numpy(LR.rgb).permute(2, 0, 1)[None]
    with torch.inference_mode():
        images = [net(lr, k=k)[0].permute(1, 2, 0).clamp(0, 1) * 255 for k in (0.25, "dense")]
    mine, original = (psnr((image + 0.5).floor().byte().numpy(), HR, border=2) for image in images)
    assert row.loss == pytest.approx(original - mine, abs=1e-4)


def test_a_perfect_score_has_no_regret(net: mga.MGANet, monkeypatch: pytest.MonkeyPatch) -> None:
    lr = torch.from_numpy(LR.rgb).permute(2, 0, 1)[None]
    with torch.inference_mode():
        coarse, original = net(lr, k=0), net(lr, k="dense")
    weights = torch.tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1) / 255
    squared = ((coarse.clamp(0, 1) - original.clamp(0, 1)) * weights).sum(dim=1, keepdim=True).square()
    true = torch.nn.functional.avg_pool2d(squared, 8).add(1e-12).log()
    monkeypatch.setattr(net.mask, "forward", lambda *_, **__: torch.cat([true, true], dim=1))
    (perfect,) = choice_rows(net, LR, HR, ks=[0.3], name="one")
    assert perfect.regret == 0
    monkeypatch.setattr(net.mask, "forward", lambda *_, **__: torch.cat([-true, -true], dim=1))
    (worst,) = choice_rows(net, LR, HR, ks=[0.3], name="one")
    assert worst.fidelity < perfect.fidelity


def test_means_and_table(net: mga.MGANet) -> None:
    rows = [row for name in ("one", "two") for row in choice_rows(net, LR, HR, ks=[0, 0.5], name=name)]
    means = choice_means(rows)
    assert [(row.picture, row.asked) for row in means] == [(MEAN, "0"), (MEAN, "0.5")]
    assert means[1].loss == pytest.approx(rows[1].loss)
    grid = choice_grid(rows, title="x")
    assert [line[0] for line in grid.lines] == ["0", "0.5"]
    assert max(map(len, grid.as_text(80).splitlines())) <= 80


def test_what_has_no_choice_is_refused(net: mga.MGANet) -> None:
    with pytest.raises(mga.ArgumentError, match="which choose nothing; expected 0, a number, a share"):
        choice_rows(net, LR, HR, ks=["dense"], name="one")
    paper = mga.from_pretrained("fsrcnn-m-x2")
    with pytest.raises(mga.ArgumentError, match="style 'paper', whose refinement has no original"):
        choice_rows(paper, LR, HR, ks=[0], name="one")
