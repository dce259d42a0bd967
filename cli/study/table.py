"""``polyroots study table``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polyroots_cli.options import usage_errors, was_given, wide_option
from polyroots_cli.study.options import pairs
from polyroots_cli.types import DIRECTORY


@click.command(short_help="Make a table of a study's accuracies.")
@click.argument("directory", type=DIRECTORY)
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
    help="Format of the table.",
)
@wide_option
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

    Runs that are not done are shown as missing; only seeds are averaged.

    \b
    Examples:
      polyroots study table quick
      polyroots study table quick --columns alpha-init --base alpha-init=xavier
      polyroots study table quick --format latex > table.tex
    """
    from polyroots.study import StudyDirectory, formats, study_table
    from polyroots.tables import table as text_table
    from polyroots_cli.console import say

    if was_given("measure") and not columns:
        raise click.UsageError("--measure is for --columns; without these both the last and the best epoch are shown.")
    if runs and (columns or base):
        raise click.UsageError("--runs shows single runs; leave --columns and --base out.")
    found = study_table(StudyDirectory(directory))
    first, across = _names(rows), _names(columns)
    with usage_errors():
        against = pairs(base, "--base")
        found.require_base(against)
        if runs:
            cells = formats.run_cells(found, first)
        elif across:
            cells = formats.cross_cells(found, across, first, measure, against)
        else:
            cells = formats.long_cells(found, first, against)
    if form == "text":
        shown = text_table(*cells.heads, left=cells.names, less_important=("pairs", "epochs", "weights", "best epoch"))
        for row in cells.rows:
            shown.add_row(*row)
        say(f"{found.title}{f' on {found.data}' if found.data else ''}", shown, *cells.notes)
    elif form == "csv":
        is_long = not runs and not across
        written = formats.run_csv(found, first) if runs else formats.cells_csv(cells)
        click.echo(formats.long_csv(found, first, against) if is_long else written, nl=False)
    else:
        click.echo((formats.markdown if form == "markdown" else formats.latex)(cells), nl=False)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()
