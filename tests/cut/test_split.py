"""What crosses a cut, what lies on either side of it, and the published layout to the digit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from toys.plain import NETWORKS, C, LongSkip, build, conv

import mga_wrap as mga
from mga_wrap.counting import count_macs, count_parameters
from mga_wrap.cut.crossing import interface
from mga_wrap.cut.split import before_upsampler, split_paper, split_pretrained
from mga_wrap.graph.chain import find_chain
from mga_wrap.graph.trace import fact

# channels and resolution of what crosses a cut after the second block, at x4; the halo of each is halo or 0
PRETRAINED = {
    "LongSkip": [(C, 1), (C, 1)],
    "ImageAdded": [(C, 1), (3, 4)],
    "CatFusion": [(C, 1), (C, 1), (C, 1)],
    "TwoStepUpsampler": [(C, 1)],
    "TransposedTail": [(C, 1)],
    "InPlace": [(C, 1), (C, 1)],
    "ControlFlow": [(C, 1)],
    "SharedActivation": [(C, 1)],
    "TiedBlocks": [(C, 1), (C, 1)],
    "AsksForSizes": [(C, 1), (3, 1), (3, 4)],
    "Wrapped": [(C, 1), (C, 1)],
    "FSRCNN": [(12, 1)],
    "PAN": [(16, 1), (16, 1), (3, 4)],
}
PAPER = {**dict.fromkeys(NETWORKS, ([(C, 1)], [1])), "FSRCNN": ([(12, 1)], [1])}
PAPER["ImageAdded"] = ([(C, 1), (3, 4)], [1, 0])  # the image is added behind the layers that take the halo off
PAPER["PAN"] = ([(16, 1), (3, 4)], [1, 0])
PAPER["AsksForSizes"] = ([(C, 1), (3, 1), (3, 4)], [1, 0, 0])


def crossing(base: nn.Module, lr: Tensor) -> list[tuple[int, int]]:
    with torch.no_grad():
        _, *tensors = base(lr)
    return [(tensor.shape[1], tensor.shape[2] // lr.shape[2]) for tensor in tensors]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_crosses_in_style_pretrained(name: str) -> None:
    chain = find_chain(build(name, 4))
    split = split_pretrained(chain, 2, interface(chain, 2), halo=3)
    assert crossing(split.base, torch.rand(1, 3, 12, 10)) == PRETRAINED[name]
    assert [one.halo for one in split.crossing] == [3] * len(PRETRAINED[name])
    assert split.trim == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_what_crosses_in_style_paper(name: str) -> None:
    model = build(name, 4)
    split = split_paper(find_chain(model), 2, halo=1, refine_tail=getattr(model, "paper_refine_tail", None))
    tensors, halos = PAPER[name]
    assert crossing(split.base, torch.rand(1, 3, 12, 10)) == tensors
    assert [one.halo for one in split.crossing] == halos
    assert split.trim == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("style", ["pretrained", "paper"])
def test_names_in_the_state_dict_are_the_originals(name: str, style: str) -> None:
    model = build(name, 3)
    net, state = mga.accelerate(model, split_at=2, style=style, coarse_tail="copy"), model.state_dict()
    parts = {"base": set(), "refine": set(), "mask": set()}
    for key in net.state_dict():
        part, _, inner = key.partition(".")
        parts[part].add(inner)
    own = {key for key in parts["refine"] if key.startswith(("mga_trim.", "mga_tail."))}
    assert parts["base"] <= set(state)
    assert parts["refine"] - own <= set(state)
    assert parts["base"] | parts["refine"] - own == set(state)
    assert bool(own) == (style == "paper")
    for part in ("base", "refine"):
        for key in parts[part] - own:
            value = net.state_dict()[f"{part}.{key}"]
            if value.shape == state[key].shape:  # all but the sliced fusion
                assert torch.equal(value, state[key])


@pytest.mark.parametrize("style", ["pretrained", "paper"])
def test_each_block_is_on_one_side(style: str) -> None:
    net = mga.accelerate(build("ControlFlow", 2), split_at=3, style=style)
    assert {key.split(".")[1] for key in net.base.state_dict() if key.startswith("body")} == {"0", "1", "2"}
    assert {key.split(".")[1] for key in net.refine.state_dict() if key.startswith("body")} == {"3"}


@pytest.mark.parametrize("name", ["InPlace", "LongSkip"])
@pytest.mark.parametrize("style", ["pretrained", "paper"])
@pytest.mark.parametrize("k", [0, 3, "all", "dense"])
def test_the_users_image_is_never_written_into(name: str, style: str, k: object) -> None:
    net, lr = mga.accelerate(build(name, 2), style=style, p=4, coarse_tail="copy"), torch.rand(2, 3, 11, 13)
    before = lr.clone()
    with torch.no_grad():
        net(lr, k=k)
        net.trace(lr, k=k)
    assert torch.equal(lr, before)


def test_what_crosses_is_not_written_into_by_the_coarse_tail() -> None:
    """The tail's in-place ReLU works on the last block's value, which the Refine-Net needs as it was."""
    model = build("InPlace", 2)
    net = mga.accelerate(model, split_at=2, coarse_tail="copy")
    seen: list[Tensor] = []
    model.body[1].register_forward_hook(lambda _, __, value: seen.append(value.clone()))
    with torch.no_grad():
        lr = torch.rand(1, 3, 8, 8)
        model(lr.clone())
        _, feature, _ = net.base(lr)
    assert torch.equal(feature, seen[0])
    assert (feature < 0).any()


def test_the_coarse_tail_reads_the_last_block_that_ran() -> None:
    """Continue style: the fusion of all blocks gets the last one of the Base-Net in the missing ones' place."""
    model = build("CatFusion", 2)
    net, lr = mga.accelerate(model, split_at=2, coarse_tail="copy"), torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        fea = model.fea_conv(lr)
        one = model.B1(fea)
        two = model.B2(one)
        fused = model.c(torch.cat([one, two, two, two], dim=1))
        expected = model.upsampler(model.LR_conv(fused) + fea)
        assert torch.equal(net(lr, k=0), expected)


