"""What `bench` may be asked for: its arguments, and whether the two networks belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from torch import Tensor, nn

from mga_wrap.bench.timing import Clock
from mga_wrap.errors import ArgumentError, one_line
from mga_wrap.infer.networks import device_of
from mga_wrap.nets.mga import MGANet


def check_networks(net: object, original: object) -> None:
    """An accelerated network and a plain one, on the same device.

    Raises:
        ArgumentError: they are not.
    """
    if not isinstance(net, MGANet):
        raise ArgumentError(f"got net of type {type(net).__name__}; expected an MGANet: see mga_wrap.accelerate")
    if isinstance(original, MGANet) or not isinstance(original, nn.Module):
        raise ArgumentError(
            f"got original of type {type(original).__name__}; expected the network that was accelerated, an nn.Module"
        )
    if device_of(net) != device_of(original):
        raise ArgumentError(
            f"got the accelerated network on {device_of(net)} and the original on {device_of(original)}; "
            "move one of them"
        )


def check_numbers(size: tuple[int, int], shares: Sequence[float], threads: int | None, repeats: int) -> None:
    """The numbers among the arguments.

    Raises:
        ArgumentError: one is out of its range.
    """
    if len(size) != 2 or not all(_counts(side) for side in size):
        raise ArgumentError(f"got size={size!r}; expected (width, height) in pixels, e.g. (640, 360)")
    if not shares or any(isinstance(share, bool) or not 0 < share <= 1 for share in shares):
        raise ArgumentError(f"got shares={shares!r}; expected one or more numbers in (0, 1], e.g. 0.25")
    if len(set(shares)) < len(shares):
        raise ArgumentError(f"got shares={shares!r}; expected each share once")
    if threads is not None and not _counts(threads):
        raise ArgumentError(f"got threads={threads!r}; expected a whole number, at least 1")
    if not _counts(repeats):
        raise ArgumentError(f"got repeats={repeats!r}; expected a whole number, at least 1")


def check_clock(net: MGANet, clock: Clock, threads: int | None) -> None:
    """A clock that there is, and that tells the truth for these threads on this device.

    Raises:
        ArgumentError: it does not.
    """
    if clock not in get_args(Clock):
        raise ArgumentError(f"got clock={clock!r}; expected one of {', '.join(get_args(Clock))}")
    device = device_of(net)
    if clock == "processor" and (threads != 1 or (device is not None and device.type != "cpu")):
        raise ArgumentError(
            f"got clock='processor' with threads={threads} on {device}; expected threads=1 on the CPU: several threads "
            "work several seconds in one"
        )


def check_pair(net: MGANet, original: nn.Module, lr: Tensor) -> None:
    """Run both once: the image may be too small, too large or of the wrong kind for either.

    Raises:
        ArgumentError: one fails, or they give images of different sizes.
    """
    try:
        sr = original(lr.clone())
        same = net(lr, k=0).shape == sr.shape
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        width, height = lr.shape[-1], lr.shape[-2]
        raise ArgumentError(
            f"the networks failed on an image of {width} x {height} ({one_line(error)}); give another size"
        ) from error
    if not same:
        raise ArgumentError(
            f"the original turns {tuple(lr.shape)} into {tuple(sr.shape)}, the accelerated network does not; give the "
            "network that was accelerated"
        )


def _counts(value: object) -> bool:
    """A whole number, at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
