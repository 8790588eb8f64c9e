"""upscale: the kind that goes in comes out, the caller's network stays as it was, everything wrong is told."""

from __future__ import annotations

import doctest
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps
from torch import Tensor, nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.infer import api, upscale
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.bicubic import resize_bicubic

H, W = 6, 9
NEAREST = nn.Upsample(scale_factor=4)


@pytest.fixture(scope="module")
def net() -> MGANet:
    return accelerate(create_backbone("fsrcnn", scale=4), style="paper").eval()


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def picture(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.arange(H * W, dtype=np.uint16).reshape(H, W) * 1000)
    if mode == "I":
        return Image.fromarray(np.arange(H * W, dtype=np.int32).reshape(H, W) * 1000)
    image = Image.fromarray(values(H, W, 4), "RGBA")
    return image.convert("RGB").convert(mode) if mode in ("P", "CMYK", "1") else image.convert(mode)


def test_the_example_in_the_docstring_runs() -> None:
    assert doctest.testmod(api) == (0, 3)


# ------------------------------------------------------------------------------------------------------- what comes out
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGB", "RGB"),
        ("L", "L"),
        ("LA", "LA"),
        ("RGBA", "RGBA"),
        ("P", "RGB"),
        ("CMYK", "RGB"),
        ("1", "L"),
        ("I;16", "I;16"),
        ("I", "I;16"),
    ],
)
def test_a_pil_image_comes_back_as_one(mode: str, expected: str, net: MGANet) -> None:
    image = picture(mode)
    for model in (NEAREST, net):
        out = upscale(image, model=model)
        assert (out.mode, out.size) == (expected, (4 * W, 4 * H))
    same = upscale(image, model=NEAREST)
    shown = image.convert(expected) if expected != "I;16" else image
    colours = {"LA": 1, "RGBA": 3}.get(expected)  # alpha is interpolated, not repeated
    repeated, given_values = np.atleast_3d(np.asarray(same)), np.atleast_3d(np.asarray(shown))
    np.testing.assert_array_equal(repeated[::4, ::4, :colours], given_values[..., :colours])


def test_alpha_is_enlarged_by_exact_bicubic_interpolation() -> None:
    image = picture("RGBA")
    alpha = np.asarray(image)[..., 3] / np.float32(255)
    expected = np.floor(np.clip(resize_bicubic(alpha, 4), 0, 1) * 255 + 0.5)
    np.testing.assert_array_equal(np.asarray(upscale(image, model=NEAREST))[..., 3], expected)
    opaque = image.copy()
    opaque.putalpha(255)
    assert np.asarray(upscale(opaque, model=NEAREST))[..., 3].min() == 255


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pil_image_is_turned_upright_and_keeps_its_exif(orientation: int, mode: str) -> None:
    image = picture(mode)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "a telephone"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:02:29 12:00:00"
    image.info["exif"] = exif.tobytes()
    image.info["icc_profile"] = profile = b"\0" * 16 + (b"RGB " if mode in ("RGB", "P") else b"GRAY")
    before = image.tobytes(), image.size, dict(image.info)
    out = upscale(image, model=NEAREST)
    upright = ImageOps.exif_transpose(image).convert({"P": "RGB"}.get(mode, mode))
    np.testing.assert_array_equal(np.asarray(out)[::4, ::4], np.asarray(upright))
    assert (out.width > out.height) == (orientation < 5)
    kept = out.getexif()
    assert (kept[ExifTags.Base.Orientation], kept[ExifTags.Base.Make]) == (1, "a telephone")
    assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:02:29 12:00:00"
    assert out.info["icc_profile"] == profile
    assert (image.tobytes(), image.size, dict(image.info)) == before
    assert image.getexif()[ExifTags.Base.Orientation] == orientation


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(H, W, 3), (H, W)])
def test_an_array_comes_back_as_one(dtype: Any, shape: tuple[int, ...], net: MGANet) -> None:
    array = values(*shape) if dtype == np.uint8 else (values(*shape) / 255).astype(dtype)
    array.setflags(write=False)
    out = upscale(array, model=net)
    assert (out.dtype, out.shape) == (dtype, (4 * H, 4 * W, *shape[2:]))
    repeated = array.repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_allclose(upscale(array, model=NEAREST), repeated, atol=0 if dtype == np.uint8 else 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, H, W), (2, 3, H, W)])
