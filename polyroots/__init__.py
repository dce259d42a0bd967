"""From the spectrum of a convolution to roots, coefficients, an initialised and a trained Poly-MgNet, and its figures.

>>> import numpy as np, polyroots as pr
>>> K = np.random.default_rng(5).standard_normal((4, 4, 3, 3)) / 6
>>> Lambda = pr.eigenvalues(K, size=8)
>>> q = pr.ResidualPolynomial(pr.select_roots(Lambda, degree=3))
>>> q.degree, len(Lambda)
(3, 256)

Names are imported when first used: ``import polyroots`` doesn't import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyroots import models, plotting, study, training
    from polyroots.errors import ConvergenceError, FileError, InputError, PolyrootsError, PrecisionWarning
    from polyroots.extremes import extreme_eigenvalues
    from polyroots.initialization import initialize
    from polyroots.layers import model_spectra
    from polyroots.nonnormal import departure_from_normality, numerical_range, pseudospectrum, residual_norm
    from polyroots.polynomial import ResidualPolynomial
    from polyroots.report import write_report
    from polyroots.roots import select_roots
    from polyroots.singular import singular_values
    from polyroots.spectrum import Spectrum, eigenvalues, symbol

_NAMES = {
    "ConvergenceError": "errors",
    "FileError": "errors",
    "InputError": "errors",
    "PolyrootsError": "errors",
    "PrecisionWarning": "errors",
    "ResidualPolynomial": "polynomial",
    "Spectrum": "spectrum",
    "departure_from_normality": "nonnormal",
    "eigenvalues": "spectrum",
    "extreme_eigenvalues": "extremes",
    "initialize": "initialization",
    "model_spectra": "layers",
    "numerical_range": "nonnormal",
    "pseudospectrum": "nonnormal",
    "residual_norm": "nonnormal",
    "select_roots": "roots",
    "singular_values": "singular",
    "symbol": "spectrum",
    "write_report": "report",
}
_MODULES = ("models", "plotting", "study", "training")

__all__ = [
    "ConvergenceError",
    "FileError",
    "InputError",
    "PolyrootsError",
    "PrecisionWarning",
    "ResidualPolynomial",
    "Spectrum",
    "departure_from_normality",
    "eigenvalues",
    "extreme_eigenvalues",
    "initialize",
    "model_spectra",
    "models",
    "numerical_range",
    "plotting",
    "pseudospectrum",
    "residual_norm",
    "select_roots",
    "singular_values",
    "study",
    "symbol",
    "training",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    if name in _NAMES:
        return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
