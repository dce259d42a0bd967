"""The matrix of a convolution, as an array or as a linear operator, for both paddings and any stride."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64, Int
from scipy.sparse.linalg import LinearOperator

from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution

#: Largest number of rows and columns of explicit matrices: 128 MB, and about two minutes for the eigenvalues.
DENSE_LIMIT = 4096


def fits(operator: Convolution) -> bool:
    """Return whether the explicit matrix is small enough for dense solvers."""
    rows, columns = operator.shape
    return rows * columns <= DENSE_LIMIT**2


def explicit_matrix(operator: Convolution) -> Float64[np.ndarray, "outputs inputs"]:
    """Return the matrix of a convolution; rows are (channel, y, x) of the output, columns of the input.

    Raises
    ------
    InputError
        If it has more entries than one of `DENSE_LIMIT` rows and columns.
    """
    if not fits(operator):
        rows, columns = operator.shape
        raise InputError(
            f"{operator.name}: a matrix of {rows:,} x {columns:,} is too large to be made, expected at most "
            f"{DENSE_LIMIT:,} x {DENSE_LIMIT:,}; compute extremes only, or choose a smaller size",
            fields=["k", "size"],
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
    """Return the matrix of a convolution and its transpose as products with vectors, O(c^2 k^2 H W) operations each."""
    groups = operator.groups
    kernels = operator.kernels
    forward = kernels.reshape(groups, operator.c_out // groups, -1)
    backward = kernels.transpose(0, 2, 1, 3, 4).reshape(groups, operator.c_in // groups, -1)
    sources = _flat(_sources(operator), operator.size[1])
    targets = _flat(_targets(operator), operator.out_size[1])

    def product(
        u: Float64[np.ndarray, "..."],
        kernels: Float64[np.ndarray, "groups m_out entries"],
        size: tuple[int, int],
        where: Int[np.ndarray, "reads"],
    ) -> Float64[np.ndarray, "outputs"]:
        # Taps outside of the image read from an additional row and column of zeros.
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


def _flat(axes: tuple[Int[np.ndarray, "H kh"], Int[np.ndarray, "W kw"]], width: int) -> Int[np.ndarray, "reads"]:
    """Return the positions, (kh, kw, H, W) flattened, in a flat image with an additional row and column."""
    iy, ix = axes
    return (iy.T[:, None, :, None] * (width + 1) + ix.T[None, :, None, :]).ravel()


def _sources(operator: Convolution) -> tuple[Int[np.ndarray, "H kh"], Int[np.ndarray, "W kw"]]:
    """Return, for each axis, the input pixel that each tap reads at each output pixel; the size if it is outside."""
    y, x = (
        _inside(s * np.arange(m)[:, None] + o, n, operator.padding)
        for n, m, s, o in zip(operator.size, operator.out_size, operator.stride, operator.offsets, strict=True)
    )
    return y, x


def _targets(operator: Convolution) -> tuple[Int[np.ndarray, "H kh"], Int[np.ndarray, "W kw"]]:
    """Return, for each axis, the output pixel whose tap reads each input pixel; the output's size if there is none."""
    axes = []
    for n, m, s, o in zip(operator.size, operator.out_size, operator.stride, operator.offsets, strict=True):
        position = _inside(np.arange(n)[:, None] - o, n, operator.padding)
        read = (position < n) & (position % s == 0)
        axes.append(np.where(read, position // s, m))
    return axes[0], axes[1]


def _inside(index: Int[np.ndarray, "pixels taps"], n: int, padding: str) -> Int[np.ndarray, "pixels taps"]:
    """Wrap indices into 0..n - 1 with circular padding; with zero padding replace those outside by n."""
    if padding == "circular":
        return index % n
    return np.where((index >= 0) & (index < n), index, n)
