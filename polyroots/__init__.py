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
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyroots import models, plotting, study, training
    from polyroots.analysis import ModelSpectra, load_results, model_spectra
    from polyroots.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
    from polyroots.errors import ConvergenceError, FileError, InputError, PolyrootsError, PrecisionWarning
    from polyroots.initialization import InitReport, initialize
    from polyroots.models import EffectiveOperator, effective_operator
    from polyroots.polynomials import Diagnosis, ResidualPolynomial, TwoGrid, residual_norm, two_grid
    from polyroots.report import write_report
    from polyroots.roots import change_smoothers, select_roots
    from polyroots.spectra import (
        Convolution,
        OperatorSpectrum,
        Spectrum,
        SpectrumSample,
        as_operator,
        departure_from_normality,
        eigenvalues,
        extreme_eigenvalues,
        numerical_range,
        operator_eigenvalues,
        pseudospectrum,
        sample_eigenvalues,
        singular_values,
        symbol,
    )

# The package that defines each name; None for a package that is public itself.
_PACKAGES = {
    "Checkpoint": "checkpoints",
    "ConvergenceError": "errors",
    "Convolution": "spectra",
    "Diagnosis": "polynomials",
    "EffectiveOperator": "models",
    "FileError": "errors",
    "InitReport": "initialization",
    "InputError": "errors",
    "ModelSpectra": "analysis",
    "OperatorSpectrum": "spectra",
    "PolyrootsError": "errors",
    "PrecisionWarning": "errors",
    "ResidualPolynomial": "polynomials",
    "Spectrum": "spectra",
    "SpectrumSample": "spectra",
    "TwoGrid": "polynomials",
    "as_operator": "spectra",
    "change_smoothers": "roots",
    "departure_from_normality": "spectra",
    "effective_operator": "models",
    "eigenvalues": "spectra",
    "extreme_eigenvalues": "spectra",
    "initialize": "initialization",
    "load_checkpoint": "checkpoints",
    "load_results": "analysis",
    "model_spectra": "analysis",
    "models": None,
    "numerical_range": "spectra",
    "operator_eigenvalues": "spectra",
    "plotting": None,
    "pseudospectrum": "spectra",
    "residual_norm": "polynomials",
    "sample_eigenvalues": "spectra",
    "save_checkpoint": "checkpoints",
    "select_roots": "roots",
    "singular_values": "spectra",
    "study": None,
    "symbol": "spectra",
    "training": None,
    "two_grid": "polynomials",
    "write_report": "report",
}

__all__ = [
    "Checkpoint",
    "ConvergenceError",
    "Convolution",
    "Diagnosis",
    "EffectiveOperator",
    "FileError",
    "InitReport",
    "InputError",
    "ModelSpectra",
    "OperatorSpectrum",
    "PolyrootsError",
    "PrecisionWarning",
    "ResidualPolynomial",
    "Spectrum",
    "SpectrumSample",
    "TwoGrid",
    "as_operator",
    "change_smoothers",
    "departure_from_normality",
    "effective_operator",
    "eigenvalues",
    "extreme_eigenvalues",
    "initialize",
    "load_checkpoint",
    "load_results",
    "model_spectra",
    "models",
    "numerical_range",
    "operator_eigenvalues",
    "plotting",
    "pseudospectrum",
    "residual_norm",
    "sample_eigenvalues",
    "save_checkpoint",
    "select_roots",
    "singular_values",
    "study",
    "symbol",
    "training",
    "two_grid",
    "write_report",
]

# Titles of the packages in the help, in the order of the work.
_SUBJECTS = {
    "spectra": "Spectra of operators",
    "polynomials": "Residual polynomials",
    "roots": "Roots from spectra",
    "initialization": "Coefficients of a network",
    "models": "Networks",
    "analysis": "Spectra of models and files",
    "checkpoints": "Checkpoints",
    "report": "Reports",
    "errors": "Errors and warnings",
    None: "Packages with more names, each with a help of its own",
}


def _help() -> str:
    """Return the public names by subject."""
    names = {package: [name for name, its in _PACKAGES.items() if its == package] for package in _SUBJECTS}
    return "\n".join(
        fill(f"{title}: {', '.join(names[package])}", 88, subsequent_indent="    ")
        for package, title in _SUBJECTS.items()
    )


__doc__ = f"{__doc__}\nPublic names by subject\n\n{_help()}\n"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    if name not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    package = _PACKAGES[name]
    return (
        import_module(f"{__name__}.{name}")
        if package is None
        else getattr(import_module(f"{__name__}.{package}"), name)
    )


def __dir__() -> list[str]:
    return list(__all__)
