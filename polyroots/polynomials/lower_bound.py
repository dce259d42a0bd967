"""A lower bound on max |q| in ball arithmetic, proven whatever the weights are that it is computed from.

Any weights w on some points z_j bound the maximum of every residual polynomial with n roots,

    max_j |q(z_j)|^2  >=  min_q sum_j w_j |q(z_j)|^2 = 1 / (G^-1)_11,   w >= 0,  sum w = 1,

with the Gram matrix G of the monomials 1, t, ..., t^n. In floating point the minimum is a residual that rounding errors
make too large once it is small. Points, weights and fixed roots are floating-point numbers, so that G is known exactly,
and FLINT's balls [1]_ hold the rounding errors of all that follows.

References
----------
.. [1] F. Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Transactions on
   Computers 66 (2017), 1281-1292.
"""

from __future__ import annotations

from collections.abc import Sequence

import flint
import numpy as np
from jaxtyping import Complex128, Float64

# Working precision in bits: at first, and for each root; the monomials of n roots are nearly dependent. It is doubled
# until the ball is small.
_BITS, _BITS_A_ROOT, _DOUBLINGS = 128, 16, 3
# Radius of a small ball, relative to its midpoint.
_RADIUS = 1e-9


def proven_lower_bound(
    points: Complex128[np.ndarray, "k"],
    weights: Float64[np.ndarray, "k"],
    count: int,
    prior: Sequence[complex] = (),
) -> float:
    """Return a lower bound on max |q| over points among all q with `count` free roots beside fixed ones.

    Parameters
    ----------
    points : (k,) complex128
        Points that are off the real axis stand for their conjugates as well.
    weights : (k,) float64
        Not negative.
    count : int
        Number of roots that are not fixed.
    prior : sequence of complex
        The fixed roots, closed under conjugation.

    Returns
    -------
    float
        At most the minimum, rounded down; 0 if nothing is proven.

    Examples
    --------
    One root on the points 1 and 3: the weights 3/4 and 1/4 prove that |q| can't be below 1/2 on both.

    >>> print(proven_lower_bound(np.array([1, 3 + 0j]), np.array([0.75, 0.25]), 1) > 0.4999999999)
    True
    """
    is_used = weights > 0
    points, weights = points[is_used], weights[is_used]
    if not len(points) or not np.isfinite(weights).all():
        return 0.0
    for doubling in range(_DOUBLINGS + 1):
        with flint.ctx.workprec((_BITS + _BITS_A_ROOT * count) << doubling):
            squared = _least_square(points, weights, count, prior)
            if squared is not None:
                lower = float(squared.sqrt().lower())
                return max(0.0, float(np.nextafter(lower, -1.0)))
    return 0.0


def _least_square(
    points: Complex128[np.ndarray, "k"], weights: Float64[np.ndarray, "k"], count: int, prior: Sequence[complex]
) -> flint.arb | None:
    """Return the minimum of the weighted mean of |q|^2 as a small ball, or None if the precision is too low for one."""
    rows: list[list[flint.arb]] = []
    weighted: list[list[flint.arb]] = []
    for point, weight in zip(points.tolist(), weights.tolist(), strict=True):
        z, term = flint.acb(point.real, point.imag), flint.acb(1)
        for root in prior:
            term *= 1 - z / flint.acb(complex(root).real, complex(root).imag)
        powers = [term]
        for _ in range(count):
            powers.append(powers[-1] * z)
        parts = [[power.real for power in powers]]
        if point.imag or any(complex(root).imag for root in prior):
            parts.append([power.imag for power in powers])
        rows += parts
        weighted += [[part * weight for part in row] for row in parts]
    if len(rows) <= count:
        # So few conditions that some q is zero at all points.
        return None
    gram = flint.arb_mat(rows).transpose() * flint.arb_mat(weighted)
    first = flint.arb_mat(count + 1, 1, [1] + [0] * count)
    try:
        inverse = gram.solve(first)[0, 0]
    except ZeroDivisionError:
        return None
    total = sum((flint.arb(weight) for weight in weights.tolist()), flint.arb(0))
    least = 1 / (inverse * total)
    is_small = least.is_finite() and least > 0 and float(least.rad()) <= _RADIUS * float(least.mid())
    return least if is_small else None
