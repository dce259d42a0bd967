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
@click.option("--caption", metavar="TEXT", help="latex: caption of the table, in LaTeX.")
@click.option("--label", metavar="NAME", help="latex: label of the table, such as tab:accuracy.")
@click.option("--fit", is_flag=True, help="latex: scale a table wider than the line down to it, with adjustbox.")
@click.option("--bold-best", is_flag=True, help="latex, markdown: the best row in bold, or the best of each column.")
@wide_option
def table(  # noqa: PLR0913 - click passes each option by its name
    directory: Path,
    rows: str | None,
    columns: str | None,
    base: tuple[str, ...],
    measure: Any,
    runs: bool,
    form: str,
    caption: str | None,
    label: str | None,
    fit: bool,
    bold_best: bool,
) -> None:
    """Print mean and spread of the test accuracy of each combination in DIRECTORY, with paired differences.

    Runs that are not done are shown as missing; only seeds are averaged.

    \b
    Examples:
      polyroots study table quick
      polyroots study table quick --columns alpha-init --base alpha-init=xavier
      polyroots study table quick --format latex --bold-best > table.tex
    """
    from polyroots.study import StudyDirectory, formats, latex, study_table
    from polyroots.tables import table as text_table
    from polyroots_cli.console import say

    if was_given("measure") and not columns:
        raise click.UsageError("--measure is for --columns; without these both the last and the best epoch are shown.")
    if runs and (columns or base):
        raise click.UsageError("--runs shows single runs; leave --columns and --base out.")
    _require_format(form)
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
    elif form == "markdown":
        click.echo(formats.markdown(cells, bold=bold_best), nl=False)
    else:
        with usage_errors():
            written = latex.latex(cells, caption=caption, label=label, bold=bold_best, fit=fit)
        click.echo(written, nl=False)


def _require_format(form: str) -> None:
    """Raise a usage error for an option that is of other formats."""
    of_latex = [(name, ["latex"]) for name in ("caption", "label", "fit")]
    for name, kinds in (*of_latex, ("bold_best", ["latex", "markdown"])):
        if was_given(name) and form not in kinds:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --format {' or '.join(kinds)}; leave it out")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()
