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

# Public names by the package that defines them, with a title for the help, in the order of the work; those of None are
# packages themselves.
_PUBLIC: dict[str | None, tuple[str, tuple[str, ...]]] = {
    "spectra": (
        "Spectra of operators",
        (
            "Convolution",
            "OperatorSpectrum",
            "Spectrum",
            "SpectrumSample",
            "as_operator",
            "departure_from_normality",
            "eigenvalues",
            "extreme_eigenvalues",
            "numerical_range",
            "operator_eigenvalues",
            "pseudospectrum",
            "sample_eigenvalues",
            "singular_values",
            "symbol",
        ),
    ),
    "polynomials": (
        "Residual polynomials",
        ("Diagnosis", "ResidualPolynomial", "TwoGrid", "residual_norm", "two_grid"),
    ),
    "roots": ("Roots from spectra", ("change_smoothers", "select_roots")),
    "initialization": ("Coefficients of a network", ("InitReport", "initialize")),
    "models": ("Networks", ("EffectiveOperator", "effective_operator")),
    "analysis": ("Spectra of models and files", ("ModelSpectra", "load_results", "model_spectra")),
    "checkpoints": ("Checkpoints", ("Checkpoint", "load_checkpoint", "save_checkpoint")),
    "report": ("Reports", ("write_report",)),
    "errors": (
        "Errors and warnings",
        ("ConvergenceError", "FileError", "InputError", "PolyrootsError", "PrecisionWarning"),
    ),
    None: ("Packages with more names, each with a help of its own", ("models", "plotting", "study", "training")),
}
_PACKAGES = {name: package for package, (_, names) in _PUBLIC.items() for name in names}

_SUBJECTS = (f"{title}: {', '.join(names)}" for title, names in _PUBLIC.values())
_HELP = "\n".join(fill(subject, 88, subsequent_indent="    ") for subject in _SUBJECTS)
__doc__ = f"{__doc__}\nPublic names by subject\n\n{_HELP}\n"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    if name not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    package = _PACKAGES[name]
    if package is None:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(f"{__name__}.{package}"), name)


def __dir__() -> list[str]:
    return list(__all__)
