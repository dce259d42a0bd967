"""Colours, sizes and files of all pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text

from polyroots.escaping import CELL_WIDTH, shown
from polyroots.files import replacing
from polyroots.plotting.printing import letters, print_height, titled
from polyroots.plotting.room import extent, wrapped

#: Of |q|: perceptually uniform and readable with colour blindness; without the darkest part, on which eigenvalues
#: would not show.
COLOUR_MAP = ListedColormap(mpl.colormaps["cividis"](np.linspace(0.25, 1, 256)))

#: Eigenvalues, roots and reference lines have the same colours in every picture.
EIGENVALUE = "#15396b"
ROOT = "#c8442c"
REFERENCE = "#6b6b6b"
#: Eigenvalues before training, beside those after it.
START = "#e69f00"

#: For everything else: colours that are distinct with colour blindness (M. Okabe, K. Ito, Color Universal Design,
#: 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#000000")

#: Colour and line style of each root strategy: no two strategies have both in common.
STRATEGY_LINES: dict[str, tuple[str, str]] = {
    "extremal": (COLOURS[0], "-"),
    "real": (COLOURS[0], "--"),
    "complex": (COLOURS[0], ":"),
    "largest": (COLOURS[4], "-"),
    "smallest": (COLOURS[4], "--"),
    "leja": (COLOURS[2], "-"),
    "chebyshev": (COLOURS[1], "-"),
    # Dashed: on an interval it coincides with chebyshev.
    "minimax": (COLOURS[7], "--"),
    # Dotted: on a normal operator it coincides with minimax.
    "ideal": (COLOURS[7], ":"),
    "numerical-range": (COLOURS[1], "--"),
    "least-squares": (COLOURS[3], "-"),
    "harmonic-ritz": (COLOURS[5], "-"),
    "random": (COLOURS[6], ":"),
    "given": (COLOURS[6], "-"),
}

#: Widths in inches of pictures in one column of a paper and across two.
WIDTHS = {"one": 3.4, "two": 7.0}

#: Resolution of PNG files and of rasterised parts.
DPI = 300

# Font sizes in points on paper and on a screen.
_PRINTED, _SHOWN = 7.5, 9.0


@contextmanager
def style(width: float | None = None) -> Iterator[None]:
    """Apply the project's settings of matplotlib; with a width, in inches, those for print."""
    settings: dict[Any, Any] = letters(_SHOWN if width is None else _PRINTED)
    size = settings["font.size"]
    settings |= {
        "axes.labelsize": size,
        "axes.titlesize": size + 1 if width is None else size,
        "figure.titlesize": size + 1 if width is None else size + 0.5,
        "xtick.labelsize": size - 1,
        "ytick.labelsize": size - 1,
        "legend.fontsize": size - 1,
        "legend.frameon": False,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 1.2,
        # Journals refuse type 3 fonts: TrueType in PDF, outlines in SVG.
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "polyroots",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context(settings):
        yield


@contextmanager
def canvas(ax: Axes | None, size: tuple[float, float], width: float | None = None) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure with axes to draw in: new ones in the project's style, or given axes in the style of their figure.

    Parameters
    ----------
    ax : Axes, optional
    size : (float, float)
        Width and height of a new figure, in inches.
    width : float, optional
        As for `style`.
    """
    if ax is not None:
        figure = ax.get_figure(root=True)
        assert figure is not None
        yield figure, ax
        return
    with style(width):
        figure = Figure(figsize=(size[0], print_height(size[1])), layout="constrained")
        yield figure, figure.add_subplot()


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Return a figure with a title.

    Parameters
    ----------
    width, height : float
        In inches; the height is that without a title.
    title : str
    """
    lines = wrapped(titled(title), width)
    above = 1.1 * extent(lines, mpl.rcParams["figure.titlesize"])[1] if lines else 0.0
    figure = Figure(figsize=(width, print_height(height + above)), layout="constrained")
    if lines:
        figure.suptitle(lines)
    return figure


def new_axes(*, in_space: bool = False) -> Axes:
    """Return axes of a new figure of pyplot, which a notebook shows and ``plt.show()`` opens."""
    from matplotlib import pyplot

    kind = {"projection": "3d"} if in_space else {}
    with style():
        return pyplot.figure(layout="constrained").add_subplot(**kind)


def magnified() -> float:
    """Return the size of the letters of the current style, relative to that of pictures for print by default."""
    return float(mpl.rcParams["font.size"]) / _PRINTED


def _in_a_picture(line: str) -> str:
    """Return a line of a picture without what fonts can't show, cut in the middle unless it has formulas."""
    return shown(line, len(line) if "$" in line else CELL_WIDTH)


def save_figure(figure: Figure, stem: str | Path, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write a figure as stem.png (300 dpi), stem.pdf and so on, and return the paths.

    Each file is written as a whole or not at all, and equal figures give equal files.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    stem : str or Path
        Path without a suffix; its directory is made.
    formats : sequence of str
        ``"png"``, ``"pdf"`` or ``"svg"``.

    Returns
    -------
    list of Path

    Raises
    ------
    FileError
        If the directory can't be made or written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     [path.name for path in save_figure(Figure(), Path(directory) / "empty", ["svg"])]
    ['empty.svg']
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text("\n".join(_in_a_picture(line) for line in text.get_text().split("\n")))
    paths = []
    with style(), _laid_out(figure):
        for kind in formats:
            path = Path(f"{stem}.{kind}")
            with replacing(path) as temporary:
                # Without a date, which would differ between equal figures.
                metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
                figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
            paths.append(path)
    return paths


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Lay a figure out once, and not again for each file."""
    engine = figure.get_layout_engine()
    if engine is None:
        yield
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)
