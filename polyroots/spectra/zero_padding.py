"""Eigenvalues of convolutions with zero padding, which are block-Toeplitz matrices.

Zero-padded operators can be so far from normal that a general solver returns points of the pseudospectrum: one channel
with the taps [1, 0, 0.1] on 64 pixels has the spectral radius 2 sqrt(0.1) cos(pi / 65) = 0.632, LAPACK's is 0.714. A
similarity transform by D = diag(a^y b^x), powers of the pixel's position, keeps the eigenvalues and multiplies the tap
at the offset (o_y, o_x) by a^o_y b^o_x; with the a and b of least Frobenius norm it makes this example symmetric. It is
the balancing of Osborne [1]_ within the Toeplitz structure: only the kernel changes.

References
----------
.. [1] E. E. Osborne, On pre-conditioning of matrices, Journal of the ACM 7 (1960), 338-345.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Complex128, Float64, Inexact, Int
from scipy.linalg import eig
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

from polyroots.spectra.block_triangular import diagonal_blocks, is_tridiagonal, tridiagonal_eigenvalues
from polyroots.spectra.clusters import cluster_labels
from polyroots.spectra.convolution import Convolution, norm_bound
from polyroots.spectra.kronecker_sum import summands
from polyroots.spectra.matrix import explicit_matrix, fits, linear_operator

# Largest residual and largest error, relative to a bound on the norm, of a converged Ritz value. The residual alone
# proves nothing: operators far from normal have small residuals where no eigenvalue is.
_RESIDUAL, _ACCURACY = 1e-9, 1e-6
# Distance, relative to the norm, below which eigenvalues are treated as a multiple one.
_MULTIPLE = 1e-8

# Tolerances of ARPACK in turn: if it doesn't reach the first, a later one still gives Ritz values with their residuals.
_TOLERANCES = (1e-10, 1e-5, 1e-2)
# Bound on the logarithms of a and b: a tap that is scaled by exp(-40) is below the rounding errors of the others.
_STEEPEST = 40.0
# Conditions are needed to two digits only.
_LEFT_TOLERANCES = (1e-4,)
# Twice the usual dimension of the Krylov space halves the products, measured on random 64 x 64 x 3 x 3 kernels at
# 32 x 32.
_BASIS = 80
_RESTARTS = 60


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Eigenvalues with conditions, error estimates and residuals.

    Attributes
    ----------
    values : (N,) complex128
    conditions : (N,) float64
        1 / |y* x| with left and right eigenvectors of the operator of unit length; the norm of the spectral projector
        for a multiple eigenvalue. Infinite for those of equal, coupled blocks, NaN where unknown.
    errors : (N,) float64
        First-order estimate of the absolute error of each value: the residual times the condition of the balanced
        operator. NaN where the condition is unknown.
    residuals : (N,) float64
        |A x - lambda x| / |A| with |x| = 1, of the balanced operator.
    converged : (N,) bool
        Whether residual and error are small.
    """

    values: Complex128[np.ndarray, "N"]
    conditions: Float64[np.ndarray, "N"]
    errors: Float64[np.ndarray, "N"]
    residuals: Float64[np.ndarray, "N"]
    converged: Bool[np.ndarray, "N"]


def dense_eigenvalues(operator: Convolution) -> Eigenpairs:
    """Return all eigenvalues of a square operator, with their conditions, from the explicit matrix of each group.

    Raises
    ------
    InputError
        If the matrix of a group is too large for dense solvers.
    """
    return _join([_all_of_group(group) for group in operator.by_group()])


def is_direct(operator: Convolution) -> bool:
    """Return whether `dense_eigenvalues` computes all eigenvalues of a square operator, by its diagonal blocks.

    They have to be small enough for dense solvers, tridiagonal, or Kronecker sums of such.
    """
    return all(_is_direct(group) for group in operator.by_group())


def _is_direct(operator: Convolution) -> bool:
    """Return whether `_all_of_group` computes all eigenvalues of an operator of one group."""
    lines = summands(operator)
    if lines is not None:
        return all(_is_direct(line) for line in lines)
    return all(is_tridiagonal(block.operator) or fits(block.operator) for block in diagonal_blocks(operator))


