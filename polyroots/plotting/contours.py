"""Contours of |q| around a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Complex, Float64
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from polyroots.plotting.magnitude import band_colours
from polyroots.plotting.plane import add_legend, frame
from polyroots.plotting.printing import titled
from polyroots.plotting.room import extent, fit_aspect, wrapped
from polyroots.plotting.style import EIGENVALUE, REFERENCE, ROOT, canvas
from polyroots.polynomials import ResidualPolynomial
from polyroots.text import count_of

_CELLS = 400
_MOST_BANDS = 11
# The lowest bound of the bands of |q|, and the least highest one where |q| is not far below 1.
_LOWEST, _ABOVE_ONE = 0.05, 2.0
# A picture may be wider than its points by this factor, so that the line |q| = 1 is closed.
_WIDER = 1.5
# Roots farther from 0 than this many spectral radii are not shown.
_FAR = 2.5
# Width in inches.
_WIDEST = 5.6


def draw_contours(
    spectrum: ArrayLike,
    q: ResidualPolynomial,
    title: str = "",
    *,
    chosen: Bool[np.ndarray, "N"] | None = None,
    max_points: int = 4000,
    width: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Return a picture of |q| in the complex plane: bands, the line |q| = 1, eigenvalues and roots.

    Parameters
    ----------
    spectrum : Spectrum, or (N,) array_like of complex
        Eigenvalues.
    q : ResidualPolynomial
    title : str
    chosen : (N,) bool, optional
        Marks the eigenvalues that are to be damped, such as the high frequencies; the others are drawn as small
        crosses.
    max_points : int
        An even subset of this size is drawn of more eigenvalues.
    width : float, optional
        In inches, for print, with letters of the size that they have on paper.
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    draw_surface : The same as a surface over the spectrum.

    Examples
    --------
    >>> figure = draw_contours(np.array([1.0, 1 + 0.5j, 1 - 0.5j]), ResidualPolynomial([1.0]), "one root")
    >>> figure.get_suptitle()
    'one root'
    """
    values = np.asarray(spectrum, dtype=complex)
    title = titled(title)
    every = max(1, -(-len(values) // max_points))
    others = np.empty(0, dtype=complex) if chosen is None else values[~chosen][::every]
    damped = values if chosen is None else values[chosen]
    points = damped[::every]
    near = q.roots[np.abs(q.roots) <= _FAR * (float(np.abs(values).max()) or 1.0)]
    shown = np.concatenate([points, others, values[[values.real.argmin(), values.real.argmax()]], near])
    limits = _with_level_one(q, frame(shown))

    # A picture as wide as two columns would fill the page.
    across = min(width or 5.6, _WIDEST)
    with canvas(ax, (across, across), width) as (figure, axes):
        bounds = _bounds(float(np.abs(q(damped)).max()))
        bands = _draw_magnitude(axes, q, limits, bounds)
        axes.axhline(0, color=REFERENCE, linewidth=0.4)
        axes.axvline(0, color=REFERENCE, linewidth=0.4)
        if len(others):
            _draw_low_frequencies(axes, others, len(values) - len(damped))
        words = _counted(len(points), len(damped), "eigenvalues" if chosen is None else "high frequencies")
        _draw_eigenvalues(axes, points, words)
        _draw_roots(axes, near, len(q.roots) - len(near), 6.5 if width is None else 5)
        axes.set_aspect("equal")
        axes.set_xlabel("Re $\\lambda$")
        axes.set_ylabel("Im $\\lambda$")
        if title and ax is None:
            figure.suptitle(wrapped(title, across))
        elif title:
            axes.set_title(title)
        # Beside given axes the bar is as high as these are drawn, whatever the room in their figure.
        where: dict[str, Any] = (
            {"ax": axes, "shrink": 0.9, "pad": 0.02} if ax is None else {"cax": axes.inset_axes((1.03, 0, 0.05, 1))}
        )
        bar = figure.colorbar(bands, **where, ticks=bounds, format="%g")
        bar.set_label("$|q|$")
        add_legend(figure if ax is None else axes, 3)
        if ax is None:
            fit_aspect(figure, [[axes]])
            bar.set_ticks(_ticks(bounds, bar.ax.bbox.height / figure.dpi))
    return figure


def _draw_magnitude(
    axes: Axes, q: ResidualPolynomial, limits: tuple[float, float, float], bounds: Sequence[float]
) -> ContourSet:
    """Draw bands of |q| within limits (low, high, top) of the plane, which become those of the axes."""
    low, high, top = limits
    x = np.linspace(low, high, _CELLS)
    # |q| is symmetric about the real axis: mirroring the upper half makes the picture exactly so.
    y = np.linspace(0, top, max(2, round(_CELLS * top / (high - low))))
    upper = np.abs(q(x + 1j * y[:, None]))
    y, height = np.append(-y[:0:-1], y), np.concatenate([upper[:0:-1], upper])
    bands = draw_bands(axes, x, y, height, bounds)
    axes.plot([], [], "-", color="black", linewidth=1.1, label="$|q| = 1$")
    axes.set_xlim(low, high)
    axes.set_ylim(-top, top)
    return bands


def _draw_eigenvalues(axes: Axes, points: Complex[np.ndarray, "n"], words: str) -> None:
    """Draw eigenvalues as dots, fainter where there are many."""
    alpha = float(np.clip(30 / np.sqrt(len(points)), 0.35, 0.9))
    look: dict[str, Any] = {"color": EIGENVALUE, "markersize": 2.5, "markeredgewidth": 0, "alpha": alpha}
    axes.plot(points.real, points.imag, ".", rasterized=True, label=words, **look)


def _draw_roots(axes: Axes, near: Complex[np.ndarray, "n"], far: int, size: float) -> None:
    """Draw the roots near the spectrum, and count the others in their name."""
    words = count_of(len(near), "root") + (f", {far} far outside" if far else "")
    look: dict[str, Any] = {"markerfacecolor": ROOT, "markeredgecolor": "white", "markersize": size, "zorder": 4}
    axes.plot(near.real, near.imag, "o", label=words, **look)


def _draw_low_frequencies(axes: Axes, drawn: Complex[np.ndarray, "n"], count: int) -> None:
    """Draw eigenvalues that are not to be damped as small crosses."""
    axes.plot(
        drawn.real,
        drawn.imag,
        "x",
        color=REFERENCE,
        markersize=2.2,
        markeredgewidth=0.5,
        alpha=0.7,
        label=_counted(len(drawn), count, "low frequencies"),
    )


def _with_level_one(q: ResidualPolynomial, limits: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return limits that contain what is inside of the line |q| = 1, unless this makes the picture much wider."""
    low, high, top = limits
    middle, half, height = (low + high) / 2, _WIDER * (high - low) / 2, _WIDER * top
    x, y = np.linspace(middle - half, middle + half, 241), np.linspace(0, height, 121)
    is_inside = np.abs(q(x + 1j * y[:, None])) <= 1
    if is_inside[-1].any() or is_inside[:, [0, -1]].any():
        return limits
    rows, columns = is_inside.any(axis=1), is_inside.any(axis=0)
    margin = 0.03 * (high - low)
    return (
        min(low, float(x[columns].min(initial=low)) - margin),
        max(high, float(x[columns].max(initial=high)) + margin),
        max(top, float(y[rows].max(initial=0.0)) + margin),
    )


def _bounds(largest: float) -> tuple[float, ...]:
    """Return bounds of the bands of a |q| with some largest value on the spectrum."""
    is_near_one = largest >= 4 * _LOWEST
    return bounds_between(
        _LOWEST if is_near_one else min(_LOWEST, largest / 50), max(largest, _ABOVE_ONE) if is_near_one else largest
    )


def _ticks(bounds: Sequence[float], height: float) -> tuple[float, ...]:
    """Return the bounds that have room for their numbers beside a bar of some height in inches: 1 is among them."""
    line = 1.15 * extent("1", mpl.rcParams["ytick.labelsize"])[1]
    every = -(-len(bounds) // max(1, int(height / line)))
    first = min(range(len(bounds)), key=lambda index: abs(np.log(bounds[index]))) % every
    return tuple(bounds[first::every])


def bounds_between(low: float, high: float) -> tuple[float, ...]:
    """Return bounds of bands of |q| from one value to beyond another: 1, 2 and 5 times powers of ten, or fewer.

    >>> bounds_between(0.004, 0.07)
    (0.005, 0.01, 0.02, 0.05, 0.1)
    >>> bounds_between(0.05, 3e5)
    (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0, 1000000.0)
    """
    low = max(low, 1e-300)
    high = max(min(high, 1e300), 10 * low)
    lowest, highest = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    for factors, every in (((1, 2, 5), 1), *(((1,), every) for every in range(1, highest - lowest + 2))):
        powers = range(lowest - lowest % every, highest + every, every)
        steps = [float(f"{factor}e{power}") for power in powers for factor in factors]
        # The first step that is not below the higher value ends the bands.
        last = next(index for index, step in enumerate(steps) if step >= 0.999 * high)
        inside = tuple(step for step in steps[: last + 1] if step >= low)
        if 2 <= len(inside) <= _MOST_BANDS:
            return inside
    return low, high


def draw_bands(
    axes: Axes,
    x: Float64[np.ndarray, "..."],
    y: Float64[np.ndarray, "..."],
    height: Float64[np.ndarray, "rows columns"],
    bounds: Sequence[float],
) -> ContourSet:
    """Draw bands of |q| between bounds, and the line |q| = 1; return the bands, for a colour bar."""
    bands = axes.contourf(
        x,
        y,
        np.clip(height, bounds[0] / 2, bounds[-1] * 2),
        levels=bounds,
        colors=band_colours(bounds),
        extend="both",
    )
    axes.contour(x, y, height, levels=bounds, colors="white", linewidths=0.5)
    axes.contour(x, y, height, levels=[1.0], colors="black", linewidths=1.1)
    return bands


def _counted(drawn: int, total: int, what: str) -> str:
    return f"{total:,} {what}" if drawn == total else f"{drawn:,} of {total:,} {what}"
