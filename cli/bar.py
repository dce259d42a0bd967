"""The progress bar of a training: shown from the start of the process on, before torch is imported."""

from __future__ import annotations

import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from polyroots_cli.console import Words, console
from polyroots_cli.options import is_first_process

# On a terminal of 80 columns there is place for an epoch's numbers and the time.
_WIDTH = 20


class TrainingBar:
    """Progress bar on stdout, which is removed at its end and shown on a terminal only, by the first process.

    Attributes
    ----------
    console : text that is printed on it appears above the bar
    """

    def __init__(self) -> None:
        self.console: Console = console()
        self._progress = Progress(
            Words(),
            BarColumn(bar_width=_WIDTH),
            TextColumn("{task.fields[state]}"),
            _Times(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal or not is_first_process(),
        )
        self._task: TaskID = self._progress.add_task("starting", total=None, state="", left=None)
        self._first: tuple[float, float] | None = None

    def __enter__(self) -> TrainingBar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def show(self, words: str, done: float, total: float | None, state: str) -> None:
        """Show what is being done, how much of it, and its numbers, without the time that it takes."""
        self._progress.update(self._task, description=words, completed=done, total=total, state=state, left=None)

    def show_training(self, words: str, done: float, total: float, state: str) -> None:
        """Show a number of epochs that are done, also in part, with the time that is left at the mean speed until now.

        The first call has the number before the first step.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        began, before = self._first
        left = None if done <= before else now + (now - began) * (total - done) / (done - before)
        self._progress.update(self._task, description=words, completed=done, total=total, state=state, left=left)


class _Times(ProgressColumn):
    """The time that is left, or before it is known the time that has passed."""

    def render(self, task: Task) -> Text:
        """Return the time."""
        if task.fields["left"] is None:
            return Text(f"{task.elapsed or 0:.0f} s")
        seconds = max(0, round(task.fields["left"] - time.monotonic()))
        return Text(f"{timedelta(seconds=seconds)} left", "progress.remaining")
