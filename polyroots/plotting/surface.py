"""The surface of |q| over a spectrum."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Complex128, Float64
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LightSource
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import ArrayLike

from polyroots.errors import InputError
from polyroots.plotting.convex_hull import fill, hull, is_hidden
from polyroots.plotting.magnitude import magnitude_colours
from polyroots.plotting.printing import print_height, titled
from polyroots.plotting.room import extent, wrapped
from polyroots.plotting.space import BOX, arrange, legend_under
from polyroots.plotting.style import EIGENVALUE, REFERENCE, ROOT, style
from polyroots.polynomials import ResidualPolynomial

_ELEVATION, _AZIMUTH = 30, -58
# Widths below this, in inches, have the layout of one column; widths above this would be empty at the sides.
_SMALL, _WIDEST = 4.5, 5.6
_LIGHT = LightSource(azdeg=250, altdeg=60)
#: A surface that is everywhere below this would look flat under a plane at 1.
FAR_BELOW = 0.4


def draw_surface(
    spectrum: ArrayLike,
    q: ResidualPolynomial,
    title: str = "",
    max_points: int = 4000,
    width: float | None = None,
    *,
    fig: Figure | SubFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Return a picture of the surface of |q| over the convex hull of a spectrum.

    It shows eigenvalues, roots, the contours on the floor and, unless the whole surface is far below it, the plane
    |q| = 1.

    Parameters
    ----------
    spectrum : Spectrum, or (N,) array_like of complex
        Eigenvalues.
    q : ResidualPolynomial
    title : str
    max_points : int
        An even subset of this size is drawn of more eigenvalues; the hull is that of all.
    width : float, optional
        In inches, for print, with letters of the size that they have on paper.
    fig : matplotlib.figure.Figure or SubFigure, optional
        An empty figure to draw in; by default a new one.
    ax : three-dimensional Axes, optional
        Axes to draw in, with a colour bar beside them; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the eigenvalues lie on a line, so that their hull has no area, or `ax` is not three-dimensional.

    See Also
    --------
    draw_contours : The same as bands in the plane.
    """
    values = np.asarray(spectrum, dtype=complex)
    _require_space(ax)
    boundary = hull(values)
    grid = fill(boundary)
    on_grid = np.abs(q(grid))
    points = values[:: max(1, -(-len(values) // max_points))]
    has_plane = float(on_grid.max()) >= FAR_BELOW
    top = max(float(on_grid.max()), 1.0) if has_plane else float(on_grid.max())
    floor = -0.35 * top

    with nullcontext() if ax is not None else style(width):
        across = min(width or 6.4, _WIDEST if width else 6.4)
        is_small = across < _SMALL
        lines = wrapped(titled(title), across)
        above = extent(lines, mpl.rcParams["figure.titlesize"])[1] if lines else 0.0
        height = print_height((0.78 if is_small else 0.62) * across + 0.5 * mpl.rcParams["font.size"] / 72 + above)
        figure = fig or (Figure(figsize=(across, height)) if ax is None else ax.figure)
        name = f"$|q_{{{len(q.roots)}}}(\\lambda)|$"
        # Any: matplotlib types three-dimensional axes as two-dimensional ones.
        axes: Any = figure.add_axes((0, 0, 1, 1), projection="3d") if ax is None else ax
        _set_limits(axes, boundary, (floor, top))
        if ax is not None:
            across = axes.bbox.width / axes.get_figure(root=True).dpi
        _set_ticks(axes, top, name, across, is_small=is_small and ax is None)
        shown = f"eigenvalues ({len(points):,} of {len(values):,})" if len(points) < len(values) else "eigenvalues"
        colours = magnitude_colours(float(on_grid.max()), is_far_below=not has_plane)
        _draw_floor(axes, grid, on_grid, floor, colours)
        axes.plot(boundary.real, boundary.imag, floor, color="0.25", linewidth=0.6, zorder=1)
        sight = _toward_eye(np.array([np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim()), np.ptp(axes.get_zlim())]))
        on_points = np.abs(q(points))
        seen = ~is_hidden(points, q, boundary, sight, top)
        surface = _Surface(axes, grid, on_grid, points, on_points, colours, 0.5 if is_small else 1.2)
        # Seen from above, the plane covers the surface below it and is covered by the surface above it: three layers in
        # this order.
        surface.draw(0, seen & (on_points <= 1 if has_plane else True), 2)
        if has_plane:
            _draw_plane(axes)
            if on_grid.max() > 1:
                surface.draw(1, seen & (on_points > 1), 3)
        _draw_roots(axes, q.roots, is_hidden(q.roots, q, boundary, sight, top), floor, 6 if width is None else 5)
        handles = _handles(axes, shown, has_plane)
        if ax is not None:
            room = axes.get_position(original=True).width * axes.figure.bbox.width
            figure.colorbar(colours, ax=axes, shrink=0.6, pad=0.22)
            if lines:
                axes.set_title(title)
            legend_under(axes, handles, room)
        else:
            arrange(figure, axes, lines, handles, colours, is_small=is_small)
    root: Figure = axes.get_figure(root=True)
    return root


def _require_space(ax: Axes | None) -> None:
    """Raise InputError unless axes are three-dimensional."""
    if ax is not None and ax.name != "3d":
        raise InputError("a surface needs three-dimensional axes; make them with projection='3d', or leave ax out")


def _set_ticks(axes: Any, top: float, name: str, across: float, *, is_small: bool) -> None:
    """Set the names of the axes and ticks of the height, with one at the plane."""
    axes.set_xlabel("Re $\\lambda$")
    axes.set_ylabel("Im $\\lambda$")
    axes.set_zlabel(name)
    axes.zaxis.set_rotate_label(False)
    axes.zaxis.label.set_rotation(90)
    line = mpl.rcParams["font.size"] / (72 * 0.27 * across)
    heights = np.asarray(MaxNLocator(int(np.clip(0.75 / line, 2, 5)), steps=[1, 2, 5, 10]).tick_values(0, top))
    heights = heights[(heights >= 0) & (heights <= top)]
    if top >= 1:
        # Others would overlap it.
        heights = np.sort(np.append(heights[np.abs(heights - 1) > 1.2 * line * top], 1.0))
    axes.set_zticks(heights)
    # Numbers of about four letters, along half of the picture.
    bins = max(2, int(across / (6.5 * mpl.rcParams["font.size"] / 72)))
    # At the corner that is next to the eye the last number of one axis would overlap the first one of the other.
    corner = (0.06 if is_small else 0.03) * mpl.rcParams["font.size"] / 7.5
    for axis, (low, high), ends in ((axes.xaxis, axes.get_xlim(), (0, 1)), (axes.yaxis, axes.get_ylim(), (1, 0))):
        ticks = np.asarray(MaxNLocator(bins).tick_values(low, high))
        margin = corner * (high - low)
        axis.set_ticks(ticks[(ticks >= low + ends[0] * margin) & (ticks <= high - ends[1] * margin)])
    if is_small:
        # Larger letters need more of the room between the axes and their names.
        more = mpl.rcParams["font.size"] - 7.5
        for axis, pad, label in ((axes.xaxis, -4, -9), (axes.yaxis, -4, -8), (axes.zaxis, -1, -3)):
            axis.set_tick_params(pad=pad)
            axis.labelpad = label + more


def _draw_floor(
    axes: Any,
    grid: Complex128[np.ndarray, "rings rays"],
    on_grid: Float64[np.ndarray, "rings rays"],
    floor: float,
    colours: ScalarMappable,
) -> None:
    """Draw the contours of |q| on the floor."""
    levels = _floor_levels(float(on_grid.max()))
    look: dict[str, Any] = {"cmap": colours.get_cmap(), "norm": colours.norm, "zorder": 0}
    axes.contourf(grid.real, grid.imag, on_grid, levels=levels, zdir="z", offset=floor, **look)


def _floor_levels(largest: float) -> Float64[np.ndarray, "levels"]:
    """Return levels of the contours on the floor: even ones, one of which is 1."""
    if largest <= 1:
        return np.linspace(0, largest or 1.0, 13)
    # At least four below 1, beside which those above 1 may be sparse.
    step = 1 / max(4, round(12 / largest))
    return np.append(np.arange(0, 1, step), np.linspace(1, largest, max(2, min(9, int((largest - 1) / step)))))


def _set_limits(axes: Any, boundary: Complex128[np.ndarray, "M"], heights: tuple[float, float]) -> None:
    """Set the limits around a hull from the floor to the top, and the view with which hidden points are found."""
    axes.computed_zorder = False
    axes.set_proj_type("ortho")
    axes.set_box_aspect(BOX)
    axes.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    floor, top = heights
    axes.set_xlim(*_padded(boundary.real))
    axes.set_ylim(*_padded(boundary.imag))
    axes.set_zlim(floor, 1.02 * top)


@dataclass(frozen=True)
class _Surface:
    """The surface with the eigenvalues on it, drawn in layers."""

    axes: Any
    grid: Complex128[np.ndarray, "rings rays"]
    height: Float64[np.ndarray, "rings rays"]
    points: Complex128[np.ndarray, "n"]
    on_points: Float64[np.ndarray, "n"]
    colours: ScalarMappable
    point_size: float

    def draw(self, above: float, shown: Bool[np.ndarray, "n"], order: int) -> None:
        """Draw the cells of the grid that have a corner above a height, and some of the eigenvalues."""
        is_drawn = self._cells[..., 2].max(axis=-1) > above
        # Arrays: for the same cells, plot_surface takes as long as the rest of the picture.
        self.axes.add_collection3d(
            Poly3DCollection(
                self._cells[is_drawn],
                facecolors=self._shaded[:-1, :-1][is_drawn],
                linewidths=0,
                antialiased=False,
                rasterized=True,
                zorder=order,
            )
        )
        self.axes.scatter(
            self.points.real[shown],
            self.points.imag[shown],
            self.on_points[shown],
            s=self.point_size,
            color=EIGENVALUE,
            alpha=0.6,
            linewidths=0,
            depthshade=False,
            rasterized=True,
            zorder=order + 0.2,
        )

    @cached_property
    def _cells(self) -> Float64[np.ndarray, "rows columns 4 3"]:
        """Return the corners of the cells of the grid."""
        vertices = np.stack([self.grid.real, self.grid.imag, self.height], axis=-1)
        return np.stack([vertices[:-1, :-1], vertices[:-1, 1:], vertices[1:, 1:], vertices[1:, :-1]], axis=2)

    @cached_property
    def _shaded(self) -> Float64[np.ndarray, "rings rays 4"]:
        """Return the colours of |q|, lit from one side."""
        colours = self.colours.to_rgba(self.height)
        x, y = self.grid.real / np.ptp(self.grid.real), self.grid.imag / np.ptp(self.grid.imag)
        box = np.stack([x, y, 0.8 * self.height / (self.height.max() or 1.0)])
        along = [np.gradient(box, axis=axis) for axis in (1, 2)]
        normal = np.cross(along[0], along[1], axis=0)
        size = np.linalg.norm(normal, axis=0)
        cosine = np.abs(np.tensordot(_LIGHT.direction, normal, axes=1)) / np.where(size > 0, size, 1)
        colours[..., :3] *= (0.78 + 0.22 * cosine)[..., None]
        return colours


def _draw_roots(
    axes: Any, roots: Complex128[np.ndarray, "d"], behind: Bool[np.ndarray, "d"], floor: float, marker_size: float
) -> None:
    """Mark the roots in the box at height 0, above lines from the floor: dots before the surface, rings behind it."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    is_inside = (left <= roots.real) & (roots.real <= right) & (low <= roots.imag) & (roots.imag <= high)
    outside = f" ({(~is_inside).sum()} outside)" if not is_inside.all() else ""
    roots, behind = roots[is_inside], behind[is_inside]
    for root in roots:
        axes.plot([root.real] * 2, [root.imag] * 2, [floor, 0], color=ROOT, linewidth=0.8, linestyle=":", zorder=4)
    for which, face, edge, label in (
        (~behind, ROOT, "white", f"roots{outside}"),
        (behind, "none", ROOT, "roots behind"),
    ):
        # All may be outside: the legend then says so beside an empty line.
        if which.any() or (outside and face == ROOT):
            axes.plot(
                roots.real[which],
                roots.imag[which],
                np.zeros(which.sum()),
                "o",
                markersize=marker_size,
                markerfacecolor=face,
                markeredgecolor=edge,
                markeredgewidth=0.9,
                zorder=5,
                label=label,
            )


def _handles(axes: Any, shown: str, has_plane: bool) -> list[Any]:
    """Return the entries of the legend."""
    handles = [Line2D([], [], linestyle="", marker=".", color=EIGENVALUE, markersize=4, label=shown)]
    handles += axes.get_legend_handles_labels()[0]
    if has_plane:
        handles.append(Line2D([], [], color=REFERENCE, linewidth=4, alpha=0.35, label="$|q| = 1$"))
    return handles


def _draw_plane(axes: Any) -> None:
    """Draw the translucent plane |q| = 1 over the whole floor."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x, y = np.array([[left, right], [left, right]]), np.array([[low, low], [high, high]])
    axes.plot_surface(x, y, np.ones((2, 2)), color=REFERENCE, alpha=0.22, shade=False, linewidth=0, zorder=2.5)
    rim = [(left, low), (right, low), (right, high), (left, high), (left, low)]
    axes.plot(*zip(*rim, strict=True), 1, color=REFERENCE, linewidth=0.5, alpha=0.7, zorder=2.6)


def _padded(numbers: Float64[np.ndarray, "M"]) -> tuple[float, float]:
    margin = 0.04 * float(np.ptp(numbers))
    return float(numbers.min()) - margin, float(numbers.max()) + margin


def _toward_eye(scale: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
    """Direction toward the eye of the orthographic view, in the units of the data."""
    elevation, azimuth = np.radians([_ELEVATION, _AZIMUTH])
    in_box = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    return in_box / BOX * scale
