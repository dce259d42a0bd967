"""Names beside curves, spread so that they don't overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from polyroots.plotting.style import REFERENCE


class End(NamedTuple):
    """The right end of a curve in the units of its axes, with the name and the colour of the curve."""

    x: float
    y: float
    text: str
    colour: str


def label_ends(axes: Axes, ends: Sequence[End], height: float) -> None:
    """Write the name of each curve right of the axes, as near to the curve's end as room allows, with a line to it.

    Parameters
    ----------
    axes : Axes
        With final limits and scales.
    ends : sequence of End
    height : float
        Approximate height of the axes in inches.
    """
    if not ends:
        return
    size = 0.9 * float(axes.xaxis.label.get_fontsize())
    to_axes = axes.transScale + axes.transLimits
    places = to_axes.transform([(end.x, end.y) for end in ends])
    inside = np.clip(places, 0, 1)
    # Beside the axes where there is room for all.
    where = spread(inside[:, 1], 1.2 * size / (72 * height), (0.0, 1.0))
    for end, (x, y), label in zip(ends, inside, where, strict=True):
        axes.plot(
            [x, 1.0, 1.04],
            [y, y, label],
            "-",
            color=REFERENCE,
            linewidth=0.4,
            alpha=0.6,
            transform=axes.transAxes,
            clip_on=False,
            zorder=1,
        )
        axes.text(1.05, label, end.text, color=end.colour, fontsize=size, va="center", transform=axes.transAxes)


def spread(
    positions: Float64[np.ndarray, "n"], gap: float, limits: tuple[float, float] | None = None
) -> Float64[np.ndarray, "n"]:
    """Return the positions moved apart to distances of at least `gap`, with the least sum of squared moves.

    With limits they stay within these if there is room for all.

    >>> print(spread(np.array([0.0, 1.0, 1.0]), 0.5))
    [0.   0.75 1.25]
    >>> print(spread(np.array([0.0, 1.0, 1.0]), 0.25, (0, 1)))
    [0.   0.75 1.  ]
    """
    order = np.argsort(positions, kind="stable")
    steps = gap * np.arange(len(positions))
    moved = np.empty(len(positions))
    shifted = isotonic_regression(positions[order] - steps).x
    if limits is not None and limits[0] + steps[-1] <= limits[1]:
        # The best bounded solution of isotonic regression is the unbounded one, clipped.
        shifted = np.clip(shifted, limits[0], limits[1] - steps[-1])
    moved[order] = shifted + steps
    return moved
