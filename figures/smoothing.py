"""Strategies as smoothers: residual norms on the 2-D Poisson equation with a random right-hand side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyroots.errors import PolyrootsError
from polyroots.plotting import (
    REFERENCE,
    STRATEGY_LINES,
    WIDTHS,
    End,
    extent,
    heighten,
    label_ends,
    new_figure,
    style,
    wrapped,
)
from polyroots.polynomials import ResidualPolynomial
from polyroots.roots import STRATEGIES, high_frequency_part, options_of, select_roots
from polyroots.spectra import Convolution, Spectrum, eigenvalues_of, linear_operator
from polyroots.text import count_of
from polyroots_figures.request import Computed, Request

#: The 5-point Laplacian, times the mesh width squared, on a periodic grid.
LAPLACIAN = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]).reshape(1, 1, 3, 3)
SIZE = 64
# Least number of applications of A, and of steps.
_APPLICATIONS, _STEPS = 24, 3
# The smoother of smoothing factor 3/5 for comparison.
_JACOBI = "damped Jacobi 4/5"


def compute(request: Request) -> list[Computed]:
    """Smooth repeatedly with each strategy's polynomial, and record norms of the residual.

    Roots are chosen from the whole spectrum, for the norm of the residual, and from the high frequencies, for the norm
    of its high-frequency part, which a coarser grid can't correct.
    """
    Lambda = eigenvalues_of(Convolution.of(LAPLACIAN, SIZE, name="the 2-D Laplacian"))
    rng = np.random.default_rng(request.seed)
    # The periodic equation has a solution only for a right-hand side of mean zero.
    f = rng.standard_normal((SIZE, SIZE))
    f -= f.mean()
    total = max(_APPLICATIONS, _STEPS * (request.degree + 1))
    panels, words = [], []
    for region, title in (("all", "residual"), ("high", "its high-frequency part")):
        curves: list[dict[str, Any]] = []
        without: list[str] = []
        for strategy in STRATEGIES:
            options: dict[str, Any] = {"seed": request.seed} if "seed" in options_of(strategy) else {}
            if strategy == "given":
                continue
            try:
                roots = select_roots(Lambda, request.degree, strategy, region=region, **options)
            except PolyrootsError as error:
                words.append(f"{title}: {error}.")
                without.append(strategy)
                continue
            curves.append(_curve(strategy, Lambda, ResidualPolynomial(roots), f, region, total))
        # One root at 5: 1 - t/5 = 1 - (4/5) t/4.
        curves.append(_curve(_JACOBI, Lambda, ResidualPolynomial([5.0]), f, region, total))
        words += [f"{title}, {_rate(curve)}." for curve in curves]
        panels.append({"title": title, "region": region, "curves": curves, "without": without})
    title = f"2-D Poisson, {SIZE} x {SIZE}, random right-hand side, {count_of(request.degree + 1, 'root')}"
    return [Computed("smoothing", {"title": title, "panels": panels}, words)]


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw the norms over the applications of A."""
    is_small = width <= WIDTHS["one"]
    height = 2.0 if is_small else 2.5
    with style(width):
        natural = 2 * height + 1.15 if is_small else height + 0.65
        figure = new_figure(width, natural, data["title"])
        axes_of = figure.subplots(2, 1) if is_small else figure.subplots(1, 2)
        names = [curve["strategy"] for panel in data["panels"] for curve in panel["curves"]]
        # The width in inches of the axes, beside which the names of the curves stand. Above and below these there is
        # room for titles, and in one column they begin at the left end of the axes.
        room = width / (1 if is_small else 2) - extent("$10^{-10}$")[0]
        room -= 0.9 if is_small else max(extent(name, "small")[0] for name in names)
        place: Literal["left", "center"] = "left" if is_small else "center"
        ends_of = [
            _draw_panel(axes, panel, room - 0.3, place) for axes, panel in zip(axes_of, data["panels"], strict=True)
        ]
        most = max(len(ends) for ends in ends_of)
        heighten(figure, axes_of if is_small else axes_of[:1], max(1.9, 1.2 * most * mpl.rcParams["font.size"] / 72))
        for axes, ends in zip(axes_of, ends_of, strict=True):
            label_ends(axes, ends, axes.bbox.height / figure.dpi)
    return {"": figure}


def _curve(
    name: str, Lambda: Spectrum, q: ResidualPolynomial, f: Float64[np.ndarray, "H W"], region: str, total: int
) -> dict[str, Any]:
    """Norm of the residual, or of its high-frequency part, after each step, relative to the initial norm."""
    product = linear_operator(Lambda.convolution).matvec
    r = f.ravel()

    def norm() -> float:
        return float(np.linalg.norm(r if region == "all" else high_frequency_part(r, Lambda.convolution)))

    norms = [norm()]
    steps = total // len(q.roots)
    for _ in range(steps):
        r = r - product(q.smooth(product, r))
        norms.append(norm())
    relative = np.array(norms) / norms[0]
    return {"strategy": name, "applications": len(q.roots) * np.arange(steps + 1), "norms": relative}


def _rate(curve: Mapping[str, Any]) -> str:
    """A sentence with the mean factor per application of A."""
    norms, applications = curve["norms"], curve["applications"]
    rate = float(norms[-1]) ** (1 / float(applications[-1]))
    return f"'{curve['strategy']}': a factor of {rate:.3g} per application of A on average"


def _draw_panel(axes: Axes, panel: Mapping[str, Any], room: float, place: Literal["left", "center"]) -> list[End]:
    """Draw the curves of a panel, with words of a width in inches at a place, and return the curves' ends."""
    shown = [curve for curve in panel["curves"] if curve["norms"][-1] <= 1]
    growing = [curve["strategy"] for curve in panel["curves"] if curve["norms"][-1] > 1]
    ends = []
    for curve in shown:
        colour, line = STRATEGY_LINES.get(curve["strategy"], (REFERENCE, "-"))
        x, y = curve["applications"], np.maximum(curve["norms"], 1e-16)
        axes.plot(x, y, line, color=colour, marker=".", markersize=3, linewidth=1, clip_on=False)
        ends.append(End(float(x[-1]), float(y[-1]), curve["strategy"], colour))
    axes.set_yscale("log")
    axes.set_xlim(0, max((end.x for end in ends), default=1.0))
    axes.set_ylim(*axes.get_ylim())
    axes.spines[["top", "right"]].set_visible(False)
    region = "the spectrum" if panel["region"] == "all" else "the high frequencies"
    axes.set_title(
        wrapped(f"{panel['title']};\nroots from {region}", room + 0.5, mpl.rcParams["axes.titlesize"]), loc=place
    )
    notes = [f"not shown, growing: {', '.join(growing)}"] if growing else []
    notes += [f"without roots: {', '.join(panel['without'])}"] if panel["without"] else []
    axes.set_xlabel(wrapped("\n".join(["applications of $A$", *notes]), room + 0.5, "medium"), loc=place)
    axes.set_ylabel("norm, relative to the start")
    return ends
