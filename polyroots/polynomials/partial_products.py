"""Whether the partial products of the factors of q amplify more than a bound, on a spectrum or in the operator norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Complex128, Inexact, Int

from polyroots.polynomials.blocks import Factor, multiplied, scaled
from polyroots.polynomials.operator_norm import (
    LEAST_ROWS,
    MARGIN,
    factors_times,
    largest_norm,
    matrix_blocks,
    norm_of_matrix,
    norms_are_at_most,
    partial_products,
    single_is_enough,
    surely_at_most,
)
from polyroots.spectra import Convolution, GeneralOperator, SymbolBlocks, normalized_convolution
from polyroots.threads import in_threads

# Number of frequencies that are tested from the beginning, the steps of the power method that find them, and the number
# of those that are kept where a bound is exceeded.
_FIRST, _POWER_STEPS, _KEPT = 2, 3, 3

# Relative rounding of a norm of a product with a vector.
_ROUNDING = 1e-10


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
            return _exceed(matrices, None, factors, bound, range(1, len(factors) + 1))
        return any(not norm_of_matrix(self.operator, factors[:count]) <= bound for count in range(1, len(factors) + 1))


class _ProductsOfSymbol:
    """Partial products of the blocks of a symbol; the matrices where a bound is likely to be exceeded are kept."""

    def __init__(self, blocks: SymbolBlocks) -> None:
        self.blocks = blocks
        self.known: Int[np.ndarray, "_"] = np.array([], dtype=np.intp)
        # The numbers of factors whose products are tested at the known frequencies.
        self._counts: Sequence[int] = ()
        # Vectors that a product of some factors amplifies there, by the number of factors, and the last such number.
        self._vectors: dict[int, Complex128[np.ndarray, "k c 1"]] = {}
        self._amplified = 0

    def exceed(self, factors: Sequence[Factor], bound: float, *, known_only: bool) -> bool:
        counts = range(1, len(factors) + 1)
        if not len(self.known):
            self._keep(_most_amplified(self.blocks, factors), counts)
        if self._amplify(factors, bound) or _exceed(*self._matrices, factors, bound, self._counts):
            return True
        if known_only:
            return False
        tests: list[Sequence[int]] = [counts]
        if len(self._counts) == len(counts):
            # The product that is the largest at the known frequencies is likely to exceed the bound elsewhere.
            sizes = [largest_norm(product) for product in partial_products(factors, *self._matrices)]
            likely = int(np.argmax(sizes)) + 1
            tests = [[likely], [count for count in counts if count != likely]]
        for tested in filter(len, tests):
            found = self._most_exceeding(factors, bound, tested)
            if len(found):
                # The others exceed it less. If one of them is the first at a smaller weight, it is found there.
                self._keep(found, tested)
                return True
        return False

    def _most_exceeding(self, factors: Sequence[Factor], bound: float, counts: Sequence[int]) -> Int[np.ndarray, "_"]:
        """Return the positions of the frequencies where a bound is exceeded most; none if it is nowhere."""
        found: list[tuple[float, int]] = []
        is_single = self.blocks.rows >= LEAST_ROWS and single_is_enough(bound, factors, self._matrices[0])

        def is_below(chosen: Int[np.ndarray, "_"]) -> bool:
            # Norms within the margin of the largest one are always computed, in whatever order the threads find them.
            limit = max(bound, (1 - MARGIN) * max(found, default=(0.0, 0))[0])
            stack = self.blocks.stack(chosen)
            if is_single:
                return surely_at_most(limit, factors, stack, counts)
            return not _exceed(stack, None, factors, limit, counts)

        def test(chosen: Int[np.ndarray, "_"]) -> None:
            if is_below(chosen):
                return
            for position in chosen.tolist():
                here = np.array([position])
                if len(chosen) == 1 or not is_below(here):
                    products = enumerate(partial_products(factors[: max(counts)], self.blocks.stack(here)), 1)
                    norm = max(largest_norm(product) for count, product in products if count in counts)
                    if norm > bound:
                        found.append((norm, position))

        in_threads(test, self.blocks.tasks())
        largest = max(found, default=(0.0, 0))[0]
        near = sorted((-norm, position) for norm, position in found if norm >= (1 - MARGIN / 2) * largest)
        return np.array([position for _, position in near[:_KEPT]], dtype=np.intp)

    def _amplify(self, factors: Sequence[Factor], bound: float) -> bool:
        """Return whether a vector shows that the bound is exceeded at a known frequency; False decides nothing.

        The vector and the product are those of the last call, by a few more steps of the power method. That takes a
        tenth of the time of a factorisation.
        """
        A = self._matrices[0]
        with np.errstate(over="ignore", invalid="ignore"):
            for count in [self._amplified] if self._amplified else self._counts:
                u = self._vectors.get(count, _start(self.blocks.rows))
                for _ in range(_POWER_STEPS):
                    u = u / np.linalg.norm(u, axis=-2, keepdims=True)
                    v = factors_times(factors[:count], A.__matmul__, u)
                    if (np.linalg.norm(v, axis=-2) > bound * (1 + _ROUNDING)).any():
                        self._amplified, self._vectors[count] = count, u
                        return True
                    u = factors_times(factors[:count], A.conj().swapaxes(-1, -2).__matmul__, v)
        self._amplified = 0
        return False

    def _keep(self, positions: Int[np.ndarray, "_"], counts: Sequence[int]) -> None:
        stack = self.blocks.stack(positions)
        self.known, self._matrices, self._counts = positions, (stack, stack @ stack), counts
        self._vectors, self._amplified = {}, 0


def _most_amplified(blocks: SymbolBlocks, factors: Sequence[Factor]) -> Int[np.ndarray, "_"]:
    """Return the positions of some frequencies where a few steps of the power method find the largest products."""
    gains = np.empty(len(blocks.ky))
    start = _start(blocks.rows)

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


def _start(rows: int) -> Complex128[np.ndarray, "rows 1"]:
    """Return the first vector of the power method."""
    return np.random.default_rng(0).standard_normal((rows, 1)) + 0j


def _exceed(
    stack: Inexact[np.ndarray, "k c c"],
    square: Inexact[np.ndarray, "k c c"] | None,
    factors: Sequence[Factor],
    bound: float,
    counts: Sequence[int],
) -> bool:
    """Return whether a product of the first factors, of one of the counts, has a larger norm than the bound."""
    products = enumerate(partial_products(factors[: max(counts)], stack, square), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        return not all(norms_are_at_most(bound, product) for count, product in products if count in counts)
