"""Residual and smoothing polynomials of an operator as linear operators of their own, for Krylov methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from polyroots.errors import unknown_name
from polyroots.polynomials.blocks import Factor
from polyroots.polynomials.operator_norm import factors_times
from polyroots.spectra import GeneralOperator, as_operator, products_of

#: The two polynomials, q(t) = 1 - t p(t).
POLYNOMIALS = ("p", "q")


def operator_of(
    A: Any,
    size: int | tuple[int, ...] | None,
    which: str,
    p: Callable[[Any, Any], Any],
    factors: Sequence[Factor],
) -> LinearOperator:
    """Return p(A) or q(A) as a linear operator.

    Parameters
    ----------
    A, size
        As for `polyroots.as_operator`.
    which : ``"p"`` or ``"q"``
    p : callable
        (product, f) -> p(A) f.
    factors : sequence of Factor
        Of q.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
    """
    if which not in POLYNOMIALS:
        raise unknown_name("polynomial", str(which), POLYNOMIALS)
    operator = as_operator(A, size)
    operator.require_square(f"{which}(A)")
    products = products_of(operator)

    def of(product: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if which == "p":
            return lambda u: p(product, u)
        return lambda u: factors_times(factors, product, u)

    # The coefficients are real: the adjoint of p(A) is p of the adjoint.
    has_adjoint = not isinstance(operator, GeneralOperator) or operator.has_adjoint
    adjoint = products.H if has_adjoint else None
    return LinearOperator(
        operator.shape,
        matvec=of(products.matvec),
        matmat=of(products.matmat),
        rmatvec=of(adjoint.matvec) if adjoint else None,
        rmatmat=of(adjoint.matmat) if adjoint else None,
        dtype=np.result_type(products.dtype, np.float32),
    )
