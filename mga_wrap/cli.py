"""The command line: ``mga-wrap upscale``, ``inspect``, ``eval`` and ``tables``.

torch is imported inside the commands, so that ``--help`` and ``--version`` answer at once. Exit codes: 0 everything was
done, 1 something failed (one line on stderr for each failure), 2 the command line makes no sense.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mga_wrap import __version__
from mga_wrap.errors import ArgumentError, ImageError, MGAError

if TYPE_CHECKING:
    from mga_wrap.measure.evaluate import Row
    from mga_wrap.nets.mga import Amount, MGANet

app = typer.Typer(
    help="Super-resolution that restores globally and refines locally.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip

_K_HELP = "How much to refine: patches (100), a share of them (0.25), base, all or dense. Default: the network's own."
Scale = Annotated[int | None, typer.Option(help="How many times a side grows: 2, 3 or 4.", show_default="4")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="A pretrained network or the folder of a saved one.", show_default="fsrcnn-m-x{scale}"
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]


def main() -> None:
    """Run the command line."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mga-wrap {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass


# ------------------------------------------------------------------------------------------------------------- upscale
@dataclass(frozen=True)
class _Job:
    """One file to read and the files to write from it."""

    source: Path
    target: Path
    mask: Path | None

    @property
    def outputs(self) -> tuple[Path, ...]:
        return (self.target,) if self.mask is None else (self.target, self.mask)


