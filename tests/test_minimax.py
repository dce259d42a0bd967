"""Minimax polynomials and their lower bounds, against exact solutions."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

import polyroots as pr
from polyroots.polynomials.lower_bound import proven_lower_bound
from polyroots.polynomials.minimax import has_failed, minimax
from polyroots.polynomials.target import Target


def chebyshev_points(low: float, high: float, count: int) -> NDArray[Any]:
    """Return points with all extremes of the Chebyshev polynomials whose degree divides count."""
    return (low + high) / 2 + (high - low) / 2 * np.cos(np.linspace(0, np.pi, count + 1))


def chebyshev_value(low: float, high: float, count: int) -> float:
    """Return the least max |q| on [a, b], 1 / T_n((b + a) / (b - a))."""
    return 1 / np.cosh(count * np.arccosh((high + low) / (high - low)))


def roots_of(best: Any) -> NDArray[Any]:
    return best.unit * best.krylov.roots(best.coordinates)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("interval", [(1, 3), (0.02, 2), (-5, -0.5)])
def test_on_an_interval_it_is_chebyshevs(count: int, interval: tuple[float, float]) -> None:
    low, high = interval
    best = minimax(Target.of(chebyshev_points(low, high, 48 * count)), count)
    least, most = sorted((abs(low), abs(high)))
    expected = chebyshev_value(least, most, count)
    assert best.value == pytest.approx(expected, rel=1e-6)
    assert best.bound <= best.value <= best.bound * (1 + 1e-6)
    angles = (2 * np.arange(1, count + 1) - 1) * np.pi / (2 * count)
    exact = (low + high) / 2 + (high - low) / 2 * np.cos(angles)
    np.testing.assert_allclose(np.sort(roots_of(best).real), np.sort(exact), rtol=1e-6)
    assert (roots_of(best).imag == 0).all()


@pytest.mark.parametrize("count", [2, 4, 6])
def test_on_two_symmetric_intervals_it_is_chebyshevs_in_the_square(count: int) -> None:
    squares = chebyshev_points(1, 9, 60 * count)
    points = np.concatenate([np.sqrt(squares), -np.sqrt(squares)])
    best = minimax(Target.of(points), count)
    assert best.value == pytest.approx(chebyshev_value(1, 9, count // 2), rel=1e-6)
    exact = 5 + 4 * np.cos((2 * np.arange(1, count // 2 + 1) - 1) * np.pi / count)
    np.testing.assert_allclose(np.sort(roots_of(best).real)[count // 2 :], np.sort(np.sqrt(exact)), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_on_a_circle_beside_zero_it_is_a_power(count: int) -> None:
    """On |z - c| <= r the best q is (1 - z / c)^n with max |q| = (r / c)^n, also on enough points of the circle."""
    points = 2 + 0.8 * np.exp(2j * np.pi * np.arange(64) / 64)
    best = minimax(Target.of(points), count)
    assert best.value == pytest.approx(0.4**count, rel=1e-6)
    assert best.bound == pytest.approx(0.4**count, rel=1e-6)


def test_around_zero_nothing_is_damped() -> None:
    """By the maximum principle, |q| < 1 on symmetric points around 0 needs as many roots as there are symmetries."""
    points = np.exp(2j * np.pi * np.arange(24) / 24)
    for count in (1, 4, 23):
        best = minimax(Target.of(points), count)
        assert best.bound == pytest.approx(1, abs=1e-9)
    assert minimax(Target.of(points), 24).value == pytest.approx(0, abs=1e-12)


def test_two_points() -> None:
    """For one root on the points 1 and 3, |1 - 1 / lambda| = |1 - 3 / lambda| gives lambda = 2 and max |q| = 1/2."""
    best = minimax(Target.of([1, 3]), 1)
    assert best.value == pytest.approx(0.5, rel=1e-8)
    assert roots_of(best) == pytest.approx([2], rel=1e-8)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 5), seed=st.integers(0, 2**32 - 1), shift=st.floats(0, 3))
def test_nothing_is_below_the_bound_and_the_bound_is_met(count: int, seed: int, shift: float) -> None:
    """The other polynomials have random roots, or roots next to the optimal ones."""
    rng = np.random.default_rng(seed)
    points = shift + rng.standard_normal(30) + 1j * rng.standard_normal(30)
    points = np.concatenate([points, points.conj()])
    best = minimax(Target.of(points), count)
    assert best.value <= best.bound * (1 + 1e-4) + 1e-8
    for _ in range(20):
        roots = rng.standard_normal(count) * 3
        assert np.abs(pr.ResidualPolynomial(roots)(points)).max() >= best.bound * (1 - 1e-9)
    if np.linalg.norm(best.coordinates[-1]) > 1e-6:
        near = roots_of(best)
        assert np.abs(pr.ResidualPolynomial(near)(points)).max() == pytest.approx(best.value, rel=1e-6)
        for scale in (0.99, 1.01):
            assert np.abs(pr.ResidualPolynomial(near * scale)(points)).max() >= best.bound * (1 - 1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("seed", "points", "count"), [(100, 5, 4), (131, 6, 4), (162, 8, 6)])
def test_what_rounding_makes_zero_is_reached(seed: int, points: int, count: int) -> None:
    """With nearly equal points and almost as many roots, rounding can make the residual zero on all of them."""
    values = 1 + 1e-4 * np.random.default_rng(seed).standard_normal(points)
    assert minimax(Target.of(values), count).value < 1e-15


def test_fixed_roots_count() -> None:
    """With the root 2 fixed, the optimal second root on [1, 3] agrees with that of a scan."""
    points = np.linspace(1, 3, 201)
    best = minimax(Target.of(points), 1, prior=[2.0])
    scanned = [np.abs((1 - points / 2) * (1 - points / lam)).max() for lam in np.linspace(0.8, 4, 40001)]
    assert best.value == pytest.approx(min(scanned), rel=1e-4)
    assert best.value >= min(scanned) * (1 - 1e-4)


def test_the_scale_of_the_spectrum_does_not_matter() -> None:
    rng = np.random.default_rng(97)
    points = 2 + rng.standard_normal(40) * 0.4 + 0.3j * rng.standard_normal(40)
    values = [minimax(Target.of(points * scale), 3).value for scale in (1, 1e-150, 1e150)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)


def test_the_search_ends_at_a_gap_of_ten_to_the_minus_seven() -> None:
    """The points chosen so far can miss the extremes by so little that max |q| is 8e-5 above the least one."""
    best = minimax(Target.of(chebyshev_points(1, 3, 3000)), 3)
    assert best.value == pytest.approx(chebyshev_value(1, 3, 3), rel=1e-7)
    assert best.value <= best.bound * (1 + 1e-7)


def test_what_is_not_an_optimum_to_four_digits_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two rounds of this search max |q| is 0.7 % above the least one: too much to be called the optimum."""
    module = importlib.import_module("polyroots.polynomials.minimax")
    monkeypatch.setattr(module, "_ROUNDS", 2)
    with pytest.raises(pr.ConvergenceError, match=r"3 roots has not converged: its max.q. lies between 0\.84"):
        minimax(Target.of(chebyshev_points(0.02, 2, 3000)), 3)


