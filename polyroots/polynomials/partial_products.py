"""Whether the partial products of the factors of q amplify more than a bound, on a spectrum or in the operator norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Complex128, Inexact, Int
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from polyroots.polynomials.blocks import Factor, divided, multiplied
from polyroots.polynomials.norm_test import LEAST_ROWS, norms_at_most
from polyroots.polynomials.operator_norm import OperatorNorm
from polyroots.polynomials.products import factors_times, partial_products
from polyroots.polynomials.symbol_norms import SymbolNorms, start_vector
from polyroots.spectra import largest_eigenvalue, products_of

#: How much something is amplified if the roots of all factors are divided by a weight.
Gain = Callable[[float], float]

# Of Lanczos' method, for a vector whose gain is nearly the norm.
_TOLERANCE = 1e-6
# Number of frequencies that are kept where a bound is exceeded most.
_KEPT = 3
# Relative rounding of norms.
_ROUNDING = 1e-10


class PartialProducts(Protocol):
    """The products prod_{i <= k} q_i of the first k factors, k = 1, 2, ..., in the order in which blocks apply them."""

    def amplified(self, factors: Sequence[Factor], bound: float) -> Gain | None:
        """Return how much something is amplified that one of the products amplifies more than a bound.

        Parameters
        ----------
        factors : sequence of Factor
        bound : float
            Above 1.

        Returns
        -------
        callable or None
            None if there is nothing, up to rounding. At the weight 1 the gain exceeds the bound.
        """


class ProductsOnPoints:
    """Partial products at eigenvalues, measured by their moduli.

    Parameters
    ----------
    points : (n,) complex128
    """

    def __init__(self, points: Complex128[np.ndarray, "n"]) -> None:
        self.points = points

    def amplified(self, factors: Sequence[Factor], bound: float) -> Gain | None:
        """Return the largest modulus of a partial product as a function of the weight, or None."""

        def gain(w: float) -> float:
            product, largest = np.ones_like(self.points), 0.0
            for factor in divided(factors, w):
                product = multiplied(product, factor(self.points))
                largest = float(np.maximum(largest, np.abs(product).max()))
            return largest

        with np.errstate(over="ignore", invalid="ignore"):
            return None if gain(1) <= bound else gain


class ProductsInNorm:
    """Partial products of an operator, measured by their spectral norms.

    Parameters
    ----------
    norms : OperatorNorm
        Of the operator. With circular padding, the products are tested at every frequency, first at those where the
        power method, or a test at another weight, has found the largest norms.
    """

    def __init__(self, norms: OperatorNorm) -> None:
        self.norms = norms
        self._known = None if norms.symbol is None else _KnownFrequencies(norms.symbol)

    def amplified(self, factors: Sequence[Factor], bound: float) -> Gain | None:
        """Return the gain of a vector that a partial product amplifies more than a bound, or None.

        Raises
        ------
        ConvergenceError
            If Lanczos' method fails on a large operator.
        """
        factors = divided(factors, self.norms.scale)
        if self._known is not None:
            return self._known.amplified(factors, bound)
        if self.norms.matrices is not None:
            found = _gain_of_vector(self.norms.matrices, factors, bound)
            return None if found is None else found[1]
        for count in range(1, len(factors) + 1):
            norm, u = self.norms.by_products(factors[:count])
            if not norm <= bound:
                return _gain(factors[:count], products_of(self.norms.operator).matvec, u)
        return None


class _KnownFrequencies:
    """Frequencies at which partial products are likely to exceed a bound."""

    def __init__(self, symbol: SymbolNorms) -> None:
        self.symbol = symbol
        self._positions: Int[np.ndarray, "_"] = np.array([], dtype=np.intp)
        # Number of the first factors whose product has exceeded the bound last.
        self._count = 0

    def amplified(self, factors: Sequence[Factor], bound: float) -> Gain | None:
        counts = list(range(1, len(factors) + 1))
        if not len(self._positions):
            self._positions = self.symbol.most_amplified(factors, counts)
        while True:
            found = _gain_of_vector(self.symbol.blocks.stack(self._positions), factors, bound)
            if found is not None:
                self._count, gain = found
                return gain
            # The product that has exceeded the bound before is likely to exceed it elsewhere.
            tests = [[count for count in counts if (count == self._count) is likely] for likely in (True, False)]
            if not any(self._exceed(factors, bound, tested) for tested in tests if tested):
                return None

    def _exceed(self, factors: Sequence[Factor], bound: float, counts: Sequence[int]) -> bool:
        """Return whether products exceed a bound at other frequencies; these are the known ones then."""
        above = self.symbol.above(factors, bound, counts, self._positions)
        exceeding = [position for norm, position in above if not norm <= bound * (1 + _ROUNDING)]
        if exceeding:
            # The others exceed it less. If one of them is the first at a smaller weight, it is found there.
            self._positions = np.array(exceeding[:_KEPT])
        return len(exceeding) > 0


def _gain_of_vector(
    stack: Inexact[np.ndarray, "k c c"], factors: Sequence[Factor], bound: float
) -> tuple[int, Gain] | None:
    """Return the gain of a vector that a product of the first factors amplifies more than a bound, and their number."""
    with np.errstate(over="ignore", invalid="ignore"):
        for count, product in enumerate(partial_products(factors, stack), 1):
            at = np.flatnonzero(~norms_at_most(bound, product)).tolist()
            gains = [_gain(factors[:count], stack[k].__matmul__, _most_amplified(product[k])) for k in at]
            if gains:
                return count, max(gains, key=lambda gain: np.nan_to_num(gain(1), nan=np.inf))
    return None


def _most_amplified(matrix: Inexact[np.ndarray, "c c"]) -> Inexact[np.ndarray, "c 1"]:
    """Return the unit vector that a matrix amplifies most, nearly; any one if the matrix is not finite."""
    rows, largest = len(matrix), np.abs(matrix).max()
    if not np.isfinite(largest):
        return start_vector(rows) / np.linalg.norm(start_vector(rows))
    if rows < LEAST_ROWS:
        return np.linalg.svd(matrix)[2][:1].conj().T
    # Divided by its largest entry, so that squares don't overflow.
    matrix = matrix / largest
    adjoint = matrix.conj().T.copy()
    gram = LinearOperator(matrix.shape, matvec=lambda u: adjoint @ (matrix @ u), dtype=matrix.dtype)
    _, vectors = largest_eigenvalue(gram, "the norm of a partial product", _TOLERANCE)
    return vectors / np.linalg.norm(vectors)


def _gain(factors: Sequence[Factor], product: Callable[[NDArray[Any]], NDArray[Any]], u: NDArray[Any]) -> Gain:
    """Return the norm of the product of relaxed factors with a vector of norm 1, as a function of the weight."""

    def gain(w: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.linalg.norm(factors_times(divided(factors, w), product, u)))

    return gain
