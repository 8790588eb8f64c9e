"""Draw pictures of repetitive structure: façades, brickwork, cloth, print, gratings, as photographs hold few of.

python examples/structure.py -o structure

Small networks are lost on such pictures, large ones less so: they show whether a score knows it. Each is a plane seen
at a slant, its pattern down to a few pixels, beside a soft ground, with light and noise. The same seed draws the same
pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import mga_wrap as mga
from mga_wrap.files import whole_file

SAMPLES = 4
"""Samples a side of each pixel."""
SHARE = (0.6, 0.8)
"""Of a picture that the plane covers, about."""
WORDS = (
    "the quick restoration of a street begins where its windows repeat brick upon brick row upon row until every line "
    "is only a number of pixels wide and what was cloth or print or iron becomes a guess that looks right from afar"
)
Array = np.ndarray
Draw = np.random.Generator
Pattern = Callable[[Array, Array, Draw], Array]
"""(u, v), pixels along the plane -> (H, W, 3) in 0..1."""


def facade(u: Array, v: Array, draw: Draw) -> Array:
    """Windows with frames and bars, ledges between the floors."""
    wide, tall = draw.uniform(20, 34), draw.uniform(26, 42)
    x, y, cell = repeated(u / wide, v / tall, draw)
    rgb = mixed(colour(draw, 0.5, 0.85), colour(draw, 0.5, 0.85), 0.5 + 0.3 * np.sin(v / 3) * np.sin(u / 4.3))
    rgb = over(rgb, y < 0.08, colour(draw, 0.75, 0.95))
    rgb = over(rgb, (y > 0.08) & (y < 0.12), colour(draw, 0.2, 0.4))
    framed = (abs(x - 0.5) < 0.31) & (abs(y - 0.57) < 0.33)
    rgb = over(rgb, framed, colour(draw, 0.8, 1.0))
    glass = (abs(x - 0.5) < 0.26) & (abs(y - 0.57) < 0.29) & (abs(x - 0.5) > 0.03) & (abs(y - 0.47) > 0.025)
    return over(rgb, glass, (0.1 + 0.35 * cell + 0.15 * y)[..., None] * np.array([0.8, 0.95, 1.1]))


def curtain_wall(u: Array, v: Array, draw: Draw) -> Array:
    """A tower of glass: panes that mirror clouds, thin mullions."""
    wide, tall = draw.uniform(8, 13), draw.uniform(11, 18)
    x, y, cell = repeated(u / wide, v / tall, draw)
    clouds = 0.5 + 0.3 * np.sin(u / 61 + 1.3 * np.sin(v / 83)) + 0.15 * np.sin(v / 47 - u / 90)
    panes = (0.25 + 0.5 * clouds + 0.18 * (cell - 0.5))[..., None] * np.array([0.75, 0.9, 1.0])
    return over(panes, (x < 0.16) | (y < 0.12), colour(draw, 0.05, 0.3))


def balconies(u: Array, v: Array, draw: Draw) -> Array:
    """Slabs, dark rooms, and railings of thin bars."""
    tall, bar = draw.uniform(44, 60), draw.uniform(4.5, 7.5)
    x, y, cell = repeated(u / (1.4 * tall), v / tall, draw)
    rgb = (0.15 + 0.3 * cell * (1 - y))[..., None] * np.array([1.0, 0.95, 0.85])
    rgb = over(rgb, (x < 0.12) | (y < 0.2), colour(draw, 0.7, 0.95))
    rgb = over(rgb, (y > 0.2) & (y < 0.24), colour(draw, 0.3, 0.5))
    bars = (y > 0.55) & (((u / bar) % 1 < 0.38) | (abs(y - 0.58) < 0.03))
    return over(rgb, bars, colour(draw, 0.75, 1.0))


def bricks(u: Array, v: Array, draw: Draw) -> Array:
    """Rows, each shifted by half a brick; every brick burnt in its own way."""
    tall = draw.uniform(7, 12)
    wide = tall * draw.uniform(2.3, 3.2)
    row = np.floor(v / tall)
    x, y, cell = repeated(u / wide + 0.5 * (row % 2), v / tall, draw)
    burnt = mixed((0.62, 0.27, 0.2), (0.4, 0.2, 0.18), cell) * (1 + 0.12 * np.sin(9 * u) * np.sin(7.3 * v))[..., None]
    return over(burnt, (x < 0.16 * tall / wide * 1.6) | (y < 0.16), colour(draw, 0.65, 0.8))


def paving(u: Array, v: Array, draw: Draw) -> Array:
    """Pairs of stones, crosswise in turn."""
    side = draw.uniform(12, 20)
    x, y, _ = repeated(u / side, v / side, draw)
    across = (np.floor(u / side) + np.floor(v / side)) % 2 < 1
    one, two = np.where(across, x, y), np.where(across, y, x)
    _, _, cell = repeated(np.where(across, u, 2 * u) / side, np.where(across, 2 * v, v) / side, draw)
    stone = mixed(colour(draw, 0.45, 0.6), colour(draw, 0.55, 0.75), cell)
    return over(stone, (one < 0.1) | (2 * two % 1 < 0.2), colour(draw, 0.15, 0.3))


def roof(u: Array, v: Array, draw: Draw) -> Array:
    """Tiles with round ends, each over two of the row below."""
    side = draw.uniform(10, 16)
    row = np.floor(v / side)
    x, y, cell = repeated(u / side + 0.5 * (row % 2), v / side, draw)
    inside = np.hypot(x - 0.5, y * 0.8) < 0.62
    tile = mixed((0.7, 0.36, 0.25), (0.45, 0.25, 0.22), cell) * (0.65 + 0.45 * y)[..., None]
    return over(tile * 0.45, inside, tile)


def cloth(u: Array, v: Array, draw: Draw) -> Array:
    """A plain weave in a tartan's colours, folded a little."""
    thread = draw.uniform(4.0, 6.5)
    u, v = u + 5 * np.sin(v / 57), v + 4 * np.sin(u / 71 + 1)
    colours = np.stack([colour(draw, 0.1, 0.9) for _ in range(5)])
    order = draw.integers(5, size=16).repeat(draw.integers(1, 5))
    warp, weft = (colours[order[np.floor(x / thread).astype(int) % len(order)]] for x in (u, v))
    up = (np.floor(u / thread) + np.floor(v / thread)) % 2 < 1
    shade = 0.45 + 0.55 * np.where(up, round_of(u / thread), round_of(v / thread))
    return np.where(up[..., None], warp, weft) * shade[..., None]


