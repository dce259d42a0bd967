"""Roots for the numerical range and the bound of Crouzeix and Palencia, against discs, intervals and dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from spectra import shifted

import polyroots as pr
from polyroots.polynomials import RangePolygon
from polyroots.polynomials.range_polygon import _POINTS
from polyroots.polynomials.target import Target
from polyroots.spectra import OperatorBlocks, eigenvalues_of

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)


def as_convolution(A: NDArray[Any]) -> pr.Convolution:
    return pr.Convolution.of(A.reshape(*A.shape, 1, 1), 1)


def certified(roots: NDArray[Any], Lambda: Any, region: str = "all") -> Any:
    q = pr.ResidualPolynomial(roots)
    return q.diagnose(Lambda, region=region, certificates=["numerical-range"]).certificates


@pytest.mark.parametrize("count", [1, 2, 4])
def test_on_a_disc_all_roots_are_its_centre(count: int) -> None:
    """W of a Jordan block of two rows is a disc of radius 1/2, on which no q is below (1 / 2 lambda)^n."""
    Lambda = eigenvalues_of(as_convolution(np.array([[2.0, 1.0], [0.0, 2.0]])))
    roots = pr.select_roots(Lambda, count - 1, "numerical-range")
    proven = certified(roots, Lambda)
    # The polygon has corners at radius 1 / cos(pi / 64), 1.2e-3 outside.
    assert 0.25**count <= proven.range_max <= 0.25**count * 1.0013**count * 1.001
    assert np.abs(roots - 2).max() < 0.3
    assert not proven.range_holds_zero


def test_of_a_symmetric_operator_it_is_an_interval() -> None:
    """W is the interval of the eigenvalues, here from the least one that isn't 0 to 8: roots of Chebyshev."""
    Lambda = pr.eigenvalues(LAPLACIAN, 8)
    low, high = np.sort(Lambda.values.real)[1], 8.0
    roots = pr.select_roots(Lambda, 2, "numerical-range")
    exact = (low + high) / 2 + (high - low) / 2 * np.cos((2 * np.arange(3) + 1) * np.pi / 6)
    np.testing.assert_allclose(np.sort(roots.real), np.sort(exact), rtol=5e-4)
    value = 1 / np.cosh(3 * np.arccosh((high + low) / (high - low)))
    proven = certified(roots, Lambda)
    assert value * (1 - 1e-12) <= proven.range_max <= value * 1.001


def test_a_slow_smoother_on_a_long_interval_is_one() -> None:
    """All of the interval counts, also where it is one edge of the polygon: the least max|q| is 0.963 at 64 x 64."""
    Lambda = pr.eigenvalues(LAPLACIAN, 64)
    low, high = np.sort(Lambda.values.real)[1], 8.0
    value = 1 / np.cosh(4 * np.arccosh((high + low) / (high - low)))
    roots = pr.select_roots(Lambda, 3, "numerical-range")
    assert value * (1 - 1e-12) <= certified(roots, Lambda).range_max <= value * 1.001


def test_the_polygon_touches_the_numerical_range() -> None:
    """Its support is that of the Hermitian part of the dense matrix, in every direction."""
    Lambda = shifted(5, channels=3, size=4)
    A = dense_operator(Lambda.weight, (4, 4))
    polygon = RangePolygon.of(Target.of(Lambda).blocks)
    scale = Target.of(Lambda).blocks.scale
    for angle, support in zip(2 * np.pi * np.arange(64) / 64, polygon.support, strict=True):
        rotated = np.exp(-1j * angle) * A
        assert scale * support == pytest.approx(np.linalg.eigvalsh((rotated + rotated.conj().T) / 2)[-1], abs=1e-10)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 4),
    size=st.integers(1, 5),
    count=st.integers(1, 5),
    padding=st.sampled_from(["circular", "zeros"]),
    centre=st.floats(-1, 3),
)
def test_the_bound_holds_for_every_polynomial(
    seed: int, channels: int, size: int, count: int, padding: str, centre: float
) -> None:
    rng = np.random.default_rng(seed)
    K = rng.standard_normal((channels, channels, 3, 3)) / 4
    K[range(channels), range(channels), 1, 1] += centre
    Lambda = pr.eigenvalues(K, size, padding=padding)
    A = dense_operator(K, (size, size), padding=padding)
    pairs = rng.standard_normal((count, 2)) @ np.array([1, 1j]) + 1
    roots = np.concatenate([pairs, pairs.conj()])
    proven = certified(roots, Lambda)
    q: NDArray[Any] = np.eye(len(A), dtype=complex)
    for root in roots:
        q = q @ (np.eye(len(A)) - A / root)
    assert np.linalg.norm(q, 2) <= proven.range_bound
    assert proven.norm == pytest.approx(np.linalg.norm(q, 2), rel=1e-9)
    # |q| at points of the range, x* A x, is below its maximum.
    x = rng.standard_normal((len(A), 200, 2)) @ np.array([1, 1j])
    x /= np.linalg.norm(x, axis=0)
    points = np.sum(x.conj() * (A @ x), axis=0)
    assert np.abs(pr.ResidualPolynomial(roots)(points)).max() <= proven.range_max
    assert np.abs(pr.ResidualPolynomial(roots)(Lambda.values)).max() <= proven.range_max * (1 + 1e-9)


