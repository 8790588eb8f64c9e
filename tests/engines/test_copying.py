"""Windows and patches by slices: the same pixels as by index."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mga_wrap.engines.copying import copy_windows, paste_patches, windows_at
from mga_wrap.nets.patches import gather, grid_size, paste

side = st.integers(3, 40)


@pytest.mark.parametrize("border", ["shift", "zero"])
@settings(max_examples=60, deadline=None)
@given(height=side, width=side, p=st.integers(2, 9), halo=st.integers(0, 4), ratio=st.integers(1, 3), data=st.data())
def test_slices_take_and_put_what_indices_do(
    border: Literal["shift", "zero"], height: int, width: int, p: int, halo: int, ratio: int, data: st.DataObject
) -> None:
    gh, gw = grid_size(height, width, p)
    index = data.draw(st.lists(st.integers(0, gh * gw - 1), min_size=1, max_size=5, unique=True))
    size, picked = (height, width), torch.tensor(index)[None]
    x = torch.rand(1, 2, ratio * height, ratio * width)
    short = x[..., : ratio * height - data.draw(st.integers(0, 1)), :] if border == "shift" else x  # before the feature
    expected = gather(short, picked, size=size, p=p, ratio=ratio, halo=halo, border=border)
    places = windows_at(index, size=size, p=p, halo=halo, border=border)
    into = np.empty(tuple(expected.shape), np.float32)
    copy_windows(short[0].numpy(), places, ratio=ratio, border=border, into=into)
    assert torch.equal(torch.from_numpy(into), expected)

    canvas = torch.rand_like(x)
    refined = torch.rand(tuple(expected.shape))
    pasted = paste(canvas, refined, picked, size=size, p=p, ratio=ratio, halo=halo, border=border)
    own = canvas[0].numpy().copy()
    paste_patches(own, refined.numpy(), places, p=p, zoom=ratio)
    assert torch.equal(torch.from_numpy(own), pasted[0])
