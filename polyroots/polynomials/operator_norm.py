"""The spectral norm of q(A): the largest factor by which one step of a smoother multiplies the norm of a residual."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Inexact, Int
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from polyroots.errors import InputError
from polyroots.polynomials.blocks import Factor, scaled
from polyroots.spectra import (
    DENSE_IS_FASTER,
    Convolution,
    GeneralOperator,
    OperatorBlocks,
    OperatorSpectrum,
    Spectrum,
    SymbolBlocks,
    explicit_matrix,
    largest_eigenvalue,
    normalized_convolution,
    products_of,
)
from polyroots.threads import in_threads

# Norms that are below a bound by at least this share are compared with it in single precision.
MARGIN = 1e-3
# Smaller matrices take less time than the arrays around them.
LEAST_ROWS = 32
# Of Lanczos' method, for convolutions and for general operators, which may be far larger: four digits are shown.
_TOLERANCE, _SPARSE_TOLERANCE = 1e-11, 1e-5


@runtime_checkable
class FactoredPolynomial(Protocol):
    """A residual polynomial with its factors, such as `polyroots.ResidualPolynomial`."""

    @property
    def factors(self) -> Sequence[Factor]:
        """Factors of q in a stable order."""


def residual_norm(
    spectrum: Spectrum | Convolution | OperatorSpectrum | GeneralOperator,
    q: FactoredPolynomial,
    *,
    workers: int | None = None,
) -> float:
    """Return the spectral norm of q(A), the largest factor by which one step of a smoother multiplies a residual.

    It is at least max |q(Lambda)|, with equality for a normal A. With circular padding it is the largest norm of
    q(A^(theta)), computed at every frequency; with zero padding, and for other operators, it comes from the explicit
    matrix, or from Lanczos' method if that is large.

    Parameters
    ----------
    spectrum : Spectrum, Convolution, OperatorSpectrum or GeneralOperator
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
        If bare eigenvalues are given, or a large operator has no products with its adjoint.
    ConvergenceError
        If Lanczos' method fails on a large operator.

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
    operator: Convolution | GeneralOperator
    if isinstance(spectrum, OperatorSpectrum | GeneralOperator):
        general = spectrum.operator if isinstance(spectrum, OperatorSpectrum) else spectrum
        operator, scale = general.normalized()
    else:
        operator, scale = normalized_convolution(spectrum, "the norm of q(A)")
    factors = factors_for(q, scale)
    if isinstance(operator, GeneralOperator) or operator.padding == "zeros":
        return norm_of_matrix(operator, factors)
    return _norm_of_symbol(SymbolBlocks(operator), factors, workers)


def _norm_of_symbol(blocks: SymbolBlocks, factors: Sequence[Factor], workers: int | None) -> float:
    """Return the largest norm of a product of factors at all frequencies.

    Singular values are computed only where the norm isn't surely below the largest one that is known.
    """
    tasks = blocks.tasks(workers)
    first = blocks.stack(tasks[0])
    found = [largest_norm(apply_to(factors, first))]
    is_single = blocks.rows >= LEAST_ROWS and single_is_enough(found[0], factors, first)

    def is_below(stack: Inexact[np.ndarray, "k c c"]) -> bool:
        return is_single and surely_at_most(max(found), factors, stack, [len(factors)])

    def solve(chosen: Int[np.ndarray, "_"]) -> None:
        stack = blocks.stack(chosen)
        if not is_below(stack):
            left = stack[[not is_below(block[None]) for block in stack]] if len(chosen) > 1 else stack
            if len(left):
                found.append(largest_norm(apply_to(factors, left)))

    in_threads(solve, tasks[1:], workers)
    return max(found)


def matrix_blocks(operator: Convolution | GeneralOperator) -> Inexact[np.ndarray, "k m m"] | None:
    """Return the matrix of an operator, or the blocks of its symbol; None if Lanczos' method is faster."""
    if isinstance(operator, GeneralOperator):
        return operator.blocks() if operator.has_symbol or operator.shape[0] <= DENSE_IS_FASTER else None
    return explicit_matrix(operator)[None] if operator.shape[0] <= DENSE_IS_FASTER else None


