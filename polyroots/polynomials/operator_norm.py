"""The spectral norm of q(A): the largest factor by which one step of a smoother multiplies the norm of a residual."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Inexact, Int
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from polyroots.errors import InputError
from polyroots.polynomials.blocks import Factor, divided
from polyroots.polynomials.products import apply_to, factors_times, largest_norm
from polyroots.polynomials.symbol_norms import SymbolNorms
from polyroots.spectra import (
    DENSE_IS_FASTER,
    Convolution,
    GeneralOperator,
    OperatorBlocks,
    OperatorSpectrum,
    Spectrum,
    explicit_matrix,
    largest_eigenvalue,
    normalized_convolution,
    products_of,
)
from polyroots.threads import in_threads

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
    operator = spectrum.operator if isinstance(spectrum, OperatorSpectrum) else spectrum
    return OperatorNorm(operator, workers).of(q)


class OperatorNorm:
    """Spectral norms of polynomials of one operator; what they share is computed once.

    Parameters
    ----------
    operator : Spectrum, Convolution or GeneralOperator
        A, or a spectrum that was computed from it.
    workers : int, optional
        Number of threads; by default one for each core that this process may use.

    Attributes
    ----------
    operator : Convolution or GeneralOperator
        A / scale, of a size near 1.
    scale : float
    symbol : SymbolNorms or None
        Of a convolution with circular padding.

    Raises
    ------
    InputError
        If bare eigenvalues are given.
    """

    def __init__(self, operator: Spectrum | Convolution | GeneralOperator, workers: int | None = None) -> None:
        self.operator: Convolution | GeneralOperator
        self.symbol: SymbolNorms | None = None
        if isinstance(operator, GeneralOperator):
            self.operator, self.scale = operator.normalized()
            return
        self.operator, self.scale = convolution, _ = normalized_convolution(operator, "the norm of q(A)")
        if convolution.padding == "circular":
            self.symbol = SymbolNorms(convolution, workers)

    def of(self, q: FactoredPolynomial) -> float:
        """Return the norm of q(A), as `residual_norm` does."""
        factors = factors_for(q, self.scale)
        if self.symbol is not None:
            return self.symbol.largest(factors)
        if self.matrices is not None:
            return largest_norm(apply_to(factors, self.matrices))
        return self.by_products(factors)[0]

    @cached_property
    def matrices(self) -> Inexact[np.ndarray, "k m m"] | None:
        """The matrix of A / scale, or the blocks of its symbol; None if Lanczos' method is faster."""
        operator = self.operator
        if isinstance(operator, GeneralOperator):
            return operator.blocks() if operator.has_symbol or operator.shape[0] <= DENSE_IS_FASTER else None
        return explicit_matrix(operator)[None] if operator.shape[0] <= DENSE_IS_FASTER else None

    def by_products(self, factors: Sequence[Factor]) -> tuple[float, Inexact[np.ndarray, "n"]]:
        """Return the norm of a product of factors of A / scale by Lanczos' method, and the vector that it amplifies."""
        operator = self.operator
        is_general = isinstance(operator, GeneralOperator)
        if isinstance(operator, GeneralOperator) and not operator.has_adjoint:
            raise InputError(
                f"the norm of q(A) of {operator.shape[0]:,} unknowns needs products with the adjoint of A; give the "
                "LinearOperator an rmatvec"
            )
        return _norm_by_products(products_of(operator), factors, _SPARSE_TOLERANCE if is_general else _TOLERANCE)


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
    factors, norms = divided(q.factors, unit), []

    def solve(numbers: Int[np.ndarray, "_"]) -> None:
        stack = blocks.stack(numbers)
        if blocks.rows <= DENSE_IS_FASTER:
            norms.append(largest_norm(apply_to(factors, stack)))
        else:
            norms.extend(_norm_by_products(aslinearoperator(block), factors)[0] for block in stack)

    in_threads(solve, blocks.tasks())
    return max(norms, default=0.0)


def factors_for(q: FactoredPolynomial, scale: float) -> tuple[Factor, ...]:
    """Return the factors of the polynomial of A / scale that is q(A); raise InputError if q is none with factors."""
    if not isinstance(q, FactoredPolynomial):
        raise InputError(f"expected a ResidualPolynomial, got {type(q).__name__}; make it from the roots")
    # q(s A) is the polynomial of A with the roots over s.
    return divided(q.factors, scale)


def _norm_by_products(
    A: LinearOperator, factors: Sequence[Factor], tolerance: float = _TOLERANCE
) -> tuple[float, Inexact[np.ndarray, "n"]]:
    """Return the norm of a product of factors of A by Lanczos' method, and the unit vector that is amplified most."""
    n = A.shape[0]

    def product(u: Inexact[np.ndarray, "N"], A: LinearOperator) -> Inexact[np.ndarray, "N"]:
        # The factors commute and are real, so q(A)* = q(A*) is applied in the same order.
        return factors_times(factors, A.matvec, u)

    start = np.ones(n, dtype=A.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(product(product(start, A), A.H)).all():
            return np.inf, start / np.sqrt(n)
    gram = LinearOperator((n, n), matvec=lambda u: product(product(u.ravel(), A), A.H), dtype=A.dtype)
    tops, vectors = largest_eigenvalue(gram, "the norm of q(A)", tolerance)
    return float(np.sqrt(max(tops[0].real, 0.0))), vectors[:, 0] / np.linalg.norm(vectors)
