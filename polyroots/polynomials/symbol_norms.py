"""Norms of products of factors of q in the blocks of a symbol, over all of its frequencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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

Stack = Complex64[np.ndarray, "k c c"]


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
        self._kept: dict[tuple[str, int], Stack] = {}
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
        is_single = self.blocks.rows >= LEAST_ROWS and self._single_is_enough(bound, factors, counts, near)

        def is_below(
            limit: float, products: Iterable[NDArray[Any]], chosen: Int[np.ndarray, "k"]
        ) -> Bool[np.ndarray, "k"]:
            below = np.ones((len(chosen), self.blocks.operator.groups), dtype=bool)
            with np.errstate(over="ignore", invalid="ignore"):
                for product in products:
                    below &= norms_at_most(limit, product).reshape(below.shape)
            return np.asarray(below.all(axis=1))

        def test(task: int) -> None:
            chosen = self._tasks[task]
            products: Iterable[NDArray[Any]]
            # Norms within the margin of the largest one are always computed.
            limit = max(bound, (1 - _MARGIN) * max(found, default=(0.0, 0))[0])
            if is_single:
                products = _in_single(factors, self._single(task), self._square(task), counts)
                left = ~is_below((1 - _MARGIN) * limit, products, chosen)
            else:
                left = ~is_below(limit, _in_double(factors, self.blocks.stack(chosen), counts), chosen)
            for position in np.setdiff1d(chosen[left], near):
                products = list(_in_double(factors, self.blocks.stack(position[None]), counts))
                if not is_below(limit, products, position[None]).all():
                    found.append((max(map(largest_norm, products)), int(position)))

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
        if self._likely is None:
            gains = np.empty(len(self.blocks.ky))

            def estimate(task: int) -> None:
                gains[self._tasks[task]] = self._estimates(factors, counts, self._single(task), _FEW_STEPS)

            in_threads(estimate, range(len(self._tasks)), self._workers)
            self._likely = _largest_first(gains)[:_LIKELY]
        gains = self._estimates(factors, counts, self.blocks.stack(self._likely).astype(np.complex64), _STEPS)
        return self._likely[_largest_first(gains)[:_FIRST]]

    def _estimates(
        self, factors: Sequence[Factor], counts: Sequence[int], A: Stack, steps: int
    ) -> Float64[np.ndarray, "frequencies"]:
        """Return for each frequency an estimate of the largest norm of the products, by the power method."""
        transposed = A.swapaxes(-1, -2)
        largest = np.zeros(len(A), dtype=np.float32)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for count in counts:
                u = np.broadcast_to(start_vector(self.blocks.rows).astype(A.dtype), (len(A), self.blocks.rows, 1))
                for step in range(steps):
                    if step:
                        # The factors are real: q(A)* u is the conjugate of q(A^T) with the conjugate of u.
                        u = factors_times(factors[:count], transposed.__matmul__, u.conj()).conj()
                    u = u / np.linalg.norm(u, axis=-2, keepdims=True)
                    u = factors_times(factors[:count], A.__matmul__, u)
                largest = np.maximum(largest, np.linalg.norm(u, axis=-2)[:, 0])
        return largest.astype(np.float64).reshape(-1, self.blocks.operator.groups).max(axis=1)

    def _single(self, task: int) -> Stack:
        """Return the blocks at the frequencies of a task in single precision."""
        return self._once("A", task, lambda: self.blocks.stack(self._tasks[task]).astype(np.complex64))

    def _square(self, task: int) -> Stack:
        """Return the squares of these blocks."""
        A = self._single(task)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._once("A^2", task, lambda: A @ A)

    def _once(self, what: str, task: int, compute: Callable[[], Stack]) -> Stack:
        """Return blocks that are computed when they are first needed, and then kept if there is memory for them."""
        blocks = self._kept.get((what, task))
        if blocks is None:
            blocks = compute()
            if self in _KEEPING:
                self._kept[what, task] = blocks
        return blocks

    def _single_is_enough(
        self, bound: float, factors: Sequence[Factor], counts: Sequence[int], near: Int[np.ndarray, "_"]
    ) -> bool:
        """Return whether the errors of products in single precision are far below the margin."""
        A = self.blocks.stack(near)
        with np.errstate(over="ignore", invalid="ignore"):
            single = A.astype(np.complex64)
            pairs = zip(
                _in_single(factors, single, single @ single, counts), _in_double(factors, A, counts), strict=True
            )
            errors = [np.linalg.norm(rounded - product, axis=(-2, -1)).max() for rounded, product in pairs]
        return bool(0 < bound < np.inf and max(errors) <= _MARGIN / 20 * bound)


def _largest_first(gains: Float64[np.ndarray, "k"]) -> Int[np.ndarray, "k"]:
    """Return the positions of numbers in falling order, those that are not numbers first."""
    return np.argsort(np.nan_to_num(-gains, nan=-np.inf), kind="stable")


def start_vector(rows: int) -> Complex128[np.ndarray, "rows 1"]:
    """Return the first vector of the power method."""
    return np.random.default_rng(0).standard_normal((rows, 1)) + 0j


def _in_single(factors: Sequence[Factor], A: Stack, square: Stack, counts: Sequence[int]) -> Iterator[Stack]:
    """Return the products of the first k factors, for each k in `counts`, from matrices A and their squares."""
    result = None
    for count, factor in enumerate(factors, 1):
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(factor, Linear) and count == 2 and isinstance(factors[0], Linear):
                # This product is a quadratic in A, which the square is enough for.
                result = matrix_of(RealPair(factors[0].lam, factor.lam), A, square)
            # So that the first of two linear factors is needed only where it is asked for.
            elif count > 1 or 1 in counts or not all(isinstance(other, Linear) for other in factors[:2]):
                matrix = matrix_of(factor, A, square)
                result = matrix if result is None else result @ matrix
        if count in counts:
            assert result is not None
            yield result


def _in_double(
    factors: Sequence[Factor], A: Complex128[np.ndarray, "k c c"], counts: Sequence[int]
) -> Iterator[Complex128[np.ndarray, "k c c"]]:
    """Return the products of the first k factors, for each k in `counts`."""
    return (product for count, product in enumerate(partial_products(factors, A), 1) if count in counts)
