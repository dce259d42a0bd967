"""One look for all pictures, and how they are written."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from polyroots.files import replacing

#: Perceptually uniform and readable without colour vision; without its darkest part, so that eigenvalues show on it.
COLOUR_MAP = ListedColormap(mpl.colormaps["cividis"](np.linspace(0.25, 1, 256)))

#: The same things have the same colours in every picture.
EIGENVALUE = "#15396b"
ROOT = "#c8442c"
REFERENCE = "#6b6b6b"
#: Eigenvalues before training, beside those after it.
START = "#e69f00"

#: Told apart without colour vision (M. Okabe, K. Ito, Color Universal Design, 2008), for what has no colour of its own.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#000000")

#: Line of each root strategy: no two have both in common.
STRATEGY_LINES: dict[str, tuple[str, str]] = {
    "extremal": (COLOURS[0], "-"),
    "real": (COLOURS[0], "--"),
    "complex": (COLOURS[0], ":"),
    "largest": (COLOURS[4], "-"),
    "smallest": (COLOURS[4], "--"),
    "leja": (COLOURS[2], "-"),
    "chebyshev": (COLOURS[1], "-"),
    # On top of chebyshev, with which it is one on an interval.
    "minimax": (COLOURS[7], "--"),
    "least-squares": (COLOURS[3], "-"),
    "harmonic-ritz": (COLOURS[5], "-"),
    "random": (COLOURS[6], ":"),
    "given": (COLOURS[6], "-"),
}

#: Inches, of a picture that stands in one column of a paper or across two.
WIDTHS = {"one": 3.4, "two": 7.0}

# Characters that no title has.
_PRIVATE = 0xE000
# Points; on paper and on a screen.
_PRINTED, _SHOWN = 7.5, 9.0


@contextmanager
def style(width: float | None = None) -> Iterator[None]:
    """Draw with the project's settings; at a width, in inches, as it is printed."""
    size = _SHOWN if width is None else _PRINTED
    settings: dict[Any, Any] = {
        "font.size": size,
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
        "mathtext.fontset": "dejavusans",
        # TrueType fonts, embedded: journals refuse type 3. In SVG letters are outlines, which need no font.
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "polyroots",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context(settings):
        yield


def wrapped(title: str, width: float) -> str:
    r"""Break the lines of a title so that it fits into a picture of some inches; formulas stay whole.

    >>> with style(3.4):
    ...     wrapped("a title with $A = I + N$ that is too long for half a column", 1.7)
    'a title with $A = I + N$ that\nis too long for half a\ncolumn'
    """
    size = FontProperties(size=mpl.rcParams["figure.titlesize"]).get_size_in_points()
    # Letters are 0.56 times as wide as they are high, about.
    letters = max(12, int(72 * width / (0.56 * size)))
    formulas = re.findall(r"\$[^$]*\$", title)
    # A formula is one word, as long as it looks: commands and braces are not seen.
    for index, formula in enumerate(formulas):
        seen = re.sub(r"\\[a-zA-Z]+", "x", formula.strip("$")).translate(str.maketrans("", "", "{}_^"))
        title = title.replace(formula, chr(_PRIVATE + index) * len(seen), 1)
    wrapped_title = "\n".join(textwrap.fill(line, letters, break_long_words=False) for line in title.split("\n"))
    for index, formula in enumerate(formulas):
        wrapped_title = re.sub(f"{chr(_PRIVATE + index)}+", formula.replace("\\", r"\\"), wrapped_title)
    return wrapped_title


def save_figure(figure: Figure, stem: str | Path, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write a figure as stem.png (300 dpi), stem.pdf, stem.svg, each whole or not at all; return the paths.

    Raises
    ------
    FileError
        If the directory can't be made or written.
    """
    paths = []
    for kind in formats:
        path = Path(f"{stem}.{kind}")
        with replacing(path) as temporary, style():
            # No date: the same data gives the same file.
            metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
            figure.savefig(temporary, format=kind, dpi=300, metadata=metadata)
        paths.append(path)
    return paths
