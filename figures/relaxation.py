"""Accuracy against the weight of the relaxation, from the runs of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from polyroots.errors import FileError
from polyroots.plotting import COLOURS, REFERENCE, heighten, legend_below, literal, new_figure, style, wrapped
from polyroots.study import Result, Series, results_of, series_of
from polyroots.text import count_of
from polyroots.training import load_run
from polyroots_figures.request import Computed, Request


def compute(request: Request) -> list[Computed]:
    """Take the accuracies after the last epoch from the runs of a study, by their relaxation.

    Where some networks have several relaxations, those with a single one are left out, and drawn coefficients that
    differ from all of them in more than the roots.

    Raises
    ------
    InputError
        If they are of different data sets.
    FileError
        If no finished run has roots from a spectrum.
    """
    assert request.study is not None
    done = _polynomial(request.study)
    shown = _with_several(done)
    series, words = [], []
    for found in series_of(shown, together=("relax",)):
        results = _results(found)
        by_relax: dict[str, list[Result]] = {}
        for result in results:
            by_relax.setdefault(result.config.relax, []).append(result)
        points = [_point(relax, of_relax) for relax, of_relax in by_relax.items()]
        points.sort(key=lambda point: point["weight"])
        is_drawn = results[0].config.alpha_init != "spectrum"
        label = _short(found.label, is_drawn)
        series.append({"label": label, "points": points, "is_drawn": is_drawn})
        words += [_sentence(label, point, is_drawn) for point in points]
    if all(one["is_drawn"] for one in series):
        raise FileError(
            f"{request.study} holds no finished run whose roots come from a spectrum: expected some with 'relax' among "
            "the axes of their study"
        )
    if len(shown) < len(done):
        left = count_of(len(done) - len(shown), "run")
        words.append(f"Left out: {left} of networks with one relaxation, or of coefficients drawn for them.")
    return [Computed("relaxation", {"data": done[0].data, "series": series}, words)]


def is_varied(study: Path) -> bool:
    """Whether the finished runs of a study have several relaxations."""
    return len({result.config.relax for result in _polynomial(study)}) > 1


def _polynomial(study: Path) -> list[Result]:
    """Return the finished runs of Poly-MgNets."""
    return [result for result in results_of(study).done if result.config.model.is_polynomial]


def _results(series: Series) -> list[Result]:
    return [result for point in series.points for result in point.results]


def _fields(drawn: Series) -> set[str]:
    """Return the parts of a label of drawn coefficients that it shares with the roots in their place."""
    return {part for part in _short(drawn.label, True).split(", ") if not part.startswith("alpha-init ")}


def _with_several(done: Sequence[Result]) -> list[Result]:
    """Return the runs of networks with several relaxations and those that drew their coefficients; else all."""
    series = series_of(done, together=("relax",))
    curves = [one for one in series if len({result.config.relax for result in _results(one)}) > 1]
    drawn = [
        one
        for one in series
        if _results(one)[0].config.alpha_init != "spectrum"
        and any(_fields(one) <= set(curve.label.split(", ")) for curve in curves)
    ]
    return [result for one in curves + drawn for result in _results(one)] or list(done)


def _point(relax: str, results: Sequence[Result]) -> dict[str, Any]:
    """Return the accuracies of one relaxation and its weight, the geometric mean over levels and seeds."""
    levels = [level for result in results for level in (load_run(result.path).init or {"levels": []})["levels"]]
    weights = [level.get("relaxation") or 1.0 for level in levels]
    return {
        "relax": relax,
        "weight": float(np.exp(np.mean(np.log(weights)))) if weights else 1.0,
        "accuracies": np.array([result.last for result in results]),
    }


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw mean and standard deviation against the weight; coefficients without roots are lines across."""
    curves = [series for series in data["series"] if not series["is_drawn"]]
    drawn = [series for series in data["series"] if series["is_drawn"]]
    with style(width):
        figure = new_figure(width, 3.05, f"{literal(data['data'])}, after the last epoch")
        axes = figure.add_subplot()
        colours: dict[str, str] = {}
        for index, series in enumerate(curves):
            colour = COLOURS[index % len(COLOURS)]
            colours[series["label"]] = colour
            _draw_curve(axes, series, colour, series["label"])
        for series in drawn:
            (point,) = series["points"]
            colour = _colour_of(series["label"], colours)
            level = 100 * point["accuracies"].mean()
            axes.axhline(level, color=colour, linestyle=":", linewidth=1, label=series["label"])
        _mark_weights(axes, [point["weight"] for series in curves for point in series["points"]])
        axes.grid(color=REFERENCE, alpha=0.15, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        counts = sorted({len(point["accuracies"]) for series in data["series"] for point in series["points"]})
        seeds = count_of(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
        words = f"weight w of the relaxation; filled: chosen by a bound\nmean and standard deviation of {seeds}"
        axes.set_xlabel(wrapped(words, 0.85 * width, "medium"))
        axes.set_ylabel("test accuracy in %")
        legend_below(figure)
        heighten(figure, [axes], 2.3)
    return {"": figure}


def _draw_curve(axes: Axes, series: Mapping[str, Any], colour: str, label: str) -> None:
    """Draw the points of fixed weights, joined and open, and those of weights that a bound chose, filled."""
    for is_chosen in (False, True):
        points = [point for point in series["points"] if point["relax"].startswith("auto") == is_chosen]
        if not points:
            continue
        accuracies = [100 * point["accuracies"] for point in points]
        axes.errorbar(
            [point["weight"] for point in points],
            [a.mean() for a in accuracies],
            [a.std(ddof=1) if len(a) > 1 else 0.0 for a in accuracies],
            fmt="D" if is_chosen else "-o",
            color=colour,
            markerfacecolor=colour if is_chosen else "white",
            markersize=4,
            linewidth=1,
            capsize=2,
            label=None if is_chosen and len(points) < len(series["points"]) else label,
        )


def _mark_weights(axes: Axes, weights: Sequence[float]) -> None:
    """Set a logarithmic axis of weights with ticks at the powers of two, and 1 on it."""
    axes.set_xscale("log", base=2)
    lowest = int(np.floor(np.log2(min(*weights, 1.0)) + 1e-9))
    highest = int(np.ceil(np.log2(max(*weights, 1.0)) - 1e-9))
    axes.set_xlim(2.0 ** (lowest - 0.2), 2.0 ** (highest + 0.2))
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in range(lowest, highest + 1)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda w, _: f"{w:g}" if w >= 1 else f"1/{round(1 / w)}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _short(label: str, is_drawn: bool) -> str:
    """Return a label without what the kind of line says: drawn coefficients have neither roots nor their signs."""
    implied = ("roots ", "signs ") if is_drawn else ("alpha-init spectrum",)
    return ", ".join(part for part in label.split(", ") if not part.startswith(implied))


def _colour_of(label: str, curves: Mapping[str, str]) -> str:
    """Return the colour of the curve of the same network that has most in common with drawn coefficients."""
    parts = label.split(", ")
    same = [curve for curve in curves if curve.split(", ")[0] == parts[0]]
    if not same:
        return REFERENCE
    return curves[max(same, key=lambda curve: len(set(curve.split(", ")) & set(parts)))]


def _sentence(label: str, point: Mapping[str, Any], is_drawn: bool) -> str:
    accuracies = 100 * point["accuracies"]
    spread = f" +- {accuracies.std(ddof=1):.2f}" if len(accuracies) > 1 else ""
    where = "" if is_drawn else f", relax {point['relax']}, w = {point['weight']:.3g}"
    return f"{label}{where}: {accuracies.mean():.2f}{spread} % ({count_of(len(accuracies), 'seed')})."
