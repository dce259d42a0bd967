"""The spectra of all levels of a network before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyroots.plotting import EIGENVALUE, REFERENCE, ROOT, START, WIDTHS, frame, style, wrapped
from polyroots.text import count_of
from polyroots.training import Snapshot
from polyroots_figures.request import Computed, Request

# Roots farther from 0 than this many spectral radii are not shown.
_FAR = 1.6
_POINTS = 2500
# Widths below this, in inches, have no room for a legend in one line.
_NARROW = 6.0

_BEFORE, _AFTER = "before training", "after training"


def compute(request: Request) -> list[Computed]:
    """Return the spectra and roots of the first and last network of a run, or of one checkpoint.

    Raises
    ------
    InputError
        If the network has no convolutions A.
    """
    if request.checkpoint is None and request.run is not None:
        config = request.run.config.model
        after = _AFTER if request.run.result else f"after {count_of(request.run.end.epoch, 'epoch')}"
        snapshots = {_BEFORE: request.run.beginning, after: request.run.end}
    else:
        checkpoint = request.network
        assert checkpoint is not None
        config = checkpoint.config
        training = checkpoint.training or {}
        is_trained = training.get("epoch", 0) or training.get("step", 0)
        snapshots = {_AFTER if is_trained else _BEFORE: Snapshot.of(checkpoint.model(), training.get("epoch", 0))}
    levels, words = [], []
    first = next(iter(snapshots.values()))
    for index, (operator, number) in enumerate(zip(first.operators, first.numbers, strict=True)):
        of_level = {when: snapshot.operators[index] for when, snapshot in snapshots.items()}
        H, W = config.sizes[operator.level - 1]
        moments = {
            when: {"values": A.values, "roots": np.empty(0) if A.q is None else A.q.roots}
            for when, A in of_level.items()
        }
        title = f"level {operator.level}" + (f", $A$ {number}" if number else "")
        levels.append({"title": f"{title}: {H} x {W}", "name": operator.name, "moments": moments})
        radii = " to ".join(f"{A.radius:.4g}" for A in of_level.values())
        words.append(f"{operator.name}: spectral radius {radii}.")
    remark = ""
    if (
        request.checkpoint is None
        and request.run is not None
        and any(map(request.run.inert_blocks, range(len(levels))))
    ):
        remark = "batch norm cancels the size of some coefficients, whose roots after training mean little"
        words.append(f"{remark[0].upper()}{remark[1:]}.")
    return [Computed("spectra", {"title": config.title, "remark": remark, "levels": levels}, words)]


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw a panel for each A."""
    levels = data["levels"]
    is_small = width <= WIDTHS["one"]
    columns = min(len(levels), 2 if is_small else 4)
    rows = -(-len(levels) // columns)
    with style(width):
        across = width * columns / (2 if is_small else 4) if columns > 1 else 0.5 * width + 0.5
        figure = Figure(
            figsize=(max(across, 2.6), rows * 0.27 * width * (2 if is_small else 1) + 1.0), layout="constrained"
        )
        axes_of = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, level in zip(axes_of, levels, strict=False):
            _draw_level(axes, level)
        for axes in axes_of[len(levels) :]:
            axes.remove()
        for axes in axes_of[::columns]:
            axes.set_ylabel("Im $\\lambda$")
        title = f"Spectra of the convolutions $A$ of {data['title']}\n{data['remark']}".rstrip()
        figure.suptitle(wrapped(title, figure.get_figwidth()))
        # Labels of all panels: one may lack some, such as near roots.
        named = {
            label: handle
            for axes in axes_of[: len(levels)]
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            named.values(),
            named.keys(),
            loc="outside lower center",
            ncols=2 if figure.get_figwidth() < _NARROW else 5,
            columnspacing=1.2,
        )
    return {"": figure}


def _draw_level(axes: Axes, level: Mapping[str, Any]) -> None:
    moments = level["moments"]
    reach = max(float(np.abs(moment["values"]).max()) for moment in moments.values()) or 1.0
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.axvline(0, color=REFERENCE, linewidth=0.4)
    shown = []
    # The larger cloud is below the smaller one, so that both are visible.
    order = sorted(moments, key=lambda when: -float(np.abs(moments[when]["values"]).max()))
    for when in moments:
        colour, face = (START, "none") if when == _BEFORE else (EIGENVALUE, ROOT)
        values, roots = moments[when]["values"], moments[when]["roots"]
        points = values[:: -(-len(values) // _POINTS)]
        axes.plot(
            points.real,
            points.imag,
            ".",
            color=colour,
            markersize=2,
            markeredgewidth=0,
            alpha=0.6,
            rasterized=True,
            zorder=1.5 + 0.1 * order.index(when),
        )
        axes.plot([], [], ".", color=colour, markersize=5, label=f"eigenvalues {when}")
        near = roots[np.abs(roots) <= _FAR * reach]
        if len(near):
            edge = ROOT if face == "none" else "white"
            axes.plot(
                near.real,
                near.imag,
                "o",
                markerfacecolor=face,
                markeredgecolor=edge,
                markersize=5,
                label=f"roots {when}",
                zorder=3,
            )
        shown += [values, near]
    everything = np.concatenate(shown)
    low, high, top = frame(everything)
    half = max(top, (high - low) / 2)
    middle = (low + high) / 2
    # The unit circle, unless it is larger than the picture.
    if half - abs(middle) >= 1:
        circle = np.exp(1j * np.linspace(0, 2 * np.pi, 361))
        axes.plot(circle.real, circle.imag, "--", color=REFERENCE, linewidth=0.8, label="unit circle")
    axes.set_xlim(middle - half, middle + half)
    axes.set_ylim(-half, half)
    axes.set_aspect("equal")
    axes.set_xlabel("Re $\\lambda$")
    axes.set_title(level["title"])
