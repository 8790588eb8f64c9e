"""How wide halos are: given, by default, or as the network's windows need them."""

from __future__ import annotations

from mga_wrap.config import PATCH, CutConfig
from mga_wrap.cut.crossing import Interface
from mga_wrap.errors import CutError


def usual_halo(*, p: int, multiple: int, spare: int, style: str = "pretrained") -> int:
    """The halo of a style, or the next that the network's windows allow.

    Args:
        p: patch side.
        multiple: of an `Interface`.
        spare: see `spare_of`.
        style: of the cut.

    Raises:
        CutError: none does.
    """
    halo = _fitting(max(PATCH[style][1], spare), p=p, multiple=multiple)
    if halo is None:
        raise _no_halo(p, multiple)
    return halo


def halo_of(config: CutConfig, crosses: Interface, *, reach: int | None = None, why: str = "") -> int:
    """The halo that is meant.

    Args:
        config: of the cut; its halo is a number of pixels, "exact" for the receptive field, or None for the smallest
            that the network takes from the style's default on.
        crosses: what crosses the cut; says which windows the network takes.
        reach: the Refine-Net's receptive field, for "exact"; None: no halo is exact.
        why: the reason for that.

    Raises:
        CutError: the network does not take windows of p + 2 * halo, or no halo is exact.
    """
    p, multiple, spare = config.p, crosses.multiple, spare_of(crosses)
    if config.halo == "exact":
        return _exact(p, multiple, reach if reach is None else max(reach, spare), why)
    if config.halo is None:
        return usual_halo(p=p, multiple=multiple, spare=spare, style=config.style)
    wanted = config.halo
    fitting = _fitting(max(wanted, spare), p=p, multiple=multiple)
    if fitting is None:
        raise _no_halo(p, multiple)
    if wanted != fitting:
        raise CutError(
            f"got p={p} and halo={wanted}, windows of {p + 2 * wanted}; the network works in windows whose sides are "
            f"multiples of {multiple}{', with a halo' if spare else ''}: give halo={fitting}, or leave halo out"
        )
    return fitting


def spare_of(crosses: Interface) -> int:
    """Feature pixels at a window's edge that the network does not fill; the halo has to hold them."""
    return -(-crosses.spare // crosses.stride)


def _exact(p: int, multiple: int, reach: int | None, why: str) -> int:
    if reach is None:
        raise CutError(
            "got halo='exact'; no halo makes refined patches exact here, because "
            f"{why or 'the Refine-Net looks at the whole map'}: give a number of pixels"
        )
    if p % multiple:
        raise CutError(
            f"got p={p} with halo='exact'; the network works in windows of {multiple} x {multiple}, which patches "
            f"have to keep to: give p={_up(p, multiple)}"
        )
    return _up(reach, multiple)


def _no_halo(p: int, multiple: int) -> CutError:
    return CutError(
        f"got p={p}; the network works in windows whose sides are multiples of {multiple}, and p + 2 * halo is "
        f"none for any halo: give p={_up(p, multiple)}"
    )


def _fitting(least: int, *, p: int, multiple: int) -> int | None:
    return next((halo for halo in range(least, least + multiple + 1) if (p + 2 * halo) % multiple == 0), None)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