def knitting(u: Array, v: Array, draw: Draw) -> Array:
    """Columns of stitches, each a V, in stripes."""
    stitch = draw.uniform(8, 13)
    v = v + 6 * np.sin(u / 83)
    slanted = v + 0.9 * stitch * abs((u / stitch) % 1 - 0.5)
    light, dark = colour(draw, 0.6, 0.95), colour(draw, 0.15, 0.5)
    striped = np.where((np.floor(slanted / (0.7 * stitch)) % 9 < 4)[..., None], light, dark)
    half = round_of(2 * u / stitch) ** 0.5
    return striped * ((0.3 + 0.7 * round_of(slanted / (0.7 * stitch))) * (0.5 + 0.5 * half))[..., None]


def page(u: Array, v: Array, draw: Draw) -> Array:
    """Small print on paper."""
    ink = printed(draw, sizes=(draw.uniform(9, 12),), columns=1)
    return mixed((0.95, 0.93, 0.86), (0.12, 0.1, 0.12), looked_up(ink, u, v))


def poster(u: Array, v: Array, draw: Draw) -> Array:
    """Print of several sizes in columns, light on dark."""
    ink = printed(draw, sizes=(30.0, 15.0, 8.5, 8.5), columns=2)
    return mixed(colour(draw, 0.05, 0.35), colour(draw, 0.8, 1.0), looked_up(ink, u, v))


