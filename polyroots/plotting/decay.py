"""Singular values in descending order."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyroots.plotting.printing import titled
from polyroots.plotting.style import EIGENVALUE, REFERENCE, canvas


def draw_singular_values(sigma: Float64[np.ndarray, "N"], title: str = "", *, ax: Axes | None = None) -> Figure:
    """Return a picture of singular values against their rank, on a logarithmic scale.

    Parameters
    ----------
    sigma : (N,) float64, descending
        Values that are zero to rounding are left out; the picture gives their number.
    title : str
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    floor = len(sigma) * np.finfo(float).eps * float(sigma[0])
    shown = sigma[sigma > floor]
    with canvas(ax, (4.6, 3.2)) as (figure, axes):
        rank = np.arange(1, len(shown) + 1) / len(sigma)
        line = "-" if len(shown) > 30 else ".-"
        axes.plot(rank, shown, line, color=EIGENVALUE, linewidth=1.2, rasterized=len(shown) > 10_000)
        axes.axhline(1, color=REFERENCE, linewidth=0.8, linestyle="--")
        axes.set_yscale("log")
        axes.set_xlim(0, 1)
        zeros = len(sigma) - len(shown)
        axes.set_xlabel(f"rank / {len(sigma):,}" + (f"; {zeros:,} are zero to rounding" if zeros else ""))
        axes.set_ylabel("singular value")
        if titled(title):
            axes.set_title(title)
    return figure
