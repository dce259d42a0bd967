"""Eigenvalues in the complex plane."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Complex128
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from polyroots.plotting.printing import titled
from polyroots.plotting.room import fit_aspect, legend_below, with_opaque_symbols, wrapped
from polyroots.plotting.style import EIGENVALUE, REFERENCE, ROOT, canvas

# More points than this hide each other: their density is drawn instead.
_MANY = 20_000


def draw_spectrum(
    spectrum: ArrayLike,
    title: str = "",
    *,
    numerical_range: Complex128[np.ndarray, "n"] | None = None,
    range_label: str = "numerical range",
    remark: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Return a picture of eigenvalues in the complex plane: points, or their density where there are many.

    The extreme ones are marked. The unit circle is drawn unless all eigenvalues are below 1/2 in modulus, so that it
    would determine the scale.

    Parameters
    ----------
    spectrum : Spectrum, or (N,) array_like of complex
    title : str
    numerical_range : (n,) complex128, optional
        Points of the numerical range's boundary, in order.
    range_label : str
        Its name in the legend.
    remark : str
        A note below the real axis, such as that the values are a few extreme ones only.
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    draw_contours : with a residual polynomial
    draw_overview : the spectra of many layers

    Examples
    --------
    >>> figure = draw_spectrum(np.exp(2j * np.pi * np.arange(8) / 8), "a shift")
    >>> figure.axes[0].get_title()
    'a shift'
    """
    values = np.asarray(spectrum, dtype=complex)
    boundary = np.empty(0, dtype=complex) if numerical_range is None else numerical_range
    shown = np.concatenate([values, boundary])
    reach = float(np.abs(shown).max()) or 1.0
    rim = 1.0 if 0.5 <= reach <= 1 else 0.0
    low, high, top = frame(np.append(shown, [-rim, rim, 1j * rim]))

    is_dense = len(values) > _MANY
    width = 5.5 if is_dense else 4.6
    with canvas(ax, (width, width)) as (figure, axes):
        axes.axhline(0, color=REFERENCE, linewidth=0.4)
        axes.axvline(0, color=REFERENCE, linewidth=0.4)
        if is_dense:
            _draw_density(figure, axes, values, (low, high), top)
        else:
            _draw_points(axes, values)
        _mark_extremes(axes, values, reach)
        if len(boundary):
            closed = np.append(boundary, boundary[0])
            axes.plot(closed.real, closed.imag, "-", color=EIGENVALUE, linewidth=0.9, label=range_label)
        if reach >= 0.5:
            circle = np.exp(1j * np.linspace(0, 2 * np.pi, 361))
            axes.plot(circle.real, circle.imag, "--", color=ROOT, linewidth=1, zorder=3, label="unit circle")
        axes.set_xlim(low, high)
        axes.set_ylim(-top, top)
        axes.set_aspect("equal")
        axes.set_xlabel("Re $\\lambda$" + (f"\n{remark}" if remark else ""))
        axes.set_ylabel("Im $\\lambda$")
        if titled(title):
            axes.set_title(title if ax is not None else wrapped(title, 0.8 * width))
        add_legend(figure if ax is None else axes, 2)
        if ax is None:
            fit_aspect(figure, [[axes]])
    return figure


def _draw_points(axes: Axes, values: Complex[np.ndarray, "N"]) -> None:
    """Draw eigenvalues as points: translucent, so that the density of overlapping ones shows."""
    axes.plot(
        values.real,
        values.imag,
        ".",
        color=EIGENVALUE,
        alpha=float(np.clip(40 / np.sqrt(len(values)), 0.3, 0.9)),
        markersize=3,
        markeredgewidth=0,
        rasterized=True,
        label=f"{len(values):,} eigenvalues",
    )


def _mark_extremes(axes: Axes, values: Complex[np.ndarray, "N"], radius: float) -> None:
    """Mark the extreme real parts and the pair of largest imaginary part, if it is not real to rounding."""
    extremes = values[[values.real.argmin(), values.real.argmax()]]
    if values.imag.max() > 1e-9 * radius:
        extremes = np.append(extremes, values[values.imag.argmax()])
    extremes = np.concatenate([extremes, extremes.conj()])
    axes.plot(
        extremes.real,
        extremes.imag,
        "o",
        markerfacecolor="none",
        markeredgecolor=ROOT,
        markersize=7,
        label="extreme Re or Im",
    )


def add_legend(place: Figure | Axes, columns: int) -> None:
    """Add a legend below a figure, or within given axes, with opaque symbols also for translucent points."""
    if isinstance(place, Axes):
        with_opaque_symbols(place.legend(fontsize="small"))
    else:
        legend_below(place, most=columns)


def frame(shown: Complex[np.ndarray, "n"]) -> tuple[float, float, float]:
    """Return limits around some points and zero: (low, high) of the real axis, (-top, top) of the imaginary one."""
    margin = 0.07 * (float(np.abs(shown).max()) or 1.0)
    low, high = min(shown.real.min(), 0.0) - margin, max(shown.real.max(), 0.0) + margin
    # Widened for an imaginary spectrum, whose picture would be a column.
    wider = max(0.0, np.abs(shown.imag).max() - 0.5 * (high - low))
    low, high = low - wider, high + wider
    # At least a quarter of the width for a real spectrum, whose picture would be a line.
    return low, high, max(np.abs(shown.imag).max(), 0.25 * (high - low)) + margin


def _draw_density(
    figure: Figure, axes: Axes, values: Complex[np.ndarray, "N"], limits: tuple[float, float], top: float
) -> None:
    """Count eigenvalues in square cells, on a logarithmic scale."""
    cells = 90
    rows = max(2, round(cells * 2 * top / (limits[1] - limits[0])))
    counts, _, _ = np.histogram2d(values.imag, values.real, bins=(rows, cells), range=((-top, top), limits))
    image = axes.imshow(
        np.ma.masked_equal(counts, 0),
        origin="lower",
        extent=(*limits, -top, top),
        cmap="cividis_r",
        norm=LogNorm(1, max(2.0, counts.max())),
        interpolation="nearest",
        rasterized=True,
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
    bar.set_label(f"eigenvalues in a cell, of {len(values):,}")