def railing(u: Array, v: Array, draw: Draw) -> Array:
    """Round bars before a garden out of focus, a crossbar now and then."""
    bar = draw.uniform(6, 10)
    blurred = 0.5 + 0.25 * np.sin(u / 37 + np.sin(v / 29)) + 0.2 * np.sin(v / 41)
    garden = mixed((0.15, 0.3, 0.12), (0.6, 0.7, 0.45), blurred)
    iron = colour(draw, 0.3, 0.9)
    x, y = (u / bar) % 1, (v / (9 * bar)) % 1
    rgb = np.where((x < 0.5)[..., None], iron * (0.25 + 0.75 * round_of(2 * x))[..., None], garden)
    return np.where((y < 0.07)[..., None], iron * (0.3 + 0.7 * round_of(y / 0.07))[..., None], rgb)


def holes(u: Array, v: Array, draw: Draw) -> Array:
    """A sheet of metal with round holes."""
    side = draw.uniform(8, 12)
    row = np.floor(v / (0.87 * side))
    x, y = (u / side + 0.5 * (row % 2)) % 1 - 0.5, (v / (0.87 * side)) % 1 - 0.5
    sheet = np.array([0.75, 0.77, 0.8]) * (0.8 + 0.2 * np.sin(u / 53 + v / 91))[..., None]
    return over(sheet, np.hypot(x, 0.87 * y) < 0.31, colour(draw, 0.03, 0.2))


PATTERNS: tuple[Pattern, ...] = (
    facade, curtain_wall, balconies, bricks, paving, roof, cloth, knitting, page, poster, railing, holes,
)  # fmt: skip


def picture(number: int, *, size: tuple[int, int] = (480, 320), seed: int = 0) -> Array:
    """One of the pictures, without end: each pattern in turn, each time another.

    Args:
        number: which.
        size: width and height in pixels.
        seed: of everything that is drawn at random.

    Returns:
        (height, width, 3) uint8.
    """
    draw = np.random.default_rng([seed, number])
    (width, height), fine = size, SAMPLES
    rows, cols = np.mgrid[: height * fine, : width * fine].astype(np.float32)
    x, y = (cols + 0.5) / fine - width / 2, (rows + 0.5) / fine - height / 2
    u, v = seen_at_a_slant(x, y, draw, reach=max(size))
    rgb = PATTERNS[number % len(PATTERNS)](u, v, draw)
    edge = (draw.uniform(*SHARE) - 0.5) * width
    rgb = over(rgb, u > edge, ground(x, y, draw))
    rgb = over(rgb, (u > edge - 3) & (u <= edge), colour(draw, 0.1, 0.9))
    direction = draw.uniform(0, 2 * np.pi)
    light = 0.95 + 0.22 * (np.cos(direction) * x + np.sin(direction) * y) / max(size)
    rgb = (rgb * light[..., None]).reshape(height, fine, width, fine, 3).mean(axis=(1, 3))
    noisy = rgb + draw.normal(scale=draw.uniform(0.004, 0.012), size=rgb.shape)
    return (np.clip(noisy, 0, 1) * 255).round().astype(np.uint8)


def seen_at_a_slant(x: Array, y: Array, draw: Draw, *, reach: int) -> tuple[Array, Array]:
    """Where each place of the picture lies on a plane that is turned and leans away: patterns grow up to twice as fine.

    Args:
        x: pixels from the picture's middle.
        y: the same, downwards.
        draw: of turn and lean.
        reach: pixels of the picture's longer side.
    """
    turn = draw.normal(scale=0.12)
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    away = draw.choice([-1, 1]) * draw.uniform(0.3, 0.8), draw.uniform(-0.4, 0.4)
    depth = 1 + (away[0] * x + away[1] * y) / reach
    return x / depth, y / depth


