"""The explicit matrix of a convolution with circular padding, built tap by tap from its definition."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def dense_operator(K: np.ndarray, size: tuple[int, int], dilation: int = 1, groups: int = 1) -> np.ndarray:
    """Matrix (c_out H W, c_in H W) of (A u)_i(p) = sum_j sum_y K_ij(y) u_j(p + o(y)), indices modulo the image.

    The offsets are those of torch's padding="same": dilation * y - floor(dilation * (k - 1) / 2).
    """
    c_out, per_group, kh, kw = K.shape
    H, W = size
    c_in = per_group * groups
    A = np.zeros((c_out, H, W, c_in, H, W))
    for i in range(c_out):
        first = (i // (c_out // groups)) * per_group
        for j in range(per_group):
            for y in range(kh):
                for x in range(kw):
                    oy = dilation * y - (dilation * (kh - 1)) // 2
                    ox = dilation * x - (dilation * (kw - 1)) // 2
                    for py in range(H):
                        for px in range(W):
                            A[i, py, px, first + j, (py + oy) % H, (px + ox) % W] += K[i, j, y, x]
    return A.reshape(c_out * H * W, c_in * H * W)


def matched_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest distance in the optimal matching of two sets of eigenvalues, relative to the spectral radius."""
    assert ours.shape == theirs.shape
    distance = np.abs(ours[:, None] - theirs[None, :])
    # Squares: the assignment is to avoid long distances, not to save on the sum.
    rows, columns = linear_sum_assignment(distance**2)
    return float(distance[rows, columns].max() / np.abs(theirs).max())
