"""The interface of the runners, and the progress of runs as their directories show it."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from polyroots.study.directory import StudyDirectory
from polyroots.study.plan import PlannedRun

#: Exit status of a process whose run was stopped and can be resumed: EX_TEMPFAIL of sysexits.h.
STOPPED = 75

_TAIL_BYTES = 8192


class Phase(StrEnum):
    """State of a run."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


#: Phases that a runner doesn't leave again.
OVER = (Phase.DONE, Phase.STOPPED, Phase.FAILED)


class Runner(ABC):
    """Trains the unfinished runs of a study, on this machine or on a cluster.

    Attributes
    ----------
    is_detached : whether the runs go on when the command that started them ends
    """

    is_detached: bool = False

    @property
    @abstractmethod
    def phases(self) -> dict[str, Phase]:
        """Phase of each run, by its name."""

    @abstractmethod
    def advance(self) -> None:
        """Update the phases, and start runs where there is room."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the runs, unless they are detached."""

    @abstractmethod
    def last_lines(self, name: str) -> list[str]:
        """Return the last lines of a run's output since it was started, which have the reason if it failed."""


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run.

    Attributes
    ----------
    planned : the run
    phase : its state
    epochs : number of epochs trained
    accuracy : test accuracy after the last of them, a share of the images; None if it was not measured
    """

    planned: PlannedRun
    phase: Phase
    epochs: int
    accuracy: float | None


def progress_of(directory: StudyDirectory, planned: PlannedRun, phase: Phase) -> RunProgress:
    """Return the progress of a run from its files, which may be in the middle of a write."""
    run = directory.run(planned.name)
    if phase is Phase.DONE:
        try:
            last = json.loads(run.result.read_text(encoding="utf-8"))["last"]
            return RunProgress(planned, phase, planned.config.epochs, float(last["test_accuracy"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return RunProgress(planned, phase, planned.config.epochs, None)
    try:
        with run.metrics.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        accuracy = float(rows[-1]["test_accuracy"]) if rows and rows[-1]["test_accuracy"] else None
        return RunProgress(planned, phase, len(rows), accuracy)
    except (OSError, ValueError, KeyError, TypeError, csv.Error):  # no file yet, or an incomplete last line
        return RunProgress(planned, phase, 0, None)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def last_lines_of(path: Path, count: int = 5, start: int = 0) -> list[str]:
    """Return the last non-empty lines of a file, after its first `start` bytes; none if there is no file."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(start, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
