r"""Singular values of convolutions: any numbers of channels, any stride, both paddings.

With circular padding and a stride s that divides the image, the s^2 frequencies theta + 2 pi m / s alias to one output
frequency. The operator then is unitarily equivalent to the block diagonal matrix of

.. math:: \frac{1}{s} \left[ \hat A(\theta_1), \dots, \hat A(\theta_{s^2}) \right], \quad c_{out} \times s^2 c_{in}.

Zero padding and strides that don't divide the image need the explicit matrix, or products with it if it is too large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from numpy.typing import DTypeLike
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution, conjugate_grid
from polyroots.spectra.matrix import explicit_matrix, linear_operator
from polyroots.threads import Progress, half_chunks, in_threads

# Largest residual, relative to the square of the largest value, of a converged singular value.
_CONVERGED = 1e-8


@dataclass(frozen=True)
class SingularSummary:
    """Norm, condition number and stable rank of an operator.

    Attributes
    ----------
    norm : float
        Spectral norm, the largest singular value.
    smallest : float
        Smallest singular value.
    condition : float
        norm / smallest; infinite if the smallest singular value is zero to rounding.
    stable_rank : float
        Squared Frobenius norm / squared spectral norm, between 1 and the rank; 0 for the zero operator.
    """

    norm: float
    smallest: float
    condition: float
    stable_rank: float


@dataclass(frozen=True, eq=False)
class LargestSingularValues:
    """The largest singular values, with their residuals.

    Attributes
    ----------
    values : (k,) float64, descending
    residuals : (k,) float64
        |A^T A v - sigma^2 v| / sigma_1^2 with |v| = 1.
    converged : (k,) bool
    stable_rank : float
        From the exact Frobenius norm; NaN unless the largest value has converged.
    """

    values: Float64[np.ndarray, "k"]
    residuals: Float64[np.ndarray, "k"]
    converged: Bool[np.ndarray, "k"]
    stable_rank: float


def summarize(sigma: Float[np.ndarray, "N"]) -> SingularSummary:
    """Return norm, condition number and stable rank from all singular values of an operator.

    >>> summarize(np.array([4.0, 2.0, 1.0]))
    SingularSummary(norm=4.0, smallest=1.0, condition=4.0, stable_rank=1.3125)
    """
    norm, smallest = float(sigma.max()), float(sigma.min())
    is_singular = smallest <= len(sigma) * np.finfo(sigma.dtype).eps * norm
    return SingularSummary(
        norm=norm,
        smallest=smallest,
        condition=math.inf if is_singular else norm / smallest,
        stable_rank=float(((sigma / norm) ** 2).sum()) if norm else 0.0,
    )


def singular_values(
    weight: Any,
    size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: str = "circular",
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    dtype: DTypeLike = np.float64,
    workers: int | None = None,
) -> Float[np.ndarray, "N"]:
    """Return all singular values of a convolution, with multiplicity.

    Parameters
    ----------
    weight : (c_out, c_in // groups, kh, kw) or (kh, kw) array or tensor, any real dtype; or torch.nn.Conv2d
        The kernel; computed in float64.
    size : int or (H, W)
        The input image in pixels.
    stride : int or (int, int)
        The output pixel p reads around the input pixel stride * p; the output has ceil(size / stride) pixels.
    padding : ``"circular"`` or ``"zeros"``
    dilation : int or (int, int)
    groups : int
    dtype : float64 or float32
        Precision of the solver.
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    (N,) float64 or float32, descending
        N is the smaller dimension of the operator's matrix.

    Raises
    ------
    InputError
        If the weight is not finite, if size, stride, dilation, groups, padding or dtype don't fit, or if the explicit
        matrix is needed and too large.

    See Also
    --------
    largest_singular_values : the largest ones of operators of any size

    References
    ----------
    H. Sedghi, V. Gupta, P. M. Long, The Singular Values of Convolutional Layers, ICLR 2019: stride 1.

    Examples
    --------
    A shift is unitary; with stride 2 it selects a quarter of the pixels:

    >>> K = np.zeros((1, 1, 3, 3)); K[0, 0, 1, 2] = 1
    >>> print(singular_values(K, 4).round(12).min(), singular_values(K, 4, stride=2).round(12))
    1.0 [1. 1. 1. 1.]
    """
    convolution = Convolution.of(weight, size, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return singular_values_of(convolution, dtype=dtype, workers=workers)


def singular_values_of(
    convolution: Convolution,
    *,
    dtype: DTypeLike = np.float64,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> Float[np.ndarray, "N"]:
    """Return all singular values of a `Convolution`; see `singular_values`.

    Parameters
    ----------
    convolution : Convolution
    dtype, workers
        As for `singular_values`.
    on_progress : callable, optional
        Called with (tasks done, tasks) while the symbol's singular values are computed.

    Returns
    -------
    (N,) float64 or float32, descending

    Raises
    ------
    InputError
        If dtype is another one, or the explicit matrix is needed and too large.
    """
    precision = np.dtype(dtype)
    if precision not in (np.float64, np.float32):
        raise InputError(f"{convolution.name}: singular values are float64 or float32, got dtype {precision}")
    # Normalised, so that intermediate results neither overflow nor lose digits.
    convolution, scale = convolution.normalized()
    if has_symbol(convolution):
        sigma = _from_symbol(convolution, precision, workers, on_progress)
    else:
        sigma = np.linalg.svd(explicit_matrix(convolution).astype(precision), compute_uv=False)
    return np.sort(sigma)[::-1] * scale


def largest_singular_values(operator: Convolution, k: int) -> LargestSingularValues:
    """Return the largest singular values, by Lanczos' method on A^T A without the matrix (ARPACK).

    Parameters
    ----------
    operator : Convolution
        With more than one input.
    k : int
        Number of values; at most one less than there are inputs is returned.

    Returns
    -------
    LargestSingularValues
        Values that have not converged are marked; empty if ARPACK fails.
    """
    operator, scale = operator.normalized()
    if not operator.weight.any():
        zeros = np.zeros(min(k, *operator.shape))
        return LargestSingularValues(zeros, zeros, zeros == 0, stable_rank=0.0)
    A = linear_operator(operator)
    k = min(k, A.shape[1] - 1)
    gram = LinearOperator((A.shape[1], A.shape[1]), matvec=lambda v: A.rmatvec(A.matvec(v)), dtype=np.float64)
    start = np.random.default_rng(A.shape[1]).standard_normal(A.shape[1])
    squares, vectors = np.empty(0), np.empty((A.shape[1], 0))
    for tolerance in (1e-12, 1e-6, 1e-2):
        try:
            squares, vectors = eigsh(
                gram, k=k, which="LA", v0=start, tol=tolerance, ncv=min(A.shape[1], max(4 * k, 40))
            )
            break
        except ArpackError:
            continue
    order = squares.argsort()[::-1]
    squares, vectors = squares[order], vectors[:, order]
    residuals = np.linalg.norm(gram.matmat(vectors) - squares * vectors, axis=0) if len(squares) else np.empty(0)
    residuals = residuals / (squares.max(initial=0.0) or 1.0)
    converged = residuals <= _CONVERGED
    known = bool(converged[:1].all() and len(squares) and squares[0] > 0)
    return LargestSingularValues(
        values=np.sqrt(np.maximum(squares, 0)) * scale,
        residuals=residuals,
        converged=converged,
        stable_rank=squared_frobenius_norm(operator) / float(squares[0]) if known else math.nan,
    )


def has_symbol(operator: Convolution) -> bool:
    """Return whether the Fourier modes block-diagonalise an operator: circular padding, and a stride that divides."""
    (H, W), (sy, sx) = operator.size, operator.stride
    return operator.padding == "circular" and H % sy == 0 and W % sx == 0


def squared_frobenius_norm(operator: Convolution) -> float:
    """Return the squared Frobenius norm of the operator's matrix, exact to rounding."""
    # For each axis, (taps, taps): the number of output pixels at which two taps read the same input pixel.
    counts: list[Float64[np.ndarray, "taps taps"]] = []
    for n, m, s, offsets in zip(operator.size, operator.out_size, operator.stride, operator.offsets, strict=True):
        if operator.padding == "circular":
            # Taps that are a multiple of the size apart read the same pixel everywhere, others nowhere.
            counts.append(m * ((offsets[:, None] - offsets) % n == 0).astype(float))
        else:
            source = s * np.arange(m)[:, None] + offsets
            counts.append(np.diag(((source >= 0) & (source < n)).sum(axis=0).astype(float)))
    y, x = counts
    return float(np.einsum("oiyx,oizw,yz,xw->", operator.weight, operator.weight, y, x, optimize=True))


def _from_symbol(
    operator: Convolution, precision: np.dtype[Any], workers: int | None, on_progress: Progress | None
) -> Float[np.ndarray, "N"]:
    """Return the singular values of the folded symbol, repeated if its period is shorter than the image."""
    groups, m_out, m_in, _, _ = operator.kernels.shape
    (H, W), (sy, sx) = operator.size, operator.stride
    rows, columns = (
        period if (n // s) % period == 0 else n // s
        for n, s, period in zip(operator.size, operator.stride, operator.period, strict=True)
    )
    ky, kx, partner = conjugate_grid(rows, columns)
    aliases_y, aliases_x = np.divmod(np.arange(sy * sx), sx)
    is_plain = sy * sx == 1
    sigma = np.empty((len(partner), groups, min(m_out, m_in * sy * sx)), dtype=precision)
    complex_precision = np.result_type(precision, np.complex64)

    def solve(chosen: Int[np.ndarray, "F"]) -> None:
        alias_ky = (ky[chosen, None] + aliases_y * (H // sy)).ravel()
        alias_kx = (kx[chosen, None] + aliases_x * (W // sx)).ravel()
        blocks = operator.symbol_at(alias_ky, alias_kx).reshape(len(chosen), sy * sx, groups, m_out, m_in)
        blocks = blocks.transpose(0, 2, 3, 1, 4).reshape(len(chosen), groups, m_out, -1) / math.sqrt(sy * sx)
        blocks = blocks.astype(complex_precision, copy=False)
        is_real = is_plain and bool((partner[chosen] == chosen).all())
        sigma[chosen] = np.linalg.svd(blocks.real if is_real else blocks, compute_uv=False)
        sigma[partner[chosen]] = sigma[chosen]

    in_threads(solve, half_chunks(partner, (groups, m_out, m_in * sy * sx), workers), workers, on_progress)
    return np.tile(sigma.ravel(), (H // sy // rows) * (W // sx // columns))
