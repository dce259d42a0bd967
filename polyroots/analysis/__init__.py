"""Spectra of the convolutions of models and of files, their verification and export."""

from polyroots.analysis.cost import Work, estimate
from polyroots.analysis.export import SavedLayer, load_results, save_results, write_csv
from polyroots.analysis.layers import (
    Analysis,
    Layer,
    LayerResult,
    analyse,
    applied_kernel,
    model_layers,
    model_spectra,
    why_no_eigenvalues,
)
from polyroots.analysis.tables import (
    CONFIDENCE,
    LEVELS,
    ModelSpectra,
    departure,
    eigenvalues_table,
    largest_condition,
    largest_error,
    quantiles_table,
    singular_values_table,
)
from polyroots.analysis.verify import Verification, verify

__all__ = [
    "CONFIDENCE",
    "LEVELS",
    "Analysis",
    "Layer",
    "LayerResult",
    "ModelSpectra",
    "SavedLayer",
    "Verification",
    "Work",
    "analyse",
    "applied_kernel",
    "departure",
    "eigenvalues_table",
    "estimate",
    "largest_condition",
    "largest_error",
    "load_results",
    "model_layers",
    "model_spectra",
    "quantiles_table",
    "save_results",
    "singular_values_table",
    "verify",
    "why_no_eigenvalues",
    "write_csv",
]