def test_a_fusion_keeps_the_columns_of_its_own_side() -> None:
    """Paper style: 2C of the 4C inputs on either side, in the original's order."""
    model = build("CatFusion", 2)
    net = mga.accelerate(model, split_at=2, style="paper")
    weight = model.c[0].weight  # (C, 4C, 1, 1)
    base, refine = net.base.get_submodule("c.0"), net.refine.get_submodule("c.0")
    assert torch.equal(base.weight, weight[:, : 2 * C])
    assert torch.equal(refine.weight, weight[:, 2 * C :])
    assert base.in_channels == refine.in_channels == 2 * C
    assert torch.equal(base.bias, model.c[0].bias)
    assert weight.shape[1] == 4 * C
    three = mga.accelerate(model, split_at=3, style="paper")
    assert torch.equal(three.base.get_submodule("c.0").weight, weight[:, : 3 * C])
    assert torch.equal(three.refine.get_submodule("c.0").weight, weight[:, 3 * C :])


def test_the_skips_of_the_refine_net_start_at_its_input() -> None:
    """Paper style, the whole map at once (variant D), for a long skip and for a fusion."""
    net, lr = mga.accelerate(build("LongSkip", 2), split_at=2, style="paper"), torch.rand(1, 3, 9, 8)
    part = net.refine.get_submodule
    with torch.no_grad():
        _, feature = net.base(lr)
        body = part("body.4")(part("body.3")(part("body.2")(feature)))
        expected = part("tail.1")(part("tail.0")(part("mga_trim")(body + feature, dense=True)))
        assert torch.equal(net(lr, k="dense"), expected)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("LongSkip", "add"),
        ("CatFusion", "add"),
        ("PAN", "add"),
        ("ControlFlow", "body.3"),
        ("ImageAdded", "body.9"),
    ],
)
def test_the_feature_of_the_paper_is_what_enters_the_upsampler(name: str, operation: str) -> None:
    node = before_upsampler(find_chain(build(name, 4)))
    assert getattr(node.target, "__name__", node.target) == operation
    assert fact(node).shape[2:] == (32, 24)


@pytest.mark.parametrize("halo", [0, 1, 2, 3])
@pytest.mark.parametrize("dense", [False, True])
def test_the_layers_that_take_the_halo_off(halo: int, dense: bool) -> None:
    split = split_paper(find_chain(build("LongSkip", 2)), 2, halo=halo)
    side = 4 + 2 * halo
    with torch.no_grad():
        sr = split.refine(torch.rand(5, C, side, side), dense=dense)
    assert sr.shape == (5, 3, 2 * (side if dense else 4), 2 * (side if dense else 4))


