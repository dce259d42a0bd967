"""Lower bounds on max |q| and on the norm of q(A) in ball arithmetic, whatever weights they are computed from.

Any weights w on some points z_j bound the maximum of every residual polynomial with n roots,

    max_j |q(z_j)|^2  >=  min_q sum_j w_j |q(z_j)|^2 = 1 / (G^-1)_11,   w >= 0,  sum w = 1,

with the Gram matrix G of the monomials 1, t, ..., t^n. In floating point the minimum is a residual that rounding errors
make too large once it is small. Points, weights and fixed roots are floating-point numbers, so that G is known exactly,
and FLINT's balls [1]_ hold the rounding errors of all that follows.

Vectors v_j in the place of the points bound the norm of a matrix A,

    |q(A)|^2  >=  sum_j w_j |q(A) v_j|^2  >=  1 / (G^-1)_11,   sum w_j |v_j|^2 = 1,

with the Gram matrix of 1, A, ..., A^n in the inner product sum_j w_j <B v_j, C v_j>.

References
----------
.. [1] F. Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Transactions on
   Computers 66 (2017), 1281-1292.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flint
import numpy as np
from jaxtyping import Complex128, Float64, Inexact

# Working precision in bits: at first, and for each root; the monomials of n roots are nearly dependent. It is doubled
# until the ball is small.
_BITS, _BITS_A_ROOT, _DOUBLINGS = 128, 16, 3
# Radius of a small ball, relative to its midpoint.
_RADIUS = 1e-9
# Rows of a matrix that are balls at the same time.
_ROWS = 256


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
    return _in_rising_precision(count, lambda: _least_square(points, weights, count, prior))


def proven_norm_bound(
    parts: Sequence[tuple[Inexact[np.ndarray, "_ _"], Inexact[np.ndarray, "_ _"]]],
    count: int,
    prior: Sequence[float] = (),
) -> float:
    """Return a lower bound on the norm of q(A) for a block diagonal A, among all q with `count` free roots.

    Parameters
    ----------
    parts : sequence of (block, vectors)
        Some of the blocks, each with vectors in columns whose squared lengths are proportional to their weights.
    count : int
        Number of roots that are not fixed.
    prior : sequence of float
        The fixed roots.

    Returns
    -------
    float
        At most the minimum, rounded down; 0 if nothing is proven.

    Examples
    --------
    No root makes the norm of I - A / lambda smaller than 0.8 for a Jordan block with the eigenvalue 1:

    >>> A, v = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0], [-2.0]])
    >>> print(round(proven_norm_bound([(A, v)], 1), 12))
    0.8
    """
    if not all(np.isfinite(vectors).all() for _, vectors in parts):
        return 0.0
    return _in_rising_precision(count, lambda: _least_norm(parts, count, prior))


def _in_rising_precision(count: int, least: Callable[[], flint.arb | None]) -> float:
    """Return the root of a minimum, rounded down, in the first working precision that makes its ball small."""
    for doubling in range(_DOUBLINGS + 1):
        with flint.ctx.workprec((_BITS + _BITS_A_ROOT * count) << doubling):
            squared = least()
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
        # With so few conditions some q is zero at all points.
        return None
    total = sum((flint.arb(weight) for weight in weights.tolist()), flint.arb(0))
    return _least(flint.arb_mat(rows).transpose() * flint.arb_mat(weighted), total)


def _least_norm(
    parts: Sequence[tuple[Inexact[np.ndarray, "_ _"], Inexact[np.ndarray, "_ _"]]], count: int, prior: Sequence[float]
) -> flint.arb | None:
    """Return the minimum of the sum of |q(A) v|^2 over vectors v as a small ball, or None."""
    gram = flint.arb_mat(count + 1, count + 1)
    total = flint.arb(0)
    for block, vectors in parts:
        x = _ExactVectors.of(vectors)
        total += x.dot(x)
        for root in prior:
            x = x.minus(x.times(block), root)
        powers = [x]
        for _ in range(count):
            powers.append(powers[-1].times(block))
        gram += flint.arb_mat([[x.dot(y) for y in powers] for x in powers])
    return _least(gram, total)


def _least(gram: flint.arb_mat, total: flint.arb) -> flint.arb | None:
    """Return the minimum over q of a quadratic form, 1 / (G^-1)_11 / total, or None if its ball isn't small."""
    n = gram.nrows()
    try:
        inverse = gram.solve(flint.arb_mat(n, 1, [1] + [0] * (n - 1)))[0, 0]
    except ZeroDivisionError:
        return None
    least = 1 / (inverse * total)
    is_small = least.is_finite() and least > 0 and float(least.rad()) <= _RADIUS * float(least.mid())
    return least if is_small else None


class _ExactVectors:
    """Vectors in columns as balls; real and imaginary parts apart."""

    def __init__(self, real: flint.arb_mat, imag: flint.arb_mat) -> None:
        self.real, self.imag = real, imag

    @classmethod
    def of(cls, vectors: Inexact[np.ndarray, "_ _"]) -> _ExactVectors:
        return cls(flint.arb_mat(vectors.real.tolist()), flint.arb_mat(vectors.imag.tolist()))

    def times(self, block: Inexact[np.ndarray, "_ _"]) -> _ExactVectors:
        """Return the products with a matrix; a few rows at a time, since a ball takes six times a number's memory."""
        real, imag = [], []
        for first in range(0, len(block), _ROWS):
            rows = block[first : first + _ROWS]
            re = flint.arb_mat(rows.real.tolist())
            upper, lower = re * self.real, re * self.imag
            if np.iscomplexobj(block):
                im = flint.arb_mat(rows.imag.tolist())
                upper, lower = upper - im * self.imag, lower + im * self.real
            real += upper.entries()
            imag += lower.entries()
        columns = self.real.ncols()
        return _ExactVectors(flint.arb_mat(len(block), columns, real), flint.arb_mat(len(block), columns, imag))

    def minus(self, other: _ExactVectors, root: float) -> _ExactVectors:
        """Return the difference with others over a root."""
        return _ExactVectors(self.real - other.real / flint.arb(root), self.imag - other.imag / flint.arb(root))

    def dot(self, other: _ExactVectors) -> flint.arb:
        """Return the real part of the sum of the inner products."""
        total = flint.arb(0)
        for own, others in ((self.real, other.real), (self.imag, other.imag)):
            n = own.nrows() * own.ncols()
            row, column = flint.arb_mat(1, n, own.entries()), flint.arb_mat(n, 1, others.entries())
            total += (row * column)[0, 0]
        return total
