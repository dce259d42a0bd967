"""How two sets of eigenvalues differ: the distances of the best matching."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float64, Int
from scipy.optimize import linear_sum_assignment

from polyroots.errors import InputError
from polyroots.spectra.convolution import conjugate_grid
from polyroots.spectra.matrix import DENSE_LIMIT
from polyroots.spectra.spectrum import Spectrum


def match(a: Complex[np.ndarray, "N"], b: Complex[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """Position in `b` of the partner of each eigenvalue in `a`, in the matching with the least sum of squares.

    >>> match(np.array([1j, 2, 3]), np.array([3, 1j, 2.5]))
    array([1, 2, 0])
    """
    distances = np.abs(a[:, None] - b[None, :])
    # Squares: the matching is to avoid long distances, not to save on the sum.
    return linear_sum_assignment((distances / (distances.max() or 1.0)) ** 2)[1]


def moved(a: Spectrum, b: Spectrum) -> Float64[np.ndarray, "N"]:
    """How far each eigenvalue of a convolution is from its partner in another with the same geometry.

    With circular padding eigenvalues are matched frequency by frequency, within their group.

    Parameters
    ----------
    a, b : Spectrum
        With the same padding, size, channels and groups; kernel sizes may differ.

    Returns
    -------
    (N,) float64
        In the order of ``a.values``.

    Raises
    ------
    InputError
        If the geometries differ, or zero padding leaves too many eigenvalues to be matched all at once.
    """
    for what in ("padding", "size", "groups"):
        if getattr(a, what) != getattr(b, what):
            raise InputError(
                f"spectra of different {what} can't be matched: got {getattr(a, what)} and {getattr(b, what)}"
            )
    if len(a) != len(b):
        raise InputError(f"spectra of different length can't be matched: got {len(a):,} and {len(b):,} eigenvalues")
    if a.padding != "circular":
        if len(a) > DENSE_LIMIT:
            raise InputError(
                f"{len(a):,} eigenvalues without frequencies are too many to be matched, expected at most "
                f"{DENSE_LIMIT:,}; compute both spectra at a smaller size"
            )
        return np.abs(a.values - b.values[match(a.values, b.values)])
    H, W = a.size
    ours, theirs = (spectrum.values.reshape(H * W, a.groups, -1) for spectrum in (a, b))
    distances = np.empty(ours.shape)
    _, _, partner = conjugate_grid(H, W)
    for k, j in enumerate(partner):
        # At -theta the values are the conjugates, in the same order unless the symbol's period is shorter.
        if j < k and np.array_equal(ours[k], ours[j].conj()) and np.array_equal(theirs[k], theirs[j].conj()):
            distances[k] = distances[j]
            continue
        for group in range(a.groups):
            x, y = ours[k, group], theirs[k, group]
            distances[k, group] = np.abs(x - y[match(x, y)])
    return distances.reshape(-1)
