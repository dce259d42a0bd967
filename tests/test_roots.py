from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import polyroots as pr
from polyroots.models import name_for_degree
from polyroots.polynomials.blocks import blocks_for_degree, degree_of
from polyroots.roots.picking import _leaves_fillable
from polyroots.spectra import Spectrum


@pytest.fixture
def Lambda(rng: np.random.Generator) -> Spectrum:
    return pr.eigenvalues(rng.standard_normal((6, 6, 3, 3)) / 7, 8)


def test_degree_three_is_the_papers_choice(Lambda: Spectrum) -> None:
    """The roots are the smallest and largest real part, and the conjugate pair with the largest imaginary part."""
    roots = pr.select_roots(Lambda, degree=3, strategy="extremal")
    top = Lambda.values[Lambda.values.imag.argmax()]
    assert roots.tolist() == [Lambda.values.real.min(), Lambda.values.real.max(), top, top.conjugate()]
    assert roots.dtype == np.complex128
    assert np.array_equal(pr.select_roots(Lambda), roots)  # the default


@settings(max_examples=40, deadline=None)
@given(degree=st.integers(0, 12), seed=st.integers(0, 2**32 - 1))
def test_degree_d_gives_d_plus_one_roots_of_a_polynomial(degree: int, seed: int) -> None:
    K = np.random.default_rng(seed).standard_normal((3, 3, 3, 3))
    spectrum = pr.eigenvalues(K, 6)
    roots = pr.select_roots(spectrum, degree=degree)
    assert roots.shape == (degree + 1,)
    assert np.array_equal(np.sort_complex(roots), np.sort_complex(roots.conj()))
    assert len(np.unique(roots)) == degree + 1
    q = pr.ResidualPolynomial(roots)
    assert q.degree == degree
    off_axis = roots[roots.imag > 0]
    assert np.isin(off_axis, spectrum.values).all()
    assert np.isin(roots[roots.imag == 0].real, spectrum.values.real).all()


def test_degrees_zero_to_two() -> None:
    values = np.array([-1, 3, 1 + 2j, 1 - 2j, 2 + 1j, 2 - 1j])
    assert pr.select_roots(values, degree=0).tolist() == [3]
    assert pr.select_roots(values, degree=1).tolist() == [-1, 3]
    assert pr.select_roots(values, degree=2).tolist() == [3, 1 + 2j, 1 - 2j]
    assert pr.select_roots(-values, degree=0).tolist() == [-3]


def test_a_real_spectrum_gets_real_roots() -> None:
    """The third root is the next Leja point after zero, 1 and 9: x (x - 1)(9 - x) on 1..9 is largest at 6."""
    roots = pr.select_roots(np.arange(1.0, 10), degree=3)
    assert roots[:3].tolist() == [1, 9, 6]
    assert (roots.imag == 0).all()


def test_zero_is_passed_over() -> None:
    """For the periodic Laplacian, with its eigenvalue zero, the smallest non-zero real part is chosen."""
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)
    roots = pr.select_roots(pr.eigenvalues(K, 8), degree=1)
    np.testing.assert_allclose(roots, [2 - 2 * np.cos(np.pi / 4), 8], atol=1e-13)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ("L,L,C", [-2, 3, 1 + 2j, 1 - 2j]),
        ("C,L,L", [1 + 2j, 1 - 2j, -2, 3]),
        ("R,C", [-2, 3, 1 + 2j, 1 - 2j]),
        ("S,S", [2, -2, 3, -3]),
        ("S,S,C", [2, -2, 3, -3, 1 + 2j, 1 - 2j]),
        ("L", [3]),
        # The other real parts are 1 and 2; |x (x + 2)(x - 3)| is 6 at 1 and 8 at 2.
        ("L,L,L", [-2, 3, 2]),
    ],
)
def test_roots_fit_a_block_sequence(blocks: str, expected: list[complex]) -> None:
    values = np.array([-2, 3, 1 + 2j, 1 - 2j, 2 + 1j, 2 - 1j])
    assert pr.select_roots(values, blocks=blocks).tolist() == expected


