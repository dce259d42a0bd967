"""Tolerances just within and just beyond: relative to what they are, and how large."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from general import general
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

import polyroots as pr
from polyroots.polynomials.arnoldi import arnoldi
from polyroots.polynomials.blocks import ComplexPair, Linear, RealPair, factor_of_block, pair_conjugates
from polyroots.polynomials.coefficients import close_conjugates
from polyroots.polynomials.minimax import is_useless
from polyroots.polynomials.partial_products import _KnownFrequencies
from polyroots.polynomials.range_polygon import RangePolygon
from polyroots.polynomials.target import Target, merge
from polyroots.roots.fitting import RootRequest, completed, fit
from polyroots.roots.optimal import OptimisationProblem
from polyroots.roots.picking import _ends, _first_of_the_best
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.grid_transfer import orders
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.operator_spectrum import OperatorSpectrum, _of_blocks, _ritz_values
from polyroots.spectra.resolution import _has_neighbour, resolution_of
from polyroots.spectra.singular_values import largest_singular_values
from polyroots.spectra.symbol_search import _newton_step
from polyroots.spectra.zero_padding import _conditions, arnoldi_eigenvalues

EPS = float(np.finfo(float).eps)
BOTH_SIDES = [(0.85, True), (1.15, False)]


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.complex128, 1e-14), (np.complex64, 1e-6)])
def test_a_departure_from_normality_below_1e_7_is_none(
    dtype: Any, tolerance: float, share: float, is_within: bool
) -> None:
    """Of the identity with eigenvalues sqrt(1 - d) Henrici's departure is sqrt(d)."""
    operator = Convolution.of(np.ones((1, 1, 1, 1)), 8)
    values = np.full(64, math.sqrt(1 - share * tolerance), dtype=dtype)
    found = pr.departure_from_normality(pr.spectra.Spectrum(values, operator))
    assert found == (0 if is_within else pytest.approx(math.sqrt(share * tolerance), rel=0.05))


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_ritz_values_have_converged_with_a_residual_of_1e_8(share: float, is_within: bool) -> None:
    found = pr.operator_eigenvalues(np.diag(np.arange(1.0, 9)), steps=4)
    assert isinstance(found, OperatorSpectrum)
    assert replace(found, residuals=np.full(4, share * 1e-8)).converged.tolist() == [is_within] * 4


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_a_new_direction_of_1e_12_is_rounding(share: float, is_within: bool, rng: np.random.Generator) -> None:
    """A = 2 + d N maps the first vector v to 2 v + d N v, whose part beside v counts relative to 2."""
    first: list[NDArray[Any]] = []
    product = LinearOperator((5, 5), matvec=lambda x: first.append(x.ravel()) or 2 * x, dtype=np.float64)
    _ritz_values(product, "A", 3)
    v, w = first[0], rng.standard_normal(5)
    w = (w - v * (v @ w)) / np.linalg.norm(w - v * (v @ w))
    A = 2 * np.eye(5) + share * 2e-12 * np.outer(w, v)
    values, _ = _ritz_values(LinearOperator((5, 5), matvec=A.__matmul__, dtype=np.float64), "A", 3)
    assert (len(values) == 1) is is_within
    assert arnoldi(A.__matmul__, v, 1).is_invariant is is_within


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_products_are_hermitian_up_to_1e_12_of_the_norm_for_each_step(share: float, is_within: bool) -> None:
    """|V* A V - V* A* V| is 4 d for the skew part i d on four unknowns, which may be 4e-12 times the norm 8."""
    A = np.diag([1.0, 2.0, 4.0, 8.0]) + 1j * share * 8e-12 * np.eye(4)
    values, _ = _ritz_values(LinearOperator((4, 4), matvec=A.__matmul__, dtype=np.complex128), "A", 4)
    assert (values.imag == 0).all() == is_within


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_matrices_are_hermitian_up_to_eight_rounding_errors(share: float, is_within: bool) -> None:
    A = np.array([[1.0, share * 8 * EPS], [0.0, 1.0]])
    assert general(A).is_hermitian is is_within
    assert general(1e6 * A).is_hermitian is is_within
    values, _ = _of_blocks(np.diag([1.0, 2.0 + 1e-3j * share])[None], 1e-3)
    assert (values.imag == 0).all() == is_within


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_singular_values_up_to_eight_rounding_errors_of_the_largest_are_zero(share: float, is_within: bool) -> None:
    """The largest of all blocks counts, not the bound on the norm, which is twice as large for Hadamard's matrix."""
    turn = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2.0
    for basis in (np.eye(4), turn):
        A = basis @ np.diag([1.0, 1.0, 1.0, 0.0]) + share * 8 * EPS * np.outer(basis[:, 3], np.eye(4)[3])
        assert OperatorBlocks(general(A)).nullity == is_within


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_moments_of_1e_6_are_zero(share: float, is_within: bool) -> None:
    """Of [-1 - d, 2, -1 - d] the sum is -2 d, of moduli 4 (1 + d / 2)."""
    d = share * 2e-6
    stencil = np.array([-1 - d, 2, -1 - d]).reshape(1, 1, 1, 3)
    assert orders(Convolution.of(stencil, (1, 8))).tolist() == [[2 if is_within else 0]]


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_bare_eigenvalues_of_1e_13_are_zero(share: float, is_within: bool) -> None:
    target = Target.of([4.0, share * 4e-13])
    assert (target.null, len(target.points)) == ((1, 1) if is_within else (0, 2))
    near = Target.of([4.0, 4.0 + share * 4e-13])
    assert near.distinct == (1 if is_within else 2)
    assert Target.of([4.0 + share * 4e-13j, 4.0 - share * 4e-13j]).is_real.all() == is_within
    # An error includes its end.
    assert merge(np.array([3 + 0.25j, 9 + 0.25j]), np.array([0.25, 0.125]))[0].tolist() == [3, 9 + 0.25j]