def arnoldi_eigenvalues(operator: Convolution, k: int, which: str) -> Eigenpairs:
    """Return eigenvalues at one end of the spectrum, by implicitly restarted Arnoldi without the matrix (ARPACK).

    Parameters
    ----------
    operator : Convolution
        Square.
    k : int
        Number of eigenvalues for each group.
    which : ``"SR"``, ``"LR"``, ``"LI"`` or ``"LM"``
        Smallest or largest real part, largest imaginary part (in modulus), largest modulus.

    Returns
    -------
    Eigenpairs
        Unordered; each residual is computed anew. A multiple eigenvalue is usually found once.
    """
    return _join([_arnoldi(group, k, which) for group in operator.by_group()])


def _all_of_group(operator: Convolution) -> Eigenpairs:
    """Return all eigenvalues of an operator of one group."""
    lines = summands(operator)
    if lines is not None:
        return _sum(*map(_all_of_group, lines))
    operator, scale = operator.normalized()
    parts = []
    for block in diagonal_blocks(operator):
        found = _tridiagonal(block.operator) if is_tridiagonal(block.operator) else _dense(block.operator)
        if block.is_coupled:
            # Equal blocks that are coupled by the other taps usually form Jordan chains.
            conditions = np.full(len(found.values), np.inf if block.copies > 1 else np.nan)
            found = replace(found, conditions=conditions)
        found = replace(found, values=found.values * scale, errors=found.errors * scale)
        parts += [found] * block.copies
    return _join(parts)


def _sum(column: Eigenpairs, row: Eigenpairs) -> Eigenpairs:
    """Return the eigenpairs of the Kronecker sum of two lines: sums of eigenvalues, products of eigenvectors."""
    values = np.add.outer(column.values, row.values).ravel()
    eps = np.finfo(float).eps
    with np.errstate(over="ignore"):
        conditions = np.multiply.outer(column.conditions, row.conditions).ravel()
    return Eigenpairs(
        values=values,
        conditions=conditions,
        errors=np.add.outer(column.errors, row.errors).ravel(),
        residuals=np.full(len(values), eps),
        converged=np.ones(len(values), dtype=bool),
    )


def _tridiagonal(operator: Convolution) -> Eigenpairs:
    """Return the eigenvalues of a tridiagonal line, which a diagonal similarity makes normal."""
    values, conditions = tridiagonal_eigenvalues(operator)
    eps = np.finfo(float).eps
    return Eigenpairs(
        values=values,
        conditions=conditions,
        errors=np.full(len(values), eps * np.abs(values).max()),
        residuals=np.full(len(values), eps),
        converged=np.ones(len(values), dtype=bool),
    )


def _join(parts: list[Eigenpairs]) -> Eigenpairs:
    return Eigenpairs(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Eigenpairs)))


def _dense(operator: Convolution) -> Eigenpairs:
    """Return all eigenvalues from the balanced explicit matrix."""
    balanced, exponents = balance(operator)
    A = explicit_matrix(balanced)
    values, left, right = eig(A, left=True, right=True)
    norm = float(np.linalg.norm(A))
    local, original = _conditions(values, left, right, _positions(operator, exponents), _MULTIPLE * norm)
    eps = np.finfo(float).eps
    return Eigenpairs(
        values=values,
        conditions=original,
        # LAPACK is backward stable: the values are eigenvalues of A + E with |E| of the order of eps |A|.
        errors=eps * norm * local,
        residuals=np.full(len(values), eps),
        converged=np.ones(len(values), dtype=bool),
    )