def test_further_symmetric_pairs_keep_away_from_zero(rng: np.random.Generator) -> None:
    """Leja order counts zero; otherwise a third pair would lie near zero, with a huge coefficient."""
    Lambda = pr.eigenvalues(rng.standard_normal((8, 8, 3, 3)) / 8, 8)
    moduli = np.abs(pr.select_roots(Lambda, blocks="S,S,S"))
    assert moduli.min() > 0.3 * Lambda.radius


def farthest(candidates: Any, known: Any) -> complex:
    """Return the next Leja point by its definition, from products of distances."""
    return max(candidates, key=lambda z: float(np.prod([abs(z - w) for w in known])))


def test_further_roots_are_lejas_with_respect_to_all_before_and_zero(rng: np.random.Generator) -> None:
    values = pr.eigenvalues(rng.standard_normal((4, 4, 3, 3)) / 6, (5, 4)).values
    upper = values[values.imag > 0]
    lo, hi = values.real.min(), values.real.max()
    top = values[values.imag.argmax()]

    known = [0, lo, hi, top, top.conjugate()]
    second = farthest(upper, known)
    known += [second, second.conjugate()]
    third = farthest(upper, known)
    expected = [lo, hi, top, top.conjugate(), second, second.conjugate(), third, third.conjugate()]
    assert pr.select_roots(values, blocks="L,L,C,C,C").tolist() == expected

    a, b = abs(lo), abs(hi)
    next_real = farthest(np.unique(np.abs(values.real)), [0, a, -a, b, -b])
    symmetric = [z for m in (a, b, next_real) for z in (m, -m)]
    assert pr.select_roots(values, blocks="S,S,S").tolist() == symmetric
    after = farthest(upper, [0, *symmetric, top, top.conjugate()])
    expected = [*symmetric, top, top.conjugate(), after, after.conjugate()]
    assert pr.select_roots(values, blocks="S,S,S,C,C").tolist() == expected
    with_reals = farthest(np.unique(np.abs(values.real)), [0, lo, hi, a, -a, b, -b])
    assert pr.select_roots(values, blocks="L,L,S,S,S").tolist()[-2:] == [with_reals, -with_reals]


def test_values_in_the_lower_half_plane_stand_for_their_conjugates() -> None:
    assert pr.select_roots([1 - 2j, 3, 4], degree=3).tolist() == [1, 4, 1 + 2j, 1 - 2j]


def test_what_counts_as_zero_as_equal_and_as_real() -> None:
    """The resolution of bare eigenvalues is 1e-13 of the spectral radius: their condition isn't known."""
    assert pr.select_roots([1e-14, 0.5, 1], degree=1).tolist() == [0.5, 1]
    assert pr.select_roots([1e-12, 0.5, 1], degree=1).tolist() == [1e-12, 1]
    with pytest.raises(pr.InputError, match="the spectrum has 2"):
        pr.select_roots([0.5, 1, 1 + 1e-14], degree=2)
    assert set(pr.select_roots([0.5, 1, 1 + 1e-12], blocks="L,L,L").tolist()) == {0.5, 1, 1 + 1e-12}
    with pytest.raises(pr.InputError, match="conjugate pairs off the real axis, the spectrum has 0"):
        pr.select_roots([1 + 1e-14j, 1 - 1e-14j, 2], blocks="C")
    assert pr.select_roots([1 + 1e-12j, 1 - 1e-12j, 2], blocks="C").tolist() == [1 + 1e-12j, 1 - 1e-12j]


