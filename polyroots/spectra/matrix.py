"""The matrix of a convolution, explicit or by its products with vectors, for both paddings and any stride."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution

#: A matrix of so many rows and columns is made explicitly: 128 MB, and about two minutes for its eigenvalues.
DENSE_LIMIT = 4096


def fits(operator: Convolution) -> bool:
    """Whether the explicit matrix is small enough for dense solvers."""
    rows, columns = operator.shape
    return rows * columns <= DENSE_LIMIT**2


def explicit_matrix(operator: Convolution) -> NDArray[np.float64]:
    """Matrix of a convolution, rows (channel, y, x) of the output and columns (channel, y, x) of the input.

    Raises
    ------
    InputError
        If it has more entries than one of `DENSE_LIMIT` rows and columns.
    """
    if not fits(operator):
        rows, columns = operator.shape
        raise InputError(
            f"{operator.name}: a matrix of {rows:,} x {columns:,} is too large to be made (limit {DENSE_LIMIT:,}); "
            "ask for the extremes, or for a smaller image"
        )
    groups, m_out, m_in, kh, kw = operator.kernels.shape
    (H, W), (out_h, out_w) = operator.size, operator.out_size
    A = np.zeros((groups, m_out, out_h * out_w, groups, m_in, H * W))
    iy, ix = _sources(operator)
    for y in range(kh):
        for x in range(kw):
            column = iy[:, y, None] * W + ix[:, x]
            p, q = np.nonzero((iy[:, y, None] < H) & (ix[:, x] < W))
            pixel, source = p * out_w + q, column[p, q]
            for g in range(groups):
                A[g, :, pixel, g, :, source] += operator.kernels[g, :, :, y, x]
    return A.reshape(operator.shape)


def linear_operator(operator: Convolution) -> LinearOperator:
    """Products with a convolution's matrix and its transpose, without the matrix: O(c^2 k^2 H W) operations each."""
    groups = operator.groups
    kernels = operator.kernels
    forward = kernels.reshape(groups, operator.c_out // groups, -1)
    backward = kernels.transpose(0, 2, 1, 3, 4).reshape(groups, operator.c_in // groups, -1)
    sources = _flat(_sources(operator), operator.size[1])
    targets = _flat(_targets(operator), operator.out_size[1])

    def product(u: NDArray, kernels: NDArray, size: tuple[int, int], where: NDArray[np.intp]) -> NDArray:
        # Pixels outside are read from a row and a column of zeros.
        padded = np.zeros((u.size // math.prod(size), size[0] + 1, size[1] + 1))
        padded[:, :-1, :-1] = u.reshape(-1, *size)
        patches = padded.reshape(len(padded), -1).take(where, axis=1)  # (channels, taps and pixels)
        return (kernels @ patches.reshape(groups, kernels.shape[2], -1)).ravel()

    return LinearOperator(
        operator.shape,
        matvec=lambda u: product(u, forward, operator.size, sources),
        rmatvec=lambda v: product(v, backward, operator.out_size, targets),
        dtype=np.float64,
    )


def _flat(axes: tuple[NDArray[np.intp], NDArray[np.intp]], width: int) -> NDArray[np.intp]:
    """Positions (kh, kw, H, W), flattened, in an image with one more row and column than it has pixels."""
    iy, ix = axes
    return (iy.T[:, None, :, None] * (width + 1) + ix.T[None, :, None, :]).ravel()


def _sources(operator: Convolution) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Per axis, (output pixels, taps): the input pixel that a tap reads, or the size where that is outside."""
    y, x = (
        _inside(s * np.arange(m)[:, None] + o, n, operator.padding)
        for n, m, s, o in zip(operator.size, operator.out_size, operator.stride, operator.offsets, strict=True)
    )
    return y, x


def _targets(operator: Convolution) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Per axis, (input pixels, taps): the output pixel whose tap reads it, or the output's size where there is none."""
    axes = []
    for n, m, s, o in zip(operator.size, operator.out_size, operator.stride, operator.offsets, strict=True):
        position = _inside(np.arange(n)[:, None] - o, n, operator.padding)
        read = (position < n) & (position % s == 0) & (position // s < m)
        axes.append(np.where(read, position // s, m))
    return axes[0], axes[1]


def _inside(index: NDArray[np.intp], n: int, padding: str) -> NDArray[np.intp]:
    if padding == "circular":
        return index % n
    return np.where((index >= 0) & (index < n), index, n)
