"""Text, tables and progress bars: plain in a log, coloured on a terminal."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from polyroots.tables import FittingTable, full_width
from polyroots_cli.fitting import fitted, remark
from polyroots_cli.options import is_wide

# Narrower terminals have the tables of one of this width.
_NARROWEST = 80


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes text as it is: no markup, no highlighting of numbers."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def say(*lines: str | Table, screen: Console | None = None) -> None:
    """Print text and tables, on stdout or on another console.

    Lines are neither wrapped nor cut at the width of the terminal, so that names and commands can be copied. Tables fit
    a terminal, unless --wide is given; in a file they have all columns.
    """
    screen = screen or console()
    for line in lines:
        if isinstance(line, FittingTable) and screen.is_terminal and not is_wide():
            shown = fitted(line, max(screen.width, _NARROWEST))
            screen.print(full_width(shown), soft_wrap=True)
            if words := remark(line, shown):
                screen.print(words, soft_wrap=True)
        else:
            screen.print(line if isinstance(line, str) else full_width(line), soft_wrap=True)


def progress() -> Progress:
    """Return a progress bar on stderr, which is removed at the end and shown on a terminal only."""
    screen = console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))
