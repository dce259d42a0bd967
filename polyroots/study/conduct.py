"""A study that is going on: its runs are started, looked after and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polyroots.study.directory import StudyDirectory
from polyroots.study.plan import Plan
from polyroots.study.progress import OVER, Phase, Runner, RunProgress, progress_of
from polyroots.training import open_data

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What came of a study's runs.

    Attributes
    ----------
    progress : how far each run is
    last_lines : name of each run that has failed or was stopped -> the end of its output
    """

    progress: tuple[RunProgress, ...]
    last_lines: Mapping[str, Sequence[str]]

    @property
    def is_done(self) -> bool:
        """Whether every run is done."""
        return all(progress.phase is Phase.DONE for progress in self.progress)

    def counts(self) -> dict[Phase, int]:
        """Return the number of runs in each phase."""
        return {phase: sum(progress.phase is phase for progress in self.progress) for phase in Phase}


def unfinished(plan: Plan, directory: StudyDirectory) -> list[str]:
    """Return the names of the runs that are not done."""
    return [run.name for run in plan.runs if not directory.run(run.name).result.exists()]


def require_data(plan: Plan, names: Sequence[str]) -> None:
    """Look whether the data of some runs are there, before one of them starts.

    Raises
    ------
    InputError, FileError
        As `polyroots.training.open_data`.
    """
    for dataset, data_dir in {(run.config.dataset, run.config.data_dir) for run in plan.runs if run.name in set(names)}:
        open_data(dataset, data_dir)


def run_study(
    plan: Plan,
    directory: StudyDirectory,
    runner: Runner,
    on_look: Callable[[tuple[RunProgress, ...]], None] = lambda progress: None,
) -> Outcome:
    """Let a runner do the runs that it was given, until all are over.

    Parameters
    ----------
    plan, directory : the study
    runner : who does those that are not done
    on_look : told of all runs at each look, about twice a second

    Raises
    ------
    KeyboardInterrupt
        As it came, after `Runner.stop`.
    """
    known: dict[str, RunProgress] = {}  # of what is done nothing changes
    while True:
        try:
            runner.advance()
            phases = runner.phases
            progress = tuple(
                known.get(run.name) or progress_of(directory, run, phases.get(run.name, Phase.DONE))
                for run in plan.runs
            )
            known |= {found.planned.name: found for found in progress if found.phase is Phase.DONE}
            on_look(progress)
            if all(phase in OVER for phase in phases.values()):
                break
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        except BaseException:
            runner.stop()
            raise
    bad = [name for name, phase in phases.items() if phase is not Phase.DONE]
    return Outcome(progress, {name: runner.last_lines(name) for name in bad})
