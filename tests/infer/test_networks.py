"""network_for: which network is meant, where it lies, and that it is loaded once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import ArgumentError
from mga_wrap.infer import network_for, networks, upscale
from mga_wrap.infer.networks import device_of, embedded, pick_device
from mga_wrap.nets.mga import MGANet


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub whose networks are made on the spot; the list holds each name that was loaded."""
    loaded: list[str] = []

    def from_pretrained(name: str) -> MGANet:
        loaded.append(name)
        time.sleep(0.05)  # long enough for other threads to ask meanwhile
        scale = int(name[-1]) if name[-1].isdigit() else 2
        return accelerate(create_backbone("fsrcnn", scale=scale), style="paper")

    monkeypatch.setattr(networks, "from_pretrained", from_pretrained)
    networks._pretrained.cache_clear()
    yield loaded
    networks._pretrained.cache_clear()


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, networks.EMBEDDED[4]), ({"scale": 3}, networks.EMBEDDED[3]), ({"model": "fsrcnn-m-x2"}, "fsrcnn-m-x2")],
)
def test_the_embedded_network_follows_the_scale_and_is_loaded_once(
    options: dict[str, Any], name: str, loads: list[str]
) -> None:
    for _ in range(2):
        out = upscale(np.zeros((6, 9, 3), dtype=np.uint8), device="cpu", **options)
    assert loads == [name]
    assert out.shape[0] == 6 * int(name[-1])


def test_a_pretrained_network_comes_in_eval_mode_and_asks_for_no_gradient(loads: list[str]) -> None:
    net = network_for("fsrcnn-m-x2", device="cpu")
    assert not any(module.training for module in net.modules())
    assert not any(p.requires_grad for p in net.parameters())


def test_threads_that_ask_at_once_get_one_network(loads: list[str]) -> None:
    barrier = threading.Barrier(8)

    def ask(_: int) -> nn.Module:
        barrier.wait(60)
        return network_for("fsrcnn-m-x4", device="cpu")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert loads == ["fsrcnn-m-x4"]
    assert {id(net) for net in found} == {id(found[0])}


def test_a_folder_that_is_written_anew_is_loaded_anew(loads: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    first = network_for(folder, device="cpu")
    assert network_for(folder, device="cpu") is first
    os.utime(folder / "config.json", ns=(1, 1))
    assert network_for(folder, device="cpu") is not first
    assert loads == [str(folder)] * 2


def test_a_network_that_is_given_is_never_moved_but_copied_to_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Conv2d(3, 3, 1)
    assert network_for(model) is model
    assert network_for(model, device="cpu") is model
    monkeypatch.setattr(networks, "pick_device", torch.device)  # meta stands for a GPU, which is not everywhere
    elsewhere = network_for(model, device="meta")
    assert elsewhere is not model
    assert (device_of(elsewhere), device_of(model)) == (torch.device("meta"), torch.device("cpu"))


def test_a_network_without_parameters_lies_nowhere() -> None:
    model = nn.Upsample(scale_factor=2)
    assert device_of(model) is None
    assert network_for(model, device="cpu") is model
    model.register_buffer("mean", torch.zeros(3))
    assert device_of(model) == torch.device("cpu")


def test_each_scale_has_a_network() -> None:
    assert embedded(None) == embedded(4) == networks.EMBEDDED[4]
    with pytest.raises(ArgumentError, match="got scale=7; the networks in the package enlarge by 2, 3 or 4: give a"):
        embedded(7)


def test_auto_is_a_device_that_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert pick_device("auto").type == expected
    assert pick_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("gpu", "got device='gpu'; expected auto, cpu, cuda, cuda:0, mps or the like"),
        ("meta", "got device='meta'; expected a device on which images can be computed, such as auto, cpu or cuda: "),
        ("vulkan", "got device='vulkan'; expected a device on which images can be computed"),
        ("xla", "got device='xla'; expected a device on which images can be computed"),
        (torch.device("meta"), r"got device=device\(type='meta'\); expected a device on which images can be computed"),
        ("cuda:99", "got device='cuda:99'; torch sees [0-9]+ CUDA devices: use auto or cpu"),
    ],
)
def test_a_device_on_which_nothing_is_computed_is_refused_in_one_line(device: Any, text: str) -> None:
    for refuse in (pick_device, lambda device: network_for("fsrcnn-m-x2", device=device)):
        with pytest.raises(ArgumentError, match=text) as caught:
            refuse(device)
        assert "\n" not in str(caught.value)


def test_a_network_without_values_is_refused_wherever_it_shall_run() -> None:
    for device in ("auto", "cpu"):
        with pytest.raises(ArgumentError, match="got a Conv2d on the device meta, which holds no values; expected a n"):
            network_for(nn.Conv2d(3, 3, 1, device="meta"), device=device)
