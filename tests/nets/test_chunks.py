"""The Refine-Net in chunks of windows: the same result, and only where it may."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.nets import chunks
from mga_wrap.nets.chunks import refine_windows
from mga_wrap.nets.layouts import Crossing

CROSSING = (Crossing("feature"), Crossing("weights", "image"), Crossing("mask", "shared"))


class Refine(nn.Module):
    """Adds what it is given, and notes how many windows came at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, feature: Tensor, an_image: Tensor, shared: Tensor) -> Tensor:
        self.seen.append(feature.shape[0])
        return feature * an_image + shared.sum()


def windows() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.rand(7, 3, 4, 5), torch.rand(7, 3, 1, 1), torch.rand(2, 2)]


@pytest.mark.parametrize(("pixels", "seen"), [(10_000, [7]), (7 * 20, [7]), (3 * 20, [3, 3, 1]), (1, [1] * 7)])
def test_chunks_hold_as_many_windows_as_fit(pixels: int, seen: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PIXELS", pixels)
    refine, given = Refine().eval(), windows()
    with torch.no_grad():
        out = refine_windows(refine, given, crossing=CROSSING)
    assert refine.seen == seen
    assert torch.equal(out, given[0] * given[1] + given[2].sum())


@pytest.mark.parametrize("training", [False, True])
def test_what_is_trained_sees_its_whole_batch(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PIXELS", 1)
    refine = Refine().train(training)
    with torch.set_grad_enabled(not training):
        refine_windows(refine, windows(), crossing=CROSSING)
    assert refine.seen == [7]


@pytest.mark.parametrize("name", ["fsrcnn", "pan"])
def test_a_network_in_chunks_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)  # of some random networks the last bits are larger than the tolerance
    net, lr = accelerate(create_backbone(name, scale=2), p=8).eval(), torch.rand(2, 3, 30, 41)
    with torch.inference_mode():
        expected = net(lr, k=11)
        monkeypatch.setattr(chunks, "PIXELS", 500)
        torch.testing.assert_close(net(lr, k=11), expected, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_a_graph_for_every_size_has_no_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PIXELS", 1)
    net = accelerate(create_backbone("fsrcnn", scale=2), p=4, k=0.5).eval()
    sizes = {2: Dim("H", min=12, max=512), 3: Dim("W", min=12, max=512)}
    with torch.no_grad():
        program = torch.export.export(net, (torch.rand(1, 3, 24, 20),), dynamic_shapes={"lr": sizes}).module()
        lr = torch.rand(1, 3, 37, 61)
        torch.testing.assert_close(program(lr), net(lr), atol=1e-6, rtol=0)