def test_a_tensor_comes_back_as_one(dtype: torch.dtype, shape: tuple[int, ...], net: MGANet) -> None:
    lr = torch.rand(shape).to(dtype)
    out = upscale(lr, model=net)
    assert (out.dtype, out.shape) == (dtype, (*shape[:-2], 4 * H, 4 * W))
    assert 0 <= float(out.min()) <= float(out.max()) <= 1


def test_all_kinds_get_the_same_result(net: MGANet) -> None:
    array = values(H, W, 3)
    lr = torch.from_numpy(array / np.float32(255)).permute(2, 0, 1)
    with torch.inference_mode():
        expected = net(lr[None])[0].clamp(0, 1)
    torch.testing.assert_close(upscale(lr, model=net), expected, atol=1e-6, rtol=0)
    rounded = (expected * 255 + 0.5).floor().permute(1, 2, 0).numpy()
    for out in (upscale(array, model=net), np.asarray(upscale(Image.fromarray(array), model=net))):
        assert np.abs(out.astype(int) - rounded).max() <= 1  # another memory format, another last bit


def test_k_is_handed_on(net: MGANet) -> None:
    lr = torch.rand(3, 16, 16)
    coarse, refined = upscale(lr, model=net, k="base"), upscale(lr, model=net, k="all")
    torch.testing.assert_close(coarse, net.trace(lr[None]).coarse[0].clamp(0, 1), atol=1e-6, rtol=0)
    assert not torch.equal(coarse, refined)


@settings(max_examples=25)
@given(height=st.integers(1, 9), width=st.integers(1, 9))
def test_every_size_works_down_to_one_pixel(height: int, width: int, net: MGANet) -> None:
    assert upscale(np.full((height, width, 3), 0.5), model=net).shape == (4 * height, 4 * width, 3)


def test_a_result_can_be_trained_on(net: MGANet) -> None:
    out = upscale(torch.rand(3, H, W), model=net)
    weight = torch.ones((), requires_grad=True)
    (out * weight).sum().backward()
    assert weight.grad is not None
    assert not out.is_inference()


# ------------------------------------------------------------------------------------------------- the caller's network
class Seen(dict[str, Any]):
    """What a forward saw, one for a network and its copies."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Seen:
        return self


class Recorder(nn.Module):
    """Enlarges by 2, and remembers how it was called."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.broken = broken
        self.seen = Seen()

    def forward(self, lr: Tensor) -> Tensor:
        self.seen.update(
            modes=[module.training for module in self.modules()],
            last=lr.is_contiguous(memory_format=torch.channels_last),
            inference=torch.is_inference_mode_enabled(),
            dtype=lr.dtype,
        )
        if self.broken:
            raise RuntimeError("out of luck\nand more of it")
        return nn.functional.pixel_shuffle(self.norm(self.conv(lr)), 2)


@pytest.mark.parametrize("broken", [False, True])
def test_the_callers_network_is_left_as_it_was(broken: bool) -> None:
    model = Recorder(broken=broken).train()
    model.norm.eval()  # frozen on purpose: its mode is its own
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    strides = [p.stride() for p in model.parameters()]
    if broken:
        expected = r"Recorder failed on lr of shape \(1, 3, 6, 9\): out of luck; expected a network from \(B, 3, H, W\)"
        with pytest.raises(ArgumentError, match=expected):
            upscale(np.zeros((H, W, 3)), model=model)
    else:
        upscale(np.zeros((H, W, 3)), model=model)
    assert model.seen == {"modes": [False] * 3, "last": True, "inference": True, "dtype": torch.float32}
    assert [module.training for module in model.modules()] == [True, True, False]
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert [p.stride() for p in model.parameters()] == strides
    assert all(p.requires_grad for p in model.parameters())


