"""How large patches and halos are: given, by default, or as the network needs them."""

from __future__ import annotations

from typing import Literal

from mga_wrap.cut.crossing import Interface
from mga_wrap.errors import ArgumentError, CutError

Style = Literal["pretrained", "paper"]
Halo = int | Literal["exact"]

PATCH: dict[Style, tuple[int, int]] = {"pretrained": (16, 2), "paper": (4, 1)}
"""(p, halo) of a style unless they are given."""


def patch_side(p: int | None, style: Style) -> int:
    """The patch side p.

    Raises:
        ArgumentError: it is no whole number of at least 1.
    """
    return _at_least("p", PATCH[style][0] if p is None else p, 1)


def halo_of(halo: Halo | None, *, p: int, style: Style, crosses: Interface, reach: int | None, why: str = "") -> int:
    """The halo that is meant.

    Args:
        halo: a number of pixels; "exact": the receptive field; None: the smallest that the network takes from the
            style's default on.
        p: the patch side.
        style: of the cut.
        crosses: what crosses the cut; says which windows the network takes.
        reach: the Refine-Net's receptive field, for "exact"; None: no halo is exact.
        why: the reason for that.

    Raises:
        ArgumentError: halo is none of the above.
        CutError: the network does not take windows of p + 2 * halo, or no halo is exact.
    """
    multiple = crosses.multiple
    spare = -(-crosses.spare // crosses.stride)  # at a window's edge; the halo has to hold it
    if halo == "exact":
        if reach is None:
            raise CutError(
                f"got halo='exact'; no halo makes refined patches exact here: {why}; give a number of pixels"
            )
        if p % multiple:
            raise CutError(
                f"got p={p} with halo='exact'; the network works in windows of {multiple} x {multiple}, which patches "
                f"have to keep to: give p={_up(p, multiple)}"
            )
        return _up(max(reach, spare), multiple)
    wanted = PATCH[style][1] if halo is None else _at_least("halo", halo, 0)
    least = max(wanted, spare)
    fitting = next((h for h in range(least, least + multiple + 1) if (p + 2 * h) % multiple == 0), None)
    if fitting is None:
        raise CutError(
            f"got p={p}; the network works in windows whose sides are multiples of {multiple}, and p + 2 * halo is "
            f"none for any halo: give p={_up(p, multiple)}"
        )
    if halo is not None and fitting != wanted:
        raise CutError(
            f"got p={p} and halo={halo}, windows of {p + 2 * wanted}; the network works in windows whose sides are "
            f"multiples of {multiple}{', with a halo' if spare else ''}: give halo={fitting}, or leave halo out"
        )
    return fitting


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _at_least(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"got {name}={value!r}; expected a whole number of pixels, at least {least}")
    return value