def test_its_maximum_over_the_range_is_below_that_of_other_roots() -> None:
    Lambda = shifted(11, channels=4, size=6)
    best = certified(pr.select_roots(Lambda, 3, "numerical-range"), Lambda).range_max
    for strategy in ("minimax", "chebyshev", "leja", "harmonic-ritz", "ideal"):
        assert best <= certified(pr.select_roots(Lambda, 3, strategy), Lambda).range_max * 1.005


def test_the_high_frequencies_have_a_range_of_their_own() -> None:
    Lambda = pr.eigenvalues(LAPLACIAN, 16)
    roots = pr.select_roots(Lambda, 0, "numerical-range", region="high")
    # The high frequencies of the Laplacian are in [2, 8].
    assert roots == pytest.approx([5.0], rel=1e-6)
    proven = certified(roots, Lambda, "high")
    (root,) = roots.real
    assert proven.norm == pytest.approx(max(abs(1 - 2 / root), abs(1 - 8 / root)), rel=1e-12)
    assert proven.norm == pytest.approx(0.6, rel=1e-7)
    assert 0.6 <= proven.range_max <= 0.6 * 1.001
    assert "the norm of q(A) on the high frequencies is at most 1.4" in proven.sentences(1)[0]


def test_where_zero_is_in_the_range_it_is_useless_and_says_so() -> None:
    Lambda = eigenvalues_of(as_convolution(np.array([[1.0, 3.0], [0.0, 1.0]])))
    with pytest.raises(pr.InputError, match=r"0 lies in the numerical range of A, and q\(0\) = 1, so that max\|q\|"):
        pr.select_roots(Lambda, 3, "numerical-range")
    proven = certified(np.array([1.0]), Lambda)
    assert proven.range_holds_zero
    assert proven.sentences(1)[-1].startswith("0 lies in the numerical range, where q = 1: its bound is useless here")
    with pytest.raises(pr.InputError, match=r"'numerical-range' has no useful roots here: .* range of A\^2"):
        pr.select_roots(
            eigenvalues_of(as_convolution(np.array([[1.0, 3.0], [0.0, 1.2]]))), blocks="S", strategy="numerical-range"
        )


def test_a_range_of_one_point_has_one_root() -> None:
    Lambda = eigenvalues_of(as_convolution(3 * np.eye(2)))
    assert pr.select_roots(Lambda, 0, "numerical-range") == pytest.approx([3], rel=1e-9)
    with pytest.raises(
        pr.InputError, match="the numerical range of A is a point, and degree 1 has 2 roots; use degree 0"
    ):
        pr.select_roots(Lambda, 1, "numerical-range")


def test_large_zero_padded_operators_take_lanczos_method() -> None:
    """The 5-point Laplacian with 324 unknowns: its extreme eigenvalues are known."""
    blocks = OperatorBlocks(pr.Convolution.of(LAPLACIAN, 18, padding="zeros"), is_regular=True)
    support = RangePolygon.of(blocks).support * blocks.scale
    assert support[0] == pytest.approx(4 + 4 * np.cos(np.pi / 19), rel=1e-9)
    assert support[32] == pytest.approx(-4 + 4 * np.cos(np.pi / 19), rel=1e-7)


def test_a_polygon_around_the_unit_disc_has_chebyshev_points_on_each_edge() -> None:
    """The regular octagon; the points are numpy's zeros of Chebyshev's polynomial, moved to each edge."""
    polygon = RangePolygon(np.ones(8))
    corners = np.exp(1j * np.pi * (np.arange(8) + 0.5) / 4) / np.cos(np.pi / 8)
    np.testing.assert_allclose(polygon.corners, corners, rtol=1e-14)
    assert polygon.holds_zero
    each = 3 * _POINTS
    points = polygon.points(3)
    np.testing.assert_allclose(points[:5], corners[:5], rtol=1e-14)
    for edge, (first, last) in enumerate(zip(np.roll(corners, 1)[:5], corners, strict=False)):
        expected = (first + last) / 2 + (last - first) / 2 * np.polynomial.chebyshev.chebpts1(each)[::-1]
        np.testing.assert_allclose(points[5 + edge * each :][:each], expected, rtol=0, atol=1e-14)
    # |2 z| is largest in the corners.
    bound = polygon.bound(lambda z: z, 3, 2.0)
    assert 2 / np.cos(np.pi / 8) <= bound <= 2.001 / np.cos(np.pi / 8)
