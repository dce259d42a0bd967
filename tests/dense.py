"""The explicit matrix of a convolution, built tap by tap from its definition."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def dense_operator(
    K: np.ndarray,
    size: tuple[int, int],
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    padding: str = "circular",
    stride: int | tuple[int, int] = 1,
) -> np.ndarray:
    """Matrix of (A u)_i(p) = sum_j sum_y K_ij(y) u_j(s p + o(y)), indices modulo the image or zero outside of it.

    The offsets are those of torch's padding="same": dilation * y - floor(dilation * (k - 1) / 2).
    """
    c_out, per_group, kh, kw = K.shape
    H, W = size
    dy, dx = (dilation, dilation) if isinstance(dilation, int) else dilation
    sy, sx = (stride, stride) if isinstance(stride, int) else stride
    out_h, out_w = -(-H // sy), -(-W // sx)
    A = np.zeros((c_out, out_h, out_w, per_group * groups, H, W))
    for i in range(c_out):
        first = (i // (c_out // groups)) * per_group
        for j in range(per_group):
            for y in range(kh):
                for x in range(kw):
                    oy = dy * y - (dy * (kh - 1)) // 2
                    ox = dx * x - (dx * (kw - 1)) // 2
                    for py in range(out_h):
                        for px in range(out_w):
                            qy, qx = sy * py + oy, sx * px + ox
                            if padding == "circular":
                                qy, qx = qy % H, qx % W
                            elif not (0 <= qy < H and 0 <= qx < W):
                                continue
                            A[i, py, px, first + j, qy, qx] += K[i, j, y, x]
    return A.reshape(c_out * out_h * out_w, -1)


def matched_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest distance in the optimal matching of two sets of eigenvalues, relative to the spectral radius."""
    assert ours.shape == theirs.shape
    distance = np.abs(ours[:, None] - theirs[None, :])
    # Squared distances penalise long ones, which the sum of distances would allow.
    rows, columns = linear_sum_assignment(distance**2)
    return float(distance[rows, columns].max() / (np.abs(theirs).max() or 1.0))
