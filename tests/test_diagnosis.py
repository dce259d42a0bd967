"""Diagnoses of residual polynomials, against known values of model problems."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from dense import dense_operator

import polyroots as pr
from polyroots.polynomials.minimax import minimax
from polyroots.polynomials.target import Target
from polyroots.text import floored

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)


def test_damped_jacobi_has_the_smoothing_factor_three_fifths() -> None:
    Lambda = pr.eigenvalues(LAPLACIAN, 16)
    found = pr.ResidualPolynomial([5]).diagnose(Lambda)  # omega = 4/5 of 1/4
    assert found.smoothing_factor == pytest.approx(3 / 5, abs=1e-14)
    assert found.null == 1
    assert found.eigenvalues == 255
    # The slowest mode after the constant one; the best single root is the mean of both ends.
    low = 2 - 2 * np.cos(2 * np.pi / 16)
    assert found.max_abs == pytest.approx(1 - low / 5)
    assert found.best == pytest.approx((8 - low) / (8 + low), rel=1e-8)
    assert not found.holds_zero


def test_the_best_smoother_of_one_root_is_damped_jacobi() -> None:
    """On the high frequencies, whose eigenvalues lie from 2 to 8, the best root is 5, with max |q| = 3/5."""
    Lambda = pr.eigenvalues(LAPLACIAN, 16)
    found = pr.ResidualPolynomial([5]).diagnose(Lambda, region="high")
    assert (found.region, found.eigenvalues, found.null) == ("high", 256 - 7 * 7, 0)
    assert found.max_abs == found.smoothing_factor == pytest.approx(3 / 5)
    assert found.best == pytest.approx(3 / 5, rel=1e-8)
    assert found.best_bound == pytest.approx(3 / 5, rel=1e-6)


def test_numbers_by_definition(rng: np.random.Generator) -> None:
    K = rng.standard_normal((3, 3, 3, 3)) / 4
    K[range(3), range(3), 1, 1] += 1.5
    Lambda = pr.eigenvalues(K, (5, 6))
    q = pr.ResidualPolynomial([1.2, 2.1, 1.4 + 0.5j, 1.4 - 0.5j])
    size = np.abs(np.prod([1 - Lambda.values / root for root in q.roots], axis=0))
    found = q.diagnose(Lambda)
    assert found.roots == 4
    assert found.max_abs == pytest.approx(size.max(), rel=1e-12)
    assert found.mean_abs == pytest.approx(size.mean(), rel=1e-12)
    assert found.rms == pytest.approx(np.sqrt((size**2).mean()), rel=1e-12)
    assert found.damped == pytest.approx((size < 1).mean(), abs=1e-12)
    assert found.smoothing_factor == pytest.approx(size[Lambda.is_high_frequency].max(), rel=1e-12)
    partial = np.cumprod([np.abs(1 - Lambda.values / root) for root in q.roots], axis=0)
    ends = [k for k, root in enumerate(q.roots) if root.imag <= 0]  # a pair is one factor
    assert found.growth == pytest.approx(max(1, partial[ends].max()), rel=1e-12)
    Q = np.eye(90, dtype=complex)
    for root in q.roots:
        Q = Q @ (np.eye(90) - dense_operator(K, (5, 6)) / root)
    assert found.norm == pytest.approx(np.linalg.norm(Q, 2), rel=1e-10)
    assert found.best_bound <= found.best * (1 + 1e-12)
    assert found.best <= found.max_abs


def test_bare_values_have_no_norm_and_no_frequencies() -> None:
    found = pr.ResidualPolynomial([2]).diagnose([1, 2, 3])
    assert found.norm is None
    assert found.smoothing_factor is None
    assert found.damped == 1
    with pytest.raises(pr.InputError, match="bare eigenvalues have no frequency"):
        pr.ResidualPolynomial([2]).diagnose([1, 2, 3], region="high")
    with pytest.raises(pr.InputError, match="unknown region 'low'"):
        pr.ResidualPolynomial([2]).diagnose([1, 2, 3], region="low")


def test_more_roots_than_points_are_diagnosed() -> None:
    found = pr.ResidualPolynomial([1, 2, 3]).diagnose([1, 2])
    assert found.max_abs == 0
    assert found.best == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"), [([1, 2], False), ([-1, 2], True), ([-2, -1 + 3j], False), ([1 + 1j, -1 + 5j], True)]
)
def test_zero_in_the_hull(values: list[complex], expected: bool) -> None:
    both = np.concatenate([values, np.conj(values)])
    assert pr.ResidualPolynomial([2]).diagnose(both).holds_zero is expected


def test_it_is_said_in_words(rng: np.random.Generator) -> None:
    Lambda = pr.eigenvalues(LAPLACIAN, 8)
    words = " ".join(pr.ResidualPolynomial([5]).diagnose(Lambda).sentences())
    assert "1 root damps all of the spectrum but its null space: |q| is at most 0.8828" in words
    assert "1 eigenvalue is zero: q = 1 there whatever the roots" in words
    assert "The best polynomial with 1 root reaches max|q| = 0.8635; none gets below 0.8635 (proven)." in words
    fresh = pr.eigenvalues(rng.standard_normal((16, 16, 3, 3)) / 12, 16)
    found = pr.ResidualPolynomial(pr.select_roots(fresh)).diagnose(fresh)
    words = " ".join(found.sentences())
    assert "4 roots damp " in words
    assert f"the worst part is multiplied by {found.max_abs:.4g} each time q(A) is applied" in words
    assert "No polynomial with 4 roots gets max|q| below 0.99" in words
    assert "an A shifted so that all eigenvalues are on one side of 0, or the high frequencies alone" in words
    assert "0 lies in the convex hull of the eigenvalues: no single root damps everything" in words
    close = pr.ResidualPolynomial([0.1, 0.12, 0.14, 0.16, 0.18, 100])
    assert "1 extra copy of them would keep rounding errors small" in " ".join(close.diagnose([0.1, 100]).sentences())


def test_a_bound_is_rounded_down() -> None:
    assert floored(0.99999999) == "0.9999"
    assert floored(1e-9) == "1.000e-09"
    assert float(floored(0.123456)) <= 0.123456


def test_what_is_beyond_float64_is_infinite() -> None:
    """Squares overflow long before |q| does."""
    large = pr.ResidualPolynomial(np.linspace(1e-3, 2e-3, 60)).diagnose([1e-3, 1, 2])
    assert 1e150 < large.rms < large.max_abs < np.inf
    beyond = pr.ResidualPolynomial(np.full(200, 1e-3)).diagnose([1e-3, 1, 2])
    assert beyond.max_abs == beyond.rms == np.inf


def test_rounding_at_one_is_not_damped() -> None:
    """q(8) = (1 - 4)(1 - 4/3) is 1, but in float64 it is smaller by the last digit."""
    found = pr.ResidualPolynomial([2, 6]).diagnose([2, 4, 6, 8])
    assert found.max_abs == pytest.approx(1, abs=1e-12)
    assert found.damped == 0.75
    assert not found.sentences()[0].startswith("2 roots damp all")


def test_growth_is_that_of_the_worst_partial_product() -> None:
    """In Leja order 8 is first: its factor is at most 1, with 0.1 the product is 30 at 3.05; 2.5 and 5 reduce it."""
    q = pr.ResidualPolynomial([0.1, 8, 2.5, 5])
    points = np.linspace(0.1, 8, 80)
    partial = np.cumprod([np.abs(1 - points / root) for root in q.roots], axis=0).max(axis=1)
    assert partial[:-1].max() > 2 * partial[-1]
    assert q.diagnose(points).growth == pytest.approx(partial.max())


def test_far_from_normal_is_said_where_it_is_so() -> None:
    Lambda = pr.eigenvalues(LAPLACIAN, 16)
    words = pr.ResidualPolynomial([2.5, 5, 7.5]).diagnose(Lambda, region="high").sentences()
    assert not any("far from normal" in sentence for sentence in words)
    K = np.array([[1.0, 9.0], [0.0, 2.0]]).reshape(2, 2, 1, 1)
    found = pr.ResidualPolynomial([1.5]).diagnose(pr.eigenvalues(K, 4))
    assert found.norm == pytest.approx(np.linalg.norm(np.eye(2) - K[:, :, 0, 0] / 1.5, 2))
    assert "A is far from normal: one step can multiply a residual by 6.02" in " ".join(found.sentences())


def test_a_search_that_fails_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a solver that returns no step value and bound don't agree, and only the best polynomial is missing."""
    module = importlib.import_module("polyroots.polynomials.minimax")
    monkeypatch.setattr(module, "_solve", lambda q, Phi: (np.zeros(Phi.shape[1]), np.full(len(q), 1 / len(q))))
    with pytest.raises(pr.ConvergenceError, match=r"2 roots has not converged: its max.q. lies between 0.* and"):
        minimax(Target.of(np.linspace(1, 3, 20)), 2)
    found = pr.ResidualPolynomial([1.5, 2.5]).diagnose(np.linspace(1, 3, 20))
    assert (found.best, found.best_bound) == (None, None)
    assert found.max_abs > 0
    assert "The best max|q| that 2 roots can reach was not found." in found.sentences()
