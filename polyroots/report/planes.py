"""Interactive plots of one A: the complex plane, and the surface of |q|."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from contourpy import contour_generator
from jaxtyping import Complex128, Float64

from polyroots.errors import InputError
from polyroots.plotting import (
    EIGENVALUE,
    FAR_BELOW,
    REFERENCE,
    ROOT,
    exponent_colours,
    fill,
    frame,
    hull,
    magnitude_colours,
    sampled,
)
from polyroots.polynomials import ResidualPolynomial, magnitude
from polyroots.report.layout import HIGHEST_SURFACE, LAYOUT
from polyroots.report.summary import OperatorSummary

# Plots of up to this many A have the full resolution; with more, it falls so that the size of the page stays bounded.
_IN_FULL = 6
_POINTS, _CELLS, _RINGS, _RAYS = 2_000, 61, 36, 97
# Roots farther from 0 than this many spectral radii are not in the frame.
_FAR = 1.6
# Powers of ten of |q|: the lowest band, and the highest possible one.
_LOWEST, _HIGHEST = -2, 12
_NUMBER = "Re %{x:.5g}<br>Im %{y:.5g}"


def interactive_plane(operator: OperatorSummary, operators: int) -> go.Figure:
    """Return a plot of the eigenvalues and roots of an A in the plane before and after training, over bands of |q|.

    The ``meta`` of a trace is the moment that it belongs to, and that of the layout has the ranges of the axes by
    moment. The page shows the traces of one moment at a time.

    Parameters
    ----------
    operator : OperatorSummary
    operators : int
        Number of A in the report, between which the points of all plots are divided.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    ranges = {}
    for when, state in operator.states.items():
        values, q = state.operator.values, state.operator.q
        trace = {"visible": when == operator.last, "meta": when}
        shown = values if q is None else np.concatenate([values, _near(q.roots, values)])
        low, high, top = frame(shown)
        ranges[when] = {"xaxis.range": [low, high], "yaxis.range": [-top, top]}
        if q is not None:
            _add_bands(figure, q, values, (low, high, top), operators, trace)
        _add_points(figure, q, values, operators, trace)
    (left, right), (bottom, top) = ranges[operator.last].values()
    # A flat spectrum needs less height.
    height = int(np.clip(200 + 360 * (top - bottom) / (right - left), 320, 560))
    figure.update_layout(**LAYOUT, height=height, hovermode="closest", meta=ranges)
    shown_first = ranges[operator.last]
    # The axes end at the colour bar.
    square = {"zerolinecolor": REFERENCE, "constrain": "domain"}
    figure.update_xaxes(title_text="Re λ", range=shown_first["xaxis.range"], constraintoward="right", **square)
    figure.update_yaxes(title_text="Im λ", range=shown_first["yaxis.range"], scaleanchor="x", **square)
    return figure


def interactive_surface(operator: OperatorSummary, operators: int) -> go.Figure | None:
    """Return a plot of the surface of |q| before and after training, as `interactive_plane` does.

    None if there is no surface at any moment: without polynomials, and over eigenvalues on a line.
    """
    figure = go.Figure()
    for when, state in operator.states.items():
        values, q = state.operator.values, state.operator.q
        if q is None:
            continue
        try:
            boundary = hull(values)
        except InputError:
            continue
        _add_surface(figure, q, values, boundary, operators, {"visible": when == operator.last, "meta": when})
    if not figure.data:
        return None
    axis = {"backgroundcolor": "#f7f7f7", "showbackground": True, "gridcolor": "#cccccc"}
    figure.update_layout(
        **LAYOUT,
        height=460,
        scene={
            "xaxis": axis | {"title": {"text": "Re λ"}},
            "yaxis": axis | {"title": {"text": "Im λ"}},
            "zaxis": axis | {"title": {"text": "|q|"}, "rangemode": "tozero"},
            "aspectmode": "manual",
            "aspectratio": {"x": 1, "y": 1, "z": 0.8},
            "camera": {"eye": {"x": 1.1, "y": -1.7, "z": 1.0}},
        },
    )
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 32}, dragmode="turntable")
    return figure


