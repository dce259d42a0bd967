"""Function calls as jobs of a SLURM cluster, whose results come back to the command that submits them."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from polyroots.errors import FileError, InputError, PolyrootsError
from polyroots.files import held, make_directory, read_json, write_json
from polyroots.study import cluster
from polyroots.study.cluster import Resources
from polyroots.study.progress import last_lines_of
from polyroots.text import shortened

# Seconds to wait for another command that submits jobs in the same folder.
_PATIENCE = 30.0


def results_on_slurm(
    folder: str | Path, calls: Mapping[str, Callable[[], Any]], resources: Resources, instead: str
) -> Iterator[tuple[str, Any]]:
    """Submit calls as an array of SLURM jobs, and yield (key, result) of each when it has ended.

    A call whose job is still in the queue, or has a result, is not submitted again: after an interruption the same
    calls take up the same jobs, which go on meanwhile.

    Parameters
    ----------
    folder : str or Path
        On a file system that all nodes share. Its results are files of pickle, which run code when they are read: it is
        as much to be trusted as a program.
    calls : mapping of str to callable
        Calls that can be pickled, under keys that determine their results.
    resources : Resources
        Of each job.
    instead : str
        What can be done where there is no SLURM, for the message.

    Yields
    ------
    (str, object)

    Raises
    ------
    InputError
        If SLURM or submitit is not installed, or SLURM refuses the jobs.
    FileError
        If another command submits jobs in the same folder, or files there can't be read or written.
    PolyrootsError
        If a job fails; the others go on.
    """
    folder = Path(folder).resolve()
    cluster.require_slurm(instead)
    make_directory(folder)
    # Of two commands in one folder, the second would otherwise replace the table of the first by its own.
    with held(folder, _PATIENCE, f"another command submits jobs in {folder}; run this one again when it has done so"):
        jobs = _jobs_of(folder, calls, resources)
    gone_since: dict[str, float] = {}
    while jobs:
        for key, job in list(jobs.items()):
            if _result(folder, job).exists():
                del jobs[key]
                yield key, _read_result(folder, job)
        if not jobs:
            return
        time.sleep(cluster.SECONDS_BETWEEN_QUESTIONS)
        try:
            states = cluster.queued()
        except InputError:  # the controller may be busy, or restarting
            continue
        now = time.monotonic()
        for job in jobs.values():
            if job in states:
                gone_since.pop(job, None)
            elif now - gone_since.setdefault(job, now) > cluster.PATIENCE and not _result(folder, job).exists():
                raise _failure(folder, job, "left the queue without a result")


def _jobs_of(folder: Path, calls: Mapping[str, Callable[[], Any]], resources: Resources) -> dict[str, str]:
    """Return the job of each call, after submitting those that have none in the queue and no result."""
    table = folder / "calls.json"
    known = _read(table)
    states = cluster.queued()
    there = {key: job for key, job in known.items() if job in states or _has_result(folder, job)}
    jobs = {key: there[key] for key in calls if key in there}
    new = [key for key in calls if key not in jobs]
    for first in range(0, len(new), cluster.LARGEST_ARRAY):
        keys = new[first : first + cluster.LARGEST_ARRAY]
        jobs |= dict(zip(keys, cluster.submit(folder, [calls[key] for key in keys], resources), strict=True))
        # Written after each array, so that an interrupted command doesn't submit them again.
        write_json(table, {**known, **jobs})
    return jobs


def _read(table: Path) -> dict[str, str]:
    """Return the last submitted job of each call."""
    known = read_json(table, "the jobs of calls") if table.exists() else {}
    if not isinstance(known, dict) or not all(isinstance(job, str) for job in known.values()):
        raise FileError(f"{table} is damaged; remove it when none of its jobs is in the queue")
    return known


def _result(folder: Path, job: str) -> Path:
    return folder / f"{job}_0_result.pkl"


def _has_result(folder: Path, job: str) -> bool:
    """Return whether a job has ended without an error."""
    try:
        return _unpickled(_result(folder, job))[0] == "success"
    except FileError:
        return False


def _read_result(folder: Path, job: str) -> Any:
    """Return the result of a job that has ended, or raise the error of one that failed."""
    outcome, result = _unpickled(_result(folder, job))
    if outcome != "success":
        raise _failure(folder, job, str(result).strip().splitlines()[-1])
    return result


def _unpickled(path: Path) -> tuple[str, Any]:
    try:
        with path.open("rb") as stream:
            outcome, result = pickle.load(stream)
    except (OSError, EOFError, ValueError, TypeError, AttributeError, ImportError, pickle.UnpicklingError) as error:
        raise FileError(f"cannot read {path}: {error}; remove it, and the job is submitted again") from error
    return outcome, result


def _failure(folder: Path, job: str, reason: str) -> PolyrootsError:
    lines = last_lines_of(folder / f"{job}_0_log.err", 1)
    said = f"; its log ends with: {shortened(lines[0], 120)}" if lines and lines[0] not in reason else ""
    return PolyrootsError(
        f"the job {job} failed: {shortened(reason, 200)}{said}; the others go on, and the same command submits it again"
    )
