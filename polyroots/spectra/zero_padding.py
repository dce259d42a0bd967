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

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eig
from scipy.optimize import minimize
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

from polyroots.spectra.clusters import cluster_labels
from polyroots.spectra.convolution import Convolution, norm_bound
from polyroots.spectra.matrix import explicit_matrix, fits, linear_operator

# Relative to a bound on the norm. A Ritz value has converged if its residual is smaller, and if its condition is known
# and small enough to make that an accuracy: far from normal operators have small residuals where no eigenvalue is.
_RESIDUAL, _ACCURACY = 1e-9, 1e-6
# Closer eigenvalues count as one, multiple.
_MULTIPLE = 1e-8

# What ARPACK is asked for in turn: where it doesn't get to the first, Ritz values of the others show how far it came.
_TOLERANCES = (1e-10, 1e-5, 1e-2)
# Bound on the logarithms of a and b: beyond exp(-40) a tap is lost beside the others.
_STEEPEST = 40.0
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
        1 / |y* x| with left and right eigenvectors of unit length of the operator itself; of a multiple eigenvalue the
        norm of its spectral projector. NaN where unknown.
    errors : (N,) float64
        First-order estimate of the absolute error of each value: the condition in the balanced basis, where it was
        computed, times the residual. NaN where the condition is unknown.
    residuals : (N,) float64
        |A x - lambda x| / |A|, balanced, |x| = 1.
    converged : (N,) bool
        Whether the residual is small, and the error too.
    """

    values: NDArray[np.complex128]
    conditions: NDArray[np.float64]
    errors: NDArray[np.float64]
    residuals: NDArray[np.float64]
    converged: NDArray[np.bool_]


def dense_eigenvalues(operator: Convolution) -> Eigenpairs:
    """All eigenvalues of a square operator from the explicit matrix of each group, with their conditions.

    Raises
    ------
    InputError
        If a group's matrix is too large to be made.
    """
    return _join([_all_of_group(group) for group in operator.by_group()])


def is_direct(operator: Convolution) -> bool:
    """Whether `dense_eigenvalues` can take an operator: the matrices that it makes are small enough."""
    return all(_is_one_sided(group) or fits(_one_line(group)) for group in operator.by_group())


def arnoldi_eigenvalues(operator: Convolution, k: int, which: str) -> Eigenpairs:
    """A few eigenvalues at one end of the spectrum, matrix-free, by implicitly restarted Arnoldi (ARPACK).

    Parameters
    ----------
    operator : Convolution
        Square.
    k : int
        Of each group.
    which : ``"SR"``, ``"LR"``, ``"LI"`` or ``"LM"``
        Smallest or largest real part, largest imaginary part (in modulus), largest modulus.

    Returns
    -------
    Eigenpairs
        In no order; each residual is computed anew. A multiple eigenvalue is found once, as a rule.
    """
    return _join([_arnoldi(group, k, which) for group in operator.by_group()])


def _all_of_group(operator: Convolution) -> Eigenpairs:
    operator, scale = operator.normalized()
    line = _one_line(operator)
    found = _of_centre(line) if _is_one_sided(operator) else _dense(line)
    found = replace(found, values=found.values * scale, errors=found.errors * scale)
    # The lines are independent of each other.
    return _join([found] * (operator.shape[0] // line.shape[0]))


def _one_line(operator: Convolution) -> Convolution:
    """The operator on one of the lines that it doesn't connect: along an axis with one tap a pixel is enough."""
    H, W = (1 if len(offsets) == 1 else n for n, offsets in zip(operator.size, operator.offsets, strict=True))
    return replace(operator, size=(H, W))


def _is_one_sided(operator: Convolution) -> bool:
    """Whether all taps but the centre's lie within a half-plane: in a fitting order of pixels A is block triangular."""
    oy, ox = np.meshgrid(*operator.offsets, indexing="ij")
    there = operator.weight.any(axis=(0, 1)) & ((oy != 0) | (ox != 0))
    angles = np.sort(np.arctan2(oy[there], ox[there]))
    gaps = np.diff(angles, append=angles[:1] + 2 * np.pi)
    return len(angles) > 0 and bool(gaps.max() > np.pi + 1e-9)


def _of_centre(operator: Convolution) -> Eigenpairs:
    """Eigenvalues of a block triangular operator: those of its diagonal blocks, the centre tap, once a pixel."""
    (oy, ox), pixels = operator.offsets, operator.size[0] * operator.size[1]
    centre = np.zeros((operator.c_out, operator.c_in))
    if 0 in oy and 0 in ox:
        centre = operator.weight[:, :, list(oy).index(0), list(ox).index(0)]
    found = _dense(replace(operator, weight=centre[:, :, None, None], size=(1, 1), dilation=(1, 1)))
    # Blocks of equal eigenvalues that the taps connect: Jordan chains, as a rule.
    conditions = found.conditions if pixels == 1 else np.full(len(found.values), np.inf)
    return _join([replace(found, conditions=conditions)] * pixels)


def _join(parts: list[Eigenpairs]) -> Eigenpairs:
    return Eigenpairs(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Eigenpairs)))


def _dense(operator: Convolution) -> Eigenpairs:
    balanced, exponents = balance(operator)
    A = explicit_matrix(balanced)
    values, left, right = eig(A, left=True, right=True)
    norm = float(np.linalg.norm(A))
    local, original = _conditions(values, left, right, _positions(operator, exponents), _MULTIPLE * norm)
    eps = np.finfo(float).eps
    return Eigenpairs(
        values=values,
        conditions=original,
        # LAPACK is backward stable: these are eigenvalues of A + E with |E| of the order of eps |A|.
        errors=eps * norm * local,
        residuals=np.full(len(values), eps),
        converged=np.ones(len(values), dtype=bool),
    )


