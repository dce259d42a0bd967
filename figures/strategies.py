"""All root strategies on one spectrum: |q| on its convex hull."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyroots.initialization import OperatorToDamp, rank
from polyroots.plotting import (
    EIGENVALUE,
    REFERENCE,
    ROOT,
    WIDTHS,
    bounds_between,
    draw_bands,
    extent,
    fill,
    hull,
    magnified,
    new_figure,
    style,
    wrapped,
)
from polyroots.polynomials import ResidualPolynomial
from polyroots.spectra import Convolution
from polyroots.text import count_of, floored
from polyroots_figures.operators import operators_of
from polyroots_figures.request import Computed, Request

_POINTS = 1200


def compute(request: Request) -> list[Computed]:
    """Choose roots by every strategy from the spectrum of each A of the network's level.

    Without a network A = I + N is freshly drawn: for the spectrum of a default A, a disc around 0, several strategies
    have no roots.
    """
    computed = []
    for operator in operators_of(request, init="shifted"):
        convolution = Convolution.of(operator.weight, operator.size, name=operator.name)
        to_damp = OperatorToDamp(request.level, operator.name, convolution)
        assert to_damp.spectrum is not None
        rows = rank([to_damp], request.degree, seed=request.seed)
        best = max((row.diagnoses[0].best_bound or 0.0 for row in rows if not row.error), default=0.0)
        data = {
            "title": f"{count_of(request.degree + 1, 'root')} from the spectrum of {operator.source}",
            "shape": operator.shape,
            "values": to_damp.spectrum.values,
            "best": best,
            "rows": [
                {"strategy": row.strategy, "error": row.error}
                | ({} if row.error else {"roots": row.roots[0], "max_abs": row.max_abs})
                for row in rows
            ],
        }
        words = [f"'{row.strategy}': {row.error or f'max|q| = {row.max_abs:.4g}'}." for row in rows]
        computed.append(Computed(f"strategies{operator.suffix}", data, words))
    return computed


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw a panel for each strategy, the best first, and a ranking of all below them.

    In one column, where a ranking would say what the names of the panels say, a line below them has the proven bound,
    and the strategies without roots.

    Raises
    ------
    InputError
        If the eigenvalues lie on a line, so that their hull has no area.
    """
    rows, values = data["rows"], data["values"]
    boundary = hull(values)
    is_small = width <= WIDTHS["one"]
    # Bands from a tenth of the best maximum to the worst one, or to 200 times the best one.
    largest = [row["max_abs"] for row in rows if not row["error"]]
    best = min(largest, default=1.0)
    bounds = bounds_between(best / 10, min(max(largest, default=1.0), 200 * best))
    columns = 3 if is_small else 5
    shown = [row for row in rows if not (is_small and row["error"])] or rows
    lines = -(-len(shown) // columns)
    # The cells that are left in the last line hold the colour bar.
    has_cells_left = bool(len(shown) % columns)
    with style(width):
        # The longest name is as wide as a panel.
        size = 0.833 * mpl.rcParams["font.size"] if is_small else mpl.rcParams["font.size"]
        longest = max((extent(_title(row), size)[0] for row in shown), default=1.0)
        size *= min(1.0, 0.93 * width / columns / longest)
        panels = lines * (width / columns + 0.3 * magnified()) + 0.1
        remark = wrapped(_remark(rows, shown, data["best"]), width, "medium") if is_small else ""
        bar = 0.0 if has_cells_left else 0.4
        ranking = extent(remark, "medium")[1] + bar if is_small else magnified() * (0.12 * len(rows) + 0.7)
        figure = new_figure(width, panels + ranking, f"{data['title']}, {data['shape']}")
        # Any: matplotlib types the result as a union.
        parts: Any = [figure] if is_small else figure.subfigures(2, 1, height_ratios=(panels, ranking))
        above = parts[0]
        if remark:
            figure.supxlabel(remark, fontsize="medium")
        axes_of = above.subplots(lines, columns, squeeze=False).ravel()
        bands = None
        for axes, row in zip(axes_of, shown, strict=False):
            bands = _draw_panel(axes, row, values, boundary, bounds) or bands
            axes.set_title(_title(row), fontsize=size)
        for axes in axes_of[len(shown) :]:
            axes.axis("off")
        if bands is not None:
            _add_bar(above, axes_of, len(shown), bands, bounds)
        if not is_small:
            _draw_ranking(parts[1].subplots(), rows, data["best"], width)
    return {"": figure}


def _remark(rows: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]], best: float) -> str:
    """Return a line on the proven bound, and on the strategies that are not shown."""
    parts = [f"None of this degree gets max$|q|$ below {floored(best)} (proven)."] if best else []
    left_out = [row["strategy"] for row in rows if row["error"] and len(shown) < len(rows)]
    return " ".join([*parts, *([f"No roots here: {', '.join(left_out)}."] if left_out else [])])