def _arnoldi(operator: Convolution, k: int, which: str) -> Eigenpairs:
    """Return eigenvalues at one end for an operator of one group."""
    operator, scale = operator.normalized()
    if not operator.weight.any():
        zeros = np.zeros(min(k, operator.shape[0]))
        return Eigenpairs(zeros.astype(complex), zeros + 1, zeros, zeros, zeros == 0)
    balanced, exponents = balance(operator)
    A = linear_operator(balanced)
    k = min(k, A.shape[0] // 2)
    norm = norm_bound(balanced)
    values, right = _ritz(A, k, which, _TOLERANCES)
    if not len(values):
        empty = np.empty(0)
        return Eigenpairs(values, empty, empty, empty, np.empty(0, dtype=bool))
    # The operator takes real vectors: it is applied to the real and imaginary parts.
    residuals = np.linalg.norm(A.matmat(right.real) + 1j * A.matmat(right.imag) - values * right, axis=0) / norm

    left = np.full(right.shape, np.nan, dtype=complex)
    for tolerances in (_LEFT_TOLERANCES, _TOLERANCES):
        # For operators far from normal, left and right eigenvalues agree at the tightest tolerance only.
        missing = np.flatnonzero(np.isnan(left).any(axis=0))
        if len(missing):
            left[:, missing] = _left_vectors(A, k, which, tolerances, values[missing], right[:, missing], norm)
    local, original = _conditions(values, left, right, _positions(operator, exponents), 0.0)
    for cluster in _clusters(values, _MULTIPLE * norm):
        # ARPACK may find fewer left than right vectors of a multiple eigenvalue: the best pair counts.
        for condition in (local, original):
            condition[cluster] = condition[cluster].min()
    errors = norm * residuals * local
    with np.errstate(invalid="ignore"):
        converged = (residuals <= _RESIDUAL) & (errors <= _ACCURACY * norm)
    return Eigenpairs(values * scale, original, errors * scale, residuals, converged)


def _left_vectors(
    A: LinearOperator,
    k: int,
    which: str,
    tolerances: tuple[float, ...],
    values: Complex128[np.ndarray, "N"],
    right: Complex128[np.ndarray, "n N"],
    norm: float,
) -> Complex128[np.ndarray, "n N"]:
    """Return left eigenvectors y, y* A = lambda y*, of unit length; NaN where none was found."""
    # These are eigenvectors of the transpose: A^T conj(y) = lambda conj(y).
    left_values, transposed = _ritz(A.T, k, which, tolerances)
    left = np.full(right.shape, np.nan, dtype=complex)
    for index, value in enumerate(values):
        near = np.flatnonzero(np.abs(left_values - value) <= 1e-3 * norm)
        if len(near):
            # Left vectors of other eigenvalues are orthogonal to x; those of a multiple eigenvalue are combined.
            overlaps = transposed[:, near].T @ right[:, index]
            combined = (transposed[:, near] @ overlaps.conj()).conj()
            left[:, index] = combined / np.linalg.norm(combined)
    return left


def balance(operator: Convolution) -> tuple[Convolution, tuple[float, float]]:
    """Return a similar operator with a kernel of smaller norm, and the logarithms of a and b (zero padding only)."""
    from scipy.optimize import minimize

    oy, ox = operator.offsets
    weights = (operator.weight**2).sum(axis=(0, 1))
    if operator.padding != "zeros" or not weights.any():
        return operator, (0.0, 0.0)
    # The logarithm of the squared norm is convex. The bounds are needed for one-sided kernels, whose infimum is at
    # infinity.
    y, x = (axis.ravel() for axis in np.meshgrid(oy, ox, indexing="ij"))
    present = weights.ravel() > 0
    y, x, log_weights = y[present], x[present], np.log(weights.ravel()[present])

    def log_norm(exponents: Float64[np.ndarray, "2"]) -> tuple[float, Float64[np.ndarray, "2"]]:
        terms = log_weights + 2 * (exponents[0] * y + exponents[1] * x)
        top = terms.max()
        shares = np.exp(terms - top)
        total = shares.sum()
        gradient = 2 * np.array([(shares * y).sum(), (shares * x).sum()]) / total
        return float(top + np.log(total)), gradient

    found = minimize(
        log_norm,
        np.zeros(2),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_STEEPEST, _STEEPEST)] * 2,
        options={"ftol": 1e-15},
    )
    alpha, beta = (float(exponent) for exponent in found.x)
    scale = np.exp(alpha * oy[:, None] + beta * ox)
    return replace(operator, weight=operator.weight * scale), (alpha, beta)


