"""The error of eigenvalues in single precision, from some that are computed in both precisions."""

from __future__ import annotations

import numpy as np

from polyroots.errors import InputError
from polyroots.spectra.batched_qr import LANES, eigvals
from polyroots.spectra.convolution import conjugate_grid
from polyroots.spectra.matching import match
from polyroots.spectra.spectrum import Spectrum


def single_precision_error(spectrum: Spectrum, count: int = 2 * LANES) -> float:
    """Return the largest distance of eigenvalues in single precision from those in double, relative to the radius.

    It is measured at some frequencies that are spread over the grid, so larger ones are possible at others.

    Parameters
    ----------
    spectrum : Spectrum
        In single precision, with circular padding.
    count : int
        Number of frequencies; all if the grid has fewer.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the spectrum has no frequencies.
    """
    if spectrum.padding != "circular":
        raise InputError(f"expected a spectrum with circular padding, got {spectrum.padding}")
    operator, scale = spectrum.convolution.normalized()
    ky, kx, _ = conjugate_grid(*operator.size)
    chosen = np.unique(np.linspace(0, len(ky) - 1, min(count, len(ky))).astype(np.intp))
    double = eigvals(operator.symbol_at(ky[chosen], kx[chosen])) * scale
    single = spectrum.values.reshape(len(ky), operator.groups, -1)[chosen].astype(np.complex128)
    pairs = zip(single.reshape(-1, single.shape[-1]), double.reshape(-1, double.shape[-1]), strict=True)
    return float(max(np.abs(a - b[match(a, b)]).max() for a, b in pairs) / (spectrum.radius or 1.0))
