"""Whether the partial products of the factors of q amplify more than a bound, on a spectrum or in the operator norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Complex128, Inexact, Int

from polyroots.polynomials.blocks import Factor, multiplied, scaled
from polyroots.polynomials.operator_norm import (
    factors_times,
    matrix_blocks,
    norm_of_matrix,
    norms_are_at_most,
    partial_products,
)
from polyroots.spectra import Convolution, GeneralOperator, SymbolBlocks, normalized_convolution
from polyroots.threads import in_threads

# Number of frequencies that are tested from the beginning, and the steps of the power method that find them.
_FIRST, _POWER_STEPS = 2, 3


class PartialProducts(Protocol):
    """The products prod_{i <= k} q_i of the first k factors, k = 1, 2, ..., in the order in which blocks apply them."""

    def exceed(self, factors: Sequence[Factor], bound: float, *, known_only: bool = False) -> bool:
        """Return whether one of them exceeds a bound above 1.

        Parameters
        ----------
        factors : sequence of Factor
        bound : float
        known_only : bool
            Test only where a bound was exceeded in an earlier call: a fraction of the work.
        """


class ProductsOnPoints:
    """Partial products at eigenvalues, measured by their moduli.

    Parameters
    ----------
    points : (n,) complex128
    """

    def __init__(self, points: Complex128[np.ndarray, "n"]) -> None:
        self.points = points

    def exceed(self, factors: Sequence[Factor], bound: float, *, known_only: bool = False) -> bool:
        """Return whether the largest modulus of a partial product exceeds the bound."""
        del known_only  # all points at once cost little
        product = np.ones_like(self.points)
        with np.errstate(over="ignore", invalid="ignore"):
            for factor in factors:
                product = multiplied(product, factor(self.points))
                if not (np.abs(product) <= bound).all():
                    return True
        return False


class ProductsInNorm:
    """Partial products of an operator, measured by their spectral norms.

    With circular padding they are tested at every frequency; those where the power method finds the largest norms, or a
    bound was exceeded before, come first.

    Parameters
    ----------
    operator : Convolution or GeneralOperator
        Square. One with zero padding, or a general one, is taken as an explicit matrix, or if that is large Lanczos'
        method is used.
    """

    def __init__(self, operator: Convolution | GeneralOperator) -> None:
        self._symbol: _ProductsOfSymbol | None = None
        self.operator: Convolution | GeneralOperator
        if isinstance(operator, GeneralOperator):
            self.operator, self.scale = operator.normalized()
            return
        self.operator, self.scale = convolution, _ = normalized_convolution(operator, "the norm of partial products")
        if convolution.padding == "circular":
            self._symbol = _ProductsOfSymbol(SymbolBlocks(convolution))

    def exceed(self, factors: Sequence[Factor], bound: float, *, known_only: bool = False) -> bool:
        """Return whether the largest norm of a partial product exceeds the bound, up to rounding.

        Raises
        ------
        ConvergenceError
            If Lanczos' method fails on a large operator.
        """
        # q(s A) is the polynomial of A with the roots over s.
        factors = tuple(scaled(factor, 1 / self.scale) for factor in factors)
        if self._symbol is not None:
            return self._symbol.exceed(factors, bound, known_only=known_only)
        matrices = matrix_blocks(self.operator)
        if matrices is not None:
            return _exceed(matrices, matrices @ matrices, factors, bound)
        return any(not norm_of_matrix(self.operator, factors[:count]) <= bound for count in range(1, len(factors) + 1))


class _ProductsOfSymbol:
    """Partial products of the blocks of a symbol; the matrices where a bound is likely to be exceeded are kept."""

    def __init__(self, blocks: SymbolBlocks) -> None:
        self.blocks = blocks
        self.known: Int[np.ndarray, "_"] = np.array([], dtype=np.intp)

    def exceed(self, factors: Sequence[Factor], bound: float, *, known_only: bool) -> bool:
        if not len(self.known):
            self._keep(_most_amplified(self.blocks, factors))
        if _exceed(*self._matrices, factors, bound):
            return True
        if known_only:
            return False
        found: list[int] = []

        def test(chosen: Int[np.ndarray, "_"]) -> None:
            if self._exceeds_at(chosen, factors, bound):
                found.extend(index for index in chosen if self._exceeds_at(index[None], factors, bound))

        in_threads(test, self.blocks.tasks())
        if found:
            self._keep(np.union1d(self.known, np.array(found, dtype=np.intp)))
        return bool(found)

    def _keep(self, positions: Int[np.ndarray, "_"]) -> None:
        stack = self.blocks.stack(positions)
        self.known, self._matrices = positions, (stack, stack @ stack)

    def _exceeds_at(self, chosen: Int[np.ndarray, "_"], factors: Sequence[Factor], bound: float) -> bool:
        stack = self.blocks.stack(chosen)
        return _exceed(stack, stack @ stack, factors, bound)


def _most_amplified(blocks: SymbolBlocks, factors: Sequence[Factor]) -> Int[np.ndarray, "_"]:
    """Return the positions of some frequencies where a few steps of the power method find the largest products."""
    gains = np.empty(len(blocks.ky))
    start = np.random.default_rng(0).standard_normal((blocks.rows, 1)) + 0j

    def estimate(chosen: Int[np.ndarray, "_"]) -> None:
        A = blocks.stack(chosen)
        adjoint = A.conj().swapaxes(-1, -2)
        largest = np.zeros(len(A))
        for count in range(1, len(factors) + 1):
            u = np.broadcast_to(start, (len(A), *start.shape))
            for step in range(_POWER_STEPS):
                if step:
                    u = factors_times(factors[:count], adjoint.__matmul__, u)
                u = factors_times(factors[:count], A.__matmul__, u / np.linalg.norm(u, axis=-2, keepdims=True))
            largest = np.maximum(largest, np.linalg.norm(u, axis=-2)[:, 0])
        gains[chosen] = largest.reshape(len(chosen), -1).max(axis=1)

    with np.errstate(over="ignore", invalid="ignore"):
        in_threads(estimate, blocks.tasks())
    return np.argsort(np.nan_to_num(-gains, nan=-np.inf))[:_FIRST]


def _exceed(
    stack: Inexact[np.ndarray, "k c c"],
    square: Inexact[np.ndarray, "k c c"],
    factors: Sequence[Factor],
    bound: float,
) -> bool:
    """Return whether a partial product of one of the matrices has a larger norm than the bound."""
    with np.errstate(over="ignore", invalid="ignore"):
        return not all(norms_are_at_most(bound, product) for product in partial_products(factors, stack, square))
