"""Text, tables and progress bars: plain in a log, coloured on a terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import click
from rich.box import Box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# A rule under the heading, in ASCII.
_RULE = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes text as it is: no markup, no highlighting of numbers."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def table(*columns: str, left: int = 1) -> Table:
    """Return an empty table whose first `left` columns hold names and whose others hold numbers."""
    result = Table(box=_RULE, pad_edge=False)
    for index, column in enumerate(columns):
        result.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    return result


def say(*lines: str | Table, screen: Console | None = None) -> None:
    """Print text and tables, on stdout or on another console.

    Lines are neither wrapped nor cut at the width of the terminal, so that names and commands can be copied.
    """
    screen = screen or console()
    for line in lines:
        screen.print(line if isinstance(line, str) else _full_width(line), soft_wrap=True)


def _full_width(result: Table) -> Text:
    """Render a table as wide as it needs to be."""
    wide = Console(file=io.StringIO(), width=10_000, force_terminal=True, color_system="truecolor", highlight=False)
    with wide.capture() as captured:
        wide.print(result)
    return Text("\n").join(Text.from_ansi(line.rstrip()) for line in captured.get().split("\n")[:-1])


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


def dimensions(size: Iterable[int]) -> str:
    """Return the text of a size, such as 32x32.

    >>> dimensions((64, 64, 3, 3))
    '64x64x3x3'
    """
    return "x".join(str(n) for n in size)


def number(value: float, scale: float = 0.0) -> str:
    """Return a number with four significant digits, zero if it is a rounding error relative to `scale`.

    >>> number(-0.0), number(0.57735), number(1234.5), number(12345.6), number(2e-16, scale=8.0)
    ('0.000', '0.5774', '1234', '1.235e+04', '0.000')
    """
    return "0.000" if abs(value) <= 1e-13 * scale else f"{value:#.4g}".rstrip(".")
