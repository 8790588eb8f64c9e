"""`mga-wrap bench`: seconds of a network before and after acceleration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mga_wrap.cli.app import app
from mga_wrap.cli.shared import DTYPE_HELP, Device, progress_bar, told
from mga_wrap.errors import ArgumentError

if TYPE_CHECKING:
    from torch import nn

    from mga_wrap.bench.timing import Clock
    from mga_wrap.nets.mga import MGANet


@app.command()
def bench(
    model: Annotated[
        str | None, typer.Option(help="A pretrained network or the folder of a saved one; or give --backbone.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="A backbone, to be cut as the next options say.")] = None,
    scale: Annotated[int | None, typer.Option(help="Of the backbone: 2, 3 or 4.", show_default="4")] = None,
    split_at: Annotated[
        str | None, typer.Option(help="Blocks in the Base-Net (8), a share of them (0.25) or the last one's name.")
    ] = None,
    coarse_tail: Annotated[
        str | None, typer.Option(help="copy, light, or a number of convolutions.", show_default="copy")
    ] = None,
    p: Annotated[int | None, typer.Option(help="Patch side.", show_default="16")] = None,
    halo: Annotated[str | None, typer.Option(help="Ring around a patch, or exact.", show_default="2")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of the backbone: .pth or .safetensors.")] = None,
    size: Annotated[str, typer.Option(help="Of the image to enlarge, WIDTHxHEIGHT.")] = "640x360",
    share: Annotated[
        list[float] | None,
        typer.Option(help="Share of refined patches. May be given several times.", show_default="0.1, 0.25, 0.5"),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help=DTYPE_HELP, show_default="the fastest")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Of torch and the other engines.", show_default="torch's own")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Rounds that count, after one that does not.")] = 5,
    clock: Annotated[
        str, typer.Option(help="wall, or processor on a busy machine: this process's own seconds, for --threads 1.")
    ] = "wall",
    engines: Annotated[
        bool, typer.Option(help="Also run the original in onnxruntime and OpenVINO, if installed.")
    ] = True,
    memory: Annotated[bool, typer.Option(help="Also measure memory, in a process for each row.")] = True,
    device: Device = "auto",
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    json: Annotated[Path | None, typer.Option(help="The same as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The same as Markdown.")] = None,
) -> None:
    """Time the accelerated network against the original: as it runs, and in the best memory format and dtype."""
    with told():
        from mga_wrap.bench import report
        from mga_wrap.bench.benchmark import SHARES
        from mga_wrap.bench.benchmark import bench as measure
        from mga_wrap.infer.engine import check_dtype

        tail = _number_or_name(coarse_tail)
        options = {"split_at": _split_at(split_at), "coarse_tail": tail, "p": p, "halo": _halo(halo)}
        cut: dict[str, object] = {name: value for name, value in options.items() if value is not None}
        net, original = _networks(model, backbone, scale, checkpoint, cut, device)
        pixels, wanted = _size(size), check_dtype(dtype)
        with progress_bar() as progress:
            result = measure(
                net,
                original,
                size=pixels,
                shares=share or SHARES,
                dtype=wanted,
                threads=threads,
                repeats=repeats,
                clock=cast("Clock", clock),
                engines=engines,
                memory=memory,
                track=lambda rounds: progress.track(rounds, description="measuring"),
            )
        print(result)
        writers = ((csv, report.csv_text), (json, report.json_text), (markdown, report.markdown))
        for path, text in writers:
            if path is not None:
                _write(path, text(result))


def _networks(
    model: str | None,
    backbone: str | None,
    scale: int | None,
    checkpoint: Path | None,
    cut: dict[str, object],
    device: str,
) -> tuple[MGANet, nn.Module]:
    """The accelerated network and the original, on the device."""
    from mga_wrap.infer.networks import pick_device

    if (model is None) == (backbone is None):
        raise ArgumentError("got neither or both of --model and --backbone; expected one of them")
    place = pick_device(device)
    if model is None:
        net, original = _cut(str(backbone), 4 if scale is None else scale, checkpoint, cut)
    else:
        given = [*cut, *(["checkpoint"] if checkpoint else []), *(["scale"] if scale is not None else [])]
        if given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ArgumentError(f"got {names} with --model, which is cut already; leave out, or give --backbone")
        net, original = _saved(model)
    return net.to(place), original.to(place)


def _cut(name: str, scale: int, checkpoint: Path | None, cut: dict[str, object]) -> tuple[MGANet, nn.Module]:
    from mga_wrap.api import accelerate
    from mga_wrap.backbones.registry import create_backbone
    from mga_wrap.backbones.weights import load_weights

    original = create_backbone(name, scale=scale)
    if checkpoint is not None:
        load_weights(original, checkpoint)
    return accelerate(original, **cast("dict[str, Any]", cut)), original


def _saved(model: str) -> tuple[MGANet, nn.Module]:
    """A saved network, and the backbone that it was made of: untrained, which changes no second."""
    from mga_wrap.backbones.registry import create_backbone
    from mga_wrap.hub import from_pretrained

    net = from_pretrained(model)
    if net.backbone is None:
        raise ArgumentError(f"got {model}, which was made of a network of your own; bench it from Python")
    return net, create_backbone(**net.backbone)


def _split_at(text: str | None) -> str | int | float | None:
    """8 is a number of blocks, 0.5 a share of them, anything else a block's name."""
    if text is None or text == "auto":
        return text
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _number_or_name(text: str | None) -> str | int | None:
    """12 is a number of convolutions, anything else a name."""
    return int(text) if text is not None and re.fullmatch(r"\d+", text) else text


def _halo(text: str | None) -> str | int | None:
    if text is None or text == "exact":
        return text
    if not re.fullmatch(r"\d+", text):
        raise ArgumentError(f"got --halo {text}; expected a whole number of pixels, or exact")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)[xX×](\d+)", text)
    if not found:
        raise ArgumentError(f"got --size {text}; expected WIDTHxHEIGHT in pixels, e.g. 640x360")
    return int(found[1]), int(found[2])


def _write(path: Path, text: str) -> None:
    from mga_wrap.pictures.files import open_whole

    with open_whole(path) as handle:
        handle.write(text.encode())
