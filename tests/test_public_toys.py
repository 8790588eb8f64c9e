"""Published networks as written for the tests: their checkpoints, which lie beside the repository, give the PSNR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys.public import read_public

from mga_wrap.pictures.arrays import array_from, batch_from
from mga_wrap.pictures.metrics import psnr

SET5 = {
    "IMDN_nb8_x4": 32.247,
    "SMFANet_x3": 34.418,
    "SMFANet_x4": 32.252,
    "SMFANet_plus_x4": 32.511,
    "ELAN_light_x4": 32.438,
    "EMT_x3": 34.793,
}
"""PSNR on luma in dB, as measured with the LR images that MATLAB made: what the checkpoints come with says so."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SET5)
def test_set5(name: str, shared: Path, set5: dict[str, np.ndarray], set5_lr: dict[tuple[str, int], np.ndarray]) -> None:
    model = read_public(shared / "weights" / f"{name}.pth")
    scale = int(name[-1])
    found = []
    for image, hr in set5.items():
        lr = set5_lr[image, scale]
        with torch.inference_mode():
            sr = array_from(model(batch_from(lr)), lr)
        found.append(psnr(sr, hr[: sr.shape[0], : sr.shape[1]], border=scale))
    assert np.mean(found) == pytest.approx(SET5[name], abs=0.002)
