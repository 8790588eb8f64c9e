"""Peak memory: of the image alone, whatever this process has held before."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from mga_wrap.bench.memory import peak_memory
from mga_wrap.errors import MGAError
from mga_wrap.infer.engine import Format

pytestmark = pytest.mark.slow

PLAIN = Format(channels_last=False, dtype=torch.float32)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@linux
def test_it_is_what_the_image_needs() -> None:
    held = torch.ones(80, 2**20)  # 320 MiB here, which the other process must not count
    lr = torch.rand(1, 3, 256, 256)
    taken = peak_memory(nn.Upsample(scale_factor=8), lr, run_format=PLAIN)
    assert held.numel()
    assert taken is not None
    assert 48 <= taken / 2**20 <= 58  # 3 x 2048 x 2048 float32 are 48 MiB


@linux
@pytest.mark.parametrize(
    ("net", "text"),
    [
        (nn.Conv2d(4, 3, 1), "could not be measured in another process: RuntimeError: .*channels"),
        (type("Local", (nn.Conv2d,), {})(3, 3, 1), "Local cannot be handed to another process"),
    ],
)
def test_a_network_that_fails_there_is_told(net: nn.Module, text: str) -> None:
    with pytest.raises(MGAError, match=text):
        peak_memory(net, torch.rand(1, 3, 8, 8), run_format=PLAIN)


def test_other_devices_are_not_measured() -> None:
    assert peak_memory(nn.Identity(), torch.rand(1, 3, 8, 8, device="meta"), run_format=PLAIN) is None
