"""The true error mask against values worked out by hand, and how a predicted one is compared with it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from toys.plain import build

import mga_wrap as mga
from mga_wrap.errors import ArgumentError
from mga_wrap.measure.error_mask import Agreement, agreement, true_mask
from mga_wrap.pictures.metrics import LUMA


class Stub:
    """Stands for a network whose two images are known."""

    p = 2
    geometry = SimpleNamespace(zoom=2)

    def __init__(self, coarse: Tensor, refined: Tensor, *, grid: tuple[int, int] | None = None) -> None:
        self.images, self.grid = (coarse, refined), grid

    def trace(self, lr: Tensor, *, k: str) -> SimpleNamespace:
        assert k == "all"
        grid = self.grid or [-(-side // self.p) for side in lr.shape[2:]]
        return SimpleNamespace(coarse=self.images[0], sr=self.images[1], score=torch.zeros(lr.shape[0], *grid))


def test_the_true_mask_by_hand() -> None:
    """One pixel changes by 0.5 in red, one by 0.2 in grey; patches of 2 x 2 feature pixels are 4 x 4 of sr."""
    coarse = torch.full((1, 3, 8, 8), 0.5)
    refined = coarse.clone()
    refined[0, 0, 0, 0] = 0.0  # first patch
    refined[0, :, 7, 7] = 0.7  # last patch
    red, white = 0.5 * LUMA[0], 0.2 * sum(LUMA)
    expected = torch.tensor([[[red / white, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(true_mask(Stub(coarse, refined), torch.zeros(1, 3, 4, 4)), expected)


def test_each_image_is_normalised_by_itself() -> None:
    coarse = torch.zeros(2, 3, 8, 8)
    refined = coarse.clone()
    refined[0, :, :4, :4] = 1.0
    refined[1, :, 4:, :4] = 0.01
    mask = true_mask(Stub(coarse, refined), torch.zeros(2, 3, 4, 4))
    assert torch.equal(mask, torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]]))


def test_where_nothing_changes_the_mask_is_zero() -> None:
    image = torch.full((1, 3, 6, 6), 0.3)
    assert torch.equal(true_mask(Stub(image, image), torch.zeros(1, 3, 3, 3)), torch.zeros(1, 2, 2))


def test_partial_patches_average_over_what_they_have() -> None:
    coarse = torch.zeros(1, 3, 6, 6)  # feature 3 x 3, patches of 2: the last row and column are cut
    refined = coarse.clone()
    refined[..., 4:, 4:] = 1.0
    mask = true_mask(Stub(coarse, refined), torch.zeros(1, 3, 3, 3))
    assert torch.equal(mask, torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]))


@pytest.mark.parametrize("size", [(8, 8), (9, 5), (1, 1), (3, 17)])
def test_the_mask_of_a_network_lies_in_0_to_1_on_its_grid(size: tuple[int, int]) -> None:
    net = mga.accelerate(build("LongSkip", 3), style="paper")
    lr = torch.rand(2, 3, *size)
    with torch.no_grad():
        mask = true_mask(net, lr)
        assert mask.shape == net.trace(lr).score.shape
    assert mask.min() >= 0
    assert mask.max() <= 1
    if mask[0].numel() > 1:
        assert torch.equal(mask.amax(dim=(1, 2)), torch.ones(2))
        assert torch.equal(mask.amin(dim=(1, 2)), torch.zeros(2))


def test_a_padded_feature_has_patches_beyond_the_image_where_nothing_changes() -> None:
    coarse = torch.zeros(1, 3, 8, 8)
    mask = true_mask(Stub(coarse, coarse + 1, grid=(2, 3)), torch.zeros(1, 3, 4, 4))
    assert mask.shape == (1, 2, 3)
    assert torch.equal(mask[..., 2], torch.zeros(1, 2))


def test_agreement_counts_what_both_masks_choose() -> None:
    true = torch.arange(12.0).view(3, 4)
    predicted = true.clone()
    predicted[2, 3] = -1  # the neediest is missed
    found = agreement(predicted, true, k=4)
    assert found == Agreement(k=4, patches=12, both=3)
    assert (found.accuracy, found.chance) == (0.75, pytest.approx(1 / 3))
    assert agreement(true, true, k=5).accuracy == 1
    assert agreement(-true, true, k=6).accuracy == 0


def test_no_more_patches_are_compared_than_there_are() -> None:
    assert agreement(torch.zeros(2, 3), torch.ones(2, 3), k=200) == Agreement(k=6, patches=6, both=6)


def test_masks_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"masks of shapes \(2, 3\) and \(3, 2\); expected one grid"):
        agreement(torch.zeros(2, 3), torch.zeros(3, 2), k=1)
    with pytest.raises(ArgumentError, match="got k=0; expected at least 1 patch"):
        agreement(torch.zeros(2, 3), torch.zeros(2, 3), k=0)
