"""Spectra of the convolutions of models and of files, their verification and export."""

from polyroots.analysis.cost import Work, estimate
from polyroots.analysis.export import SavedLayer, load_results, save_results, write_csv
from polyroots.analysis.layers import (
    Analysis,
    Layer,
    LayerResult,
    ModelSpectra,
    analyse,
    applied_kernel,
    layer_of,
    model_layers,
    model_spectra,
    why_no_eigenvalues,
)
from polyroots.analysis.verify import Verification, verify

__all__ = [
    "Analysis",
    "Layer",
    "LayerResult",
    "ModelSpectra",
    "SavedLayer",
    "Verification",
    "Work",
    "analyse",
    "applied_kernel",
    "estimate",
    "layer_of",
    "load_results",
    "model_layers",
    "model_spectra",
    "save_results",
    "verify",
    "why_no_eigenvalues",
    "write_csv",
]
