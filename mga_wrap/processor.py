"""This machine's processor: its name, what it is remembered by, and whether it computes in bfloat16."""

from __future__ import annotations

import os
import platform
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch


def processor() -> str:
    """Its name, as far as the system says it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """The processor, what it can do, and the number of its cores: clouds give one name to very different ones."""
    able = torch.backends.cpu.get_cpu_capability()
    return f"{processor()}, {able}, {'with' if has_bfloat16() else 'without'} bfloat16, {os.cpu_count()}"


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16 itself; what has to be emulated takes several times float32's time.

    torch says of an x86 processor with AVX512 alone that it supports bfloat16: there oneDNN emulates it.
    """
    ask: Any = getattr(torch.cpu, "get_capabilities", None)  # not in every torch
    able = ask() if ask is not None else {}
    if "avx512_bf16" in able:
        return bool(able["avx512_bf16"] or able.get("amx_bf16"))
    supported: Any = torch.ops.mkldnn._is_mkldnn_bf16_supported
    return bool(supported())


def warn_of_emulation(dtype: object, device: torch.device) -> None:
    """Say that a dtype which was asked for is emulated on this processor, with a RuntimeWarning."""
    if dtype in (torch.bfloat16, "bf16") and device.type == "cpu" and not has_bfloat16():
        warnings.warn(
            f"this processor has no bfloat16 ({processor()}): it is emulated, which may take several times as long as "
            "float32; leave bfloat16 out",
            RuntimeWarning,
            stacklevel=4,
        )
