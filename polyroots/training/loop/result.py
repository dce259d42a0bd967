"""The result of a run, or its end after a request to stop."""

from __future__ import annotations

from dataclasses import dataclass

from polyroots.errors import PolyrootsError
from polyroots.training.config import TrainConfig
from polyroots.training.runs.directory import Run


class StoppedError(PolyrootsError):
    """A request to stop has ended a run, which can be resumed."""


@dataclass(frozen=True)
class TrainResult:
    """Result of a run.

    Attributes
    ----------
    run : Run
        Its directory.
    config : TrainConfig
        Its configuration.
    title : str
        Name of the data set in tables and figures.
    last_accuracy : float
        Test accuracy after the last epoch.
    best_accuracy, best_epoch : float, int
        Test accuracy and number of the best epoch; the accuracy is optimistic where `chosen_on` is ``"test"``.
    chosen_on : str
        The images by which the best epoch was chosen, ``"test"`` or ``"validation"``.
    images_per_second : float
        Training images over the seconds of the training steps, without evaluation.
    """

    run: Run
    config: TrainConfig
    title: str
    last_accuracy: float
    best_accuracy: float
    best_epoch: int
    chosen_on: str
    images_per_second: float
