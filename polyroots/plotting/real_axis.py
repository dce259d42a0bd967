"""A residual polynomial and its blocks along the real axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from polyroots.plotting.plane import add_legend
from polyroots.plotting.printing import titled
from polyroots.plotting.room import heighten
from polyroots.plotting.style import EIGENVALUE, REFERENCE, ROOT, canvas

# Marks of more eigenvalues would merge to a bar.
_MARKS = 400
# |q| beyond this is not shown: it would flatten what lies between -1 and 1.
_HIGHEST = 2.4
# Least height of the axes of a picture, in inches.
_HEIGHT = 1.9


class Curve(NamedTuple):
    """A function of the real axis, with the settings of its line."""

    function: Any
    settings: dict[str, Any]


def draw_real(spectrum: ArrayLike, q: Any, title: str = "", *, ax: Axes | None = None) -> Figure:
    """Return a picture of q along the real axis, with the real parts of eigenvalues and the real roots.

    Parameters
    ----------
    spectrum : Spectrum, or (N,) array_like of complex
    q : ResidualPolynomial
    title : str
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    draw_contours : |q| in the complex plane, for spectra that are not real.
    """
    values = np.asarray(spectrum, dtype=complex)
    is_real = float(np.abs(values.imag).max()) <= 1e-9 * float(np.abs(values).max())
    curve = Curve(q, {"color": "black", "linewidth": 1.3, "label": f"$q_{{{len(q.roots)}}}$"})
    roots = q.roots.real[q.roots.imag == 0]
    with canvas(ax, (4.6, 3.2)) as (figure, axes):
        draw_curves(axes, values.real, [curve], roots, "eigenvalues" if is_real else "real parts of eigenvalues")
        low, high = axes.get_xlim()
        peak = float(np.abs(q(np.linspace(low, high, 801))).max())
        axes.set_ylim(*(np.array([-1, 1]) * min(_HIGHEST, max(1.2, 1.05 * peak))))
        axes.set_xlabel("$\\lambda$")
        axes.set_ylabel("$q(\\lambda)$")
        if titled(title):
            axes.set_title(title)
        add_legend(figure if ax is None else axes, 2)
        if ax is None:
            heighten(figure, [axes], _HEIGHT)
    return figure


def draw_curves(
    axes: Axes,
    values: Float64[np.ndarray, "N"],
    curves: Sequence[Curve],
    roots: Float64[np.ndarray, "n"],
    label: str = "eigenvalues",
) -> None:
    """Draw curves over the interval of some real values, marks at these on the axis, roots, and the band |q| <= 1."""
    margin = 0.06 * float(np.ptp(values))
    left, right = min(float(values.min()), 0.0) - margin, max(float(values.max()), 0.0) + margin
    inside = roots[(roots >= left) & (roots <= right)]
    t = _abscissae(left, right, inside)
    axes.axhspan(-1, 1, color=REFERENCE, alpha=0.1, linewidth=0, label="$|q| \\leq 1$")
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    for curve in curves:
        axes.plot(t, curve.function(t), **curve.settings)
    shown = np.sort(values)[:: max(1, len(values) // _MARKS)]
    axes.plot(
        shown,
        np.full(len(shown), 0.035),
        "|",
        transform=axes.get_xaxis_transform(),
        color=EIGENVALUE,
        markersize=5,
        markeredgewidth=0.3,
        rasterized=True,
        label=label,
    )
    axes.plot(
        inside,
        np.zeros(len(inside)),
        "o",
        markerfacecolor=ROOT,
        markeredgecolor="white",
        markersize=5,
        zorder=4,
        label="roots",
    )
    axes.set_xlim(left, right)
    # With a number of ticks that the width decides, constrained layout may alternate between two widths.
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.spines[["top", "right"]].set_visible(False)


def _abscissae(left: float, right: float, roots: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "m"]:
    """Return where curves are evaluated: evenly, and around 0 and each root at the distances at which blocks change."""
    # Beside a root near 0, q goes through the picture within a small part of its width.
    scales = np.append(np.abs(roots), right - left)
    near = np.outer(np.unique(scales), np.linspace(-3, 3, 121)).ravel()
    t = np.unique(np.concatenate([np.linspace(left, right, 801), near, roots]))
    return t[(left <= t) & (t <= right)]