def _add_bar(part: Any, axes_of: Any, panels: int, bands: Any, bounds: Sequence[float]) -> None:
    """Add the colour bar in the cells behind the last panel, or below all panels."""
    free = axes_of[panels:]
    if len(free):
        # Over the whole width of the free cells.
        inset = free[0].inset_axes((0.1, 0.45, 1.15 * len(free) - 0.35, 0.1))
        inset.set_in_layout(False)
        place = {"cax": inset}
    else:
        place = {"ax": axes_of.tolist(), "location": "bottom", "shrink": 0.6, "aspect": 40, "pad": 0.03}
    # Names of every other bound, which would overlap in the narrow bar.
    every = (1 + (len(bounds) > 6)) * (1 + (magnified() > 1.3))
    bar = part.colorbar(bands, **place, orientation="horizontal", ticks=bounds[::every], format="%g")
    bar.set_label("$|q|$")


def _title(row: Mapping[str, Any]) -> str:
    if row["error"]:
        return f"{row['strategy']}\n"
    largest = f"{row['max_abs']:.3g}" if row["max_abs"] < 1e3 else f"{row['max_abs']:.1e}".replace("e+0", "e")
    return f"{row['strategy']}\nmax$|q|$ = {largest}"


def _draw_panel(axes: Axes, row: Mapping[str, Any], values: Any, boundary: Any, bounds: Sequence[float]) -> Any:
    margin = 0.06 * float(np.abs(boundary - boundary.mean()).max())
    axes.set_aspect("equal")
    axes.set_xlim(boundary.real.min() - margin, boundary.real.max() + margin)
    axes.set_ylim(boundary.imag.min() - margin, boundary.imag.max() + margin)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.plot(boundary.real, boundary.imag, "-", color=REFERENCE, linewidth=0.6)
    if row["error"]:
        axes.text(boundary.real.mean(), 0, "no roots here", ha="center", va="center", fontsize="small", color=REFERENCE)
        return None
    q = ResidualPolynomial(row["roots"])
    grid = fill(boundary)
    bands = draw_bands(axes, grid.real, grid.imag, np.abs(q(grid)), bounds)
    points = values[:: -(-len(values) // _POINTS)]
    axes.plot(
        points.real, points.imag, ".", color=EIGENVALUE, markersize=1.2, markeredgewidth=0, alpha=0.5, rasterized=True
    )
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    roots = q.roots
    near = roots[(left <= roots.real) & (roots.real <= right) & (low <= roots.imag) & (roots.imag <= high)]
    if len(near) < len(roots):
        axes.set_xlabel(f"{count_of(len(roots) - len(near), 'root')} outside", fontsize="small")
    if len(near):  # without clipping, an empty line has infinite extent for matplotlib's layout
        marker: dict[str, Any] = {"markerfacecolor": ROOT, "markeredgecolor": "white", "markersize": 4.5}
        axes.plot(near.real, near.imag, "o", **marker, clip_on=False, zorder=4)
    return bands


def _draw_ranking(axes: Axes, rows: Sequence[Mapping[str, Any]], best: float, width: float) -> None:
    """Draw the largest |q| of each strategy, and the proven lower bound for polynomials of this degree."""
    found = [row for row in rows if not row["error"]]
    axes.plot([row["max_abs"] for row in found], range(len(found)), "o", color=EIGENVALUE, markersize=4)
    axes.axvline(1, color=ROOT, linewidth=0.8, label="$|q| = 1$")
    if best:
        axes.axvline(best, color="black", linewidth=0.8, linestyle="--", label="none gets below (proven)")
    axes.set_xscale("log")
    axes.set_yticks(range(len(found)), [row["strategy"] for row in found])
    axes.set_ylim(max(len(found), 1) - 0.5, -0.5)
    axes.grid(axis="y", color=REFERENCE, alpha=0.15, linewidth=0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(wrapped("max$|q|$ over the spectrum", 0.5 * width, "medium"))
    names = [line.get_label() for line in axes.lines if not str(line.get_label()).startswith("_")]
    is_wide = extent("".join(map(str, names)), "small")[0] + 0.9 < width - extent("numerical-range", "small")[0]
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2 if is_wide else 1)
