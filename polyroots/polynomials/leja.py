"""Leja order of roots, and the prominence of roots that amplify rounding errors.

References
----------
.. [1] L. Reichel, The application of Leja points to Richardson iteration and polynomial preconditioning, Linear Algebra
   and its Applications 154-156 (1991), 389-414.
.. [2] Z. Bai, D. Hu, L. Reichel, A Newton basis GMRES implementation, IMA Journal of Numerical Analysis 14 (1994),
   563-581: the modified order, conjugates together.
.. [3] M. Embree, J. A. Loe, R. B. Morgan, Polynomial preconditioned Arnoldi with stability control, SIAM Journal on
   Scientific Computing 43 (2021), A1-A25: the product of factors, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex128, Float64, Inexact

from polyroots.polynomials.blocks import ComplexPair, Linear

# From [3]: a root is too prominent above a product of 10^4, and each copy of it makes up for 14 orders of magnitude.
_PROMINENT, _ONE_COPY = 4, 14


def leja_order(factors: Sequence[Linear | ComplexPair]) -> tuple[Linear | ComplexPair, ...]:
    """Return factors in modified Leja order: each next root has the largest product of distances to all before it.

    The first has the largest modulus. Repeated roots come last, as their product of distances is zero.
    """
    remaining = sorted(factors, key=lambda factor: -abs(factor.roots[0]))
    points = np.array([factor.roots[0] for factor in remaining])
    scores = np.abs(points)
    ordered: list[Linear | ComplexPair] = []
    while remaining:
        index = int(np.argmax(scores))
        factor = remaining.pop(index)
        points = np.delete(points, index)
        before = log_distances(points, np.array(factor.roots))
        scores = before if not ordered else np.delete(scores, index) + before
        ordered.append(factor)
    return tuple(ordered)


def log_distances(candidates: Inexact[np.ndarray, "N"], chosen: Inexact[np.ndarray, "n"]) -> Float64[np.ndarray, "N"]:
    """Return the logarithm of the product of each candidate's distances to all chosen points; -inf for one of them."""
    scores = np.zeros(len(candidates))
    with np.errstate(divide="ignore"):
        for point in chosen:
            scores += np.log(np.abs(candidates - point))
    return scores


def prominence(roots: Complex128[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Return log10 of the product of factors prod_{i != j} |1 - lambda_j / lambda_i| for each root lambda_j.

    The other factors amplify an error in the factor of lambda_j by this product [3]_.
    """
    # Differences of logarithms: quotients of roots can overflow.
    with np.errstate(divide="ignore"):
        factors = np.log10(np.abs(roots / 2 - roots[:, None] / 2)) - np.log10(np.abs(roots) / 2)
    np.fill_diagonal(factors, 0.0)
    return factors.sum(axis=1)


def extra_copies(prominence_of_root: float) -> int:
    """Return how many copies of a root keep rounding errors at it small, by the rule of [3]_."""
    if not prominence_of_root > _PROMINENT:
        return 0
    return math.ceil((prominence_of_root - _PROMINENT) / _ONE_COPY)
