"""The surface of |q| over a spectrum."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from polyroots.errors import InputError
from polyroots.plotting.style import COLOUR_MAP, EIGENVALUE, ROOT, style
from polyroots.polynomial import ResidualPolynomial

_RADII, _ANGLES = 160, 361
_ELEVATION, _AZIMUTH = 30, -58
_BOX = (1.0, 1.0, 0.8)


def draw_surface(
    values: Complex128[np.ndarray, "N"], q: ResidualPolynomial, title: str, max_points: int = 4000
) -> Figure:
    """Draw the surface of |q| over the convex hull of a spectrum, with the eigenvalues on it and the roots marked.

    Parameters
    ----------
    values : (N,) complex128
        Eigenvalues.
    q : ResidualPolynomial
    title : str
    max_points : int
        Of more eigenvalues than this an even subset is drawn; the hull is that of all.

    Raises
    ------
    InputError
        If the eigenvalues lie on a line, over which there is no surface.
    """
    boundary = hull(values)
    grid = _fill(boundary)
    height = np.abs(q(grid))
    points = values[:: max(1, -(-len(values) // max_points))]
    top = float(height.max())
    floor = -0.35 * top

    with style():
        figure = Figure(figsize=(6.4, 5.0))
        # Any: matplotlib types the result as two-dimensional axes.
        axes: Any = figure.add_axes((-0.03, -0.01, 0.92, 0.92), projection="3d", computed_zorder=False)
        axes.set_proj_type("ortho")
        axes.view_init(elev=_ELEVATION, azim=_AZIMUTH)
        axes.set_box_aspect(_BOX, zoom=0.92)
        axes.set_xlim(*_padded(boundary.real))
        axes.set_ylim(*_padded(boundary.imag))
        axes.set_zlim(floor, 1.02 * top)
        scale = np.array([np.ptp(limits) for limits in (axes.get_xlim(), axes.get_ylim(), axes.get_zlim())])
        toward = _toward_eye(scale)
        norm = Normalize(0, top)
        axes.contourf(
            grid.real, grid.imag, height, levels=12, zdir="z", offset=floor, cmap=COLOUR_MAP, norm=norm, zorder=0
        )
        axes.plot(boundary.real, boundary.imag, floor, color="0.25", linewidth=0.6, zorder=1)
        axes.plot_surface(
            grid.real,
            grid.imag,
            height,
            cmap=COLOUR_MAP,
            norm=norm,
            rcount=_RADII,
            ccount=_ANGLES,
            linewidth=0,
            antialiased=False,
            rasterized=True,
            zorder=2,
        )
        seen = ~_hidden(points, q, boundary, toward, top)
        axes.scatter(
            points.real[seen],
            points.imag[seen],
            np.abs(q(points[seen])),
            s=1.2,
            color=EIGENVALUE,
            alpha=0.6,
            linewidths=0,
            depthshade=False,
            rasterized=True,
            zorder=3,
            label=f"eigenvalues ({len(points):,} of {len(values):,})" if len(points) < len(values) else "eigenvalues",
        )
        roots = q.roots
        for root in roots:
            axes.plot([root.real] * 2, [root.imag] * 2, [floor, 0], color=ROOT, linewidth=0.8, linestyle=":", zorder=4)
        behind = _hidden(roots, q, boundary, toward, top)
        for which, face, edge, label in ((~behind, ROOT, "white", "roots"), (behind, "none", ROOT, "roots behind")):
            if which.any():
                axes.plot(
                    roots.real[which],
                    roots.imag[which],
                    np.zeros(which.sum()),
                    "o",
                    markersize=6,
                    markerfacecolor=face,
                    markeredgecolor=edge,
                    markeredgewidth=0.9,
                    zorder=5,
                    label=label,
                )
        axes.set_zticks([tick for tick in axes.get_zticks() if 0 <= tick <= top])
        axes.set_xlabel("Re $\\lambda$")
        axes.set_ylabel("Im $\\lambda$")
        figure.suptitle(title, y=0.98)
        legend: Any = figure.legend(*axes.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.01, 0.89))
        legend.legend_handles[0].set_sizes([14])
        bar = figure.add_axes((0.89, 0.28, 0.022, 0.5))
        figure.colorbar(ScalarMappable(norm, COLOUR_MAP), cax=bar, label=f"$|q_{{{len(roots)}}}(\\lambda)|$")
    return figure


def hull(values: Complex128[np.ndarray, "N"]) -> Complex128[np.ndarray, "M"]:
    """Corners of the convex hull, counter-clockwise, the first one repeated at the end.

    Raises
    ------
    InputError
        If the points lie on a line.
    """
    points = np.stack([values.real, values.imag], axis=-1)
    extent = np.ptp(points, axis=0)
    try:
        if extent.min() <= 1e-9 * extent.max():
            raise QhullError
        corners = ConvexHull(points).vertices
    except (QhullError, ValueError) as error:
        raise InputError(
            "the eigenvalues lie on a line, and a surface needs an area to stand on: expected a spectrum with real and "
            "imaginary parts"
        ) from error
    return values[np.append(corners, corners[0])]


def _fill(boundary: Complex128[np.ndarray, "M"]) -> Complex128[np.ndarray, "R T"]:
    """Grid over a convex polygon: rays from its centre to its boundary."""
    centre = boundary[:-1].mean()
    angles = np.linspace(0, 2 * np.pi, _ANGLES)
    radii: Float64[np.ndarray, "T"] = np.full(_ANGLES, np.inf)
    for start, end in zip(boundary[:-1] - centre, boundary[1:] - centre, strict=True):
        # The ray t exp(i angle) meets the edge's line where its component along the outer normal is the edge's.
        normal = -1j * (end - start)
        along = (np.exp(1j * angles) * np.conj(normal)).real
        distance = (start * np.conj(normal)).real
        with np.errstate(divide="ignore"):
            radii = np.where(along > 0, np.minimum(radii, distance / along), radii)
    return centre + np.outer(np.linspace(0, 1, _RADII), radii * np.exp(1j * angles))


def _padded(numbers: Float64[np.ndarray, "M"]) -> tuple[float, float]:
    margin = 0.04 * float(np.ptp(numbers))
    return float(numbers.min()) - margin, float(numbers.max()) + margin


def _toward_eye(scale: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
    """Direction from the scene to the eye of the orthographic view, in the data's units."""
    elevation, azimuth = np.radians([_ELEVATION, _AZIMUTH])
    in_box = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    return in_box / _BOX * scale