def test_blocks_for_a_degree() -> None:
    assert [degree_of(blocks_for_degree(d)) for d in range(9)] == list(range(9))
    assert blocks_for_degree(3) == ("L", "L", "C")
    assert [name_for_degree(d) for d in (0, 1, 2, 3, 4)] == ["L", "q2", "L,C", "q4", "L,C,C"]


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1, 2], {"degree": -1}, "degree of at least 0, got -1"),
        ([1, 2], {"strategy": "extremel"}, "unknown strategy 'extremel': did you mean 'extremal'"),
        ([], {}, "finite eigenvalues"),
        ([1, np.inf], {}, "finite eigenvalues"),
        (
            [1, 2, 3],
            {"degree": 3},
            "degree 3 has 4 roots, but the spectrum has 3 distinct non-zero eigenvalues only; degree 2",
        ),
        ([1, 2, 1 + 1j], {"blocks": "L,L,L"}, "blocks L,L,L need 3 distinct non-zero real parts, the spectrum has 2"),
        ([0, 0], {"degree": 0}, "all eigenvalues are zero: q = 1 there whatever the roots"),
        ([1, 2], {"blocks": "C"}, "need 1 distinct conjugate pairs off the real axis, the spectrum has 0"),
        ([1, -1], {"blocks": "S,S"}, "need 2 real parts of distinct non-zero modulus, the spectrum has 1"),
        ([1, 2], {"degree": 3, "blocks": "L,L"}, "degree 3 does not fit the blocks L,L: they have 2 roots, which is"),
    ],
)
def test_what_cannot_be_chosen_is_said(values: list[complex], options: dict[str, Any], message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        pr.select_roots(values, **options)


def test_blocks_take_what_is_given() -> None:
    """R takes real roots and C a conjugate pair where there are both; S needs a symmetric pair."""

    def given(roots: Any, blocks: str) -> Any:
        return pr.select_roots([1, 2, 3, 1 + 1j, 1 - 1j], blocks=blocks, strategy="given", roots=roots).tolist()

    assert given([1 + 1j, 1, 2], "R,C") == [1, 2, 1 + 1j, 1 - 1j]
    assert given([1, 2, 1 + 1j], "C,R") == [1 + 1j, 1 - 1j, 1, 2]
    assert given([1, 2, 3, 2.5], "R,C") == [3, 2.5, 1, 2]
    assert given([1 + 1j, 2 + 1j], "R,C") == [2 + 1j, 2 - 1j, 1 + 1j, 1 - 1j]
    assert given([2, 1, -1], "S,L") == [1, -1, 2]
    with pytest.raises(pr.InputError, match="blocks S can't hold the chosen roots, 2 real roots"):
        given([1, -1.0005], "S")


def test_nearly_equal_real_parts_are_one() -> None:
    with pytest.raises(pr.InputError, match="need 3 distinct non-zero real parts, the spectrum has 2"):
        pr.select_roots([1, 1 + 1e-14 + 1j, 1 + 1e-14 - 1j, 3], blocks="L,L,L")


def test_one_pair_kept_is_that_of_the_larger_end() -> None:
    for end in (-3, 3):
        values = [end + 1j, end - 1j, -end / 3 + 2j, -end / 3 - 2j]
        assert pr.select_roots(values, 1, project=False).tolist() == [end + 1j, end - 1j]


@pytest.mark.parametrize(("reals", "pairs"), [(0, 2), (1, 2), (2, 1), (3, 0)])
def test_a_point_is_passed_over_if_the_others_cannot_make_up_the_number(reals: int, pairs: int) -> None:
    """The numbers of roots that the other points have together, by all their subsets."""
    points = np.array([1.0 + k for k in range(reals)] + [1j + k for k in range(pairs)], dtype=np.complex128)
    sizes = [1] * reals + [2] * pairs
    for left in range(1, sum(sizes) + 2):
        expected = []
        for index, size in enumerate(sizes):
            others = sizes[:index] + sizes[index + 1 :]
            sums = {sum(chosen) for n in range(len(others) + 1) for chosen in combinations(others, n)}
            expected.append(left - size in sums)
        assert _leaves_fillable(points, left).tolist() == expected
