"""Commands called as from a shell, and pictures for them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from mga_wrap.cli import app

H, W = 12, 18


def run(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # a traceback is never an answer
    return result


def enlarge(net: Path, *words: object) -> Result:
    return run("upscale", *words, "--model", net, "--device", "cpu")


def measure(command: str, data: Path, net: Path, *words: object) -> Result:
    return run(command, "--data", data, "--scale", 2, "--model", net, "--device", "cpu", *words)


def save(path: Path, mode: str = "RGB") -> Path:
    """Noise of 18 x 12."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(len(path.name)).integers(0, 256, (H, W, 4)).astype(np.uint8)
    image = Image.fromarray(values, "RGBA")
    (image.convert("RGB") if mode == "P" else image).convert(mode).save(path)
    return path


def picture(path: Path, height: int, width: int, *, mode: str = "RGB") -> Path:
    """Soft spots of colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name) + height)
    small = rng.integers(0, 256, (-(-height // 4), -(-width // 4), 4), dtype=np.uint8)
    Image.fromarray(small, "RGBA").resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def broken_tiff(whole: Path) -> bytes:
    """A third of a compressed picture, which is written to `whole`, is overwritten."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    Image.fromarray(noise).save(whole, compression="tiff_adobe_deflate")
    content = bytearray(whole.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = b"\xff" * third
    return bytes(content)


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))
