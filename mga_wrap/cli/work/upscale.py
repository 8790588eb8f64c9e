"""What `mga-wrap upscale` does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import typer
from torch import nn

from mga_wrap.cli.failures import say_error
from mga_wrap.cli.work.each import ReadAhead, Rest, each_picture
from mga_wrap.cli.work.network import Given, accelerated, find_network, scale_of, with_max_loss
from mga_wrap.config import Amount
from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.figures.overlays import trace_overlay
from mga_wrap.infer.api import enlarge_to_write
from mga_wrap.infer.compiled import Engine
from mga_wrap.infer.engine import DType, check_dtype
from mga_wrap.infer.networks import device_of
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.files import (
    IMAGE_SUFFIXES,
    WRITABLE_SUFFIXES,
    Picture,
    list_images,
    read_image,
    write_image,
)

WRITERS = 8
"""Pictures that are compressed at once, at most: each is held in memory meanwhile."""


@dataclass(frozen=True)
class _Job:
    """One file to read and the files to write from it."""

    source: Path
    target: Path
    mask: Path | None

    @property
    def outputs(self) -> tuple[Path, ...]:
        return (self.target,) if self.mask is None else (self.target, self.mask)


def upscale(
    inputs: list[Path],
    out: Path,
    scale: int | None,
    model: str | None,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    k: Amount | None,
    max_loss: float | None,
    mask: bool,
    device: str,
    dtype: str | None,
    engine: str,
) -> None:
    """Enlarge every picture; prints a line for each."""
    given = Given(model, args=network_args, weights=weights, original=original, base=base)
    net = find_network(given, scale=scale, device=device)
    arithmetic = check_dtype(dtype)
    files, failures = _expand(inputs)
    jobs = _plan(files, out, single=len(inputs) == 1, scale=scale_of(net), mask=mask)
    if k is not None or mask or max_loss is not None:
        net = with_max_loss(accelerated(net, given), max_loss)

    on_gpu = (device_of(net) or torch.device("cpu")).type == "cuda"
    with ThreadPoolExecutor(max_workers=1) as pool:
        read = ReadAhead([job.source for job in jobs], read_image, pool)

        def work(job: _Job) -> Rest:
            return _enlarged(job, read, net, k, arithmetic, cast(Engine, engine))

        failures += each_picture(
            jobs, work, source=lambda job: job.source, doing="enlarging", beside=_writers() if on_gpu else 1
        )
    if failures:
        raise typer.Exit(1)


def _writers() -> int:
    """How many pictures are compressed at once where a GPU makes them, which does so sooner than one is compressed."""
    return max(1, min(WRITERS, (os.cpu_count() or 1) - 2))  # one core hands out the work, one reads


def _enlarged(
    job: _Job,
    read: Callable[[], Picture],
    net: nn.Module,
    k: Amount | None,
    dtype: DType | None,
    engine: Engine,
) -> Rest:
    """Enlarge one file; returns what writes it, and its line of the summary."""
    start = time.perf_counter()
    picture = read()
    enlarged, share, trace = enlarge_to_write(
        net, picture, k=k, dtype=dtype, engine=engine, traced=job.mask is not None
    )
    overlay = None
    if isinstance(net, MGANet) and trace is not None and job.mask is not None:
        overlay = Picture(trace_overlay(trace, net=net).astype("float32") / 255)
    sizes = " -> ".join(f"{width} x {height}" for width, height in (picture.size, enlarged.size))
    seconds = time.perf_counter() - start

    refined = "" if share is None else f" {share:.1%} refined,"

    def write() -> str:
        begun = time.perf_counter()
        write_image(enlarged.picture(), path=job.target)
        if overlay is not None and job.mask is not None:
            write_image(overlay, path=job.mask)
        took = seconds + time.perf_counter() - begun
        return f"{job.source} -> {job.target}: {sizes},{refined} {took:.2f} s"

    return write


def _expand(inputs: Sequence[Path]) -> tuple[list[Path], int]:
    """The files named and those in the folders named, and how many folders failed (each is told)."""
    files: list[Path] = []
    failures = 0
    for path in inputs:
        try:
            files += list_images(path)
        except ImageError as error:
            failures += 1
            say_error(error, about=path)
    return files, failures


def _plan(files: Sequence[Path], out: Path, *, single: bool, scale: int, mask: bool) -> list[_Job]:
    """What is read and what is written, settled before anything is done.

    Raises:
        ArgumentError: two outputs of one name, an output that is an input, or a file where a folder is needed.
    """
    if _is_file_name(out):
        if not single or len(files) > 1:
            raise ArgumentError(f"got {out} for several pictures; expected a folder: give a name without {out.suffix}")
        jobs = [_Job(file, out, out.with_name(f"{out.stem}_mask.png") if mask else None) for file in files]
    else:
        names = [out / f"{file.stem}_x{scale}" for file in files]
        jobs = [
            _Job(file, name.with_name(f"{name.name}.png"), name.with_name(f"{name.name}_mask.png") if mask else None)
            for file, name in zip(files, names, strict=True)
        ]
    _check_plan(jobs)
    return jobs


def _is_file_name(out: Path) -> bool:
    suffix = out.suffix.lower()
    try:
        folder = out.is_dir()
    except OSError as error:
        raise ArgumentError(f"got {out}: {error.strerror}; choose another -o") from error
    if folder or suffix not in IMAGE_SUFFIXES:
        return False
    if suffix not in WRITABLE_SUFFIXES:
        raise ArgumentError(f"got {out}; {out.suffix} is not written: expected one of {', '.join(WRITABLE_SUFFIXES)}")
    return True


def _check_plan(jobs: Sequence[_Job]) -> None:
    inputs = {_identity(job.source): job.source for job in jobs}
    owner: dict[object, Path] = {}
    for job in jobs:
        for output in job.outputs:
            if _identity(output) in inputs:
                raise ArgumentError(f"{output} is one of the inputs and is never overwritten; choose another -o")
            other = owner.setdefault(os.path.realpath(output), job.source)
            if other is not job.source:
                raise ArgumentError(
                    f"{other} and {job.source} would both be written to {output}; enlarge them one by one"
                )


def _identity(path: Path) -> object:
    """What two names of one file have in common, links included."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)  # not Path.resolve: that raises where links lead in a circle
    return found.st_dev, found.st_ino
