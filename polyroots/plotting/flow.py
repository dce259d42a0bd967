"""A spectrum, the roots and |q| over the epochs of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Complex, Complex128
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from scipy.optimize import linear_sum_assignment

from polyroots.errors import InputError
from polyroots.plotting.convex_hull import hull
from polyroots.plotting.plane import frame
from polyroots.plotting.printing import titled
from polyroots.plotting.room import fit_rows, heighten, legend_below, wrapped
from polyroots.plotting.style import COLOUR_MAP, COLOURS, EIGENVALUE, REFERENCE, ROOT, new_figure, style
from polyroots.polynomials import ResidualPolynomial

# Outlines of more epochs than this can't be distinguished.
_OUTLINES = 7
# Roots farther from 0 than this many spectral radii are not shown.
_FAR = 2.5
# Share of the plane, above and beside the curves.
_RATIOS: dict[bool, dict[str, Any]] = {True: {"height_ratios": (1.15, 1)}, False: {"width_ratios": (1.1, 1)}}
# Widths below this, in inches, have the two parts above each other.
_NARROW = 5.0
_SHARES = ((1.0, "largest {}", "-"), (0.9, "90 % of {} are below", "--"), (0.5, "median {}", ":"))
_APPLIED = COLOURS[2]


class SpectrumAtEpoch(NamedTuple):
    """A spectrum and its residual polynomial at the end of an epoch.

    Attributes
    ----------
    epoch : int
    values : Spectrum, or (N,) array_like of complex
        The spectrum of A.
    q : ResidualPolynomial or None
    applied : (float, float, float) or None
        Of the eigenvalues mu of what the level applies with its batch norms: the largest modulus, the one that 90 % are
        below, and the median. None where it is not known.
    """

    epoch: int
    values: Any
    q: ResidualPolynomial | None = None
    applied: tuple[float, float, float] | None = None

    @classmethod
    def of(cls, snapshot: Any, index: int = 0) -> SpectrumAtEpoch:
        """Return one A, by its index, of a `polyroots.training.Snapshot`."""
        operator = snapshot.operators[index]
        level = snapshot.level(operator.level)
        applied = None if level is None else (level.radius, level.high, level.median)
        return cls(snapshot.epoch, operator.values, operator.q, applied)


def draw_flow(
    spectra: Sequence[SpectrumAtEpoch] | Any,
    title: str = "",
    remark: str = "",
    width: float | None = None,
    *,
    fig: Figure | SubFigure | None = None,
    index: int = 0,
) -> Figure:
    """Return a picture of the spectra's outlines and the roots' paths in the plane, and of |q| over the epochs.

    Parameters
    ----------
    spectra : sequence of SpectrumAtEpoch or of Snapshot, or a loaded run with these
        At least two, in the order of their epochs. Without polynomials the extent of the spectrum is drawn instead of
        |q|.
    title : str
    remark : str
        A note on the polynomials below the title, such as that batch norm cancels the size of coefficients.
    width : float, optional
        In inches, for print.
    fig : matplotlib.figure.Figure or SubFigure, optional
        An empty figure to draw in, with constrained layout; by default a new one.
    index : int
        Of a run or of snapshots: which A, from 0, in the order of the levels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there are fewer than two spectra.
    """
    spectra = _read(spectra, index)
    with style(width):
        is_narrow = width is not None and width < _NARROW
        across = width or 9.2
        lines = f"{title}\n{remark}".strip()
        figure = new_figure(across, 1.6 * across if is_narrow else 0.45 * across, lines) if fig is None else fig
        if fig is not None and titled(lines):
            figure.suptitle(wrapped(lines, across))
        # Two parts, each with its legend below its axes and their names.
        grid = figure.add_gridspec(*((2, 1) if is_narrow else (1, 2)), **_RATIOS[is_narrow])
        parts = [figure.add_subfigure(grid[number]) for number in range(2)]
        plane, over_epochs = (part.subplots() for part in parts)
        colours = ScalarMappable(Normalize(spectra[0].epoch, spectra[-1].epoch), COLOUR_MAP.reversed())
        _draw_plane(plane, spectra, colours)
        # The bar is as high as the axes are drawn.
        bar = parts[0].colorbar(colours, cax=plane.inset_axes((1.03, 0, 0.05, 1)))
        bar.set_label("epoch")
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        if any(spectrum.q is not None for spectrum in spectra):
            _draw_damping(over_epochs, spectra)
        else:
            _draw_extent(over_epochs, spectra)
        over_epochs.set_xlabel("epoch")
        over_epochs.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        over_epochs.set_xlim(spectra[0].epoch, spectra[-1].epoch)
        over_epochs.spines[["top", "right"]].set_visible(False)
        for part, axes in zip(parts, (plane, over_epochs), strict=True):
            legend_below(part, *axes.get_legend_handles_labels(), most=2)
        if fig is None:
            assert isinstance(figure, Figure)
            _give_height(figure, grid, plane, over_epochs, across)
    root = plane.get_figure(root=True)
    assert root is not None
    return root


def _give_height(figure: Figure, grid: GridSpec, plane: Axes, over_epochs: Axes, across: float) -> None:
    """Make a picture so high that neither part is flat, and the name of the axis beside the curves fits them."""
    is_narrow = grid.nrows == 2
    least = (0.45 if is_narrow else 0.25) * across
    over_epochs.set_ylabel(wrapped(over_epochs.get_ylabel(), least, mpl.rcParams["axes.labelsize"]))
    if is_narrow:
        # The plane is as high as its scales need, but not much higher than the curves below it.
        (left, right), (low, high) = plane.get_xlim(), plane.get_ylim()
        natural = 0.75 * across * (high - low) / (right - left)
        plane.set_aspect("auto")
        fit_rows(figure, grid, [plane, over_epochs], [min(natural, 1.3 * least), least])
        plane.set_aspect("equal")
    else:
        heighten(figure, [plane], 0.2 * across)
        heighten(figure, [over_epochs], least)


def _read(spectra: Any, index: int) -> list[SpectrumAtEpoch]:
    """Return the spectra of a sequence or a run with their values as arrays."""
    moments = getattr(spectra, "snapshots", spectra)
    if len(moments) < 2:
        raise InputError(f"expected the spectra of at least two epochs, got {len(moments)}")
    known = [moment if isinstance(moment, SpectrumAtEpoch) else SpectrumAtEpoch.of(moment, index) for moment in moments]
    return [moment._replace(values=np.asarray(moment.values, dtype=complex)) for moment in known]


def _draw_plane(axes: Axes, spectra: Sequence[SpectrumAtEpoch], colours: ScalarMappable) -> None:
    reach = max(float(np.abs(spectrum.values).max()) for spectrum in spectra) or 1.0
    paths = root_paths([spectrum.q for spectrum in spectra])
    paths = np.where(np.abs(paths) <= _FAR * reach, paths, np.nan)
    shown = [spectrum.values for spectrum in spectra] + [paths[np.isfinite(paths)]]
    low, high, top = frame(np.concatenate(shown))
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.axvline(0, color=REFERENCE, linewidth=0.4)
    last = np.asarray(spectra[-1].values)
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
    for index in np.unique(np.linspace(0, len(spectra) - 1, _OUTLINES).round().astype(int)):
        outline = _outline(spectra[index].values)
        colour = colours.to_rgba(np.array(spectra[index].epoch))
        axes.plot(outline.real, outline.imag, "-", color=colour, linewidth=1.1)
    for path in paths.T:
        axes.plot(path.real, path.imag, "-", color=ROOT, linewidth=0.9, alpha=0.8)
    axes.plot(paths[-1].real, paths[-1].imag, "o", markerfacecolor=ROOT, markeredgecolor="white", markersize=6)
    # A ring, which also shows around the dot of a root that hasn't moved.
    axes.plot(paths[0].real, paths[0].imag, "o", markerfacecolor="none", markeredgecolor=ROOT, markersize=9)
    # Entries of the legend, in the order of reading.
    colour = colours.to_rgba(np.array((spectra[0].epoch + spectra[-1].epoch) / 2))
    axes.plot([], [], "-", color=colour, label="outlines by epoch")
    axes.plot([], [], ".", color=EIGENVALUE, label="eigenvalues in the end")
    if paths.shape[1]:
        axes.plot([], [], "o", markerfacecolor="none", markeredgecolor=ROOT, markersize=9, label="roots at first")
        axes.plot([], [], "o-", color=ROOT, markeredgecolor="white", label="roots in the end")
    far = int((~np.isfinite(paths[-1])).sum())
    axes.set_xlim(low, high)
    axes.set_ylim(-top, top)
    axes.set_aspect("equal")
    axes.set_xlabel("Re $\\lambda$" + (f"\n{far} of {paths.shape[1]} roots are in the end far outside" if far else ""))
    axes.set_ylabel("Im $\\lambda$")


def _outline(values: Complex[np.ndarray, "N"]) -> Complex[np.ndarray, "corners"]:
    """The convex hull, or the ends of eigenvalues on a line."""
    try:
        return hull(values)
    except InputError:
        order = np.lexsort((values.imag, values.real))
        return values[order[[0, -1]]]


def _draw_damping(axes: Axes, spectra: Sequence[SpectrumAtEpoch]) -> None:
    """Draw quantiles of |q| over the spectrum, and of |mu| beside them."""
    heights = [np.abs(spectrum.q(spectrum.values)) for spectrum in spectra if spectrum.q is not None]
    epochs = [spectrum.epoch for spectrum in spectra if spectrum.q is not None]
    for share, label, line in _SHARES:
        axes.plot(epochs, [np.quantile(h, share) for h in heights], line, color=EIGENVALUE, label=label.format("$|q|$"))
    axes.axhline(1, color=ROOT, linewidth=0.9, label="$|q| = 1$")
    applied = {spectrum.epoch: spectrum.applied for spectrum in spectra if spectrum.applied is not None}
    for (_, label, line), sizes in zip(_SHARES, np.array(list(applied.values())).T, strict=False):
        # A line of one value alone would be invisible.
        marker = "." if len(applied) == 1 else ""
        axes.plot(list(applied), sizes, line, marker=marker, color=_APPLIED, label=label.format("$|\\mu|$"))
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low < 500:
        # Over a few powers of ten, ticks at the powers alone are too sparse to read values.
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("$|q|$ of the roots, $|\\mu|$ applied" if applied else "$|q|$ on the spectrum")


def _draw_extent(axes: Axes, spectra: Sequence[SpectrumAtEpoch]) -> None:
    """Draw the spectral radius and the extreme real and imaginary parts."""
    epochs = [spectrum.epoch for spectrum in spectra]
    for label, line, measure in (
        ("spectral radius", "-", lambda v: np.abs(v).max()),
        ("largest Re", "--", lambda v: v.real.max()),
        ("smallest Re", "-.", lambda v: v.real.min()),
        ("largest Im", ":", lambda v: v.imag.max()),
    ):
        axes.plot(epochs, [measure(spectrum.values) for spectrum in spectra], line, color=EIGENVALUE, label=label)
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.set_ylabel("extent of the spectrum")


def root_paths(polynomials: Sequence[ResidualPolynomial | None]) -> Complex128[np.ndarray, "epochs roots"]:
    """Return the roots of each polynomial, NaN without one, ordered so that each column moves as little as possible."""
    counts = [len(q.roots) for q in polynomials if q is not None]
    paths = np.full((len(polynomials), max(counts, default=0)), complex(np.nan, np.nan))
    before: Complex128[np.ndarray, "roots"] | None = None
    for row, q in zip(paths, polynomials, strict=True):
        if q is None:
            continue
        roots = q.roots
        if before is None or len(before) != len(roots):
            row[: len(roots)] = roots
        else:
            # Between reciprocals: 1 - t / lambda changes little when a root far from 0 moves far.
            cost = np.abs(1 / before[:, None] - 1 / roots)
            row[: len(roots)] = roots[linear_sum_assignment(cost)[1]]
        before = row[: len(roots)].copy()
    return paths
