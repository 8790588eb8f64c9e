"""The networks in the package under their names on the Hub: measure them, write their cards, check them, push them.

python hub/publish.py make --data ../shared/data/test     measure, draw, write the cards (--cards: the cards alone)
python hub/publish.py check                               load each as it will lie on the Hub, validate, measure again
python hub/publish.py push OWNER                          push them all, as OWNER/name

The weights lie in mga_wrap/weights alone; here, in a folder for each, lie the figures, the pictures and the card.
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from huggingface_hub import ModelCard

import mga_wrap as mga
from mga_wrap import remote
from mga_wrap.card import BENCH_COLUMNS, EVAL_COLUMNS, FRONT, PICTURE, Measured, Notes, card_of, own_row, read_table
from mga_wrap.checkpoint import CONFIG, WEIGHTS, read_config
from mga_wrap.cli import app
from mga_wrap.figures.cropping import cut_out
from mga_wrap.figures.panels import side_by_side
from mga_wrap.files import whole_file
from mga_wrap.infer import enlarge
from mga_wrap.measure import evaluate, means
from mga_wrap.names import PLAIN, list_pretrained, list_students, shipped_folder
from mga_wrap.networks import load_network
from mga_wrap.pictures import Picture, resize_bicubic, write_image
from mga_wrap.pictures.pairs import find_pairs, read_pair
from mga_wrap.processor import processor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PHOTOGRAPH = ROOT / "examples" / "chelsea.png"
SETS = ("Set5", "Set14")
OWN = "chelsea"
"""The set of one photograph that lies in the repository, so that anybody can measure again."""
AMOUNTS = ("0", "0.1", "0.2", "0.5", "all", "dense")
BENCH = "--size 320x180 --share 0.1 --share 0.2 --share 0.5 --threads 1 --clock processor --repeats 5 --no-memory"
NOTES, MACHINE, PHOTOGRAPHS = "networks.yaml", "machine.txt", "PHOTOGRAPHS.csv"
LARGEST = 20_000_000
"""Bytes that all folders may have."""
CROP = (60, 100, 72, 96)
"""Top, left, height and width of what is shown of the photograph."""


# ------------------------------------------------------------------------------------------------------------- measure
def eval_command(name: str, data: str) -> str:
    """The command that measures one set; its figures are the card's."""
    evaluated = f"mga-wrap eval --model {name} --data {data} --scale {scale_of(name)}"
    if is_plain(name):
        return evaluated
    cut = config_of(name)["cut"]
    amounts = [*AMOUNTS, *([] if str(cut["k"]) in AMOUNTS else [str(cut["k"])])]
    amounts += ["original"] if cut["style"] == "pretrained" else []  # the other style holds none
    ks = " ".join(f"--k {k}" for k in amounts)
    return f"{evaluated} {ks}"


def bench_command(name: str) -> str:
    """The command that times a network."""
    return f"mga-wrap bench {name} {BENCH}"


def config_of(name: str) -> dict[str, Any]:
    """What the package's folder says of a network."""
    return read_config(shipped_folder(name) / (PLAIN if is_plain(name) else CONFIG))


def is_plain(name: str) -> bool:
    """Whether it is not cut."""
    return name in list_students()


def pictures_of(name: str) -> tuple[str, ...]:
    """That its card shows: a network that is not cut has one point, and no front."""
    return (PICTURE,) if is_plain(name) else (FRONT, PICTURE)


def every_name() -> list[str]:
    """Of the networks in the package."""
    return sorted([*list_pretrained(), *list_students()])


def scale_of(name: str) -> int:
    """Of a network in the package."""
    config = config_of(name)
    return int(config["network"]["scale"] if is_plain(name) else config["scale"])


