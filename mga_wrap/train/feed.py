"""What a training is fed with: its images, as crops and batches for each of its stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mga_wrap.errors import ImageError
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.crops import Batch, Crops, batches, pool_of
from mga_wrap.train.data import Data, Pair, read_images
from mga_wrap.train.parts import teaches_score
from mga_wrap.train.stages import Stage


class Feed:
    """The images of a training, read once.

    Args:
        data: where they lie.
        net: for its scale and channels.
        stages: of the training.
        taught: the original network's output is the target; no HR is needed.
        seed: of the training.

    Raises:
        ImageError: there are no images, or none is large enough for the crops of a stage.
    """

    def __init__(self, data: Data, *, net: MGANet, stages: Sequence[Stage], taught: bool, seed: int) -> None:
        self.data, self.stages, self.seed, self.scale, self.taught = data, stages, seed, net.scale, taught
        smallest = min(stage.crop for stage in stages)
        self.images = read_images(
            data,
            scale=net.scale,
            channels=net.geometry.channels,
            taught=taught,
            keep_hr=any(teaches_score(net, stage) for stage in stages),
            smallest=smallest,
        )
        for stage in stages:
            self._pairs(stage)

    def crops(self, number: int, *, processes: int = 1) -> Crops:
        """The crops of a stage; where the original teaches, they come again and again."""
        stage = self.stages[number]
        a_step = stage.batch * stage.accumulate * processes
        return Crops(
            self._pairs(stage),
            scale=self.scale,
            crop=stage.crop,
            detail=self.data.detail,
            seed=(self.seed, number),
            a_step=a_step,
            pool=pool_of(stage.steps * a_step) if self.taught else None,
        )

    def batches(self, crops: Crops, *, number: int, first: int, processes: int, rank: int) -> Iterator[Batch]:
        """The batches of one process from a step of the stage on."""
        stage = self.stages[number]
        loader = batches(
            crops,
            size=stage.batch,
            accumulate=stage.accumulate,
            steps=range(first, stage.steps),
            processes=processes,
            rank=rank,
            workers=self.data.workers,
        )
        return iter(loader)

    def _pairs(self, stage: Stage) -> list[Pair]:
        """The images that a crop of the stage fits into."""
        pairs = [pair for pair in self.images.pairs if min(pair.lr.shape[:2]) >= stage.crop]
        if not pairs:
            raise ImageError(
                f"stage {stage.name!r}: no image is as large as a crop of {stage.crop} x {stage.crop} lr pixels; give "
                "larger images or a smaller crop"
            )
        return pairs
