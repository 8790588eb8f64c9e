"""Networks in another engine: the image of torch, for any k and size; where that cannot be, an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys.public import EMT, ELANLight, read_public
from toys.whole import Pools, build_whole

import mga_wrap as mga
from mga_wrap.engines import parts
from mga_wrap.engines.parts import EngineNet
from mga_wrap.engines.sessions import installed_engines
from mga_wrap.engines.stored import cache_folder, digest_of
from mga_wrap.nets.patches import grid_size
from mga_wrap.pictures.synthetic import synthetic

pytestmark = [
    pytest.mark.filterwarnings("ignore::mga_wrap.errors.CostWarning", "ignore::mga_wrap.errors.UnfittedWarning"),
    pytest.mark.usefixtures("own_cache"),
]
ENGINES = pytest.mark.parametrize("engine", installed_engines())
SIZES = ((40, 56), (37, 61), (52, 33), (17, 70))
AMOUNTS: tuple[object, ...] = (0, 1, 0.3, "all", "dense")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@lru_cache
def network(name: str, style: str = "pretrained") -> mga.MGANet:
    torch.manual_seed(0)
    if name == "pair":
        small, model = mga.create_backbone("fsrcnn", scale=2), build_whole("UShaped", 2)
        return mga.accelerate(model, base=small, p=16, halo=4)
    return mga.accelerate(mga.create_backbone(name, scale=2), style=style, p=8).eval()


def opened(net: nn.Module, engine: str, dtype: torch.dtype = torch.float32) -> EngineNet:
    return EngineNet(net, engine=engine, dtype=dtype, threads=1)


def expected_of(net: mga.MGANet, lr: Tensor, k: object, index: Tensor | None) -> Tensor:
    """What torch makes where the same patches are refined: scores that are nearly equal may be in another order."""
    with torch.no_grad():
        if index is None or k == "all":
            return net(lr, k=k)  # type: ignore[arg-type]
        coarse, *crossing = net.base(lr)
        return net.refine_patches(coarse, crossing, index)


@ENGINES
@pytest.mark.parametrize(
    ("name", "style"),
    [("fsrcnn", "pretrained"), ("fsrcnn", "paper"), ("pair", "pretrained")]
    + [pytest.param(name, style, marks=pytest.mark.slow) for name, style in (("pan", "pretrained"), ("rfdn", "paper"))],
)
def test_the_image_is_torchs_at_any_size_and_k(engine: str, name: str, style: str) -> None:
    net = network(name, style)
    run = opened(net, engine)
    for height, width in SIZES:
        lr = synthetic(height, width)
        for k in AMOUNTS:
            found = run.enlarge(lr, k=k)  # type: ignore[arg-type]
            expected = expected_of(net, lr, k, found.index)
            torch.testing.assert_close(found.sr, expected, atol=1e-4, rtol=0)
            if isinstance(k, int | float) and k:
                score = net.trace(lr).score.detach().flatten()
                best = score.topk(found.index.shape[1]).values  # type: ignore[union-attr]
                chosen = score[found.index.flatten()].sort(descending=True).values  # type: ignore[union-attr]
                torch.testing.assert_close(chosen, best, atol=1e-3, rtol=1e-3)
                gh, gw = grid_size(*(length * net.scale // net.geometry.zoom for length in (height, width)), net.p)
                assert found.share == found.index.shape[1] / (gh * gw)  # type: ignore[union-attr]
    if name != "pair":  # whose large network pads behind an `if` on the size
        assert {one.way for one in run._checked.values()} == {parts.FREE}  # no graph had to be made again for a size


@ENGINES
@pytest.mark.parametrize("name", ["fsrcnn", "pair"])
def test_a_trace_shows_what_torchs_does(engine: str, name: str) -> None:
    net = network(name)
    run, lr = opened(net, engine), synthetic(40, 56)
    for k in AMOUNTS:
        found, expected = run.trace(lr, k=k), net.trace(lr, k=k)  # type: ignore[arg-type]
        for part in ("feature", "coarse", "score"):
            torch.testing.assert_close(getattr(found, part), getattr(expected, part), atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(found.sr, expected_of(net, lr, k, found.index), atol=1e-4, rtol=0)
        assert found.share == expected.share
        assert found.lr is lr


@pytest.mark.skipif("openvino" not in installed_engines(), reason="OpenVINO is not installed")
@pytest.mark.parametrize("name", ["fsrcnn", "pair", pytest.param("pan", marks=pytest.mark.slow)])
def test_what_is_handed_on_in_bfloat16_gives_the_same_image(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same but for one rounding: a convolution in bfloat16 rounds what it is given in any case."""
    net, given = network(name), []
    own = parts.open_session

    def watched(*about: object, **options: object) -> parts.Session:
        session = own(*about, **options)  # type: ignore[arg-type]
        if options["dtype"] == torch.float32:
            return session  # one that is compared

        def run(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
            given.extend(x.dtype for x in arrays)
            return session(arrays)

        return run

    class Kept(EngineNet):
        def _run(self, *about: object, handed_on: object = (), **options: object) -> Sequence[np.ndarray]:
            return super()._run(*about, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "open_session", watched)
    run = opened(net, "openvino", torch.bfloat16)
    kept = Kept(net, engine="openvino", dtype=torch.bfloat16, threads=1)
    for height, width in SIZES:
        lr = synthetic(height, width)
        given.clear()
        found = run.enlarge(lr, k=0.3)
        handed = sum(one.is_map and not one.for_score for one in net.geometry.crossing)
        windows = given.count(np.dtype(np.uint16))
        assert windows >= handed > 0
        assert windows % handed == 0
        expected = kept.enlarge(lr, k=0.3)
        assert torch.equal(found.index, expected.index)  # type: ignore[arg-type]
        assert (found.sr - expected.sr).square().mean().sqrt() < 2e-3  # 54 dB
        trace = run.trace(lr, k=0.3)  # whose maps are looked at
        assert trace.feature.dtype == torch.float32
        torch.testing.assert_close(trace.feature, net.trace(lr, k=0.3).feature, atol=0.05, rtol=0.05)


@ENGINES
def test_a_plain_network_and_a_batch(engine: str) -> None:
    model = mga.create_backbone("student-half", scale=2).eval()
    lr = torch.cat([synthetic(40, 56), synthetic(40, 56).flip(3)])
    run = opened(model, engine)
    with torch.no_grad():
        torch.testing.assert_close(run(lr), model(lr), atol=1e-4, rtol=0)
    net = network("fsrcnn")
    with torch.no_grad():
        torch.testing.assert_close(opened(net, engine)(lr, k="all"), net(lr, k="all"), atol=1e-4, rtol=0)


def attention(name: str) -> nn.Module:
    """Untrained: attention in windows of rolled maps, or in long windows, and maps that wrap around; both normalise."""
    torch.manual_seed(0)
    model = ELANLight(channels=12, pairs=2) if name == "ELAN" else EMT(channels=12, blocks=1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    for key, weights in model.named_parameters():
        if key.endswith("mask"):
            nn.init.normal_(weights, std=0.3)
    return model.eval()


@ENGINES
@pytest.mark.parametrize("name", ["ELAN", "EMT"])
def test_attention_in_windows_has_one_graph_for_every_size(engine: str, name: str) -> None:
    model = attention(name)
    run = opened(model, engine)
    for height, width in SIZES:
        lr = synthetic(height, width)
        with torch.no_grad():
            torch.testing.assert_close(run(lr), model(lr), atol=1e-4, rtol=0)
    assert run._checked["plain"].way == parts.FREE


@ENGINES
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ELAN_light_x4", "EMT_x3"])
def test_published_attention(engine: str, name: str, shared: Path) -> None:
    model = read_public(shared / "weights" / f"{name}.pth")
    run = opened(model, engine)
    for height, width in ((40, 56), (37, 61)):
        lr = synthetic(height, width)
        with torch.no_grad():
            torch.testing.assert_close(run(lr), model(lr), atol=1e-4, rtol=0)
    assert run._checked["plain"].way == parts.FREE


@ENGINES
def test_attention_as_the_large_one_of_a_pair(engine: str) -> None:
    small = mga.create_backbone("fsrcnn", scale=4)
    net = mga.accelerate(attention("ELAN"), base=small, p=24, halo=4)
    run, lr = opened(net, engine), synthetic(52, 70)
    for k in (0.3, "all", "dense"):
        found = run.enlarge(lr, k=k)  # type: ignore[arg-type]
        torch.testing.assert_close(found.sr, expected_of(net, lr, k, found.index), atol=1e-4, rtol=0)


@ENGINES
def test_making_a_graph_leaves_the_network_as_it_was(engine: str) -> None:
    """An exporter that puts it into train mode lets each image after that change its normalisation."""
    model, lr = attention("EMT"), synthetic(40, 56)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    opened(model, engine)(lr)
    assert not any(module.training for module in model.modules())
    with torch.no_grad():
        model(lr)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class TwoForms(nn.Module):
    """Its graph holds for one parity of the height: a branch that tracing decides once."""

    scale = 2

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        sr = nn.functional.pixel_shuffle(self.layer(x), 2)
        return sr if x.shape[-2] % 2 == 0 else sr * 0.5


@ENGINES
@pytest.mark.parametrize("heights", [(41, 40, 43), (40, 44, 41)])  # the second: two sizes for which one graph is right
def test_a_graph_that_holds_for_one_size_is_made_for_each(engine: str, heights: tuple[int, ...]) -> None:
    model = TwoForms().eval()
    run = opened(model, engine)
    for height in heights:
        one = synthetic(height, 56)
        with torch.no_grad():
            torch.testing.assert_close(run(one), model(one), atol=1e-4, rtol=0)


@ENGINES
@pytest.mark.parametrize("model", [mga.create_backbone("student-half", scale=2).eval(), TwoForms().eval()], ids=type)
def test_sizes_that_are_gone_hold_no_memory(engine: str, model: nn.Module) -> None:
    run = opened(model, engine)
    for height in (40, 44, 48, 41, 40):
        one = synthetic(height, 56)
        with torch.no_grad():
            torch.testing.assert_close(run(one), model(one), atol=1e-4, rtol=0)
    assert [key[1] for key in run._sessions] == [((1, 3, 41, 56),), ((1, 3, 40, 56),)]
    assert len(run._graphs) <= 1  # that for every size


@ENGINES
def test_an_engine_that_fails_while_it_runs_is_told(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = mga.create_backbone("student-half", scale=2).eval()
    run = opened(model, engine)
    run(synthetic(24, 32))

    def fails(_: object) -> list[object]:
        raise RuntimeError("no memory\nat all")

    run._sessions = dict.fromkeys(run._sessions, fails)  # type: ignore[assignment]
    with pytest.raises(mga.EngineError, match=rf"HalfStudent failed in {engine}: its plain part, no memory; use eng"):
        run(synthetic(24, 32))


@pytest.mark.skipif("openvino" not in installed_engines(), reason="needs openvino")
def test_what_onnx_does_not_know_openvino_may(capfd: pytest.CaptureFixture[str]) -> None:
    model, lr = Pools().eval(), synthetic(41, 61)
    for dtype, close in ((torch.float32, 1e-4), (torch.bfloat16, 5e-2)):
        with torch.no_grad():
            torch.testing.assert_close(opened(model, "openvino", dtype)(lr), model(lr), atol=close, rtol=0)
    assert "graph(" not in capfd.readouterr().out  # the exporter prints what it does not know, whole
    if "onnxruntime" in installed_engines():
        with pytest.raises(mga.EngineError, match="Pools cannot run in onnxruntime"):
            opened(model, "onnxruntime")(lr)


class Wrong(nn.Module):
    """What it computes hangs on values, which a graph does not see."""

    scale = 2

    def forward(self, x: Tensor) -> Tensor:
        Wrong.calls = getattr(Wrong, "calls", 0) + 1
        return nn.functional.interpolate(x, scale_factor=2.0) * Wrong.calls


@ENGINES
def test_what_computes_something_else_is_refused(engine: str, own_cache: Path) -> None:
    with pytest.raises(mga.EngineError, match=rf"Wrong cannot run in {engine}: its plain part, .*use engine='torch'"):
        opened(Wrong(), engine)(synthetic(24, 32))
    assert not [*own_cache.rglob("*.onnx")]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MGA_WRAP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mga_wrap"


def test_a_network_is_told_from_any_other() -> None:
    net = network("fsrcnn")
    digests = {digest_of(net), digest_of(network("fsrcnn", "paper")), digest_of(net.base)}
    other = mga.create_backbone("fsrcnn", scale=2)
    digests.add(digest_of(other))
    with torch.no_grad():
        next(other.parameters()).view(-1)[7] += 1e-3  # one value of one tensor
    digests.add(digest_of(other))
    assert len(digests) == 5
    net = network("fsrcnn")
    assert digest_of(net.with_cut(config=replace(net.config, k=0.7, max_loss=0.3))) == digest_of(net)  # a call's
    assert digest_of(net.with_cut(config=replace(net.config, halo=3))) != digest_of(net)
    assert digest_of(other) == digest_of(other)


@ENGINES
def test_what_an_engine_does_not_take_is_told(engine: str) -> None:
    model = mga.create_backbone("student-half", scale=2).eval()
    with pytest.raises(mga.ArgumentError, match=rf"float16.* for engine '{engine}'; expected float32"):
        opened(model, engine, torch.float16)
    with pytest.raises(mga.ArgumentError, match=r"network of float64 on cpu; engine .* takes one of float32"):
        opened(mga.create_backbone("student-half", scale=2).double(), engine)
    with pytest.raises(mga.ArgumentError, match=r"HalfStudent failed on \(1, 1, 24, 32\): .* channels"):
        opened(model, engine)(torch.rand(1, 1, 24, 32))
    with pytest.raises(mga.ArgumentError, match=r"got lr of shape \(1, 1, 8, 8\)"):
        opened(network("fsrcnn"), engine)(torch.rand(1, 1, 8, 8))
