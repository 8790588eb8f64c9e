"""accelerate and inspect: arguments, where a cut falls, and the networks that cannot be cut."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import FSRCNN, LongSkip, Residual, build
from toys.refused import DDBPN, OneImageOnly, UNet

import mga_wrap as mga
from mga_wrap.config import CutConfig
from mga_wrap.cut.build import resolve
from mga_wrap.graph.chain import find_chain

BODY = "body.0, body.1, body.2, body.3"


def toy() -> nn.Module:
    return build("LongSkip", 2)


def image(height: int, width: int, *, channels: int = 3, batch: int = 1) -> Tensor:
    return torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(1))


# Arguments out of range --------------------------------------------------------------------------------------------

TAIL_EXPECTED = "in style 'pretrained' expected 'auto', 'copy', 'light', or a number of convolutions from 1 to 64"
K_EXPECTED = r'expected an int >= 0, a float in \(0, 1\], "base", "all", "dense" or "auto"'


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"k": -1}, f"got k=-1; {K_EXPECTED}"),
        ({"k": 1.5}, rf"got the share k=1.5; {K_EXPECTED} \(for a number of patches give an int\)"),
        ({"k": -0.5}, f"got the share k=-0.5; {K_EXPECTED}"),
        ({"k": float("nan")}, f"got the share k=nan; {K_EXPECTED}"),
        ({"k": True}, f"got k=True; {K_EXPECTED}"),
        ({"k": "most"}, f"got k='most'; {K_EXPECTED}"),
        ({"k": None}, f"got k=None; {K_EXPECTED}"),
        ({"p": 0}, "got p=0; expected a whole number of pixels, from 1 to 512"),
        ({"p": -4}, "got p=-4; expected a whole number of pixels, from 1 to 512"),
        ({"p": 4.0}, "got p=4.0; expected a whole number of pixels, from 1 to 512"),
        ({"p": True}, "got p=True; expected a whole number of pixels, from 1 to 512"),
        ({"p": "4"}, "got p='4'; expected a whole number of pixels, from 1 to 512"),
        ({"halo": -1}, "got halo=-1; expected a whole number of pixels, from 0 to 4096"),
        ({"halo": 1.0}, "got halo=1.0; expected a whole number of pixels, from 0 to 4096"),
        ({"halo": False}, "got halo=False; expected a whole number of pixels, from 0 to 4096"),
        ({"style": "fast"}, "got style='fast'; expected 'pretrained' or 'paper'"),
        ({"coarse_tail": "none"}, f"got coarse_tail='none'; {TAIL_EXPECTED}"),
        ({"coarse_tail": 0}, f"got coarse_tail=0; {TAIL_EXPECTED}"),
        ({"coarse_tail": 65}, f"got coarse_tail=65; {TAIL_EXPECTED}"),
        ({"coarse_tail": True}, f"got coarse_tail=True; {TAIL_EXPECTED}"),
        ({"coarse_tail": 2.0}, f"got coarse_tail=2.0; {TAIL_EXPECTED}"),
        ({"coarse_tail": 2, "style": "paper"}, "got coarse_tail=2; in style 'paper' expected 'copy'"),
        ({"split_at": 0.0}, "got the share split_at=0.0; expected a float between 0 and 1"),
        ({"split_at": 1.0}, "got the share split_at=1.0; expected a float between 0 and 1"),
        ({"split_at": None}, "got split_at=None; expected a block's name, a number of blocks or a share of them"),
        ({"split_at": True}, "got split_at=True; expected a block's name, a number of blocks or a share of them"),
        ({"style": "continue"}, 'got style=.continue.; expected .* "continue" is called "pretrained" now'),
        ({"mask": 3}, "got mask=3; expected options by name: kind, dynamic, map_channels, resolution"),
        ({"mask": {"dynamic": "no"}}, "mask: got dynamic='no'; expected True or False"),
        ({"mask": {"map_channels": True}}, "mask: got map_channels=True; expected 1 or 2"),
        ({"split_at": float("nan")}, "got the share split_at=nan; expected a float between 0 and 1"),
    ],
)
def test_an_argument_out_of_range_says_what_was_got_and_what_was_expected(
    arguments: dict[str, object], text: str
) -> None:
    model = toy()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(mga.ArgumentError, match=text):
        mga.accelerate(model, **arguments)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("split_at", "text"),
    [
        (
            "body.9",
            rf"got split_at='body.9'; expected one of the blocks but the last; the network has 4 blocks: {BODY}",
        ),
        ("body.3", r"got split_at='body.3'; expected one of the blocks but the last"),
        ("", r"got split_at=''; expected one of the blocks"),
        (0, rf"got split_at=0; expected a number from 1 to 3; the network has 4 blocks: {BODY}"),
        (-1, r"got split_at=-1; expected a number from 1 to 3"),
        (4, r"got split_at=4; expected a number from 1 to 3"),
    ],
)
def test_an_unknown_place_lists_the_blocks(split_at: str | int, text: str) -> None:
    with pytest.raises(mga.CutError, match=text):
        mga.accelerate(toy(), split_at=split_at)


def test_an_argument_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="got k=-3"):
        mga.accelerate(toy(), k=-3)


@pytest.mark.parametrize("k", [-1, 1.01, True, "some", [1]])
def test_forward_refuses_the_same_amounts(k: object) -> None:
    net = mga.accelerate(toy())
    for call in (net, net.trace):
        with pytest.raises(mga.ArgumentError, match="expected an int >= 0, a float in"):
            call(image(8, 8), k=k)


@pytest.mark.parametrize("shape", [(3, 8, 8), (0, 3, 8, 8), (1, 3, 0, 8), (1, 3, 8, 0), (8,)])
def test_forward_refuses_what_is_no_batch_of_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(mga.ArgumentError, match=r"expected a non-empty \(B, 3, H, W\)"):
        mga.accelerate(toy())(torch.zeros(shape))


def test_forward_refuses_a_grey_batch() -> None:
    with pytest.raises(mga.ArgumentError, match=r"\(1, 1, 8, 8\)"):
        mga.accelerate(toy())(image(8, 8, channels=1))


# Where the cut falls -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split_at", "style", "count"),
    [
        ("auto", "paper", 3),
        ("body.0", "pretrained", 1),
        ("body.2", "pretrained", 3),
        (1, "pretrained", 1),
        (3, "paper", 3),
        (0.5, "pretrained", 2),
        (0.01, "pretrained", 1),
        (0.99, "paper", 3),
        (0.3, "pretrained", 1),
        (0.7, "pretrained", 3),
    ],
)
def test_split_at_by_name_number_and_share(split_at: str | int | float, style: str, count: int) -> None:
    assert resolve(find_chain(toy()), CutConfig(split_at, style=style))[0] == count
    net = mga.accelerate(toy(), split_at=split_at, style=style)
    assert net.config.split_at == f"body.{count - 1}"
    for part, blocks in ((net.base, range(count)), (net.refine, range(count, 4))):
        assert {name.split(".")[1] for name, _ in part.named_parameters() if name.startswith("body.")} == {
            *map(str, blocks),
            "4",
        }


def test_the_defaults_of_each_style() -> None:
    usual, paper = mga.accelerate(toy()), mga.accelerate(toy(), style="paper")
    assert (usual.p, usual.halo, usual.k, usual.geometry.border, usual.geometry.trim) == (16, 2, 0.25, "shift", 2)
    assert (paper.p, paper.halo, paper.k, paper.geometry.border, paper.geometry.trim) == (4, 1, 0.25, "zero", 0)
    assert usual.scale == paper.scale == 2
    assert mga.accelerate(toy(), p=1, halo=0).p == 1


@pytest.mark.parametrize("style", ["pretrained", "paper"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("LongSkip", torch.float64),
        ("LongSkip", torch.bfloat16),
        ("PAN", torch.float64),
    ],
)
def test_mode_and_dtype_are_the_models(name: str, style: str, dtype: torch.dtype) -> None:
    model = build(name, 2).to(dtype)
    for training in (True, False):
        net = mga.accelerate(model.train(training), style=style)
        assert {value.dtype for value in net.state_dict().values() if value.is_floating_point()} == {dtype}
        assert all(module.training is training for module in net.modules())
    assert net(image(9, 7).to(dtype), k=2).dtype == dtype


@pytest.mark.parametrize("style", ["pretrained", "paper"])
def test_the_device_is_the_models(style: str) -> None:
    """The only second device that every machine has holds no values, so nothing is compared there."""
    net = mga.accelerate(build("FSRCNN", 2).to("meta"), style=style)
    assert {value.device.type for value in net.state_dict().values()} == {"meta"}


def test_new_layers_start_alike_whatever_the_caller_has_drawn() -> None:
    model, random_state = toy(), torch.random.get_rng_state()
    one = mga.accelerate(model, style="paper").state_dict()
    assert torch.equal(torch.random.get_rng_state(), random_state)
    torch.rand(17)
    two = mga.accelerate(model, style="paper").state_dict()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


# Networks that are none, and networks that are ---------------------------------------------------------------------


class TwoOutputs(LongSkip):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), x


class SecondInput(LongSkip):
    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return super().forward(x + noise)


class OptionalMask(LongSkip):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            x = x * mask
        return super().forward(x)


class OtherChannels(LongSkip):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :1]


class OneAndAHalf(LongSkip):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(super().forward(x), scale_factor=0.75)


class Shrinks(LongSkip):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 4)


class AssertingBlock(Residual):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] % 4 == 0, "sides must be multiples of 4"
        return super().forward(x)


class Asserting(LongSkip):
    """Its blocks take some sizes only, and say so by an assertion."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self.body = nn.Sequential(*[AssertingBlock() for _ in range(4)])


