"""Tables for people: as text in a terminal or a log, and as HTML in a notebook."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyroots.escaping import CELL_WIDTH, shown

# A rule under the heading, in ASCII.
_RULE = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_CELL = "padding:1px 10px;white-space:nowrap;text-align:"


class FittingTable(Table):
    """A table that the commands fit to a terminal; its texts are taken without what a terminal can't show.

    Attributes
    ----------
    left : int
        Number of columns that hold names, which may be shortened.
    less_important : tuple of str
        Heads of columns for which a terminal may be too narrow, the first to be left out first.
    """

    left: int
    less_important: tuple[str, ...]

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row."""
        super().add_row(*(shown(cell, CELL_WIDTH) if isinstance(cell, str) else cell for cell in cells), **options)


def table(*columns: str, left: int = 1, less_important: Sequence[str] = ()) -> FittingTable:
    """Return an empty table whose first `left` columns hold names and whose others hold numbers."""
    result = FittingTable(box=_RULE, pad_edge=False)
    result.left, result.less_important = left, tuple(less_important)
    for index, column in enumerate(columns):
        result.add_column(shown(column, CELL_WIDTH), justify="left" if index < left else "right", no_wrap=True)
    return result


def full_width(result: Table) -> Text:
    """Return a table as wide as it needs to be, with its colours."""
    wide = Console(
        file=io.StringIO(),
        width=10_000,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        emoji=False,
    )
    with wide.capture() as captured:
        wide.print(result)
    return Text("\n").join(Text.from_ansi(line.rstrip()) for line in captured.get().split("\n")[:-1])


def as_text(*parts: str | Table) -> str:
    """Return lines and tables as plain text, one below the other."""
    return "\n".join(part if isinstance(part, str) else full_width(part).plain for part in parts)


def as_html(*parts: str | Table) -> str:
    """Return lines and tables as HTML, one below the other.

    >>> as_html("a < b")
    '<p style="margin:4px 0;white-space:pre-line">a &lt; b</p>'
    """
    return "".join(
        f'<p style="margin:4px 0;white-space:pre-line">{html.escape(part)}</p>'
        if isinstance(part, str)
        else _html_of(part)
        for part in parts
    )


def _html_of(rows: Table) -> str:
    def line(tag: str, cells: Iterable[object]) -> str:
        styled = (
            f'<{tag} style="{_CELL}{column.justify}">{html.escape(_plain(cell))}</{tag}>'
            for column, cell in zip(rows.columns, cells, strict=True)
        )
        return f"<tr>{''.join(styled)}</tr>"

    body = (line("td", cells) for cells in zip(*(column.cells for column in rows.columns), strict=True))
    head = line("th", (column.header for column in rows.columns))
    return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


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


def known(value: float, scale: float = 0.0) -> str:
    """Return a number as text; a dash for an unknown one.

    >>> known(float("nan")), known(float("inf")), known(0.25)
    ('-', 'inf', '0.2500')
    """
    return "-" if math.isnan(value) else "inf" if math.isinf(value) else number(value, scale)
