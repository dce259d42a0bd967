"""The norm of q(A), by which one step of a smoother can multiply a residual at worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from polyroots.errors import InputError
from polyroots.polynomials.blocks import Factor, scaled
from polyroots.spectra import (
    DENSE_IS_FASTER,
    Convolution,
    Spectrum,
    SymbolBlocks,
    explicit_matrix,
    largest_eigenvalue,
    linear_operator,
    normalized_convolution,
)
from polyroots.threads import in_threads


@runtime_checkable
class Factored(Protocol):
    """A residual polynomial in factors, as `polyroots.ResidualPolynomial` is."""

    @property
    def factors(self) -> Sequence[Factor]:
        """Factors of q in a stable order."""


def residual_norm(spectrum: Spectrum | Convolution, q: Factored, *, workers: int | None = None) -> float:
    """Spectral norm of q(A), by which one step of the smoother can multiply a residual at worst.

    At least max |q(Lambda)|, and equal to it for a normal A; infinite where it is beyond float64. With circular padding
    it is the largest norm of q(A^(theta)), computed at every frequency; with zero padding it comes from the explicit
    matrix or from Lanczos' method.

    Parameters
    ----------
    spectrum : Spectrum or Convolution
    q : ResidualPolynomial
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Raises
    ------
    InputError
        If bare eigenvalues are given.
    ConvergenceError
        If Lanczos' method fails on a large zero-padded operator.
    """
    operator, scale = normalized_convolution(spectrum, "the norm of q(A)")
    if not isinstance(q, Factored):
        raise InputError(f"expected a ResidualPolynomial, got {type(q).__name__}; make it from the roots")
    # q(s A) is the polynomial of A with the roots over s.
    factors = tuple(scaled(factor, 1 / scale) for factor in q.factors)
    if operator.padding == "zeros":
        return _residual_norm_of_matrix(operator, factors)
    blocks, norms = SymbolBlocks(operator), []

    def solve(chosen: NDArray[np.intp]) -> None:
        norms.append(_largest_norm(_apply_to(factors, blocks.stack(chosen))))

    in_threads(solve, blocks.tasks(workers), workers)
    return max(norms)


def _residual_norm_of_matrix(operator: Convolution, factors: Sequence[Factor]) -> float:
    n = operator.shape[0]
    if n <= DENSE_IS_FASTER:
        return _largest_norm(_apply_to(factors, explicit_matrix(operator)[None]))
    A = linear_operator(operator)

    def product(u: NDArray[np.float64], A: LinearOperator) -> NDArray[np.float64]:
        # Factors commute, and the transpose of a real polynomial of A is that of the transpose.
        for factor in factors:
            power, total = u, u
            for coefficient in factor.coefficients:
                power = A.matvec(power)
                total = total - coefficient * power
            u = total
        return u

    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(product(product(np.ones(n), A), A.T)).all():
            return np.inf
    gram = LinearOperator((n, n), matvec=lambda u: product(product(u.ravel(), A), A.T), dtype=np.float64)
    tops, _ = largest_eigenvalue(gram, "the norm of q(A)")
    return float(np.sqrt(max(tops[0], 0.0)))


def _apply_to(factors: Sequence[Factor], stack: NDArray[Any]) -> NDArray[Any]:
    """Matrices q(A) of a stack of matrices A, factor by factor in Leja order."""
    identity = np.eye(stack.shape[-1])
    square = stack @ stack
    result = np.broadcast_to(identity, stack.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for factor in factors:
            matrix = identity - factor.coefficients[0] * stack
            if len(factor.coefficients) > 1:
                matrix = matrix - factor.coefficients[1] * square
            result = result @ matrix
    return result


def _largest_norm(stack: NDArray[Any]) -> float:
    """Largest spectral norm of a stack of matrices, infinite where an entry is beyond float64."""
    return float(np.linalg.svd(stack, compute_uv=False)[:, 0].max()) if np.isfinite(stack).all() else np.inf
