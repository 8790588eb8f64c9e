"""What is said of the processor, where torch says much, little or nothing of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import pytest
import torch

import mga_wrap as mga
from mga_wrap import processor

X86 = {"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}


@pytest.fixture
def torch_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, object]], None]:
    def said(able: Mapping[str, object]) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)

    return said


@pytest.mark.parametrize(
    ("able", "expected"),
    [(X86, False), ({**X86, "avx512_bf16": True}, True), ({**X86, "amx_bf16": True}, True)],
    ids=["AVX512 alone", "AVX512-BF16", "AMX"],
)
def test_x86(torch_says: Callable[[Mapping[str, object]], None], able: Mapping[str, object], expected: bool) -> None:
    torch_says(able)
    assert processor.has_bfloat16() is expected


def test_others_ask_onednn(torch_says: Callable[[Mapping[str, object]], None]) -> None:
    torch_says({"sve": True})
    assert processor.has_bfloat16() is torch.ops.mkldnn._is_mkldnn_bf16_supported()


def test_machines_of_one_name_are_told_apart(torch_says: Callable[[Mapping[str, object]], None]) -> None:
    torch_says(X86)
    without = processor.machine()
    torch_says({**X86, "amx_bf16": True})
    assert processor.machine() != without


def test_bfloat16_that_is_emulated_is_told(torch_says: Callable[[Mapping[str, object]], None]) -> None:
    model, lr = mga.create_backbone("fsrcnn", scale=2).eval(), torch.rand(1, 3, 16, 16)
    torch_says(X86)
    with pytest.warns(RuntimeWarning, match="no bfloat16.*several times"):
        mga.compile(model, engine="torch", dtype="bfloat16")(lr)
    torch_says({**X86, "avx512_bf16": True})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mga.compile(model, engine="torch", dtype="bfloat16")(lr)
