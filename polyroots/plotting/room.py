"""Room for letters: extents of texts, titles and legends that fit in a width, and heights that grow with letters."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from polyroots.plotting.printing import has_own_height

# Resolution in which texts are measured, in pixels an inch.
_DPI = 300
# A word that a line may be broken after, with its hyphen or the spaces that follow; formulas and sizes (3 x 3) are one.
_WORD = re.compile(r"(?:\\\$|\$(?:\\\$|[^$])*\$|\d+(?: x \d+)+|[^\s-]|-(?!(?<=[a-zA-Z]-)[a-zA-Z]))+-?\s*|\s+")
# Share of a width for texts, which are a little wider on some screens; the accuracy of heights in inches; the most
# times that a picture is made higher.
_SHARE, _ACCURACY, _TIMES = 0.96, 0.01, 12


@cache
def _page() -> tuple[Figure, RendererAgg]:
    """Return where texts are measured."""
    return Figure(dpi=_DPI), RendererAgg(1, 1, _DPI)


def extent(text: str, size: float | str | None = None) -> tuple[float, float]:
    """Return the width and the height of a text in inches, with the letters of the current style.

    Parameters
    ----------
    text : str
        Lines, with formulas.
    size : float or str, optional
        Of the letters, in points or as ``"small"``; by default that of texts.
    """
    figure, renderer = _page()
    artist = figure.text(0, 0, text, fontsize=mpl.rcParams["font.size"] if size is None else size)
    box = artist.get_window_extent(renderer)
    artist.remove()
    return box.width / _DPI, box.height / _DPI


def literal(text: str) -> str:
    """Return a text with its dollar signs escaped: they would begin formulas."""
    return text.replace("$", r"\$")


def lines_of(text: str) -> int:
    """Return the number of lines of a text."""
    return len(text.splitlines())


def wrapped(text: str, width: float, size: float | str | None = None) -> str:
    r"""Return a text broken into lines that fit in a width in inches; formulas stay whole.

    Parameters
    ----------
    text : str
    width : float
    size : float or str, optional
        Of the letters, as for `extent`; by default that of titles of pictures.

    >>> from polyroots.plotting.style import style
    >>> with style(3.4):
    ...     wrapped("a title with $A = I + N$ that is too long for half a column", 1.7)
    'a title with $A = I + N$ that is\ntoo long for half a column'
    >>> with style(3.4):
    ...     wrapped("spectra of A, 64 x 64 x 3 x 3, 8 x 8 pixels", 1.2)
    'spectra of A,\n64 x 64 x 3 x 3,\n8 x 8 pixels'
    """
    points = FontProperties(size=mpl.rcParams["figure.titlesize"] if size is None else size).get_size_in_points()
    lines = []
    for line in text.split("\n"):
        current = ""
        for word in _WORD.findall(line):
            if current and extent((current + word).rstrip(), points)[0] > _SHARE * width:
                lines.append(current.rstrip())
                current = ""
            current += word
        lines.append(current.rstrip())
    return "\n".join(lines)


def legend_below(
    figure: Figure | SubFigure,
    handles: Sequence[Any] | None = None,
    labels: Sequence[str] | None = None,
    *,
    most: int = 6,
) -> Legend:
    """Add a legend below a picture, in as few lines as fit in its width; a name that doesn't is wrapped.

    Parameters
    ----------
    figure : Figure or SubFigure
        With constrained layout.
    handles, labels : sequences, optional
        Entries; by default those of all axes.
    most : int
        The largest number of columns.
    """
    if handles is None or labels is None:
        named = [pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
        handles, labels = [handle for handle, _ in named], [label for _, label in named]
    room = figure.bbox.width / figure.figure.dpi - 4 * mpl.rcParams["font.size"] / 72
    count = len(labels)

    def add(columns: int) -> Legend:
        names = labels if columns > 1 else [wrapped(label, room, mpl.rcParams["legend.fontsize"]) for label in labels]
        return figure.legend(
            handles, names, loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.5
        )

    # Fewer columns with the same number of lines are nearer to the middle.
    numbers = dict.fromkeys(-(-count // -(-count // columns)) for columns in range(min(most, count), 0, -1))
    return with_opaque_symbols(fitted_legend(add, numbers, _SHARE * figure.bbox.width))


def fitted_legend(add: Callable[[int], Legend], columns: Iterable[int], width: float) -> Legend:
    """Return the legend that `add` makes in the first number of columns that fits in a width in pixels, or the last."""
    *more, last = columns
    for count in more:
        legend = add(count)
        if legend.get_window_extent(RendererAgg(1, 1, legend.figure.dpi)).width <= width:
            return legend
        legend.remove()
    return add(last)


def with_opaque_symbols(legend: Legend) -> Legend:
    """Return a legend whose symbols are opaque where its points are translucent."""
    for handle in legend.legend_handles:
        if isinstance(handle, Line2D):
            handle.set_alpha(1)
    return legend


def heighten(figure: Figure, column: Sequence[Axes], height: float) -> None:
    """Make a picture higher until each of some axes above each other is as high as this, unless a height was asked for.

    Parameters
    ----------
    figure : Figure
        With constrained layout.
    column : sequence of Axes
    height : float
        In inches.
    """
    _fit_height(figure, lambda: sum(max(0.0, height - axes.bbox.height / figure.dpi) for axes in column))


def fit_aspect(figure: Figure, rows: Sequence[Sequence[Axes]]) -> None:
    """Make a picture as high as its axes of equal scales need at their width, unless a height was asked for.

    Parameters
    ----------
    figure : Figure
        With constrained layout.
    rows : sequences of Axes
        Those beside each other; the rows are above each other.
    """
    # Axes that keep their scales equal leave room unused, which the next layout would take for that of their labels.
    aspects = [(axes, axes.get_aspect()) for row in rows for axes in row]
    for axes, _ in aspects:
        axes.set_aspect("auto")
    _fit_height(figure, lambda: sum(max(_missing(axes, figure.dpi) for axes in row) for row in rows))
    for axes, aspect in aspects:
        axes.set_aspect(aspect)


def fit_rows(figure: Figure, grid: GridSpec, column: Sequence[Axes], heights: Sequence[float]) -> None:
    """Divide a picture among rows, so that the axes of each get a height in inches beside their texts.

    Parameters
    ----------
    figure : Figure
        With constrained layout; it gets higher or lower, unless a height was asked for.
    grid : GridSpec
        Of one column, with a subfigure in each row.
    column : sequence of Axes
        One of each row.
    heights : sequence of float
    """
    for _ in range(_TIMES):
        if not _has_layout(figure):
            if has_own_height():
                return
            figure.set_figheight(figure.get_figheight() + 0.5)
            continue
        lacking = [height - axes.bbox.height / figure.dpi for axes, height in zip(column, heights, strict=True)]
        if max(map(abs, lacking)) <= _ACCURACY:
            return
        rows = [_parent(axes).bbox.height / figure.dpi for axes in column]
        grid.set_height_ratios([row + more for row, more in zip(rows, lacking, strict=True)])
        if not has_own_height():
            figure.set_figheight(figure.get_figheight() + sum(lacking))


def _parent(axes: Axes) -> Figure | SubFigure:
    """Return the part of a picture that axes are in."""
    parent = axes.get_figure(root=False)
    assert parent is not None
    return parent


def _fit_height(figure: Figure, lacking: Callable[[], float]) -> None:
    """Change the height of a picture by what it lacks, unless a height was asked for."""
    if has_own_height():
        return
    for _ in range(_TIMES):
        missing = lacking() if _has_layout(figure) else 0.5
        if abs(missing) <= _ACCURACY:
            return
        figure.set_figheight(figure.get_figheight() + missing)


def _missing(axes: Axes, dpi: float) -> float:
    """Return the height in inches by which the place of axes is lower than their content at full width."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    place = axes.get_position(original=True)
    parent = _parent(axes)
    width, height = place.width * parent.bbox.width / dpi, place.height * parent.bbox.height / dpi
    return float(width * (high - low) / (right - left) - height)


def _has_layout(figure: Figure) -> bool:
    """Lay a picture out; return whether its texts leave room for its axes."""
    engine = figure.get_layout_engine()
    assert engine is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*collapsed to zero", category=UserWarning)
        try:
            engine.execute(figure)
        except UserWarning:
            return False
    return True
