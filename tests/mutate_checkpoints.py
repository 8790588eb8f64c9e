"""Break checkpoints at random and read them: only MGAError may escape, in little memory and time.

python tests/mutate_checkpoints.py --count 5000 --seed 0

Each is a copy of a sound checkpoint of which one or two things are changed: a value of config.json, its bytes, a
tensor, the header of model.safetensors, its bytes. What loads all the same is run once. Needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import struct
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import mga_wrap as mga

ROOT = Path(__file__).resolve().parents[1]
SOUND = (
    ROOT / "mga_wrap/weights/fsrcnn-m-x2",
    ROOT / "mga_wrap/weights/pan-m-x2",
    ROOT / "tests/fixtures/format_1/fsrcnn-m-x4",
    ROOT / "tests/fixtures/format_1/rfdn-m-x4",
    ROOT / "tests/fixtures/format_2/pretrained",
    ROOT / "tests/fixtures/format_2/spandrel",
)
"""A pair is made beside them."""
LONGEST = 20
"""Seconds after which a checkpoint is said to hang."""
MOST_MEMORY = 2 << 30
NASTY: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 5, 63, 256, 512, 4096, 10**6, 10**9, 2**63, 10**400, -(10**30), 0.5, 1.5,
    -0.0, 1e308, 1e-300, float("nan"), float("inf"), "", "auto", "exact", "all", "dense", "copy", "light", "paper",
    "pretrained", "continue", "body.2", "body", "fsrcnn", "rcan", "../../etc/passwd", "os:system", "__import__('os')",
    "\x00", "\ud800", "a" * 10**5,
    [], {}, [[]], {"a": {}}, [1, 2], ["a"] * 1000, {"name": "pan", "scale": 2}, {"kind": "file", "name": "../x.pth"},
    {"kind": "file", "name": "x.safetensors", "sha256": "0", "repo": "../..", "revision": "/etc"},
)  # fmt: skip
HUGE = (0, 1, 2**31, 2**40, 2**62, 2**63, 2**64, -1)
Spot = tuple[Any, Any]
"""A container of JSON and the key of one of its values."""


@dataclass
class Outcome:
    """What came of all of them."""

    refused: Counter[str] = field(default_factory=Counter)
    loaded: int = 0
    wrong: list[str] = field(default_factory=list)
    """Anything but an MGAError, and what took too long."""
    slowest: float = 0.0


def spots(value: Any) -> list[Spot]:
    """Every place in a JSON document."""
    found: list[Spot] = []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found.append((value, key))
        found += spots(value[key])
    return found


# ------------------------------------------------------------------------------------------------------- config.json
def change_value(folder: Path, draw: random.Random) -> None:
    config = json.loads((folder / "config.json").read_text())
    place, key = draw.choice(spots(config))
    place[key] = draw.choice(NASTY)
    write_config(folder, config)


def drop_or_add_key(folder: Path, draw: random.Random) -> None:
    config = json.loads((folder / "config.json").read_text())
    place, key = draw.choice([spot for spot in spots(config) if isinstance(spot[0], dict)])
    if draw.random() < 0.5:
        del place[key]
    else:
        place[draw.choice(("original", "mask", "fitted", "max_loss", "kind", "args", "__class__", "x" * 1000, ""))] = (
            draw.choice(NASTY)
        )
    write_config(folder, config)


def write_config(folder: Path, config: Any) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def nest(folder: Path, draw: random.Random) -> None:
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}")))
    depth = draw.choice((10, 1000, 10**5))
    nested = f'"original": {opening * depth}0{closing * depth}, "k"'
    text = (folder / "config.json").read_text().replace('"k"', nested)
    (folder / "config.json").write_text(text)


def grow(folder: Path, draw: random.Random) -> None:
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(" " * draw.choice((10**5, 10**6, 10**8)) + text)


# ---------------------------------------------------------------------------------------------------- any file's bytes
def flip_bytes(folder: Path, draw: random.Random) -> None:
    path = folder / draw.choice(("config.json", "model.safetensors"))
    content = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 2, 10, 100))):
        content[draw.randrange(min(len(content), draw.choice((8, 200, 5000, 10**9))))] = draw.randrange(256)
    path.write_bytes(content)


def truncate(folder: Path, draw: random.Random) -> None:
    path = folder / draw.choice(("config.json", "model.safetensors"))
    content = path.read_bytes()
    path.write_bytes(content[: draw.choice((0, 1, 7, 8, 9, len(content) - 1, draw.randrange(len(content))))])


def replace_file(folder: Path, draw: random.Random) -> None:
    path = folder / draw.choice(("config.json", "model.safetensors"))
    path.unlink()
    what = draw.choice(("nothing", "folder", "pickle", "other"))
    if what == "folder":
        path.mkdir()
    elif what == "pickle":
        path.write_bytes(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.")
    elif what == "other":
        shutil.copyfile(draw.choice(SOUND) / path.name, path)


def save_pair(folder: Path) -> Path:
    """A network before another, untrained."""
    model, small = (mga.create_backbone(name, scale=2) for name in ("fsrcnn", "fsrcnn"))
    mga.accelerate(model, base=small).save_pretrained(folder)
    return folder


# ------------------------------------------------------------------------------------------------------------- weights
def read_parts(folder: Path) -> tuple[dict[str, Any], bytes]:
    content = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_parts(folder: Path, header: dict[str, Any], values: bytes, *, length: int | None = None) -> None:
    text = json.dumps(header).encode()
    size = struct.pack("<Q", len(text) if length is None else length)
    (folder / "model.safetensors").write_bytes(size + text + values)


def change_tensor(folder: Path, draw: random.Random) -> None:
    header, values = read_parts(folder)
    name = draw.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    how = draw.choice(("drop", "rename", "extra", "shape", "dtype", "offsets", "turn"))
    if how == "drop":
        del header[name]
    elif how == "rename":
        header[draw.choice(("x", "a" * 10**5, "../x", "\x00", name + "."))] = header.pop(name)
    elif how == "extra":
        header["x"] = draw.choice((dict(entry), {"dtype": "F32", "shape": [0], "data_offsets": [len(values)] * 2}))
    elif how == "shape":
        entry["shape"] = draw.choice(([draw.choice(HUGE)], [draw.choice(HUGE)] * 3, [], [1] * 1000, "3", None))
    elif how == "dtype":
        entry["dtype"] = draw.choice(("F16", "BF16", "F64", "I64", "I32", "U8", "BOOL", "F8_E4M3", "C64", "X", 3, None))
    elif how == "offsets":
        entry["data_offsets"] = [draw.choice((*HUGE, entry["data_offsets"][0])), draw.choice((*HUGE, len(values)))]
    else:
        entry["shape"] = [*entry["shape"][::-1], 1] if len(entry["shape"]) < 2 else entry["shape"][::-1]
    write_parts(folder, header, values)


def poison_values(folder: Path, draw: random.Random) -> None:
    header, values = read_parts(folder)
    floats = [one for name, one in header.items() if name != "__metadata__" and one["dtype"] == "F32"]
    start, end = draw.choice(floats)["data_offsets"]
    if end > start:
        content, place = bytearray(values), start + 4 * draw.randrange((end - start) // 4)
        content[place : place + 4] = struct.pack("<f", draw.choice((float("nan"), float("inf"), -float("inf"), 3e38)))
        values = bytes(content)
    write_parts(folder, header, values)


def lie_about_header(folder: Path, draw: random.Random) -> None:
    header, values = read_parts(folder)
    if draw.random() < 0.3:
        header = {f"tensor{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(50_000)}
        write_parts(folder, header, values)
    else:
        write_parts(folder, header, values, length=draw.choice((0, 1, 10, 10**6, 10**8, 2**40, 2**63, 2**64 - 1)))


MUTATIONS: tuple[Callable[[Path, random.Random], None], ...] = (
    change_value, change_value, change_value, drop_or_add_key, nest, grow, flip_bytes, flip_bytes, truncate,
    replace_file, change_tensor, change_tensor, poison_values, lie_about_header,
)  # fmt: skip


def mutate(folder: Path, draw: random.Random) -> str:
    """Change one or two things of a copy; returns what."""
    names = []
    for _ in range(draw.choice((1, 1, 2))):
        change = draw.choice(MUTATIONS)
        try:
            change(folder, draw)
        except (ValueError, OSError, KeyError, IndexError, TypeError, RecursionError, struct.error):
            continue  # what is broken already cannot be broken in this way
        names.append(change.__name__)
    return " and ".join(names)


def try_all(count: int, *, seed: int, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Read `count` broken checkpoints."""
    outcome, lr = Outcome(), torch.rand(1, 3, 16, 20)
    signal.signal(signal.SIGALRM, _too_long)
    with TemporaryDirectory() as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sound = (*SOUND, save_pair(Path(made) / "pair"))
        for number in range(count):
            draw = random.Random(f"{seed} {number}")
            folder = Path(made) / str(number)
            shutil.copytree(draw.choice(sound), folder)
            what = mutate(folder, draw)
            start = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, LONGEST)
            try:
                with torch.inference_mode():
                    mga.from_pretrained(folder)(lr)
                outcome.loaded += 1
            except mga.MGAError as error:
                outcome.refused[type(error).__name__] += 1
                if len(str(error)) > 3000:
                    outcome.wrong.append(f"{number} ({what}): a message of {len(str(error))} characters")
                    say(outcome.wrong[-1])
            except Exception as error:  # what must not be
                outcome.wrong.append(f"{number} ({what}): {type(error).__name__}: {str(error)[:200]}")
                say(outcome.wrong[-1])
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            outcome.slowest = max(outcome.slowest, time.monotonic() - start)
            shutil.rmtree(folder)
    return outcome


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {LONGEST} s")


def most_memory() -> int:
    """Bytes of this process at its highest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Read the command line, break checkpoints, print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    outcome = try_all(given.count, seed=given.seed, say=lambda line: print(line, flush=True))
    refused = ", ".join(f"{number} {name}" for name, number in outcome.refused.items())
    print(f"{given.count} checkpoints, seed {given.seed}: {outcome.loaded} loaded and ran, refused: {refused}")
    print(f"slowest {outcome.slowest:.1f} s, memory at its highest {most_memory() / 2**20:.0f} MiB")
    if outcome.wrong or most_memory() > MOST_MEMORY:
        sys.exit(f"{len(outcome.wrong)} went wrong")


if __name__ == "__main__":
    main()
