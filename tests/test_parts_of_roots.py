"""Parts of the package roots on their own, each against a formula, a loop or a dense matrix."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import polyroots as pr
from polyroots.polynomials.target import Target
from polyroots.roots.chebyshev_ellipse import Ellipse, _rim
from polyroots.roots.fitting import RootRequest, completed, fit, natural
from polyroots.roots.from_operator import high_frequency_part
from polyroots.roots.optimal import OptimisationProblem
from polyroots.roots.picking import PickingRule, _candidates, _take, pick_kinds
from polyroots.roots.relaxation import _weight_of


def test_ellipses_grow_by_the_sum_of_their_axes() -> None:
    t = np.linspace(0, 2 * np.pi, 7)
    for a, b in ((3.0, 1.0), (1.0, 2.5), (2.0, 2.0)):
        ellipse = Ellipse(4.0, a**2 - b**2)
        on_it = 4 + a * np.cos(t) + 1j * b * np.sin(t)
        np.testing.assert_allclose(ellipse.growth(on_it), 2 * (a + b), rtol=1e-7)
        # (a + b) over the same sum for the confocal ellipse through 0.
        far = 4 + math.sqrt(16 - (a**2 - b**2))
        assert ellipse.factor(on_it) == pytest.approx((a + b) / far, rel=1e-7)
        for count in (1, 2, 5):
            exact = 4 + np.emath.sqrt(a**2 - b**2) * np.cos((np.arange(count) + 0.5) * np.pi / count)
            np.testing.assert_allclose(
                np.sort_complex(ellipse.roots(count)), np.sort_complex(exact.astype(complex)), atol=1e-12
            )


def test_the_rim_are_the_corners_of_the_hull() -> None:
    square = np.array([1, 3, 1 + 1j, 3 + 1j, 2 + 0.5j, 2 + 1j])
    assert sorted(_rim(square).tolist(), key=lambda z: (z.imag, z.real)) == [1 + 1j, 3 + 1j]
    triangle = np.array([1, 3, 2 + 1j, 2 + 0.5j, 2])
    assert sorted(_rim(triangle).tolist(), key=lambda z: z.real) == [1, 2 + 1j, 3]
    assert _rim(np.array([1, 2, 3 + 0j])).tolist() == [1, 2, 3]


def test_roots_have_their_natural_blocks() -> None:
    for reals, blocks in (([1], "L"), ([1, 2], "LL"), ([1, 2, 3], "LR"), ([1, 2, 3, 4], "LLR"), ([], "")):
        chosen = natural([*map(complex, reals), 5 + 1j, 5 - 1j])
        assert "".join(chosen.blocks) == blocks + "C"
        assert chosen.roots == [*reals, 5 + 1j, 5 - 1j]


def test_blocks_choose_by_the_strictness_of_their_demands() -> None:
    roots = [3 + 0j, -2 + 0j, 2 + 0j, -1 + 0j, 1 + 1j, 1 - 1j]
    assert fit(roots, ("L", "S", "L", "C")).roots == [3, 2, -2, -1, 1 + 1j, 1 - 1j]
    assert fit(roots, ("L", "S", "L", "C"), (False, False, True, False)).roots == [-1, 2, -2, 3, 1 + 1j, 1 - 1j]
    assert fit(roots, ("R", "C", "R")).roots == [3, -2, 1 + 1j, 1 - 1j, 2, -1]
    assert fit([2 + 0j, -2 - 1e-8 + 0j], ("S",)).roots == pytest.approx([2 + 0.5e-8, -2 - 0.5e-8], rel=1e-15)
    for given, blocks in ((roots, ("L", "C")), ([2 + 0j, -2.1 + 0j], ("S",)), ([1 + 0j], ("R",)), ([1 + 1j], ("L",))):
        with pytest.raises(pr.InputError, match="can't hold the chosen roots"):
            fit(given, blocks)


def test_signs_are_asked_for_where_blocks_need_them() -> None:
    request = RootRequest(4, ("L", "C", "L"), (True, False, True))
    assert request.has_signs([1, 1 + 1j, 1 - 1j, 2])
    assert not request.has_signs([1, 1 + 1j, 1 - 1j, -2])
    assert not request.has_signs([-1, 1 + 1j, 1 - 1j, 2])
    assert not request.has_signs([0, 1 + 1j, 1 - 1j, 2])
    assert RootRequest(4, ("L", "C", "L"), (False, False, False)).has_signs([-1, 1 + 1j, 1 - 1j, -2])
    assert RootRequest(4).has_signs([-1])


def test_missing_conjugates_are_added_once() -> None:
    assert completed([1 + 2j, 3]) == [1 + 2j, 1 - 2j, 3]
    assert completed([1 - 2j, 1 + 2j, 1 + 2j]) == [1 + 2j, 1 - 2j, 1 + 2j, 1 - 2j]
    assert completed([1 + 1e-13j]) == [1]
    assert completed([1 + 2j, 1 - 2.1j]) == [1 + 2j, 1 - 2j, 1 + 2.1j, 1 - 2.1j]


def test_a_weight_is_the_first_from_one_downwards_that_meets_the_bound() -> None:
    for threshold in (0.96, 0.5, 0.011):
        w = _weight_of(float(2 / threshold).__mul__, 2.0)
        assert threshold * (1 - 1e-4) <= w <= threshold
    # Between 0.7 and 0.8 the bound is met, and below 0.3: the larger ones are taken.
    w = _weight_of(lambda w: 1.0 if w < 0.3 or 0.7 < w < 0.8 else 9.0, 2.0)
    assert 0.8 * (1 - 1e-4) <= w <= 0.8
    # Sixteen weights for each factor of two are tried: 2^(-1/16) = 0.9576, but none between it and 2^(-2/16) = 0.9170.
    for low, high in ((0.955, 0.959), (0.92, 0.955), (0.9168, 0.9172)):
        met = partial(np.interp, xp=[0.1, 0.11, low, low, high, high], fp=[1.0, 9.0, 9.0, 1.0, 1.0, 9.0])
        assert (low < _weight_of(met, 2.0) < high) is (low != 0.92)
    w = _weight_of(lambda w: math.nan if w > 0.25 else 0.0, 2.0)
    assert 0.25 * (1 - 1e-4) <= w <= 0.25


def test_high_frequencies_are_those_of_the_discrete_fourier_transform(rng: np.random.Generator) -> None:
    operator = pr.Convolution.of(rng.standard_normal((2, 2, 3, 3)), (6, 5))
    b = rng.standard_normal(60)
    found = high_frequency_part(b, operator).reshape(2, 6, 5)
    fy, fx = (np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (6, 5))
    before, after = (np.einsum("kp,lq,cpq->ckl", fy, fx, x.reshape(2, 6, 5)) for x in (b, found))
    low = np.array([[min(k, 6 - k) * 4 < 6 and min(n, 5 - n) * 4 < 5 for n in range(5)] for k in range(6)])
    assert low.sum() == 9
    np.testing.assert_allclose(after[:, low], 0, atol=1e-12)
    np.testing.assert_allclose(after[:, ~low], before[:, ~low], atol=1e-12)


def test_fixed_roots_are_part_of_what_is_asked_for() -> None:
    """Messages count roots of q: those that are fixed too, and two for each square."""
    target = Target.of([1.0, 2.0, 3.0])
    request = RootRequest(5, ("L",) * 5)
    plain = OptimisationProblem("ideal", request, target, target, 4, prior=(1.5,))
    squares = replace(plain, power=2, prior=(1.5, 2.5))
    for problem, enough in ((plain, 3), (squares, 8)):
        problem.require_dimension(4)
        problem.require_dimension(5)
        with pytest.raises(
            pr.InputError, match=rf"has {enough} roots here, and 5 are asked for: .* degree {enough - 1} or"
        ):
            problem.require_dimension(2)
    without = replace(plain, request=RootRequest(5), prior=())
    plain.require_points(4)
    with pytest.raises(pr.InputError, match="blocks L,L,L,L,L have more roots than are needed"):
        plain.require_points(3)
    with pytest.raises(pr.InputError, match="degree 4 has 5 roots, but the spectrum has 3 distinct non-zero"):
        without.require_points(3)
    for problem, words in ((without, "that 4 roots can reach"), (replace(without, power=2), "that 8 roots can reach")):
        problem.require_useful(0.99, "mean")
        problem.require_useful(0.9999, "mean", bound=0.99985)
        with pytest.raises(pr.InputError, match=rf"least mean {words} is 0.9999 or more \(proven\), where q = 1"):
            problem.require_useful(1 - 1e-12, "mean", bound=0.99999)
        with pytest.raises(pr.InputError, match=words):
            problem.require_useful(1.0, "mean")
    with pytest.raises(pr.InputError, match="beside the 1 root that the blocks L,L,L,L,L fix, the least mean that 4"):
        plain.require_useful(1.0, "mean")


def test_roots_are_moved_onto_eigenvalues_next_to_them_only() -> None:
    target = Target.of([1.0, 2 + 1j, 2 - 1j])
    problem = OptimisationProblem("minimax", RootRequest(3), target, target, 3)
    near = [1 + 5e-13, (2 - 1j) * (1 + 5e-13), 2 + 1j + 1e-11]
    assert problem.beside(near) == [1, 2 - 1j, near[2]]
    q = pr.ResidualPolynomial([2.0])
    np.testing.assert_allclose(problem.sizes(q), [0.5, 0.5], rtol=1e-15)


def test_candidates_are_tried_until_one_reaches_the_optimum() -> None:
    target = Target.of([1.0, 2.0])
    problem = OptimisationProblem("minimax", RootRequest(2), target, target, 1, prior=(4.0,))

    def largest(q: Any) -> float:
        return float(np.abs(q(np.array([1.0, 2.0]))).max())

    # |1 - t / r| |1 - t / 4| at 1 and 2: 1.5 makes it 1/4 and 1/6.
    assert problem.that_reach(0.25, largest, [9 + 0j], [1.5 + 0j]) == [1.5]
    assert problem.that_reach(0.2486, largest, [1.5 + 0j]) == [1.5]
    with pytest.raises(pr.InputError, match=r"'minimax' can reach 0.247 here, but its roots .* only 0.25: some"):
        problem.that_reach(0.247, largest, [1.5 + 0j])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("real", [-2, 0, 1, 3]),
        ("positive", [1, 3]),
        ("symmetric", [0, 1, 2, 3]),
        ("pair", [3 + 2j, 1j]),
        ("any", [-2, 1, 3 + 2j, 1j, 2]),
    ],
)
def test_candidates_of_each_kind(kind: Any, expected: list[complex]) -> None:
    target = Target.of([-2.0, 1, 3 + 2j, 3 - 2j, 1j, -1j, 2])
    found, errors = _candidates(kind, target)
    wanted = [*expected, 2] if kind in ("real", "positive") else expected
    assert sorted(found.tolist(), key=lambda z: (z.real, z.imag)) == sorted(
        wanted, key=lambda z: (complex(z).real, complex(z).imag)
    )
    assert len(errors) == len(found)


def test_a_root_that_is_known_is_not_picked_again() -> None:
    target = Target.of([1.0, 2.0, 4.0, 8.0])
    rule = PickingRule(lambda candidates, before: candidates.real)
    assert _take("positive", target, 3, rule, [8.0, 2.0]) == ([4, 1], [])
    assert _take("real", target, 2, rule, [8.0]) == ([8, 4], [])
    assert _take("symmetric", target, 3, rule) == ([8, -8, 4, -4], [])
    assert _take("real", target, 0, rule) == ([], [])
    first = PickingRule(lambda candidates, before: candidates.real, lambda kind, target, count: (2.2, 1.9))
    assert _take("real", target, 3, first) == ([2, 1, 8], [])
    # The errors of both count: 2 and 2 + 1e-9 are one root.
    wide = replace(target, errors=np.array([0.0, 0.0, 1.5, 0.0]), points=np.array([1, 3, 4, 8]) + 0j)
    assert _take("real", wide, 4, rule) == ([8, 4, 1], [])


@pytest.mark.parametrize("strategy", ["ideal", "numerical-range", "minimax", "chebyshev"])
def test_squares_have_the_unit_of_the_operator_and_of_its_spectrum(strategy: str) -> None:
    """3 + 2 cos(theta) is between 1 and 5, so its square between 1 and 25: 1 - t^2 / 13 has the least maximum 12/13."""
    line = pr.eigenvalues(np.array([[1.0, 3.0, 1.0]]), (1, 8))
    for scale in (1.0, 3.0):
        Lambda = pr.eigenvalues(scale * line.weight, (1, 8))
        roots = pr.select_roots(Lambda, 1, strategy, "S")
        np.testing.assert_allclose(roots, scale * np.array([1, -1]) * math.sqrt(13), rtol=1e-6)


def test_krylov_spaces_of_squares_have_the_unit_of_the_operator() -> None:
    """The least |(1 - A^2 / m) b| is that of the projection, m = |A^2 b|^2 / b* A^2 b."""
    line = pr.Convolution.of(np.array([[1.0, 3.0, 1.0]]), (1, 8))
    A = np.array([[3 * (i == j) + ((i - j) % 8 in (1, 7)) for j in range(8)] for i in range(8)], dtype=float)
    b = np.random.default_rng(7).standard_normal(8)
    m = (A @ A @ b) @ (A @ A @ b) / (b @ A @ A @ b)
    roots = pr.select_roots(line, 1, "harmonic-ritz", "S")
    np.testing.assert_allclose(roots, [math.sqrt(m), -math.sqrt(m)], rtol=1e-9)


def test_a_lower_degree_is_advised_where_there_is_one() -> None:
    target = Target.of([1.0, 2 + 1j, 2 - 1j])
    rule = PickingRule(lambda candidates, before: candidates.real)
    for blocks, lower in (("CC", True), ("SSSS", True), ("LLLL", True)):
        with pytest.raises(pr.InputError, match=r"the spectrum has \d; choose other blocks") as error:
            pick_kinds(target, tuple(blocks), rule)
        assert str(error.value).endswith("or a lower degree") is lower
    for points, blocks in (([1.0, 2.0], "C"), ([1j, -1j], "L"), ([1j, -1j], "S")):
        with pytest.raises(pr.InputError, match=r"the spectrum has 0; choose other blocks$"):
            pick_kinds(Target.of(points), tuple(blocks), rule)


@pytest.mark.parametrize("strategy", ["ideal", "numerical-range", "harmonic-ritz", "minimax", "least-squares"])
def test_beside_fixed_roots_the_scale_does_not_matter(strategy: str) -> None:
    """Not even one that isn't a power of two, with which the units of the operator and of its spectrum change."""
    K = np.array([[0.4, 3.9, 0.4]])
    for blocks in ("S,C", "S,L"):
        plain, large = (
            pr.select_roots(pr.eigenvalues(scale * K, (1, 12)), None, strategy, blocks) for scale in (1, 48)
        )
        np.testing.assert_allclose(large, 48 * plain, rtol=1e-6)


def test_candidates_that_are_as_large_as_their_error_are_zero() -> None:
    target = replace(Target.of([0.25, 1.0, 2.0]), errors=np.array([0.25, 0.125, 0.125]))
    rule = PickingRule(lambda candidates, before: -candidates.real)
    roots, remarks = _take("real", target, 2, rule)
    assert roots == [1, 2]
    assert remarks == ["the candidate 0.2 was left out: relative to the spectrum it is zero"]
