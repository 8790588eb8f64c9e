"""Calls of a network's modules, caught and remembered, and torch's log meanwhile."""

from __future__ import annotations

import copy
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from toys.plain import C, build

from mga_wrap.graph.calls import Known, alone_with, caught, quiet, tensors_in


@contextmanager
def names_of_calls(model: nn.Module) -> Iterator[list[str]]:
    names: list[str] = []

    def take(name: str, call: Any, args: Any, kwargs: Any) -> Any:
        names.append(name)
        return call(*args, **kwargs)

    with caught(model, take):
        yield names


def test_every_call_of_this_network_is_caught_and_of_no_other() -> None:
    model, twin, lr = build("LongSkip", 2), build("LongSkip", 2), torch.rand(1, 3, 8, 8)
    expected = model(lr)
    with names_of_calls(model) as names:
        twin(lr)
        assert names == []
        assert torch.equal(model(lr), expected)
    inside = [f"body.{n}{part}" for n in range(4) for part in ("", ".conv1", ".act", ".conv2")]
    assert names == ["head", "body", *inside, "body.4", "tail", "tail.0", "tail.1"]
    model(lr)
    assert len(names) == 22
    assert all("_compiled_call_impl" not in vars(module) for module in model.modules())


def test_a_caught_call_runs_the_hooks_and_may_be_replaced() -> None:
    model, lr = build("LongSkip", 2), torch.rand(1, 3, 8, 8)
    model.body.register_forward_hook(lambda module, inputs, output: 0 * output)
    with torch.no_grad(), names_of_calls(model):
        assert torch.equal(model(lr), model.tail(model.head(lr)))
    with torch.no_grad(), caught(model, lambda name, call, args, kwargs: args[0] if name == "body" else call(*args)):
        assert torch.equal(model(lr), model.tail(2 * model.head(lr)))


def test_catching_ends_with_an_error_too_and_a_copy_is_free_of_it() -> None:
    model = build("LongSkip", 2)
    with names_of_calls(model) as names:
        copy.deepcopy(model)(torch.rand(1, 3, 8, 8))
    assert names == []
    with pytest.raises(RuntimeError, match="channels"), names_of_calls(model):
        model(torch.rand(1, 4, 8, 8))
    assert all("_compiled_call_impl" not in vars(module) for module in model.modules())


def test_the_lock_is_the_models_own() -> None:
    one, two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    assert alone_with(one) is alone_with(one)
    assert alone_with(one) is not alone_with(two)


def test_a_known_call_is_not_made_again_and_its_macs_count() -> None:
    made: list[str] = []
    model, known, mode = build("LongSkip", 2), Known(), FakeTensorMode(allow_non_fake_inputs=True)
    model.body.register_forward_hook(lambda *_: made.append("body"))
    with mode, caught(model, known.call), known.counting():
        one = model(mode.from_tensor(torch.rand(1, 3, 8, 8)))
        once = known.macs
        two = model(mode.from_tensor(torch.rand(1, 3, 8, 8)))
    assert (one.shape, one.stride()) == (two.shape, two.stride())
    assert made == ["body"]
    assert known.macs == 2 * once
    assert once == 64 * 9 * (3 * C + 9 * C * C + C * 12)


def test_calls_on_real_tensors_are_made_each_time() -> None:
    known, model, lr = Known(), nn.Conv2d(3, 3, 1), torch.rand(1, 3, 4, 4)
    with torch.no_grad():
        results = [known.call("conv", model, (one,), {}) for one in (lr, lr + 1)]
        assert torch.equal(results[1], model(lr + 1))


def test_tensors_are_found_however_deep() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert tensors_in([one, {"a": (2, two)}, "x"]) == [one, two]


LOGGER = logging.getLogger("torch._subclasses.fake_tensor")


def test_torch_is_quiet_in_this_thread_alone(caplog: pytest.LogCaptureFixture) -> None:
    from concurrent.futures import ThreadPoolExecutor

    before = list(LOGGER.filters)
    with quiet(), caplog.at_level(logging.ERROR, logger=LOGGER.name):
        LOGGER.propagate, propagated = True, LOGGER.propagate
        LOGGER.error("mine")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(LOGGER.error, "of another").result()
        LOGGER.propagate = propagated
    assert before == LOGGER.filters
    assert "mine" not in caplog.messages


NETWORKS = {
    "torch.nn.Linear(3, 3)": r"Linear fails on an image of \(1, 3, 32, 24\): ",
    "torch.nn.LazyConv2d(3, 3)": r"has parameters without a shape .*run it once on an image",
    "KeyError_()": r"fails on an image of \(1, 3, 32, 24\): KeyError: 'no such key'",
    "Dict()": r"returns a dict with 'sr'; expected one image",
    "torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(4, 8, 1))": (
        r"Sequential fails on an image of \(1, 3, 32, 24\): "
    ),
}
SCRIPT = f"""
import sys, torch, mga_wrap as mga
class KeyError_(torch.nn.Conv2d):
    def __init__(self): super().__init__(3, 3, 1)
    def forward(self, x): return {{}}["no such key"]
class Dict(torch.nn.Conv2d):
    def __init__(self): super().__init__(3, 3, 1)
    def forward(self, x): return {{"sr": super().forward(x)}}
for network in ({", ".join(f"lambda: {network}" for network in NETWORKS)}):
    for call in (mga.accelerate, mga.inspect):
        try:
            call(network())
        except mga.CutError as error:
            print(error, file=sys.stderr)
"""


@pytest.mark.slow
def test_a_cut_error_is_all_that_is_said() -> None:
    """Torch's log of what failed on a fake image has hundreds of lines."""
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    said = result.stderr.splitlines()
    assert said[::2] == said[1::2]
    for line, expected in zip(said[::2], NETWORKS.values(), strict=True):
        assert re.search(expected, line)