class OldWeightNorm(LongSkip):
    """Holds a tensor that cannot be copied, once it has run."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        with warnings.catch_warnings(action="ignore"):  # deprecated, but in many published networks
            nn.utils.weight_norm(self.head)
        self(image(8, 8))


def scripted() -> nn.Module:
    with warnings.catch_warnings(action="ignore"):  # deprecated
        return torch.jit.script(toy())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Linear(24, 24), "Linear has no chain of body blocks: found the modules none. Expected a head, at "),
        (lambda: nn.Linear(2, 2), r"Linear fails on an image of \(1, 3, 32, 24\): .* give such an image: example="),
        (lambda: nn.Conv2d(3, 3, 3, padding=1), "Conv2d has no chain of body blocks"),
        (nn.Identity, "Identity has no parameters; expected a trained super-resolution network"),
        (lambda: nn.Upsample(scale_factor=2), "Upsample has no parameters"),
        (lambda: F.relu, "got a function; expected an nn.Module that turns lr into sr"),
        (UNet, r"UNet has no chain of body blocks: found the modules enc1, enc2, enc3, .*U-Nets"),
        (DDBPN, r"DDBPN cannot be cut after 1 of the blocks .*up-and-down networks"),
        (
            lambda: OneImageOnly(2),
            "OneImageOnly fails on a batch of two images .* expected a network that takes batches",
        ),
        (lambda: TwoOutputs(2), r"TwoOutputs returns a tuple of 2; expected one image .*Wrap it in a module that"),
        (lambda: SecondInput(2), r"SecondInput fails on an image of \(1, 3, 32, 24\): .*noise"),
        (
            lambda: OtherChannels(2),
            r"turns \(1, 3, 32, 24\) into \(1, 1, 64, 48\); expected .* same batch and channels",
        ),
        (lambda: OneAndAHalf(2), r"turns \(1, 3, 32, 24\) into \(1, 3, 48, 36\); expected .* by one whole number"),
        (lambda: Shrinks(2), r"turns \(1, 3, 32, 24\) into \(1, 3, 16, 12\); expected"),
        (lambda: FSRCNN(scale=2, channels=1), r"fails on an image of \(1, 3, 32, 24\): .*another number of channels"),
        (scripted, "got a scripted module.*give the module it was made from"),
        (
            lambda: torch.compile(toy()),
            r"got a OptimizedModule; give the network inside it: accelerate\(model._orig_mod",
        ),
        (lambda: nn.DataParallel(toy()), r"got a DataParallel; give the network inside it: accelerate\(model.module"),
        (lambda: OldWeightNorm(2), r"OldWeightNorm cannot be copied .*remove_weight_norm"),
    ],
)
def test_what_is_no_network_to_cut_says_why_and_stays_as_it_was(make: Callable[[], nn.Module], text: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make()
    state = {} if not isinstance(model, nn.Module) else {k: v.clone() for k, v in model.state_dict().items()}
    modes = [] if not isinstance(model, nn.Module) else [module.training for module in model.modules()]
    with pytest.raises(mga.CutError, match=text):
        mga.accelerate(model, split_at=1, coarse_tail="copy")  # a light tail does without the blocks that are cut off
    if isinstance(model, nn.Module):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert [module.training for module in model.modules()] == modes


def test_a_classifier_is_refused() -> None:
    model = pytest.importorskip("timm").create_model("resnet18").eval()
    before = copy.deepcopy(model.state_dict())
    for look in (mga.inspect, mga.accelerate):
        with pytest.raises(mga.CutError, match=r"ResNet returns a tensor of shape \(1, 1000\); expected one image"):
            look(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("p", [16, 3])
def test_blocks_that_assert_sizes(p: int) -> None:
    """With windows of 20 x 20 the network works at every size that it took before; with 7 x 7 it cannot."""
    if p == 16:
        net = mga.accelerate(Asserting(2), p=p)
        assert net(image(24, 32), k="all").shape == (1, 3, 48, 64)
    else:
        with pytest.raises(mga.CutError, match=r"got p=3; .* sides are multiples of 4, .* give p=4"):
            mga.accelerate(Asserting(2), p=p)


def test_an_optional_second_input_keeps_its_default() -> None:
    model = OptionalMask(2).eval()
    lr = image(12, 10)
    with torch.no_grad():
        assert torch.equal(mga.accelerate(model)(lr, k="dense"), model(lr))


@pytest.mark.parametrize("wrap", [nn.Sequential, lambda net: net.compile() or net])
def test_modules_that_hold_or_are_compiled_in_place_are_fine(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model, lr = toy(), image(11, 9)
    with torch.no_grad():
        expected = model(lr)
        assert torch.equal(mga.accelerate(wrap(model))(lr, k="dense"), expected)


@pytest.mark.parametrize("style", ["pretrained", "paper"])
def test_a_network_of_one_channel_with_an_example(style: str) -> None:
    model = FSRCNN(scale=3, channels=1).eval()
    net = mga.accelerate(model, example=image(32, 24, channels=1), style=style)
    lr = image(13, 21, channels=1, batch=2)
    with torch.no_grad():
        assert net(lr, k=4).shape == (2, 1, 39, 63)
        if style == "pretrained":
            assert torch.equal(net(lr, k="dense"), model(lr))
    assert "x3" in str(mga.inspect(model, example=image(32, 24, channels=1)))


def test_macs_of_a_network_of_one_channel() -> None:
    net = mga.accelerate(FSRCNN(scale=3, channels=1), example=image(32, 24, channels=1))
    assert net.macs(20, 20, k=0)["total"] > 0


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((1, 4, 20, 20), r"LongSkip fails on an image of \(1, 4, 20, 20\): .*example=torch.rand\(1, 3, 64, 64\)"),
        ((20, 20), r"LongSkip fails on an image of \(20, 20\): .*example=torch.rand\(1, 3, 64, 64\)"),
        ((3, 20, 20), r"expected one image \(B, 3, s\*H, s\*W\) for an lr of \(3, 20, 20\)"),
    ],
)
def test_an_example_that_the_network_does_not_take(shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(mga.CutError, match=text):
        mga.inspect(toy(), example=torch.rand(shape))


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"style": ["paper"]}, r"got style=\['paper'\]; expected 'pretrained' or 'paper'"),
        ({"example": "photo.png"}, r"got example of type str; expected a tensor \(B, 3, H, W\)"),
    ],
)
def test_arguments_of_another_type(how: dict[str, object], text: str) -> None:
    with pytest.raises(mga.MGAError, match=text):
        mga.accelerate(toy(), **how)


def test_inference_mode_makes_no_difference() -> None:
    lr = image(12, 10)
    with torch.inference_mode():
        net = mga.accelerate(toy())
        inside = net(lr, k="all")
    assert not next(net.parameters()).is_inference()
    assert torch.equal(mga.accelerate(toy())(lr, k="all"), inside)