def _ritz(
    A: LinearOperator, k: int, which: str, tolerances: tuple[float, ...]
) -> tuple[Complex128[np.ndarray, "N"], Complex128[np.ndarray, "n N"]]:
    """Return Ritz values and vectors at the first tolerance that ARPACK reaches; none if it reaches none."""
    n = A.shape[0]
    start = np.random.default_rng(n).standard_normal(n)
    for tolerance in tolerances:
        try:
            basis = min(n, max(4 * k, _BASIS))
            return eigs(A, k=k, which=which, v0=start, tol=tolerance, ncv=basis, maxiter=_RESTARTS)
        except ArpackError:
            continue
    return np.empty(0, dtype=complex), np.empty((n, 0), dtype=complex)


def _positions(operator: Convolution, exponents: tuple[float, float]) -> Float64[np.ndarray, "n"]:
    """Return the logarithms of the diagonal of D."""
    H, W = operator.size
    pixels = exponents[0] * np.arange(H)[:, None] + exponents[1] * np.arange(W)
    return np.tile(pixels.ravel(), operator.c_in)


def _conditions(
    values: Complex128[np.ndarray, "N"],
    left: Inexact[np.ndarray, "n N"],
    right: Inexact[np.ndarray, "n N"],
    log_d: Float64[np.ndarray, "n"],
    width: float,
) -> tuple[Float64[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """Return the eigenvalue conditions of the balanced operator and of the original one, x = D x' and y = D^-1 y'.

    Eigenvalues closer than `width` are treated as multiple.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_product = np.log(np.abs((left.conj() * right).sum(axis=0)))
        local = np.log(np.linalg.norm(left, axis=0)) + np.log(np.linalg.norm(right, axis=0)) - log_product
        original = _log_norms(right, log_d) + _log_norms(left, -log_d) - log_product
        # A condition is at least 1, but for rounding.
        conditions = np.maximum(np.exp(local), 1.0), np.maximum(np.exp(original), 1.0)
    for cluster in _clusters(values, width):
        for condition, scaling in zip(conditions, (0 * log_d, log_d), strict=True):
            x, y = _unit(right[:, cluster], scaling), _unit(left[:, cluster], -scaling)
            spread_x, spread_y = (np.linalg.svd(basis, compute_uv=False) for basis in (x, y))
            # Vectors of a defective eigenvalue are nearly parallel and don't span its invariant subspace.
            if min(spread_x[-1] / spread_x[0], spread_y[-1] / spread_y[0]) > 1e-4:
                angles = np.linalg.svd(np.linalg.qr(y)[0].conj().T @ np.linalg.qr(x)[0], compute_uv=False)
                condition[cluster] = np.minimum(condition[cluster], 1 / max(angles[-1], 1e-300))
    return conditions


def _clusters(values: Complex128[np.ndarray, "N"], width: float) -> list[Int[np.ndarray, "_"]]:
    """Return the positions of the members of each cluster of at least two eigenvalues."""
    if not width:
        return []
    labels = cluster_labels(values, width)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return [group for group in groups if len(group) > 1]


def _unit(vectors: Inexact[np.ndarray, "n N"], log_d: Float64[np.ndarray, "n"]) -> Inexact[np.ndarray, "n N"]:
    """Return D v, normalised, for each column v."""
    scaled = np.exp(log_d - log_d.max())[:, None] * vectors
    norms = np.linalg.norm(scaled, axis=0)
    return scaled / np.where(norms > 0, norms, 1.0)


def _log_norms(vectors: Inexact[np.ndarray, "n N"], log_d: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "N"]:
    """Return the logarithm of |D v| for each column v."""
    top = log_d.max()
    return top + np.log(np.linalg.norm(np.exp(log_d - top)[:, None] * vectors, axis=0))