def norm_of_matrix(operator: Convolution | GeneralOperator, factors: Sequence[Factor]) -> float:
    """Return the norm of a product of factors of A from its matrix, or from products with A and its adjoint."""
    n, blocks = operator.shape[0], matrix_blocks(operator)
    if blocks is not None:
        return largest_norm(apply_to(factors, blocks))
    if isinstance(operator, GeneralOperator) and not operator.has_adjoint:
        raise InputError(
            f"the norm of q(A) of {n:,} unknowns needs products with the adjoint of A; give the LinearOperator an "
            "rmatvec"
        )
    tolerance = _SPARSE_TOLERANCE if isinstance(operator, GeneralOperator) else _TOLERANCE
    return _norm_by_products(products_of(operator), factors, tolerance)


def norm_on_blocks(blocks: OperatorBlocks, q: FactoredPolynomial, unit: float) -> float:
    """Return the norm of q(A) on what is to be damped.

    Parameters
    ----------
    blocks : OperatorBlocks
    q : ResidualPolynomial
    unit : float
        q is a polynomial in the blocks times this unit.

    Returns
    -------
    float
        Infinite if it overflows float64.

    Raises
    ------
    ConvergenceError
        If Lanczos' method fails on a large matrix.
    """
    factors, norms = tuple(scaled(factor, 1 / unit) for factor in q.factors), []

    def solve(numbers: Int[np.ndarray, "_"]) -> None:
        stack = blocks.stack(numbers)
        if blocks.rows <= DENSE_IS_FASTER:
            norms.append(largest_norm(apply_to(factors, stack)))
        else:
            norms.extend(_norm_by_products(aslinearoperator(block), factors) for block in stack)

    in_threads(solve, blocks.tasks())
    return max(norms, default=0.0)


def _norm_by_products(A: LinearOperator, factors: Sequence[Factor], tolerance: float = _TOLERANCE) -> float:
    """Return the norm of a product of factors of A by Lanczos' method."""
    n = A.shape[0]

    def product(u: Inexact[np.ndarray, "N"], A: LinearOperator) -> Inexact[np.ndarray, "N"]:
        # The factors commute and are real, so q(A)* = q(A*) is applied in the same order.
        return factors_times(factors, A.matvec, u)

    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(product(product(np.ones(n, dtype=A.dtype), A), A.H)).all():
            return np.inf
    gram = LinearOperator((n, n), matvec=lambda u: product(product(u.ravel(), A), A.H), dtype=A.dtype)
    tops, _ = largest_eigenvalue(gram, "the norm of q(A)", tolerance)
    return float(np.sqrt(max(tops[0].real, 0.0)))


def factors_times(
    factors: Sequence[Factor], product: Callable[[NDArray[Any]], NDArray[Any]], u: NDArray[Any]
) -> NDArray[Any]:
    """Return the product of the factors I - A p(A) with u, from products with A."""
    for factor in factors:
        power = u
        coefficients = dict(zip(factor.powers, factor.coefficients, strict=True))
        for exponent in range(max(coefficients) + 1):
            power = product(power)
            if exponent in coefficients:
                u = u - coefficients[exponent] * power
    return u


def norms_are_at_most(bound: float, stack: Inexact[np.ndarray, "k c c"]) -> bool:
    """Return whether the spectral norms of all matrices M are at most a bound, up to rounding.

    They are if I - M* M / bound^2 is positive definite, which a Cholesky factorisation decides ten times faster than
    singular values could be computed.
    """
    gap = stack.conj().swapaxes(-1, -2) @ stack
    gap /= -(bound**2)
    diagonal = np.einsum("...ii->...i", gap)
    # The squared norm of a column is at least as large as what else is in it.
    if not np.isfinite(diagonal).all():
        return False
    diagonal += 1
    try:
        np.linalg.cholesky(gap)
    except np.linalg.LinAlgError:
        return False
    return True