def measure(name: str, data: Path) -> None:
    """Every table and picture of one network."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for each, where in {**{one: data / one for one in SETS}, OWN: PHOTOGRAPH}.items():
        plot = ["--plot", str(folder / FRONT)] if each == SETS[-1] and not is_plain(name) else []
        run([*shlex.split(eval_command(name, shlex.quote(str(where)))), "--csv", str(folder / f"{each}.csv"), *plot])
    run([*shlex.split(bench_command(name)), "--csv", str(folder / "bench.csv")])
    with whole_file(HERE / MACHINE) as part:
        part.write_text(f"{processor()}, torch {torch.__version__}\n", encoding="utf-8")
    draw(name)


def run(words: Sequence[str]) -> None:
    """Run one of the package's commands."""
    print("$", shlex.join(words), flush=True)
    app(words[1:], standalone_mode=False)


def draw(name: str) -> None:
    """Bicubic interpolation, the network and the photograph as it was: a part of each."""
    net, scale = load_network(name), scale_of(name)
    low, high = read_pair(find_pairs(PHOTOGRAPH, scale=scale)[0], scale=scale, crop=4 * scale)
    shown = {
        "bicubic": np.clip(resize_bicubic(low.rgb, scale), 0, 1),
        name: enlarge(net, low, k=getattr(net, "k", None)).rgb,
        "the photograph": high.astype(np.float32) / 255,
    }
    panels = side_by_side({label: cut_out(picture, CROP) for label, picture in shown.items()})
    write_image(Picture(panels.astype(np.float32) / 255), path=HERE / name / PICTURE)


# --------------------------------------------------------------------------------------------------------------- cards
def card(name: str, *, owner: str | None = None) -> ModelCard:
    """The card of one network, from its tables."""
    folder = HERE / name
    notes = yaml.safe_load((HERE / NOTES).read_text(encoding="utf-8"))
    family = name.rpartition("-x")[0]
    if family not in notes:
        raise mga.ArgumentError(f"{HERE / NOTES} says nothing of {family}; add how {name} was trained, and its limits")
    tables = {one: read_table(folder / f"{one}.csv", columns=EVAL_COLUMNS) for one in (*SETS, OWN)}
    machine = (HERE / MACHINE).read_text(encoding="utf-8").strip()
    return card_of(
        config_of(name),
        name=f"{owner}/{name}" if owner else name,
        measured=Measured(
            tables,
            read_table(folder / "bench.csv", columns=BENCH_COLUMNS),
            f"One image of 320 x 180, one thread, seconds of the process ({machine}).",
        ),
        notes=Notes(
            licence=notes["licence"],
            trained=notes[family]["trained"].strip(),
            limits=notes[family]["limits"],
            commands=[*(eval_command(name, one) for one in (*SETS, "examples/chelsea.png")), bench_command(name)],
        ),
        pictures=pictures_of(name),
    )


def write_card(name: str) -> None:
    """README.md in the network's folder."""
    with whole_file(HERE / name / "README.md") as part:
        part.write_text(str(card(name)), encoding="utf-8")


def write_photographs(licences: Path) -> None:
    """The list of the photographs that were trained on, with their terms."""
    with licences.open(newline="", encoding="utf-8") as file:
        rows = [(row["file"], row["licence"], row["source"]) for row in csv.DictReader(file)]
    with whole_file(HERE / PHOTOGRAPHS) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "licence", "source"), *rows])


