"""Figure 4: choices of roots for q_2, in two blocks, over a real spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from polyroots.errors import InputError
from polyroots.plotting import (
    COLOURS,
    WIDTHS,
    Curve,
    draw_curves,
    extent,
    heighten,
    legend_below,
    magnified,
    new_figure,
    style,
    titled,
    wrapped,
)
from polyroots.polynomials import ResidualPolynomial
from polyroots.roots import select_roots
from polyroots.spectra import Convolution, Spectrum, eigenvalues_of
from polyroots_figures.operators import operators_of
from polyroots_figures.request import Computed, Request

_BLOCKS = "L,L"
# The last choice is the minimax one, or that of least mean |q|^2 where no polynomial of this degree is a smoother.
_CHOICES, _BEST, _OTHERWISE = ("extremal", "largest", "smallest"), "minimax", "least-squares"
_WORDS = {
    "extremal": "smallest and largest",
    "largest": "two of largest modulus",
    "smallest": "two of smallest modulus",
    "minimax": "least max$|q|$",
    "least-squares": "least mean of $|q|^2$",
}
_LIMIT = 1.7


def compute(request: Request) -> list[Computed]:
    """Choose roots from the spectra of symmetric parts (A + A^T) / 2, which are real.

    Without a network A is freshly drawn, with eigenvalues on both sides of 0 and, as A = I + N, on one side.
    """
    found = operators_of(request)
    if request.network is None:
        found += operators_of(request, init="shifted")
    rows, words = [], []
    for operator in found:
        name = f"the symmetric part of {operator.name}"
        Lambda = eigenvalues_of(Convolution.of(symmetric_part(operator.weight), operator.size, name=name))
        values = Lambda.values.real
        choices = [_choose(Lambda, name) for name in _CHOICES]
        try:
            choices.append(_choose(Lambda, _BEST))
        except InputError:
            choices.append(_choose(Lambda, _OTHERWISE))
        title = f"symmetric part of {operator.source}"
        rows.append({"title": title, "shape": operator.shape, "values": values, "choices": choices})
        words += [
            f"{operator.name}, '{choice['strategy']}': max|q| = {_written(choice['max_abs'])}." for choice in choices
        ]
    return [Computed(f"figure4{_suffix(request)}", {"rows": rows}, words)]


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw a panel for each choice of roots."""
    rows = data["rows"]
    # In one column several spectra stand side by side, a choice a line, so that they have their ticks once.
    beside = width <= WIDTHS["one"] and len(rows) > 1
    columns = len(rows) if beside else 2 if width <= WIDTHS["one"] else 4
    with style(width):
        lines = len(rows[0]["choices"]) if beside else sum(-(-len(row["choices"]) // columns) for row in rows)
        each, more = (0.92, 1.1) if beside else (1.35, 0.4 + 0.35 * len(rows))
        # The width in inches of a panel, without the numbers beside it and the name at the left.
        room = (width - 1.5 * mpl.rcParams["font.size"] / 72) / columns - extent("$-1$")[0] - 0.15
        shapes = ", ".join(dict.fromkeys(row["shape"] for row in rows))
        figure = new_figure(width, each * lines + more, shapes if beside else "")
        titles = [
            wrapped(row["title"], width / columns)
            if beside
            else wrapped(f"{row['title']}{titled(', ' + row['shape'])}", width)
            for row in rows
        ]
        # Any: matplotlib types the result as a union.
        parts: Any = figure.subfigures(*((1, columns) if beside else (len(rows), 1)), squeeze=False).ravel()
        for part, row, title in zip(parts, rows, titles, strict=True):
            part.suptitle(title)
            across = 1 if beside else columns
            down = -(-len(row["choices"]) // across)
            axes_of: Any = part.subplots(down, across, sharex=True, sharey=True, squeeze=False)
            for axes, choice in zip(axes_of.ravel(), row["choices"], strict=True):
                _draw_choice(axes, row["values"], choice, room)
            for axes in axes_of[-1]:
                axes.set_xlabel("$\\lambda$")
            if not beside or part is parts[0]:
                part.supylabel("$q_2$ and blocks", fontsize="medium")
        handles, labels = parts[0].axes[0].get_legend_handles_labels()
        # The product is drawn first.
        order = [0, 2, 3, 1, *range(4, len(handles))]
        legend_below(figure, [handles[index] for index in order], [labels[index] for index in order])
        first_column = [
            axes for part in (parts[:1] if beside else parts) for axes in part.axes[:: 1 if beside else columns]
        ]
        heighten(figure, first_column, 0.42 * magnified() if beside else 0.75)
    return {"": figure}


def symmetric_part(weight: Tensor) -> Float64[np.ndarray, "c c h w"]:
    """Return the kernels of (A + A^T) / 2: transposing A exchanges channels and mirrors the taps."""
    K = weight.double().numpy()
    return (K + K.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]) / 2


def _suffix(request: Request) -> str:
    return "" if request.network is None else f"-level{request.level}"


def _choose(Lambda: Spectrum, strategy: str) -> dict[str, Any]:
    roots = select_roots(Lambda, strategy=strategy, blocks=_BLOCKS)
    q = ResidualPolynomial(roots)
    return {"strategy": strategy, "roots": roots.real, "max_abs": float(np.abs(q(Lambda.values)).max())}


def _written(value: float) -> str:
    """A maximum of |q| as text, with four digits near 1."""
    return f"{value:.4f}" if 0.99 < value < 1.01 else f"{value:.3g}"


def _formula(value: float) -> str:
    """A maximum of |q| as text for a picture, with a power of ten if it is large."""
    if value < 1e4:
        return _written(value)
    digits, power = f"{value:.2e}".split("e")
    return f"${digits} \\times 10^{{{int(power)}}}$"


def _draw_choice(axes: Axes, values: Float64[np.ndarray, "N"], choice: Mapping[str, Any], room: float) -> None:
    curves = [
        Curve(
            ResidualPolynomial([root]),
            {"color": colour, "linestyle": line, "linewidth": 0.9}
            | {"label": f"block {number}: $1 - \\lambda/\\lambda_{number}$"},
        )
        for number, (root, colour, line) in enumerate(zip(choice["roots"], COLOURS[2:4], ("--", "-."), strict=True), 1)
    ]
    # The product is drawn first: it is thicker, and would hide the blocks where all three coincide.
    product = Curve(
        ResidualPolynomial(choice["roots"]), {"color": "black", "linewidth": 1.8, "label": "$q_2$, their product"}
    )
    draw_curves(axes, values, [product, *curves], choice["roots"])
    axes.set_ylim(-_LIMIT, _LIMIT)
    axes.set_yticks([-1, 0, 1])
    bins = max(1, int(11 * room / mpl.rcParams["font.size"]))
    axes.xaxis.set_major_locator(MaxNLocator(bins, steps=[1, 2, 5, 10], min_n_ticks=1))
    words = f"{_WORDS[choice['strategy']]}\nmax$|q|$ = {_formula(choice['max_abs'])}"
    axes.set_title(wrapped(words, room, "medium"), fontsize="medium", pad=3)