def test_a_half_precision_network_gets_its_own_dtype() -> None:
    model = Recorder().bfloat16()
    out = upscale(torch.rand(3, H, W), model=model)
    assert (model.seen["dtype"], out.dtype) == (torch.bfloat16, torch.float32)


class Product(nn.Module):
    """Enlarges by 1, and keeps what its convolution returned."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.seen = Seen()

    def forward(self, lr: Tensor) -> Tensor:
        product = self.conv(lr)
        self.seen["dtypes"] = lr.dtype, product.dtype
        return product


@pytest.mark.parametrize(("dtype", "inside"), [(None, torch.float32), ("bfloat16", torch.bfloat16)])
def test_layers_compute_in_the_dtype_asked_for_and_images_and_weights_stay(dtype: Any, inside: torch.dtype) -> None:
    model = Product()
    out = upscale(torch.rand(3, H, W), model=model, dtype=dtype)
    assert model.seen == {"dtypes": (torch.float32, inside)}
    assert (out.dtype, model.conv.weight.dtype) == (torch.float32, torch.float32)


def test_bfloat16_stays_close(net: MGANet) -> None:
    lr = torch.rand(3, 32, 32)
    for k in (0, "all"):  # in between, patches whose scores are close may change places
        exact, fast = (upscale(lr, model=net, k=k, dtype=dtype) for dtype in (None, "bfloat16"))
        assert 0 < float((exact - fast).abs().mean()) < 2e-3


class Normal(nn.Module):
    """Enlarges by 2, its batch normalisation in train mode; what it is called for waits for all threads."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.norm.running_mean += torch.arange(12) / 50  # far from what the images have
        self.up = nn.PixelShuffle(2)
        self.meanwhile = Seen(barrier=threading.Barrier(threads), training=[])

    def forward(self, lr: Tensor) -> Tensor:
        x = self.conv(lr)
        self.meanwhile["barrier"].wait(60)
        self.meanwhile["training"] += self.meanwhile["watch"]()
        x = self.norm(x)
        self.meanwhile["barrier"].wait(60)
        return self.up(x).sigmoid()


def test_threads_share_a_network_in_train_mode_and_it_is_left_alone_at_every_moment() -> None:
    threads = 8
    model = Normal(threads).train()
    model.meanwhile["watch"] = lambda: [module.training for module in model.modules()]
    images = [np.random.default_rng(seed).random((H, W, 3), dtype=np.float32) for seed in range(threads)]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda image: upscale(image, model=model), images))
    assert model.meanwhile["training"] == [True] * (4 * threads)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    alone = Normal(1).eval()
    alone.load_state_dict(before)
    alone.meanwhile["watch"] = list
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result, upscale(image, model=alone))


# ---------------------------------------------------------------------------------------------------------- wrong calls
NAN = np.full((H, W, 3), 0.5)
NAN[0, :2, 0] = np.nan, np.inf


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("a.png", r"image of type str; expected a PIL image, a numpy array or a tensor: open it first"),
        (None, "image of type NoneType; expected a PIL image"),
        (np.zeros((3, H, W)), r"shape \(3, 6, 9\); expected .*: move the channels last"),
        (np.zeros((H, W, 4)), "for an alpha channel give a PIL image"),
        (np.zeros((H, W, 1)), "drop that axis"),
        (np.zeros((1, H, W, 3)), r"expected a non-empty \(H, W, 3\) or \(H, W\)"),
        (np.zeros((0, W, 3)), "non-empty"),
        (np.zeros((H, W, 3), dtype=np.int64), "dtype int64; expected uint8"),
        (np.zeros((H, W), dtype=bool), "dtype bool"),
        (NAN, "got 2 values that are NaN or infinite; replace them first, e.g. by numpy.nan_to_num"),
        (torch.from_numpy(NAN).permute(2, 0, 1), "got 2 values that are NaN or infinite"),
        (torch.zeros(H, W), r"tensor of shape \(6, 9\); expected a non-empty \(3, H, W\) or \(B, 3, H, W\)"),
        (torch.zeros(H, W, 3), r"shape \(6, 9, 3\)"),
        (torch.zeros(0, 3, H, W), "non-empty"),
        (
            torch.zeros(3, H, W, device="meta"),
            "a tensor on the device meta, which holds no values; expected one on the",
        ),
        (torch.zeros(3, H, W, dtype=torch.uint8), r"dtype torch.uint8; expected floating point in 0..1: divide by 255"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, text: str) -> None:
    with pytest.raises(ImageError, match=text):
        upscale(image, model=NEAREST)


