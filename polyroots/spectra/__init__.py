"""Convolutions as operators, their symbols, eigenvalues and singular values, and how far they are from normal."""

from polyroots.spectra.batched_qr import LANES, eigvals
from polyroots.spectra.clusters import cluster_labels
from polyroots.spectra.convolution import (
    PADDINGS,
    Convolution,
    as_float64,
    norm_bound,
    power_of_two,
    require_finite,
    symbol,
)
from polyroots.spectra.extreme_eigenvalues import End, Extremes, extreme_eigenvalues, extreme_eigenvalues_of
from polyroots.spectra.general_operator import GeneralOperator, as_operator, products_of
from polyroots.spectra.grid_transfer import (
    Harmonics,
    coarse_operator,
    orders,
    require_two_grid,
    transfer_of,
)
from polyroots.spectra.lanczos import DENSE_IS_FASTER, largest_eigenvalue
from polyroots.spectra.layer import has_own_forward
from polyroots.spectra.matching import match, moved
from polyroots.spectra.matrix import DENSE_LIMIT, explicit_matrix, fits, linear_operator
from polyroots.spectra.nonnormality import (
    NumericalRange,
    departure_from_normality,
    numerical_range,
    pseudospectrum,
    support_of_blocks,
)
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.operator_spectrum import OperatorSpectrum, operator_eigenvalues, spectrum_or_operator
from polyroots.spectra.precision import single_precision_error
from polyroots.spectra.quantiles import Quantile
from polyroots.spectra.sample import PARTS, SpectrumSample, sample_eigenvalues, sample_eigenvalues_of
from polyroots.spectra.singular_values import (
    LargestSingularValues,
    SingularSummary,
    has_symbol,
    largest_singular_values,
    singular_values,
    singular_values_of,
    summarize,
)
from polyroots.spectra.spectrum import Spectrum, eigenvalues, eigenvalues_of, normalized_convolution
from polyroots.spectra.symbol_blocks import SymbolBlocks
from polyroots.spectra.values import high_frequencies
from polyroots.spectra.zero_padding import is_direct

__all__ = [
    "DENSE_IS_FASTER",
    "DENSE_LIMIT",
    "LANES",
    "PADDINGS",
    "PARTS",
    "Convolution",
    "End",
    "Extremes",
    "GeneralOperator",
    "Harmonics",
    "LargestSingularValues",
    "NumericalRange",
    "OperatorBlocks",
    "OperatorSpectrum",
    "Quantile",
    "SingularSummary",
    "Spectrum",
    "SpectrumSample",
    "SymbolBlocks",
    "as_float64",
    "as_operator",
    "cluster_labels",
    "coarse_operator",
    "departure_from_normality",
    "eigenvalues",
    "eigenvalues_of",
    "eigvals",
    "explicit_matrix",
    "extreme_eigenvalues",
    "extreme_eigenvalues_of",
    "fits",
    "has_own_forward",
    "has_symbol",
    "high_frequencies",
    "is_direct",
    "largest_eigenvalue",
    "largest_singular_values",
    "linear_operator",
    "match",
    "moved",
    "norm_bound",
    "normalized_convolution",
    "numerical_range",
    "operator_eigenvalues",
    "orders",
    "power_of_two",
    "products_of",
    "pseudospectrum",
    "require_finite",
    "require_two_grid",
    "sample_eigenvalues",
    "sample_eigenvalues_of",
    "single_precision_error",
    "singular_values",
    "singular_values_of",
    "spectrum_or_operator",
    "summarize",
    "support_of_blocks",
    "symbol",
    "transfer_of",
]
