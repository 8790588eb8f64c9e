"""The laws on a GPU, and that nothing in the forward waits for it. Skipped where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from toys.plain import NETWORKS, build
from typer.testing import CliRunner

import mga_wrap as mga
from mga_wrap.cli.app import app
from mga_wrap.nets.mask import average
from mga_wrap.pictures.arrays import Arrival, as_bytes

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
PLAIN = sorted(NETWORKS)
"""Toys and backbones, each named after its trap."""


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """No TF32, and algorithms that do not depend on the batch as far as cuDNN has them."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = before


def image(height: int = 37, width: int = 29, *, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(3)).cuda()


def cut(name: str, *, halo: int | str = 2) -> tuple[torch.nn.Module, mga.MGANet]:
    model = build(name, 2).cuda().eval()
    net = mga.accelerate(model, split_at=1, p=8, halo=halo, coarse_tail="copy")
    net.fitted = True
    return model, net


@pytest.mark.parametrize("name", PLAIN)
def test_dense_is_the_original_bit_for_bit(name: str) -> None:
    model, net = cut(name)
    assert next(net.parameters()).is_cuda
    with torch.no_grad():
        assert torch.equal(net(image(), k="dense"), model(image()))


@pytest.mark.parametrize("name", PLAIN)
def test_exact_halos_give_the_original_in_every_patch(name: str) -> None:
    model, net = cut(name, halo="exact")
    with torch.no_grad():
        expected = model(image())
        torch.testing.assert_close(net(image(), k="all"), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", PLAIN)
def test_outside_the_refined_patches_it_is_coarse(name: str) -> None:
    _, net = cut(name)
    with torch.no_grad():
        trace = net.trace(image(batch=2), k=3)
        side = net.p * net.geometry.zoom
        for number, chosen in enumerate(trace.index.tolist()):
            unrefined = torch.ones(trace.sr.shape[-2:], dtype=torch.bool)
            for position in chosen:
                row, column = divmod(position, trace.score.shape[-1])
                unrefined[row * side : (row + 1) * side, column * side : (column + 1) * side] = False
            assert torch.equal(trace.sr[number][:, unrefined], trace.coarse[number][:, unrefined])


@pytest.mark.parametrize("k", [0, 0.2, 5, "all", "dense"])
@pytest.mark.parametrize("name", ["PAN", "LongSkip", "CatFusion", "FSRCNN"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_operator_waits_for_the_device(name: str, k: object, dtype: torch.dtype) -> None:
    _, net = cut(name)
    lr = image(64, 48)
    with torch.inference_mode(), torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
        net(lr, k=k)  # the first call of a shape may load kernels
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            net(lr, k=k)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("k", [0, 0.2, 5, "all", "dense"])
@pytest.mark.parametrize("name", ["PAN", "LongSkip", "CatFusion", "FSRCNN"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_size_that_comes_again_is_replayed_as_a_cuda_graph(name: str, k: mga.config.Amount, dtype: str) -> None:
    _, net = cut(name)
    runner = mga.compile(net, dtype=None if dtype == "float32" else dtype)  # type: ignore[arg-type]  # one of them
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a recording that cannot be made, or that returns something else, is told
        for number in range(4):
            lr = image(64, 48).roll(number, -1)
            expected = mga.upscale(lr, model=net, k=k, dtype=None if dtype == "float32" else dtype)  # type: ignore[arg-type]
            found = runner(lr, k=k)
            near = (found - expected).abs() < (1e-5 if dtype == "float32" else 2e-2)
            assert near.float().mean() > 0.9  # among near scores another patch may be taken
    assert len(runner._replayer._recordings) == 1
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    lr = image(64, 48)
    assert (runner(lr, k=k) - mga.upscale(lr, model=net, k=k)).abs().mean() < 2e-2


@pytest.mark.parametrize("p", [16, 17, 24, 64])
def test_averages_of_patches_are_what_the_processor_makes_of_them(p: int) -> None:
    x = image(150, 131, batch=2)
    torch.testing.assert_close(average(x, p=p).cpu(), average(x.cpu(), p=p), atol=1e-6, rtol=0)


def test_recordings_share_the_memory_of_their_maps_and_each_returns_its_own() -> None:
    _, net = cut("PAN")
    runner = mga.compile(net)
    images = [image(64, 48), image(48, 64), image(64, 48).flip(-1), image(48, 64).flip(-1)] * 2
    found = [runner(lr, k="all") for lr in images]
    for lr, sr in zip(images, found, strict=True):
        torch.testing.assert_close(sr, mga.upscale(lr, model=net, k="all"), atol=1e-5, rtol=0)
    one, two = runner._replayer._recordings.values()
    assert one.memory == two.memory


@pytest.mark.parametrize("k", [0, 0.25, "all", "dense"])
@pytest.mark.parametrize("name", ["PAN", "LongSkip", "FSRCNN"])
def test_it_gives_what_the_processor_gives(name: str, k: object) -> None:
    _, net = cut(name)
    with torch.no_grad():
        on_gpu = net(image(), k=k).cpu()
        index = net.trace(image(), k=k).index
        on_cpu = net.cpu()
        lr = image().cpu()
        if index is None or k == "all":
            torch.testing.assert_close(on_gpu, on_cpu(lr, k=k), atol=1e-4, rtol=0)
        else:  # near scores may be in another order: the same patches
            coarse, *crossing = on_cpu.base(lr)
            torch.testing.assert_close(on_gpu, on_cpu.refine_patches(coarse, crossing, index.cpu()), atol=1e-4, rtol=0)


@pytest.mark.parametrize("rounded", [False, True])
def test_an_image_arrives_as_it_was_though_the_gpu_goes_on(rounded: bool) -> None:
    arrivals, expected = [], []
    for number in range(4):
        sr = image(400, 300).roll(number, -1)
        values = sr.squeeze(0).permute(1, 2, 0).cpu().numpy()
        expected.append(as_bytes(values) if rounded else values)
        arrivals.append(Arrival(sr, rounded=rounded))
        del sr
        torch.rand(1, 3, 400, 300, device="cuda")  # may lie where the image lay
    for arrival, values in zip(arrivals, expected, strict=True):
        found = arrival.array()
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
def test_a_folder_of_pictures_is_written_as_the_processor_writes_it(mode: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(5):  # one size, so that recordings come in
        values = image(40, 56).roll(number, -1)[0].permute(1, 2, 0).cpu().numpy()
        picture = Image.fromarray(as_bytes(values))
        if mode == "I;16":
            picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
        elif mode == "RGBA":
            picture.putalpha(picture.convert("L"))
        else:
            picture = picture.convert(mode)
        picture.save(tmp_path / "in" / f"{number}.png")
    for device in ("cpu", "cuda"):
        words = ["upscale", tmp_path / "in", "-o", tmp_path / device, "--model", "fsrcnn-m-x2", "--device", device]
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0
        assert [line.split(" -> ")[0][-5:] for line in result.stdout.splitlines()] == [f"{n}.png" for n in range(5)]
    for number in range(5):
        with (
            Image.open(tmp_path / "cpu" / f"{number}_x2.png") as cpu,
            Image.open(tmp_path / "cuda" / f"{number}_x2.png") as cuda,
        ):
            assert cpu.mode == cuda.mode
            steps = np.abs(np.asarray(cpu).astype(int) - np.asarray(cuda).astype(int))
            # Rounding may go the other way, and among near scores another patch be taken.
            assert np.mean(steps <= (257 if mode == "I;16" else 1)) > 0.9


def test_fitting_on_a_gpu_brings_the_coarse_image_nearer() -> None:
    model = mga.create_backbone("pan", scale=2).cuda().eval()
    net = mga.accelerate(model, split_at=12, coarse_tail="light", p=8)
    report = mga.fit(
        net, [torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(n)) for n in range(4)], seconds=5
    )
    assert report.after[0].fidelity > report.before[0].fidelity
    with torch.no_grad():
        assert torch.equal(net(image(), k="dense"), model(image()))
        assert net(image(), k="auto").shape == (1, 3, 74, 58)
