"""A set of eigenvalues: its radius and its ends."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Complex, Float64


class EigenvalueSet:
    """Eigenvalues, with what follows from them; `polyroots.Spectrum` and `OperatorSpectrum` are such sets."""

    values: Complex[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def radius(self) -> float:
        """Spectral radius, the largest modulus."""
        return float(np.abs(self.values).max())

    @cached_property
    def min_real(self) -> float:
        """Smallest real part."""
        return float(self.values.real.min()) + 0.0  # no -0.0

    @cached_property
    def max_real(self) -> float:
        """Largest real part."""
        return float(self.values.real.max()) + 0.0  # no -0.0

    @cached_property
    def max_imag(self) -> float:
        """Largest imaginary part."""
        return float(self.values.imag.max()) + 0.0  # no -0.0


def is_high(frequencies: Float64[np.ndarray, "N d"]) -> Bool[np.ndarray, "N"]:
    """Return whether frequencies are high: |theta| >= pi / 2 along an axis, which a grid of twice the spacing lacks."""
    return (np.abs(frequencies) >= np.pi / 2).any(axis=1)
