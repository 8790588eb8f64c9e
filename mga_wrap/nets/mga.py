"""MGANet: Base-Net, mask predictor and Refine-Net as one module that enlarges an image."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.checkpoint import write_checkpoint
from mga_wrap.config import Amount, CutConfig, check_k, check_max_loss
from mga_wrap.counting import macs_by_module
from mga_wrap.errors import ArgumentError, CheckpointError, UnfittedWarning
from mga_wrap.nets.chunks import refine_windows
from mga_wrap.nets.geometry import Geometry
from mga_wrap.nets.hub_mixin import HubMixin
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.pair import PairBase, Small
from mga_wrap.nets.patches import grid_size, paste, windows_of
from mga_wrap.nets.score import ScorePredictor, neediest, score_of
from mga_wrap.origin import Origin

FORMAT_VERSION = 2
"""Of the checkpoints that are written."""
PARTS = ("base", "mask", "refine")
LARGEST_EXAMPLE = 2**24
"""Values of the largest example whose shape is written down: what others write may not fill the memory."""
SHOWN_SIZE = (320, 180)
"""Width and height of the lr image whose MACs print(net) shows."""


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


class MGANet(HubMixin, nn.Module):
    """An accelerated super-resolution network; made by `mga_wrap.accelerate` or `mga_wrap.from_pretrained`.

    Args:
        base: the Base-Net, lr -> (coarse, feature, other tensors that cross the cut).
        mask: what predicts the error, (feature, lr, coarse, p) -> score.
        refine: the Refine-Net, windows of what crosses the cut -> windows of sr; with ``dense=True`` the whole maps.
        config: what was asked for, with the block, p and halo that it came to.
        geometry: what the cut found out.
        backbone: the arguments of `create_backbone` that build the original, if it is one of ours.
        origin: where the original came from.
        fitted: whether the coarse tail and the score have learned; if not, the network says so when it is used.
        small: where the Base-Net came from, if it is a network of its own: base and refine are a pair.

    Example:
        >>> import torch, mga_wrap as mga
        >>> net = mga.from_pretrained("fsrcnn-m-x4")
        >>> with torch.inference_mode():
        ...     sr = net(torch.rand(1, 3, 24, 32), k=0.2)
        >>> tuple(sr.shape)
        (1, 3, 96, 128)
    """

    def __init__(
        self,
        base: nn.Module,
        mask: MaskPredictor | ScorePredictor,
        refine: nn.Module,
        *,
        config: CutConfig,
        geometry: Geometry,
        backbone: dict[str, Any] | None = None,
        origin: Origin | None = None,
        fitted: bool = True,
        small: Small | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.mask = mask
        self.refine = refine
        self.config = config
        self.geometry = geometry
        self.backbone = backbone
        self.origin = origin
        self.fitted = fitted
        self.small = small
        self.said_unfitted = False

    @property
    def scale(self) -> int:
        """Sides of sr over sides of lr."""
        return self.geometry.scale

    @property
    def is_pair(self) -> bool:
        """The Base-Net is a network of its own, and the Refine-Net the whole original."""
        return isinstance(self.base, PairBase)

    @property
    def k(self) -> Amount:
        """How much `forward` refines when it is not told; may be set."""
        return self.config.k

    @k.setter
    def k(self, k: Amount) -> None:
        self.config = replace(self.config, k=k)

    @property
    def p(self) -> int:
        """Patch side in pixels of the feature."""
        return self.config.p

    @property
    def halo(self) -> int:
        """Ring of feature pixels around each patch that the Refine-Net sees."""
        assert isinstance(self.config.halo, int)  # the cut has replaced None and "exact"
        return self.config.halo

    @property
    def max_loss(self) -> float:
        """What k="auto" may lose, in dB, see `CutConfig.max_loss`; may be set."""
        return self.config.max_loss

    @max_loss.setter
    def max_loss(self, max_loss: float) -> None:
        self.config = replace(self.config, max_loss=max_loss)

    def forward(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> Tensor:
        """Enlarge a batch of images.

        Args:
            lr: (B, 3, H, W), in the value range that the original network takes (0..1 for the backbones here).
            k: how many patches to refine: an int, a share of the grid as a float in (0, 1], 0 or "base" (coarse
                only), "all" (every patch), "dense" (the Refine-Net once over the whole map), "auto" (every patch whose
                predicted error is above what `max_loss` allows; a batch of several images, and an export, whose shapes
                must not depend on data, take the share that this was on average where the network was fitted). A k
                above the grid means all. None: the network's own `k`.
            max_loss: for "auto", in dB below the original; None: the network's own `max_loss`.

        Returns:
            sr: (B, 3, s*H, s*W).

        Raises:
            ArgumentError: lr is not (B, 3, H, W), k is none of the above, or "auto" for a network that was not fitted.
        """
        k = self.check(lr, k)
        coarse, *crossing = self.base(lr)
        return self._refined(lr, coarse, crossing, k, max_loss)[0]

    def trace(self, lr: Tensor, *, k: Amount | None = None, max_loss: float | None = None) -> MGATrace:
        """Like `forward`, with everything in between; the score is always predicted."""
        k = self.check(lr, k)
        coarse, *crossing = self.base(lr)
        feature = crossing[0].clone() if k == "dense" else crossing[0]  # a tail may write into its input
        sr, score, index = self._refined(lr, coarse, crossing, k, max_loss)
        score = self.score(feature, lr, coarse) if score is None else score
        return MGATrace(lr=lr, feature=feature, coarse=coarse, score=score, index=index, sr=sr)

    def _refined(
        self, lr: Tensor, coarse: Tensor, crossing: list[Tensor], k: Amount, max_loss: float | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What k asks for: (sr, the score if it was needed, the refined patches if there are some)."""
        if k == 0:
            return coarse, None, None
        if k == "dense":
            return self.refine(*crossing, dense=True), None, None
        feature = crossing[0]
        if k == "all":
            index = self.every_patch(feature)
            return self.refine_patches(coarse, crossing, index), None, index
        predicted = self.mask(feature, lr, coarse, p=self.p)
        score = score_of(predicted)
        if k == "auto":
            k = self.enough(predicted, self.max_loss if max_loss is None else check_max_loss(max_loss))
        if k == 0:
            return coarse, score, None
        index = neediest(score, k)
        return self.refine_patches(coarse, crossing, index), score, index

    def enough(self, predicted: Tensor, max_loss: float) -> int | float:
        """What "auto" means here: of one image a number of patches, else a share.

        Args:
            predicted: (B, 2, gh, gw), what the score's predictor returns.
            max_loss: dB below the original.

        Raises:
            ArgumentError: the network was not fitted.
        """
        mask = self._calibrated()
        fixed = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if fixed or predicted.shape[0] > 1:  # shapes must not depend on what is in the images
            return mask.usual_share(max_loss)
        return mask.needed(predicted, max_loss)

    def _calibrated(self) -> ScorePredictor:
        if not isinstance(self.mask, ScorePredictor) or not self.mask.is_calibrated:
            raise ArgumentError(
                "got k='auto' for a network whose score was not fitted; call mga_wrap.fit(net, images) first, or give "
                "a number of patches or a share"
            )
        return self.mask

    def without_image(self, k: Amount | None = None) -> Amount:
        """What is refined where no image is there to ask: for "auto" the share that it came to while fitting.

        Args:
            k: see `forward`; None is the network's own.

        Raises:
            ArgumentError: k cannot be, or is "auto" for a network that was not fitted.
        """
        k = self.k if k is None else check_k(k)
        return self._calibrated().usual_share(self.max_loss) if k == "auto" else k

    def score(self, feature: Tensor, lr: Tensor, coarse: Tensor) -> Tensor:
        """The predicted error of each patch: (B, C, H, W), the image and the coarse image -> (B, gh, gw)."""
        return score_of(self.mask(feature, lr, coarse, p=self.p))

    def every_patch(self, feature: Tensor) -> Tensor:
        """(B, gh * gw): all positions, in one order: a window's last bits depend on its neighbours in the batch."""
        gh, gw = grid_size(*_size(feature), self.p)
        return torch.arange(gh * gw, device=feature.device).expand(feature.shape[0], -1)

    def refine_patches(self, coarse: Tensor, crossing: list[Tensor], index: Tensor) -> Tensor:
        """Refine some patches of what the Base-Net returned.

        Args:
            coarse: (B, 3, s*H, s*W), left as it is.
            crossing: what crosses the cut, the feature (B, C, H, W) first.
            index: (B, k), flat positions in the grid.

        Returns:
            (B, 3, s*H, s*W): the coarse image with these patches in their places.
        """
        geometry = self.geometry
        gathered = [one for one in geometry.crossing if not one.for_score]
        refined = refine_windows(self.refine, self.windows(crossing, index), crossing=gathered)
        return paste(
            coarse,
            refined,
            index,
            size=_size(crossing[0]),
            p=self.p,
            ratio=geometry.zoom,
            halo=geometry.trim,
            border=geometry.border,
        )

    def windows(self, crossing: list[Tensor], index: Tensor) -> list[Tensor]:
        """What the Refine-Net is given for the chosen patches (B, k), of each tensor that it needs."""
        size, border = _size(crossing[0]), self.geometry.border
        windows = [
            windows_of(x, index, one, size=size, p=self.p, border=border)
            for x, one in zip(crossing, self.geometry.crossing, strict=True)
            if not one.for_score
        ]
        return [x.contiguous() for x in windows] if self.geometry.contiguous else windows

    def with_cut(self, *, config: CutConfig | None = None, geometry: Geometry | None = None) -> MGANet:
        """The same layers (not copies) with another k, p or geometry; this network stays as it is."""
        other = MGANet(
            self.base,
            self.mask,
            self.refine,
            config=config or self.config,
            geometry=geometry or self.geometry,
            backbone=self.backbone,
            origin=self.origin,
            fitted=self.fitted,
            small=self.small,
        )
        other.training = self.training
        return other

    def macs(self, height: int, width: int, *, k: Amount | None = None) -> dict[str, int]:
        """Multiply-accumulates of convolutions and matrix products for one lr image of (height, width).

        Returns:
            MACs of "base", "mask", "refine" and their "total", counted by running the network on the meta device; of
            k="auto" those of the share that it came to on average while fitting.
        """
        k = self.without_image(k)
        net, lr = self.hollow(height, width)
        counted = macs_by_module(net, lr, k=k)
        macs = {part: counted[part] for part in PARTS}
        return {**macs, "total": sum(macs.values())}

    def hollow(self, height: int, width: int) -> tuple[MGANet, Tensor]:
        """A copy and an lr (1, 3, height, width) without values, for counting: no image is too large."""
        dtype = next(self.parameters()).dtype
        lr = torch.empty(1, self.geometry.channels, height, width, device="meta", dtype=dtype)
        return copy.deepcopy(self).to("meta"), lr

    def save_pretrained(self, folder: str | Path) -> None:  # type: ignore[override]  # narrower than the mixin's
        """Write model.safetensors and config.json into a folder; see `mga_wrap.from_pretrained`.

        Raises:
            CheckpointError: the folder cannot be written, or the network was not made by `mga_wrap.accelerate`.
        """
        write_checkpoint(Path(folder), config=self.saved_config(), tensors=self.state_dict())

    def saved_config(self) -> dict[str, Any]:
        """What stands in the config.json of a checkpoint.

        Raises:
            CheckpointError: the network was not made by `mga_wrap.accelerate`.
        """
        if self.config.split_at == "auto":
            raise CheckpointError("the network does not say where it was cut; make it with mga_wrap.accelerate")
        config: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "scale": self.scale,
            "backbone": self.backbone,
            "original": None if self.origin is None else self.origin.as_json(),
            "fitted": self.fitted,
            "cut": self.config.as_json(),
        }
        if isinstance(self.mask, ScorePredictor) and self.mask.by_area:
            config["by_area"] = True
        if self.geometry.example is not None:
            config["example"] = list(self.geometry.example)
        if isinstance(self.base, PairBase) and self.small is not None:
            config["base"] = self.small.as_json(matched=self.base.is_matched)
        return config

    def extra_repr(self) -> str:
        """Shown by print(net): what its owner knows about it."""
        config, (inside, blocks) = self.config, self.geometry.blocks
        width, height = SHOWN_SIZE
        macs = self.macs(height, width)
        share = macs["total"] / (self.geometry.original_macs * width * height or 1)
        parts = ", ".join(f"{part} {macs[part] / (macs['total'] or 1):.0%}" for part in PARTS)
        cut = f"style={config.style!r}, cut after {config.split_at} ({inside} of {blocks} blocks)"
        tail = f", coarse_tail={config.coarse_tail!r}"
        if self.is_pair:
            cut, tail = "a network of its own as the Base-Net, the whole original as the Refine-Net", ""
        return "\n".join(
            (
                f"x{self.scale}, {cut},",
                f"p={self.p}, halo={self.halo}, k={self.k!r}{tail},",
                f"{share:.2f} of the original's MACs at {width} x {height}: {parts}",
            )
        )

    def check(self, lr: Tensor, k: Amount | None) -> Amount:
        """The k that is meant, once lr and k are seen to be what `forward` takes; says once if nothing is fitted."""
        channels = self.geometry.channels
        if lr.ndim != 4 or 0 in lr.shape or lr.shape[1] != channels:
            raise ArgumentError(f"got lr of shape {tuple(lr.shape)}; expected a non-empty (B, {channels}, H, W)")
        k = self.k if k is None else check_k(k)
        shown = not (self.training or k == "dense" or lr.is_meta or torch.compiler.is_compiling())
        if self.is_pair and k in (0, "all"):
            shown = False  # both networks are trained; only what chooses is not
        if shown and not (self.fitted or self.said_unfitted):
            self._say_unfitted()
        return k

    def _say_unfitted(self) -> None:
        """Once for each network."""
        self.said_unfitted = True
        found = "was cut and never fitted: where it does not refine, it shows what an untrained tail makes"
        if self.is_pair:
            found = "of a pair was never fitted: it refines where lr has most contrast, not where that gains most"
        warnings.warn(
            f"this network {found}. Fit it on a few images, mga_wrap.fit(net, images), which takes a minute, or train "
            "it",
            UnfittedWarning,
            stacklevel=5,
        )


def _size(feature: Tensor) -> tuple[int, int]:
    return feature.shape[-2], feature.shape[-1]
