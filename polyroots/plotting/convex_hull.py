"""The convex hull of a spectrum: a grid over it, and the points that a surface over it hides."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Complex128, Float64
from scipy.spatial import ConvexHull, QhullError

from polyroots.errors import InputError
from polyroots.polynomials import ResidualPolynomial

_RADII, _ANGLES = 160, 361


def hull(values: Complex128[np.ndarray, "N"]) -> Complex128[np.ndarray, "M"]:
    """Return the corners of the convex hull, counter-clockwise, with the first one repeated at the end.

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
            "the eigenvalues lie on a line, over which there is no surface: expected a spectrum with real and "
            "imaginary parts"
        ) from error
    return values[np.append(corners, corners[0])]


def fill(
    boundary: Complex128[np.ndarray, "M"], rings: int = _RADII, rays: int = _ANGLES
) -> Complex128[np.ndarray, "rings rays"]:
    """Return a grid over a convex polygon: rings times rays, the first ray repeated at the end.

    The rays go from the centre to the boundary and pass through every corner. Their angles are even after scaling the
    polygon to equal width and height, so that a flat polygon is filled as well.
    """
    width, height = np.ptp(boundary.real), np.ptp(boundary.imag)
    centre = boundary[:-1].mean()
    corners = (boundary.real - centre.real) / width + 1j * (boundary.imag - centre.imag) / height
    angles = np.union1d(np.linspace(-np.pi, np.pi, rays), np.angle(corners))
    radii: Float64[np.ndarray, "rays"] = np.full(len(angles), np.inf)
    for start, end in pairwise(corners):
        # The ray t exp(i angle) meets the edge's line where its component along the outer normal is the edge's.
        normal = -1j * (end - start)
        along = (np.exp(1j * angles) * np.conj(normal)).real
        distance = (start * np.conj(normal)).real
        with np.errstate(divide="ignore"):
            radii = np.where(along > 0, np.minimum(radii, distance / along), radii)
    grid = np.outer(np.linspace(0, 1, rings), radii * np.exp(1j * angles))
    return centre + width * grid.real + 1j * height * grid.imag


def is_hidden(
    points: Complex128[np.ndarray, "N"],
    q: ResidualPolynomial,
    boundary: Complex128[np.ndarray, "M"],
    toward: Float64[np.ndarray, "3"],
    top: float,
) -> Bool[np.ndarray, "N"]:
    """Return whether the surface of |q| hides each of some points on it: whether the ray to the eye crosses it.

    matplotlib draws layer by layer without depth, so that hidden points have to be left out. A ray that starts below
    the surface and leaves the hull there shows the point from underneath.
    """
    height = np.abs(q(points))
    hidden = np.zeros(len(points), dtype=bool)
    below: Bool[np.ndarray, "N"] | None = None
    # From next to the point to where every ray is above the surface.
    for t in np.linspace(0.02, 1, 200) * (top / toward[2]):
        there = points + t * complex(toward[0], toward[1])
        inside = is_inside(there, boundary)
        now = np.abs(q(there)) > height + t * toward[2]
        if below is not None:
            hidden |= inside & (now != below)
        below = now
    return hidden


def is_inside(points: Complex128[np.ndarray, "N"], boundary: Complex128[np.ndarray, "M"]) -> Bool[np.ndarray, "N"]:
    """Whether each point lies in a convex polygon with counter-clockwise corners."""
    inside = np.ones(len(points), dtype=bool)
    for start, end in pairwise(boundary):
        inside &= ((points - start) * np.conj(1j * (end - start))).real >= 0
    return inside
