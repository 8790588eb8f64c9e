"""examples/finetune.py on files that are no networks; what it does with those that are is in tests/test_examples.py."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code from a file was run')",)


@pytest.mark.parametrize("kind", ["pickle", "numbers", "text", "missing"])
def test_a_file_that_is_no_network_is_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    file = tmp_path / "a.pth"
    if kind == "pickle":
        file.write_bytes(pickle.dumps(Trap(), protocol=2))
    elif kind == "numbers":
        torch.save({0: torch.zeros(3)}, file)
    elif kind == "text":
        file.write_text("hello")
    words = [str(file), "--data", str(tmp_path), "--val", str(tmp_path), "--out", str(tmp_path / "out")]
    said = {
        "pickle": "holds other objects than tensors, or is damaged; expected",
        "numbers": r"is no network that spandrel knows \(.*\); give its code",
        "text": r"cannot be read \(.*\); expected",
        "missing": "cannot be read: there is no such file; check the path",
    }
    with pytest.raises(SystemExit, match=rf"error: .*a\.pth {said[kind]}") as caught:
        importlib.import_module("finetune").main(words)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
