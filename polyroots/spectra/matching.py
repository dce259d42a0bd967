"""Distances between two sets of eigenvalues in the optimal matching."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Inexact, Int

from polyroots.errors import InputError
from polyroots.spectra.convolution import conjugate_grid
from polyroots.spectra.matrix import DENSE_LIMIT
from polyroots.spectra.spectrum import Spectrum


def match(a: Inexact[np.ndarray, "N"], b: Inexact[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """Return the position in `b` of each value's partner in the matching with the least sum of squared distances.

    >>> match(np.array([1j, 2, 3]), np.array([3, 1j, 2.5]))
    array([1, 2, 0])
    """
    from scipy.optimize import linear_sum_assignment

    distances = np.abs(a[:, None] - b[None, :])
    # Squared distances penalise long ones, which a sum of distances allows.
    return linear_sum_assignment((distances / (distances.max() or 1.0)) ** 2)[1]


def moved(a: Spectrum, b: Spectrum) -> Float[np.ndarray, "N"]:
    """Return the distance of each eigenvalue of a convolution from its partner in another with the same geometry.

    With circular padding, eigenvalues are matched within their frequency and group.

    Parameters
    ----------
    a, b : Spectrum
        Of convolutions with the same padding, size, channels and groups; kernel sizes may differ.

    Returns
    -------
    (N,) float64, or float32 for zero-padded spectra in single precision
        In the order of ``a.values``.

    Raises
    ------
    InputError
        If the geometries differ, or if zero-padded spectra have more eigenvalues than can be matched.
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
        # The values at -theta are the conjugates, in the same order unless the period is shorter than the image.
        if j < k and np.array_equal(ours[k], ours[j].conj()) and np.array_equal(theirs[k], theirs[j].conj()):
            distances[k] = distances[j]
            continue
        for group in range(a.groups):
            x, y = ours[k, group], theirs[k, group]
            distances[k, group] = np.abs(x - y[match(x, y)])
    return distances.reshape(-1)
