"""Two networks that are to be a pair: whether they fit together, found by running them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.counting import count_macs
from mga_wrap.errors import ArgumentError, CutError, one_line
from mga_wrap.graph.trace import unchanged
from mga_wrap.nets.mga import MGANet
from mga_wrap.origin import fingerprint
from mga_wrap.pictures.synthetic import synthetic

SIZES = (64, 48), (32, 24), (128, 96), (256, 192)
"""(height, width) on which both are tried; the first that both take. Unequal, multiples of 8, then of 64."""
COUNTED = (192, 256)
"""(height, width) on which MACs a pixel are counted: a multiple of 64, so that nothing pads."""
WHITE = 255.0
AGREES = 0.3
"""What a network's image, reduced again, may differ from lr by, over lr's own contrast, and be an image of it still."""
TRAINED = 0.15
"""The same for an image that a trained network makes in the range that it was trained on; 0.06 to 0.12 is usual."""
DOUBTFUL = 0.1
"""An image that differs by less is not doubted: a network of 0..255 makes one of 0..1, too, but a poor one."""
CLEARLY = 0.6
"""Another range fits if it leaves less than this share of the difference. Public networks of 0..255 left 2.5 times as
much in 0..1; of those of 0..1 none left less in 0..255."""
NO_IMAGE = 0.7
"""A network that leaves so much in every range makes no image of lr. Untrained ones leave 1 and more."""


@dataclass(frozen=True)
class Met:
    """What running both showed."""

    example: Tensor
    """An image that both take, in the model's dtype and on its device."""
    scale: int
    model_macs: float
    """MACs per lr pixel."""
    small_macs: float
    model_writes: bool
    """It writes into its input."""
    small_writes: bool
    doubt: str = ""
    """What is to be said of the range of values of either, where nothing is certain."""


@torch.no_grad()
def meet(model: nn.Module, small: nn.Module, *, example: Tensor | None = None) -> Met:
    """See that two networks, copies in eval mode of one dtype on one device, make a pair.

    Args:
        model: the large one.
        small: the small one.
        example: (B, C, H, W), an image that both take, if they do not take a picture of 3 channels.

    Returns:
        What is known of the two, and what there is to doubt.

    Raises:
        ArgumentError: they are one network; other scales, channels or ranges of values; the model is accelerated.
        CutError: the model takes no image that was tried.
    """
    check_two(model, small)
    found: dict[str, Exception] = {}
    images = [example] if example is not None else [synthetic(*size).to(_like(model)) for size in SIZES]
    for lr in images:
        outputs = [_tried(name, net, lr, found) for name, net in (("model", model), ("base", small))]
        if outputs[0] is not None and outputs[1] is not None:
            return _met(model, small, lr, (outputs[0], outputs[1]), doubted=example is None)
    raise _refused(found, model, small, images)


def _like(model: nn.Module) -> Tensor:
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weight is None:
        raise CutError(f"{type(model).__name__} has no parameters; expected a trained super-resolution network")
    return weight


def check_two(model: nn.Module, small: nn.Module) -> None:
    """See that they are two networks, before anything is done with them.

    Raises:
        ArgumentError: one is none, they are one network, or the model is accelerated.
        CutError: the model has no parameters.
    """
    for name, net in (("model", model), ("base", small)):
        if not isinstance(net, nn.Module):
            raise ArgumentError(f"got {name} of type {type(net).__name__}; expected an nn.Module that turns lr into sr")
    _like(model)
    if isinstance(model, MGANet):
        raise ArgumentError("got an accelerated network as the model of a pair; give the network that it was made of")
    if model is small or (type(model) is type(small) and _alike(model, small)):
        raise ArgumentError(
            f"got base={type(small).__name__}, which is the model itself; expected a smaller network of the same scale"
        )


def _alike(model: nn.Module, small: nn.Module) -> bool:
    own = fingerprint(model)
    return own is not None and own == fingerprint(small)


def _tried(name: str, net: nn.Module, lr: Tensor, found: dict[str, Exception]) -> tuple[Tensor, bool] | None:
    """(sr, whether it wrote into its input), or None where the network does not take the image."""
    given = lr.clone()
    try:
        with unchanged(net):
            sr = net(given)
    except Exception as error:  # whatever a forward does with an image that it does not take
        found[name] = error
        return None
    if not isinstance(sr, Tensor) or sr.ndim != 4 or sr.shape[0] != lr.shape[0]:
        shown = f"a tensor of shape {tuple(sr.shape)}" if isinstance(sr, Tensor) else f"a {type(sr).__name__}"
        raise ArgumentError(
            f"the {name}, {type(net).__name__}, returns {shown}; expected one image (B, C, s*H, s*W) for an lr of "
            f"{tuple(lr.shape)}: wrap it in a module that returns the image alone"
        )
    return sr, not torch.equal(given, lr)


def _refused(found: dict[str, Exception], model: nn.Module, small: nn.Module, images: list[Tensor]) -> Exception:
    shapes = " or ".join(str(tuple(lr.shape)) for lr in images)
    name, net = ("model", model) if "model" in found else ("base", small)
    kind = CutError if name == "model" else ArgumentError
    both = "" if len(found) < 2 else f"; the base, {type(small).__name__}, fails too: {one_line(found['base'])}"
    return kind(
        f"the {name}, {type(net).__name__}, fails on an image of {shapes}: {one_line(found[name])}{both}. Both "
        "networks of a pair have to take the same images: of other channels or sizes give one: example=..."
    )


