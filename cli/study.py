"""``polyroots study``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots.text import count_of

from .options import PATH, device_option, json_option, usage_errors, was_given

if TYPE_CHECKING:
    from polyroots.study import Outcome, Plan, PlannedRun, Runner, StudyDirectory

_FILE = click.argument("file", type=PATH)
_DATA_DIR = click.option("--data-dir", type=PATH, help="Where the data lie, in place of what the file says.")
_GPUS_PER_JOB = click.option(
    "--gpus-per-job",
    type=click.IntRange(min=0),
    metavar="G",
    help="GPUs of each run, which trains on all of them. [default: 1; 0 with --device cpu, and where there is none]",
)


@click.group(short_help="Run a grid of networks, and make its tables.")
def study() -> None:
    """Run a grid of networks, from a file that describes it, and make its tables.

    \b
    Examples:
      polyroots study plan studies/quick.toml
      polyroots study run studies/quick.toml --out quick
      polyroots study table quick --columns alpha-init
      polyroots figures --only 5 --study quick --out figures
    """


@study.command(short_help="Say what a study will run, and how long that takes.")
@_FILE
@_DATA_DIR
@device_option
@click.option("--no-timing", is_flag=True, help="Leave the estimate out, for which a step of each network is timed.")
@json_option
def plan(file: Path, data_dir: Path | None, device: Any, no_timing: bool, as_json: bool) -> None:
    """Check a study file and print its runs, with weights and an estimate of the time from a step that is timed.

    \b
    Examples:
      polyroots study plan studies/quick.toml
      polyroots study plan studies/degree.toml --device cuda
    """
    from polyroots.errors import InputError
    from polyroots.study import Machine, estimate, make_plan

    from .console import print_json, progress, say

    planned, description = make_plan(file, Machine(data_dir, device))
    timed = None
    if not no_timing:
        with progress() as bar:
            task = bar.add_task("timing a step", total=None)
            try:
                timed = estimate(planned, lambda done, total: bar.update(task, completed=done, total=total))
            except InputError as error:
                raise click.ClickException(f"no step can be timed here: {error}; --no-timing leaves it out") from error
    if as_json:
        seconds = timed.seconds if timed else {}
        runs = [
            {
                "name": run.name,
                "settings": dict(run.settings),
                "seed": run.config.seed,
                "epochs": run.config.epochs,
                "weights": run.weights,
                "seconds": seconds.get(run.name),
            }
            for run in planned.runs
        ]
        print_json(
            {
                "title": planned.title,
                "question": planned.question,
                "device": timed.device if timed else None,
                "seconds": timed.total if timed else None,
                "runs": runs,
            }
        )
        return
    say(f"{planned.title}: {planned.question}" if planned.question else planned.title)
    say(_plan_table(planned, timed.seconds if timed else {}))
    say(f"\n{count_of(len(planned.runs), 'run')}, seeds {', '.join(map(str, planned.seeds))}")
    if timed:
        say(f"About {_time(timed.total)} one after another on {timed.device}, by a step of each that was timed")
    say("\nNext:", f"  polyroots study run {shlex.quote(str(description.path))} --out {planned_name(file)}")


@study.command(short_help="Run a study, on this machine or on a cluster.")
@_FILE
@click.option("--out", type=PATH, required=True, help="The study's directory, new or with a part of it done.")
@_DATA_DIR
@device_option
@click.option(
    "--cluster",
    type=click.Choice(["local", "slurm"]),
    default="local",
    show_default=True,
    help="Run processes here, or submit jobs to SLURM.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="So many at once. [default: here one for each GPU, or 1; slurm no limit]",
)
@_GPUS_PER_JOB
@click.option(
    "--runs-per-job",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="slurm: so many runs share a job and its GPU, each in a process.",
)
@click.option("--cpus-per-job", type=click.IntRange(min=1), help="slurm: cores of a job. [default: the cluster's]")
@click.option(
    "--time",
    default="4:00:00",
    show_default=True,
    help="slurm: after so long a job is saved and put back into the queue.",
)
@click.option("--partition", help="slurm: where to. [default: the cluster's]")
@click.option(
    "--sbatch", multiple=True, metavar="KEY[=VALUE]", help="slurm: another option of sbatch, as account=mine."
)
def run(
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
    """Do the runs of a study that are not done yet, each in a run directory of its own under OUT/runs.

    A run that is done is never done again, and one that was stopped or killed goes on: type the same command again.
    If some runs fail the others go on, and the exit status is 1.

    \b
    Examples:
      polyroots study run studies/quick.toml --out quick --jobs 2
      polyroots study run studies/degree.toml --out degree --data-dir data --cluster slurm --partition gpu
    """
    from polyroots.study import (
        LocalRunner,
        Machine,
        Resources,
        SlurmRunner,
        StudyDirectory,
        make_plan,
        minutes_of,
        require_data,
        run_study,
        unfinished,
    )
    from polyroots.training import Interruption

    from .console import say
    from .study_live import StudyDisplay

    with usage_errors():
        _refuse_foreign(cluster)
        gpus = _gpus(gpus_per_job, device, cluster)
        limit, more = minutes_of(time), {name: value or True for name, value in _pairs(sbatch, "--sbatch", "").items()}
        resources = Resources(gpus, cpus_per_job, limit, partition, jobs, runs_per_job, more)
    planned, description = make_plan(file, Machine(data_dir, device, max(1, gpus)))
    directory = StudyDirectory(out)
    with ExitStack() as stack:
        stack.enter_context(directory.held())
        planned = directory.write(planned, description.text)
        left = unfinished(planned, directory)
        require_data(planned, left)
        done = len(planned.runs) - len(left)
        if cluster == "slurm" and left:
            runner: Runner = SlurmRunner(directory, left, resources)
            again = "the jobs go on; look at them with the same command"
            stack.close()  # others may look, too
        else:
            runner = LocalRunner(directory, left, jobs=jobs or _jobs(gpus), devices_per_job=gpus if left else 0)
            again = "go on with the same command"
        before = f", {done} of them done before" if done else ""
        say(f"{planned.title}: {count_of(len(planned.runs), 'run')}{before}")
        with StudyDisplay(planned) as display, Interruption().listening():
            try:
                outcome = run_study(planned, directory, runner, display.show)
            except KeyboardInterrupt:
                raise click.ClickException(f"interrupted; {again}") from None
    _report(outcome, directory)


@study.command(short_help="Make a table of what came of a study.")
@click.argument("directory", type=PATH)
@click.option("--rows", metavar="K1,K2", help="Settings to show first, and to sort by. [default: as the file has them]")
@click.option("--columns", metavar="K1,K2", help="Settings whose values are columns. [default: none, a line for each]")
@click.option(
    "--base",
    multiple=True,
    metavar="KEY=VALUE",
    help="Compare each row, seed by seed, with the one that is the same but for this. [default: with the first row]",
)
@click.option(
    "--measure",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="--columns: show the last epoch or the best one.",
)
@click.option("--runs", is_flag=True, help="A line for each run instead of one for each combination.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "csv"]),
    default="text",
    show_default=True,
    help="What to print.",
)
def table(
    directory: Path,
    rows: str | None,
    columns: str | None,
    base: tuple[str, ...],
    measure: Any,
    runs: bool,
    form: str,
) -> None:
    """Print mean and spread of the test accuracy of each combination in DIRECTORY, with paired differences.

    Runs that are not done are shown as missing; nothing is averaged but seeds.

    \b
    Examples:
      polyroots study table quick
      polyroots study table quick --columns alpha-init --base alpha-init=xavier
      polyroots study table quick --format latex > table.tex
    """
    from polyroots.study import StudyDirectory, formats, study_table

    from .console import say
    from .console import table as text_table

    if was_given("measure") and not columns:
        raise click.UsageError("--measure is for --columns; without these both the last and the best epoch are shown.")
    if runs and (columns or base):
        raise click.UsageError("--runs shows single runs; leave --columns and --base out.")
    found = study_table(StudyDirectory(directory))
    first, across = _names(rows), _names(columns)
    with usage_errors():
        against = _pairs(base, "--base")
        found.require_base(against)
        if runs:
            cells = formats.run_cells(found, first)
        elif across:
            cells = formats.cross_cells(found, across, first, measure, against)
        else:
            cells = formats.long_cells(found, first, against)
    if form == "text":
        shown = text_table(*cells.heads, left=cells.names)
        for row in cells.rows:
            shown.add_row(*row)
        say(f"{found.title}{f' on {found.data}' if found.data else ''}", shown, *cells.notes)
    elif form == "csv":
        is_long = not runs and not across
        written = formats.run_csv(found, first) if runs else formats.cells_csv(cells)
        click.echo(formats.long_csv(found, first, against) if is_long else written, nl=False)
    else:
        click.echo((formats.markdown if form == "markdown" else formats.latex)(cells), nl=False)


def planned_name(file: Path) -> str:
    """Return a directory to propose for a study file."""
    return shlex.quote(str(Path("results") / file.stem))


def _plan_table(planned: Plan, seconds: dict[str, float]) -> Any:
    from polyroots.study import text_of

    from .console import table as text_table

    is_epochs_shown = "epochs" in planned.keys
    heads = [
        *planned.keys,
        "weights",
        *([] if is_epochs_shown else ["epochs"]),
        "seeds",
        *(["time of a run"] if seconds else []),
    ]
    result = text_table(*heads, left=len(planned.keys))
    for runs in planned.by_combination():
        one: PlannedRun = runs[0]
        result.add_row(
            *(text_of(one.settings[key]) for key in planned.keys),
            f"{one.weights:,}",
            *([] if is_epochs_shown else [str(one.config.epochs)]),
            str(len(runs)),
            *([_time(seconds[one.name])] if seconds else []),
        )
    return result


def _time(seconds: float) -> str:
    """Write a time that is an estimate.

    >>> [_time(seconds) for seconds in (0.4, 75, 5400, 200000)]
    ['1 s', '1.2 min', '1.5 h', '2.3 days']
    """
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(1, round(seconds))} s"


def _refuse_foreign(cluster: str) -> None:
    """Refuse options of SLURM on this machine."""
    for name in ("runs_per_job", "cpus_per_job", "time", "partition", "sbatch"):
        if cluster == "local" and was_given(name):
            raise click.UsageError(f"--{name.replace('_', '-')} is for --cluster slurm; leave it out")


def _gpus(given: int | None, device: str, cluster: str) -> int:
    """GPUs of each job."""
    from polyroots.errors import InputError

    if device == "cpu" and given:
        raise InputError(f"--gpus-per-job {given} has no use with --device cpu; leave one of them out")
    if given is not None:
        return given
    if device in ("cpu", "mps"):
        return 0
    if cluster == "slurm":
        return 1
    import torch

    return int(torch.cuda.is_available())


def _jobs(gpus: int) -> int:
    """How many runs at once on this machine: as many as there are GPUs for them."""
    if not gpus:
        return 1
    import torch

    return max(1, torch.cuda.device_count() // gpus)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def _pairs(texts: Sequence[str], option: str, missing: str | None = None) -> dict[str, str]:
    """Read KEY=VALUE; of KEY alone the value is `missing`, if that may be."""
    from polyroots.errors import InputError

    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals and missing is not None:
            value = missing
        elif not equals or not key:
            raise InputError(f"expected {option} KEY=VALUE, got {text!r}")
        pairs[key.strip()] = value.strip()
    return pairs


def _report(outcome: Outcome, directory: StudyDirectory) -> None:
    """Say what came of it; the last lines of what failed, and what to do next."""
    from .console import console, say

    counts = outcome.counts()
    say("\n" + ", ".join(f"{number} {phase}" for phase, number in counts.items() if number))
    errors = console(stderr=True)
    for name, lines in outcome.last_lines.items():
        say(f"\n{name}, from {directory.log(name)}:", *(f"  {line}" for line in lines), screen=errors)
    where = shlex.quote(str(directory.path))
    if not outcome.is_done:
        missing = count_of(len(outcome.last_lines), "run is", "runs are")
        raise click.ClickException(
            f"{missing} not done; the same command goes on with what is left; a run that can't go on begins anew when "
            f"its directory under {directory.path / 'runs'} is removed"
        )
    say("\nNext:", f"  polyroots study table {where}", f"  polyroots figures --only 5 --study {where} --out figures")
