"""The spectra of all levels of a network before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Complex128
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyroots.errors import InputError
from polyroots.plotting import (
    EIGENVALUE,
    REFERENCE,
    ROOT,
    START,
    WIDTHS,
    fit_aspect,
    frame,
    hull,
    legend_below,
    magnified,
    new_figure,
    style,
    wrapped,
)
from polyroots.text import count_of
from polyroots.training import Snapshot
from polyroots_figures.request import Computed, Request

# Roots farther from 0 than this many spectral radii are not shown.
_FAR = 1.25
_POINTS = 2500
_BEFORE, _AFTER = "before training", "after training"


def compute(request: Request) -> list[Computed]:
    """Return the spectra and roots of the first and last network of a run, or of one checkpoint.

    Raises
    ------
    InputError
        If the network has no convolutions A.
    """
    run = request.run if request.checkpoint is None else None
    if run is not None:
        config = run.config.model
        after = _AFTER if run.result else f"after {count_of(run.end.epoch, 'epoch')}"
        snapshots = {_BEFORE: run.beginning, after: run.end}
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
        size = config.sizes[operator.level - 1] if run is None else run.size_of(operator)
        moments = {
            when: {"values": A.values, "roots": np.empty(0) if A.q is None else A.q.roots}
            for when, A in of_level.items()
        }
        title = operator.name if config.is_own else f"level {operator.level}" + (f", $A$ {number}" if number else "")
        title += "" if size is None else f": {size[0]} x {size[1]}"
        levels.append({"title": title, "name": operator.name, "moments": moments})
        radii = " to ".join(f"{A.radius:.4g}" for A in of_level.values())
        words.append(f"{operator.name}: spectral radius {radii}.")
    remark = ""
    if run is not None and any(map(run.inert_blocks, range(len(levels)))):
        remark = "batch norm cancels the size of some coefficients, whose roots after training mean little"
        words.append(f"{remark[0].upper()}{remark[1:]}.")
    return [Computed("spectra", {"title": config.title, "remark": remark, "levels": levels}, words)]


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw a panel for each A at each moment: above each other, in one column of a paper side by side."""
    levels = data["levels"]
    moments = list(levels[0]["moments"])
    is_small = width <= WIDTHS["one"]
    rows, columns = _shape(len(levels), len(moments), is_small=is_small)
    across = width / (2 if is_small else 4)
    with style(width):
        down = across + (0.25 if len(moments) > 1 else 0.1)
        total = max(across * columns, 2.6)
        title = f"Spectra of the convolutions $A$ of {data['title']}\n{data['remark']}".rstrip()
        figure = new_figure(total, rows * down + 0.6, title)
        axes_of = figure.subplots(rows, columns, squeeze=False)
        panels = [(level, when) for level in levels for when in moments]
        if len(moments) > 1 and not is_small:
            # One line of panels for each moment.
            chunks = [levels[start : start + columns] for start in range(0, len(levels), columns)]
            panels = [(level, when) for chunk in chunks for when in moments for level in _filled(chunk, columns)]
        for axes, (level, when) in zip(axes_of.ravel(), panels, strict=False):
            if level is None:
                axes.remove()
                continue
            _draw_moment(axes, level, when, across)
            words = f"{level['title']}\n{when}" if len(moments) > 1 else level["title"]
            axes.set_title(wrapped(words, across - 0.1 - 0.32 * magnified(), mpl.rcParams["axes.titlesize"]), pad=3)
        for axes in axes_of.ravel()[len(panels) :]:
            axes.remove()
        for axes in axes_of[:, 0]:
            axes.set_ylabel("Im $\\lambda$")
        # Labels of all panels: one may lack some, such as near roots.
        named = {
            label: handle
            for axes in figure.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        legend_below(figure, list(named.values()), list(named))
        # Cells without a panel have been removed.
        fit_aspect(figure, [[axes for axes in row if axes.figure is not None] for row in axes_of.tolist()])
    return {"": figure}


def _shape(levels: int, moments: int, *, is_small: bool) -> tuple[int, int]:
    """Return the numbers of rows and columns of panels."""
    if moments > 1:
        return (levels, moments) if is_small else (moments * -(-levels // 4), min(levels, 4))
    columns = min(levels, 2 if is_small else 4)
    return -(-levels // columns), columns


def _filled(chunk: list[Any], columns: int) -> list[Any]:
    return chunk + [None] * (columns - len(chunk))


def _draw_moment(axes: Axes, level: Mapping[str, Any], when: str, across: float) -> None:
    """Draw the eigenvalues at a moment with the roots near them, and the outline of those before training."""
    values, roots = level["moments"][when]["values"], level["moments"][when]["roots"]
    reach = float(np.abs(values).max()) or 1.0
    near = roots[np.abs(roots) <= _FAR * reach]
    low, high, top = frame(np.concatenate([values, near]))
    half = max(top, (high - low) / 2)
    middle = (low + high) / 2
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.axvline(0, color=REFERENCE, linewidth=0.4)
    colour = START if when == _BEFORE else EIGENVALUE
    points = values[:: -(-len(values) // _POINTS)]
    axes.plot(
        points.real,
        points.imag,
        ".",
        color=colour,
        markersize=2.5,
        markeredgewidth=0,
        alpha=0.6,
        rasterized=True,
    )
    axes.plot([], [], ".", color=colour, markersize=5, label=f"eigenvalues {when}")
    if when != _BEFORE and _BEFORE in level["moments"]:
        _draw_outline(axes, level["moments"][_BEFORE]["values"])
    if len(near):
        axes.plot(
            near.real,
            near.imag,
            "o",
            markerfacecolor=ROOT,
            markeredgecolor="white",
            markersize=5,
            label="roots",
            zorder=3,
        )
    # The unit circle, unless it is larger than the picture.
    if half - abs(middle) >= 1:
        circle = np.exp(1j * np.linspace(0, 2 * np.pi, 361))
        axes.plot(circle.real, circle.imag, "--", color=REFERENCE, linewidth=0.8, label="unit circle")
    axes.set_xlim(middle - half, middle + half)
    axes.set_ylim(-half, half)
    axes.set_aspect("equal")
    far = len(roots) - len(near)
    words = "Re $\\lambda$" + (f"; {count_of(far, 'root')} outside" if far else "")
    axes.set_xlabel(wrapped(words, across - 0.1 - 0.32 * magnified(), "medium"), labelpad=1)


def _draw_outline(axes: Axes, values: Complex128[np.ndarray, "N"]) -> None:
    """Draw the convex hull of the eigenvalues before training."""
    try:
        outline = hull(values)
    except InputError:  # they lie on a line
        return
    # On a dark line, so that it shows on the points.
    axes.plot(outline.real, outline.imag, "-", color="white", linewidth=2.2)
    axes.plot(outline.real, outline.imag, "-", color=START, linewidth=1.2, label="their outline before training")
