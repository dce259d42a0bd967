"""The ellipse around a spectrum whose Chebyshev polynomials, scaled to q(0) = 1, converge fastest.

References
----------
.. [1] T. A. Manteuffel, The Tchebychev iteration for nonsymmetric linear systems, Numerische Mathematik 28 (1977),
   307-327.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64, Inexact

from polyroots.polynomials import close_conjugates

# Number of points of a grid from which a search begins, the best ones.
_STARTS = 4


@dataclass(frozen=True)
class Ellipse:
    """A family of confocal ellipses with a real centre.

    Attributes
    ----------
    centre : float
    focus_squared : float
        Squared distance of the foci from the centre; negative if they lie above and below it.
    """

    centre: float
    focus_squared: float

    def factor(self, points: Complex128[np.ndarray, "n"]) -> float:
        """Return the asymptotic factor by which each further root reduces max |q| on these points."""
        return float(self.growth(points).max() / self.growth(np.zeros(1))[0])

    def roots(self, count: int) -> Complex128[np.ndarray, "n"]:
        """Return the roots of the Chebyshev polynomial, which lie between the foci."""
        offsets = np.cos((2 * np.arange(1, count + 1) - 1) * np.pi / (2 * count))
        # Made exactly symmetric, so that conjugates are exact and the middle root is the centre.
        offsets = (offsets - offsets[::-1]) / 2
        return close_conjugates(self.centre + cmath.sqrt(self.focus_squared) * offsets, 0.0)

    def growth(self, points: Inexact[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Return the sum of the semi-axes of the ellipse through each point."""
        focus = cmath.sqrt(self.focus_squared)
        axis = np.abs(points - self.centre - focus) + np.abs(points - self.centre + focus)
        return axis + np.sqrt(np.maximum(axis**2 - 4 * abs(self.focus_squared), 0.0))


def best_ellipse(points: Complex128[np.ndarray, "n"]) -> Ellipse:
    """Return the ellipse with the least convergence factor [1]_, an interval for real points.

    Parameters
    ----------
    points : (n,) complex128
        Points of the closed upper half-plane with real parts of one sign.

    Returns
    -------
    Ellipse
    """
    top = float(points.imag.max())
    low, high = float(points.real.min()), float(points.real.max())
    if top == 0:
        return Ellipse((low + high) / 2, ((high - low) / 2) ** 2)
    # In units of the largest modulus, so that the search doesn't depend on the scale of the spectrum.
    unit = float(np.abs(points).max())
    rim_and_zero = np.append(_rim(points / unit), 0)

    def factor(x: Float64[np.ndarray, "2"]) -> float:
        growth = Ellipse(float(x[0]), float(x[1])).growth(rim_and_zero)
        return float(growth[:-1].max() / growth[-1])

    starts = sorted(_starts(low / unit, high / unit, top / unit), key=factor)[:_STARTS]
    found = [_search(factor, start) for start in starts]
    centre, focus_squared = min(found, key=factor)
    return Ellipse(unit * float(centre), unit**2 * float(focus_squared))


def _starts(low: float, high: float, top: float) -> list[Float64[np.ndarray, "2"]]:
    """Return centres and squared foci on a grid: wide and high ellipses around and beside the spectrum, and circles."""
    sign = 1.0 if low + high > 0 else -1.0
    centres = np.append(np.linspace(low, high, 9), (low + high) / 2 + sign * top * np.geomspace(0.05, 2, 5))
    sizes = ((high - low) / 2) ** 2 + top**2
    foci = sizes * np.concatenate([[0.0], *(side * np.geomspace(1e-3, 1e3, 13) for side in (1, -1))])
    return [np.array([centre, focus]) for centre in centres for focus in foci]


def _search(
    factor: Callable[[Float64[np.ndarray, "2"]], float], start: Float64[np.ndarray, "2"]
) -> Float64[np.ndarray, "2"]:
    """Return a minimum by a simplex search, restarted from its result.

    The factor has kinks where the outermost point changes and at circles, and a simplex can stop there too early.
    """
    from scipy.optimize import minimize

    best = start
    for step in (0.1, 0.03, 0.01, 0.1):
        steps = step * np.maximum(np.abs(best), 0.1)
        simplex = best + np.array([[0, 0], [steps[0], 0], [0, steps[1]]])
        options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 2000, "initial_simplex": simplex}
        best = minimize(factor, best, method="Nelder-Mead", options=options).x
    return best


def _rim(points: Complex128[np.ndarray, "n"]) -> Complex128[np.ndarray, "m"]:
    """Return the corners of the convex hull of points and their conjugates: an ellipse around them holds all points."""
    from scipy.spatial import ConvexHull, QhullError

    both = np.unique(np.concatenate([points, points.conj()]))
    try:
        corners = both[ConvexHull(np.stack([both.real, both.imag], axis=-1)).vertices]
    except QhullError:
        # Fewer than three points, or points on a line.
        return points
    return corners[corners.imag >= 0]
