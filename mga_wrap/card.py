"""The card of a network on the Hugging Face Hub: what it is, what was measured of it, how to use it.

Every figure of a card is read from a CSV file that `mga-wrap eval` or `mga-wrap bench` wrote, and the file goes along.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from mga_wrap.errors import ArgumentError
from mga_wrap.names import CONFIG, PLAIN

LIBRARY = "mga_wrap"
PIPELINE = "image-to-image"
TAGS = ("super-resolution", "image-super-resolution", "mga")
FRONT, PICTURE = "front.png", "before-after.png"
"""Pictures that a card shows, if they lie beside it."""
MEAN = "mean"
EVAL_COLUMNS = ("picture", "k", "psnr_y", "ssim_y")
BENCH_COLUMNS = ("name", "format", "share", "seconds", "over_as_it_runs", "over_best_format", "macs")
Table = list[dict[str, str]]


@dataclass(frozen=True)
class Notes:
    """What a card says that no file of the network holds."""

    licence: str | None = None
    """By the Hub's names: "apache-2.0"."""
    base_model: str | None = None
    """The original's repository on the Hub, if it has one."""
    datasets: Sequence[str] = ()
    """Of the training, by their names on the Hub."""
    trained: str = ""
    """How it was trained, Markdown."""
    limits: Sequence[str] = ()
    """What it does not do, a sentence each."""
    commands: Sequence[str] = ()
    """That measured what the card shows."""


@dataclass(frozen=True)
class Measured:
    """What was measured, as the tables that the commands wrote."""

    quality: Mapping[str, Table] = field(default_factory=dict)
    """Name of a test set to the rows of `mga-wrap eval --csv`."""
    speed: Table = field(default_factory=list)
    """The rows of `mga-wrap bench --csv`."""
    speed_of: str = ""
    """Size, machine and threads."""


def read_table(path: Path, *, columns: Sequence[str]) -> Table:
    """The rows of a CSV file.

    Raises:
        ArgumentError: it cannot be read, or lacks one of the columns.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, csv.Error) as error:
        raise ArgumentError(f"{path} cannot be read ({error}); expected what --csv wrote") from error
    missing = [name for name in columns if not rows or rows[0].get(name) is None]
    if missing:
        raise ArgumentError(f"{path} lacks {', '.join(missing)}; expected what --csv of eval or bench wrote")
    return rows


def card_of(
    config: Mapping[str, Any],
    *,
    name: str,
    measured: Measured | None = None,
    notes: Notes | None = None,
    pictures: Iterable[str] = (),
) -> ModelCard:
    """Write the card.

    Args:
        config: what `save_pretrained` wrote into config.json, or `save_network` into network.json.
        name: by which it is loaded: "owner/name".
        measured: None: nothing was, and the card says so.
        notes: licence, training, limits.
        pictures: names of the pictures beside it; `FRONT` and `PICTURE` are shown.

    Returns:
        The card; ``str(card)`` is the text, ``card.save(path)`` writes it.

    Raises:
        ArgumentError: a table has no means.

    Example:
        >>> from mga_wrap.card import card_of
        >>> config = {"scale": 4, "backbone": {"name": "pan", "scale": 4}, "cut": {"k": 0.2, "p": 16, "halo": 2}}
        >>> card_of(config, name="owner/pan-m-x4").data.pipeline_tag
        'image-to-image'
    """
    measured, notes = measured or Measured(), notes or Notes()
    data = ModelCardData(
        library_name=LIBRARY,
        pipeline_tag=PIPELINE,
        license=notes.licence,
        base_model=notes.base_model,
        datasets=list(notes.datasets) or None,
        tags=[*TAGS, f"x{_scale(config)}"],
        metrics=["psnr", "ssim"] if measured.quality else None,
        model_name=name.rpartition("/")[2],
        eval_results=_results(config, measured.quality) or None,
    )
    if data.eval_results is None:
        del data.model_name  # without results it names nothing, and the Hub knows no such field
    sections = [
        _head(config, name, pictures),
        _use(config, name),
        _what(config),
        _quality(measured.quality, pictures, plain=_is_plain(config)),
        _speed(measured, plain=_is_plain(config)),
        _trained(notes),
        _limits(notes, plain=_is_plain(config)),
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(part for part in sections if part) + "\n")


# ------------------------------------------------------------------------------------------------------------- figures
def means_of(table: Table, *, of: str = "the table") -> Table:
    """The rows that are means over the pictures.

    Raises:
        ArgumentError: there are none.
    """
    found = [row for row in table if row["picture"] == MEAN]
    if not found:
        raise ArgumentError(f"{of} has no row of means; expected what mga-wrap eval --csv wrote")
    return found


def own_row(config: Mapping[str, Any], table: Table) -> dict[str, str]:
    """The mean at the network's own k; the first mean where that was not measured, or it has none."""
    means, own = means_of(table), "" if _is_plain(config) else str(config["cut"]["k"])
    return next((row for row in means if row["k"] == own), means[0])


