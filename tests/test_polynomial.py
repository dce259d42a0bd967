from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import polyroots as pr
from polyroots.polynomials import coefficients
from polyroots.polynomials.blocks import ComplexPair, SymmetricPair, factors_from_roots
from polyroots.polynomials.coefficients import roots_of
from polyroots.polynomials.leja import extra_copies, log_distances


@st.composite
def root_sets(draw: st.DrawFn) -> list[complex]:
    """Draw up to eight roots closed under conjugation, in any order, with moduli from 0.2 to 3."""
    modulus = st.floats(0.2, 3)
    reals = draw(st.lists(st.builds(lambda m, s: m * s, modulus, st.sampled_from([-1, 1])), max_size=4))
    pairs = draw(st.lists(st.builds(lambda m, a: m * np.exp(1j * a), modulus, st.floats(0.1, 3)), max_size=2))
    roots = [*map(complex, reals), *pairs, *(z.conjugate() for z in pairs)]
    return draw(st.permutations(roots or [1 + 0j]))


POINTS = np.array([0, 0.3, -1.7, 2.2, 0.5 + 1j, -2 - 0.4j])


@settings(deadline=None)
@given(root_sets())
def test_q_is_the_product_over_its_roots(roots: list[complex]) -> None:
    q = pr.ResidualPolynomial(roots)
    expected = np.prod([1 - POINTS / root for root in roots], axis=0)
    scale = np.prod([1 + np.abs(POINTS / root) for root in roots], axis=0)
    assert (np.abs(q(POINTS) - expected) < 1e-13 * scale).all()
    assert q(0.0) == 1
    assert q.degree == len(roots) - 1
    for root in roots:
        at_root = np.prod([1 + abs(root / other) for other in roots])
        assert abs(q(root)) < 1e-13 * at_root


@settings(deadline=None)
@given(root_sets())
def test_p_and_alphas_satisfy_q_equals_one_minus_t_p(roots: list[complex]) -> None:
    q = pr.ResidualPolynomial(roots)
    scale = np.prod([1 + np.abs(POINTS / root) for root in roots], axis=0)
    assert (np.abs(1 - POINTS * q.p(POINTS) - q(POINTS)) < 1e-13 * scale).all()
    assert q.alphas.dtype == np.float64
    assert len(q.alphas) == len(roots)
    from_alphas = 1 - POINTS * np.polynomial.polynomial.polyval(POINTS, q.alphas)
    assert (np.abs(from_alphas - q(POINTS)) < 1e-13 * scale).all()
    assert q.p(0.0) == pytest.approx(sum(1 / root for root in roots).real, abs=1e-12 * sum(1 / abs(r) for r in roots))


@settings(deadline=None)
@given(root_sets())
def test_roots_come_back_with_conjugates_together(roots: list[complex]) -> None:
    ours = pr.ResidualPolynomial(roots).roots
    assert np.array_equal(np.sort_complex(ours), np.sort_complex(np.array(roots)))
    upper = np.flatnonzero(ours.imag > 0)
    assert np.array_equal(ours[upper + 1], ours[upper].conj())


def test_leja_order_takes_the_farthest_next() -> None:
    """The largest modulus is first, then products of distances decide: 3, -1, then 1 (2*2) before 2 (1*3)."""
    assert pr.ResidualPolynomial([1, 2, 3, -1]).roots.real.tolist() == [3, -1, 1, 2]


@settings(deadline=None)
@given(root_sets())
def test_leja_order_counts_both_roots_of_a_pair(roots: list[complex]) -> None:
    """No later root has a larger product of distances to all roots before than the next one."""
    ours = pr.ResidualPolynomial(roots).roots
    starts = [i for i, z in enumerate(ours) if z.imag >= 0]
    assert abs(ours[0]) >= max(abs(z) for z in ours) * (1 - 1e-12)
    for start in starts[1:]:
        products = {i: float(np.prod(np.abs(ours[i] - ours[:start]))) for i in starts if i >= start}
        assert products[start] >= max(products.values()) * (1 - 1e-9)


