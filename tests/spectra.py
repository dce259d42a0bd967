"""Spectra from which tests choose roots."""

from __future__ import annotations

from typing import Any

import numpy as np

import polyroots as pr
from polyroots.spectra import Spectrum


def shifted(seed: int, channels: int = 4, size: int = 6, padding: str = "circular") -> Spectrum:
    """Return the spectrum of an operator whose eigenvalues lie in the right half-plane."""
    K = np.random.default_rng(seed).standard_normal((channels, channels, 3, 3)) / (6 * np.sqrt(channels))
    K[range(channels), range(channels), 1, 1] += 1.5
    return pr.eigenvalues(K, size, padding=padding)


def max_abs(roots: Any, values: Any) -> float:
    return np.abs(pr.ResidualPolynomial(roots)(values)).max()
