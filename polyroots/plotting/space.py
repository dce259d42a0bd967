"""Layout of a picture with three-dimensional axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure, SubFigure
from matplotlib.transforms import Bbox
from mpl_toolkits.mplot3d import proj3d

from polyroots.plotting.style import lines_of

#: Relative lengths of the box's edges.
BOX = (1.0, 1.0, 0.8)


def arrange(
    figure: Figure | SubFigure, axes: Any, title: str, handles: list[Any], colours: ScalarMappable, *, is_small: bool
) -> None:
    """Add title, legend and colour bar, and scale the axes so that they fill the room between them."""
    root = axes.get_figure(root=True)
    width, height = figure.bbox.width / root.dpi, figure.bbox.height / root.dpi
    top = height - 0.04
    if title:
        figure.suptitle(title, y=1 - 0.04 / height, va="top")
        top -= 0.16 * lines_of(title)
    legend = figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, top / height),
        borderaxespad=0.2,
        ncols=2 if is_small else 1,
    )
    right = width - (0.62 if is_small else 0.72)
    bar = figure.add_axes(((right + 0.16) / width, 0.2, 0.1 / width, 0.55))
    figure.colorbar(colours, cax=bar)
    # In one column of a paper the legend is above the box; else it is beside the upper corner.
    above = (0.95 if is_small else 0.35) * legend.get_window_extent().height / root.dpi
    x, y = figure.bbox.x0 / root.dpi, figure.bbox.y0 / root.dpi
    _fill(axes, Bbox.from_extents(x + 0.02, y + 0.03, x + right, y + top - above))


def _fill(axes: Any, room: Bbox) -> None:
    """Scale and move three-dimensional axes so that their box, ticks and names fill a rectangle in inches."""
    root = axes.get_figure(root=True)
    artists = [artist for artist in axes.get_children() if artist.get_visible() and not isinstance(artist, Axis)]
    for artist in artists:
        artist.set_visible(False)
    renderer = RendererAgg(root.bbox.width, root.bbox.height, root.dpi)
    zoom, step, shift = 1.0, 1.0, np.zeros(2)
    # Letters keep their size, so that each time is more exact.
    for _ in range(3):
        zoom *= step
        axes.set_box_aspect(BOX, zoom=zoom)
        place = axes.get_position().translated(*(shift * root.dpi / axes.figure.bbox.size))
        axes.set_position(place)
        root.draw_without_rendering()
        parts = [axis.get_tightbbox(renderer) for axis in (axes.xaxis, axes.yaxis, axes.zaxis)]
        ends = Bbox.union([*parts, _extent(axes)]).get_points() / root.dpi
        step = float((room.size / np.ptp(ends, axis=0)).min())
        shift = room.get_points().mean(axis=0) - ends.mean(axis=0)
    # Axes in the square around the box: matplotlib takes larger ones for a part of the picture.
    box, parent = _extent(axes), axes.figure.bbox
    side = 1.01 * max(box.width, box.height)
    centre = (box.get_points().mean(axis=0) - parent.get_points()[0]) / parent.size
    axes.set_box_aspect(BOX, zoom=zoom * min(axes.bbox.size) / side)
    axes.set_position([*(centre - 0.5 * side / parent.size), *(side / parent.size)])
    for artist in artists:
        artist.set_visible(True)


def _extent(axes: Any) -> Bbox:
    """Return the extent of the box of three-dimensional axes on the picture."""
    limits = np.meshgrid(axes.get_xlim(), axes.get_ylim(), axes.get_zlim())
    x, y, _ = proj3d.proj_transform(*(part.ravel() for part in limits), axes.get_proj())
    corners = axes.transData.transform(np.stack([x, y], axis=-1))
    return Bbox([corners.min(axis=0), corners.max(axis=0)])
