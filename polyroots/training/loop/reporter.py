"""Reporters: objects whose methods are called while a run trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polyroots.training.config import TrainConfig
from polyroots.training.data.source import Source
from polyroots.training.runs.directory import Run


@dataclass(frozen=True)
class Beginning:
    """State of a run when its training begins, or resumes.

    Attributes
    ----------
    config : TrainConfig
    source : Source
        The data set.
    run : Run
        The run directory.
    init : mapping, optional
        `InitReport.to_dict` of the coefficients before the first step, if they are known.
    weights : int
        Number of trained weights.
    device : str
        Name of the device.
    epoch, step : int
        Number of finished epochs, and of finished steps in the next one.
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
    """Base of reporters: methods that `train` calls, and that do nothing unless overridden.

    They are called in the first process only. An error that one raises ends the run, which can be resumed.
    """

    def on_images(self, done: int, total: int) -> None:
        """Called while images are read, with the number of those that are done and of all."""

    def on_start(self, beginning: Beginning) -> None:
        """Called before the first step of a run, or of one that is resumed."""

    def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
        """Called about twice a second within an epoch, and after its last step.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 1.
        done, total : int
            Number of training images of this epoch that are done, and of all.
        loss, accuracy : float
            Means over the images that are done.
        rate : float
            Images per second.
        """

    def on_epoch(self, row: dict[str, int | float]) -> None:
        """Called after an epoch has been evaluated and saved, with its line of metrics.csv."""

    def on_warning(self, message: str) -> None:
        """Called when something other than the training fails; the training continues."""
