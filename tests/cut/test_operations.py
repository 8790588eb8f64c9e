"""What tells two blocks that do the same from two that do not."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
import torch
from torch import Tensor, nn
from toys.plain import BranchingBlock, Residual, conv

from mga_wrap.cut.operations import Operations


def done(call: Callable[[Tensor], Tensor]) -> Hashable:
    image = torch.rand(1, 8, 6, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), Operations() as operations:
        call(image)
    return operations.signature()


def test_other_weights_do_the_same() -> None:
    assert done(Residual()) == done(Residual())
    hash(done(Residual()))


def test_what_is_off_in_eval_mode_does_not_count() -> None:
    dropped = [nn.Sequential(conv(8, 8), nn.Dropout(rate)).eval() for rate in (0.1, 0.5)]
    assert done(dropped[0]) == done(dropped[1])


class Crossed(nn.Module):
    """The operations of `Residual` in the same order, but both convolutions see the input."""

    def __init__(self, *, in_a_row: bool) -> None:
        super().__init__()
        self.one, self.two, self.in_a_row = conv(8, 8), conv(8, 8), in_a_row

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        two = self.two(one if self.in_a_row else x)
        return one + two


class Shifted(nn.Module):
    def __init__(self, shift: int, order: tuple[int, ...]) -> None:
        super().__init__()
        self.shift = shift
        self.register_buffer("order", torch.tensor(order))

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(self.shift, 2)[..., self.order]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Crossed(in_a_row=True), Crossed(in_a_row=False)),
        (BranchingBlock(0), BranchingBlock(1)),
        (conv(8, 8), conv(8, 8, 1)),
        (nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=2, dilation=2)),
        (Shifted(0, (0, 1, 2)), Shifted(2, (0, 1, 2))),
        (Shifted(2, (0, 1, 2)), Shifted(2, (0, 2, 1))),
        (lambda x: x * 0.1, lambda x: x * 0.2),
    ],
)
def test_what_does_something_else_is_told_apart(one: nn.Module, two: nn.Module) -> None:
    assert done(one) == done(one)
    assert done(one) != done(two)


def test_a_tensor_that_is_gone_is_not_taken_for_a_new_one_at_its_place() -> None:
    def many(x: Tensor) -> Tensor:
        for _ in range(50):
            x = x + 1
        return x

    assert done(many) == done(many)