def _arnoldi(operator: Convolution, k: int, which: str) -> Eigenpairs:
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
    # ARPACK's vectors are real pairs made complex: applied in real and imaginary part.
    residuals = np.linalg.norm(A.matmat(right.real) + 1j * A.matmat(right.imag) - values * right, axis=0) / norm

    left = np.full(right.shape, np.nan, dtype=complex)
    for tolerances in (_LEFT_TOLERANCES, _TOLERANCES):
        # Far from normal operators need all digits until both sides have found the same eigenvalues.
        missing = np.flatnonzero(np.isnan(left).any(axis=0))
        if len(missing):
            left[:, missing] = _left_vectors(A, k, which, tolerances, values[missing], right[:, missing], norm)
    local, original = _conditions(values, left, right, _positions(operator, exponents), 0.0)
    for cluster in _clusters(values, _MULTIPLE * norm):
        # The left vectors of a multiple eigenvalue may be fewer than the right ones: the best pair says it.
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
    values: NDArray[np.complex128],
    right: NDArray[np.complex128],
    norm: float,
) -> NDArray[np.complex128]:
    """Left eigenvectors y, y* A = lambda y*, of some eigenvalues, of unit length; NaN where none was found."""
    # They are those of the transpose: A^T conj(y) = lambda conj(y).
    left_values, transposed = _ritz(A.T, k, which, tolerances)
    left = np.full(right.shape, np.nan, dtype=complex)
    for index, value in enumerate(values):
        near = np.flatnonzero(np.abs(left_values - value) <= 1e-3 * norm)
        if len(near):
            # Those of other eigenvalues are orthogonal to x; of a multiple one all that were found belong together.
            overlaps = transposed[:, near].T @ right[:, index]
            combined = (transposed[:, near] @ overlaps.conj()).conj()
            left[:, index] = combined / np.linalg.norm(combined)
    return left


def balance(operator: Convolution) -> tuple[Convolution, tuple[float, float]]:
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
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    n = A.shape[0]
    start = np.random.default_rng(n).standard_normal(n)
    for tolerance in tolerances:
        try:
            basis = min(n, max(4 * k, _BASIS))
            return eigs(A, k=k, which=which, v0=start, tol=tolerance, ncv=basis, maxiter=_RESTARTS)
        except ArpackError:
            continue
    return np.empty(0, dtype=complex), np.empty((n, 0), dtype=complex)


def _positions(operator: Convolution, exponents: tuple[float, float]) -> NDArray[np.float64]:
    """Logarithm of the diagonal of D for every unknown."""
    H, W = operator.size
    pixels = exponents[0] * np.arange(H)[:, None] + exponents[1] * np.arange(W)
    return np.tile(pixels.ravel(), operator.c_in)


def _conditions(
    values: NDArray[np.complex128],
    left: NDArray[np.complex128],
    right: NDArray[np.complex128],
    log_d: NDArray[np.float64],
    width: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalue conditions in the balanced and in the operator's own basis, for x = D x' and y = D^-1 y'.

    Eigenvalues closer than `width` count as multiple.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log_product = np.log(np.abs((left.conj() * right).sum(axis=0)))
        local = np.log(np.linalg.norm(left, axis=0)) + np.log(np.linalg.norm(right, axis=0)) - log_product
        original = _log_norms(right, log_d) + _log_norms(left, -log_d) - log_product
        # A condition is at least 1; rounding says 1 - 1e-16.
        conditions = np.maximum(np.exp(local), 1.0), np.maximum(np.exp(original), 1.0)
    for cluster in _clusters(values, width):
        for condition, scaling in zip(conditions, (0 * log_d, log_d), strict=True):
            x, y = _unit(right[:, cluster], scaling), _unit(left[:, cluster], -scaling)
            spread_x, spread_y = (np.linalg.svd(basis, compute_uv=False) for basis in (x, y))
            # Vectors of a defective eigenvalue are nearly parallel: they span no eigenspace to project on.
            if min(spread_x[-1] / spread_x[0], spread_y[-1] / spread_y[0]) > 1e-4:
                angles = np.linalg.svd(np.linalg.qr(y)[0].conj().T @ np.linalg.qr(x)[0], compute_uv=False)
                condition[cluster] = np.minimum(condition[cluster], 1 / max(angles[-1], 1e-300))
    return conditions


def _clusters(values: NDArray[np.complex128], width: float) -> list[NDArray[np.intp]]:
    """Positions of eigenvalues that are closer than `width` to each other, where there is more than one."""
    if not width:
        return []
    labels = cluster_labels(values, width)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return [group for group in groups if len(group) > 1]


def _unit(vectors: NDArray[np.complex128], log_d: NDArray[np.float64]) -> NDArray[np.complex128]:
    """D v of unit length for each column v."""
    scaled = np.exp(log_d - log_d.max())[:, None] * vectors
    norms = np.linalg.norm(scaled, axis=0)
    return scaled / np.where(norms > 0, norms, 1.0)


def _log_norms(vectors: NDArray[np.complex128], log_d: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of |D v| for each column v."""
    top = log_d.max()
    return top + np.log(np.linalg.norm(np.exp(log_d - top)[:, None] * vectors, axis=0))
