"""``polyroots study run``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots.text import count_of
from polyroots_cli.cluster_options import cluster_option, job_options, refuse_options_of_slurm, resources_of
from polyroots_cli.help import GroupedCommand
from polyroots_cli.options import device_option, usage_errors
from polyroots_cli.study.options import data_dir_option, file_argument
from polyroots_cli.types import DIRECTORY, Whole

if TYPE_CHECKING:
    from polyroots.study import Outcome, Runner, StudyDirectory


_SLURM = ("runs_per_job", "cpus_per_job", "time", "partition", "sbatch")


@click.command(
    short_help="Run a study, on this machine or on a cluster.",
    cls=GroupedCommand,
    sections={
        "Study": ("out", "data_dir", "device", "jobs", "gpus_per_job"),
        "Cluster": ("cluster", *_SLURM),
    },
)
@file_argument
@click.option("--out", type=DIRECTORY, required=True, help="The study's directory, new or with some of its runs.")
@data_dir_option
@device_option
@cluster_option
@click.option(
    "--jobs",
    type=Whole(1, 10_000),
    metavar="N",
    help="Number of runs, or of SLURM's jobs, at once. [default: here one for each GPU, or 1; slurm no limit]",
)
@click.option(
    "--gpus-per-job",
    type=Whole(0),
    metavar="G",
    help="GPUs of each run, which trains on all of them. [default: 1; 0 with --device cpu, and where there is none]",
)
@click.option(
    "--runs-per-job",
    type=Whole(1),
    default=1,
    show_default=True,
    help="slurm: runs that share a job and its GPU, each in a process.",
)
@job_options(", which then is saved and put back into the queue")
def run(  # noqa: PLR0913 - click passes each option by its name
    file: Path,
    out: Path,
    data_dir: Path | None,
    device: Any,
    cluster: str,
    jobs: int | None,
    gpus_per_job: int | None,
    runs_per_job: int,
    cpus_per_job: int | None,
    time: str,
    partition: str | None,
    sbatch: tuple[str, ...],
) -> None:
    """Train the runs of a study that are not done yet, each in a run directory of its own under OUT/runs.

    A run that is done is not trained again, and one that was stopped or killed is resumed: type the same command again.
    If some runs fail the others go on, and the exit status is 1.

    \b
    Examples:
      polyroots study run studies/quick.toml --out quick --jobs 2
      polyroots study run studies/degree.toml --out degree --data-dir data \\
          --cluster slurm --partition gpu
    """
    from polyroots.study import (
        LocalRunner,
        Machine,
        SlurmRunner,
        StudyDirectory,
        make_plan,
        start_study,
    )
    from polyroots.training import Interruption
    from polyroots_cli.console import say
    from polyroots_cli.study.live import StudyDisplay

    with usage_errors():
        refuse_options_of_slurm(cluster, _SLURM)
        gpus = _gpus(gpus_per_job, device, cluster)
        resources = resources_of(
            cpus_per_job, time, partition, sbatch, gpus=gpus, jobs_at_once=jobs, runs_per_job=runs_per_job
        )

    def make_runner(directory: StudyDirectory, names: Sequence[str]) -> Runner:
        if cluster == "slurm" and names:
            return SlurmRunner(directory, names, resources)
        return LocalRunner(directory, names, jobs=jobs, devices_per_job=gpus if names else 0)

    plan, description = make_plan(file, Machine(data_dir, device, max(1, gpus)))
    with start_study(plan, description.text, StudyDirectory(out), make_runner) as started:
        before = f", {started.done} of them done before" if started.done else ""
        say(f"{plan.title}: {count_of(len(plan.runs), 'run')}{before}")
        with StudyDisplay(started.plan) as display, Interruption().listening():
            try:
                outcome = started.run(display.show)
            except KeyboardInterrupt:
                next_time = "the same command resumes the runs"
                if started.runner.is_detached:
                    next_time = "the jobs go on; the same command watches them"
                raise click.ClickException(f"interrupted; {next_time}") from None
    _say_outcome(outcome, started.directory)


def _gpus(given: int | None, device: str, cluster: str) -> int:
    """Return the number of GPUs of each run."""
    if device == "cpu" and given:
        raise click.UsageError(f"--device cpu uses no GPU, got --gpus-per-job {given}; leave one of them out")
    if given is not None:
        return given
    if device in ("cpu", "mps"):
        return 0
    if cluster == "slurm":
        return 1
    import torch

    return int(torch.cuda.is_available())


def _say_outcome(outcome: Outcome, directory: StudyDirectory) -> None:
    """Print the numbers of runs in each phase, the last lines of those that are not done, and the next commands."""
    from polyroots_cli.console import console, say

    counts = outcome.counts()
    say("\n" + ", ".join(f"{number} {phase}" for phase, number in counts.items() if number))
    errors = console(stderr=True)
    for name, lines in outcome.last_lines.items():
        say(f"\n{name}, from {directory.log(name)}:", *(f"  {line}" for line in lines), screen=errors)
    where = shlex.quote(str(directory.path))
    if not outcome.is_done:
        missing = count_of(len(outcome.last_lines), "run is", "runs are")
        raise click.ClickException(
            f"{missing} not done; the same command resumes them; a run that can't be resumed starts again when its "
            f"directory under {directory.path / 'runs'} is removed"
        )
    say("\nNext:", f"  polyroots study table {where}", f"  polyroots figures --only 5 --study {where} --out figures")