def _met(
    model: nn.Module, small: nn.Module, lr: Tensor, outputs: tuple[tuple[Tensor, bool], ...], *, doubted: bool
) -> Met:
    (large, model_writes), (coarse, small_writes) = outputs
    scales = [_scale(name, sr, lr) for name, sr in (("model", large), ("base", coarse))]
    if scales[0] != scales[1]:
        raise ArgumentError(
            f"the model enlarges by {scales[0]} and the base by {scales[1]}; expected two networks of one scale"
        )
    factors = [_fitted(sr, lr, scales[0]) for sr in (large, coarse)]
    if all(left < AGREES for _, left in factors) and not 0.5 < factors[0][0] / factors[1][0] < 2:
        raise ArgumentError(
            f"the model's image is {1 / factors[0][0]:.3g} times lr and the base's {1 / factors[1][0]:.3g} times; "
            "expected two networks of one range of values: wrap the one whose range is another"
        )
    doubts = []
    if doubted:
        for name, net, sr in (("model", model, large), ("base", small, coarse)):
            doubts.append(_doubt(name, net, lr, sr, scale=scales[0]))
    macs = [macs_per_pixel(net, lr) for net in (model, small)]
    return Met(lr, scales[0], macs[0], macs[1], model_writes, small_writes, "; ".join(filter(None, doubts)))


def _scale(name: str, sr: Tensor, lr: Tensor) -> int:
    scale = sr.shape[-1] // lr.shape[-1]
    if sr.shape[1] != lr.shape[1]:
        raise ArgumentError(
            f"the {name} turns {lr.shape[1]} channels into {sr.shape[1]}; expected as many as it is given: wrap it"
        )
    if scale < 1 or sr.shape[-2:] != (scale * lr.shape[-2], scale * lr.shape[-1]):
        raise ArgumentError(
            f"the {name} turns {tuple(lr.shape)} into {tuple(sr.shape)}; expected both sides larger by one whole number"
        )
    return scale


def _doubt(name: str, net: nn.Module, lr: Tensor, sr: Tensor, *, scale: int) -> str:
    """Tell a network of 0..255 from one of 0..1: by what is left where its image, reduced again, is fitted to lr.

    Returns:
        What is to be said where it makes no image in any range, or in another one alone, but for a shift of brightness
        (biases of a network that is not trained); often nothing.

    Raises:
        ArgumentError: the image of lr in another range is clearly better.
    """
    (_, left), (_, shaped) = _fitted(sr, lr, scale), _fitted(sr, lr, scale, centred=True)
    if left <= DOUBTFUL:
        return ""
    others, elsewhere = [], False
    for times in (WHITE, 1 / WHITE):
        with unchanged(net):
            there = net(lr * times) / times
        (_, of_it), (_, of_shape) = _fitted(there, lr, scale), _fitted(there, lr, scale, centred=True)
        others.append(of_it)
        if of_it >= min(TRAINED, CLEARLY * left):
            continue
        if of_shape < CLEARLY * shaped:
            raise ArgumentError(
                f"the {name}, {type(net).__name__}, makes a better image of a picture whose values are {times:.3g} "
                f"times as large (of lr's contrast {of_it:.2f} is lost, of 0..1 {left:.2f}); expected two networks "
                f"that take 0..1: wrap it, {'net(lr * 255) / 255' if times > 1 else 'net(lr / 255) * 255'}; an example "
                "in your range is believed"
            )
        elsewhere = True
    if not elsewhere and min(left, *others) < NO_IMAGE:
        return ""
    return (
        f"the {name}, {type(net).__name__}, makes no image of a picture in 0..1: of lr's contrast {left:.2f} is lost, "
        f"of one 255 times as large {others[0]:.2f}, 255 times as small {others[1]:.2f}; a trained network loses less "
        f"than {TRAINED}: check its weights, and that it takes 0..1"
    )


def _fitted(sr: Tensor, lr: Tensor, scale: int, *, centred: bool = False) -> tuple[float, float]:
    """(the number, the difference that is left over lr's contrast); centred: whatever the means of the channels."""
    small, lr = F.avg_pool2d(sr.double(), scale), lr.double()
    if not bool(small.isfinite().all()):
        return 1.0, float("inf")
    if centred:
        small, lr = (x - x.mean(dim=(-2, -1), keepdim=True) for x in (small, lr))
    number = float((small * lr).sum() / small.square().sum().clamp(min=1e-12))
    return number or 1e-12, float((number * small - lr).std() / lr.std().clamp(min=1e-12))


def macs_per_pixel(net: nn.Module, example: Tensor) -> float:
    """Multiply-accumulates per lr pixel, of an image of `COUNTED`, or of the example where that is not taken."""
    try:
        return macs_of(net, example, *COUNTED) / (COUNTED[0] * COUNTED[1])
    except Exception:  # whatever a forward does with a size that it does not take
        with unchanged(net):
            return count_macs(net, example.clone()) / (example.shape[0] * example.shape[-1] * example.shape[-2])


def macs_of(net: nn.Module, example: Tensor, height: int, width: int) -> int:
    """Multiply-accumulates of one image, on the meta device where the network runs there, else by running it.

    Raises:
        Exception: the network does not take this size.
    """
    try:
        lr = torch.empty(1, example.shape[1], height, width, dtype=example.dtype, device="meta")
        return count_macs(copy.deepcopy(net).to("meta"), lr)
    except Exception:  # whatever a forward does without values
        with unchanged(net):
            return count_macs(net, synthetic(height, width, channels=example.shape[1]).to(example))
