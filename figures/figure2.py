"""Figure 2: features and residual on one resolution, the maps A and B between them, restriction and prolongation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from polyroots.plotting import COLOURS, REFERENCE, extent, magnified, print_height, style
from polyroots_figures.request import Computed, Request

# As in Figure 1.
_A, _B, _R, _PI = COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[3]
# Updates of the features in Poly-MgNet and in MgNet.
_BY_A, _BY_B = "p_d(A_\\ell)\\,r_\\ell", "B_\\ell\\,r_\\ell"


def compute(request: Request) -> list[Computed]:
    """Return no data: the schematic is the same for every network."""
    del request
    return [Computed("figure2", {}, [])]


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw the schematic."""
    del data
    with style(width):
        height = print_height(2.5 * magnified())
        figure = Figure(figsize=(width, height))
        # Coordinates are in inches, so that boxes have room for their text at any width.
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        axes.axis("off")
        _draw_levels(axes, width, height)
    return {"": figure}


def _draw_levels(axes: Axes, width: float, height: float) -> None:
    """Draw two levels beside each other, and what leads from one to the other."""
    # Distances grow with the letters.
    scale = min(magnified(), height / 2.5)
    long = extent("data: $f_{\\ell+1} = R\\,\\sigma(r_\\ell) +\\; A_{\\ell+1} u_{\\ell+1}$")[0] + 0.24
    is_small = bool(2 * long + extent("restriction")[0] + 0.3 > width)
    # Beside the arrow of A.
    aside = extent("$A_\\ell$", "large")[0] + 0.5
    box = max(long, 0.35 * width)
    if is_small:
        formulas = extent("$r_\\ell = f_\\ell - A_\\ell\\,u_\\ell$")[0] + 0.24
        box = min(max(formulas, aside + extent(f"$+\\; {_BY_A}$")[0]), (width - 0.5) / 2)
    left, right = 0.06, width - box - 0.06
    above, below = height - 0.62 * scale, 0.1 + 0.32 * scale
    new, on = ("\n", "\n") if is_small else (": ", " ")
    data = f"$f_{{\\ell+1}} = R\\,\\sigma(r_\\ell)${on}$+\\; A_{{\\ell+1}} u_{{\\ell+1}}$"
    for x, level, features, residual in (
        (left, "\\ell", "$u_\\ell$", f"residual{new}$r_\\ell = f_\\ell - A_\\ell\\,u_\\ell$"),
        (right, "\\ell + 1", "$u_{\\ell+1} = \\Pi\\,u_\\ell$", f"data{new}{data}"),
    ):
        top = height - 0.06 - 0.3 * scale
        axes.add_patch(Rectangle((x, 0.06), box, top, facecolor="#f1f1f1", edgecolor=REFERENCE, linewidth=0.5))
        title = f"{'' if is_small else 'resolution '}level ${level}$"
        axes.text(x + box / 2, height - 0.15 * scale, title, ha="center", va="center")
        _draw_box(axes, x, above, box, f"features{new}{features}", scale)
        _draw_box(axes, x, below, box, residual, scale)

    inset = 0.16 if is_small else 0.35
    ends = (above - 0.23 * scale, below + 0.23 * scale)
    _draw_smoothing(axes, (left + inset, left + box - inset), ends, box - aside + 0.04, is_small=is_small)
    start, end = left + box + 0.03, right - 0.03
    for y, colour, symbol, word in ((above, _PI, "$\\Pi$", "features"), (below, _R, "$R$", "restriction")):
        _draw_arrow(axes, (start, y), (end, y), colour)
        axes.text((start + end) / 2, y + 0.12 * scale, symbol, color=colour, ha="center", va="center", fontsize="large")
        if not is_small:
            axes.text((start + end) / 2, y - 0.13 * scale, f"{word},\nstride 2", color=colour, ha="center", va="top")


def _draw_smoothing(
    axes: Axes, across: tuple[float, float], ends: tuple[float, float], room: float, *, is_small: bool
) -> None:
    """Draw the arrows of A and B between the heights of two boxes, and the update of the features beside them."""
    (down, up), (top, bottom), middle = across, ends, sum(ends) / 2
    _draw_arrow(axes, (down, top), (down, bottom), _A)
    _draw_arrow(axes, (up, bottom), (up, top), _B)
    axes.text(down + 0.06, middle, "$A_\\ell$", color=_A, ha="left", va="center", fontsize="large")
    update = "$u_\\ell \\leftarrow u_\\ell"
    smoothing = (
        f"{update}$\n$+\\; {_BY_B}$\nor\n$+\\; {_BY_A}$"
        if is_small
        else f"MgNet: {update} + {_BY_B}$\nPoly-MgNet:\n{update} + {_BY_A}$"
    )
    size = mpl.rcParams["font.size"] * min(1.0, room / extent(smoothing)[0])
    axes.text(up - 0.06, middle, smoothing, color=_B, ha="right", va="center", linespacing=1.35, fontsize=size)


def _draw_box(axes: Axes, x: float, y: float, width: float, words: str, scale: float) -> None:
    inset = 0.07
    axes.add_patch(
        Rectangle(
            (x + inset, y - 0.23 * scale),
            width - 2 * inset,
            0.46 * scale,
            facecolor="white",
            edgecolor="0.25",
            linewidth=0.7,
        )
    )
    axes.text(x + width / 2, y, words, ha="center", va="center", linespacing=1.3)


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=9, color=colour, linewidth=1.4, shrinkA=0, shrinkB=0
        )
    )
