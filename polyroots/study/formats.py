"""Tables of a study as rows of text, and as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from polyroots.errors import InputError
from polyroots.escaping import shown
from polyroots.study.table import MEASURES, Difference, Measure, Sample, StudyRow, StudyTable
from polyroots.text import text_of

T = TypeVar("T")


@dataclass(frozen=True)
class Cells:
    """A table of text.

    Attributes
    ----------
    heads : of the columns
    rows : a text for each column
    names : number of columns on the left that hold names; the others hold numbers
    notes : sentences below the table
    best : (row, column) of the cells with the best accuracy: whole rows, or one cell of each column of a cross table
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int
    notes: tuple[str, ...]
    best: frozenset[tuple[int, int]] = frozenset()


def long_cells(table: StudyTable, rows: Sequence[str] = (), base: Mapping[str, str] | None = None) -> Cells:
    """Return a line for each combination, with both accuracies and the difference to a base row.

    Parameters
    ----------
    table : StudyTable
    rows : settings to sort by and to show first; all others follow
    base : settings of the row that the others are compared with, see `StudyTable.base_of`

    Returns
    -------
    Cells
    """
    base = base or {}
    keys = _in_order(table, rows)
    lines, means = [], []
    for row in _sorted(table, rows):
        means.append(row.samples["last"].mean)
        sample, difference = row.samples["last"], _difference(table, row, base, "last")
        lines.append(
            (
                *(text_of(row.settings[key]) for key in keys),
                f"{row.weights:,}",
                *_epochs(keys, str(row.epochs)),
                _seeds(len(sample), row.planned),
                _mean(sample),
                _mean(row.samples["best"]),
                "base" if table.base_of(row, base) is row else _points(difference),
                _interval(difference),
                "-" if difference is None else str(difference.count),
            )
        )
    heads = (
        *keys,
        "weights",
        *_epochs(keys, "epochs"),
        "seeds",
        "last epoch",
        "best epoch",
        "difference",
        "95 % interval",
        "pairs",
    )
    notes = (
        "Test accuracy in percent, mean +- standard deviation over the seeds.",
        *_about_best(table),
        f"Differences in points, of the last epoch, to {_base_in_words(table, base)}, over the pairs of equal seeds; "
        "interval by Student's t.",
    )
    return Cells(heads, tuple(lines), len(keys), notes, _whole_rows(means, len(heads)))


def cross_cells(
    table: StudyTable,
    columns: Sequence[str],
    rows: Sequence[str] = (),
    measure: Measure = "last",
    base: Mapping[str, str] | None = None,
) -> Cells:
    """Return a cross table: the values of some settings are columns, each combination of the others is a line.

    Parameters
    ----------
    table : StudyTable
    columns : settings whose values are columns; only seeds are averaged
    rows : settings to sort by and to show first; all others follow
    measure : the accuracy in the cells
    base : if given, cells show differences to the row with these settings, see `StudyTable.base_of`

    Returns
    -------
    Cells

    Raises
    ------
    InputError
        If the runs don't differ in a setting, or it is named in both `rows` and `columns`.
    """
    table.require_keys(columns)
    for key in rows:
        if key in columns:
            raise InputError(f"expected {key} in rows or in columns, got it in both; name it once")
    keys = [key for key in _in_order(table, rows) if key not in columns]
    heads = list(dict.fromkeys(_values(row, columns) for row in _sorted(table, columns)))
    lines: dict[tuple[str, ...], dict[tuple[str, ...], StudyRow]] = {}
    for row in _sorted(table, rows):
        lines.setdefault(_values(row, keys), {})[_values(row, columns)] = row

    body = tuple(
        (
            *names,
            _extent(row.weights for row in found.values()),
            *_epochs(keys, _extent(row.epochs for row in found.values())),
            *(_cross_cell(table, found.get(head), measure, base) for head in heads),
        )
        for names, found in lines.items()
    )
    first = len(keys) + 1 + len(_epochs(keys, ""))
    best = {
        (line, first + column)
        for column, head in enumerate(heads)
        for line in _largest([_merit(table, found.get(head), measure, base) for found in lines.values()])
        if body[line][first + column] != "base"
    }
    shown = f"{measure} epoch"
    notes = [
        f"Test accuracy of the {shown} in percent, mean +- standard deviation (number of seeds); {_over(columns)}."
    ]
    if base:
        notes = [
            f"Differences in test accuracy of the {shown} in points, to {_base_in_words(table, base)}, with "
            f"their 95 % intervals by Student's t (number of pairs of equal seeds); {_over(columns)}."
        ]
    if measure == "best":
        notes += _about_best(table)
    names_of_columns = (_head(columns, head) for head in heads)
    every_head = (*keys, "weights", *_epochs(keys, "epochs"), *names_of_columns)
    return Cells(every_head, body, len(keys), tuple(notes), frozenset(best))


