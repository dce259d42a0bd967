"""Roots for several operators with one block sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyroots as pr
from polyroots.initialization import operators
from polyroots.initialization.operators import OperatorToDamp, choose_for_all
from polyroots.initialization.ranking import rank
from polyroots.initialization.report import report_on
from polyroots.initialization.request import InitRequest
from polyroots.roots.strategies import STRATEGIES
from polyroots.spectra.convolution import Convolution

LAPLACIAN = np.array([[0, -1, 0], [-1, 4.5, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)


def operator(number: Any, K: Any, size: Any = 6) -> Any:
    return OperatorToDamp(number, f"level {number}", Convolution.of(K, size, name=f"layer{number}"))


def report(level: Any, choice: Any) -> Any:
    return report_on([level], [choice], InitRequest(), None).levels[0]


def mixed() -> list[OperatorToDamp]:
    """Return operators of which one has a real spectrum, and one has conjugate pairs."""
    turn = np.array([[2.0, -1.0], [1.0, 2.0]]).reshape(2, 2, 1, 1) * LAPLACIAN
    return [operator(1, LAPLACIAN), operator(2, turn)]


def test_levels_of_one_kind_keep_their_blocks() -> None:
    choices = choose_for_all([operator(1, LAPLACIAN), operator(2, 2 * LAPLACIAN)], 3, "minimax")
    assert [choice.blocks for choice in choices] == [("L", "L", "R")] * 2


def test_quadratic_blocks_hold_real_roots_and_pairs() -> None:
    choices = choose_for_all(mixed(), 3, "largest")
    assert [choice.blocks for choice in choices] == [("C", "C")] * 2
    assert (choices[0].roots.imag == 0).all()
    assert (choices[1].roots.imag != 0).all()
    for level, choice in zip(mixed(), choices, strict=True):
        assert set(choice.roots) == set(pr.select_roots(level.spectrum, 3, "largest"))
        blocks = report(level, choice).blocks
        assert [block.letter for block in blocks] == ["C", "C"]
        q = pr.ResidualPolynomial(choice.roots)
        t = np.array([0.3, 1.7])
        product = np.prod([1 - t * (b.alphas[0] + b.alphas[1] * t) for b in blocks], axis=0)
        np.testing.assert_allclose(product, q(t), rtol=1e-12)


def test_errors_name_the_level() -> None:
    with pytest.raises(
        pr.InputError, match="level 1: 'complex' chooses conjugate pairs, of which the spectrum has none"
    ):
        choose_for_all(mixed(), 3, "complex")


def test_monomial_coefficients_are_told_where_they_can_be_read() -> None:
    level = operator(1, LAPLACIAN, 12)
    eight, nine = (report(level, level.choose(degree, "minimax", {})) for degree in (8, 9))
    assert len(eight.alphas) == 9
    assert nine.alphas is None


def test_what_as_many_roots_reach_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    minimax = operators.minimax
    monkeypatch.setattr(operators, "minimax", lambda target, count: calls.append(count) or minimax(target, count))
    rows = rank([operator(1, LAPLACIAN)], 3)
    assert calls == [4]
    # The operator is normal, and its numerical range an interval: all four have the same roots.
    assert {row.strategy for row in rows[:4]} == {"minimax", "chebyshev", "ideal", "numerical-range"}
    assert {row.strategy for row in rows} == set(STRATEGIES) - {"given"}
    assert rows[-1].error.startswith("level 1: 'complex' chooses conjugate pairs")
