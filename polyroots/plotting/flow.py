"""How a spectrum, the roots and |q| moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Complex128
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from scipy.optimize import linear_sum_assignment

from polyroots.errors import InputError
from polyroots.plotting.plane import frame
from polyroots.plotting.style import COLOUR_MAP, EIGENVALUE, REFERENCE, ROOT, style, wrapped
from polyroots.plotting.surface import hull
from polyroots.polynomials import ResidualPolynomial

# Outlines of more epochs than these can't be told apart.
_OUTLINES = 7
# Roots farther out than so many spectral radii are not shown.
_FAR = 2.5
# Inches.
_NARROW = 5.0
_SHARES = ((1.0, "largest", "-"), (0.9, "90 % are below", "--"), (0.5, "median", ":"))


class Moment(NamedTuple):
    """A spectrum and its polynomial at the end of an epoch; q is None where there is none."""

    epoch: int
    values: Complex[np.ndarray, "N"]
    q: ResidualPolynomial | None


def draw_flow(moments: Sequence[Moment], title: str, remark: str = "", width: float | None = None) -> Figure:
    """Draw outlines of the spectra and the ways of the roots in the plane, and |q| on the spectrum over the epochs.

    Parameters
    ----------
    moments : two at least, in the order of their epochs
        Without polynomials the extent of the spectrum is drawn over the epochs instead of |q|.
    title : str
    remark : str
        What the reader must know of the polynomials, such as that batch norm cancels the size of coefficients.
    width : float, optional
        Inches, for print; the two parts stand above each other where it is small.

    Raises
    ------
    InputError
        If there are fewer than two moments.
    """
    if len(moments) < 2:
        raise InputError(f"two epochs at least show how a spectrum moved, got {len(moments)}")
    with style(width):
        is_narrow = width is not None and width < _NARROW
        across = width or 9.2
        figure = Figure(figsize=(across, 1.65 * across if is_narrow else 0.48 * across), layout="constrained")
        if is_narrow:
            plane, over_epochs = figure.subplots(2, 1, height_ratios=(1.25, 1))
        else:
            plane, over_epochs = figure.subplots(1, 2, width_ratios=(1.1, 1))
        colours = ScalarMappable(Normalize(moments[0].epoch, moments[-1].epoch), COLOUR_MAP.reversed())
        _draw_plane(plane, moments, colours)
        bar = figure.colorbar(colours, ax=plane, shrink=0.8, pad=0.02)
        bar.set_label("epoch")
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        if any(moment.q is not None for moment in moments):
            _draw_damping(over_epochs, moments)
        else:
            _draw_extent(over_epochs, moments)
        over_epochs.set_xlabel("epoch")
        over_epochs.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        over_epochs.set_xlim(moments[0].epoch, moments[-1].epoch)
        over_epochs.spines[["top", "right"]].set_visible(False)
        figure.suptitle(wrapped(f"{title}\n{remark}" if remark else title, across))
    return figure


def _draw_plane(axes: Axes, moments: Sequence[Moment], colours: ScalarMappable) -> None:
    reach = max(float(np.abs(moment.values).max()) for moment in moments) or 1.0
    ways = _ways([moment.q for moment in moments])
    ways = np.where(np.abs(ways) <= _FAR * reach, ways, np.nan)
    shown = [moment.values for moment in moments] + [ways[np.isfinite(ways)]]
    low, high, top = frame(np.concatenate(shown))
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.axvline(0, color=REFERENCE, linewidth=0.4)
    last = moments[-1].values
    every = max(1, -(-len(last) // 4000))
    axes.plot(
        last[::every].real,
        last[::every].imag,
        ".",
        color=EIGENVALUE,
        markersize=2,
        markeredgewidth=0,
        alpha=0.3,
        rasterized=True,
    )
    for index in np.unique(np.linspace(0, len(moments) - 1, _OUTLINES).round().astype(int)):
        outline = _outline(moments[index].values)
        colour = colours.to_rgba(np.array(moments[index].epoch))
        axes.plot(outline.real, outline.imag, "-", color=colour, linewidth=1.1)
    for way in ways.T:
        axes.plot(way.real, way.imag, "-", color=ROOT, linewidth=0.9, alpha=0.8)
    axes.plot(ways[-1].real, ways[-1].imag, "o", markerfacecolor=ROOT, markeredgecolor="white", markersize=6)
    # A ring, also around a root that hasn't moved.
    axes.plot(ways[0].real, ways[0].imag, "o", markerfacecolor="none", markeredgecolor=ROOT, markersize=9)
    # In the order of the reading, with what there is.
    colour = colours.to_rgba(np.array((moments[0].epoch + moments[-1].epoch) / 2))
    axes.plot([], [], "-", color=colour, label="outlines by epoch")
    axes.plot([], [], ".", color=EIGENVALUE, label="eigenvalues in the end")
    if ways.shape[1]:
        axes.plot([], [], "o", markerfacecolor="none", markeredgecolor=ROOT, markersize=9, label="roots at first")
        axes.plot([], [], "o-", color=ROOT, markeredgecolor="white", label="roots in the end")
    far = int((~np.isfinite(ways[-1])).sum())
    axes.set_xlim(low, high)
    axes.set_ylim(-top, top)
    axes.set_aspect("equal")
    axes.set_xlabel("Re $\\lambda$" + (f"\n{far} of {ways.shape[1]} roots are in the end far outside" if far else ""))
    axes.set_ylabel("Im $\\lambda$")
    _legend_below(axes, (0.2 if far else 0.14) * _spread(axes))


def _outline(values: Complex[np.ndarray, "N"]) -> Complex[np.ndarray, "corners"]:
    """Convex hull, or the ends of eigenvalues on a line."""
    try:
        return hull(values)
    except InputError:
        order = np.lexsort((values.imag, values.real))
        return values[order[[0, -1]]]


def _draw_damping(axes: Axes, moments: Sequence[Moment]) -> None:
    """Quantiles of |q| over the spectrum."""
    there = [moment for moment in moments if moment.q is not None]
    heights = [np.abs(moment.q(moment.values)) for moment in there if moment.q is not None]
    epochs = [moment.epoch for moment in there]
    for share, label, line in _SHARES:
        axes.plot(epochs, [np.quantile(h, share) for h in heights], line, color=EIGENVALUE, label=label)
    axes.axhline(1, color=ROOT, linewidth=0.9, label="$|q| = 1$")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low < 500:
        # A few powers of ten alone would say little.
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("$|q|$ on the spectrum")
    _legend_below(axes, 0.14 * _spread(axes))


def _draw_extent(axes: Axes, moments: Sequence[Moment]) -> None:
    """Spectral radius and extreme real and imaginary parts."""
    epochs = [moment.epoch for moment in moments]
    for label, line, measure in (
        ("spectral radius", "-", lambda v: np.abs(v).max()),
        ("largest Re", "--", lambda v: v.real.max()),
        ("smallest Re", "-.", lambda v: v.real.min()),
        ("largest Im", ":", lambda v: v.imag.max()),
    ):
        axes.plot(epochs, [measure(moment.values) for moment in moments], line, color=EIGENVALUE, label=label)
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.set_ylabel("extent of the spectrum")
    _legend_below(axes, 0.14 * _spread(axes))


def _spread(axes: Axes) -> float:
    """How much more room names below an axis take in a small picture."""
    figure = axes.get_figure(root=True)
    return 1.3 if figure is not None and figure.get_figwidth() < _NARROW else 1.0


def _legend_below(axes: Axes, distance: float) -> None:
    """Under the axes, where it hides nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -distance), ncols=2, columnspacing=1.2)


def _ways(polynomials: Sequence[ResidualPolynomial | None]) -> Complex128[np.ndarray, "epochs roots"]:
    """Roots of each polynomial, in an order in which they move as little as can be; NaN where there is none."""
    counts = [len(q.roots) for q in polynomials if q is not None]
    ways = np.full((len(polynomials), max(counts, default=0)), complex(np.nan, np.nan))
    before: Complex128[np.ndarray, "roots"] | None = None
    for row, q in zip(ways, polynomials, strict=True):
        if q is None:
            continue
        roots = q.roots
        if before is None or len(before) != len(roots):
            row[: len(roots)] = roots
        else:
            # By their reciprocals: a root far out may move far, and changes little.
            cost = np.abs(1 / before[:, None] - 1 / roots)
            row[: len(roots)] = roots[linear_sum_assignment(cost)[1]]
        before = row[: len(roots)].copy()
    return ways