@app.command()
def upscale(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Pictures, and folders of pictures.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A file for one picture (out.png), else a folder for <name>_x4.png."),
    ],
    scale: Scale = None,
    model: ModelName = None,
    k: Annotated[str | None, typer.Option(help=_K_HELP)] = None,
    mask: Annotated[
        bool, typer.Option("--mask", help="Also write the predicted error, laid over the picture.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Enlarge pictures: grey stays grey, transparency stays, 16-bit grey stays 16-bit."""
    with _told():
        amount = _amount(k)
        net = _network(model, scale, device)
        files, failures = _expand(inputs)
        jobs = _plan(files, out, single=len(inputs) == 1, scale=net.scale, mask=mask)
    with _progress() as progress:
        for job in progress.track(jobs, description="enlarging"):
            try:
                print(_run(job, net, amount))  # not typer.echo: it would write over the progress bar
            except (MGAError, MemoryError) as error:
                failures += 1
                _say_error(error, about=job.source)
    if failures:
        raise typer.Exit(1)


def _run(job: _Job, net: MGANet, k: Amount | None) -> str:
    """Enlarge one file; returns its line of the summary."""
    from mga_wrap.infer.engine import explain
    from mga_wrap.infer.images import Picture, read_image, write_image
    from mga_wrap.infer.pictures import trace_overlay

    start = time.perf_counter()
    picture = read_image(job.source)
    enlarged, trace = explain(net, picture, k=k)
    write_image(enlarged, path=job.target)
    if job.mask is not None:
        write_image(Picture(trace_overlay(trace, net=net).astype("float32") / 255), path=job.mask)
    sizes = " -> ".join(f"{width} x {height}" for width, height in (picture.size, enlarged.size))
    seconds = time.perf_counter() - start
    return f"{job.source} -> {job.target}: {sizes}, {trace.share:.1%} refined, {seconds:.2f} s"


def _expand(inputs: Sequence[Path]) -> tuple[list[Path], int]:
    """The files named and those in the folders named, and how many folders failed (each is told)."""
    from mga_wrap.infer.images import list_images

    files: list[Path] = []
    failures = 0
    for path in inputs:
        try:
            files += list_images(path)
        except ImageError as error:
            failures += 1
            _say_error(error, about=path)
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
    from mga_wrap.infer.images import IMAGE_SUFFIXES, WRITABLE_SUFFIXES

    suffix = out.suffix.lower()
    if out.is_dir() or suffix not in IMAGE_SUFFIXES:
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
            other = owner.setdefault(output.resolve(), job.source)
            if other is not job.source:
                raise ArgumentError(
                    f"{other} and {job.source} would both be written to {output}; enlarge them one by one"
                )


def _identity(path: Path) -> object:
    """What two names of one file have in common, links included."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino


# ------------------------------------------------------------------------------------------------------------- inspect
@app.command()
def inspect(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A backbone, a pretrained network or its folder.")],
    scale: Scale = None,
) -> None:
    """Show where a network can be cut, or the parts of one that has been."""
    with _told():
        from mga_wrap.api import inspect as anatomy_of
        from mga_wrap.backbones.registry import create_backbone, list_backbones
        from mga_wrap.hub import list_pretrained

        if name in list_backbones():
            typer.echo(anatomy_of(create_backbone(name, scale=4 if scale is None else scale)).render())
            return
        if name not in list_pretrained() and not os.path.isdir(name):
            known = f"backbones {', '.join(list_backbones())}; pretrained {', '.join(list_pretrained()) or '(none)'}"
            raise ArgumentError(f"got {name}; expected the folder of a saved network, or one of these: {known}")
        _print_parts(name, _network(name, scale, "cpu"))


def _print_parts(name: str, net: MGANet) -> None:
    from mga_wrap.measure.cost import count_parameters

    width, height = 320, 180
    macs = net.macs(height, width)
    typer.echo(f"{name}: x{net.scale}, p={net.p}, halo={net.halo}, k={net.k}")
    table = Table()
    table.add_column("part")
    table.add_column("parameters", justify="right")
    table.add_column(f"MACs of {width} x {height} (million)", justify="right")
    for part in ("base", "mask", "refine"):
        table.add_row(part, f"{count_parameters(getattr(net, part)):,}", f"{macs[part] / 1e6:,.1f}")
    table.add_section()
    table.add_row("total", f"{count_parameters(net):,}", f"{macs['total'] / 1e6:,.1f}")
    Console().print(table)


# ---------------------------------------------------------------------------------------------------------------- eval
@app.command(name="eval")
def evaluate_folder(
    data: Annotated[Path, typer.Option(help="Folder of HR pictures.")],
    scale: Annotated[int, typer.Option(help="How many times a side is reduced and enlarged again.")],
    model: ModelName = None,
    k: Annotated[list[str] | None, typer.Option(help=_K_HELP + " May be given several times.")] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Crop HR to multiples of this.", show_default="4 * scale"),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    device: Device = "auto",
) -> None:
    """Measure PSNR-Y and SSIM-Y: HR is reduced by exact bicubic interpolation and enlarged again."""
    with _told():
        from mga_wrap.infer.images import list_images
        from mga_wrap.measure.evaluate import evaluate, means

        amounts = [_amount(text) for text in k or []]
        net = _network(model, scale, device)
        files = list_images(data)
        rows: list[Row] = []
        with _progress() as progress:
            for file in progress.track(files, description="measuring"):
                rows += evaluate(net, [file], scale=scale, ks=amounts or [net.k], crop=crop)
        rows += means(rows)
        _print_rows(rows, title=f"{data.name} x{scale}: PSNR-Y (dB) / SSIM-Y")
        if csv is not None:
            _write_csv(rows, csv)


def _print_rows(rows: Sequence[Row], *, title: str) -> None:
    """A line a picture, a column a k."""
    columns = list(dict.fromkeys(str(row.k) for row in rows))
    table = Table(title=escape(title))
    table.add_column("picture")
    for column in columns:
        table.add_column(f"k = {column}", justify="right")
    pictures = list(dict.fromkeys(row.picture for row in rows))
    for picture in pictures:
        cells = {str(row.k): f"{row.psnr_y:.3f} / {row.ssim_y:.4f}" for row in rows if row.picture == picture}
        if picture == pictures[-1]:
            table.add_section()
        table.add_row(escape(picture), *(cells[column] for column in columns))
    Console().print(table)


def _write_csv(rows: Sequence[Row], path: Path) -> None:
    import csv
    import io

    from mga_wrap.infer.images import open_whole

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "k", "psnr_y", "ssim_y"])
    writer.writerows([row.picture, row.k, f"{row.psnr_y:.4f}", f"{row.ssim_y:.6f}"] for row in rows)
    with open_whole(path) as handle:
        handle.write(text.getvalue().encode())


# -------------------------------------------------------------------------------------------------------------- tables
@app.command()
def tables(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the paper's tables: table07.csv, ...")],
) -> None:
    """Compare the MACs and parameters that the paper prints with those of the networks here."""
    with _told():
        from mga_wrap.measure.paper import paper_cost
        from mga_wrap.measure.paper_tables import compare, needed, render

        with _progress() as progress:
            for network, scale in progress.track(needed(folder), description="counting"):
                paper_cost(network, scale)
        lines = compare(folder)
        for part in render(lines):
            Console().print(part, highlight=False, soft_wrap=isinstance(part, str))
    if not all(line.agrees or line.reason for line in lines):
        raise typer.Exit(1)


# -------------------------------------------------------------------------------------------------------------- shared
def _network(model: str | None, scale: int | None, device: str) -> MGANet:
    from mga_wrap.infer.engine import prepare

    return cast("MGANet", prepare(model, scale=scale, device=device))  # what from_pretrained gives


def _amount(text: str | None) -> Amount | None:
    """100 is a number of patches, 1.0 a share of them.

    Raises:
        ArgumentError: text is neither a number that k may be, nor base, all or dense.
    """
    from mga_wrap.nets.mga import check_amount

    if text is None:
        return None
    if re.fullmatch(r"[+-]?\d+", text):
        return check_amount(int(text))
    try:
        share = float(text)
    except ValueError:
        return check_amount(text)
    return check_amount(share)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # A summary that goes to a file must not be drawn into the bar on the terminal.
    return Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=sys.stdout.isatty()
    )


@contextmanager
def _told() -> Iterator[None]:
    """One line for an error instead of a traceback; 2 for a wrong command line, 1 for anything else."""
    try:
        yield
    except MGAError as error:
        _say_error(error)
        raise typer.Exit(2 if isinstance(error, ArgumentError) else 1) from error


def _say_error(error: BaseException, *, about: Path | None = None) -> None:
    text = " ".join(str(error).split()) or type(error).__name__
    prefix = f"{about}: " if about is not None and str(about) not in text else ""
    print(f"error: {prefix}{text}", file=sys.stderr)