# ----------------------------------------------------------------------------------------------- as it will lie there
@contextmanager
def staged(name: str, *, owner: str | None = None) -> Iterator[Path]:
    """A folder as it will lie on the Hub: weights, config, card, pictures, photographs."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        config = PLAIN if is_plain(name) else CONFIG
        for file in (shipped_folder(name) / WEIGHTS, shipped_folder(name) / config, ROOT / "LICENSE"):
            shutil.copyfile(file, folder / file.name)
        for file in (*(HERE / name / picture for picture in pictures_of(name)), HERE / PHOTOGRAPHS):
            shutil.copyfile(file, folder / file.name)
        card(name, owner=owner).save(folder / "README.md")
        yield folder


def check(name: str) -> str:
    """Load one as it will lie there, validate its card, measure it again; returns what was found.

    Raises:
        MGAError: it does not load, its card is not that of its tables, or its figures are not those of its card.
    """
    if (HERE / name / "README.md").read_text(encoding="utf-8") != str(card(name)):
        raise mga.CheckpointError(f"{HERE / name}/README.md is not what its tables say; make it again: --cards")
    with staged(name) as folder:
        net = load_network(folder)
        validate(ModelCard.load(folder / "README.md"), folder, pictures=pictures_of(name))
    told = own_row(config_of(name), read_table(HERE / name / f"{OWN}.csv", columns=()))
    scale = scale_of(name)
    (found,) = means(evaluate(net, find_pairs(PHOTOGRAPH, scale=scale), scale=scale, ks=[getattr(net, "k", None)]))
    if abs(found.psnr_y - float(told["psnr_y"])) > 0.006 or abs(found.ssim_y - float(told["ssim_y"])) > 0.0001:
        raise mga.CheckpointError(f"{name} has {found.psnr_y:.3f} dB on {OWN}, its card says {told['psnr_y']}")
    return f"{name}: loads, card valid, {found.psnr_y:.2f} dB / {found.ssim_y:.4f} on {OWN} as its card says"


def validate(card: ModelCard, folder: Path, *, pictures: Sequence[str]) -> None:
    """What the Hub asks of a card's metadata, and that every picture it shows is there.

    Raises:
        CheckpointError: something is missing.
    """
    data = card.data.to_dict()
    wanted = ("library_name", "pipeline_tag", "license", "tags", "model-index")
    if missing := [field for field in wanted if not data.get(field)]:
        raise mga.CheckpointError(f"the card of {folder} lacks {', '.join(missing)}")
    for picture in pictures:
        if f"({picture})" not in card.text or not (folder / picture).is_file():
            raise mga.CheckpointError(f"the card of {folder} shows no {picture}, or it is not there")


def check_all(names: Sequence[str]) -> None:
    """`check` each, and their size in all."""
    for name in names:
        print(check(name), flush=True)
    size = sum(file.stat().st_size for file in HERE.rglob("*") if file.is_file())
    if size > LARGEST:
        raise mga.CheckpointError(f"{HERE} has {size:,} bytes; expected at most {LARGEST:,}")
    print(f"{HERE.name}: {size / 1e6:.1f} MB")


def push(name: str, *, owner: str) -> str:
    """Check one and push it; returns the address of the commit."""
    check(name)
    with staged(name, owner=owner) as folder:
        return remote.push(folder, f"{owner}/{name}", also=[PHOTOGRAPHS])


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="one of the networks; several times")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="measure, draw, write the cards")
    make.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/test", help="folder of Set5 and Set14")
    make.add_argument("--licences", type=Path, help="list of the photographs that were trained on, to be taken over")
    make.add_argument("--cards", action="store_true", help="write the cards alone, from the tables that are there")
    commands.add_parser("check", help="load, validate and measure each")
    commands.add_parser("push", help="push them all").add_argument("owner")
    given = parser.parse_args(arguments)
    given.only = given.only or every_name()
    do: dict[str, Callable[[Any], None]] = {"make": _make, "check": lambda _: check_all(given.only), "push": _push}
    try:
        do[given.command](given)
    except (mga.MGAError, OSError) as error:
        sys.exit(f"error: {error}")


def _make(given: argparse.Namespace) -> None:
    if given.licences is not None:
        write_photographs(given.licences)
    for name in given.only:
        if not given.cards:
            measure(name, Path(os.path.relpath(given.data)))
        write_card(name)


def _push(given: argparse.Namespace) -> None:
    for name in given.only:
        print(push(name, owner=given.owner), flush=True)


if __name__ == "__main__":
    main()
