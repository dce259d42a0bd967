r"""Eigenvalues of convolutions with zero padding: block-Toeplitz matrices, whose spectrum the symbol doesn't give.

Zero-padded operators can be so far from normal that a general solver returns pseudospectrum: one channel with the taps
[1, 0, 0.1] on 64 pixels has the radius 2 sqrt(0.1) = 0.632, LAPACK finds 0.714. A diagonal similarity with powers of
the pixel's position, D = diag(a^y b^x), keeps the eigenvalues and multiplies the tap at the offset (o_y, o_x) by
a^o_y b^o_x; with the a and b of least Frobenius norm it makes this example symmetric. This is the balancing of Osborne
[1]_ within the Toeplitz structure, and it is exact: only the kernel changes.

References
----------
.. [1] E. E. Osborne, On pre-conditioning of matrices, Journal of the ACM 7 (1960), 338-345.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eig
from scipy.optimize import minimize
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from polyroots.matrices import explicit_matrix, linear_operator
from polyroots.operators import Operator

# Relative to a bound on the norm: a Ritz value with a smaller residual counts as converged.
_CONVERGED = 1e-9

# What ARPACK is asked for in turn: where it doesn't get to the first, Ritz values of the others show how far it came.
_TOLERANCES = (1e-10, 1e-5, 1e-2)
# A condition is wanted to two digits only.
_LEFT_TOLERANCES = (1e-4,)
# Twice the basis of the usual size: half as many products, on fresh 64 x 64 x 3 x 3 kernels at 32 x 32.
_BASIS = 80
_RESTARTS = 60


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Eigenvalues and how far they can be trusted.

    Attributes
    ----------
    values : (N,) complex128
    conditions : (N,) float64
        1 / |y* x| with left and right eigenvectors of unit length of the operator itself; NaN where unknown.
    errors : (N,) float64
        First-order estimate of the absolute error of each value: the condition in the balanced basis, where it was
        computed, times the residual.
    residuals : (N,) float64
        |A x - lambda x| / |A|, balanced, |x| = 1.
    converged : (N,) bool
    """

    values: NDArray[np.complex128]
    conditions: NDArray[np.float64]
    errors: NDArray[np.float64]
    residuals: NDArray[np.float64]
    converged: NDArray[np.bool_]


def dense_eigenvalues(operator: Operator) -> Eigenpairs:
    """All eigenvalues of a square operator from its explicit matrix, with their conditions.

    Raises
    ------
    InputError
        If the matrix is too large to be made.
    """
    balanced, exponents = balance(operator)
    A = explicit_matrix(balanced)
    values, left, right = eig(A, left=True, right=True)
    local, original = _conditions(left, right, _positions(operator, exponents))
    norm = float(np.linalg.norm(A))
    eps = np.finfo(float).eps
    return Eigenpairs(
        values=values,
        conditions=original,
        # LAPACK is backward stable: these are eigenvalues of A + E with |E| of the order of eps |A|.
        errors=eps * norm * local,
        residuals=np.full(len(values), eps),
        converged=np.ones(len(values), dtype=bool),
    )


def arnoldi_eigenvalues(operator: Operator, count: int, which: str) -> Eigenpairs:
    """A few eigenvalues at one end of the spectrum, matrix-free, by implicitly restarted Arnoldi (ARPACK).

    Parameters
    ----------
    operator : Operator
        Square, with more than `count` + 1 unknowns.
    count : int
    which : ``"SR"``, ``"LR"``, ``"LI"`` or ``"LM"``
        Smallest or largest real part, largest imaginary part (in modulus), largest modulus.

    Returns
    -------
    Eigenpairs
        At most `count` + 1, fewer where ARPACK has no more; a residual |A x - lambda x| is computed anew for each.
    """
    balanced, exponents = balance(operator)
    A = linear_operator(balanced)
    norm = _norm_bound(balanced)
    values, right = _ritz(A, count, which, _TOLERANCES)
    if not len(values):
        empty = np.empty(0)
        return Eigenpairs(values, empty, empty, empty, np.empty(0, dtype=bool))
    # ARPACK's vectors are real pairs made complex: applied in real and imaginary part.
    residuals = np.linalg.norm(A.matmat(right.real) + 1j * A.matmat(right.imag) - values * right, axis=0) / norm
    converged = residuals <= _CONVERGED

    # Left vectors y* A = lambda y* are those of the transpose: A^T conj(y) = lambda conj(y).
    left_values, transposed = _ritz(A.T, count, which, _LEFT_TOLERANCES)
    left = np.full(right.shape, np.nan, dtype=complex)
    for index, value in enumerate(values):
        near = np.flatnonzero(np.abs(left_values - value) <= 1e-3 * norm)
        if len(near):
            # Those of other eigenvalues are orthogonal to x.
            overlaps = np.abs(transposed[:, near].T @ right[:, index])
            left[:, index] = transposed[:, near[overlaps.argmax()]].conj()
    local, original = _conditions(left, right, _positions(operator, exponents))
    # Without a condition the residual is the least that the error can be.
    errors = norm * residuals * np.where(np.isnan(local), 1.0, local)
    return Eigenpairs(values, original, errors, residuals, converged)


