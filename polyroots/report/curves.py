"""Interactive plots over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float64
from plotly.subplots import make_subplots

from polyroots.plotting import COLOURS, EIGENVALUE, REFERENCE, ROOT
from polyroots.polynomials import magnitude
from polyroots.report.layout import LAYOUT
from polyroots.training import Snapshot, TrackedLevel

# Up to this many epochs have a tick each.
_FEW = 8


def interactive_curves(metrics: Mapping[str, Float64[np.ndarray, "epochs"]]) -> go.Figure:
    """Return a plot of losses, accuracies and learning rate over the epochs."""
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.4, 0.4, 0.2])
    epochs = metrics["epoch"]
    for part, name, colour in (
        ("train", "training", COLOURS[1]),
        ("val", "validation", COLOURS[2]),
        ("test", "test", COLOURS[0]),
    ):
        for row, what, factor in ((1, "loss", 1), (2, "accuracy", 100)):
            values = factor * metrics[f"{part}_{what}"]
            if np.isfinite(values).any():
                unit = " %" if what == "accuracy" else ""
                figure.add_scatter(
                    x=epochs,
                    y=values,
                    name=name,
                    legendgroup=part,
                    showlegend=row == 1,
                    # A line of one value alone would be invisible.
                    mode="lines+markers" if len(epochs) <= 40 else "lines",
                    connectgaps=False,
                    line={"color": colour, "width": 2},
                    hovertemplate=f"{name} {what} %{{y:.4g}}{unit}<extra></extra>",
                    row=row,
                    col=1,
                )
    figure.add_scatter(
        x=epochs,
        y=metrics["lr"],
        name="learning rate",
        showlegend=False,
        line={"color": REFERENCE, "width": 2},
        hovertemplate="learning rate %{y:.3g}<extra></extra>",
        row=3,
        col=1,
    )
    figure.update_layout(**LAYOUT, height=560, hovermode="x unified")
    figure.update_layout(margin={"b": 72})
    losses = np.concatenate([metrics[f"{part}_loss"] for part in ("train", "val", "test")])
    figure.update_yaxes(title_text="loss", **_axis(losses), row=1, col=1)
    figure.update_yaxes(title_text="accuracy in %", row=2, col=1)
    figure.update_yaxes(title_text="rate", row=3, col=1)
    figure.update_xaxes(title_text="epoch", row=3, col=1)
    _mark_epochs(figure, epochs)
    return figure


def interactive_flow(snapshots: Sequence[Snapshot], index: int) -> go.Figure:
    """Return a plot of the extent of the spectrum of one A, and of |q| on it and what is applied, over the epochs."""
    operators = [snapshot.operators[index] for snapshot in snapshots]
    epochs = [snapshot.epoch for snapshot in snapshots]
    polynomials = [operator.q for operator in operators]
    has_q = any(q is not None for q in polynomials)
    figure = make_subplots(rows=1 + has_q, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    for name, colour, dash, extent in (
        ("radius", EIGENVALUE, "solid", [operator.radius for operator in operators]),
        ("largest Re", COLOURS[1], "solid", [float(operator.values.real.max()) for operator in operators]),
        ("smallest Re", COLOURS[1], "dash", [float(operator.values.real.min()) for operator in operators]),
        ("largest Im", COLOURS[2], "dot", [float(operator.values.imag.max()) for operator in operators]),
    ):
        _add_line(figure, epochs, extent, name, row=1, color=colour, dash=dash)
    if has_q:
        sizes = [
            np.full(1, np.nan) if q is None else magnitude(q, operator.values)
            for q, operator in zip(polynomials, operators, strict=True)
        ]
        for name, share, dash in (
            ("largest |q|", 1.0, "solid"),
            ("90 % are below", 0.9, "dash"),
            ("median", 0.5, "dot"),
        ):
            shares = [float(np.quantile(size, share)) for size in sizes]
            _add_line(figure, epochs, shares, name, row=2, color=ROOT, dash=dash)
        applied = [snapshot.level(operator.level) for snapshot, operator in zip(snapshots, operators, strict=True)]
        shown = np.concatenate([*sizes, _add_applied(figure, epochs, applied)])
        figure.update_yaxes(title_text="|q|, |μ|", **_axis(shown), row=2, col=1)
    figure.update_layout(**LAYOUT, height=300 + 200 * has_q, hovermode="x unified")
    # The legend has a line more with |q|.
    figure.update_layout(margin={"b": 88 + 24 * has_q})
    figure.update_yaxes(title_text="spectrum", row=1, col=1)
    figure.update_xaxes(title_text="epoch", row=1 + has_q, col=1)
    _mark_epochs(figure, epochs)
    return figure


def _add_applied(
    figure: go.Figure, epochs: Sequence[int], applied: Sequence[TrackedLevel | None]
) -> Float64[np.ndarray, "n"]:
    """Add the moduli of the eigenvalues of what a level applies, and return them."""
    drawn = []
    for name, field, dash in (("largest |μ|", "radius", "solid"), ("median |μ|", "median", "dot")):
        sizes = [np.nan if level is None else float(getattr(level, field)) for level in applied]
        if np.isfinite(sizes).any():
            _add_line(figure, epochs, sizes, name, row=2, color=COLOURS[2], dash=dash)
        drawn.append(sizes)
    return np.concatenate(drawn)


def _add_line(
    figure: go.Figure, epochs: Sequence[int], values: Sequence[float], name: str, *, row: int, **line: str
) -> None:
    """Add a line with markers over the epochs."""
    figure.add_scatter(
        x=epochs,
        y=values,
        name=name,
        mode="lines+markers",
        line={**line, "width": 2},
        hovertemplate=f"{name} %{{y:.4g}}<extra></extra>",
        row=row,
        col=1,
    )


def _mark_epochs(figure: go.Figure, epochs: Sequence[float] | Float64[np.ndarray, "epochs"]) -> None:
    """Set ticks at whole epochs, where few of them would have ticks between."""
    if max(epochs) - min(epochs) <= _FEW:
        figure.update_xaxes(tick0=0, dtick=1)


def _axis(values: Float64[np.ndarray, "n"]) -> dict[str, Any]:
    """Settings of an axis: logarithmic for values that span more than a power of ten."""
    positive = values[np.isfinite(values) & (values > 0)]
    is_wide = len(positive) > 0 and positive.max() > 10 * positive.min()
    if not is_wide:
        return {"type": "linear"}
    # Over a few powers of ten, ticks at the powers alone are too sparse to read values.
    dtick = "D2" if positive.max() < 1000 * positive.min() else 1
    return {"type": "log", "dtick": dtick, "exponentformat": "power"}
