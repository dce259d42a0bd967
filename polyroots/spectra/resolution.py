"""The distance below which a computed eigenvalue isn't told from another number.

An eigenvalue is known to the rounding errors of the operator, eps |A|, times its condition 1 / |y* x| with left and
right eigenvectors of unit length [1]_: 1 for a normal block of the symbol, and of the order of eps^(-1/2) for a
defective double eigenvalue, whose computed values are sqrt(eps) apart.

References
----------
.. [1] J. H. Wilkinson, The Algebraic Eigenvalue Problem, Oxford 1965, chapter 2: the condition of an eigenvalue.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Complex, Complex128, Float64, Int

from polyroots.spectra.clusters import distances_to_nearest
from polyroots.spectra.convolution import Convolution, conjugate_grid, norm_bound
from polyroots.threads import chunks, in_threads

# Rounding errors of the symbol and of LAPACK, in units of eps times the norm.
_ROUNDING_ERRORS = 8.0
# Relative to the norm: the accuracy of a defective double eigenvalue, and the largest resolution. Eigenvalues with a
# worse condition would merge to a few.
_COARSEST = 1e-7


def resolution_of(
    values: Complex[np.ndarray, "N"], operator: Convolution, errors: Float64[np.ndarray, "N"] | None
) -> Float64[np.ndarray, "N"]:
    """Return the distance below which each eigenvalue isn't told from another number, an estimate.

    Parameters
    ----------
    values : (N,) complex128 or complex64
        In the order of a `Spectrum`.
    operator : Convolution
        Square.
    errors : (N,) float64 or None
        Estimates of their errors, where they are known (zero padding).

    Returns
    -------
    (N,) float64
    """
    operator, scale = operator.normalized()
    return scale * _of_normalised(values / scale, operator, None if errors is None else errors / scale)


def _of_normalised(
    values: Complex[np.ndarray, "N"], operator: Convolution, errors: Float64[np.ndarray, "N"] | None
) -> Float64[np.ndarray, "N"]:
    """Return the resolution for an operator whose entries neither overflow nor vanish when they are squared."""
    norm = norm_bound(operator)
    finest = _ROUNDING_ERRORS * float(np.finfo(values.dtype).eps) * norm
    coarsest = max(_COARSEST * norm, finest)
    found = np.full(len(values), finest)
    if errors is not None:
        return np.clip(np.nan_to_num(_ROUNDING_ERRORS * errors, nan=0.0), finest, coarsest)
    rows = operator.kernels.shape[1]
    if operator.padding != "circular" or rows == 1 or coarsest == finest:
        return found
    (H, W), (ky, kx, partner) = operator.size, conjugate_grid(*operator.size)
    by_block, grid = values.reshape(H * W, operator.groups, rows), found.reshape(H * W, operator.groups, rows)
    # The symbol at -theta is the conjugate one.
    half = np.flatnonzero(np.arange(H * W) <= partner)
    is_close = _has_neighbour(by_block[half].ravel(), finest, coarsest)
    needed = half[is_close.reshape(len(half), -1).any(axis=1)]

    def solve(chosen: Int[np.ndarray, "F"]) -> None:
        exact, conditions = _conditions(operator.symbol_at(ky[chosen], kx[chosen]), finest)
        for here, eigenvalues in ((chosen, exact), (partner[chosen], exact.conj())):
            nearest = np.abs(by_block[here][..., :, None] - eigenvalues[..., None, :]).argmin(axis=-1)
            grid[here] = np.clip(finest * np.take_along_axis(conditions, nearest, axis=-1), finest, coarsest)

    in_threads(solve, chunks(needed, (operator.groups, rows, rows)))
    return found


def _has_neighbour(values: Complex[np.ndarray, "N"], finest: float, coarsest: float) -> Bool[np.ndarray, "N"]:
    """Return whether the condition of an eigenvalue decides if it is zero, real or equal to another one."""
    upper = values.real.astype(np.float64) + 1j * np.abs(values.imag)
    # Those that are equal whatever the condition count once.
    _, first, cell = np.unique(np.round(upper / finest), return_index=True, return_inverse=True)
    points = upper[first]
    nearest = np.minimum(distances_to_nearest(points, coarsest), np.abs(points))
    nearest = np.minimum(nearest, np.where(points.imag > finest, points.imag, np.inf))
    return (nearest <= coarsest)[cell.ravel()]


def _conditions(
    blocks: Complex128[np.ndarray, "F groups n n"], rounding: float
) -> tuple[Complex128[np.ndarray, "F groups n"], Float64[np.ndarray, "F groups n"]]:
    """Return the eigenvalues of blocks that are perturbed by rounding errors, and their conditions.

    The condition of a defective eigenvalue is infinite, but it moves by a finite distance, as the perturbed ones do.
    """
    n = blocks.shape[-1]
    noise = np.random.default_rng(n).standard_normal((2, *blocks.shape)) * (rounding / np.sqrt(8 * n))
    found, right = np.linalg.eig(blocks + noise[0] + 1j * noise[1])
    try:
        return found, np.linalg.norm(np.linalg.inv(right), axis=-1)
    except np.linalg.LinAlgError:
        return found, np.full(found.shape, np.inf)