def _hidden(
    points: Complex128[np.ndarray, "N"],
    q: ResidualPolynomial,
    boundary: Complex128[np.ndarray, "M"],
    toward: Float64[np.ndarray, "3"],
    top: float,
) -> NDArray[np.bool_]:
    """Whether the surface stands between a point on it and the eye: matplotlib draws in layers and doesn't know.

    It does if the ray from the point to the eye crosses the surface. A ray that starts below the surface and leaves
    the hull there shows the point from underneath.
    """
    height = np.abs(q(points))
    hidden = np.zeros(len(points), dtype=bool)
    below: NDArray[np.bool_] | None = None
    # From a little off the point to where every ray is above the surface.
    for t in np.linspace(0.02, 1, 200) * (top / toward[2]):
        there = points + t * complex(toward[0], toward[1])
        inside = _inside(there, boundary)
        now = np.abs(q(there)) > height + t * toward[2]
        if below is not None:
            hidden |= inside & (now != below)
        below = now
    return hidden


def _inside(points: Complex128[np.ndarray, "N"], boundary: Complex128[np.ndarray, "M"]) -> NDArray[np.bool_]:
    """Whether points lie in a convex polygon, corners counter-clockwise."""
    inside = np.ones(len(points), dtype=bool)
    for start, end in pairwise(boundary):
        inside &= ((points - start) * np.conj(1j * (end - start))).real >= 0
    return inside
