"""Norms of products of factors of q in the blocks of a symbol, over all of its frequencies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakSet

import numpy as np
from jaxtyping import Bool, Complex64, Complex128, Float64, Int
from numpy.typing import NDArray

from polyroots.polynomials.blocks import Factor, Linear, RealPair
from polyroots.polynomials.norm_test import LEAST_ROWS, norms_at_most
from polyroots.polynomials.products import apply_to, factors_times, largest_norm, matrix_of, partial_products
from polyroots.spectra import Convolution, SymbolBlocks
from polyroots.threads import in_threads, one_blas_thread

# Norms that are below a bound by at least this share are compared with it in single precision.
_MARGIN = 1e-3
# Steps of the power method at all frequencies, and at those where the largest norms are likely; how many these are, and
# how many of them are returned.
_FEW_STEPS, _STEPS, _LIKELY, _FIRST = 3, 15, 8, 2
# The blocks in single precision and their squares are kept for the next polynomial, as long as those of all operators
# take less memory.
_KEPT_BYTES = 2**28
_KEEPING: WeakSet[SymbolNorms] = WeakSet()

Pair = tuple[Complex64[np.ndarray, "k c c"], Complex64[np.ndarray, "k c c"]]


class SymbolNorms:
    """Spectral norms of products of factors at all frequencies, to prove that none is larger.

    At most frequencies single precision and a Cholesky factorisation show that a norm is below the largest one.
    Singular values are computed at the others.

    Parameters
    ----------
    operator : Convolution
        Square, with circular padding, of a size near 1.
    workers : int, optional
        Number of threads; by default one for each core that this process may use.

    Attributes
    ----------
    blocks : SymbolBlocks
    """

    def __init__(self, operator: Convolution, workers: int | None = None) -> None:
        self.blocks, self._workers = SymbolBlocks(operator), workers
        self._tasks = self.blocks.tasks(workers)
        self._bytes = 2 * len(self.blocks.ky) * operator.groups * self.blocks.rows**2 * np.dtype(np.complex64).itemsize
        if self._bytes + sum(norms._bytes for norms in _KEEPING) <= _KEPT_BYTES:
            _KEEPING.add(self)
        self._pairs: dict[int, Pair] = {}
        self._likely: Int[np.ndarray, "_"] | None = None

    def largest(self, factors: Sequence[Factor]) -> float:
        """Return the largest norm of the product of all factors; infinite if it overflows float64."""
        with one_blas_thread():
            return self._largest(factors, [len(factors)])

    def _largest(self, factors: Sequence[Factor], counts: Sequence[int]) -> float:
        near = self.most_amplified(factors, counts)[:1]
        first = largest_norm(apply_to(factors, self.blocks.stack(near)))
        # Norms that are nearly as large are computed as well: rounding doesn't decide which is the largest.
        above = self.above(factors, (1 - _MARGIN) * first, counts, near) if np.isfinite(first) else []
        return max([first, *(norm for norm, _ in above)])

    def above(
        self, factors: Sequence[Factor], bound: float, counts: Sequence[int], near: Int[np.ndarray, "_"]
    ) -> list[tuple[float, int]]:
        """Return (norm, position) of frequencies where the products of the first factors exceed a bound.

        Only those whose norms are nearly the largest: they are found in whatever order the threads work.

        Parameters
        ----------
        factors : sequence of Factor
        bound : float
        counts : sequence of int
            Numbers of the first factors whose products are taken; the norm is the largest of theirs.
        near : (n,) int
            Positions of frequencies whose norms are known to be large, but not above the bound. They are left out, and
            the rounding of single precision is measured there.

        Returns
        -------
        list of (float, int)
            In falling order of the norms, and of the positions where these are equal.
        """
        found: list[tuple[float, int]] = []
        factors = factors[: max(counts)]
        is_single = self.blocks.rows >= LEAST_ROWS and self._single_is_enough(bound, factors, near)

        def is_below(
            limit: float, products: Iterable[NDArray[Any]], chosen: Int[np.ndarray, "k"]
        ) -> Bool[np.ndarray, "k"]:
            below = np.ones((len(chosen), self.blocks.operator.groups), dtype=bool)
            with np.errstate(over="ignore", invalid="ignore"):
                for count, product in enumerate(products, 1):
                    if count in counts:
                        below &= norms_at_most(limit, product).reshape(below.shape)
            return np.asarray(below.all(axis=1))

        def test(task: int) -> None:
            chosen = self._tasks[task]
            products: Iterable[NDArray[Any]]
            # Norms within the margin of the largest one are always computed.
            limit = max(bound, (1 - _MARGIN) * max(found, default=(0.0, 0))[0])
            if is_single:
                left = ~is_below((1 - _MARGIN) * limit, _in_single(factors, *self._pair(task)), chosen)
            else:
                left = ~is_below(limit, partial_products(factors, self.blocks.stack(chosen)), chosen)
            for position in np.setdiff1d(chosen[left], near):
                products = list(partial_products(factors, self.blocks.stack(position[None])))
                if not is_below(limit, products, position[None]).all():
                    found.append((max(largest_norm(products[count - 1]) for count in counts), int(position)))

        in_threads(test, range(len(self._tasks)), self._workers)
        largest = max(found, default=(0.0, 0))[0]
        return sorted(
            (pair for pair in found if pair[0] >= (1 - _MARGIN / 2) * largest), key=lambda pair: (-pair[0], pair[1])
        )

    def most_amplified(self, factors: Sequence[Factor], counts: Sequence[int]) -> Int[np.ndarray, "_"]:
        """Return the positions of some frequencies with large products, by the power method; the largest first.

        A few steps at all frequencies tell which ones more steps are worth. They are likely to be so for the next
        polynomial as well.
        """
        gains = np.empty(len(self.blocks.ky))

        def estimate(chosen: Int[np.ndarray, "_"]) -> None:
            gains[chosen] = self._estimates(factors, counts, chosen, _FEW_STEPS)

        if self._likely is None:
            in_threads(estimate, self._tasks, self._workers)
            self._likely = _largest_first(gains)[:_LIKELY]
        gains = self._estimates(factors, counts, self._likely, _STEPS)
        return self._likely[_largest_first(gains)[:_FIRST]]

    def _estimates(
        self, factors: Sequence[Factor], counts: Sequence[int], chosen: Int[np.ndarray, "k"], steps: int
    ) -> Float64[np.ndarray, "k"]:
        """Return estimates of the largest norm of the products at some frequencies, by the power method."""
        A = self.blocks.stack(chosen)
        adjoint = A.conj().swapaxes(-1, -2)
        largest = np.zeros(len(A))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for count in counts:
                u = np.broadcast_to(start_vector(self.blocks.rows), (len(A), self.blocks.rows, 1))
                for step in range(steps):
                    if step:
                        u = factors_times(factors[:count], adjoint.__matmul__, u)
                    u = u / np.linalg.norm(u, axis=-2, keepdims=True)
                    u = factors_times(factors[:count], A.__matmul__, u)
                largest = np.maximum(largest, np.linalg.norm(u, axis=-2)[:, 0])
        return largest.reshape(len(chosen), -1).max(axis=1)

    def _pair(self, task: int) -> Pair:
        """Return the blocks at the frequencies of a task and their squares, in single precision."""
        if task in self._pairs:
            return self._pairs[task]
        A = self.blocks.stack(self._tasks[task]).astype(np.complex64)
        with np.errstate(over="ignore", invalid="ignore"):
            pair = A, A @ A
        if self in _KEEPING:
            self._pairs[task] = pair
        return pair

    def _single_is_enough(self, bound: float, factors: Sequence[Factor], near: Int[np.ndarray, "_"]) -> bool:
        """Return whether the errors of products in single precision are far below the margin."""
        A = self.blocks.stack(near)
        with np.errstate(over="ignore", invalid="ignore"):
            single = A.astype(np.complex64)
            pairs = zip(_in_single(factors, single, single @ single), partial_products(factors, A), strict=True)
            errors = [np.linalg.norm(rounded - product, axis=(-2, -1)).max() for rounded, product in pairs]
        return bool(0 < bound < np.inf and max(errors) <= _MARGIN / 20 * bound)


def _largest_first(gains: Float64[np.ndarray, "k"]) -> Int[np.ndarray, "k"]:
    """Return the positions of numbers in falling order, those that are not numbers first."""
    return np.argsort(np.nan_to_num(-gains, nan=-np.inf), kind="stable")


def start_vector(rows: int) -> Complex128[np.ndarray, "rows 1"]:
    """Return the first vector of the power method."""
    return np.random.default_rng(0).standard_normal((rows, 1)) + 0j


def _in_single(
    factors: Sequence[Factor], A: Complex64[np.ndarray, "k c c"], square: Complex64[np.ndarray, "k c c"]
) -> Iterator[Complex64[np.ndarray, "k c c"]]:
    """Return the products of the first k factors, k = 1, 2, ..., from matrices A and their squares."""
    result = None
    for number, factor in enumerate(factors):
        with np.errstate(over="ignore", invalid="ignore"):
            if number == 1 and isinstance(factor, Linear) and isinstance(factors[0], Linear):
                # This product is a quadratic in A, which the square is enough for.
                result = matrix_of(RealPair(factors[0].lam, factor.lam), A, square)
            else:
                matrix = matrix_of(factor, A, square)
                result = matrix if result is None else result @ matrix
        yield result
