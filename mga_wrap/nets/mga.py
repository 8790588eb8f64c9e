"""MGANet: Base-Net, mask predictor and Refine-Net as one module that enlarges an image."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from mga_wrap.errors import ArgumentError
from mga_wrap.nets.chunks import refine_windows
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.patches import Border, at_most, gather, grid_size, paste

Amount = int | float | str
"""How much to refine: patches an image (int), a share of them (float in (0, 1]), "base", "all" or "dense"."""


@dataclass(frozen=True)
class Geometry:
    """Integers that never change once a network is cut."""

    scale: int
    """Sides of sr over sides of lr."""
    channels: int
    """Channels of lr and sr."""
    p: int
    """Patch side in pixels of the feature."""
    halo: int
    """Ring of feature pixels around each patch that the Refine-Net sees."""
    border: Border
    """What windows do at the image's border."""
    halos: tuple[int, ...]
    """The halo with which each crossing tensor is gathered; the first is the feature's."""
    ratios: tuple[int, ...]
    """Pixels a side of each crossing tensor for one of the feature, or `AN_IMAGE`, or `SHARED`."""
    zoom: int
    """Pixels of sr a side for one of the feature."""
    trim: int
    """Ring of feature pixels still around the Refine-Net's output: the halo, or 0 if the network takes it off."""


@dataclass(frozen=True)
class MGATrace:
    """Everything between lr and sr, for people who want to look (B images, k patches, (gh, gw) the grid)."""

    lr: Tensor
    """(B, 3, H, W)."""
    feature: Tensor
    """(B, C, H, W): the coarse feature."""
    coarse: Tensor
    """(B, 3, s*H, s*W): the Base-Net's image."""
    score: Tensor
    """(B, gh, gw): the predicted error."""
    index: Tensor | None
    """(B, k): flat positions in the grid; None if no patch is refined, or the whole map at once."""
    sr: Tensor
    """(B, 3, s*H, s*W)."""

    @property
    def share(self) -> float:
        """Refined patches over all patches, 0 to 1; 1 if the whole map was refined at once."""
        if self.index is None:
            return 0.0 if self.sr is self.coarse else 1.0
        return self.index.shape[1] / self.score[0].numel()


