"""Coefficients of networks from the spectra of their convolutions, and the report of them."""

from polyroots.initialization.network import (
    InitReport,
    draw_alphas,
    groups_of,
    initialize,
    operands_of,
    polynomials_of,
    report_as_is,
    report_on,
    require_polynomial,
    set_roots,
)
from polyroots.initialization.operands import OperatorToDamp, choose_for_all
from polyroots.initialization.ranking import Row, rank

__all__ = [
    "InitReport",
    "OperatorToDamp",
    "Row",
    "choose_for_all",
    "draw_alphas",
    "groups_of",
    "initialize",
    "operands_of",
    "polynomials_of",
    "rank",
    "report_as_is",
    "report_on",
    "require_polynomial",
    "set_roots",
]
