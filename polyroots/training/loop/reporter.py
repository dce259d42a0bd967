"""Who is told how a run goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyroots.training.config import TrainConfig
    from polyroots.training.data.source import Source
    from polyroots.training.runs.directory import Run


@dataclass(frozen=True)
class Beginning:
    """What a run begins, or goes on, with.

    Attributes
    ----------
    config, source, run : what is trained, on what, and where it is written
    init : `InitReport.to_dict` of the coefficients at the start, if it is known
    weights : number of trained weights
    device : its name
    epoch, step : epochs that are done, and steps of the next one
    """

    config: TrainConfig
    source: Source
    run: Run
    init: Mapping[str, Any] | None
    weights: int
    device: str
    epoch: int
    step: int


class Reporter:
    """What a run tells while it goes on; each method does nothing unless overridden."""

    def on_images(self, done: int, total: int) -> None:
        """So many images of all have been read."""

    def on_start(self, beginning: Beginning) -> None:
        """Training begins, or goes on."""

    def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
        """So many training images of this epoch are done, with means so far and images per second."""

    def on_epoch(self, row: dict[str, float]) -> None:
        """An epoch has been evaluated and saved; `row` is the line of metrics.csv."""

    def on_warning(self, message: str) -> None:
        """Something beside the training failed; it goes on."""