@pytest.mark.parametrize("make", [np.asarray, lambda x: torch.from_numpy(x).permute(2, 0, 1)], ids=["array", "tensor"])
@pytest.mark.parametrize(("low", "high"), [(0, 255.0), (-0.5, 1)])
def test_values_outside_the_unit_range_are_refused(make: Callable[..., Any], low: float, high: float) -> None:
    image = np.full((H, W, 3), 0.5)
    image[0, 0, 0], image[1, 1, 1] = low, high
    with pytest.raises(ArgumentError, match=rf"from {low:g} to {high:g}; expected 0..1: divide 0..255 by 255, or clip"):
        upscale(make(image), model=NEAREST)


class Returns(nn.Module):
    """Returns what it is told to."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, lr: Tensor) -> Any:
        return self.make(lr)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": 4}, "model of type int; expected an nn.Module, the name of a pretrained network or a folder"),
        ({"model": nn.Linear(7, 7)}, r"Linear failed on lr of shape \(1, 3, 6, 9\): .*; expected a network from"),
        ({"model": Returns(lambda lr: [lr])}, r"Returns returned list; expected a network from \(B, 3, H, W\)"),
        ({"model": Returns(lambda lr: lr.mean((1, 2, 3)))}, r"turned \(1, 3, 6, 9\) into \(1,\)"),
        ({"model": Returns(lambda lr: lr[..., :-1, :])}, r"into \(1, 3, 5, 9\)"),
        ({"model": Returns(lambda lr: lr.repeat(1, 2, 2, 2))}, r"into \(1, 6, 12, 18\)"),
        ({"model": Returns(lambda lr: lr / 0)}, "returned NaN or infinity; check its weights"),
        ({"model": NEAREST, "scale": 2}, "got scale=2 and a model that enlarges by 4; leave one of them out"),
        ({"model": create_backbone("fsrcnn", scale=3), "scale": 2}, "scale=2 and a model that enlarges by 3"),
        ({"scale": 5}, "the networks in the package enlarge by 2, 3 or 4: give a model"),
        ({"scale": 0}, "got scale=0; expected a whole number"),
        ({"scale": 2.5}, "got scale=2.5; expected a whole number"),
        ({"model": NEAREST, "k": 3}, "k=3 for Upsample; only an MGANet takes k: see mga_wrap.accelerate"),
        ({"model": NEAREST, "dtype": "half"}, "got dtype='half'; expected one of float32, bfloat16, float16"),
        (
            {"model": Recorder().half(), "dtype": "float32"},
            "dtype='float32' for a network with weights of float16; lea",
        ),
        ({"model": NEAREST, "device": "gpu"}, "device='gpu'; expected auto, cpu, cuda"),
        ({"model": NEAREST, "device": "meta"}, "got device='meta'; expected a device on which images can be computed"),
        ({"model": "fsrcnn-m-x4", "device": "meta"}, "got device='meta'; expected a device on which images"),
        ({"model": Recorder().to("meta")}, "got a Recorder on the device meta, which holds no values; expected a netw"),
        ({"model": NEAREST, "device": "cuda:99"}, "device='cuda:99'; torch sees [0-9]+ CUDA devices"),
    ],
)
def test_a_wrong_call_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        upscale(values(H, W, 3), **options)


@pytest.mark.parametrize("k", [-1, 1.5, -0.1, float("nan"), "some", True])
def test_a_wrong_k_is_refused(k: Any, net: MGANet) -> None:
    with pytest.raises(ArgumentError, match=r"got .*k=.*; expected an int >= 0, a float in \(0, 1\]"):
        upscale(values(H, W, 3), model=net, k=k)
