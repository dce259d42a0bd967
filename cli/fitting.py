"""Tables that fit a terminal: names are shortened in their middle, and less important columns are left out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from polyroots.tables import FittingTable, table
from polyroots.text import listed, shortened

# Characters between two columns.
_GAP = 3
# Columns are left out before names get shorter than the first number, and names are never shorter than the second.
_SHORT, _SHORTEST = 24, 12


def fitted(whole: FittingTable, width: int) -> FittingTable:
    """Return a table for a width; it is wider if the columns that always stay are."""
    for shortest in (_SHORT, _SHORTEST):
        for count in range(len(whole.less_important) + 1):
            part = _without(whole, whole.less_important[:count])
            widths = _widths(part, width, shortest)
            if _total(widths) <= width:
                return _cut(part, widths)
    return _cut(part, widths)


def remark(whole: FittingTable, part: FittingTable) -> str:
    """Return a sentence on what a fitted table lacks; empty if it has all."""
    missing = [head for head in whole.less_important if head in _heads(whole) and head not in _heads(part)]
    if missing:
        return f"Columns left out: {listed(missing)}; --wide shows all."
    return "" if _columns(part) == _columns(whole) else "Names are shortened; --wide shows them whole."


def _heads(whole: FittingTable) -> list[str]:
    return [str(column.header) for column in whole.columns]


def _columns(whole: FittingTable) -> list[list[str | Text]]:
    """Return the heads and cells by column."""
    return [[str(column.header), *(_cell(cell) for cell in column.cells)] for column in whole.columns]


def _cell(cell: object) -> str | Text:
    return cell if isinstance(cell, Text) else str(cell)


def _table_of(columns: Sequence[Sequence[str | Text]], left: int, less_important: Sequence[str]) -> FittingTable:
    result = table(*(str(column[0]) for column in columns), left=left, less_important=less_important)
    for row in zip(*(column[1:] for column in columns), strict=True):
        result.add_row(*row)
    return result


def _without(whole: FittingTable, heads: Sequence[str]) -> FittingTable:
    columns = _columns(whole)
    kept = [index for index, column in enumerate(columns) if column[0] not in heads]
    left = sum(index < whole.left for index in kept)
    return _table_of([columns[index] for index in kept], left, whole.less_important)


def _widths(part: FittingTable, width: int, shortest: int) -> list[int]:
    """Return the widths of the columns, those of names as short as the table's width asks for."""
    widths = [max(cell_len(str(cell)) for cell in column) for column in _columns(part)]
    names = range(part.left)
    while _total(widths) > width and any(widths[index] > shortest for index in names):
        widths[max(names, key=lambda index: widths[index])] -= 1
    return widths


def _cut(part: FittingTable, widths: Sequence[int]) -> FittingTable:
    columns = _columns(part)
    for index in range(part.left):
        columns[index] = [_name(cell, widths[index]) for cell in columns[index]]
    return _table_of(columns, part.left, part.less_important)


def _total(widths: Sequence[int]) -> int:
    return 1 + sum(widths) + _GAP * (len(widths) - 1)


def _name(cell: str | Text, width: int) -> str | Text:
    """Return a name within a width; the mark of a doubtful layer stays, ``.weight`` goes first."""
    if isinstance(cell, Text) or cell_len(cell) <= width:
        return cell
    mark = " ?" if cell.endswith(" ?") else ""
    return shortened(cell.removesuffix(mark).removesuffix(".weight"), width - len(mark)) + mark