def _resolution(operators: int) -> float:
    """Resolution per direction, relative to the full one, of each plot on a page with a number of A."""
    return min(1.0, (_IN_FULL / operators) ** 0.5)


def thinned(values: Complex128[np.ndarray, "N"], operators: int) -> Complex128[np.ndarray, "n"]:
    """Return an even subset of the eigenvalues that contains the extreme ones."""
    most = int(_POINTS * _resolution(operators) ** 2)
    if len(values) <= most:
        return values
    upper = values.imag.argmax()
    extremes = [values.real.argmin(), values.real.argmax(), upper, values.imag.argmin(), np.abs(values).argmax()]
    return values[np.union1d(np.linspace(0, len(values) - 1, most).astype(int), extremes)]


def _near(roots: Complex128[np.ndarray, "d"], values: Complex128[np.ndarray, "N"]) -> Complex128[np.ndarray, "n"]:
    """The roots that lie in the frame."""
    return roots[np.abs(roots) <= _FAR * (float(np.abs(values).max()) or 1.0)]


def _counted(points: Complex128[np.ndarray, "n"], values: Complex128[np.ndarray, "N"]) -> str:
    """Legend of the eigenvalues that are drawn, of all."""
    return (
        f"{len(points):,} of {len(values):,} eigenvalues"
        if len(points) < len(values)
        else f"{len(values):,} eigenvalues"
    )


def _add_points(
    figure: go.Figure,
    q: ResidualPolynomial | None,
    values: Complex128[np.ndarray, "N"],
    operators: int,
    trace: Mapping[str, Any],
) -> None:
    """Add eigenvalues and roots to a plane."""
    points = thinned(values, operators)
    size = None if q is None else magnitude(q, points)
    figure.add_scatter(
        x=points.real,
        y=points.imag,
        customdata=size,
        mode="markers",
        marker={"color": EIGENVALUE, "size": 4, "opacity": 0.75},
        name=_counted(points, values),
        hovertemplate=_NUMBER + ("" if size is None else "<br>|q| %{customdata:.4g}") + "<extra>eigenvalue</extra>",
        **trace,
    )
    if q is None:
        return
    roots = _near(q.roots, values)
    far = len(q.roots) - len(roots)
    figure.add_scatter(
        x=roots.real,
        y=roots.imag,
        mode="markers",
        marker={"color": ROOT, "size": 11, "line": {"color": "white", "width": 1.5}},
        name="roots" + (f" ({far} far outside)" if far else ""),
        hovertemplate=_NUMBER + "<br>q = 0<extra>root</extra>",
        **trace,
    )


