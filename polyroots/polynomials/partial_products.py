"""Whether the partial products of the factors of q amplify more than a bound, on a spectrum or in the operator norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Complex128, Inexact, Int

from polyroots.polynomials.blocks import Factor, multiplied, scaled
from polyroots.polynomials.operator_norm import matrix_blocks, matrix_of, norm_of_matrix
from polyroots.spectra import Convolution, GeneralOperator, SymbolBlocks, normalized_convolution

# Entries of the matrices that are tested at once: a few large ones, so that the first that exceeds ends the test soon.
_ENTRIES = 2**16


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

    A norm is at most the bound if bound^2 I - M* M is positive definite, which a Cholesky factorisation decides ten
    times faster than singular values could be computed. With circular padding this is done at every frequency; those
    where a bound was exceeded before are tested first.

    Parameters
    ----------
    operator : Convolution or GeneralOperator
        Square. One with zero padding, or a general one, is taken as an explicit matrix, or if that is large Lanczos'
        method is used.
    """

    def __init__(self, operator: Convolution | GeneralOperator) -> None:
        self._blocks: SymbolBlocks | None = None
        self.operator: Convolution | GeneralOperator
        if isinstance(operator, GeneralOperator):
            self.operator, self.scale = operator.normalized()
            return
        self.operator, self.scale = convolution, _ = normalized_convolution(operator, "the norm of partial products")
        if convolution.padding == "circular":
            self._blocks = SymbolBlocks(convolution)
            count = len(self._blocks.ky)
            entries = count * convolution.groups * self._blocks.rows**2
            self._others = np.array_split(np.arange(count), min(count, 1 + entries // _ENTRIES))
            self._known: list[Int[np.ndarray, "_"]] = []

    def exceed(self, factors: Sequence[Factor], bound: float, *, known_only: bool = False) -> bool:
        """Return whether the largest norm of a partial product exceeds the bound, up to rounding.

        Raises
        ------
        ConvergenceError
            If Lanczos' method fails on a large operator.
        """
        # q(s A) is the polynomial of A with the roots over s.
        factors = tuple(scaled(factor, 1 / self.scale) for factor in factors)
        if self._blocks is None:
            blocks = matrix_blocks(self.operator)
            if blocks is None:
                return any(
                    not norm_of_matrix(self.operator, factors[:count]) <= bound for count in range(1, len(factors) + 1)
                )
            return _exceed(blocks, factors, bound)
        if any(_exceed(self._blocks.stack(chosen), factors, bound) for chosen in self._known):
            return True
        if known_only:
            return False
        found: list[int] = []
        for index, chosen in enumerate(self._others):
            if _exceed(self._blocks.stack(chosen), factors, bound):
                found.append(index)
                # At first nearly all exceed, and one is enough to begin with.
                if not self._known:
                    break
        self._known += [self._others.pop(index) for index in reversed(found)]
        return bool(found)


def _exceed(stack: Inexact[np.ndarray, "k c c"], factors: Sequence[Factor], bound: float) -> bool:
    """Return whether a partial product of one of the matrices has a larger norm than the bound."""
    identity = np.eye(stack.shape[-1])
    square = stack @ stack
    product = np.broadcast_to(identity, stack.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for factor in factors:
            product = product @ matrix_of(factor, stack, square)
            gap = identity - product.conj().swapaxes(-1, -2) @ product / bound**2
            if not np.isfinite(gap).all():
                return True
            try:
                np.linalg.cholesky(gap)
            except np.linalg.LinAlgError:
                return True
    return False