def test_points_are_in_the_order_of_parts_rounded_to_1e_7() -> None:
    """Relative to a power of two near the radius, here 2: real parts of 2 and 2 + 0.8e-7 are one, others are not."""
    for step, is_one in ((0.4e-7, True), (0.9e-7, False)):
        points = np.array([2 + 2j, 2 + 2 * step + 1j])
        ordered, _, _ = merge(points, np.full(2, 1e-12))
        assert ordered.tolist() == (points[::-1] if is_one else points).tolist()


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_values_that_are_below_one_by_1e_12_are_not_damped(share: float, is_within: bool) -> None:
    found = pr.ResidualPolynomial([2.0]).diagnose([2.0, 2e-12 * share])
    assert found.damped == (0.5 if is_within else 1.0)


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_a_norm_twice_as_large_as_the_values_is_far_from_normal(share: float, is_within: bool) -> None:
    found = pr.ResidualPolynomial([1.5]).diagnose([1.0, 2.0])
    for largest, norm in ((0.5, 2.0), (1.5, 3.0)):
        words = " ".join(replace(found, max_abs=largest, norm=share * norm).sentences())
        assert ("A is far from normal" not in words) is is_within


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_scores_within_1e_9_are_ties(share: float, is_within: bool) -> None:
    """Relative to 1 or to the larger score; reaches of points relative to the radius, or to their errors."""
    points = np.array([1.0, 5.0])
    for score, margin in ((0.5, 1e-9), (0.0, 1e-9), (1.0, 1e-9), (-4.0, 4e-9), (8.0, 8e-9)):
        assert _first_of_the_best(np.array([score, score - share * margin]), points) == is_within
    target = Target.of([-2.0, 1.0, 4.0, 4.0 - share * 4e-9 + 1j, 4.0 - share * 4e-9 - 1j])
    low, high, top = _ends("any", replace(target, radius=4.0), 3)
    assert (low, top) == (-2, 4.0 - share * 4e-9 + 1j)
    assert high == (top if is_within else 4)
    wide = replace(target, errors=np.full(3, 1e-3), points=np.array([1, 4, 4 - share * 1e-3 + 1j]))
    assert _ends("any", wide, 3)[1] == (wide.points[2] if is_within else 4)


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_roots_are_paired_within_1e_12_of_their_modulus(share: float, is_within: bool) -> None:
    for scale in (1.0, 1e9):
        d = share * 1e-12
        reals = scale * np.array([complex(1, d), complex(1, -d)])
        kinds = [type(factor) for factor in (factor_of_block("C", reals.tolist()), *pair_conjugates(reals))]
        assert kinds == ([RealPair, Linear, Linear] if is_within else [ComplexPair] * 2)
        assert completed(reals[:1]) == ([scale] if is_within else reals.tolist())
        found = close_conjugates(reals, 1e-12)
        assert (found.imag == 0).all() == is_within
        pair = scale * np.array([complex(1, 1), complex(1, -1 - math.sqrt(2) * d)])
        assert len(completed(pair)) == (2 if is_within else 4)
        if is_within:
            assert len(pair_conjugates(pair)) == 1
            assert factor_of_block("C", pair.tolist()) == ComplexPair(scale, scale)
        else:
            with pytest.raises(pr.InputError):
                pair_conjugates(pair)
            with pytest.raises(pr.InputError):
                factor_of_block("C", pair.tolist())
        symmetric = [complex(scale), complex(-scale * (1 + share * 1e-7))]
        if is_within:
            assert fit(symmetric, ("S",)).blocks == ("S",)
            factor_of_block("S", [scale, -scale * (1 + d)])
        else:
            with pytest.raises(pr.InputError):
                fit(symmetric, ("S",))
            with pytest.raises(pr.InputError):
                factor_of_block("S", [scale, -scale * (1 + d)])


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_what_is_small_beside_an_optimum(share: float, is_within: bool) -> None:
    """1e-8 beside 0, roots next to eigenvalues by 1e-12, leading coordinates of 1e-6, and 1 up to 1e-9."""
    target = Target.of([1.0, 2.0, 4.0])
    problem = OptimisationProblem("minimax", RootRequest(2), target, target, 2)
    if is_within:
        assert problem.that_reach(0.0, lambda q: share * 1e-8, [1 + 0j, 2 + 0j]) == [1, 2]
    else:
        with pytest.raises(pr.InputError, match="'minimax'"):
            problem.that_reach(0.0, lambda q: share * 1e-8, [1 + 0j, 2 + 0j])
    assert problem.beside([4 + share * 4e-12 + 0j])[0] == (4 if is_within else 4 + share * 4e-12)
    krylov = arnoldi(lambda x: np.array([1.0, 2.0, 4.0]) * x, np.ones(3), 2)
    assert krylov.degree(np.array([0.6, 0.8, share * 1e-6])) == (1 if is_within else 2)
    assert is_useless(1 - share * 1e-9, 1 - share * 1e-9) is is_within
    assert is_useless(0.5, 0.5 - 0.5 / share) is is_within


