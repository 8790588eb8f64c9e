"""Trains, is killed at random moments and started again: `python kill_often.py PICTURES OUT KILLS SEED`.

A process that has imported everything forks one child for each life, so that a life takes a tenth of a second. Its
folders: OUT/whole is never killed, OUT/0, OUT/1, ... are until they are done.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from toys import trainings as pictures

import mga_wrap as mga
from mga_wrap.train.trainer import MGATrainer  # imported before the first life


def live(images: Path, folder: Path) -> None:
    """One life: a training, saved after every step."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    validation = mga.Validation(images, images=1, every=3)
    MGATrainer(
        pictures.paper_net(),
        images,
        stages=pictures.long_stages(),
        output_dir=folder,
        validation=validation,
        device="cpu",
        save_seconds=0.0,
    ).fit()


def fork(images: Path, folder: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            live(images, folder)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    return child


def main(images: Path, out: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    start = time.monotonic()
    assert os.waitpid(fork(images, out / "whole"), 0)[1] == 0
    whole = time.monotonic() - start
    draw = random.Random(seed)
    killed = finished = 0
    while killed < kills or finished == 0:
        child = fork(images, out / str(finished))
        if killed < kills:
            time.sleep(draw.uniform(0.0, 0.6) * whole)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            killed += 1
        else:
            assert os.WEXITSTATUS(status) == 0, "a life ended with an error"
            finished += 1
    if (out / str(finished)).exists():
        assert os.waitpid(fork(images, out / str(finished)), 0)[1] == 0
        finished += 1
    print(f"killed {killed} finished {finished}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