def ground(x: Array, y: Array, draw: Draw) -> Array:
    """What is out of focus: a sky or a wall."""
    soft = 0.5 + 0.25 * np.sin(x / draw.uniform(40, 90) + np.sin(y / 60)) + 0.2 * np.sin(y / draw.uniform(30, 80))
    return mixed(colour(draw, 0.4, 0.8), colour(draw, 0.6, 1.0), soft)


def repeated(x: Array, y: Array, draw: Draw) -> tuple[Array, Array, Array]:
    """Places within cells of side 1, 0..1, and a number of each cell's own."""
    table = draw.random((64, 64), dtype=np.float32)
    return x % 1, y % 1, table[np.floor(y).astype(int) % 64, np.floor(x).astype(int) % 64]


def round_of(x: Array) -> Array:
    """The shade across round bars of width 1."""
    return np.sin(np.pi * (x % 1))


def colour(draw: Draw, low: float, high: float) -> Array:
    """A colour that is not strong, its brightness between the two."""
    return np.clip(draw.uniform(low, high) + draw.uniform(-0.1, 0.1, size=3), 0, 1)


def mixed(one: Sequence[float] | Array, two: Sequence[float] | Array, share: Array) -> Array:
    """Two colours, by the share of the second."""
    return np.asarray(one) + (np.asarray(two) - np.asarray(one)) * share[..., None]


def over(rgb: Array, where: Array, other: Array) -> Array:
    """Another colour, or picture, at some places."""
    return np.where(where[..., None], other, rgb)


def printed(draw: Draw, *, sizes: Sequence[float], columns: int, side: int = 1536) -> Array:
    """A sheet of words, (side, side) in 0..1, two pixels for each along the plane; 1 is ink.

    Args:
        draw: of the words.
        sizes: of the letters, pixels along the plane; each for three lines.
        columns: to a half of the sheet.
        side: of the sheet.
    """
    sheet = Image.new("L", (side, side))
    pen, wide, words = ImageDraw.Draw(sheet), side // (2 * columns), WORDS.split()
    fonts = {size: ImageFont.load_default(2 * size) for size in sizes}
    for column in range(2 * columns):
        top, line = 0.0, 0
        while top < side:
            size = sizes[(line // 3) % len(sizes)]
            text, room = "", wide - 4 * size
            while (room := room - fonts[size].getlength(f"{(word := str(draw.choice(words)))} ")) > 0:
                text += f"{word} "
            pen.text((column * wide + 2 * size, top), text, fill=255, font=fonts[size])
            top, line = top + 2.8 * size, line + 1
    return np.asarray(sheet, dtype=np.float32) / 255


def looked_up(sheet: Array, u: Array, v: Array) -> Array:
    """What of a sheet lies at each place, its middle at (0, 0); it is repeated without end."""
    side = len(sheet)
    return sheet[(np.floor(2 * v).astype(int) + side // 2) % side, (np.floor(2 * u).astype(int) + side // 2) % side]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--images", type=int, default=len(PATTERNS), help="how many")
    parser.add_argument("--size", default="480x320", help="of each, width x height")
    parser.add_argument("--seed", type=int, default=0, help="another draws other pictures")
    given = parser.parse_args(arguments)
    try:
        width, height = (int(side) for side in given.size.split("x"))
    except ValueError:
        sys.exit(f"error: got --size {given.size}; expected width x height, e.g. 480x320")
    if min(width, height, given.images) < 1 or given.seed < 0:
        sys.exit("error: expected sides and images of 1 or more, and a seed of 0 or more")
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        for number in range(given.images):
            name = f"{number:02d}-{PATTERNS[number % len(PATTERNS)].__name__}.png"
            drawn = Image.fromarray(picture(number, size=(width, height), seed=given.seed))
            with whole_file(given.out / name) as part:
                drawn.save(part, format="PNG")
    except (OSError, mga.MGAError) as error:
        sys.exit(f"error: {given.out} cannot be written ({error}); choose another folder")
    print(given.out)


if __name__ == "__main__":
    main()
