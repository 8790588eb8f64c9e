"""The examples in the docstrings run as they stand."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toys.plain import build
from toys.trainings import FINETUNE, smooth

import mga_wrap as mga


def example(thing: Callable[..., object]) -> str:
    found = re.search(r"Example:\n\s+```python\n(.*?)```", textwrap.dedent(inspect.getdoc(thing) or ""), re.DOTALL)
    assert found is not None, f"{thing.__name__} has no example"
    return textwrap.dedent(found[1])


def test_the_trainers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mga_wrap.train.trainer.FINETUNE_STAGES", FINETUNE)
    smooth(Path("photos"))
    model = build("LongSkip", 2)
    names = {"mga": mga, "model": model}
    exec(example(mga.MGATrainer), names)
    lr = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        assert torch.equal(names["net"](lr, k="dense"), model(lr))
    assert Path("runs/mine/log.csv").exists()


def test_least_squares() -> None:
    model, lr = build("LongSkip", 2), torch.rand(2, 3, 40, 40)
    names = {"mga": mga, "model": model, "lr": lr}
    with torch.no_grad():
        exec(example(mga.fit_coarse_tail), names)
        plain = torch.nn.functional.interpolate(lr, scale_factor=2, mode="bilinear")
        wanted = model(lr)
    assert 0 < names["share"] <= 1
    assert (names["coarse"] - wanted).square().mean() < (plain - wanted).square().mean()
