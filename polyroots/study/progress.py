"""How far the runs of a study are, and who runs them."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from polyroots.study.directory import StudyDirectory
from polyroots.study.plan import PlannedRun

#: Exit status of a process whose run was stopped and can go on: sysexits' "try again later".
STOPPED = 75

_TAIL_BYTES = 8192


class Phase(StrEnum):
    """What a run is at."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


#: What is final, for this time.
OVER = (Phase.DONE, Phase.STOPPED, Phase.FAILED)


class Runner(ABC):
    """Who runs the runs that are left, on this machine or on a cluster."""

    @property
    @abstractmethod
    def phases(self) -> dict[str, Phase]:
        """Phase of each run, by its name."""

    @abstractmethod
    def advance(self) -> None:
        """Look what has ended, and start what can be started."""

    @abstractmethod
    def stop(self) -> None:
        """Called when nobody waits any longer."""

    @abstractmethod
    def last_lines(self, name: str) -> list[str]:
        """Return what is known of why a run is not done: the end of what it has printed this time."""


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes
    ----------
    planned : the run
    phase : what it is at
    epochs : epochs that are done
    accuracy : test accuracy after the last of them, a share of the images; None if it was not measured
    """

    planned: PlannedRun
    phase: Phase
    epochs: int
    accuracy: float | None


def progress_of(directory: StudyDirectory, planned: PlannedRun, phase: Phase) -> RunProgress:
    """Read how far a run is, also while it is being written."""
    run = directory.run(planned.name)
    if phase is Phase.DONE:
        try:
            last = json.loads(run.result.read_text(encoding="utf-8"))["last"]
            return RunProgress(planned, phase, planned.config.epochs, last["test_accuracy"])
        except (OSError, ValueError, KeyError, TypeError):
            return RunProgress(planned, phase, planned.config.epochs, None)
    try:
        with run.metrics.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        accuracy = float(rows[-1]["test_accuracy"]) if rows and rows[-1]["test_accuracy"] else None
        return RunProgress(planned, phase, len(rows), accuracy)
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or its last line is being written
        return RunProgress(planned, phase, 0, None)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 of no file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def last_lines_of(path: Path, count: int = 5, start: int = 0) -> list[str]:
    """Return the last lines of a file, behind its first `start` bytes, that are not empty; none of no file."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(start, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
