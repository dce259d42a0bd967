"""Text, tables and progress bars: plain in a log, coloured on a terminal."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from polyroots.escaping import NAME_WIDTH, shown
from polyroots.tables import FittingTable, full_width
from polyroots_cli.fitting import fitted, remark
from polyroots_cli.options import is_wide

# Narrower terminals have the tables of one of this width.
_NARROWEST = 80

# Longer lines are cut in the middle.
_LONGEST_LINE = 20_000


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes text as it is: no markup, no highlighting of numbers."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def say(*lines: str | Table, screen: Console | None = None) -> None:
    """Print text and tables, on stdout or on another console.

    Lines are neither wrapped nor cut at the width of the terminal, so that names and commands can be copied. Tables fit
    a terminal, unless --wide is given; in a file they have all columns. Each text is one line. Line breaks at its
    beginning are empty lines; others are in names from outside, and are written by their numbers, as all that a
    terminal can't show.
    """
    screen = screen or console()
    for line in lines:
        if isinstance(line, str):
            text = line.lstrip("\n")
            screen.print("\n" * (len(line) - len(text)) + shown(text, _LONGEST_LINE), soft_wrap=True)
        elif isinstance(line, FittingTable) and screen.is_terminal and not is_wide():
            part = fitted(line, max(screen.width, _NARROWEST))
            screen.print(full_width(part), soft_wrap=True)
            if words := remark(line, part):
                screen.print(words, soft_wrap=True)
        else:
            screen.print(full_width(line), soft_wrap=True)


class Words(TextColumn):
    """The description of a task, without markup and what a terminal can't show."""

    def __init__(self) -> None:
        super().__init__("{task.description}", markup=False)

    def render(self, task: Task) -> Text:
        """Return the description."""
        return Text(shown(task.description, NAME_WIDTH))


def progress() -> Progress:
    """Return a progress bar on stderr, which is removed at the end and shown on a terminal only."""
    screen = console(stderr=True)
    return Progress(
        Words(),
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
