"""One look for all pictures, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from polyroots.files import replacing

#: Perceptually uniform and readable without colour vision; without its darkest part, so that eigenvalues show on it.
COLOUR_MAP = ListedColormap(mpl.colormaps["cividis"](np.linspace(0.25, 1, 256)))

#: The same things have the same colours in every picture.
EIGENVALUE = "#15396b"
ROOT = "#c8442c"
REFERENCE = "#6b6b6b"

_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "mathtext.fontset": "dejavusans",
    # TrueType fonts, embedded: journals refuse type 3.
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with the project's settings."""
    with mpl.rc_context(_SETTINGS):
        yield


def save_figure(figure: Figure, stem: str | Path, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write a figure as stem.png (300 dpi), stem.pdf, ..., each whole or not at all; return the paths.

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
            metadata = {"CreationDate": None} if kind == "pdf" else None
            figure.savefig(temporary, format=kind, dpi=300, metadata=metadata)
        paths.append(path)
    return paths
