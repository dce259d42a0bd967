"""Layout of a picture with three-dimensional axes."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import Bbox, ScaledTranslation
from mpl_toolkits.mplot3d import proj3d

from polyroots.plotting.room import extent, fitted_legend

#: Relative lengths of the box's edges.
BOX = (1.0, 1.0, 0.8)
# The box is lowest at this share of the height of its axes; its ticks and names need as many letters below it.
_LOWEST, _LETTERS = 0.075, 3.8


def arrange(
    figure: Figure | SubFigure, axes: Any, title: str, handles: list[Any], colours: ScalarMappable, *, is_small: bool
) -> None:
    """Add title, legend and colour bar, and scale the axes so that they fill the room between them."""
    root = axes.get_figure(root=True)
    width, height = figure.bbox.width / root.dpi, figure.bbox.height / root.dpi
    top = height - 0.04
    if title:
        figure.suptitle(title, y=1 - 0.04 / height, va="top")
        top -= extent(title, mpl.rcParams["figure.titlesize"])[1] + 0.03
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, top / height), "borderaxespad": 0.2}
    legend = fitted_legend(
        lambda columns: figure.legend(handles=handles, ncols=columns, **place),
        (2, 1) if is_small else (1,),
        0.99 * figure.bbox.width,
    )
    bar = figure.add_axes((0.5, 0.2, 0.1 / width, 0.55))
    figure.colorbar(colours, cax=bar)
    # The ticks stay as they are when the bar is moved.
    bar.yaxis.set_major_locator(FixedLocator(bar.get_yticks().tolist()))
    with_ticks = bar.get_tightbbox(RendererAgg(1, 1, root.dpi))
    assert with_ticks is not None
    right = width - 0.19 - (with_ticks.x1 - bar.bbox.x0) / root.dpi
    bar.set_position(((right + 0.16) / width, 0.2, 0.1 / width, 0.55))
    # In one column of a paper the legend is above the box; else it is beside the upper corner.
    above = (0.95 if is_small else 0.35) * legend.get_window_extent().height / root.dpi
    x, y = figure.bbox.x0 / root.dpi, figure.bbox.y0 / root.dpi
    _fill(axes, Bbox.from_extents(x + 0.03, y + 0.03, x + right, y + top - above))


def legend_under(axes: Any, handles: list[Any], width: float) -> None:
    """Add a legend under given axes and their letters, in two columns where these fit in a width in pixels."""
    root = axes.get_figure(root=True)
    # At the top of a place that is higher than wide, so that the legend has the rest.
    axes.set_anchor("N")
    letters = ScaledTranslation(0, -_LETTERS * mpl.rcParams["font.size"] / 72, root.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0, _LOWEST), "bbox_transform": axes.transAxes + letters}
    fitted_legend(
        lambda columns: axes.legend(handles=handles, ncols=columns, fontsize="small", borderaxespad=0, **place),
        (2, 1),
        width,
    )


def _fill(axes: Any, room: Bbox) -> None:
    """Scale and move three-dimensional axes so that their box, ticks and names fill a rectangle in inches."""
    root = axes.get_figure(root=True)
    artists = [artist for artist in axes.get_children() if artist.get_visible() and not isinstance(artist, Axis)]
    for artist in artists:
        artist.set_visible(False)
    zoom = 1.0
    # Letters keep their size, so that each time is more exact.
    for _ in range(3):
        ends = _with_letters(axes)
        zoom *= float(np.min(np.asarray(room.size) / ends.size))
        axes.set_box_aspect(BOX, zoom=zoom)
        shift = (room.get_points() - ends.get_points()).mean(axis=0)
        axes.set_position(axes.get_position().translated(*(shift * root.dpi / axes.figure.bbox.size)))
    zoom = _square(axes, zoom)
    # The distances of letters from the box depend on the size of the axes.
    for _ in range(4):
        ends = _with_letters(axes)
        place, step = axes.get_position(), float(np.min(np.asarray(room.size) / ends.size))
        shift = (room.get_points() - ends.get_points()).mean(axis=0) * root.dpi / axes.figure.bbox.size
        low = place.get_points().mean(axis=0) - 0.5 * step * place.size + shift
        axes.set_position([*low, *(step * place.size)])
        zoom = _square(axes, zoom)
    for artist in artists:
        artist.set_visible(True)


def _square(axes: Any, zoom: float) -> float:
    """Make axes the square around their box, as matplotlib takes larger ones for a part of the picture."""
    box, parent = _extent(axes), axes.figure.bbox
    side = 1.01 * max(box.width, box.height)
    centre = (box.get_points().mean(axis=0) - parent.get_points()[0]) / parent.size
    zoom *= min(axes.bbox.size) / side
    axes.set_box_aspect(BOX, zoom=zoom)
    axes.set_position([*(centre - 0.5 * side / parent.size), *(side / parent.size)])
    return zoom


def _with_letters(axes: Any) -> Bbox:
    """Return the extent in inches of the box of three-dimensional axes with its ticks and names."""
    root = axes.get_figure(root=True)
    renderer = RendererAgg(root.bbox.width, root.bbox.height, root.dpi)
    root.draw_without_rendering()
    parts = [axis.get_tightbbox(renderer) for axis in (axes.xaxis, axes.yaxis, axes.zaxis)]
    return Bbox(Bbox.union([*parts, _extent(axes)]).get_points() / root.dpi)


def _extent(axes: Any) -> Bbox:
    """Return the extent of the box of three-dimensional axes on the picture."""
    limits = np.meshgrid(axes.get_xlim(), axes.get_ylim(), axes.get_zlim())
    x, y, _ = proj3d.proj_transform(*(part.ravel() for part in limits), axes.get_proj())
    corners = axes.transData.transform(np.stack([x, y], axis=-1))
    return Bbox([corners.min(axis=0), corners.max(axis=0)])
