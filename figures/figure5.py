"""Figure 5: accuracy against weights, of networks with their channels scaled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from polyroots.errors import FileError
from polyroots.plotting import (
    COLOURS,
    REFERENCE,
    End,
    extent,
    heighten,
    label_ends,
    legend_below,
    literal,
    magnified,
    new_figure,
    spread,
    style,
    wrapped,
)
from polyroots.study import results_of, series_of
from polyroots.text import count_of, listed
from polyroots_figures.request import Computed, Request

_MARKERS, _LINES = "osD^vP*X", ("-", "--", ":")
# Letters of a name that has room beside the lines.
_SHORT = 16
# Margin beside the points as a share of their extent; the least extent, in log weights; the least distance between
# points that would cover each other, in inches.
_MARGIN, _LEAST_EXTENT, _GAP = 0.1, 0.1, 0.15
# Seeds are beside the mean, in points; the height of the part of the axes where moved points are led to their weights.
_ASIDE, _FUNNEL = 4.0, 0.09


def compute(request: Request) -> list[Computed]:
    """Take the accuracies after the last epoch from the runs of a study.

    Raises
    ------
    InputError
        If they are of different data sets.
    FileError
        If no run is done.
    """
    assert request.study is not None
    results = results_of(request.study)
    if not results.done:
        raise FileError(f"no run of {request.study} is done: expected some with a result.json; go on with them first")
    series, words, notes = [], [], []
    for found in series_of(results.done):
        points = [
            {
                "channels": list(point.channels),
                "weights": point.weights,
                "accuracies": np.array([result.last for result in point.results]),
                "seeds": [result.config.seed for result in point.results],
            }
            for point in found.points
        ]
        series.append({"label": found.label, "points": points})
        words += [_sentence(found.label, point) for point in points]
    if results.unfinished:
        names = listed(results.unfinished)
        notes.append(f"{count_of(len(results.unfinished), 'run')} not done, left out: {names}.")
    if results.repeated:
        names = listed(results.repeated)
        notes.append(f"Left out, as another run has the same configuration and seed: {names}.")
    return [Computed("figure5", {"data": results.done[0].data, "series": series}, words, notes)]


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw each network's mean and standard deviation over the seeds, and each seed as a small point."""
    labels = [series["label"] for series in data["series"]]
    # A few short names have room beside the lines; others are in a legend below.
    has_legend = len(labels) > len(COLOURS) or max(map(len, labels)) > _SHORT
    height = 2.4
    with style(width):
        figure = new_figure(width, height + 0.45, f"{literal(data['data'])}, after the last epoch")
        axes = figure.add_subplot()
        weights = np.array([point["weights"] for series in data["series"] for point in series["points"]], dtype=float)
        samples = [100 * point["accuracies"] for series in data["series"] for point in series["points"]]
        places = _places(weights, np.array([[sample.min(), sample.max()] for sample in samples]), axes, width)
        left = iter(places)
        ends = []
        for index, series in enumerate(data["series"]):
            where = np.array([next(left) for _ in series["points"]])
            ends.append(_draw_series(axes, index, series, where))
        if places is not weights:
            low, high = axes.get_ylim()
            axes.set_ylim(low - 1.3 * _FUNNEL * (high - low), high)
        axes.set_ylim(*axes.get_ylim())
        _mark_weights(axes)
        axes.grid(color=REFERENCE, alpha=0.15, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        is_moved = _bracket(axes, weights, places)
        at_axis = ", where a grey area meets the axis" if is_moved else ""
        beside = 0.0 if has_legend else max(extent(label)[0] for label in labels)
        words = f"weights{at_axis}\n{_caption(data['series'])}"
        axes.set_xlabel(wrapped(words, 0.85 * width - beside, "medium"))
        axes.set_ylabel("test accuracy in %")
        if has_legend:
            legend_below(figure)
        heighten(figure, [axes], height - 0.4)
        if not has_legend:
            label_ends(axes, ends, axes.bbox.height / figure.dpi)
    return {"": figure}


def _draw_series(axes: Axes, index: int, series: Mapping[str, Any], where: Float64[np.ndarray, "points"]) -> End:
    """Draw mean and standard deviation of the points of a network, and beside them their seeds; return the last end."""
    colour = COLOURS[index % len(COLOURS)]
    # When the colours repeat, markers and line styles differ.
    marker = _MARKERS[(index + index // len(COLOURS)) % len(_MARKERS)]
    line = _LINES[index // len(COLOURS) % len(_LINES)]
    accuracies = [100 * point["accuracies"] for point in series["points"]]
    means = np.array([a.mean() for a in accuracies])
    spreads = np.array([a.std(ddof=1) if len(a) > 1 else 0.0 for a in accuracies])
    aside = axes.transData + ScaledTranslation(_ASIDE / 72, 0, axes.figure.dpi_scale_trans)
    for x, of_seeds in zip(where, accuracies, strict=True):
        if len(of_seeds) > 1:
            at = np.full(len(of_seeds), x)
            axes.plot(at, of_seeds, "o", color=colour, markersize=2.6, markerfacecolor="none", transform=aside)
    look: dict[str, Any] = {"fmt": f"{line}{marker}", "color": colour, "markersize": 4, "linewidth": 1, "capsize": 2}
    axes.errorbar(where, means, spreads, label=series["label"], **look)
    return End(float(where[-1]), float(means[-1]), series["label"], colour)


def _places(
    weights: Float64[np.ndarray, "points"], bars: Float64[np.ndarray, "points 2"], axes: Axes, width: float
) -> Float64[np.ndarray, "points"]:
    """Limit the axis of the weights, and return where on it each point is.

    Where points of about the same weights would cover each other, they stand side by side.
    """
    logs = np.log(weights)
    reach = max(float(np.ptp(logs)), _LEAST_EXTENT)
    gap = _GAP / width * (1 + 2 * _MARGIN) * reach
    moved = spread(logs, gap) if _cover(logs, bars, gap) else logs
    axes.set_xscale("log")
    axes.set_xlim(np.exp(moved.min() - _MARGIN * reach), np.exp(moved.max() + _MARGIN * reach))
    return weights if moved is logs else np.exp(moved)


def _cover(logs: Float64[np.ndarray, "points"], bars: Float64[np.ndarray, "points 2"], gap: float) -> bool:
    """Whether two points are too near, and their bars (lower and upper end) overlap."""
    size = 0.05 * np.ptp(bars)
    low, high = bars[:, 0] - size / 2, bars[:, 1] + size / 2
    is_near = np.abs(logs[:, None] - logs) < gap
    is_beside = (low[:, None] < high) & (low < high[:, None])
    return bool(np.triu(is_near & is_beside, 1).any())


def _bracket(axes: Axes, weights: Float64[np.ndarray, "points"], places: Float64[np.ndarray, "points"]) -> bool:
    """Mark above the axes the points that were moved, with their weights; return whether there are any."""
    if places is weights:
        return False
    order = np.argsort(places)
    is_moved = ~np.isclose(places, weights, rtol=1e-9)[order]
    # Moved neighbours at the least distance share a bracket.
    gaps = np.diff(np.log(places[order]))
    touching = is_moved[1:] & is_moved[:-1] & (gaps < 1.01 * gaps.min(initial=np.inf))
    groups = np.split(order, np.flatnonzero(~touching) + 1)
    # Large numbers of neighbours stand on two lines.
    raised = float(mpl.rcParams["font.size"]) if magnified() > 1.3 else 0.0
    for number, group in enumerate(group for group in groups if len(group) > 1):
        ends = [places[group].min(), places[group].max()]
        _lead(axes, (min(ends), max(ends)), (float(weights[group].min()), float(weights[group].max())))
        axes.plot(
            ends,
            [1.02, 1.02],
            "-|",
            color=REFERENCE,
            linewidth=0.7,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
        axes.annotate(
            " to ".join(dict.fromkeys(f"{weight:,.0f}" for weight in (min(weights[group]), max(weights[group])))),
            (float(np.sqrt(ends[0] * ends[1])), 1.02),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 2 + raised * (number % 2)),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize="x-small",
            color=REFERENCE,
        )
    return True


def _lead(axes: Axes, ends: tuple[float, float], true: tuple[float, float]) -> None:
    """Draw an area behind moved points that narrows at the axis to the weights that they have."""
    beside = (ends[1] / ends[0]) ** 0.04 * 1.002
    left, right = ends[0] / beside, ends[1] * beside
    corners = [(left, 1.0), (left, _FUNNEL), (true[0], 0.0), (true[1], 0.0), (right, _FUNNEL), (right, 1.0)]
    axes.add_patch(
        Polygon(
            corners,
            facecolor=REFERENCE,
            edgecolor=REFERENCE,
            alpha=0.12,
            linewidth=0.8,
            transform=axes.get_xaxis_transform(),
            zorder=0,
        )
    )


def _mark_weights(axes: Axes) -> None:
    """Set the ticks: powers of ten, or 1, 2 and 5 times these over a narrow range."""
    low, high = axes.get_xlim()
    if high < 20 * low:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _caption(series: list[Mapping[str, Any]]) -> str:
    counts = sorted({len(point["accuracies"]) for one in series for point in one["points"]})
    if counts == [1]:
        return "one seed"
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"mean and standard deviation of {seeds} seeds; rings: single seeds"


def _sentence(label: str, point: Mapping[str, Any]) -> str:
    accuracies = 100 * point["accuracies"]
    deviation = f" +- {accuracies.std(ddof=1):.2f}" if len(accuracies) > 1 else ""
    channels = ",".join(map(str, point["channels"]))
    return (
        f"{label}, channels {channels}, {point['weights']:,} weights: {accuracies.mean():.2f}{deviation} % "
        f"({count_of(len(accuracies), 'seed')})."
    )