def _merit(table: StudyTable, row: StudyRow | None, measure: Measure, base: Mapping[str, str] | None) -> float:
    """Return the mean or the difference that a cell of a cross table shows; NaN if there is none."""
    if row is None:
        return math.nan
    if not base:
        return row.samples[measure].mean
    if table.base_of(row, base) is row:
        return 0.0
    difference = _difference(table, row, base, measure)
    return math.nan if difference is None else difference.mean


def _largest(values: Sequence[float]) -> list[int]:
    """Return the places of the largest value, none among NaN.

    >>> _largest([0.5, math.nan, 0.6, 0.6]), _largest([math.nan])
    ([2, 3], [])
    """
    largest = max((value for value in values if not math.isnan(value)), default=math.nan)
    return [place for place, value in enumerate(values) if value == largest]


def _whole_rows(values: Sequence[float], columns: int) -> frozenset[tuple[int, int]]:
    """Return all cells of the rows with the largest value."""
    return frozenset((row, column) for row in _largest(values) for column in range(columns))


def _cross_cell(table: StudyTable, row: StudyRow | None, measure: Measure, base: Mapping[str, str] | None) -> str:
    """Text of a cell of a cross table: mean and deviation, or the difference to a base."""
    if row is None:
        return "-"
    sample = row.samples[measure]
    if not base:
        return _mean(sample) + (f" ({_seeds(len(sample), row.planned)})" if len(sample) else "")
    if table.base_of(row, base) is row:
        return "base"
    difference = _difference(table, row, base, measure)
    return "-" if difference is None else f"{_points(difference)} {_interval(difference)} ({difference.count})"


def run_cells(table: StudyTable, rows: Sequence[str] = ()) -> Cells:
    """Return a line for each run that is done."""
    keys = _in_order(table, rows)
    done = [(row, seed) for row in _sorted(table, rows) for seed in row.samples["last"].values]
    lines = [
        (
            *(text_of(row.settings[key]) for key in keys),
            str(seed),
            f"{row.weights:,}",
            *_epochs(keys, str(row.epochs)),
            *(_percent(row.samples[measure].values[seed]) for measure in MEASURES),
        )
        for row, seed in done
    ]
    notes = ("Test accuracy in percent.", *_about_best(table))
    heads = (*keys, "seed", "weights", *_epochs(keys, "epochs"), "last epoch", "best epoch")
    best = _whole_rows([row.samples["last"].values[seed] for row, seed in done], len(heads))
    return Cells(heads, tuple(lines), len(keys), notes, best)


def markdown(cells: Cells, *, bold: bool = False) -> str:
    """Return a table in Markdown, the best cells bold if `bold` is true."""

    def line(values: Iterable[str]) -> str:
        return "| " + " | ".join(values) + " |"

    def text(value: str, place: tuple[int, int] | None = None) -> str:
        written = _in_markdown(value).replace("+-", "±")
        return f"**{written}**" if bold and place in cells.best else written

    rule = ["---"] * cells.names + ["---:"] * (len(cells.heads) - cells.names)
    rows = [
        line(text(value, (number, column)) for column, value in enumerate(row)) for number, row in enumerate(cells.rows)
    ]
    return "\n".join([line(map(text, cells.heads)), line(rule), *rows, "", *map(text, cells.notes)]) + "\n"


def long_csv(table: StudyTable, rows: Sequence[str] = (), base: Mapping[str, str] | None = None) -> str:
    """Return a CSV line for each combination, unrounded; accuracies are shares, missing ones are empty."""
    keys = _in_order(table, rows)
    heads = [*keys, "weights", *_epochs(keys, "epochs"), "seeds_planned", "seeds_done"]
    heads += ["last_mean", "last_deviation", "best_mean", "best_deviation"]
    heads += ["difference", "difference_low", "difference_high", "difference_pairs"]
    lines = []
    for row in _sorted(table, rows):
        last, best = row.samples["last"], row.samples["best"]
        difference = _difference(table, row, base or {}, "last")
        compared: tuple[float | None, ...] = (None,) * 4
        if difference is not None:
            compared = (difference.mean, difference.low, difference.high, difference.count)
        lines.append(
            [
                *(_plain(row.settings[key]) for key in keys),
                *(row.weights, *_epochs(keys, row.epochs), row.planned, len(last)),
                *map(_number, (last.mean, last.deviation, best.mean, best.deviation, *compared)),
            ]
        )
    return _csv(heads, lines)


