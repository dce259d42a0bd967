"""How far a run is, and all that it takes to go on from there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from polyroots.errors import FileError


@dataclass
class RunState:
    """How far a run is.

    Attributes
    ----------
    epoch : epochs that are done
    step : steps that are done of the next one
    history : a row of metrics.csv for each epoch
    sums : (2, steps so far) summed losses and images classified rightly of each step of the unfinished epoch
    seconds : spent on these steps
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    sums: Tensor = field(default_factory=lambda: torch.zeros(2, 0))
    seconds: float = 0.0

    @property
    def best(self) -> tuple[int, float]:
        """Epoch, from 1, and accuracy of the best one, the first of several; 0 and -1 before the first epoch."""
        best = (0, -1.0)
        for row in self.history:
            accuracy = row["val_accuracy"] if "val_accuracy" in row else row["test_accuracy"]
            if accuracy > best[1]:
                best = (int(row["epoch"]), accuracy)
        return best

    def finish_epoch(self, row: dict[str, float]) -> bool:
        """Note that the epoch is done, with its row, and say whether it is the best so far."""
        before = self.best
        self.history.append(row)
        self.epoch, self.step, self.sums, self.seconds = self.epoch + 1, 0, torch.zeros(2, 0), 0.0
        return self.best != before

    def to_dict(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return plain data and tensors, with the optimizer's and the random generators' states."""
        return {
            **vars(self),
            "sums": self.sums.clone(),  # not the whole epoch's storage
            "optimizer": optimizer.state_dict(),
            "random": random_states(),
        }

    @classmethod
    def restore(cls, document: Mapping[str, Any], optimizer: Optimizer) -> RunState:
        """Read what `to_dict` returned, and set the optimizer and the random generators.

        Raises
        ------
        FileError
            If it isn't that.
        """
        try:
            optimizer.load_state_dict(document["optimizer"])
            set_random_states(document["random"])
            names = ("epoch", "step", "history", "sums", "seconds")
            return cls(**{name: document[name] for name in names})
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise FileError(
                f"the checkpoint doesn't say how to go on ({error}): it is damaged or of another version of polyroots; "
                "start a new run from it by --init"
            ) from error


def random_states() -> dict[str, Any]:
    """Return the states of the generators of torch, of each CUDA device, of numpy and of Python, as plain data.

    The order of images and their augmentation follow from seed and epoch; these are for a network that draws itself.
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
    """Set what `random_states` returned; of CUDA devices, those that are here."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
