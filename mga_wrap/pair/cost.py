"""What a pair costs, counted, and the sentence where that is more than the large network alone."""

from __future__ import annotations

from mga_wrap.nets.mga import SHOWN_SIZE, MGANet
from mga_wrap.pair.meet import Met


def pair_too_dear(net: MGANet, met: Met) -> str:
    """What to say of a pair that takes more MACs than its model at its own k; empty where it takes fewer."""
    small, model = f"{met.small_macs:,.0f}", f"{met.model_macs:,.0f}"
    if met.small_macs >= met.model_macs:
        return (
            f"the base takes {small} MACs per lr pixel, the model {model}; a pair of them saves nothing: expected a "
            "smaller base"
        )
    if net.k in ("auto", "dense"):  # how much that is depends on the images, or it is asked for on purpose
        return ""
    width, height = SHOWN_SIZE
    try:
        total = net.macs(height, width)["total"] / (width * height)
    except Exception:  # whatever a forward does without values: a pair may be of any network, and this is advice
        return ""
    if total <= met.model_macs:
        return ""
    return (
        f"at k={net.k!r}, p={net.p} and halo={net.halo} the pair takes {total:,.0f} MACs per lr pixel, the model "
        f"{model} (the base {small}); take a smaller k: mga_wrap.inspect(model, base=...) says where it breaks even"
    )
