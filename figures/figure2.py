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
    # Distances grow with the letters.
    scale = min(magnified(), height / 2.5)
    long = extent("data: $f_{\\ell+1} = R\\,\\sigma(r_\\ell) +\\; A_{\\ell+1} u_{\\ell+1}$")[0] + 0.24
    is_small = 2 * long + extent("restriction")[0] + 0.3 > width
    aside = extent("$A_\\ell$", "large")[0] + 0.5
    by_A = "p_d(A_\\ell)\\,r_\\ell"
    box = max(long, 0.35 * width)
    if is_small:
        formulas = extent("$r_\\ell = f_\\ell - A_\\ell\\,u_\\ell$")[0] + 0.24
        box = min(max(formulas, aside + extent(f"$+\\; {by_A}$")[0]), (width - 0.5) / 2)
    left, right = 0.06, width - box - 0.06
    for x, level in ((left, "$\\ell$"), (right, "$\\ell + 1$")):
        axes.add_patch(
            Rectangle(
                (x, 0.06), box, height - 0.06 - 0.3 * scale, facecolor="#f1f1f1", edgecolor=REFERENCE, linewidth=0.5
            )
        )
        axes.text(
            x + box / 2,
            height - 0.15 * scale,
            f"{'' if is_small else 'resolution '}level {level}",
            ha="center",
            va="center",
        )
    above, below = height - 0.62 * scale, 0.1 + 0.32 * scale
    new = "\n" if is_small else ": "
    _draw_box(axes, left, above, box, f"features{new}$u_\\ell$", scale)
    _draw_box(axes, left, below, box, f"residual{new}$r_\\ell = f_\\ell - A_\\ell\\,u_\\ell$", scale)
    _draw_box(axes, right, above, box, f"features{new}$u_{{\\ell+1}} = \\Pi\\,u_\\ell$", scale)
    _draw_box(
        axes,
        right,
        below,
        box,
        "data"
        + new
        + "$f_{\\ell+1} = R\\,\\sigma(r_\\ell)$"
        + ("\n" if is_small else " ")
        + "$+\\; A_{\\ell+1} u_{\\ell+1}$",
        scale,
    )

    down, up = left + (0.16 if is_small else 0.35), left + box - (0.16 if is_small else 0.35)
    ends = (above - 0.23 * scale, below + 0.23 * scale)
    _draw_arrow(axes, (down, ends[0]), (down, ends[1]), _A)
    _draw_arrow(axes, (up, ends[1]), (up, ends[0]), _B)
    middle = (above + below) / 2
    axes.text(down + 0.06, middle, "$A_\\ell$", color=_A, ha="left", va="center", fontsize="large")
    by_B = "B_\\ell\\,r_\\ell"
    update = "$u_\\ell \\leftarrow u_\\ell"
    smoothing = (
        f"{update}$\n$+\\; {by_B}$\nor\n$+\\; {by_A}$"
        if is_small
        else f"MgNet: {update} + {by_B}$\nPoly-MgNet:\n{update} + {by_A}$"
    )
    size = mpl.rcParams["font.size"] * min(1.0, (box - aside + 0.04) / extent(smoothing)[0])
    axes.text(up - 0.06, middle, smoothing, color=_B, ha="right", va="center", linespacing=1.35, fontsize=size)

    start, end = left + box + 0.03, right - 0.03
    for y, colour, symbol, word in ((above, _PI, "$\\Pi$", "features"), (below, _R, "$R$", "restriction")):
        _draw_arrow(axes, (start, y), (end, y), colour)
        axes.text((start + end) / 2, y + 0.12 * scale, symbol, color=colour, ha="center", va="center", fontsize="large")
        if not is_small:
            axes.text((start + end) / 2, y - 0.13 * scale, f"{word},\nstride 2", color=colour, ha="center", va="top")


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
