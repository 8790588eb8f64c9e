"""A light coarse tail's last convolution, which is linear, solved for by least squares."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from mga_wrap.errors import ArgumentError
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.parts import evaluating

RIDGE = 1e-6
"""Added to the normal equations' diagonal, over its mean: features of trained networks are all but dependent."""
PIXELS = 150_000
"""Pixels that the equations are made of: more than a hundred for each weight of an output of 64 channels."""


@torch.no_grad()
def fit_coarse_tail(net: MGANet, images: Tensor | Iterable[Tensor], *, seed: int = 0) -> float:
    """Let the light coarse tail come as near as a linear layer can to what the whole network makes of some images.

    The network's own result (`k="dense"`) is the target; no ground truth is needed. A few images of the kind that is
    to be enlarged are enough: some ten thousand pixels of them are drawn. It is a start: training goes on from here,
    and `mga_wrap.fit` does this and more.

    Args:
        net: made with `coarse_tail="light"`; its tail's last convolution is changed.
        images: lr images, (B, 3, H, W) or several (3, H, W) or (B, 3, H, W), in the value range of the network.
        seed: of the draw of pixels.

    Returns:
        The share, up to 1, of what bilinear interpolation leaves to be restored that the coarse image of these images
        now restores (of its squared error against the target).

    Example:
        ```python
        net = mga.accelerate(model, coarse_tail="light")
        share = mga.fit_coarse_tail(net, lr)  # lr: (B, 3, H, W)
        coarse = net(lr, k=0)  # nearer to model(lr) than bilinear interpolation, if share > 0
        ```

    Raises:
        ArgumentError: the net has no light tail, or the images have fewer pixels than the tail has weights.
    """
    tail = getattr(net.base, "coarse_tail", None)
    if not isinstance(tail, LightTail):
        raise ArgumentError("the network has no light coarse tail; make it with accelerate(..., coarse_tail='light')")
    batches = [one if one.ndim == 4 else one[None] for one in images]
    equations = Equations(tail, crops=len(batches), seed=seed)
    with evaluating(net):
        for batch in batches:
            lr = batch.to(tail.last.weight)
            feature = net.base(lr)[1]
            equations.add(lr, feature, net(lr, k="dense"))
    weights_each = tail.last.weight[0].numel() + 1
    if equations.pixels < weights_each:
        raise ArgumentError(
            f"got images of {equations.pixels} pixels for {weights_each} weights an output; expected several times as "
            "many pixels"
        )
    return equations.solve()


class Equations:
    """The normal equations of a tail's last convolution, over pixels drawn from some crops.

    Args:
        tail: is changed by `solve`.
        crops: how many there will be, of about one size: each gives its share of the pixels.
        seed: of the draw.
        pixels: most that are taken.
    """

    def __init__(self, tail: LightTail, *, crops: int, seed: int, pixels: int = PIXELS) -> None:
        self.tail, self.pixels = tail, 0
        self._each = max(1, pixels // max(1, crops))
        self._draw = torch.Generator().manual_seed(seed)
        self._gram = self._moment = self._energy = torch.zeros((), dtype=torch.float64)

    def add(self, lr: Tensor, feature: Tensor, original: Tensor) -> None:
        """One crop, or a batch of them: (B, 3, H, W), (B, C, h, w), (B, 3, s*H, s*W)."""
        wanted = _wanted(self.tail, lr, original)
        rows, columns = wanted.shape[-2:]
        count = lr.shape[0] * rows * columns
        chosen = torch.randperm(count, generator=self._draw)[: self._each].sort().values.to(lr.device)
        image, place = chosen // (rows * columns), chosen % (rows * columns)
        x = _seen(self.tail.widened(feature), image, place // columns, place % columns)
        y = wanted.transpose(0, 1).flatten(1)[:, chosen]
        self._gram = self._gram + (x @ x.T).double().cpu()
        self._moment = self._moment + (x @ y.T).double().cpu()
        self._energy = self._energy + y.double().square().sum().cpu()
        self.pixels += x.shape[1]

    def solve(self) -> float:
        """Set the last convolution to the least squared error; returns the share of the targets' energy it explains."""
        gram, moment, last = self._gram, self._moment, self.tail.last
        ridge = RIDGE * gram.diagonal().mean()
        weights = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype), moment)  # (9*C + 1, 3*z*z)
        assert last.bias is not None
        last.weight.copy_(weights[:-1].T.reshape(last.weight.shape))
        last.bias.copy_(weights[-1])
        left = self._energy - 2 * (weights * moment).sum() + (weights * (gram @ weights)).sum()
        return float(1 - left / self._energy)


def _wanted(tail: LightTail, lr: Tensor, original: Tensor) -> Tensor:
    """(B, 3*z*z, h, w): what the last convolution should say at every pixel of the feature."""
    missing = original - F.interpolate(lr, scale_factor=tail.scale, mode="bilinear")
    rows, columns = (side // tail.zoom for side in missing.shape[-2:])  # a padded feature has more
    return F.pixel_unshuffle(missing[..., : rows * tail.zoom, : columns * tail.zoom], tail.zoom)


def _seen(x: Tensor, image: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """(9*C + 1, n): the 3 x 3 around n pixels of (B, C, h, w) as a convolution orders its weights, and 1 for a bias."""
    padded = F.pad(x, [1] * 4).permute(1, 0, 2, 3)
    around = [padded[:, image, row + i, column + j] for i in range(3) for j in range(3)]
    seen = torch.stack(around, dim=1).flatten(0, 1)
    return torch.cat([seen, seen.new_ones(1, seen.shape[1])])
