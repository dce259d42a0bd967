"""The directory of a run."""

from __future__ import annotations

import csv
import io
import itertools
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polyroots.errors import FileError, one_sentence
from polyroots.files import (
    HeldDirectory,
    are_same,
    cannot_write,
    create_json,
    held,
    make_directory,
    read_json,
    replacing,
)
from polyroots.training.config import TrainConfig
from polyroots.training.runs.identity import require_unchanged

#: Columns of metrics.csv, which has a line for each epoch. Losses are mean cross entropies, accuracies are shares of
#: images; a value that was not measured in an epoch is empty.
COLUMNS = (
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "test_loss",
    "test_accuracy",
    "train_seconds",
    "images_per_second",
)

# Seconds to wait for a lock: the workers of a killed process end within a few seconds.
_PATIENCE = 12.0

#: A line of metrics.csv by its columns; the epoch is an integer.
Row = dict[str, int | float]


class RunExistsError(FileError):
    """A directory that holds a run already."""


class RunMovedError(FileError):
    """A run directory that was moved or removed while the run was trained."""


class Run:
    """A run directory.

    Parameters
    ----------
    path : path
        The directory, which need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._held: HeldDirectory | None = None

    @property
    def config(self) -> Path:
        """Configuration, command and environment; written first."""
        return self.path / "config.json"

    @property
    def start(self) -> Path:
        """The network that training started from, if one was given."""
        return self.path / "start.pt"

    @property
    def init(self) -> Path:
        """Spectra, roots and coefficients before the first step; absent for a network without them."""
        return self.path / "init.json"

    @property
    def metrics(self) -> Path:
        """Losses and accuracies of each epoch, see `COLUMNS`."""
        return self.path / "metrics.csv"

    @property
    def last(self) -> Path:
        """The network as it was last saved, with the state that `resume` restores."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The network after the epoch with the best accuracy."""
        return self.path / "best.pt"

    @property
    def result(self) -> Path:
        """Accuracies of the last and of the best epoch; written when the run is finished."""
        return self.path / "result.json"

    @property
    def spectra(self) -> Path:
        """Directory of the tracked spectra."""
        return self.path / "spectra"

    @property
    def logs(self) -> Path:
        """Directory of TensorBoard's logs."""
        return self.path / "tensorboard"

    @cached_property
    def identity(self) -> str | None:
        """The identity in config.json, see `polyroots.training.runs.identity`; None if version 0.1.0 wrote it."""
        identity: str | None = self.read_config().get("identity")
        return identity

    @property
    def resume_command(self) -> str:
        """The command that resumes the run."""
        return f"polyroots train --resume {shlex.quote(str(self.path))}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the run is made of, there or not, but for tracked spectra and logs."""
        return self.config, self.start, self.init, self.metrics, self.last, self.best, self.result

    def owns(self, path: Path) -> bool:
        """Whether a path is that of a file which the run is made of; False if there is no run."""
        files = (*self.files, *self.spectra.glob("epoch-*"))
        return self.config.is_file() and any(are_same(path, file) for file in files)

    def abandon(self, made: bool) -> None:
        """Remove the files of a run that can't begin, and its directory if it was made for the run (`made`)."""
        for path in (self.config, self.start, self.init, self.metrics, self.last):
            path.unlink(missing_ok=True)
        if made:
            with suppress(OSError):  # a directory with other files stays
                self.path.rmdir()

    def require_whole(self) -> None:
        """Raise FileError if epochs have been trained, but last.pt is missing."""
        if not self.last.exists() and self.best.exists():
            raise FileError(
                f"{self.last} is missing, so that {self.path} can't go on: restore it, or start a new run from "
                f"{self.best}",
                fields=["start"],
            )

    def read_config(self) -> dict[str, Any]:
        """Return the content of config.json; raise FileError unless it is that of a run."""
        if self.path.is_file():
            raise FileError(f"{self.path} is a file: expected the directory of a run, such as {self.path.parent}")
        if not self.path.is_dir():
            raise FileError(f"no directory {self.path}: expected a run of 'polyroots train'")
        document = read_json(self.config, "the configuration of a run of 'polyroots train'")
        kinds = {"config": dict, "command": list, "environment": dict, "resumed": list}
        is_whole = isinstance(document, dict) and all(
            isinstance(document.get(name, kind()), kind) for name, kind in kinds.items()
        )
        if not is_whole or "config" not in document:
            raise FileError(
                f"{self.config} holds no configuration of a run: expected a file that 'polyroots train' wrote"
            )
        return document

    def write_metrics(self, rows: Sequence[Row]) -> None:
        """Write metrics.csv with the given lines."""
        with (
            replacing(self.metrics, make_parents=False) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as stream,
        ):
            csv.writer(stream).writerow(COLUMNS)
            csv.DictWriter(stream, COLUMNS).writerows(rows)

    def append_metrics(self, row: Row) -> None:
        """Add a line to metrics.csv and flush it to disk; a failure leaves the file as it was."""
        line = io.StringIO()
        csv.DictWriter(line, COLUMNS).writerow(row)
        size = self.metrics.stat().st_size if self.metrics.exists() else 0
        try:
            with self.metrics.open("a", newline="", encoding="utf-8") as stream:
                stream.write(line.getvalue())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            with suppress(OSError):  # the error is that of the line
                os.truncate(self.metrics, size)
            raise cannot_write(self.metrics, error) from error

    def remove_temporaries(self) -> None:
        """Remove temporary files that killed processes have left."""
        for path in self.files:
            for left in self.path.glob(f".{path.stem}-*{path.suffix}"):
                left.unlink(missing_ok=True)
        for left in self.spectra.glob(".epoch-*"):
            left.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock of this run within the block; raise FileError if another process holds it."""
        message = f"{self.path} is being trained by another process; wait until it is done, or stop it"
        with held(self.path, _PATIENCE, message) as self._held:
            try:
                yield
            finally:
                self._held = None

    @property
    def is_without_locks(self) -> bool:
        """Whether the run is held on a file system without locks, so that another process can train it as well."""
        return self._held is not None and not self._held.is_locked

    def require_in_place(self) -> None:
        """Raise RunMovedError if the directory that is held was moved, removed or emptied."""
        if self._held is None:
            return
        if not self._held.is_in_place:
            place = self._held.place
            if place is None:
                raise RunMovedError(
                    f"{self.path} was removed, or moved, while it was trained: nothing more is written; begin a new run"
                )
            raise RunMovedError(
                f"{self.path} was moved to {place} while it was trained: nothing more is written; go on with: "
                f"{Run(place).resume_command}"
            )
        if not self.config.exists():
            raise RunMovedError(
                f"{self.config} was removed while the run was trained: nothing more is written; begin a new run"
            )


def begin(path: str | Path, document: Mapping[str, Any]) -> tuple[Run, bool]:
    """Make a run directory with its config.json, and return whether the directory is new.

    If several processes begin a run in the same directory, one succeeds.

    Raises
    ------
    FileError
        If the directory can't be written or holds a run already.
    """
    run = Run(path)
    made = not run.path.exists()
    make_directory(run.path)
    for file in (run.start, run.init, run.result):
        if file.exists() and not run.config.exists():
            raise FileError(
                f"{file} is there, and has the name of a file of the run; choose another directory, or move the file",
                fields=["out"],
            )
    try:
        if any(file.exists() for file in (run.metrics, run.last, run.best)):
            raise FileExistsError
        create_json(run.config, document)
    except FileExistsError:
        raise RunExistsError(
            f"{run.path} holds a run already; choose another directory, or go on with it: {run.resume_command}",
            fields=["out"],
        ) from None
    except OSError as error:
        if made:
            with suppress(OSError):
                run.path.rmdir()
        raise cannot_write(run.config, error) from error
    return run, made


def begin_anew(dataset: str, model: str, document: Mapping[str, Any]) -> tuple[Run, bool]:
    """Begin a run in a new directory under runs/, whose name has the time, the data set and the model."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{dataset}-{model.replace(',', '').replace(' ', '-')}"
    for number in itertools.count(1):
        with suppress(RunExistsError):
            return begin(Path("runs") / (stem if number == 1 else f"{stem}-{number}"), document)
    raise AssertionError("unreachable: the numbers don't end")


def load_config(run: Run) -> TrainConfig:
    """Return the configuration of a run directory.

    Parameters
    ----------
    run : Run

    Returns
    -------
    TrainConfig

    Raises
    ------
    FileError
        If the directory holds no run, or this version can't read its configuration, or that was changed.
    """
    document = run.read_config()
    try:
        config = TrainConfig(**document["config"])
    except ValidationError as error:
        raise FileError(f"{run.config} holds a configuration that can't be used: {one_sentence(error)}") from error
    require_unchanged(run.config, document, config)
    return config
