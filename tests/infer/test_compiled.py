"""`compile`: the engine that is asked for, or the fastest that agrees, remembered."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.engines import stored
from mga_wrap.engines.parts import Result
from mga_wrap.engines.sessions import installed_engines
from mga_wrap.infer import compiled
from mga_wrap.infer.remembered import Choice
from mga_wrap.pictures.synthetic import synthetic

LR = synthetic(40, 56)
ENGINES = pytest.mark.parametrize("engine", ["torch", *installed_engines()])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path / "cache"))
    compiled.runner_for.cache_clear()
    return tmp_path / "cache"


def net() -> mga.MGANet:
    return mga.from_pretrained("fsrcnn-m-x2")


class Pretended:
    """Engines that take their time, and what they make of the image."""

    def __init__(self, seconds: dict[str, float], spoil: Callable[[str, Tensor], Tensor] = lambda _, sr: sr) -> None:
        self.seconds, self.spoil, self.opened = seconds, spoil, []  # type: ignore[var-annotated]

    def __call__(self, net: nn.Module, *, engine: str, dtype: torch.dtype, threads: int) -> Pretended.Net:
        name = f"{engine} {str(dtype).removeprefix('torch.')}"
        self.opened.append(name)
        return Pretended.Net(self, net, name)

    class Net:
        def __init__(self, owner: Pretended, net: nn.Module, name: str) -> None:
            self.owner, self.net, self.name = owner, net, name

        def enlarge(self, lr: Tensor, *, k: object = None, max_loss: object = None) -> Result:
            time.sleep(self.owner.seconds[self.name])
            with torch.no_grad():
                return Result(self.owner.spoil(self.name, self.net(lr)), None)

        def __call__(self, lr: Tensor, *, k: object = None, max_loss: object = None) -> Tensor:
            return self.enlarge(lr).sr


class Slow(nn.Module):
    """A network that torch takes a while for."""

    scale = 2

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.9))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=2.0) * self.factor


def pretend(monkeypatch: pytest.MonkeyPatch, engines: Pretended, *, torch_takes: float) -> None:
    monkeypatch.setattr(compiled, "EngineNet", engines)
    monkeypatch.setattr(compiled, "installed_engines", lambda: ("onnxruntime", "openvino"))
    own = compiled.run

    def slow(*args: object, **options: object) -> Tensor:
        time.sleep(torch_takes)
        return own(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(compiled, "run", slow)
    monkeypatch.setattr(compiled, "has_bfloat16", lambda: True)


FAST = {"onnxruntime float32": 0.03, "openvino float32": 0.06, "openvino bfloat16": 0.0}


def test_the_fastest_is_taken_and_remembered(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    engines = Pretended(FAST)
    pretend(monkeypatch, engines, torch_takes=0.1)
    model = Slow()
    assert mga.compile(model).choice_for(LR) == Choice("openvino", "bfloat16")
    assert mga.compile(model, dtype="float32").choice_for(LR) == Choice("onnxruntime", "float32")
    kept = [json.loads(file.read_text(encoding="utf-8")) for file in own_cache.glob("engine-*.json")]
    assert sorted(one["engine"] for one in kept) == ["onnxruntime", "openvino"]
    assert all("torch as the weights" in one["seconds"] for one in kept)
    engines.opened.clear()
    assert mga.compile(model).choice_for(LR) == Choice("openvino", "bfloat16")
    assert engines.opened == []  # nothing was tried again
    assert mga.compile(model).choice_for(synthetic(160, 200)) == Choice("openvino", "bfloat16")
    assert engines.opened  # another size class is


def test_what_the_processor_would_emulate_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = Pretended(FAST)
    pretend(monkeypatch, engines, torch_takes=0.1)
    monkeypatch.setattr(compiled, "has_bfloat16", lambda: False)
    assert mga.compile(Slow()).choice_for(LR) == Choice("onnxruntime", "float32")
    assert not [name for name in engines.opened if "bfloat16" in name]


def test_what_differs_is_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(name: str, sr: Tensor) -> Tensor:
        return sr + {"onnxruntime float32": 2e-4, "openvino float32": 5e-5, "openvino bfloat16": 4e-3}[name]

    pretend(monkeypatch, Pretended(FAST, spoil), torch_takes=0.1)
    assert mga.compile(Slow()).choice_for(LR) == Choice("openvino", "float32")  # bfloat16 at 48 dB is not enough


def test_an_engine_that_cannot_run_it_is_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(name: str, sr: Tensor) -> Tensor:
        if name.startswith("openvino"):
            raise mga.EngineError("no such layer")
        return sr

    pretend(monkeypatch, Pretended(FAST, spoil), torch_takes=0.1)
    assert mga.compile(Slow()).choice_for(LR).engine == "onnxruntime"


def test_another_version_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = Pretended(FAST)
    pretend(monkeypatch, engines, torch_takes=0.1)
    model = Slow()
    mga.compile(model).choice_for(LR)
    monkeypatch.setattr(stored, "__version__", "another")
    engines.opened.clear()
    mga.compile(model).choice_for(LR)
    assert engines.opened


@pytest.mark.parametrize(("long", "tried"), [(float("inf"), (400, 500)), (0.0, (90, 160))])
def test_engines_are_tried_on_a_part_that_does_not_take_torch_long(
    monkeypatch: pytest.MonkeyPatch, long: float, tried: tuple[int, int]
) -> None:
    seen: set[tuple[int, ...]] = set()

    def look(_: str, sr: Tensor) -> Tensor:
        seen.add(tuple(sr.shape[-2:]))
        return sr

    pretend(monkeypatch, Pretended(FAST, look), torch_takes=0.0)
    monkeypatch.setattr(compiled, "LONG", long)
    assert mga.compile(Slow()).choice_for(synthetic(400, 500)).engine in ("openvino", "torch")
    height, width = (min(most, side) for most, side in zip(tried, (360, 500), strict=True))
    assert seen == {(2 * height, 2 * width)}


def test_engines_are_tried_on_what_the_network_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(Slow):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[-2] < 200:
                raise RuntimeError("too small")
            return super().forward(x)

    seen: set[tuple[int, ...]] = set()

    def look(_: str, sr: Tensor) -> Tensor:
        seen.add(tuple(sr.shape[-2:]))
        return sr

    pretend(monkeypatch, Pretended(FAST, look), torch_takes=0.0)
    monkeypatch.setattr(compiled, "LONG", 0.0)
    mga.compile(Large()).choice_for(synthetic(240, 200))
    assert seen == {(480, 400)}


def test_auto_goes_back_to_torch_where_its_engine_fails_later(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[str] = []

    def spoil(name: str, sr: Tensor) -> Tensor:
        if name in broken:
            raise mga.EngineError(f"Slow failed in {name}")
        return sr

    pretend(monkeypatch, Pretended(FAST, spoil), torch_takes=0.1)
    model = Slow()
    runner = mga.compile(model)
    assert runner.choice_for(LR).engine == "openvino"
    broken.append("openvino bfloat16")
    with pytest.warns(RuntimeWarning, match="Slow failed in openvino.*had chosen openvino bfloat16.*takes torch"):
        sr = runner(LR)
    assert torch.equal(sr, mga.upscale(LR, model=model))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(runner(LR), sr)  # it is told once
    with pytest.raises(mga.EngineError, match="failed in openvino"):
        mga.compile(model, engine="openvino", dtype="bfloat16")(LR)


def test_a_memory_that_is_broken_or_of_another_engine_is_found_again(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    pretend(monkeypatch, Pretended(FAST), torch_takes=0.1)
    model = Slow()
    mga.compile(model).choice_for(LR)
    (file,) = own_cache.glob("engine-*.json")
    for text in (
        "{",
        "[]",
        file.read_text(encoding="utf-8").replace("openvino", "tensorrt"),
        '{"a": 1}',
        '{"engine": []}',
    ):
        file.write_text(text, encoding="utf-8")
        assert mga.compile(model).choice_for(LR) == Choice("openvino", "bfloat16")


def test_a_memory_that_cannot_be_written_is_gone_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path / "file"))
    pretend(monkeypatch, Pretended(FAST), torch_takes=0.1)
    assert mga.compile(Slow()).choice_for(LR) == Choice("openvino", "bfloat16")


@ENGINES
def test_the_image_is_the_same_in_every_engine(engine: str) -> None:
    model = net()
    runner = mga.compile(model, engine=engine, threads=1)  # type: ignore[arg-type]
    for k in (0, 0.3, "all"):
        torch.testing.assert_close(runner(LR, k=k), mga.upscale(LR, model=model, k=k), atol=1e-4, rtol=0)  # type: ignore[arg-type]
    found = runner.enlarge(LR, k=0.3)
    assert 0.25 < found.share < 0.35
    assert runner.enlarge(LR, k=0).share == 0


@ENGINES
def test_a_network_that_has_learned_is_taken_over_anew(engine: str) -> None:
    model = mga.create_backbone("student-half", scale=2).eval()
    runner = mga.compile(model, engine=engine)  # type: ignore[arg-type]
    before = runner(LR)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    after = runner(LR)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, mga.upscale(LR, model=model), atol=1e-4, rtol=0)


@ENGINES
def test_weights_that_are_written_past_autograd_are_noticed(engine: str) -> None:
    model = mga.create_backbone("student-half", scale=2).eval()
    runner = mga.compile(model, engine=engine)  # type: ignore[arg-type]
    before = runner(LR)
    for parameter in model.parameters():
        parameter.data.neg_()  # counted by no version
    assert not torch.equal(before, runner(LR))
    torch.testing.assert_close(runner(LR), mga.upscale(LR, model=model), atol=1e-4, rtol=0)


@ENGINES
def test_k_is_that_of_the_network_at_the_call(engine: str) -> None:
    model = mga.from_pretrained("fsrcnn-m-x2").train()  # of which a copy runs
    runner = mga.compile(model, engine=engine)  # type: ignore[arg-type]
    shares = []
    for model.k in (0.25, 1.0, 0):
        shares.append(runner.enlarge(LR).share)
    assert shares[1:] == [1, 0]
    assert 0 < shares[0] < 0.5
    assert model.training


@ENGINES
def test_what_is_no_batch_is_refused(engine: str) -> None:
    runner = mga.compile(net(), engine=engine)  # type: ignore[arg-type]
    for bad, got in (
        (LR[0], r"float32 of shape \(3, 40, 56\)"),
        (LR[..., :0], r"float32 of shape \(1, 3, 40, 0\)"),
        ((LR * 255).to(torch.uint8), "uint8"),
        ("lr.png", "str"),
    ):
        with pytest.raises(mga.ArgumentError, match=f"got lr: .*{got}.*; expected a non-empty"):
            runner(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["torch", *installed_engines()])
def test_another_scale_than_that_asked_for_is_refused(engine: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2)
    ).eval()  # says its scale by its image alone
    with pytest.raises(mga.ArgumentError, match="got scale=4 and a model that enlarges by 2"):
        mga.upscale(LR, model=model, scale=4, engine=engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", [*installed_engines(), "auto"])
def test_upscale_takes_an_engine(engine: str) -> None:
    model = net()
    found = mga.upscale(LR, model=model, engine=engine, dtype="float32", k=0)  # type: ignore[arg-type]
    torch.testing.assert_close(found, mga.upscale(LR, model=model, k=0), atol=1e-4, rtol=0)
    assert torch.equal(mga.upscale(LR, model=model, engine=engine, dtype="float32", k=0), found)  # type: ignore[arg-type]


def test_bad_input_is_refused() -> None:
    with pytest.raises(mga.ArgumentError, match="expected a network"):
        mga.compile("pan")  # type: ignore[arg-type]
    with pytest.raises(mga.ArgumentError, match="got engine='tensorrt'; expected one of auto, torch, onnxruntime"):
        mga.compile(net(), engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(mga.ArgumentError, match="got threads=0; expected a number of 1 or more"):
        mga.compile(net(), threads=0)
    with pytest.raises(mga.ArgumentError, match="got dtype='int8'"):
        mga.compile(net(), dtype="int8")  # type: ignore[arg-type]
    with pytest.raises(mga.ArgumentError, match="only an MGANet takes k"):
        mga.compile(Slow(), engine="torch")(LR, k=0.5)


def test_off_the_cpu_it_is_torch() -> None:
    assert mga.compile(Slow().double()).choice_for(LR) == Choice("torch", None)
