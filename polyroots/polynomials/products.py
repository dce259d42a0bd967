"""Products of factors of q, for matrices A or from products with A."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Inexact
from numpy.typing import NDArray

from polyroots.polynomials.blocks import Factor


def factors_times(
    factors: Sequence[Factor], product: Callable[[NDArray[Any]], NDArray[Any]], u: NDArray[Any]
) -> NDArray[Any]:
    """Return the product of the factors I - A p(A) with u, from products with A."""
    for factor in factors:
        power = u
        coefficients = dict(zip(factor.powers, factor.coefficients, strict=True))
        for exponent in range(max(coefficients) + 1):
            power = product(power)
            if exponent in coefficients:
                u = u - coefficients[exponent] * power
    return u


def apply_to(factors: Sequence[Factor], stack: Inexact[np.ndarray, "k c c"]) -> Inexact[np.ndarray, "k c c"]:
    """Return the matrices q(A) of a stack of matrices A, multiplied factor by factor in Leja order."""
    *_, result = partial_products(factors, stack)
    return result


def partial_products(
    factors: Sequence[Factor],
    stack: Inexact[np.ndarray, "k c c"],
    square: Inexact[np.ndarray, "k c c"] | None = None,
) -> Iterator[Inexact[np.ndarray, "k c c"]]:
    """Return the products of the first k factors, k = 1, 2, ..., for matrices A and, if given, their squares."""
    if square is None and any(max(factor.powers) > 0 for factor in factors):
        with np.errstate(over="ignore", invalid="ignore"):
            square = stack @ stack
    result = None
    for factor in factors:
        with np.errstate(over="ignore", invalid="ignore"):
            matrix = matrix_of(factor, stack, square)
            result = matrix if result is None else result @ matrix
        yield result


def matrix_of(
    factor: Factor, stack: Inexact[np.ndarray, "k c c"], square: Inexact[np.ndarray, "k c c"] | None
) -> Inexact[np.ndarray, "k c c"]:
    """Return the matrices I - A p(A) of one factor, for a stack of matrices A and of their squares."""
    powers: Mapping[int, Any] = {0: stack, 1: square}
    first, *others = zip(factor.powers, factor.coefficients, strict=True)
    matrix = -first[1] * powers[first[0]]
    for power, coefficient in others:
        matrix -= coefficient * powers[power]
    np.einsum("...ii->...i", matrix)[...] += 1
    return matrix


def largest_norm(stack: Inexact[np.ndarray, "k c c"]) -> float:
    """Return the largest spectral norm of a stack of matrices, infinite if an entry has overflowed."""
    return float(np.linalg.svd(stack, compute_uv=False)[:, 0].max()) if np.isfinite(stack).all() else np.inf
