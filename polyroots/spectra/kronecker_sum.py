"""Zero-padded convolutions of one channel whose taps lie on the axes: Kronecker sums of two lines.

With taps above, below and beside the centre only, A = T_y x I + I x T_x with the matrices T_y and T_x of a column and
of a row of pixels. The eigenvalues are the sums lambda_i + mu_j, with the products of eigenvectors [1]_.

References
----------
.. [1] R. A. Horn, C. R. Johnson, Topics in Matrix Analysis, Cambridge University Press 1991, theorem 4.4.5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polyroots.spectra.convolution import Convolution


def summands(operator: Convolution) -> tuple[Convolution, Convolution] | None:
    """Return the convolutions of a column and of a row of pixels whose Kronecker sum a zero-padded operator is.

    Parameters
    ----------
    operator : Convolution
        Of one group.

    Returns
    -------
    (Convolution, Convolution) or None
        Both on images of one row; the centre tap belongs to the second one. None if there are several channels, or taps
        off the axes, or on one axis alone.
    """
    kernel = operator.weight[0, 0]
    if operator.weight.shape[:2] != (1, 1) or operator.padding != "zeros":
        return None
    y, x = np.meshgrid(*operator.offsets, indexing="ij")
    H, W = operator.size
    # Taps that don't reach a second pixel of the image read zeros only.
    there = (kernel != 0) & (np.abs(y) < H) & (np.abs(x) < W)
    if (there & (y != 0) & (x != 0)).any() or not (there & (y != 0)).any() or not (there & (x != 0)).any():
        return None
    column, row = np.where(there & (y != 0), kernel, 0).sum(axis=1), np.where(there & (y == 0), kernel, 0).sum(axis=0)
    return (
        replace(operator, weight=column[None, None, None], size=(1, H), dilation=(1, operator.dilation[0])),
        replace(operator, weight=row[None, None, None], size=(1, W), dilation=(1, operator.dilation[1])),
    )
