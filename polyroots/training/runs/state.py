"""The state of a run that `resume` restores."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.optim import Optimizer

from polyroots.errors import FileError
from polyroots.text import count_of
from polyroots.training.runs.directory import COLUMNS


@dataclass
class RunState:
    """Progress of a run.

    Attributes
    ----------
    epoch : int
        Number of finished epochs.
    step : int
        Number of finished steps of the next epoch.
    history : list of dict
        A row of metrics.csv for each finished epoch.
    sums : (2, steps) float32 tensor
        Summed loss and number of correctly classified images of each finished step of the next epoch.
    seconds : float
        Seconds of these steps.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, int | float]] = field(default_factory=list)
    sums: Float32[Tensor, "2 steps"] = field(default_factory=lambda: torch.zeros(2, 0))
    seconds: float = 0.0

    @property
    def best(self) -> tuple[int, float]:
        """Number and accuracy of the first epoch with the best accuracy; 0 and -1 before the first epoch."""
        best = (0, -1.0)
        for row in self.history:
            accuracy = row["val_accuracy"] if "val_accuracy" in row else row["test_accuracy"]
            if accuracy > best[1]:
                best = (int(row["epoch"]), accuracy)
        return best

    def finish_epoch(self, row: dict[str, int | float]) -> bool:
        """Add the row of an epoch that is finished, and return whether it is the best so far."""
        before = self.best
        self.history.append(row)
        self.epoch, self.step, self.sums, self.seconds = self.epoch + 1, 0, torch.zeros(2, 0), 0.0
        return self.best != before

    def to_dict(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the progress and the states of the optimizer and the random generators, as plain data and tensors."""
        return {
            **vars(self),
            "sums": self.sums.clone(),  # a slice would be saved with the storage of the whole epoch
            "optimizer": optimizer.state_dict(),
            "random": random_states(),
        }

    @classmethod
    def restore(cls, document: Mapping[str, Any], optimizer: Optimizer) -> RunState:
        """Return the state that `to_dict` returned, and set the optimizer and the random generators.

        Raises
        ------
        FileError
            If the document is incomplete or of another network.
        """
        try:
            names = ("epoch", "step", "history", "sums", "seconds")
            state = cls(**{name: document[name] for name in names})
            state._require_consistent()
            optimizer.load_state_dict(document["optimizer"])
            set_random_states(document["random"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise FileError(
                f"the checkpoint holds no state to resume from ({error}): it is damaged or of another version of "
                "polyroots; start a new run from it",
                fields=["start"],
            ) from error
        return state

    def require_within(self, epochs: int, steps: int) -> None:
        """Raise FileError unless the progress is within a number of epochs, of a number of steps each."""
        if self.epoch > epochs or self.step > steps or (self.epoch == epochs and self.step):
            raise FileError(
                f"the checkpoint holds epoch {self.epoch} and {count_of(self.step, 'step')}, of a run of "
                f"{count_of(epochs, 'epoch')} with {count_of(steps, 'step')} each: it is damaged or of another run; "
                "start a new run from it",
                fields=["start"],
            )

    def _require_consistent(self) -> None:
        """Raise ValueError unless the attributes have their types, and the history has a row for each epoch."""
        numbers = [self.epoch, self.step]
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError(f"epoch {self.epoch!r}, step {self.step!r}")
        if not isinstance(self.seconds, float | int) or not math.isfinite(self.seconds):
            raise ValueError(f"seconds {self.seconds!r}")
        if not isinstance(self.sums, Tensor) or self.sums.shape != (2, self.step):
            raise ValueError(f"sums that are not those of {count_of(self.step, 'step')}")
        if [row["epoch"] for row in self.history] != list(range(1, self.epoch + 1)):
            raise ValueError(f"a history that is not that of {count_of(self.epoch, 'epoch')}")
        for row in self.history:
            if not row.keys() <= set(COLUMNS) or not all(isinstance(value, float | int) for value in row.values()):
                raise ValueError(f"the history's row {row!r}"[:200])
            if not row.keys() & {"val_accuracy", "test_accuracy"} or "train_seconds" not in row:
                raise ValueError(f"no accuracy of epoch {row['epoch']}")


def random_states() -> dict[str, Any]:
    """Return the states of the generators of torch, of each CUDA device, of numpy and of Python, as plain data.

    They are for networks that draw random numbers. The order and the augmentation of images depend on seed and epoch.
    """
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    version, words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": [version, list(words), gauss],
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Set the states that `random_states` returned; those of CUDA devices if there are as many now."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
