"""Residual polynomials: blocks, Leja order, coefficients, the best possible maximum on a spectrum, diagnosis."""

from polyroots.polynomials.arnoldi import KrylovBasis, arnoldi
from polyroots.polynomials.block_roots import polynomial_of_blocks, roots_of_block
from polyroots.polynomials.blocks import (
    BLOCKS,
    PAIRING_TOLERANCE,
    ComplexPair,
    Factor,
    Linear,
    RealPair,
    SymmetricPair,
    blocks_for_degree,
    degree_of,
    divided,
    factors_from_roots,
    join_blocks,
    parse_blocks,
    require_degree,
    require_relaxation_weight,
    root_count,
)
from polyroots.polynomials.certificates import CERTIFICATES, Certificates
from polyroots.polynomials.coefficients import close_conjugates
from polyroots.polynomials.diagnosis import Diagnosis, diagnose, magnitude, remedy
from polyroots.polynomials.ideal import Ideal, ideal
from polyroots.polynomials.leja import log_distances
from polyroots.polynomials.minimax import Minimax, is_useless, minimax
from polyroots.polynomials.operator_norm import norm_on_blocks, residual_norm
from polyroots.polynomials.partial_products import Gain, PartialProducts, ProductsInNorm, ProductsOnPoints
from polyroots.polynomials.range_polygon import RangePolygon
from polyroots.polynomials.residual import ResidualPolynomial, relaxed_roots
from polyroots.polynomials.tables import diagnosis_cells, diagnosis_table
from polyroots.polynomials.target import Target
from polyroots.polynomials.two_grid import TwoGrid, two_grid

__all__ = [
    "BLOCKS",
    "CERTIFICATES",
    "PAIRING_TOLERANCE",
    "Certificates",
    "ComplexPair",
    "Diagnosis",
    "Factor",
    "Gain",
    "Ideal",
    "KrylovBasis",
    "Linear",
    "Minimax",
    "PartialProducts",
    "ProductsInNorm",
    "ProductsOnPoints",
    "RangePolygon",
    "RealPair",
    "ResidualPolynomial",
    "SymmetricPair",
    "Target",
    "TwoGrid",
    "arnoldi",
    "blocks_for_degree",
    "close_conjugates",
    "degree_of",
    "diagnose",
    "diagnosis_cells",
    "diagnosis_table",
    "divided",
    "factors_from_roots",
    "ideal",
    "is_useless",
    "join_blocks",
    "log_distances",
    "magnitude",
    "minimax",
    "norm_on_blocks",
    "parse_blocks",
    "polynomial_of_blocks",
    "relaxed_roots",
    "remedy",
    "require_degree",
    "require_relaxation_weight",
    "residual_norm",
    "root_count",
    "roots_of_block",
    "two_grid",
]