def test_leja_order_with_a_pair_by_hand() -> None:
    """3 is first; the pair is farthest from it, sqrt(20); then -1.1 with 4.1 * 4.01 before 0.9 with 2.1 * 7.61."""
    order = pr.ResidualPolynomial([0.9, 3, -1 - 2j, -1.1, -1 + 2j]).roots
    assert order.tolist() == [3, -1 + 2j, -1 - 2j, -1.1, 0.9]


def test_nearly_conjugate_is_not_conjugate() -> None:
    with pytest.raises(pr.InputError, match="without its conjugate"):
        pr.ResidualPolynomial([1 + 1j, 1 - 1j * (1 + 1e-9)])
    with pytest.raises(pr.InputError, match="closed under conjugation"):
        pr.ResidualPolynomial([1 + 1e-9j])


def test_pairs_may_come_in_either_order() -> None:
    assert factors_from_roots("S", [-2, 2]) == (SymmetricPair(2.0),)
    assert factors_from_roots("C", [1 - 3j, 1 + 3j]) == (ComplexPair(1.0, 3.0),)


def test_repeated_roots_are_allowed() -> None:
    q = pr.ResidualPolynomial([2, 2, 2])
    assert q.alphas == pytest.approx([3 / 2, -3 / 4, 1 / 8], abs=1e-15)


@settings(deadline=None)
@given(root_sets())
def test_q_is_zero_at_its_roots_to_the_last_bit(roots: list[complex]) -> None:
    """q is exactly zero also at complex arguments, for which numpy divides by a rounded reciprocal."""
    q = pr.ResidualPolynomial(roots)
    assert (q(q.roots) == 0).all()
    assert (q(q.roots.real[q.roots.imag == 0]) == 0).all()


def test_steep_polynomials_are_zero_at_their_roots() -> None:
    steep = np.array([1.44e-05, 2.74e-05, 1.75e-04, 3.65e-04, 7.20e-03, 7.23e-03, 2.77e-02, 4.32e-01, 1.287])
    found = pr.ResidualPolynomial(steep).diagnose(steep)
    assert (found.max_abs, found.damped) == (0, 1)


def test_conditions_of_roots_of_all_sizes() -> None:
    """For roots far apart, lambda_1 = 1 / alpha_0 and lambda_2 = -alpha_0 / alpha_1 to first order."""
    q = pr.ResidualPolynomial([1e-200, 1e200])
    assert dict(zip(q.roots.real, q.root_conditions, strict=True)) == pytest.approx({1e-200: 1, 1e200: 2})


def test_real_points_have_real_values() -> None:
    q = pr.ResidualPolynomial([1 + 1j, 1 - 1j])
    assert q(np.array([1.0, 2.0])).dtype == np.float64
    assert q(1.0) == 0.5  # 1 - (2 - 1) / 2


@pytest.mark.filterwarnings("ignore::polyroots.PrecisionWarning")
@settings(deadline=None)
@given(root_sets())
def test_alphas_give_roots_give_alphas(roots: list[complex]) -> None:
    """Coefficients agree to 1e-12 of the sum of their terms' moduli, roots to 1e-12 times their condition."""
    q = pr.ResidualPolynomial(roots)
    again = pr.ResidualPolynomial.from_alphas(q.alphas)
    moduli: NDArray[np.floating] = np.ones(1)
    for root in roots:
        moduli = np.convolve(moduli, [1, 1 / abs(root)])
    assert (np.abs(again.alphas - q.alphas) <= 1e-12 * moduli[1:]).all()
    for root, condition in zip(q.roots, q.root_conditions, strict=True):
        if condition < 1e9:
            assert np.abs(again.roots - root).min() <= 1e-12 * condition * abs(root)


