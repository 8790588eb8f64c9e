"""A start for a light coarse tail: its last convolution, solved for by least squares."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from mga_wrap.errors import ArgumentError
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.parts import evaluating

RIDGE = 1e-6
"""Added to the normal equations' diagonal, over its mean: features of trained networks are all but dependent."""


@torch.no_grad()
def fit_coarse_tail(net: MGANet, images: Tensor | Iterable[Tensor]) -> float:
    """Let the light coarse tail come as near as a linear layer can to what the whole network makes of some images.

    The network's own result (`k="dense"`) is the target; no ground truth is needed. A few images of the kind that is
    to be enlarged are enough. It is a start: training goes on from here.

    Args:
        net: made with `coarse_tail="light"`; its tail's last convolution is changed.
        images: lr images, (B, 3, H, W) or several (3, H, W) or (B, 3, H, W), in the value range of the network.

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
    with evaluating(net):
        gram, moment, energy, pixels = _normal_equations(net, tail, images)
    if pixels < len(gram):
        raise ArgumentError(
            f"got images of {pixels} pixels for {len(gram)} weights an output; expected several times as many pixels"
        )
    ridge = RIDGE * gram.diagonal().mean()
    weights = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype), moment)  # (9*C + 1, 3*z*z)
    assert tail.last.bias is not None
    tail.last.weight.copy_(weights[:-1].T.reshape(tail.last.weight.shape))
    tail.last.bias.copy_(weights[-1])
    left = energy - 2 * (weights * moment).sum() + (weights * (gram @ weights)).sum()
    return float(1 - left / energy)


def _normal_equations(
    net: MGANet, tail: LightTail, images: Tensor | Iterable[Tensor]
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Over all pixels: inputs by inputs (n, n), inputs by targets (n, 3*z*z), the targets' energy, and their number."""
    gram = moment = energy = torch.zeros((), dtype=torch.float64)
    pixels = 0
    for image in images:
        lr = (image if image.ndim == 4 else image[None]).to(tail.last.weight)
        _, feature, *_ = net.base(lr)
        missing = net(lr, k="dense") - F.interpolate(lr, scale_factor=tail.scale, mode="bilinear")
        rows, cols = (side // tail.zoom for side in missing.shape[-2:])  # a padded feature has more
        target = F.pixel_unshuffle(missing[..., : rows * tail.zoom, : cols * tail.zoom], tail.zoom)
        inputs = F.unfold(tail.widened(feature), 3, padding=1).unflatten(2, feature.shape[-2:])[..., :rows, :cols]
        x = inputs.transpose(0, 1).flatten(1)  # (9*C, pixels)
        x = torch.cat([x, x.new_ones(1, x.shape[1])])
        y = target.transpose(0, 1).flatten(1)  # (3*z*z, pixels)
        gram, moment = gram + (x @ x.T).double().cpu(), moment + (x @ y.T).double().cpu()
        energy, pixels = energy + y.double().square().sum().cpu(), pixels + x.shape[1]
    return gram, moment, energy, pixels
