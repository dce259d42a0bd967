"""Runs of a study as jobs of a SLURM cluster, through submitit."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from polyroots.errors import FileError, InputError, PolyrootsError
from polyroots.files import make_directory, read_json, write_json
from polyroots.study.directory import StudyDirectory
from polyroots.study.local import LocalRunner
from polyroots.study.progress import OVER, Phase, Runner, last_lines_of, size_of
from polyroots.text import listed, quoted

# squeue loads the controller, which serves all users.
SECONDS_BETWEEN_QUESTIONS = 5.0
# A shared file system shows files late: a job that has left the queue without a result has failed after this time.
PATIENCE = 60.0
# SIGTERM that stops the runs comes from SLURM or scancel, which end the job soon afterwards.
_SECONDS_TO_BE_ENDED = 300.0
# SLURM's default MaxArraySize.
LARGEST_ARRAY = 1000
# submitit's limit to the number of times that a job is put back into the queue; in effect none.
_MOST_TURNS = 10_000
_SECONDS_TO_SAVE = 120

# Options of sbatch that the runner sets.
_OWN_SBATCH = ("array", "signal", "output", "error", "open-mode", "time", "partition", "ntasks-per-node", "requeue")

_RUNNING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING")


@dataclass(frozen=True)
class Resources:
    """The resources that a job requests from SLURM.

    Attributes
    ----------
    gpus : of a job; its run trains on all of them
    cpus : of each task; None for the cluster's default
    minutes : time limit of a job, after which its runs are saved and it returns to the queue
    partition : None for the cluster's default
    jobs_at_once : largest number of jobs of a submission that run at once; None for no limit
    runs_per_job : number of runs that share a job's GPU and cores
    sbatch : other options of sbatch, such as account or mem; True for those without a value

    Raises
    ------
    InputError
        If `sbatch` has an option that the runner sets, or several runs would share several GPUs.
    """

    gpus: int = 1
    cpus: int | None = None
    minutes: int = 240
    partition: str | None = None
    jobs_at_once: int | None = None
    runs_per_job: int = 1
    sbatch: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.sbatch:
            if name in _OWN_SBATCH:
                raise InputError(f"sbatch's {name} is set by polyroots itself; leave it out", fields=["sbatch"])
        if self.runs_per_job > 1 and self.gpus > 1:
            raise InputError(
                f"{self.runs_per_job} runs in a job share one GPU, got {self.gpus}; ask for one GPU or one run a job",
                fields=["devices_per_job", "runs_per_job"],
            )


class _Submitted(TypedDict):
    """The job of a run, and the size of the run's log when the job was submitted."""

    job: str
    log_size: int