@pytest.mark.parametrize("degree", [0, 1, 3, 5, 8])
def test_alphas_come_back_to_twelve_digits(degree: int) -> None:
    roots = np.random.default_rng(degree + 2).uniform(0.3, 3, degree + 1)
    alphas = pr.ResidualPolynomial(roots).alphas
    again = pr.ResidualPolynomial.from_alphas(alphas)
    np.testing.assert_allclose(again.alphas, alphas, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_roots_of_any_scale_come_back(scale: float) -> None:
    roots = scale * np.array([1, 3, 2 + 1j, 2 - 1j])
    again = pr.ResidualPolynomial.from_alphas(pr.ResidualPolynomial(roots).alphas)
    np.testing.assert_allclose(np.sort_complex(again.roots), np.sort_complex(roots), rtol=1e-12)


def test_conditions_of_neighbours_keep_their_digits() -> None:
    """Two roots differ in the last bit, so their difference in float64 has no digits; the reference uses fractions."""
    roots = [Fraction(1), 1 + Fraction(1, 2**52)]
    linear, quadratic = 1 / roots[0] + 1 / roots[1], 1 / (roots[0] * roots[1])
    q = pr.ResidualPolynomial([float(root) for root in roots])
    for root, other in (roots, roots[::-1]):
        expected = (linear * root + quadratic * root**2) / abs(1 - root / other)
        assert q.root_conditions[q.roots == float(root)] == pytest.approx(float(expected), rel=1e-12)


def test_real_parts_far_below_the_last_digit_keep_their_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real parts of 1e-29 of the modulus and less agree with a computation in 600 bits."""
    rng = np.random.default_rng(10)
    alphas = rng.standard_normal(int(rng.integers(2, 20))) * 10 ** rng.uniform(-30, 30, 15)
    roots = roots_of(alphas)
    monkeypatch.setattr(coefficients, "_BITS", 600)
    exact = roots_of(alphas)
    assert (np.abs(exact.real) < 1e-28 * np.abs(exact)).sum() == 6
    np.testing.assert_allclose(roots.real, exact.real, rtol=1e-6)
    np.testing.assert_allclose(roots.imag, exact.imag, rtol=1e-15)


def test_conditions_by_perturbation() -> None:
    """The condition is the largest relative change of a root over all signs of small changes of the coefficients."""
    q = pr.ResidualPolynomial([1, 1.3, 2 + 1j, 2 - 1j])
    step = 1e-7
    worst = np.zeros(4)
    for signs in np.ndindex(2, 2, 2, 2):
        other = pr.ResidualPolynomial.from_alphas(q.alphas * (1 + step * (2 * np.array(signs) - 1))).roots
        nearest = other[np.argmin(np.abs(other[:, None] - q.roots), axis=0)]
        worst = np.maximum(worst, np.abs(nearest - q.roots) / np.abs(q.roots) / step)
    # For real roots some signs attain the bound; for a pair they come near it.
    is_real = q.roots.imag == 0
    np.testing.assert_allclose(worst[is_real], q.root_conditions[is_real], rtol=1e-3)
    assert (worst[~is_real] <= q.root_conditions[~is_real] * 1.001).all()
    assert (worst[~is_real] >= q.root_conditions[~is_real] / 2).all()


def test_trained_blocks_have_roots() -> None:
    """A block R may have a conjugate pair, a block S an imaginary pair; zeros at the end lower the degree."""
    assert pr.ResidualPolynomial.from_alphas([2, -2]).roots.tolist() == [0.5 + 0.5j, 0.5 - 0.5j]
    assert set(pr.ResidualPolynomial.from_alphas([0, 0.25]).roots.tolist()) == {2, -2}
    assert pr.ResidualPolynomial.from_alphas([0, -0.25]).roots.tolist() == [2j, -2j]
    assert pr.ResidualPolynomial.from_alphas([0.5, 0, 0]).degree == 0
    with pytest.raises(pr.InputError, match="p = 0 changes nothing and q = 1 has no roots"):
        pr.ResidualPolynomial.from_alphas([0.0, 0.0])
    with pytest.raises(pr.InputError, match="must be finite"):
        pr.ResidualPolynomial.from_alphas([1.0, np.nan])


def test_coefficients_of_all_sizes_have_their_roots() -> None:
    """The roots range from 1e-101 to 1e38, or are 28 times the same one."""
    np.testing.assert_allclose(pr.ResidualPolynomial.from_alphas([1, 1e-38]).roots, [-1e38, 1], rtol=1e-14)
    np.testing.assert_allclose(pr.ResidualPolynomial.from_alphas([3e100, -2e100]).roots, [1.5, 1 / 3e100], rtol=1e-14)
    many: NDArray[np.floating] = np.ones(1)
    for _ in range(28):
        many = np.convolve(many, [1, -0.5])
    with pytest.warns(pr.PrecisionWarning):
        assert pr.ResidualPolynomial.from_alphas(-many[1:]).roots.tolist() == [2] * 28
    with pytest.raises(pr.InputError, match="a root of these coefficients alpha overflows or underflows"):
        pr.ResidualPolynomial.from_alphas([1e308, 1e-308])


def test_coefficients_of_a_network_are_read() -> None:
    network: Any = pr.models.build("q4", image_size=8, channels=[4])
    block = network.levels[0].blocks[0]
    assert pr.ResidualPolynomial.from_alphas(block.alphas).roots.tolist() == [1]
    with pytest.raises(pr.InputError, match="coefficients alpha of p: expected real numbers, got dtype complex128"):
        pr.ResidualPolynomial.from_alphas([1j])


def test_what_float64_does_not_carry_is_warned_of() -> None:
    """33 Chebyshev roots are not determined by monomial coefficients; the condition of a double root is infinite."""
    lam = 1.01 + 0.99 * np.cos((2 * np.arange(1, 34) - 1) * np.pi / 66)
    with pytest.warns(pr.PrecisionWarning, match="determine fewer than four of their digits"):
        pr.ResidualPolynomial.from_alphas(pr.ResidualPolynomial(lam).alphas)
    with pytest.warns(pr.PrecisionWarning, match="have the condition inf"):
        double = pr.ResidualPolynomial.from_alphas([1, -0.25])
    assert double.roots.tolist() == [2, 2]
    with pytest.warns(pr.PrecisionWarning):
        assert pr.ResidualPolynomial.from_alphas([1.5, -0.75, 0.125]).roots == pytest.approx([2, 2, 2], rel=1e-12)


def relative_error(factors_order: Any, lam: NDArray[Any]) -> float:
    """Return the error of p(A) f in float32 relative to float64, with A diagonal on [0.02, 2]."""
    t = np.linspace(0.02, 2, 2001)
    f = np.random.default_rng(101).standard_normal(2001)
    q = pr.ResidualPolynomial(lam)
    exact = q.p(t) * f
    q._factors = factors_order(q.factors)
    ours = q.smooth(lambda x: t.astype(np.float32) * x, f.astype(np.float32))
    assert ours.dtype == np.float32
    return float(np.linalg.norm(ours - exact) / np.linalg.norm(exact))


def test_degree_32_keeps_its_digits_in_float32() -> None:
    """Leja order keeps the digits, and in ascending order all are lost."""
    lam = 1.01 + 0.99 * np.cos((2 * np.arange(1, 34) - 1) * np.pi / 66)
    assert relative_error(lambda factors: factors, lam) < 1e-4
    assert relative_error(lambda factors: tuple(sorted(factors, key=lambda factor: factor.lam)), lam) > 1


def test_apply_smooths_with_anything_that_multiplies(rng: np.random.Generator) -> None:
    """Dense and sparse matrices, a scipy operator, a function and a convolution give the same step; f and u stay."""
    K = rng.standard_normal((3, 3, 3, 3)) / 4
    q = pr.ResidualPolynomial([1.2, 2, 1 + 0.5j, 1 - 0.5j])
    A = dense_operator(K, (5, 4), padding="zeros")
    f, u = rng.standard_normal((2, 60))
    p_of_A = sum(alpha * np.linalg.matrix_power(A, k) for k, alpha in enumerate(q.alphas))
    expected = u + p_of_A @ (f - A @ u)
    before = f.copy(), u.copy()
    for operator in (A, csr_array(A), aslinearoperator(A), lambda x: A @ x):
        np.testing.assert_allclose(q.smooth(operator, f, u), expected, atol=1e-12)
        np.testing.assert_allclose(q.smooth(operator, f), p_of_A @ f, atol=1e-12)
    assert np.array_equal(f, before[0])
    assert np.array_equal(u, before[1])
    conv = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False).double()
    conv.weight.data = torch.from_numpy(K)
    images = [torch.from_numpy(x).reshape(1, 3, 5, 4) for x in (f, u)]
    with torch.no_grad():
        np.testing.assert_allclose(q.smooth(conv, *images).numpy().ravel(), expected, atol=1e-12)
    # The residual is multiplied by q(A).
    residual = f - A @ q.smooth(A, f, u)
    np.testing.assert_allclose(residual, (np.eye(60) - A @ p_of_A) @ (f - A @ u), atol=1e-11)
    with pytest.raises(pr.InputError, match=r"expected an operator A to call or to multiply with \(A @ x\), got str"):
        q.smooth("A", f)


def test_apply_takes_d_applications_from_zero() -> None:
    calls = []

    def A(x: NDArray[Any]) -> NDArray[Any]:
        calls.append(1)
        return 2 * x

    q = pr.ResidualPolynomial([1.2, 2, 1 + 0.5j, 1 - 0.5j])
    q.smooth(A, np.ones(3))
    assert len(calls) == q.degree
    calls.clear()
    q.smooth(A, np.ones(3), np.ones(3))
    assert len(calls) == q.degree + 1


def test_repeated_points_come_last() -> None:
    assert pr.ResidualPolynomial([1, 3, 3, 2]).roots.real.tolist() == [3, 1, 2, 3]
    assert log_distances(np.array([1.0, 2.0]), np.array([2.0])).tolist() == [0, -np.inf]


def test_each_copy_makes_up_for_fourteen_orders_of_magnitude() -> None:
    """Above 10^4, in the rule of Embree, Loe and Morgan."""
    for prominence, copies in ((-3.0, 0), (4.0, 0), (4.1, 1), (18.0, 1), (18.1, 2), (32.0, 2), (math.nan, 0)):
        assert extra_copies(prominence) == copies


def test_prominent_roots_get_copies() -> None:
    """The product of the other factors at 100 is 10^13.5, so the rule adds one copy, for 9.5 orders above 10^4."""
    roots = np.array([0.1, 0.12, 0.14, 0.16, 0.18, 100])
    q = pr.ResidualPolynomial(roots)
    assert q.roots[0] == 100
    expected = np.log10(np.prod([abs(1 - 100 / root) for root in roots[:-1]]))
    assert q.prominence[0] == pytest.approx(expected)
    assert (q.prominence[1:] < 4).all()
    more = q.with_extra_copies()
    assert np.sort(more.roots.real).tolist() == [*roots, 100]
    assert pr.ResidualPolynomial([1, 2, 3]).with_extra_copies().degree == 2
    assert [extra_copies(score) for score in (3.9, 4, 4.1, 18, 18.1)] == [0, 0, 1, 1, 2]
    # 30 orders of magnitude: ceil((30 - 4) / 14) copies of each of a pair.
    far = pr.ResidualPolynomial([*np.linspace(0.9, 1.1, 10), 1000 + 1j, 1000 - 1j])
    copies = far.with_extra_copies().degree - far.degree
    assert copies == 2 * int(np.ceil((far.prominence.max() - 4) / 14))


@pytest.mark.parametrize(
    ("roots", "message"),
    [
        ([], "at least one root"),
        ([1, 0], "zero can't be a root"),
        ([1, np.nan], "must be finite"),
        ([1, 1 + 1j], r"1\+1j is without its conjugate"),
        ([1 + 1j, 1 - 1.1j], "closed under conjugation"),
        ([1 - 2j], r"1-2j is without its conjugate"),
    ],
)
def test_bad_roots_are_named(roots: list[complex], message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        pr.ResidualPolynomial(roots)


@settings(deadline=None)
@given(root_sets())
def test_q_of_zero_is_one(roots: list[complex]) -> None:
    """q(0) = 1 to the last bit for real arguments; numpy divides complex numbers by a rounded reciprocal."""
    q = pr.ResidualPolynomial(roots)
    assert (q(np.zeros(3)) == 1).all()
    assert (np.abs(q(np.zeros(3, dtype=complex)) - 1) <= 1e-15 * len(roots)).all()
