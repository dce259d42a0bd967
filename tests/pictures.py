"""Checks of pictures: their texts and their layout."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[str]:
    """Return all texts of a picture."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def require_nothing_is_cut(figure: Figure) -> None:
    """Require that all lies within the picture, no texts overlap, and no point is outside its axes or cut by them."""
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert box.x0 >= -0.01, box
    assert box.y0 >= -0.01, box
    assert box.x1 <= width + 0.01, box
    assert box.y1 <= height + 0.01, box
    renderer = RendererAgg(figure.bbox.width, figure.bbox.height, figure.dpi)
    words = [(text.get_text(), _extent(text, renderer)) for text in _drawn_texts(figure)]
    for (name, box), (other_name, other) in combinations(words, 2):
        # Extents have the height of a line of text with its spacing.
        assert not box.shrunk(0.98, 0.8).overlaps(other.shrunk(0.98, 0.8)), (name, other_name)
    for axes in figure.findobj(Axes):
        if axes.name == "3d":
            _require_points_in_the_box(axes)
        else:
            _require_points_in_axes(axes, figure.dpi)


def require_colours_enclose(figure: Figure, largest: float) -> None:
    """Require that a picture has colours, and that they extend from the smallest to the largest value drawn."""
    artists: list[Any] = [artist for axes in figure.axes for artist in axes.collections]
    limits = [
        (artist.levels[0], artist.levels[-1]) if getattr(artist, "filled", False) else artist.get_clim()
        for artist in artists
        if getattr(artist, "filled", False) or artist.get_array() is not None
    ]
    assert limits
    assert max(high for _, high in limits) >= largest * (1 - 1e-9)


def _extent(text: Text, renderer: RendererAgg) -> Bbox:
    return text.get_window_extent(renderer)


def _drawn_texts(figure: Figure) -> Iterator[Text]:
    """Yield the texts that are drawn: not those of ticks outside of the limits of their axis."""
    hidden = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        margin = 1e-6 * (high - low)
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for tick in ticks:
            if not low - margin <= tick.get_loc() <= high + margin or not axis.get_visible() or not axis.axes.axison:
                hidden |= {tick.label1, tick.label2}
        if not axis.axes.axison:
            hidden |= {axis.label, axis.offsetText}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text().strip() and text.get_visible() and text not in hidden:
            yield text


def _require_points_in_axes(axes: Any, dpi: float) -> None:
    """Require that the points of lines in the units of the axes are inside, and markers not cut by the frame."""
    frame = axes.bbox
    for line in axes.lines:
        if line.get_transform() is not axes.transData or not line.get_visible() or not len(line.get_xdata()):
            continue
        has_markers = str(line.get_marker()) not in {"None", "none", "", " "}
        if line.get_clip_on() and not has_markers:
            continue
        points = axes.transData.transform(np.column_stack(line.get_data()).astype(float))
        points = points[np.isfinite(points).all(axis=1)]
        # Half of a marker must show inside, all of it unless its axes end there without a frame.
        room = 0.5 * dpi / 72 if not line.get_clip_on() or not axes.spines["right"].get_visible() else 0.0
        assert (points >= frame.min - room).all(), (axes.get_title(), line.get_label())
        assert (points <= frame.max + room).all(), (axes.get_title(), line.get_label())
        if line.get_clip_on() and line.get_markersize() >= 4 and line.get_marker() == "o":
            radius = 0.3 * line.get_markersize() * dpi / 72
            assert (points >= frame.min + radius).all(), (axes.get_title(), line.get_label(), "cut")
            assert (points <= frame.max - radius).all(), (axes.get_title(), line.get_label(), "cut")


def _require_points_in_the_box(axes: Any) -> None:
    """Require that lines and points of three-dimensional axes are within their limits."""
    limits = np.array([axes.get_xlim(), axes.get_ylim(), axes.get_zlim()])
    room = 1e-9 * np.ptp(limits, axis=1)
    clouds = [np.array(line.get_data_3d(), dtype=float) for line in axes.lines]
    clouds += [np.array(part._offsets3d, dtype=float) for part in axes.collections if hasattr(part, "_offsets3d")]
    for points in clouds:
        if points.size:
            assert (points >= (limits[:, 0] - room)[:, None]).all()
            assert (points <= (limits[:, 1] + room)[:, None]).all()