def test_an_exchange_of_many_points_takes_few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 roots have 25 extremes, and each round adds points at all of them: one at a time takes 15 rounds."""
    module = importlib.import_module("polyroots.polynomials.minimax")
    solve, rounds = module._solve, []
    monkeypatch.setattr(module, "_solve", lambda q, Phi: rounds.append(len(q)) or solve(q, Phi))
    best = minimax(Target.of(chebyshev_points(0.02, 2, 480)), 24)
    assert best.value == pytest.approx(chebyshev_value(0.02, 2, 24), rel=1e-7)
    assert len(rounds) <= 4


def least_on_an_interval(low: float, high: float, count: int) -> mpmath.mpf:
    """Return 1 / T_n((b + a) / (b - a)) to 50 digits."""
    with mpmath.workdps(50):
        a, b = mpmath.mpf(low), mpmath.mpf(high)
        return 1 / mpmath.cosh(count * mpmath.acosh((b + a) / (b - a)))


@pytest.mark.parametrize("count", [8, 16, 21, 32, 41])
@pytest.mark.parametrize("interval", [(1, 2), (1, 1.25), (-3, -1)])
def test_the_lower_bound_is_below_what_chebyshevs_polynomial_reaches(count: int, interval: tuple[float, float]) -> None:
    """Its maximum on an interval is 1 / T_n to 50 digits; on [1, 2] it is 8.2e-32 for 41 roots."""
    low, high = sorted(map(abs, interval))
    exact = float(least_on_an_interval(low, high, count))
    for points in (np.linspace(*interval, 500), chebyshev_points(*interval, 12 * count)):
        best = minimax(Target.of(points), count)
        assert 0 < best.bound <= exact
        assert best.bound <= best.value
    # These points have all extremes, so that nothing smaller is possible on them.
    assert best.bound == pytest.approx(exact, rel=1e-5)
    assert best.value == pytest.approx(exact, rel=1e-5)


def test_no_bound_is_above_what_a_polynomial_with_given_roots_reaches() -> None:
    """In rational arithmetic Chebyshev's roots reach 1.677e-16 on 2,000 points of [1, 2]."""
    points = np.linspace(1, 2, 2000)
    roots = 1.5 + 0.5 * np.cos((2 * np.arange(1, 22) - 1) * np.pi / 42)
    exact = [Fraction(root) for root in roots.tolist()]
    reached = max(abs(float(math.prod(1 - Fraction(z) / root for root in exact))) for z in points[::50].tolist())
    q = pr.ResidualPolynomial(roots)
    assert reached <= np.abs(q(points)).max() * (1 + 1e-10)
    found = q.diagnose(points)
    assert found.max_abs is not None
    assert found.best_bound is not None
    assert 1.6e-16 < found.best_bound <= found.max_abs < 1.7e-16


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 12), seed=st.integers(0, 2**32 - 1), prior=st.sampled_from([(), (2.0,), (1 + 1j, 1 - 1j)]))
def test_any_weights_prove_a_bound(count: int, seed: int, prior: tuple[complex, ...]) -> None:
    """The least weighted mean of |q|^2 from mpmath's least squares, with 60 digits."""
    rng = np.random.default_rng(seed)
    points = 2 + rng.standard_normal(20) + 1j * np.abs(rng.standard_normal(20)) * rng.integers(0, 2, 20)
    weights = rng.random(20) ** 4
    with mpmath.workdps(60):
        rows, right = [], []
        for z, w in zip(points.tolist(), weights.tolist(), strict=True):
            fixed = mpmath.sqrt(mpmath.mpf(w) / mpmath.fsum(weights.tolist()))
            for root in prior:
                fixed *= 1 - mpmath.mpmathify(z) / root
            powers = [fixed * mpmath.mpmathify(z) ** k for k in range(count + 1)]
            for part in (mpmath.re, mpmath.im):
                right.append(part(powers[0]))
                rows.append([part(power) for power in powers[1:]])
        A, b = mpmath.matrix(rows), mpmath.matrix(right)
        least = float(mpmath.norm(b - A * mpmath.lu_solve(A.T * A, A.T * b)))
    found = proven_lower_bound(points, weights, count, prior)
    assert found <= least * (1 + 1e-15)
    assert found == pytest.approx(least, rel=1e-8)


def test_what_has_no_proof_is_zero() -> None:
    """On fewer points than there are roots some q is zero, and infinite weights prove nothing."""
    points = np.array([1, 2, 3 + 0j])
    assert proven_lower_bound(points, np.ones(3), 3) == 0
    assert proven_lower_bound(points, np.array([1, np.inf, 1]), 1) == 0
    assert proven_lower_bound(points, np.zeros(3), 1) == 0
    assert 0 < proven_lower_bound(points, np.ones(3), 2) <= minimax(Target.of(points), 2).value


def test_little_proof_is_said() -> None:
    found = pr.ResidualPolynomial([1.5]).diagnose([1, 2])
    lines = replace(found, best=1e-30, best_bound=1e-33).sentences()
    assert "that none gets below 1.000e-33 is all that can be proven of so small a value in float64." in " ".join(lines)


def test_an_iteration_has_failed_above_the_bound_by_a_share_of_it() -> None:
    for bound in (1e-6, 1.0, 1e6):
        assert not has_failed(bound * (1 + 1e-6), bound)
        assert has_failed(bound * 1.01, bound)
    assert not has_failed(0.0, 0.0)