@dataclass(frozen=True)
class _Job:
    """The function that submitit calls in a job: it trains the job's runs, each in a process.

    SLURM sends SIGUSR2 before the job's time is up. The runs then save and stop, and submitit's own handler of that
    signal puts the job back into the queue, where it resumes the same runs. A job that SLURM preempts stops its runs
    by SIGTERM; it then waits for SLURM to end and requeue it, since a job that ends by itself isn't requeued.
    """

    directory: Path
    names: tuple[str, ...]

    def __call__(self) -> None:
        signals: list[tuple[Any, ...]] = []
        requeue: Any = signal.getsignal(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, lambda *caught: signals.append(caught))
        runner = LocalRunner(StudyDirectory(self.directory), self.names, jobs=len(self.names))
        over_since: float | None = None
        while True:
            runner.advance()
            if signals:
                runner.stop()
            phases = runner.phases
            is_stopped = Phase.STOPPED in phases.values()
            if signals and is_stopped:
                requeue(*signals[0])
                return
            if all(phase in OVER for phase in phases.values()):
                over_since = over_since or time.monotonic()
                if not is_stopped or time.monotonic() - over_since > _SECONDS_TO_BE_ENDED:
                    break
            time.sleep(0.5)
        bad = [f"{name} {phase}" for name, phase in phases.items() if phase is not Phase.DONE]
        if bad:
            raise PolyrootsError(listed(bad))

    def checkpoint(self) -> Any:
        """Return the job's function for its next turn: the same one."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmRunner(Runner):
    """Runs as an array of SLURM jobs; a run whose job is still in the queue is not submitted again.

    Parameters
    ----------
    directory : StudyDirectory
        On a file system that all nodes share.
    names : sequence of str
        The runs, in the order in which they begin.
    resources : Resources
        Of each job.

    Raises
    ------
    InputError
        If SLURM or submitit is not installed, or SLURM refuses the jobs.
    """

    is_detached = True

    def __init__(self, directory: StudyDirectory, names: Sequence[str], resources: Resources) -> None:
        require_slurm("run the study on this machine")
        self.directory = directory
        self._table = directory.jobs / "jobs.json"
        make_directory(directory.jobs)
        self._queue: dict[str, str] = queued()
        known: dict[str, _Submitted] = self._read()
        self._jobs = {name: known[name] for name in names if name in known and known[name]["job"] in self._queue}
        new = [name for name in names if name not in self._jobs]
        size = resources.runs_per_job
        groups = [tuple(new[i : i + size]) for i in range(0, len(new), size)]
        for first in range(0, len(groups), LARGEST_ARRAY):
            self._jobs |= self._submit(groups[first : first + LARGEST_ARRAY], resources)
            # Written after each array, so that an interrupted command doesn't submit them again.
            write_json(self._table, {**known, **self._jobs})
        self._phases = dict.fromkeys(names, Phase.WAITING)
        self._gone_since: dict[str, float] = {}
        self._asked = -SECONDS_BETWEEN_QUESTIONS

    @property
    def phases(self) -> dict[str, Phase]:
        """Phase of each run."""
        return dict(self._phases)

    def advance(self) -> None:
        """Update the phases, from the results at each call and from the queue every few seconds."""
        for name, phase in self._phases.items():
            if phase is not Phase.DONE and self.directory.run(name).result.exists():
                self._phases[name] = Phase.DONE
        now = time.monotonic()
        if now - self._asked < SECONDS_BETWEEN_QUESTIONS:
            return
        self._asked = now
        try:
            self._queue = queued()
        except InputError:  # the controller may be busy, or restarting
            return
        for name, phase in self._phases.items():
            if phase not in OVER:
                self._phases[name] = self._phase_of(name, now)

    def stop(self) -> None:
        """Do nothing: the jobs go on when the command ends."""

    def last_lines(self, name: str) -> list[str]:
        """Return the last lines of a run's output and of its job's errors."""
        job = self._jobs[name]["job"]
        lines = last_lines_of(self.directory.jobs / f"{job}_0_log.err", 2)
        return [*self._output(name, 5), *lines, f"(job {job} is no longer in the queue)"]

    def _output(self, name: str, count: int) -> list[str]:
        """Return the last lines that a run has printed since it was submitted."""
        return last_lines_of(self.directory.log(name), count, self._jobs[name]["log_size"])

    def _read(self) -> dict[str, _Submitted]:
        """Return the last submitted job of each run."""
        if not self._table.exists():
            return {}
        known = read_json(self._table, "the jobs of a study")
        is_whole = isinstance(known, dict) and all(
            isinstance(job, dict) and job.keys() == {"job", "log_size"} for job in known.values()
        )
        if not is_whole:
            raise FileError(f"{self._table} is damaged; remove it when none of the study's jobs is in the queue")
        return known

    def _phase_of(self, name: str, now: float) -> Phase:
        state = self._queue.get(self._jobs[name]["job"])
        if state is not None:
            self._gone_since.pop(name, None)
            return Phase.RUNNING if state in _RUNNING else Phase.WAITING
        if now - self._gone_since.setdefault(name, now) < PATIENCE:
            return self._phases[name]
        output = self._output(name, 1)
        return Phase.STOPPED if output and output[0].startswith("Stopped") else Phase.FAILED

    def _submit(self, groups: Sequence[tuple[str, ...]], resources: Resources) -> dict[str, _Submitted]:
        """Submit a job for each group, as one array, and return the job of each run."""
        work = [_Job(self.directory.path.resolve(), names) for names in groups]
        sizes = {name: size_of(self.directory.log(name)) for names in groups for name in names}
        jobs = submit(self.directory.jobs, work, resources)
        return {
            name: {"job": job, "log_size": sizes[name]}
            for job, names in zip(jobs, groups, strict=True)
            for name in names
        }


def submit(folder: Path, calls: Sequence[Callable[[], Any]], resources: Resources) -> list[str]:
    """Submit an array with a job for each call, whose results and logs submitit writes to a folder; return their names.

    Raises
    ------
    InputError
        If SLURM refuses the jobs.
    """
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    options: dict[str, Any] = {
        "name": "polyroots",
        "timeout_min": resources.minutes,
        "tasks_per_node": max(1, resources.gpus),
        "gpus_per_node": resources.gpus or None,
        "cpus_per_task": resources.cpus,
        "slurm_partition": resources.partition,
        "slurm_array_parallelism": resources.jobs_at_once or len(calls),
        "slurm_signal_delay_s": min(_SECONDS_TO_SAVE, 30 * resources.minutes),
        "slurm_additional_parameters": {"requeue": True, **resources.sbatch},
    }
    try:
        executor = submitit.AutoExecutor(
            folder.resolve(),
            cluster="slurm",
            slurm_max_num_timeout=_MOST_TURNS,
            # The safe path: files in the current directory are not imported.
            slurm_python=f"{shlex.quote(sys.executable)} -P",
        )
        executor.update_parameters(**{name: value for name, value in options.items() if value is not None})
        with executor.batch():
            jobs = [executor.submit(call) for call in calls]
    except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError, OSError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = [line for line in lines if not line.startswith("Try ")] or [repr(error)]
        raise InputError(f"sbatch refuses the jobs: {reason[-1]}") from error
    return [job.job_id for job in jobs]


def require_slurm(instead: str) -> None:
    """Raise InputError, with what can be done `instead`, unless there are SLURM and submitit."""
    if shutil.which("sbatch") is None or shutil.which("squeue") is None:
        raise InputError(
            "there is no SLURM on this machine (no sbatch and squeue); log in to a node of the cluster, or " + instead,
            fields=["cluster"],
        )
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise InputError(
            'SLURM jobs need submitit, which is not installed: type pip install -e ".[slurm]" in polyroots\' '
            f"directory, or {instead}",
            fields=["cluster"],
        ) from error


def queued() -> dict[str, str]:
    """Return the state of each of the user's jobs in the queue, each element of an array by itself."""
    try:
        result = subprocess.run(
            ["squeue", "--me", "--all", "--noheader", "--array", "--format=%i %T"],
            # SQUEUE_* variables would change the output's format.
            env={name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise InputError(
            f"squeue failed: {lines[-1] if lines else error!r}; check that SLURM's controller is running"
        ) from error
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line.strip())


def minutes_of(text: str) -> int:
    """Return the minutes of a time in SLURM's notation, rounded up.

    Parameters
    ----------
    text : str
        ``M``, ``M:S``, ``H:M:S``, ``D-H``, ``D-H:M`` or ``D-H:M:S``.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is no such time, or less than a minute.

    Examples
    --------
    >>> [minutes_of(text) for text in ("90", "5:30", "4:00:00", "1-12", "1-2:30")]
    [90, 6, 240, 2160, 1590]
    """
    days, dash, clock = text.strip().rpartition("-")
    parts = clock.split(":")
    numbers = [*([days] if dash else []), *parts]
    if not all(re.fullmatch("[0-9]{1,20}", part) for part in numbers) or len(parts) > 3:
        raise InputError(f"expected a time such as 90 (minutes), 4:00:00 or 1-12 (days-hours), got {quoted(text)}")
    values = [int(part) for part in parts]
    # After days the first number is hours; without days one number is minutes, and two are minutes and seconds.
    before = 0 if dash or len(values) == 3 else 1
    hours, minutes, seconds = ([0] * before + values + [0, 0])[:3]
    total = int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)
    if total < 1:
        raise InputError(f"expected a time of at least a minute, got {quoted(text)}")
    return total
