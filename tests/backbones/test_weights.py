"""Weights from files: every form that training codes write, nothing that is another network's."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mga_wrap.backbones.weights import load_weights
from mga_wrap.errors import CheckpointError


@pytest.mark.parametrize("wrap", [None, "params", "params_ema", "state_dict", "model"])
def test_a_state_dict_is_found_where_training_codes_put_it(wrap: str | None, tmp_path: Path) -> None:
    trained, model = nn.Linear(2, 3), nn.Linear(2, 3)
    state: Any = trained.state_dict()
    torch.save(state if wrap is None else {"epoch": 3, wrap: state}, tmp_path / "a.pth")
    load_weights(model, tmp_path / "a.pth")
    assert torch.equal(model.weight, trained.weight)


def test_averaged_weights_come_first(tmp_path: Path) -> None:
    last, averaged, model = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 3)
    torch.save({"params": last.state_dict(), "params_ema": averaged.state_dict()}, tmp_path / "a.pth")
    load_weights(model, tmp_path / "a.pth")
    assert torch.equal(model.weight, averaged.weight)


def test_safetensors_are_read(tmp_path: Path) -> None:
    trained, model = nn.Linear(2, 3), nn.Linear(2, 3)
    save_file(trained.state_dict(), tmp_path / "a.safetensors")
    load_weights(model, tmp_path / "a.safetensors")
    assert torch.equal(model.bias, trained.bias)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code from a file was run')",)


def written(folder: Path) -> dict[str, Path]:
    torch.save(nn.Linear(2, 4).state_dict(), folder / "other.pth")
    torch.save([1, 2], folder / "list.pth")
    torch.save({"epoch": 3}, folder / "number.pth")
    torch.save(nn.Linear(2, 3), folder / "module.pth")
    torch.save({0: torch.zeros(3)}, folder / "numbers.pth")
    torch.save({"params": {0: torch.zeros(3)}}, folder / "wrapped.pth")
    (folder / "cut.pth").write_bytes((folder / "other.pth").read_bytes()[:-200])
    (folder / "text.pth").write_text("hello")
    (folder / "empty.pth").write_bytes(b"")
    (folder / "trap.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    (folder / "text.safetensors").write_text("hello")
    return {path.name: path for path in folder.iterdir()} | {"none.pth": folder / "none.pth"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("other.pth", "holds the weights of another network than Linear: .*size mismatch"),
        ("list.pth", "holds list; expected a state dict"),
        ("number.pth", "holds dict; expected a state dict"),
        ("text.pth", r"cannot be read \(.*\); expected a .safetensors file or a state dict"),
        ("empty.pth", "cannot be read"),
        (
            "trap.pth",
            "trap.pth holds other objects than tensors, or is damaged; expected a .safetensors",
        ),
        ("module.pth", "module.pth holds other objects than tensors, or is damaged"),
        ("numbers.pth", "holds dict; expected a state dict, names to tensors"),
        ("wrapped.pth", "holds dict; expected a state dict, names to tensors"),
        ("cut.pth", r"cannot be read \(RuntimeError: .*\); expected"),
        ("none.pth", "cannot be read"),
        ("text.safetensors", "cannot be read"),
    ],
)
def test_anything_else_is_refused(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=text) as caught:
        load_weights(nn.Linear(2, 3), written(tmp_path)[name])
    assert "\n" not in str(caught.value)
    told = [str(caught.value), str(caught.value.__cause__)]  # the traceback of a script shows both
    assert not any("weights_only" in text for text in told), "torch's advice is to run what is in the file"