def run_csv(table: StudyTable, rows: Sequence[str] = ()) -> str:
    """Return a CSV line for each run that is done, unrounded; accuracies are shares."""
    keys = _in_order(table, rows)
    lines = [
        [
            *(_plain(row.settings[key]) for key in keys),
            *(seed, row.weights, *_epochs(keys, row.epochs), *(row.samples[m].values[seed] for m in MEASURES)),
        ]
        for row in _sorted(table, rows)
        for seed in row.samples["last"].values
    ]
    return _csv([*keys, "seed", "weights", *_epochs(keys, "epochs"), *MEASURES], lines)


def cells_csv(cells: Cells) -> str:
    """Return the texts of a table in CSV, weights without thousands separators."""
    at = cells.heads.index("weights")
    return _csv(cells.heads, [[*row[:at], row[at].replace(",", ""), *row[at + 1 :]] for row in cells.rows])


def _difference(table: StudyTable, row: StudyRow, base: Mapping[str, str], measure: Measure) -> Difference | None:
    """Difference of a row to its base; None for the base itself, and where no seed is in both."""
    against = table.base_of(row, base)
    return (
        None
        if against is None or against is row
        else Difference.between(row.samples[measure], against.samples[measure])
    )


def _csv(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return stream.getvalue()


def _epochs(keys: Sequence[str], column: T) -> tuple[T, ...]:
    """Return the column of the epochs, or nothing where they are a setting and so a column already."""
    return () if "epochs" in keys else (column,)


def _in_order(table: StudyTable, first: Sequence[str]) -> list[str]:
    table.require_keys(first)
    return [*first, *(key for key in table.keys if key not in first)]


def _sorted(table: StudyTable, keys: Sequence[str]) -> list[StudyRow]:
    """Rows sorted by these settings, in the order of the values in the study file."""
    ranks: dict[str, dict[str, int]] = {key: {} for key in keys}
    for row in table.rows:
        for key in keys:
            ranks[key].setdefault(text_of(row.settings[key]), len(ranks[key]))
    return sorted(table.rows, key=lambda row: [ranks[key][text_of(row.settings[key])] for key in keys])


def _values(row: StudyRow, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(text_of(row.settings[key]) for key in keys)


def _extent(numbers: Iterable[int]) -> str:
    several = sorted(set(numbers))
    return f"{several[0]:,}" if len(several) == 1 else f"{several[0]:,} to {several[-1]:,}"


def _head(keys: Sequence[str], values: Sequence[str]) -> str:
    """Name of a column: the values of its settings."""
    return ", ".join(f"no {key}" if value == "-" else value for key, value in zip(keys, values, strict=True))


def _seeds(done: int, planned: int) -> str:
    return str(done) if done == planned else f"{done} of {planned}"


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.2f}"


def _mean(sample: Sample) -> str:
    if not len(sample):
        return "missing"
    return _percent(sample.mean) + (f" +- {_percent(sample.deviation)}" if len(sample) > 1 else "")


def _points(difference: Difference | None) -> str:
    return "-" if difference is None else f"{100 * difference.mean:+.2f}"


def _interval(difference: Difference | None) -> str:
    if difference is None or math.isnan(difference.low):
        return "-"
    return f"[{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"


def _about_best(table: StudyTable) -> list[str]:
    """Return the note on the images that chose the best epoch; none before a run is done."""
    sentences = {
        "test": "Best epoch: the one with the best accuracy on the test images, which is optimistic.",
        "validation": "Best epoch: the one with the best accuracy on the validation images.",
    }
    mixed = (
        "Best epoch: of some runs chosen on the validation images, of others on the test images, which is optimistic."
    )
    return [sentences.get(table.chosen_on, mixed)] if table.chosen_on else []


def _base_in_words(table: StudyTable, base: Mapping[str, str]) -> str:
    if base:
        return "the same with " + ", ".join(f"{key} {value}" for key, value in base.items())
    settings = (text_of(value) for value in table.rows[0].settings.values() if value is not None)
    return ", ".join(["the first row of the study", *settings])


def _over(columns: Sequence[str]) -> str:
    return f"columns: {', '.join(columns)}"


def _in_markdown(text: str) -> str:
    """Return text as it is shown in Markdown: without markup of HTML, and on one line."""
    return shown(text).replace("|", "\\|").replace("<", "&lt;")


def _plain(value: object) -> str:
    return "" if value is None else text_of(value)


def _number(value: float | None) -> object:
    return "" if value is None or math.isnan(value) else value
