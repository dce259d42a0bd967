"""The spectral norm of q(A): the largest factor by which one step of a smoother multiplies the norm of a residual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Inexact, Int
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
class FactoredPolynomial(Protocol):
    """A residual polynomial with its factors, such as `polyroots.ResidualPolynomial`."""

    @property
    def factors(self) -> Sequence[Factor]:
        """Factors of q in a stable order."""


def residual_norm(spectrum: Spectrum | Convolution, q: FactoredPolynomial, *, workers: int | None = None) -> float:
    """Return the spectral norm of q(A), the largest factor by which one step of a smoother multiplies a residual.

    It is at least max |q(Lambda)|, with equality for a normal A. With circular padding it is the largest norm of
    q(A^(theta)), computed at every frequency; with zero padding it comes from the explicit matrix, or from Lanczos'
    method if that is large.

    Parameters
    ----------
    spectrum : Spectrum or Convolution
        A, or a spectrum that was computed from it.
    q : ResidualPolynomial
    workers : int, optional
        Number of threads; by default one for each core that this process may use.

    Returns
    -------
    float
        Infinite if it overflows float64.

    Raises
    ------
    InputError
        If bare eigenvalues are given.
    ConvergenceError
        If Lanczos' method fails on a large zero-padded operator.

    See Also
    --------
    polyroots.ResidualPolynomial.diagnose : this norm beside max |q| on the spectrum.

    Examples
    --------
    One step of damped Jacobi on a periodic Laplacian keeps the constant mode and damps all others:

    >>> from polyroots.polynomials import ResidualPolynomial
    >>> K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
    >>> print(round(residual_norm(Convolution.of(K, 8), ResidualPolynomial([5])), 12))
    1.0
    """
    operator, scale = normalized_convolution(spectrum, "the norm of q(A)")
    if not isinstance(q, FactoredPolynomial):
        raise InputError(f"expected a ResidualPolynomial, got {type(q).__name__}; make it from the roots")
    # q(s A) is the polynomial of A with the roots over s.
    factors = tuple(scaled(factor, 1 / scale) for factor in q.factors)
    if operator.padding == "zeros":
        return norm_of_matrix(operator, factors)
    blocks, norms = SymbolBlocks(operator), []

    def solve(chosen: Int[np.ndarray, "_"]) -> None:
        norms.append(_largest_norm(_apply_to(factors, blocks.stack(chosen))))

    in_threads(solve, blocks.tasks(workers), workers)
    return max(norms)


def norm_of_matrix(operator: Convolution, factors: Sequence[Factor]) -> float:
    """Return the norm of a product of factors of A for zero padding."""
    n = operator.shape[0]
    if n <= DENSE_IS_FASTER:
        return _largest_norm(_apply_to(factors, explicit_matrix(operator)[None]))
    A = linear_operator(operator)

    def product(u: Float64[np.ndarray, "N"], A: LinearOperator) -> Float64[np.ndarray, "N"]:
        # The factors commute, so q(A)^T = q(A^T) is applied in the same order.
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


def _apply_to(factors: Sequence[Factor], stack: Inexact[np.ndarray, "k c c"]) -> Inexact[np.ndarray, "k c c"]:
    """Return the matrices q(A) of a stack of matrices A, multiplied factor by factor in Leja order."""
    identity = np.eye(stack.shape[-1])
    square = stack @ stack
    result = np.broadcast_to(identity, stack.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for factor in factors:
            result = result @ matrix_of(factor, stack, square)
    return result


def matrix_of(
    factor: Factor, stack: Inexact[np.ndarray, "k c c"], square: Inexact[np.ndarray, "k c c"]
) -> Inexact[np.ndarray, "k c c"]:
    """Return the matrices I - A p(A) of one factor, for a stack of matrices A and of their squares."""
    powers = {0: stack, 1: square}
    matrix = np.eye(stack.shape[-1])
    for power, coefficient in zip(factor.powers, factor.coefficients, strict=True):
        matrix = matrix - coefficient * powers[power]
    return matrix


def _largest_norm(stack: Inexact[np.ndarray, "k c c"]) -> float:
    """Return the largest spectral norm of a stack of matrices, infinite if an entry has overflowed."""
    return float(np.linalg.svd(stack, compute_uv=False)[:, 0].max()) if np.isfinite(stack).all() else np.inf
