"""The directory of a run."""

from __future__ import annotations

import csv
import itertools
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polyroots.errors import FileError
from polyroots.files import cannot_write, make_directory, write_json

#: Columns of metrics.csv, a line an epoch. Losses are mean cross entropies, accuracies shares of images.
COLUMNS = (
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "train_seconds",
    "images_per_second",
)


class RunExistsError(FileError):
    """The directory holds a run already."""


class Run:
    """A run directory: config.json, init.json, metrics.csv, last.pt, best.pt.

    Parameters
    ----------
    path : path
        Made if missing; refused if it holds a run already, also one that another process has just begun.

    Raises
    ------
    FileError
        If the directory can't be written or holds a run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._made = not self.path.exists()
        make_directory(self.path)
        try:
            if any(file.exists() for file in (self.config, self.last, self.best)):
                raise FileExistsError
            # Only one process can create a file: whoever has made metrics.csv has the directory.
            with self.metrics.open("x", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerow(COLUMNS)
        except FileExistsError:
            raise RunExistsError(f"{self.path} holds a run already; choose another --out or remove it") from None
        except OSError as error:
            raise cannot_write(self.metrics, error) from error

    def abandon(self) -> None:
        """Leave the place as it was found, if the run can't begin."""
        self.metrics.unlink(missing_ok=True)
        if self._made:
            with suppress(OSError):  # not empty any more: it is somebody's
                self.path.rmdir()

    @property
    def config(self) -> Path:
        """Configuration, command and environment."""
        return self.path / "config.json"

    @property
    def init(self) -> Path:
        """Spectra, roots and coefficients at the start; absent for a network without them."""
        return self.path / "init.json"

    @property
    def metrics(self) -> Path:
        """A line an epoch, see `COLUMNS`."""
        return self.path / "metrics.csv"

    @property
    def last(self) -> Path:
        """The network after the last epoch."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The network after the epoch with the best test accuracy."""
        return self.path / "best.pt"

    def write_config(self, config: Mapping[str, Any], command: Sequence[str]) -> None:
        """Write config.json."""
        packages = ("polyroots", "torch", "torchvision", "lightning-fabric", "numpy", "scipy")
        write_json(
            self.config,
            {
                "config": config,
                "command": list(command),
                "environment": {
                    "python": platform.python_version(),
                    "system": platform.system(),
                    **{package: version(package) for package in packages},
                },
            },
        )

    def append_metrics(self, row: Mapping[str, float]) -> None:
        """Add a line to metrics.csv and flush it to disk."""
        try:
            with self.metrics.open("a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, COLUMNS).writerow(row)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise cannot_write(self.metrics, error) from error


def new_run(dataset: str, model: str) -> Run:
    """Begin a run in a directory of its own under runs/, named after the time, the data set and the model."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{dataset}-{model.replace(',', '').replace(' ', '-')}"
    for number in itertools.count(1):
        with suppress(RunExistsError):
            return Run(Path("runs") / (stem if number == 1 else f"{stem}-{number}"))
    raise AssertionError("unreachable: the numbers don't end")
