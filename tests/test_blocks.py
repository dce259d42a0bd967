"""Blocks: factors of q, and block sequences as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyroots as pr
from polyroots.polynomials.blocks import ComplexPair, Linear, RealPair, SymmetricPair, factors_from_roots, parse_blocks

POINTS = np.array([0, 0.3, -1.7, 2.2, 0.5 + 1j, -2 - 0.4j])


@pytest.mark.parametrize(
    ("factor", "coefficients"),
    [
        (Linear(4.0), (1 / 4,)),
        (RealPair(2.0, -5.0), (1 / 2 - 1 / 5, 1 / 10)),
        (SymmetricPair(2.0), (1 / 4,)),
        (ComplexPair(3.0, 4.0), (6 / 25, -1 / 25)),
    ],
)
def test_factors(factor: Any, coefficients: tuple[float, ...]) -> None:
    """Coefficients agree with those by hand, and 1 - t p(t) with the product over the factor's roots."""
    assert factor.coefficients == pytest.approx(coefficients, abs=1e-16)
    t = POINTS
    p = sum(c * t**k for k, c in zip(factor.powers, factor.coefficients, strict=True))
    np.testing.assert_allclose(factor(t), 1 - t * p, atol=1e-14)
    np.testing.assert_allclose(factor(t), np.prod([1 - t / root for root in factor.roots], axis=0), atol=1e-14)
    (again,) = factors_from_roots(factor.letter, factor.roots)
    assert again == factor


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e200])
def test_factors_of_any_scale(scale: float) -> None:
    q = pr.ResidualPolynomial(scale * np.array([1 + 1j, 1 - 1j]))
    assert q(scale * np.array([0.0, 1, 2])).tolist() == pytest.approx([1, 0.5, 1], rel=1e-15)
    assert ComplexPair(scale, scale).coefficients == pytest.approx((1 / scale, -0.5 / scale / scale), rel=1e-15)


def test_a_sequence_takes_roots_in_its_order() -> None:
    factors = factors_from_roots("L,S,C", [0.5, 2, -2, 1 + 1j, 1 - 1j])
    assert factors == (Linear(0.5), SymmetricPair(2.0), ComplexPair(1.0, 1.0))


@pytest.mark.parametrize(
    ("blocks", "roots", "message"),
    [
        ("L,C", [1, 2], "need 3 roots, got 2"),
        ("L", [1 + 1j], "block L needs real roots"),
        ("R", [1, 1j], "block R needs a conjugate pair of roots or two real ones, got"),
        ("S", [1, -2], "opposite sign, got 1 and -2"),
        ("C", [1 + 1j, 1 - 2j], "block C needs a conjugate pair of roots or two real ones, got"),
        ("L,X", [1, 2], "unknown block 'X'"),
        ("", [], "unknown block ''"),
        ((), [], "at least one block"),
    ],
)
def test_roots_that_do_not_fit_a_block_are_named(
    blocks: str | tuple[Any, ...], roots: list[complex], message: str
) -> None:
    with pytest.raises(pr.InputError, match=message):
        factors_from_roots(blocks, roots)


def test_parse_blocks() -> None:
    assert parse_blocks("L, L,C") == ("L", "L", "C")


def test_a_thousand_blocks_are_the_most() -> None:
    assert parse_blocks(["L"] * 1000) == ("L",) * 1000
    with pytest.raises(pr.InputError, match=r"expected 1,000 blocks at most, got 1,001"):
        parse_blocks(["L"] * 1001)
