"""Spectra to choose roots from."""

from __future__ import annotations

import numpy as np

import polyroots as pr


def shifted(seed, channels=4, size=6, padding="circular"):
    """An operator whose eigenvalues lie in the right half-plane."""
    K = np.random.default_rng(seed).standard_normal((channels, channels, 3, 3)) / (6 * np.sqrt(channels))
    K[range(channels), range(channels), 1, 1] += 1.5
    return pr.eigenvalues(K, size, padding=padding)


def max_abs(roots, values):
    return np.abs(pr.ResidualPolynomial(roots)(values)).max()
