"""The ways in which one network is run for a table: how much is refined, in patches of which side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mga_wrap.config import Amount, check_k
from mga_wrap.errors import ArgumentError
from mga_wrap.nets.mga import MGANet

ORIGINAL = "original"
"""As a k: the network that was accelerated, without coarse tail, mask and patches."""
_VARIANTS = {0: "B", "dense": "D", "all": "A", ORIGINAL: ORIGINAL}


@dataclass(frozen=True)
class Setting:
    """One column of a table."""

    k: Amount | None
    """As `MGANet.forward` takes it, or `ORIGINAL`; None for a network that has no k."""
    p: int | None = None
    """Patch side in pixels of the feature; None is the network's own."""

    @property
    def variant(self) -> str:
        """The paper's letter: B coarse only, D dense, A every patch, M a choice; or "original", or nothing."""
        return variant_of(self.k)


def variant_of(k: Amount | None) -> str:
    """The paper's letter for a k, see `Setting.variant`."""
    if k is None:
        return ""
    return "M" if isinstance(k, float) else _VARIANTS.get(k, "M")


def label(k: Amount | None, p: int | None) -> str:
    """A column's heading: "k = 240", with p where it is not the network's own."""
    if k == ORIGINAL:
        return ORIGINAL
    return f"k = {k}" + ("" if p is None else f", p = {p}")


def settings_of(net: MGANet, ks: Sequence[Amount], *, ps: Sequence[int] = ()) -> list[Setting]:
    """Every k at every p. What refines no chosen patches is the same at every p and comes once.

    A number of patches is meant at the network's own p, and scaled so that k * p² stays: the same area is refined
    (Table 10). A share stays a share.

    Raises:
        ArgumentError: a k or p that cannot be.
    """
    for p in ps:
        if p < 1:
            raise ArgumentError(f"got p={p}; expected a patch side of at least 1 pixel")
    settings: list[Setting] = []
    for k in ks:
        if k in (0, "dense", ORIGINAL) or not ps:
            settings.append(Setting(k))
        else:
            settings += [Setting(_of_one_area(k, net.p, p), p) for p in ps]
    return list({repr(setting): setting for setting in settings}.values())  # 1 and 1.0 are not the same k


def variants(net: MGANet) -> list[Amount]:
    """A k for each of the paper's variants B, M, A, D, and the original where the network holds it."""
    from mga_wrap.cut.original import original_of

    own: list[Amount] = [] if net.k in (0, "all", "dense") else [net.k]
    found: list[Amount] = [0, *own, "all", "dense"]
    try:
        original_of(net)
    except ArgumentError:
        return found
    return [*found, ORIGINAL]


def check_setting(k: Amount) -> Amount:
    """`check_k`, for the original too."""
    return k if k == ORIGINAL else check_k(k)


def with_patch(net: MGANet, p: int | None) -> MGANet:
    """The network with patches of another side: the same layers, which take windows of any side."""
    if p is None or p == net.p:
        return net
    return net.with_cut(config=replace(net.config, p=p))


def _of_one_area(k: Amount, own: int, p: int) -> Amount:
    return max(1, round(k * own**2 / p**2)) if isinstance(k, int) else k