class MGANet(nn.Module):
    """An accelerated super-resolution network; made by `mga_wrap.accelerate` or `mga_wrap.from_pretrained`.

    Attributes:
        base: the Base-Net, lr -> (coarse, feature, other tensors that cross the cut).
        mask: the mask predictor, feature -> score.
        refine: the Refine-Net, windows of what crosses the cut -> windows of sr.
        geometry: the integers of the cut.
        k: how much `forward` refines when it is not told.
        recipe: the arguments of `accelerate` (and the backbone, if it is one of ours) that build this network again.
    """

    def __init__(
        self,
        base: nn.Module,
        mask: MaskPredictor,
        refine: nn.Module,
        *,
        geometry: Geometry,
        k: Amount,
        recipe: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.mask = mask
        self.refine = refine
        self.geometry = geometry
        self.k = check_amount(k)
        self.recipe = recipe or {}

    @property
    def scale(self) -> int:
        """Sides of sr over sides of lr."""
        return self.geometry.scale

    @property
    def p(self) -> int:
        """Patch side in pixels of the feature."""
        return self.geometry.p

    @property
    def halo(self) -> int:
        """Ring of feature pixels around each patch that the Refine-Net sees."""
        return self.geometry.halo

    def forward(self, lr: Tensor, *, k: Amount | None = None) -> Tensor:
        """Enlarge a batch of images.

        Args:
            lr: (B, 3, H, W), in the value range that the original network takes (0..1 for the backbones here).
            k: how many patches to refine: an int, a share of the grid as a float in (0, 1], 0 or "base" (coarse
                only), "all" (every patch), "dense" (the Refine-Net once over the whole map). A k above the grid means
                all. None: the network's own `k`.

        Returns:
            sr: (B, 3, s*H, s*W).

        Raises:
            ArgumentError: lr is not (B, 3, H, W), or k is none of the above.
        """
        k = self._check(lr, k)
        coarse, *crossing = self.base(lr)
        if k == 0:
            return coarse
        if k == "dense":
            return self.refine(*crossing, False)
        score = self.mask(crossing[0]) if k != "all" else None
        return self._refine_patches(coarse, crossing, self._select(crossing[0], score, k))

    def refine_every_patch(self, coarse: Tensor, crossing: list[Tensor]) -> Tensor:
        """The image with every patch refined, from what the Base-Net returned."""
        return self._refine_patches(coarse, crossing, self._select(crossing[0], None, "all"))

    def trace(self, lr: Tensor, *, k: Amount | None = None) -> MGATrace:
        """Like `forward`, with everything in between; the score is always predicted."""
        k = self._check(lr, k)
        coarse, *crossing = self.base(lr)
        score, index, sr = self.mask(crossing[0]), None, coarse
        feature = crossing[0].clone() if k == "dense" else crossing[0]
        if k == "dense":
            sr = self.refine(*crossing, False)
        elif k != 0:
            index = self._select(feature, score, k)
            sr = self._refine_patches(coarse, crossing, index)
        return MGATrace(lr=lr, feature=feature, coarse=coarse, score=score, index=index, sr=sr)

    def macs(self, height: int, width: int, *, k: Amount | None = None) -> dict[str, int]:
        """Multiply-accumulates of convolutions and matrix products for one lr image of (height, width).

        Returns:
            MACs of "base", "mask", "refine" and their "total", counted by running each part on the meta device.
        """
        from mga_wrap.counting import count_macs

        k = check_amount(self.k if k is None else k)
        net = copy.deepcopy(self).to("meta")
        lr = torch.empty(1, self.geometry.channels, height, width, device="meta", dtype=next(self.parameters()).dtype)
        macs = dict.fromkeys(("base", "mask", "refine"), 0)
        with torch.no_grad():
            macs |= {part: count_macs(getattr(net, part), *given) for part, given in net.calls(lr, k=k).items()}
        return {**macs, "total": sum(macs.values())}

    def calls(self, lr: Tensor, *, k: Amount | None = None) -> dict[str, tuple[Any, ...]]:
        """The parts ("base", "mask", "refine") that `forward` runs, each with what it is called with, for counting.

        The patches are any; lr may be on the meta device.
        """
        k = self._check(lr, k)
        _, *crossing = self.base(lr)
        called: dict[str, tuple[Any, ...]] = {"base": (lr,)}
        if k == "dense":
            called["refine"] = (*crossing, False)
        elif k != 0:
            if k != "all":
                called["mask"] = (crossing[0],)
            count = patch_count(k, self._patches(crossing[0]))
            index = torch.arange(count, device=lr.device).expand(lr.shape[0], -1)
            called["refine"] = (*self._gather(crossing, index), True)
        return called

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model.safetensors and config.json into a folder; see `mga_wrap.from_pretrained`."""
        from mga_wrap.hub import save_pretrained

        save_pretrained(self, folder)

    def extra_repr(self) -> str:
        """Shown by print(net)."""
        return ", ".join(f"{key}={value}" for key, value in {**asdict(self.geometry), "k": self.k}.items())

    def _check(self, lr: Tensor, k: Amount | None) -> Amount:
        channels = self.geometry.channels
        if lr.ndim != 4 or 0 in lr.shape or lr.shape[1] != channels:
            raise ArgumentError(f"got lr of shape {tuple(lr.shape)}; expected a non-empty (B, {channels}, H, W)")
        return check_amount(self.k if k is None else k)

    def _select(self, feature: Tensor, score: Tensor | None, k: Amount) -> Tensor:
        """(B, k): the patches with the largest score, or all of them in the grid's order."""
        patches = self._patches(feature)
        if score is None or k == "all":  # In one order: a window's last bits depend on its neighbours in the batch.
            return torch.arange(patches, device=feature.device).expand(feature.shape[0], -1)
        return score.flatten(1).topk(patch_count(k, patches), dim=1, sorted=False).indices

    def _refine_patches(self, coarse: Tensor, crossing: list[Tensor], index: Tensor) -> Tensor:
        geometry = self.geometry
        refined = refine_windows(self.refine, self._gather(crossing, index), ratios=geometry.ratios)
        return paste(
            coarse,
            refined,
            index,
            size=_size(crossing[0]),
            p=geometry.p,
            ratio=geometry.zoom,
            halo=geometry.trim,
            border=geometry.border,
        )

    def _gather(self, crossing: list[Tensor], index: Tensor) -> list[Tensor]:
        size, geometry = _size(crossing[0]), self.geometry
        return [
            gather(x, index, size=size, p=geometry.p, ratio=ratio, halo=halo, border=geometry.border)
            for x, ratio, halo in zip(crossing, geometry.ratios, geometry.halos, strict=True)
        ]

    def _patches(self, feature: Tensor) -> int:
        gh, gw = grid_size(*_size(feature), self.p)
        return gh * gw


def check_amount(k: Amount) -> Amount:
    """Return k in one form: 0, a positive int, a float in (0, 1], "all" or "dense".

    Raises:
        ArgumentError: k is none of them.
    """
    expected = 'an int >= 0, a float in (0, 1], "base", "all" or "dense"'
    if isinstance(k, bool) or not isinstance(k, int | float | str):
        raise ArgumentError(f"got k={k!r}; expected {expected}")
    if isinstance(k, str):
        if k not in ("base", "all", "dense"):
            raise ArgumentError(f"got k={k!r}; expected {expected}")
        return 0 if k == "base" else k
    if isinstance(k, float):
        if k == 0:
            return 0
        if not 0 < k <= 1:
            raise ArgumentError(f"got the share k={k}; expected {expected} (for a number of patches give an int)")
        return k
    if k < 0:
        raise ArgumentError(f"got k={k}; expected {expected}")
    return k


def patch_count(k: Amount, patches: int) -> int:
    """How many of an image's patches k means: at least one, at most all.

    A share is rounded in whole numbers, so that it also works where the number of patches is symbolic.
    """
    if isinstance(k, str):
        return patches
    if isinstance(k, float):
        parts = 1_000_000
        return cast(int, torch.sym_max(1, (round(k * parts) * patches + parts // 2) // parts))
    return at_most(k, patches)


def _size(feature: Tensor) -> tuple[int, int]:
    return feature.shape[-2], feature.shape[-1]
