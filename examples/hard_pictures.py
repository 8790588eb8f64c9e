"""Pictures that photographs lack, and on which a network may explode: print, flat grounds, pure colours.

Run it by ``python examples/hard_pictures.py PHOTOGRAPHS -o FOLDER``. FOLDER gets drawn pages, slides and signs, each
photograph as it is, and a copy of it whose colours are exchanged and driven into what a camera cannot hold.
"""

from __future__ import annotations

import argparse
import string
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mga_wrap.errors import MGAError
from mga_wrap.pictures.files import list_images

SIDES = 480, 720
"""Pixels of a side: at least, at most."""
FINER = 2
"""Drawn so much larger and reduced: edges get the softness that a camera or a renderer gives them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="a folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder that gets the pictures")
    parser.add_argument("--count", type=int, default=24, help="of drawn pictures")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    if not given.photographs.is_dir():
        sys.exit(f"error: got {given.photographs}; expected a folder of photographs")
    try:
        files = list_images(given.photographs)
    except MGAError as error:
        sys.exit(f"error: {error}")
    given.output.mkdir(parents=True, exist_ok=True)
    for number in range(given.count):
        page = draw(np.random.default_rng([given.seed, number]))
        page.save(given.output / f"print-{number:02}.png")
    for number, file in enumerate(files):
        with Image.open(file) as opened:
            photograph = opened.convert("RGB")
        photograph.save(given.output / f"{file.stem}.png")
        vivid(photograph, np.random.default_rng([given.seed, number])).save(given.output / f"{file.stem}-vivid.png")
    print(f"{given.count + 2 * len(files)} pictures in {given.output}")


def vivid(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Its channels in another order, and each further from grey, 1.5 to 4 times, cut off at black and white."""
    channels = np.asarray(photograph, np.float32)[..., rng.permutation(3)]
    grey = channels.mean(axis=2, keepdims=True)
    further = grey + rng.uniform(1.5, 4) * (channels - grey)
    return Image.fromarray(np.clip(further + 0.5, 0, 255).astype(np.uint8))


def draw(rng: np.random.Generator) -> Image.Image:
    """One picture: a ground, a few flat shapes, lines of text in sizes of 9 to 60 pixels."""
    width, height = (FINER * int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, size=2))
    dark = rng.random() < 0.25
    page = Image.new("RGB", (width, height), _colour(rng, dark=dark))
    pen = ImageDraw.Draw(page)
    for _ in range(rng.integers(3, 9)):
        _shape(pen, rng, width, height)
    for _ in range(rng.integers(6, 16)):
        _text(pen, rng, width, height, dark=dark)
    if rng.random() < 0.4:
        page = page.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BICUBIC, fillcolor=_colour(rng, dark=dark))
    soft = Image.Resampling.BOX if rng.random() < 0.5 else Image.Resampling.LANCZOS
    return page.resize((width // FINER, height // FINER), soft)


def _colour(rng: np.random.Generator, *, dark: bool) -> tuple[int, int, int]:
    """Black, white, or strong; the pure ones half of the time, since they are what photographs lack."""
    if rng.random() < 0.5:
        return (0, 0, 0) if dark else (255, 255, 255)
    low, high = (0, 110) if dark else (150, 256)
    red, green, blue = (int(value) for value in rng.integers(low, high, size=3))
    return red, green, blue


def _shape(pen: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    """A box, a disc, a polygon, rules, or a grid."""
    left, top = int(rng.integers(width)), int(rng.integers(height))
    wide, high = (int(side) for side in rng.integers(40, (width // 2, height // 2)))
    box = left, top, left + wide, top + high
    colour, line = _colour(rng, dark=rng.random() < 0.5), int(rng.integers(1, 9))
    match rng.integers(5):
        case 0:
            pen.rectangle(box, fill=colour, outline=_colour(rng, dark=True), width=line)
        case 1:
            pen.ellipse(box, fill=colour, outline=_colour(rng, dark=True), width=line)
        case 2:
            corners = rng.integers((left, top), (left + wide, top + high), size=(int(rng.integers(3, 7)), 2))
            pen.polygon([(int(x), int(y)) for x, y in corners], fill=colour)
        case 3:
            for y in range(top, top + high, int(rng.integers(8, 40))):
                pen.line((left, y, left + wide, y + int(rng.integers(-1, 2)) * line), fill=colour, width=line)
        case _:
            step = int(rng.integers(8, 48))
            for x in range(left, left + wide, step):
                pen.line((x, top, x, top + high), fill=colour, width=line)
            for y in range(top, top + high, step):
                pen.line((left, y, left + wide, y), fill=colour, width=line)


def _text(pen: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, *, dark: bool) -> None:
    """A few lines of letters and figures in one size."""
    size = FINER * int(9 * (60 / 9) ** rng.random())
    letters = np.array(list(string.ascii_letters + string.digits + string.punctuation + " " * 14))
    lines = ("".join(rng.choice(letters, size=int(rng.integers(3, 40)))) for _ in range(rng.integers(1, 7)))
    place = int(rng.integers(-40, width * 3 // 4)), int(rng.integers(height))
    pen.multiline_text(
        place, "\n".join(lines), fill=_colour(rng, dark=not dark), font=ImageFont.load_default(size), spacing=size // 3
    )


if __name__ == "__main__":
    main()
