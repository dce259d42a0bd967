from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyroots as pr
from polyroots.factors import ComplexPair, Linear, RealPair, SymmetricPair, factors_from_roots, parse_blocks


@st.composite
def root_sets(draw):
    """Up to eight roots closed under conjugation, in any order, with moduli from 0.2 to 3."""
    modulus = st.floats(0.2, 3)
    reals = draw(st.lists(st.builds(lambda m, s: m * s, modulus, st.sampled_from([-1, 1])), max_size=4))
    pairs = draw(st.lists(st.builds(lambda m, a: m * np.exp(1j * a), modulus, st.floats(0.1, 3)), max_size=2))
    roots = [*map(complex, reals), *pairs, *(z.conjugate() for z in pairs)]
    return draw(st.permutations(roots or [1 + 0j]))


POINTS = np.array([0, 0.3, -1.7, 2.2, 0.5 + 1j, -2 - 0.4j])


@settings(deadline=None)
@given(root_sets())
def test_q_is_the_product_over_its_roots(roots):
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
def test_p_and_alphas_satisfy_q_equals_one_minus_t_p(roots):
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
def test_roots_come_back_with_conjugates_together(roots):
    ours = pr.ResidualPolynomial(roots).roots
    assert np.array_equal(np.sort_complex(ours), np.sort_complex(roots))
    upper = np.flatnonzero(ours.imag > 0)
    assert np.array_equal(ours[upper + 1], ours[upper].conj())


def test_leja_order_takes_the_farthest_next():
    """Moduli decide the first root, then products of distances: 3, then -1, then 1 (2*2) before 2 (1*3)."""
    assert pr.ResidualPolynomial([1, 2, 3, -1]).roots.real.tolist() == [3, -1, 1, 2]


@settings(deadline=None)
@given(root_sets())
def test_leja_order_counts_both_roots_of_a_pair(roots):
    """Greedy by definition: no remaining root is farther, in the product of distances, than the one that comes next."""
    ours = pr.ResidualPolynomial(roots).roots
    starts = [i for i, z in enumerate(ours) if z.imag >= 0]
    assert abs(ours[0]) >= max(abs(z) for z in ours) * (1 - 1e-12)
    for start in starts[1:]:
        products = {i: float(np.prod(np.abs(ours[i] - ours[:start]))) for i in starts if i >= start}
        assert products[start] >= max(products.values()) * (1 - 1e-9)


def test_leja_order_with_a_pair_by_hand():
    """3 first; the pair is the farthest from it, sqrt(20); then -1.1 with 4.1 * 4.01 before 0.9 with 2.1 * 7.61."""
    order = pr.ResidualPolynomial([0.9, 3, -1 - 2j, -1.1, -1 + 2j]).roots
    assert order.tolist() == [3, -1 + 2j, -1 - 2j, -1.1, 0.9]


def test_nearly_conjugate_is_not_conjugate():
    with pytest.raises(pr.InputError, match="without its conjugate"):
        pr.ResidualPolynomial([1 + 1j, 1 - 1j * (1 + 1e-9)])
    with pytest.raises(pr.InputError, match="closed under conjugation"):
        pr.ResidualPolynomial([1 + 1e-9j])


def test_pairs_may_come_in_either_order():
    assert factors_from_roots("S", [-2, 2]) == (SymmetricPair(2.0),)
    assert factors_from_roots("C", [1 - 3j, 1 + 3j]) == (ComplexPair(1.0, 3.0),)


def test_repeated_roots_are_allowed():
    q = pr.ResidualPolynomial([2, 2, 2])
    assert q.alphas == pytest.approx([3 / 2, -3 / 4, 1 / 8], abs=1e-15)


def test_real_points_have_real_values():
    q = pr.ResidualPolynomial([1 + 1j, 1 - 1j])
    assert q(np.array([1.0, 2.0])).dtype == np.float64
    assert q(1.0) == 0.5  # 1 - (2 - 1) / 2


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
def test_bad_roots_are_named(roots, message):
    with pytest.raises(pr.InputError, match=message):
        pr.ResidualPolynomial(roots)


@pytest.mark.parametrize(
    ("factor", "coefficients"),
    [
        (Linear(4.0), (1 / 4,)),
        (RealPair(2.0, -5.0), (1 / 2 - 1 / 5, 1 / 10)),
        (SymmetricPair(2.0), (1 / 4,)),
        (ComplexPair(3.0, 4.0), (6 / 25, -1 / 25)),
    ],
)
def test_factors(factor, coefficients):
    """The coefficients by hand, and 1 - t p(t) equal to the product over the factor's roots."""
    assert factor.coefficients == pytest.approx(coefficients, abs=1e-16)
    t = POINTS
    p = sum(c * t**k for k, c in zip(factor.powers, factor.coefficients, strict=True))
    np.testing.assert_allclose(factor(t), 1 - t * p, atol=1e-14)
    np.testing.assert_allclose(factor(t), np.prod([1 - t / root for root in factor.roots], axis=0), atol=1e-14)
    (again,) = factors_from_roots(factor.letter, factor.roots)
    assert again == factor


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e200])
def test_factors_of_any_scale(scale):
    q = pr.ResidualPolynomial(scale * np.array([1 + 1j, 1 - 1j]))
    assert q(scale * np.array([0.0, 1, 2])).tolist() == pytest.approx([1, 0.5, 1], rel=1e-15)
    assert ComplexPair(scale, scale).coefficients == pytest.approx((1 / scale, -0.5 / scale / scale), rel=1e-15)


@settings(deadline=None)
@given(root_sets())
def test_q_of_zero_is_one(roots):
    """To the last bit for real arguments; numpy divides complex ones by way of a rounded reciprocal."""
    q = pr.ResidualPolynomial(roots)
    assert (q(np.zeros(3)) == 1).all()
    assert (np.abs(q(np.zeros(3, dtype=complex)) - 1) <= 1e-15 * len(roots)).all()


def test_a_sequence_takes_roots_in_its_order():
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
def test_roots_that_do_not_fit_a_block_are_named(blocks, roots, message):
    with pytest.raises(pr.InputError, match=message):
        factors_from_roots(blocks, roots)


def test_parse_blocks():
    assert parse_blocks("L, L,C") == ("L", "L", "C")
