"""Running a study: its plan is written, a runner trains the unfinished runs, their progress is reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from polyroots.study.directory import StudyDirectory
from polyroots.study.plan import Plan
from polyroots.study.progress import OVER, Phase, Runner, RunProgress, progress_of
from polyroots.training import open_data

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Outcome:
    """State of a study's runs when its runner has ended.

    Attributes
    ----------
    progress : of each run
    last_lines : name of each run that failed or was stopped -> the end of its output
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


@dataclass(frozen=True)
class StartedStudy:
    """A study whose plan is written, with the runner of its unfinished runs.

    Attributes
    ----------
    plan : its runs, under the names of their directories
    directory : where they are
    runner : trains those that are not done
    done : number of runs that were done before
    """

    plan: Plan
    directory: StudyDirectory
    runner: Runner
    done: int

    def run(self, on_look: Callable[[tuple[RunProgress, ...]], None] = lambda progress: None) -> Outcome:
        """Train the unfinished runs, see `run_study`."""
        return run_study(self.plan, self.directory, self.runner, on_look)


@contextmanager
def start_study(
    plan: Plan,
    text: str,
    directory: StudyDirectory,
    make_runner: Callable[[StudyDirectory, Sequence[str]], Runner],
) -> Iterator[StartedStudy]:
    """Yield a study that is ready to be run; its directory is locked within the block.

    The lock of a detached runner is given back at once, so that other commands can watch the same jobs.

    Parameters
    ----------
    plan : Plan
    text : str
        Of the study file.
    directory : StudyDirectory
        New, or with some of the runs.
    make_runner : callable
        Called with the directory and the names of the unfinished runs.

    Yields
    ------
    StartedStudy

    Raises
    ------
    FileError
        If another command runs this study, or the directory can't be written, or the data are missing.
    InputError
        If a run of the directory has another configuration, or the runner can't be made.
    """
    with ExitStack() as stack:
        stack.enter_context(directory.held())
        plan = directory.write(plan, text)
        left = unfinished(plan, directory)
        require_data(plan, left)
        runner = make_runner(directory, left)
        if runner.is_detached:
            stack.close()
        yield StartedStudy(plan, directory, runner, len(plan.runs) - len(left))


def unfinished(plan: Plan, directory: StudyDirectory) -> list[str]:
    """Return the names of the runs that are not done."""
    return [run.name for run in plan.runs if not directory.run(run.name).result.exists()]


def require_data(plan: Plan, names: Sequence[str]) -> None:
    """Check that the data of some runs are there, before one of them starts.

    Raises
    ------
    InputError, FileError
        As `polyroots.training.open_data`.
    """
    wanted = set(names)
    for dataset, data_dir in {(run.config.dataset, run.config.data_dir) for run in plan.runs if run.name in wanted}:
        open_data(dataset, data_dir)


def run_study(
    plan: Plan,
    directory: StudyDirectory,
    runner: Runner,
    on_look: Callable[[tuple[RunProgress, ...]], None] = lambda progress: None,
) -> Outcome:
    """Return the outcome of a study after a runner has trained the runs that it was given.

    Parameters
    ----------
    plan, directory : the study
    runner : Runner
        Of the runs that are not done.
    on_look : callable, optional
        Called with the progress of all runs about twice a second.

    Returns
    -------
    Outcome

    Raises
    ------
    KeyboardInterrupt, FileError
        If it is raised within, or the directory is moved or removed; after `Runner.stop`.

    See Also
    --------
    start_study : makes directory and runner as ``polyroots study run`` does
    study_table : the accuracies of the runs
    """
    known: dict[str, RunProgress] = {}  # a run that is done doesn't change
    while True:
        try:
            directory.require_in_place()
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
