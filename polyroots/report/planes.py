"""The plots of a report for each A: the plane and the surface of |q|."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from contourpy import contour_generator
from jaxtyping import Complex128, Float64

from polyroots.errors import InputError
from polyroots.plotting import COLOUR_MAP, EIGENVALUE, FAR_BELOW, REFERENCE, ROOT, START, fill, frame, hull
from polyroots.polynomials import ResidualPolynomial
from polyroots.report.facts import AFTER, BEFORE, LevelFacts
from polyroots.report.look import BEYOND, LAYOUT, size_of

# Up to so many A each has its plots in full; more share what there is, so that a page stays small.
_IN_FULL = 6
_POINTS, _CELLS, _RINGS, _RAYS = 2_000, 61, 36, 97
# Roots farther out than so many spectral radii are not in the frame.
_FAR = 1.6
_COLOURS = {BEFORE: START, AFTER: EIGENVALUE}
_SCALE = [[share, mpl.colors.to_hex(COLOUR_MAP(share))] for share in np.linspace(0, 1, 11).tolist()]
_PALE = [
    [share, mpl.colors.to_hex(tuple(0.45 + 0.55 * part for part in COLOUR_MAP(share)[:3]))]
    for share in np.linspace(0, 1, 11).tolist()
]
# Powers of ten of |q|: where bands begin, and where they end at most.
_LOWEST, _HIGHEST = -2, 12
_NUMBER = "Re %{x:.5g}<br>Im %{y:.5g}"


def draw_plane(level: LevelFacts, operators: int) -> go.Figure:
    """Eigenvalues and roots of an A in the plane before and after training, over bands of |q|.

    Traces have the moment that they belong to as ``meta``, and so have the ranges of the axes; the page shows those of
    one moment at a time.

    Parameters
    ----------
    level : LevelFacts
    operators : number of A in the report, which share its points
    """
    figure = go.Figure()
    ranges = {}
    for when, moment in level.moments.items():
        values, q = moment.operator.values, moment.operator.q
        visible = when == level.last
        points = thinned(values, operators)
        shown = values if q is None else np.concatenate([values, _near(q.roots, values)])
        low, high, top = frame(shown)
        ranges[when] = {"xaxis.range": [low, high], "yaxis.range": [-top, top]}
        if q is not None:
            _add_bands(figure, q, values, (low, high, top), when, visible, operators)
        size = None if q is None else size_of(q, points)
        figure.add_scatter(
            x=points.real,
            y=points.imag,
            customdata=size,
            mode="markers",
            marker={"color": _COLOURS[when], "size": 4, "opacity": 0.75},
            name=_counted(points, values),
            hovertemplate=_NUMBER + ("" if size is None else "<br>|q| %{customdata:.4g}") + "<extra>eigenvalue</extra>",
            visible=visible,
            meta=when,
        )
        if q is not None:
            roots = _near(q.roots, values)
            far = len(q.roots) - len(roots)
            figure.add_scatter(
                x=roots.real,
                y=roots.imag,
                mode="markers",
                marker={"color": ROOT, "size": 11, "line": {"color": "white", "width": 1.5}},
                name="roots" + (f" ({far} far outside)" if far else ""),
                hovertemplate=_NUMBER + "<br>q = 0<extra>root</extra>",
                visible=visible,
                meta=when,
            )
    (left, right), (bottom, top) = ranges[level.last].values()
    # A flat spectrum needs less height.
    height = int(np.clip(200 + 360 * (top - bottom) / (right - left), 320, 560))
    figure.update_layout(**LAYOUT, height=height, hovermode="closest", meta=ranges)
    shown_first = ranges[level.last]
    # Beside its colour bar.
    square = {"zerolinecolor": REFERENCE, "constrain": "domain"}
    figure.update_xaxes(title_text="Re λ", range=shown_first["xaxis.range"], constraintoward="right", **square)
    figure.update_yaxes(title_text="Im λ", range=shown_first["yaxis.range"], scaleanchor="x", **square)
    return figure


def draw_surface(level: LevelFacts, operators: int) -> go.Figure | None:
    """The surface of |q| before and after training, as `draw_plane`; None if no moment has one."""
    figure = go.Figure()
    for when, moment in level.moments.items():
        q = moment.operator.q
        if q is None:
            continue
        try:
            boundary = hull(moment.operator.values)
        except InputError:
            continue
        _add_surface(figure, q, moment.operator.values, boundary, when, when == level.last, operators)
    if not figure.data:
        return None
    axis = {"backgroundcolor": "#f7f7f7", "showbackground": True, "gridcolor": "#cccccc"}
    figure.update_layout(
        **LAYOUT,
        height=520,
        scene={
            "xaxis": axis | {"title": {"text": "Re λ"}},
            "yaxis": axis | {"title": {"text": "Im λ"}},
            "zaxis": axis | {"title": {"text": "|q|"}, "rangemode": "tozero"},
            "aspectmode": "manual",
            "aspectratio": {"x": 1, "y": 1, "z": 0.8},
            "camera": {"eye": {"x": 1.1, "y": -1.7, "z": 1.0}},
        },
    )
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, legend={"y": 0}, dragmode="turntable")
    return figure


def _share(operators: int) -> float:
    """Resolution of a plot, per direction, where so many A share the page."""
    return min(1.0, (_IN_FULL / operators) ** 0.5)


def thinned(values: Complex128[np.ndarray, "N"], operators: int) -> Complex128[np.ndarray, "n"]:
    """An even subset of many eigenvalues, with the extreme ones."""
    most = int(_POINTS * _share(operators) ** 2)
    if len(values) <= most:
        return values
    upper = values.imag.argmax()
    extremes = [values.real.argmin(), values.real.argmax(), upper, values.imag.argmin(), np.abs(values).argmax()]
    return values[np.union1d(np.linspace(0, len(values) - 1, most).astype(int), extremes)]


def _near(roots: Complex128[np.ndarray, "d"], values: Complex128[np.ndarray, "N"]) -> Complex128[np.ndarray, "n"]:
    return roots[np.abs(roots) <= _FAR * (float(np.abs(values).max()) or 1.0)]


def _counted(points: Complex128[np.ndarray, "n"], values: Complex128[np.ndarray, "N"]) -> str:
    return (
        f"{len(points):,} of {len(values):,} eigenvalues"
        if len(points) < len(values)
        else f"{len(values):,} eigenvalues"
    )


def _add_bands(
    figure: go.Figure,
    q: ResidualPolynomial,
    values: Complex128[np.ndarray, "N"],
    limits: tuple[float, float, float],
    when: str,
    visible: bool,
    operators: int,
) -> None:
    """Bands of log10 |q| up to what it is on the spectrum, and the line |q| = 1."""
    low, high, top = limits
    largest = float(size_of(q, values).max())
    highest = int(np.ceil(np.log10(min(max(largest, 10.0), 10.0**_HIGHEST))))
    cells = int(_CELLS * _share(operators))
    x, y = np.linspace(low, high, cells), np.linspace(-top, top, cells)
    with np.errstate(divide="ignore"):
        exponents = np.log10(size_of(q, x + 1j * y[:, None]))
    z = np.clip(exponents, _LOWEST - 0.5, highest + 0.5).astype(np.float32)
    common = {"visible": visible, "meta": when, "hoverinfo": "skip"}
    ticks = list(range(_LOWEST, highest + 1, 1 + (highest - _LOWEST) // 7))
    figure.add_contour(
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        z=z,
        colorscale=_PALE,
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
        **common,
    )
    # One line of several parts, with gaps between them.
    # Any: contourpy types them by the kind of lines that is asked for.
    parts: Any = contour_generator(x, y, z).lines(0.0)
    line = np.concatenate([np.vstack([part, [np.nan, np.nan]]) for part in parts] or [np.empty((0, 2))])
    figure.add_scatter(
        x=line[:, 0].astype(np.float32),
        y=line[:, 1].astype(np.float32),
        mode="lines",
        line={"width": 2, "color": "black"},
        name="|q| = 1",
        **common,
    )


def _add_surface(
    figure: go.Figure,
    q: ResidualPolynomial,
    values: Complex128[np.ndarray, "N"],
    boundary: Complex128[np.ndarray, "M"],
    when: str,
    visible: bool,
    operators: int,
) -> None:
    share = _share(operators)
    grid = fill(boundary, int(_RINGS * share), int(_RAYS * share))
    height = size_of(q, grid)
    top = float(height.max())
    if not top < BEYOND:
        return
    points = thinned(values, operators)
    common = {"visible": visible, "meta": when}
    figure.add_surface(
        x=grid.real.astype(np.float32),
        y=grid.imag.astype(np.float32),
        z=height.astype(np.float32),
        colorscale=_SCALE,
        cmin=0,
        cmax=top,
        colorbar={"title": {"text": "|q|"}, "thickness": 12, "len": 0.6},
        # Contours on the floor.
        contours={
            "z": {"show": True, "start": 0, "end": top, "size": top / 12 or 1.0, "project": {"z": True}, "width": 1}
        },
        hoverinfo="skip",
        name="|q|",
        **common,
    )
    if top >= FAR_BELOW:
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
            **common,
        )
    figure.add_scatter3d(
        x=points.real.astype(np.float32),
        y=points.imag.astype(np.float32),
        z=size_of(q, points).astype(np.float32),
        mode="markers",
        marker={"size": 1.8, "color": _COLOURS[when]},
        name=_counted(points, values),
        hovertemplate=_NUMBER + "<br>|q| %{z:.4g}<extra>eigenvalue</extra>",
        **common,
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
        **common,
    )


def _ends(numbers: Float64[np.ndarray, "M"]) -> tuple[float, float]:
    return float(numbers.min()), float(numbers.max())