def balance(operator: Operator) -> tuple[Operator, tuple[float, float]]:
    """Similar operator with a kernel of smaller norm, and the logarithms of its a and b (zero padding only)."""
    oy, ox = operator.offsets
    weights = (operator.weight**2).sum(axis=(0, 1))
    if operator.padding != "zeros" or not weights.any():
        return operator, (0.0, 0.0)
    # Convex: the logarithm of a sum of exponentials. Bounded, as a one-sided kernel would go to infinity.
    y, x = (axis.ravel() for axis in np.meshgrid(oy, ox, indexing="ij"))
    present = weights.ravel() > 0
    y, x, log_weights = y[present], x[present], np.log(weights.ravel()[present])

    def log_norm(exponents: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        terms = log_weights + 2 * (exponents[0] * y + exponents[1] * x)
        top = terms.max()
        shares = np.exp(terms - top)
        total = shares.sum()
        gradient = 2 * np.array([(shares * y).sum(), (shares * x).sum()]) / total
        return float(top + np.log(total)), gradient

    bounds = [(-8 / max(1, np.abs(o).max()), 8 / max(1, np.abs(o).max())) for o in (oy, ox)]
    found = minimize(log_norm, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15})
    alpha, beta = (float(exponent) for exponent in found.x)
    scale = np.exp(alpha * oy[:, None] + beta * ox)
    return replace(operator, weight=operator.weight * scale), (alpha, beta)


def _ritz(
    A: LinearOperator, count: int, which: str, tolerances: tuple[float, ...]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    n = A.shape[0]
    start = np.random.default_rng(n).standard_normal(n)
    for tolerance in tolerances:
        try:
            basis = min(n, max(4 * count, _BASIS))
            return eigs(A, k=count, which=which, v0=start, tol=tolerance, ncv=basis, maxiter=_RESTARTS)
        except ArpackNoConvergence:
            continue
    return np.empty(0, dtype=complex), np.empty((n, 0), dtype=complex)


def _positions(operator: Operator, exponents: tuple[float, float]) -> NDArray[np.float64]:
    """Logarithm of the diagonal of D for every unknown."""
    H, W = operator.size
    pixels = exponents[0] * np.arange(H)[:, None] + exponents[1] * np.arange(W)
    return np.tile(pixels.ravel(), operator.c_in)


def _conditions(
    left: NDArray[np.complex128], right: NDArray[np.complex128], log_d: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalue conditions in the balanced and in the operator's own basis, for x = D x' and y = D^-1 y'."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_product = np.log(np.abs((left.conj() * right).sum(axis=0)))
        local = np.log(np.linalg.norm(left, axis=0)) + np.log(np.linalg.norm(right, axis=0)) - log_product
        original = _log_norm(right, log_d) + _log_norm(left, -log_d) - log_product
        # A condition is at least 1; rounding says 1 - 1e-16.
        return np.maximum(np.exp(local), 1.0), np.maximum(np.exp(original), 1.0)


def _log_norm(vectors: NDArray[np.complex128], log_d: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of |D v| for each column v."""
    top = log_d.max()
    return top + np.log(np.linalg.norm(np.exp(log_d - top)[:, None] * vectors, axis=0))


def _norm_bound(operator: Operator) -> float:
    """Upper bound on the 2-norm, sqrt(|A|_1 |A|_inf); 1 for the zero operator."""
    taps = np.abs(operator.kernels)
    return float(np.sqrt(taps.sum(axis=(2, 3, 4)).max() * taps.sum(axis=(1, 3, 4)).max())) or 1.0
