"""The ways in which one network is run for a table: how much is refined, in patches of which side; or the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mga_wrap.config import Amount
from mga_wrap.cut.original import original_of
from mga_wrap.errors import ArgumentError
from mga_wrap.nets.mga import MGANet

ORIGINAL = "original"
"""How tables, files and the command line name the network that was accelerated."""
_VARIANTS = {0: "B", "dense": "D", "all": "A"}


@dataclass(frozen=True)
class Setting:
    """One column of a table."""

    k: Amount | None = None
    """As `MGANet.forward` takes it; None for a network that has no k, and for the original."""
    p: int | None = None
    """Patch side in pixels of the feature; None is the network's own."""
    original: bool = False
    """The network that was accelerated, without coarse tail, mask and patches; then there is no k and no p."""

    def __post_init__(self) -> None:
        if self.original and (self.k is not None or self.p is not None):
            raise ArgumentError(f"got k={self.k!r} and p={self.p!r} for the original, which has neither; leave out")

    @property
    def variant(self) -> str:
        """The paper's letter: B coarse only, D dense, A every patch, M a choice; or "original", or nothing."""
        if self.original:
            return ORIGINAL
        if self.k is None:
            return ""
        return "M" if isinstance(self.k, float) else _VARIANTS.get(self.k, "M")

    @property
    def label(self) -> str:
        """A column's heading: "k = 240", with p where it is not the network's own."""
        if self.original:
            return ORIGINAL
        return ("as it is" if self.k is None else f"k = {self.k}") + ("" if self.p is None else f", p = {self.p}")

    @property
    def key(self) -> str:
        """Tells k=1, which is one patch, from k=1.0, which is all of them, though the two numbers are equal."""
        return repr(self)

    @property
    def chooses_patches(self) -> bool:
        """Whether the side of the patches matters."""
        return not self.original and self.k not in (0, "dense")


def with_patch_sides(net: MGANet, settings: Sequence[Setting], *, ps: Sequence[int] = ()) -> list[Setting]:
    """Every setting at every p. What refines no chosen patches is the same at every p and comes once.

    A number of patches is meant at the network's own p, and scaled so that k * p² stays: the same area is refined
    (Table 10). A share stays a share.

    Raises:
        ArgumentError: a p that cannot be.
    """
    for p in ps:
        if p < 1:
            raise ArgumentError(f"got p={p}; expected a patch side of at least 1 pixel")
    found: list[Setting] = []
    for setting in settings:
        if ps and setting.chooses_patches:
            found += [Setting(_of_same_area(setting.k, own_p=net.p, p=p), p) for p in ps]
        else:
            found.append(setting)
    return list({setting.key: setting for setting in found}.values())


def variant_settings(net: MGANet) -> list[Setting]:
    """A setting for each of the paper's variants B, M, A, D, and the original where the network holds it."""
    own: list[Amount] = [] if net.k in (0, "all", "dense") else [net.k]
    ks: list[Amount] = [0, *own, "all", "dense"]
    settings = [Setting(k) for k in ks]
    try:
        original_of(net)
    except ArgumentError:
        return settings
    return [*settings, Setting(original=True)]


def with_patch(net: MGANet, p: int | None) -> MGANet:
    """The network with patches of another side: the same layers, which take windows of any side."""
    if p is None or p == net.p:
        return net
    return net.with_cut(config=replace(net.config, p=p))


def _of_same_area(k: Amount | None, *, own_p: int, p: int) -> Amount | None:
    return max(1, round(k * own_p**2 / p**2)) if isinstance(k, int) else k
