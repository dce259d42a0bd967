"""The ellipse around a spectrum whose Chebyshev polynomials are smallest beside q(0) = 1.

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
from jaxtyping import Complex128
from scipy.optimize import minimize

from polyroots.polynomials import close_conjugates


@dataclass(frozen=True)
class Ellipse:
    """Ellipses with common foci on a line through the centre, which is real.

    Attributes
    ----------
    centre : float
    focus_squared : float
        Squared distance of the foci from the centre; negative where they lie above and below it.
    """

    centre: float
    focus_squared: float

    def factor(self, points: Complex128[np.ndarray, "n"]) -> float:
        """Asymptotic convergence factor: by which each further root reduces max |q| on these points."""
        return float(self._growth(points).max() / self._growth(np.zeros(1))[0])

    def roots(self, count: int) -> Complex128[np.ndarray, "count"]:
        """Roots of the Chebyshev polynomial: on the line between the foci."""
        offsets = np.cos((2 * np.arange(1, count + 1) - 1) * np.pi / (2 * count))
        # Symmetric to the last bit, so that conjugates are, and the one in the middle is the centre.
        offsets = (offsets - offsets[::-1]) / 2
        return close_conjugates(self.centre + cmath.sqrt(self.focus_squared) * offsets, 0.0)

    def _growth(self, points: Complex128[np.ndarray, "n"]) -> np.ndarray:
        """Sum of the semi-axes of the ellipse through each point."""
        focus = cmath.sqrt(self.focus_squared)
        axis = np.abs(points - self.centre - focus) + np.abs(points - self.centre + focus)
        return axis + np.sqrt(np.maximum(axis**2 - 4 * abs(self.focus_squared), 0.0))


def best_ellipse(points: Complex128[np.ndarray, "n"]) -> Ellipse:
    """Minimise the convergence factor over centre and foci (Manteuffel [1]_); an interval for real points.

    Parameters
    ----------
    points : (n,) complex128
        In the closed upper half-plane, on one side of 0.
    """
    low, high = float(points.real.min()), float(points.real.max())
    top = float(points.imag.max())
    centre, half = (low + high) / 2, (high - low) / 2
    start = Ellipse(centre, half**2 - top**2)
    if top == 0:
        return start
    unit = math.hypot(half, top)

    def factor(x: np.ndarray) -> float:
        # Beyond 1 the ellipse through the points holds 0.
        return Ellipse(centre + unit * x[0], unit**2 * x[1]).factor(points)

    best = np.array([0.0, start.focus_squared / unit**2])
    # The factor has kinks, where two points change places: a simplex search, started anew from where it got stuck.
    for _ in range(4):
        found = minimize(factor, best, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 2000})
        best = found.x
    return Ellipse(centre + unit * float(best[0]), unit**2 * float(best[1]))