# The paper's own counts, paper/README.md section 4 ------------------------------------------------------------------

# network, scale: blocks in the base; parameters of B, D, M; MACs an LR pixel of B, D; MACs of a 6 x 6 patch
PUBLISHED = {
    ("fsrcnn", 2): (3, 23_363, 41_694, 43_270, 64_024, 123_096, 997_472),
    ("fsrcnn", 3): (3, 23_363, 41_694, 43_270, 132_064, 259_176, 2_086_112),
    ("fsrcnn", 4): (3, 23_363, 41_694, 43_270, 227_320, 449_688, 3_610_208),
    ("pan", 2): (12, 203_723, 290_966, 306_178, 249_624, 382_328, 4_089_792),
    ("pan", 3): (12, 203_723, 296_174, 311_386, 325_104, 580_160, 7_416_288),
    ("pan", 4): (12, 214_739, 312_998, 328_210, 433_272, 749_624, 8_215_200),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), PUBLISHED)
def test_parameters_and_macs_are_the_papers_to_the_digit(name: str, scale: int) -> None:
    blocks, b, d, m, macs_b, macs_d, macs_patch = PUBLISHED[name, scale]
    net = mga.accelerate(mga.create_backbone(name, scale=scale), style="paper")
    assert net.config.split_at.endswith(f".{blocks - 1}")  # split_at="auto" is the paper's cut
    assert count_parameters(net.base) == b
    assert count_parameters(net.base) + count_parameters(net.refine) == d
    assert count_parameters(net) == m
    net, lr = copy.deepcopy(net).to("meta"), torch.empty(1, 3, 20, 12, device="meta")
    with torch.no_grad():
        _, *tensors = net.base(lr)
    assert count_macs(net.base, lr, convention="paper") == 20 * 12 * macs_b
    dense = count_macs(net.refine, *tensors, dense=True, convention="paper")
    assert 20 * 12 * macs_b + dense == 20 * 12 * macs_d
    index = torch.empty(1, 15, dtype=torch.long, device="meta")
    windows = net.windows(tensors, index)
    assert windows[0].shape[2:] == (6, 6)
    assert count_macs(net.refine, *windows, convention="paper") == 15 * macs_patch


# What cannot be split -----------------------------------------------------------------------------------------------


def test_a_tail_that_looks_back_into_the_body_is_refused_in_style_paper() -> None:
    class LooksBack(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            first = self.body[0](self.head(x))
            last = self.body[3](self.body[2](self.body[1](first)))
            sr = self.tail(last)
            return sr + self.tail(first)

    assert mga.accelerate(LooksBack(2), coarse_tail="copy") is not None
    with pytest.raises(mga.CutError, match=r"the upsampler also uses .* of the body; use style='pretrained'"):
        mga.accelerate(LooksBack(2), style="paper")


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: nn.Conv2d(4 * C, C, 1, groups=2), r"c.0, after the fusion of all blocks, is a Conv2d; .*ungrouped"),
        (
            lambda: nn.PixelShuffle(2),
            r"c.0, after the fusion of all blocks, is a PixelShuffle; .*use style='pretrained'",
        ),
    ],
)
def test_a_fusion_that_cannot_be_sliced_is_refused_in_style_paper(layer: object, text: str) -> None:
    model = build("CatFusion", 2)
    first = layer()
    model.c = (
        nn.Sequential(first) if isinstance(first, nn.Conv2d) else nn.Sequential(first, conv(C, C), nn.MaxPool2d(2))
    )
    mga.inspect(model)
    with pytest.raises(mga.CutError, match=text):
        mga.accelerate(model, split_at=2, style="paper")


def test_one_value_an_image_may_cross() -> None:
    class Gated(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            x = self.head(x)
            gate = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
            return self.tail(self.body(x) * gate)

    model, lr = Gated(2).eval(), torch.rand(2, 3, 16, 16)
    net = mga.accelerate(model, split_at=2, p=4, halo=mga.inspect(model).reach_after(2))
    with torch.no_grad():
        torch.testing.assert_close(net(lr, k="all"), model(lr), atol=1e-6, rtol=0)
