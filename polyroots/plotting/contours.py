"""Contours of |q| around a spectrum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Complex, Float64
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from polyroots.plotting.plane import frame
from polyroots.plotting.style import COLOUR_MAP, EIGENVALUE, REFERENCE, ROOT, style, wrapped
from polyroots.polynomials import ResidualPolynomial
from polyroots.text import count_of

_CELLS = 400
_MOST_BANDS = 11
#: Bands of |q|: a factor of about two each, with a boundary at 1.
BANDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
# Pale, so that eigenvalues show on all of it; the whole of the project's map, which is lighter where |q| is larger.
_PALE = ListedColormap(0.45 + 0.55 * COLOUR_MAP(np.linspace(0, 1, 256))[:, :3])
# Roots farther out than so many spectral radii are not shown.
_FAR = 2.5
# Inches.
_WIDEST = 5.6


def draw_contours(
    values: Complex[np.ndarray, "N"],
    q: ResidualPolynomial,
    title: str,
    *,
    chosen: Bool[np.ndarray, "N"] | None = None,
    max_points: int = 4000,
    width: float | None = None,
) -> Figure:
    """Draw |q| in the plane in bands, its level 1, the eigenvalues and the roots.

    Parameters
    ----------
    values : (N,) complex
        Eigenvalues; of more than `max_points` an even subset is drawn.
    q : ResidualPolynomial
    title : str
    chosen : (N,) bool, optional
        The eigenvalues that are to be damped, such as the high frequencies; the others are drawn as small crosses.
    max_points : int
    width : float, optional
        Inches, for print.
    """
    every = max(1, -(-len(values) // max_points))
    others = np.empty(0, dtype=complex) if chosen is None else values[~chosen][::every]
    damped = values if chosen is None else values[chosen]
    points = damped[::every]
    reach = float(np.abs(values).max()) or 1.0
    is_near = np.abs(q.roots) <= _FAR * reach
    near = q.roots[is_near]
    low, high, top = frame(np.concatenate([points, others, values[[values.real.argmin(), values.real.argmax()]], near]))

    with style(width):
        # Two columns wide it would fill the page.
        across = min(width or 5.6, _WIDEST)
        # A title of two lines, and a legend of one or two.
        around = (1.6 if chosen is None else 1.8) if width is None else 1.25
        beside = 1.7 if width is None else 1.2
        figure = Figure(figsize=(across, (across - beside) * 2 * top / (high - low) + around), layout="constrained")
        axes = figure.add_subplot()
        x = np.linspace(low, high, _CELLS)
        # The upper half, mirrored: |q| is symmetric to the real axis, and so is the picture.
        y = np.linspace(0, top, max(2, round(_CELLS * top / (high - low))))
        upper = np.abs(q(x + 1j * y[:, None]))
        y, height = np.append(-y[:0:-1], y), np.concatenate([upper[:0:-1], upper])
        largest = float(np.abs(q(damped)).max())
        bounds = BANDS if 0.2 <= largest <= BANDS[-1] else bounds_between(min(BANDS[0], largest / 50), largest)
        bands = draw_bands(axes, x, y, height, bounds)
        axes.plot([], [], "-", color="black", linewidth=1.1, label="$|q| = 1$")
        axes.axhline(0, color=REFERENCE, linewidth=0.4)
        axes.axvline(0, color=REFERENCE, linewidth=0.4)
        if len(others):
            label = _counted(len(others), len(values) - len(damped), "low frequencies")
            axes.plot(
                others.real,
                others.imag,
                "x",
                color=REFERENCE,
                markersize=2.2,
                markeredgewidth=0.5,
                alpha=0.7,
                label=label,
            )
        axes.plot(
            points.real,
            points.imag,
            ".",
            color=EIGENVALUE,
            markersize=2.5,
            markeredgewidth=0,
            alpha=float(np.clip(30 / np.sqrt(len(points)), 0.35, 0.9)),
            rasterized=True,
            label=_counted(len(points), len(damped), "eigenvalues" if chosen is None else "high frequencies"),
        )
        far = len(q.roots) - len(near)
        axes.plot(
            near.real,
            near.imag,
            "o",
            markerfacecolor=ROOT,
            markeredgecolor="white",
            markersize=6.5 if width is None else 5,
            label=count_of(len(near), "root") + (f", {far} far outside" if far else ""),
            zorder=4,
        )
        axes.set_xlim(low, high)
        axes.set_ylim(-top, top)
        axes.set_aspect("equal")
        axes.set_xlabel("Re $\\lambda$")
        axes.set_ylabel("Im $\\lambda$")
        figure.suptitle(wrapped(title, across))
        bar = figure.colorbar(bands, ax=axes, shrink=0.9, pad=0.02, ticks=bounds, format="%g")
        bar.set_label("$|q|$")
        legend = figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handletextpad=0.4)
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)
    return figure


def bounds_between(low: float, high: float) -> tuple[float, ...]:
    """Bounds of bands of |q| between two values: 1, 2, 5 times powers of ten, or fewer where these would be many.

    >>> bounds_between(0.004, 0.1)
    (0.005, 0.01, 0.02, 0.05, 0.1)
    >>> bounds_between(0.05, 3e5)
    (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0)
    """
    low = max(low, 1e-300)
    high = max(min(high, 1e300), 10 * low)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for factors, every in (((1, 2, 5), 1), *(((1,), every) for every in range(1, len(powers) + 1))):
        steps = [float(f"{factor}e{power}") for power in powers[::every] for factor in factors]
        inside = tuple(step for step in steps if low <= step <= 1.001 * high)
        if 2 <= len(inside) <= _MOST_BANDS:
            return inside
    return low, high


def draw_bands(
    axes: Axes,
    x: Float64[np.ndarray, "*grid"],
    y: Float64[np.ndarray, "*grid"],
    height: Float64[np.ndarray, "rows columns"],
    bounds: Sequence[float] = BANDS,
) -> ContourSet:
    """Draw bands of |q| between some values, and its level 1; return the bands, for a colour bar."""
    bands = axes.contourf(
        x,
        y,
        np.clip(height, bounds[0] / 2, bounds[-1] * 2),
        levels=bounds,
        cmap=_PALE,
        norm=BoundaryNorm(bounds, _PALE.N, extend="both"),
        extend="both",
    )
    axes.contour(x, y, height, levels=bounds, colors="white", linewidths=0.5)
    axes.contour(x, y, height, levels=[1.0], colors="black", linewidths=1.1)
    return bands


def _counted(drawn: int, there: int, what: str) -> str:
    return f"{there:,} {what}" if drawn == there else f"{drawn:,} of {there:,} {what}"