def _results(config: Mapping[str, Any], quality: Mapping[str, Table]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type=PIPELINE,
            task_name="Image super-resolution",
            dataset_type=name.lower(),
            dataset_name=f"{name} x{_scale(config)}",
            metric_type=metric,
            metric_name=f"{metric.upper()}-Y" + (f" (k={row['k']})" if row["k"] else ""),
            metric_value=round(float(row[f"{metric}_y"]), digits),
        )
        for name, table in quality.items()
        for row in (own_row(config, table),)
        for metric, digits in (("psnr", 2), ("ssim", 4))
    ]


def _is_plain(config: Mapping[str, Any]) -> bool:
    """Whether it is of a network that is not cut."""
    return "network" in config


def _scale(config: Mapping[str, Any]) -> int:
    return int(config["network"]["scale"] if _is_plain(config) else config["scale"])


def _quality(quality: Mapping[str, Table], pictures: Iterable[str], *, plain: bool) -> str:
    if not quality:
        return "## Measured\n\nNothing yet."
    ks = list(dict.fromkeys(row["k"] for table in quality.values() for row in means_of(table)))
    lines = [f"| k | {' | '.join(quality)} | MACs |", f"|---|{'---|' * len(quality)}---:|"]
    for k in ks:
        rows = [next((row for row in means_of(table) if row["k"] == k), None) for table in quality.values()]
        cells = [f"{float(row['psnr_y']):.2f} / {float(row['ssim_y']):.4f}" if row else "" for row in rows]
        lines.append(f"| {k or 'as it is'} | {' | '.join(cells)} | {_macs(next(row for row in rows if row))} |")
    front = f"\n\n![PSNR against multiply-accumulates and seconds]({FRONT})" if FRONT in set(pictures) else ""
    return (
        "## Measured\n\nPSNR-Y in dB / SSIM-Y, means over the pictures, by the field's protocol; MACs are the first "
        f"set's.{'' if plain else AMOUNTS}\n\n{chr(10).join(lines)}{front}"
    )


AMOUNTS = (
    " k: how much is refined (a share of the patches, or their number); dense: the Refine-Net over the whole map; "
    "original: the network before it was cut."
)


def _macs(row: Mapping[str, str]) -> str:
    return f"{float(row['macs']) / 1e9:.2f} G" if row.get("macs") else ""


def _speed(measured: Measured, *, plain: bool) -> str:
    if not measured.speed:
        return ""
    lines = ["| | format | share | seconds | as it runs | best format |", "|---|---|---:|---:|---:|---:|"]
    rows = [row for row in measured.speed if not (plain and row["share"])]  # bench cuts what it is given
    for row in rows:
        ratios = (f"{1 / float(row[ratio]):.2f}x" for ratio in ("over_as_it_runs", "over_best_format"))
        lines.append(
            f"| {row['name']} | {row['format']} | {row['share']} | {float(row['seconds']):.3f} | {' | '.join(ratios)} |"
        )
    return (
        f"### Speed\n\n{measured.speed_of} The last columns: times as fast as the original as it runs, and as the "
        f"original in the best memory format and dtype; above 1 is faster.\n\n{chr(10).join(lines)}"
    )


