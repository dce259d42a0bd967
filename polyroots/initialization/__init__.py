"""Coefficients of networks from the spectra of their convolutions, and reports on them."""

from polyroots.initialization.network import operators_to_damp, set_roots
from polyroots.initialization.operators import OperatorToDamp, choose_for_all
from polyroots.initialization.parts import initialize_parts
from polyroots.initialization.ranking import RankedStrategy, rank
from polyroots.initialization.report import BlockReport, InitReport, LevelReport, report_as_is, report_on
from polyroots.initialization.request import FOR_TRAINING, InitRequest, RequestError
from polyroots.initialization.run import InitResult, initialize, initialize_from
from polyroots.initialization.tables import (
    boundary_of,
    inert_sentences,
    levels_tables,
    origin_of,
    rectified_sentences,
    start_sentences,
)
from polyroots.initialization.two_grid import LevelTwoGrid, two_grids

__all__ = [
    "FOR_TRAINING",
    "BlockReport",
    "InitReport",
    "InitRequest",
    "InitResult",
    "LevelReport",
    "LevelTwoGrid",
    "OperatorToDamp",
    "RankedStrategy",
    "RequestError",
    "boundary_of",
    "choose_for_all",
    "inert_sentences",
    "initialize",
    "initialize_from",
    "initialize_parts",
    "levels_tables",
    "operators_to_damp",
    "origin_of",
    "rank",
    "rectified_sentences",
    "report_as_is",
    "report_on",
    "set_roots",
    "start_sentences",
    "two_grids",
]
