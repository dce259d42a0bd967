"""Operators of a matrix or of products."""

from __future__ import annotations

from typing import Any

from polyroots.spectra.general_operator import GeneralOperator, as_operator


def general(A: Any, size: Any = None) -> GeneralOperator:
    operator = as_operator(A, size)
    assert isinstance(operator, GeneralOperator)
    return operator
