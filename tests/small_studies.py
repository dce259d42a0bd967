"""Studies small enough for tests."""

from __future__ import annotations

import contextlib
import io
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from polyroots.study import LocalRunner, conduct
from polyroots.study.forks import Fork
from polyroots.study.worker import run_worker

FOUR = """\
title = "Four"
seeds = [11, 23]

[base]
epochs = {epochs}
limit = 60
batch-size = 16
channels = [4, 8]

[axes]
model = ["q2", "mgnet-ab"]
"""


TEXT = """\
# A study.
title = "Test"
seeds = [11, 23]

[base]
epochs = 2
scale = 0.25

[axes]
model = ["q2", "q4"]
alpha-init = [
  "spectrum",
  "xavier",
]

[[include]]
model = ["resnet18", "mgnet-ab"]

[[exclude]]
model = "q4"
alpha-init = "xavier"
"""


def written(directory: Path, *changes: tuple[str, str], text: str = TEXT) -> Path:
    """Write a study file, with parts of the text replaced, and return its path."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = directory / "study.toml"
    path.write_text(text)
    return path


def four(directory: Path, *, epochs: int = 2, text: str = FOUR) -> Path:
    """Return a study file of four short runs."""
    path = directory / "four.toml"
    path.write_text(text.format(epochs=epochs))
    return path


# The queue of a cluster of one machine can be read often, and its files are visible at once.
_QUICK = """
import polyroots.study.cluster as cluster
from polyroots_cli.main import main
cluster.SECONDS_BETWEEN_QUESTIONS, cluster.PATIENCE = 0.5, 3.0
main()
"""


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start the command in a process with its output in one pipe."""
    words = [sys.executable, "-c", _QUICK, "study", "run", *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


class Ended(Fork):
    """A run that has ended, without a process."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    def poll(self) -> int | None:
        return self.status

    def wait(self, timeout: float = math.inf) -> int:
        assert self.status is not None
        return self.status


def train_here(patch: pytest.MonkeyPatch) -> None:
    """Make studies train their runs in this process, one after another, instead of starting workers."""

    def start(runner: LocalRunner, name: str, slot: int, output: IO[bytes]) -> Ended:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = run_worker(runner.directory, name)
        output.write(said.getvalue().encode())
        return Ended(status)

    patch.setattr(LocalRunner, "_worker", start)
    patch.setattr(conduct, "_SECONDS_BETWEEN_LOOKS", 0.01)


def wait_for(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def epochs_done(run: Path) -> int:
    """Return the number of epochs in a run's metrics.csv."""
    try:
        return max(0, len((run / "metrics.csv").read_text().splitlines()) - 1)
    except FileNotFoundError:
        return 0