def surely_at_most(
    bound: float, factors: Sequence[Factor], stack: Inexact[np.ndarray, "k c c"], counts: Sequence[int]
) -> bool:
    """Return whether single precision shows that the norms of some partial products are at most a bound.

    Parameters
    ----------
    bound : float
    factors : sequence of Factor
        For which `single_is_enough`.
    stack : (k, c, c) complex128
    counts : sequence of int
        Numbers of the first factors whose products are taken.

    Returns
    -------
    bool
        False if it needs double precision to be decided.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        products = enumerate(partial_products(factors[: max(counts)], stack.astype(np.complex64)), 1)
        return all(norms_are_at_most(bound * (1 - MARGIN), product) for count, product in products if count in counts)


def single_is_enough(bound: float, factors: Sequence[Factor], stack: Inexact[np.ndarray, "k c c"]) -> bool:
    """Return whether the errors of partial products in single precision are far below the margin of `surely_at_most`.

    They are measured at some matrices, which should be those with the largest products.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        single = partial_products(factors, stack.astype(np.complex64))
        errors = [
            np.linalg.norm(rounded - product, axis=(-2, -1)).max()
            for rounded, product in zip(single, partial_products(factors, stack), strict=True)
        ]
    return bool(0 < bound < np.inf and max(errors) <= MARGIN / 20 * bound)


def factors_for(q: FactoredPolynomial, scale: float) -> tuple[Factor, ...]:
    """Return the factors of the polynomial of A / scale that is q(A); raise InputError if q is none with factors."""
    if not isinstance(q, FactoredPolynomial):
        raise InputError(f"expected a ResidualPolynomial, got {type(q).__name__}; make it from the roots")
    # q(s A) is the polynomial of A with the roots over s.
    return tuple(scaled(factor, 1 / scale) for factor in q.factors)


def apply_to(factors: Sequence[Factor], stack: Inexact[np.ndarray, "k c c"]) -> Inexact[np.ndarray, "k c c"]:
    """Return the matrices q(A) of a stack of matrices A, multiplied factor by factor in Leja order."""
    *_, result = partial_products(factors, stack)
    return result


def partial_products(
    factors: Sequence[Factor],
    stack: Inexact[np.ndarray, "k c c"],
    square: Inexact[np.ndarray, "k c c"] | None = None,
) -> Iterator[Inexact[np.ndarray, "k c c"]]:
    """Return the products of the first k factors, k = 1, 2, ..., for matrices A and, if given, their squares."""
    if square is None and any(max(factor.powers) > 0 for factor in factors):
        with np.errstate(over="ignore", invalid="ignore"):
            square = stack @ stack
    result = None
    with np.errstate(over="ignore", invalid="ignore"):
        for factor in factors:
            matrix = _matrix_of(factor, stack, square)
            result = matrix if result is None else result @ matrix
            yield result


def _matrix_of(
    factor: Factor, stack: Inexact[np.ndarray, "k c c"], square: Inexact[np.ndarray, "k c c"] | None
) -> Inexact[np.ndarray, "k c c"]:
    """Return the matrices I - A p(A) of one factor, for a stack of matrices A and of their squares."""
    powers: Mapping[int, Any] = {0: stack, 1: square}
    matrix = np.zeros_like(stack)
    np.einsum("...ii->...i", matrix)[...] = 1
    for power, coefficient in zip(factor.powers, factor.coefficients, strict=True):
        matrix -= coefficient * powers[power]
    return matrix


def largest_norm(stack: Inexact[np.ndarray, "k c c"]) -> float:
    """Return the largest spectral norm of a stack of matrices, infinite if an entry has overflowed."""
    return float(np.linalg.svd(stack, compute_uv=False)[:, 0].max()) if np.isfinite(stack).all() else np.inf