# --------------------------------------------------------------------------------------------------------------- words
def _head(config: Mapping[str, Any], name: str, pictures: Iterable[str]) -> str:
    picture = f"\n\n![bicubic beside this network]({PICTURE})" if PICTURE in set(pictures) else ""
    does = (
        "to be the base of a pair with a large one, or the start of a student that learns from it."
        if _is_plain(config)
        else "that restores the whole image with its Base-Net, and the patches that need it most with its Refine-Net."
    )
    size = "small super-resolution" if _is_plain(config) else "super-resolution"
    return f"# {name.rpartition('/')[2]}\n\nA {size} network (x{_scale(config)}) {does}{picture}"


def _use(config: Mapping[str, Any], name: str) -> str:
    if _is_plain(config):
        return _use_plain(name)
    base = config.get("base")
    made = "" if _is_found(config.get("backbone"), config.get("original")) else ", model=original"
    made += "" if base is None or _is_found(base.get("backbone"), base.get("origin")) else ", base=small"
    return _code(f"""import mga_wrap as mga
from PIL import Image

net = mga.from_pretrained("{name}"{made})
large = mga.upscale(Image.open("photo.png"), model=net)
large = mga.upscale(Image.open("photo.png"), model=net, k=0.5)  # refine half of the patches""")


def _use_plain(name: str) -> str:
    return _code(f"""import mga_wrap as mga
from mga_wrap.networks import load_network
from PIL import Image

small = load_network("{name}")
large = mga.upscale(Image.open("photo.png"), model=small)
net = mga.accelerate(your_network, base=small)  # small everywhere, your network where it matters""")


def _code(lines: str) -> str:
    return f"## Use\n\n```sh\npip install mga-wrap\n```\n\n```python\n{lines}\n```"


def _is_found(backbone: object, original: Mapping[str, Any] | None) -> bool:
    """Whether `from_pretrained` needs not be given it."""
    said = original or {}
    return backbone is not None or (said.get("kind") == "file" and str(said.get("name")).endswith(".safetensors"))


def _what(config: Mapping[str, Any]) -> str:
    if _is_plain(config):
        return _facts(dict(config["network"]))
    cut, original = config["cut"], config.get("original") or {}
    backbone = config.get("backbone") or {}
    made_of = backbone.get("name") or original.get("name") or "a network of its owner's"
    facts = {
        "made of": made_of,
        "a network of its own as the Base-Net": ((config.get("base") or {}).get("origin") or {}).get("name"),
        "enlarges by": config["scale"],
        "style": cut.get("style"),
        "Base-Net ends behind": cut.get("split_at"),
        "coarse tail": cut.get("coarse_tail"),
        "patch side p, halo (pixels of the feature)": f"{cut.get('p')}, {cut.get('halo')}",
        "refined unless told (k)": cut.get("k"),
        "sha256 of the original's file": original.get("sha256"),
        "the original's repository": original.get("repo"),
    }
    return _facts(facts)


def _facts(facts: Mapping[str, object]) -> str:
    rows = [f"| {fact} | {value} |" for fact, value in facts.items() if value is not None]
    return "\n".join(["## What it is", "", "| | |", "|---|---|", *rows])


def _trained(notes: Notes) -> str:
    commands = "\n".join(notes.commands)
    measured_by = f"## How it was measured\n\n```sh\n{commands}\n```" if commands else ""
    trained = f"## How it was trained\n\n{notes.trained}" if notes.trained else ""
    return "\n\n".join(part for part in (trained, measured_by) if part)


def _limits(notes: Notes, *, plain: bool) -> str:
    always = (
        "It enlarges by one factor, and expects images reduced by bicubic interpolation without noise or compression, "
        "unless its training says otherwise.",
        "What it gains and what it costs depends on the picture and the machine: `mga-wrap eval` and `mga-wrap bench` "
        "measure yours.",
        f"`model.safetensors` and `{PLAIN if plain else CONFIG}` are all that is read; neither can run code.",
    )
    return "\n".join(["## What it does not do", "", *(f"* {sentence}" for sentence in (*notes.limits, *always))])
