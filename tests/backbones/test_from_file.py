"""A network from its file, by way of spandrel."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import mga_wrap as mga
from mga_wrap.backbones.from_file import from_file
from mga_wrap.origin import file_digest, origin_of


def compact(upscale: int = 2) -> nn.Module:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    return SRVGGNetCompact(num_feat=8, num_conv=4, upscale=upscale).eval()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "wrapped.pth", "half.pth"])
def test_files_of_others(name: str, tmp_path: Path) -> None:
    model, path = compact(), tmp_path / name
    state = {key: value.half() if name == "half.pth" else value for key, value in model.state_dict().items()}
    if path.suffix == ".pth":
        torch.save({"params_ema": state} if name == "wrapped.pth" else state, path)
    else:
        save_file(state, path)
    found = from_file(path)
    assert not found.training
    assert next(found.parameters()).dtype == torch.float32
    lr = torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(found(lr), model(lr), atol=1e-2 if name == "half.pth" else 0, rtol=0)
    origin = origin_of(found)
    assert (origin.kind, origin.name, origin.sha256) == ("file", name, file_digest(path))
    assert origin.class_name == "SRVGGNetCompact"


def test_real_files(shared: Path) -> None:
    model = from_file(shared / "weights" / "realesr-animevideov3-x4.safetensors")
    assert mga.inspect(model).scale == 4


class Runs:
    """Pickled, it would run code when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("this must not run",))


def junk(path: Path) -> None:
    path.write_bytes(b"junk" * 9)


def script(path: Path) -> None:
    with pytest.warns(FutureWarning):
        torch.jit.save(torch.jit.script(nn.Conv2d(3, 3, 3)), path)


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda path: None, "cannot be read .*No such file"),
        (junk, "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (
            lambda path: torch.save({"a": torch.zeros(1)}, path),
            r"spandrel knows \(UnsupportedModelError\); give its code",
        ),
        (lambda path: torch.save([1], path), "holds list; expected a state dict"),
        (lambda path: torch.save({"a": Runs()}, path), "holds other objects than tensors, or is damaged"),
        (lambda path: torch.save(compact(), path), "holds other objects than tensors, or is damaged"),
        (lambda path: torch.save(compact(1).state_dict(), path), "holds RealESRGAN Compact, x1, 3 channels to 3"),
    ],
)
def test_files_that_are_something_else(
    write: object, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pth"
    write(path)
    with pytest.raises(mga.CheckpointError, match=text) as caught:
        from_file(path)
    said = str(caught.value)
    assert "\n" not in said
    assert "weights_only" not in said
    assert "trust" not in said
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_torchscript_archive_is_refused_without_advice(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Conv2d(3, 3, 3)), tmp_path / "a.pt")
    with pytest.raises(
        mga.CheckpointError, match=r"a.pt is a TorchScript archive, which holds code; expected"
    ) as caught:
        from_file(tmp_path / "a.pt")
    assert "weights_only" not in str(caught.value)


def test_without_spandrel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "spandrel":
            raise ImportError(name)
        return own(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "spandrel", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(mga.MGAError, match=r"not installed; pip install 'mga-wrap\[spandrel\]'"):
        from_file(tmp_path / "a.pth")


def test_a_descriptor_of_spandrel_is_accelerated_as_it_is(tmp_path: Path) -> None:
    import spandrel

    torch.save(compact().state_dict(), tmp_path / "a.pth")
    descriptor = spandrel.ModelLoader(device="cpu").load_from_file(tmp_path / "a.pth")
    net = mga.accelerate(descriptor, split_at=1)
    net.save_pretrained(tmp_path / "net")
    lr = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        for model in (descriptor, from_file(tmp_path / "a.pth")):  # kept as a class with a fingerprint: the file fits
            again = mga.from_pretrained(tmp_path / "net", model=model)
            assert torch.equal(again(lr, k="dense"), net(lr, k="dense"))
    torch.manual_seed(7)
    torch.save(compact().state_dict(), tmp_path / "other.pth")
    with pytest.raises(mga.CheckpointError, match=r"got the file other.pth .*; expected a SRVGGNetCompact of your own"):
        mga.from_pretrained(tmp_path / "net", model=from_file(tmp_path / "other.pth"))


def test_an_original_beside_its_network_is_found_by_itself(tmp_path: Path) -> None:
    """A .pth of the user's too, on the user's disk; on the Hub see tests/test_remote.py."""
    torch.manual_seed(0)
    torch.save(compact().state_dict(), tmp_path / "net.pth")
    net = mga.accelerate(from_file(tmp_path / "net.pth"), split_at=2, coarse_tail="light").eval()
    net.save_pretrained(tmp_path)
    again = mga.from_pretrained(tmp_path)
    lr = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(again(lr, k="dense"), net(lr, k="dense"))
    (tmp_path / "net.pth").write_bytes(b"another file")
    with pytest.raises(mga.CheckpointError, match=r"net.pth is another file than the file net.pth \(sha256"):
        mga.from_pretrained(tmp_path)
    (tmp_path / "net.pth").unlink()
    with pytest.raises(mga.CheckpointError, match=r"was made from the file net.pth .*; give that: from_pretrained"):
        mga.from_pretrained(tmp_path)