def _add_bands(
    figure: go.Figure,
    q: ResidualPolynomial,
    values: Complex128[np.ndarray, "N"],
    limits: tuple[float, float, float],
    operators: int,
    trace: Mapping[str, Any],
) -> None:
    """Add bands of log10 |q|, up to its maximum on the spectrum, and the line |q| = 1."""
    low, high, top = limits
    largest = float(magnitude(q, values).max())
    highest = int(np.ceil(np.log10(min(max(largest, 10.0), 10.0**_HIGHEST))))
    cells = int(_CELLS * _resolution(operators))
    x, y = np.linspace(low, high, cells), np.linspace(-top, top, cells)
    with np.errstate(divide="ignore"):
        exponents = np.log10(magnitude(q, x + 1j * y[:, None]))
    z = np.clip(exponents, _LOWEST - 0.5, highest + 0.5).astype(np.float32)
    ticks = list(range(_LOWEST, highest + 1, 1 + (highest - _LOWEST) // 7))
    figure.add_contour(
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        z=z,
        colorscale=exponent_colours(_LOWEST, highest),
        zmin=_LOWEST,
        zmax=highest,
        contours={"start": _LOWEST, "end": highest, "size": 0.25},
        line={"width": 0.4, "color": "white"},
        colorbar={
            "title": {"text": "|q|"},
            "tickvals": ticks,
            "ticktext": [f"{10.0**tick:g}" for tick in ticks],
            "thickness": 12,
            "len": 0.8,
        },
        showlegend=False,
        hoverinfo="skip",
        **trace,
    )
    # A trace is one line: its parts are separated by NaN. Any: contourpy types lines by the kind that is asked for.
    parts: Any = contour_generator(x, y, z).lines(0.0)
    line = np.concatenate([np.vstack([part, [np.nan, np.nan]]) for part in parts] or [np.empty((0, 2))])
    figure.add_scatter(
        x=line[:, 0].astype(np.float32),
        y=line[:, 1].astype(np.float32),
        mode="lines",
        line={"width": 2, "color": "black"},
        name="|q| = 1",
        hoverinfo="skip",
        **trace,
    )


def _add_surface(
    figure: go.Figure,
    q: ResidualPolynomial,
    values: Complex128[np.ndarray, "N"],
    boundary: Complex128[np.ndarray, "M"],
    operators: int,
    trace: Mapping[str, Any],
) -> None:
    """Add the surface of |q| over a hull, the plane |q| = 1, eigenvalues and roots, unless |q| is too large to draw."""
    resolution = _resolution(operators)
    grid = fill(boundary, int(_RINGS * resolution), int(_RAYS * resolution))
    height = magnitude(q, grid)
    top = float(height.max())
    if not top < HIGHEST_SURFACE:
        return
    colours = magnitude_colours(top, is_far_below=top < FAR_BELOW)
    figure.add_surface(
        x=grid.real.astype(np.float32),
        y=grid.imag.astype(np.float32),
        z=height.astype(np.float32),
        colorscale=sampled(colours),
        cmin=0,
        cmax=colours.get_clim()[1],
        colorbar={"title": {"text": "|q|"}, "thickness": 12, "len": 0.6},
        # Contours on the floor.
        contours={
            "z": {"show": True, "start": 0, "end": top, "size": top / 12 or 1.0, "project": {"z": True}, "width": 1}
        },
        hoverinfo="skip",
        name="|q|",
        **trace,
    )
    if top >= FAR_BELOW:
        _add_plane_at_one(figure, boundary, trace)
    points = thinned(values, operators)
    figure.add_scatter3d(
        x=points.real.astype(np.float32),
        y=points.imag.astype(np.float32),
        z=magnitude(q, points).astype(np.float32),
        mode="markers",
        marker={"size": 1.8, "color": EIGENVALUE},
        name=_counted(points, values),
        hovertemplate=_NUMBER + "<br>|q| %{z:.4g}<extra>eigenvalue</extra>",
        **trace,
    )
    roots = _near(q.roots, values)
    figure.add_scatter3d(
        x=roots.real,
        y=roots.imag,
        z=np.zeros(len(roots)),
        mode="markers",
        marker={"size": 6, "color": ROOT, "line": {"color": "white", "width": 1}},
        name="roots",
        hovertemplate=_NUMBER + "<br>q = 0<extra>root</extra>",
        **trace,
    )


def _add_plane_at_one(figure: go.Figure, boundary: Complex128[np.ndarray, "M"], trace: Mapping[str, Any]) -> None:
    """Add the translucent plane |q| = 1 over the extent of a hull."""
    (left, right), (low, high) = _ends(boundary.real), _ends(boundary.imag)
    figure.add_surface(
        x=np.array([left, right], dtype=np.float32),
        y=np.array([low, high], dtype=np.float32),
        z=np.ones((2, 2), dtype=np.float32),
        colorscale=[[0, REFERENCE], [1, REFERENCE]],
        opacity=0.3,
        showscale=False,
        hoverinfo="skip",
        name="|q| = 1",
        showlegend=True,
        **trace,
    )


def _ends(numbers: Float64[np.ndarray, "M"]) -> tuple[float, float]:
    return float(numbers.min()), float(numbers.max())
