"""The ellipse around a spectrum whose Chebyshev polynomials, scaled to q(0) = 1, converge fastest.

References
----------
.. [1] T. A. Manteuffel, The Tchebychev iteration for nonsymmetric linear systems, Numerische Mathematik 28 (1977),
   307-327.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64, Inexact
from scipy.optimize import minimize

from polyroots.polynomials import close_conjugates


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
        return float(self._growth(points).max() / self._growth(np.zeros(1))[0])

    def roots(self, count: int) -> Complex128[np.ndarray, "n"]:
        """Return the roots of the Chebyshev polynomial, which lie between the foci."""
        offsets = np.cos((2 * np.arange(1, count + 1) - 1) * np.pi / (2 * count))
        # Made exactly symmetric, so that conjugates are exact and the middle root is the centre.
        offsets = (offsets - offsets[::-1]) / 2
        return close_conjugates(self.centre + cmath.sqrt(self.focus_squared) * offsets, 0.0)

    def _growth(self, points: Inexact[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
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
    low, high = float(points.real.min()), float(points.real.max())
    top = float(points.imag.max())
    centre, half = (low + high) / 2, (high - low) / 2
    start = Ellipse(centre, half**2 - top**2)
    if top == 0:
        return start
    unit = math.hypot(half, top)

    def factor(x: Float64[np.ndarray, "2"]) -> float:
        return Ellipse(centre + unit * x[0], unit**2 * x[1]).factor(points)

    best = np.array([0.0, start.focus_squared / unit**2])
    # The factor has kinks where the outermost point changes. A simplex search can stop there too early, so it is
    # restarted from its result.
    for _ in range(4):
        found = minimize(factor, best, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 2000})
        best = found.x
    return Ellipse(centre + unit * float(best[0]), unit**2 * float(best[1]))
