"""The display of a running study: a live table on a terminal, a line for each change of a run elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from polyroots.tables import table
from polyroots_cli.console import console, say

if TYPE_CHECKING:
    from rich.table import Table

    from polyroots.study import Plan, RunProgress

_STYLES = {"running": "bold", "done": "green", "failed": "red", "stopped": "yellow", "waiting": "dim"}


class StudyDisplay:
    """Display of the runs of a study.

    Parameters
    ----------
    plan : the study
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.console = console()
        self.phases: dict[str, str] = {}
        self.live = Live(console=self.console, auto_refresh=False, transient=False, vertical_overflow="crop")

    def __enter__(self) -> StudyDisplay:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def show(self, progress: Sequence[RunProgress]) -> None:
        """Show the progress of the runs."""
        if self.console.is_terminal:
            self.live.update(self._screen(progress), refresh=True)
        else:
            for run in progress:
                self._log(run)
        self.phases = {run.planned.name: run.phase for run in progress}

    def _log(self, run: RunProgress) -> None:
        before = self.phases.get(run.planned.name)
        # Runs that were done before, and those that wait, have no line.
        if run.phase == before or run.phase == "waiting" or (before is None and run.phase == "done"):
            return
        end = f": {_accuracy(run)}" if run.phase == "done" else ""
        say(f"{run.planned.name} {run.phase}{end}", screen=self.console)

    def _screen(self, progress: Sequence[RunProgress]) -> Group:
        """Return a table of all runs; where they don't fit, the running, failed and stopped ones come first."""
        room = max(3, self.console.size.height - 5)
        shown = list(progress)
        if len(shown) > room:
            order = ("running", "failed", "stopped", "waiting", "done")
            shown = sorted(shown, key=lambda run: order.index(run.phase))[:room]
        counts = {phase: sum(run.phase == phase for run in progress) for phase in _STYLES}
        summary = ", ".join(f"{number} {phase}" for phase, number in counts.items() if number)
        hidden = len(progress) - len(shown)
        more = f"; {hidden} more not shown" if hidden else ""
        return Group(self._table(shown), Text(f"{summary}{more}"))

    def _table(self, shown: Sequence[RunProgress]) -> Table:
        result = table("run", "state", "epoch", "test accuracy", left=2)
        for run in shown:
            epochs = run.planned.config.epochs
            result.add_row(
                run.planned.name, Text(run.phase, _STYLES[run.phase]), f"{run.epochs}/{epochs}", _accuracy(run)
            )
        return result


def _accuracy(run: RunProgress) -> str:
    return "" if run.accuracy is None else f"{run.accuracy:.2%}"
