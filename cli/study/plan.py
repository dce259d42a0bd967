"""``polyroots study plan``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots.text import count_of, listed
from polyroots_cli.options import device_option, json_option, wide_option
from polyroots_cli.study.options import data_dir_option, file_argument

if TYPE_CHECKING:
    from rich.table import Table

    from polyroots.study import Estimate, Plan, PlannedRun


@click.command(short_help="Print the runs of a study, and how long they take.")
@file_argument
@data_dir_option
@device_option
@click.option("--no-timing", is_flag=True, help="Leave the estimate out, for which a step of each network is timed.")
@json_option
@wide_option
def plan(file: Path, data_dir: Path | None, device: Any, no_timing: bool, as_json: bool) -> None:
    """Check a study file and print its runs, with weights and an estimate of the time from a step that is timed.

    \b
    Examples:
      polyroots study plan studies/quick.toml
      polyroots study plan studies/degree.toml --device cuda
    """
    from polyroots.study import Machine, make_plan
    from polyroots_cli.console import print_json, say

    planned, description = make_plan(file, Machine(data_dir, device))
    timed = None if no_timing else _timed(planned)
    if as_json:
        print_json(_document(planned, timed))
        return
    say(f"{planned.title}: {planned.question}" if planned.question else planned.title)
    say(_table(planned, timed.seconds if timed else {}))
    say(f"\n{count_of(len(planned.runs), 'run')}, seeds {listed(planned.seeds, 20)}")
    if timed:
        say(f"About {_time(timed.total)} one after another on {timed.device}, by a step of each that was timed")
    words = ["polyroots", "study", "run", str(description.path), "--out", str(Path("results") / file.stem)]
    words += [] if data_dir is None else ["--data-dir", str(data_dir)]
    words += [] if device == "auto" else ["--device", device]
    say("\nNext:", f"  {shlex.join(words)}")


def _timed(planned: Plan) -> Estimate:
    """Return the estimate of a plan, with a progress bar while steps are timed."""
    from polyroots.errors import InputError
    from polyroots.study import estimate
    from polyroots_cli.console import progress

    with progress() as bar:
        task = bar.add_task("timing a step", total=None)
        try:
            return estimate(planned, lambda done, total: bar.update(task, completed=done, total=total))
        except InputError as error:
            raise click.ClickException(f"no step can be timed here: {error}; --no-timing leaves it out") from error


def _document(planned: Plan, timed: Estimate | None) -> dict[str, Any]:
    """Return the JSON document of a plan."""
    seconds = timed.seconds if timed else {}
    return {
        "title": planned.title,
        "question": planned.question,
        "device": timed.device if timed else None,
        "seconds": timed.total if timed else None,
        "runs": [
            {
                "name": run.name,
                "settings": dict(run.settings),
                "seed": run.config.seed,
                "epochs": run.config.epochs,
                "weights": run.weights,
                "seconds": seconds.get(run.name),
            }
            for run in planned.runs
        ],
    }


def _table(planned: Plan, seconds: dict[str, float]) -> Table:
    from polyroots.study import text_of
    from polyroots.tables import table

    is_epochs_shown = "epochs" in planned.keys
    heads = [
        *planned.keys,
        "weights",
        *([] if is_epochs_shown else ["epochs"]),
        "seeds",
        *(["time of a run"] if seconds else []),
    ]
    result = table(*heads, left=len(planned.keys), less_important=("epochs", "seeds", "weights"))
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
    """Return the text of an estimated time.

    >>> [_time(seconds) for seconds in (0.4, 75, 5400, 200000)]
    ['1 s', '1.2 min', '1.5 h', '2.3 days']
    """
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(1, round(seconds))} s"