# Checks of types at run time, which the quick tests are run with as well, put lines of their own in between.
@pytest.mark.slow
@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_coefficients_that_lose_all_but_four_digits_are_warned_of(
    share: float, is_within: bool, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    conditions = property(lambda self: np.array([1.0, share * 1e12]))
    monkeypatch.setattr(pr.ResidualPolynomial, "root_conditions", conditions)
    pr.ResidualPolynomial.from_alphas([1.0, -0.125])
    assert [warning.filename for warning in recwarn] == [__file__] * (not is_within)


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_singular_values_have_converged_with_a_residual_of_1e_8(
    share: float, is_within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vector at the angle t from that of 3, beside 3/2: |(A^T A - 9) v| is 27/4 sin(t), relative to 9."""
    operator = Convolution.of(np.diag([3.0, 1.5, 0.75]).reshape(3, 3, 1, 1), 1)
    t = share * 4e-8 / 3
    vectors = np.array([[math.sin(0.1), math.cos(t)], [math.cos(0.1), math.sin(t)], [0.0, 0.0]])
    squares = np.array([2.25, 9.0]) / 4
    monkeypatch.setattr(
        import_module("polyroots.spectra.singular_values"), "eigsh", lambda *args, **options: (squares, vectors)
    )
    found = largest_singular_values(operator, 2)
    assert found.values.tolist() == [3, 1.5]
    assert found.residuals.tolist() == pytest.approx([share * 1e-8, 0.75 * math.sin(0.1)], rel=1e-6)
    assert found.converged.tolist() == [is_within, False]
    # The first value is enough for the stable rank (4 + 1 + 1/4) / 4, whatever the scale.
    assert found.stable_rank == (pytest.approx(5.25 / 4) if is_within else pytest.approx(math.nan, nan_ok=True))


def ritz_pairs(monkeypatch: pytest.MonkeyPatch, *answers: tuple[Any, Any]) -> Any:
    """Return the eigenvalues of diag(3/2, 3/4) at two pixels from given values and vectors, right ones first."""
    left = [(np.array(values, dtype=complex), np.array(vectors, dtype=complex).T) for values, vectors in answers]
    monkeypatch.setattr(
        "polyroots.spectra.zero_padding.eigs", lambda *args, **options: left.pop(0) if len(left) > 1 else left[0]
    )
    return arnoldi_eigenvalues(
        Convolution.of(np.diag([1.5, 0.75]).reshape(2, 2, 1, 1), (1, 2), padding="zeros"), 2, "LM"
    )


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_eigenvalues_have_converged_with_small_residuals_and_errors(
    share: float, is_within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Residuals of 1e-9 of the norm and errors of 1e-6, the residual times the condition 1 / |y* x|."""
    t = share * 2e-9
    found = ritz_pairs(monkeypatch, ([1.5], [[math.cos(t), 0, math.sin(t), 0]]))
    assert found.residuals.tolist() == pytest.approx([share * 1e-9], rel=1e-6)
    assert found.converged.tolist() == [is_within]
    t, cosine = 1e-9, 0.5e-3 / share
    x, y = [math.cos(t), 0, math.sin(t), 0], [cosine, math.sqrt(1 - cosine**2), 0, 0]
    found = ritz_pairs(monkeypatch, ([1.5], [x]), ([1.5], [y]))
    assert found.conditions.tolist() == pytest.approx([1 / cosine], rel=1e-6)
    assert found.errors.tolist() == pytest.approx([share * 1.5e-6], rel=1e-6)
    assert found.converged.tolist() == [is_within]
    # A left eigenvalue at a distance of 1e-3 of the norm is the same, at a larger one another.
    found = ritz_pairs(monkeypatch, ([1.5], [x]), ([1.5 + share * 1.5e-3], [y]))
    assert np.isfinite(found.conditions).all() == is_within


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_eigenvalues_at_a_distance_of_1e_8_are_one(
    share: float, is_within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the conditions 1 / |y* x| = 1 / 0.8 and 1 / 0.6 with the same y the least counts for both."""
    right, left = [[1.0, 0, 0, 0], [0, 1, 0, 0]], [[0.8, 0.6, 0, 0]]
    found = ritz_pairs(monkeypatch, ([1.5, 1.5 * (1 + share * 1e-8)], right), ([1.5], left))
    assert found.conditions.tolist() == pytest.approx([1 / 0.8, 1 / 0.8 if is_within else 1 / 0.6], rel=1e-9)


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_null_vectors_of_a_cycle_are_those_of_rounding_errors(share: float, is_within: bool) -> None:
    """8 for each channel, relative to the norm, here of 3/2 diag(1, 1, s) at four frequencies."""
    kernel = 1.5 * np.diag([1.0, 1.0, share * 24 * EPS]).reshape(3, 3, 1, 1)
    found = pr.two_grid(kernel, "injection", np.ones((1, 1)), kernel, pr.ResidualPolynomial([2.0]), size=2)
    assert (found.null, found.singular) == ((4, 1) if is_within else (0, 0))
    # With the transfers divided by their largest entries, of norm 4 each, R A P is 4 A at the frequency 0.
    kernel = 1.5 * np.diag([1.0, share * 64 * EPS]).reshape(2, 2, 1, 1)
    for scale in (1.0, 1e9):
        found = pr.two_grid(
            scale * kernel, "full-weighting", "bilinear", "galerkin", pr.ResidualPolynomial([2 * scale]), size=2
        )
        assert (found.null, found.singular) == (0, is_within)


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_vectors_that_are_nearly_parallel_span_no_invariant_space(share: float, is_within: bool) -> None:
    """Three vectors, two of which have an angle whose half has the tangent 1e-4: the smallest singular value counts."""
    angle = 2 * math.atan(share * 1e-4)
    right = np.array([[1.0, 0, 0, 0], [math.cos(angle), math.sin(angle), 0, 0]]).T
    left = np.eye(4)[:, [1, 0]]
    local, original = _conditions(np.ones(2) + 0j, left, right, np.zeros(4), 0.1)
    assert (local.max() < 1.5, original.max() < 1.5) == (not is_within, not is_within)
    three = np.concatenate([right, np.eye(4)[:, 2:3]], axis=1)
    local, _ = _conditions(np.ones(3) + 0j, np.eye(4)[:, [1, 2, 0]], three, np.zeros(4), 0.1)
    assert (local.max() < 1.5) == (not is_within)


def test_bounds_and_resolutions_are_as_large_as_they_say() -> None:
    """8 rounding errors of the norm, 1e-7 for defective eigenvalues, and 1e-12 around the numerical range."""
    normal = np.diag([3.0, -1.0])
    for dtype, eps in ((np.float64, EPS), (np.complex128, EPS)):
        found = pr.operator_eigenvalues(normal.astype(dtype))
        assert found.resolution.tolist() == pytest.approx([24 * eps] * 2, rel=1e-12)
    jordan = pr.operator_eigenvalues(np.array([[3.0, 1.0], [0.0, 3.0]]))
    assert jordan.resolution.tolist() == pytest.approx([4e-7] * 2, rel=1e-12)
    ritz = pr.operator_eigenvalues(np.diag(np.arange(1.0, 7)), steps=3)
    assert ritz.resolution.tolist() == pytest.approx([8 * EPS * np.abs(ritz.values).max()] * 3, rel=1e-12)
    one = Convolution.of(np.full((1, 1, 1, 1), 3.0), 2)
    assert resolution_of(np.full(4, 3 + 0j), one, None).tolist() == pytest.approx([24 * EPS] * 4, rel=1e-12)
    errors = np.array([1e-10, 1.0, 0.0, np.nan])
    expected = [8e-10, 3e-7, 24 * EPS, 24 * EPS]
    assert resolution_of(np.full(4, 3 + 0j), one, errors).tolist() == pytest.approx(expected, rel=1e-12)
    # Of two channels too it is the condition, (1 + d^2) / (2 d) for [[3, 1], [d^2, 3]], times that of the norm 4.
    d = 1.5e-7
    near = pr.eigenvalues(np.array([[3.0, 1.0], [d**2, 3.0]]).reshape(2, 2, 1, 1), 2)
    np.testing.assert_allclose(near.resolution, 32 * EPS / (2 * d), rtol=0.3)
    blocks = OperatorBlocks(Convolution.of(np.full((1, 1, 1, 1), 1.5), (1, 1)))
    beyond = RangePolygon.of(blocks).support - 1.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    np.testing.assert_allclose(beyond, 1.5e-12, rtol=1e-3)


def test_neighbours_are_within_the_resolutions_that_are_given() -> None:
    for share, is_near in BOTH_SIDES:
        found = _has_neighbour(np.array([1.0, 1.0 + share * 1e-3, 5 + share * 1e-3j, 9 + 2j]), 1e-6, 1e-3)
        assert found.tolist() == [is_near] * 3 + [False]
    # Zero counts as a neighbour; the real axis doesn't at the distance of rounding errors.
    assert _has_neighbour(np.array([0.9e-3, 1.0, 2 + 0.5e-6j]), 1e-6, 1e-3).tolist() == [True, False, False]


def test_newtons_step_is_along_curvatures_above_rounding() -> None:
    """1e-13 of the largest height: with less, a direction is flat, and only a slope up to it has no step."""
    y, x = np.indices((3, 3)).reshape(2, -1) - 1.0
    for share, is_flat in BOTH_SIDES:
        k = share * 1e-13
        (step,) = _newton_step((1 - k * x**2 / 2 + k * x / 4).reshape(1, 9))
        np.testing.assert_allclose(step, [0, 0 if is_flat else 0.25], atol=0.02)
        (step,) = _newton_step((1 - 0.1 * y**2 + 0.05 * y + k * x).reshape(1, 9))
        np.testing.assert_allclose(step, [0.25 if is_flat else 0, 0], atol=0.02)


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_norms_exceed_a_bound_by_more_than_1e_10(share: float, is_within: bool) -> None:
    class Symbol:
        def above(self, *args: Any) -> list[tuple[float, int]]:
            return [(4.0 * (1 + share * 1e-10), 7), (4.0 * (1 + share * 1e-10), 9)]

    known = _KnownFrequencies(Symbol())  # type: ignore[arg-type]
    assert known._exceed([], 4.0, [1]) is not is_within
    assert known._positions.tolist() == ([] if is_within else [7, 9])
