"""Each strategy against its definition, and properties of all of them."""

from __future__ import annotations

import numpy as np
import pytest
from dense import dense_operator
from hypothesis import example, given, settings, strategies as st
from spectra import max_abs, shifted

import polyroots as pr
from polyroots.roots.from_operator import high_frequency_part
from polyroots.roots.select import choose_roots, options_of
from polyroots.roots.strategies import STRATEGIES
from polyroots.spectra.convolution import Convolution

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)
VALUES = np.array([0.5, 1, 3, 2 + 1j, 2 - 1j, 2.5 + 2j, 2.5 - 2j])


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([name for name in STRATEGIES if name != "given"]), st.integers(0, 2**32 - 1), st.integers(0, 6))
@example(strategy="largest", seed=46216, degree=0)  # a spectrum of conjugate pairs alone
def test_every_strategy_gives_d_plus_one_roots_of_a_real_polynomial(strategy: str, seed: int, degree: int) -> None:
    if strategy == "complex":
        degree = 2 * (degree // 2) + 1
    Lambda = shifted(seed)
    if strategy in ("largest", "smallest", "leja", "random") and degree % 2 == 0 and Lambda.values.imag.all():
        with pytest.raises(pr.InputError, match="conjugate pairs only"):
            choose_roots(Lambda, degree, strategy)
        return
    choice = choose_roots(Lambda, degree, strategy)
    assert choice.roots.shape == (degree + 1,)
    assert np.array_equal(np.sort_complex(choice.roots), np.sort_complex(choice.roots.conj()))
    assert np.abs(choice.roots).min() > 1e-7 * Lambda.radius
    q = pr.ResidualPolynomial(choice.roots)
    assert q.degree == degree
    # The blocks can hold the roots; R and C hold any even number of them.
    start = 0
    for letter in choice.blocks:
        part = choice.roots[start : start + (1 if letter == "L" else 2)]
        assert (part.imag == 0).all() if letter in "LR" else part[0] == part[1].conj()
        start += len(part)
    assert start == degree + 1


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ("given", "complex")])
@pytest.mark.parametrize("blocks", ["L,L,C", "S,S", "S,S,C", "L,R,C", "C,C", "S,L"])
def test_roots_fit_block_sequences(strategy: str, blocks: str) -> None:
    """By every strategy the blocks get roots that they can hold, or an error gives the reason."""
    from polyroots.polynomials.blocks import factors_from_roots

    Lambda = shifted(11, channels=6, size=8)
    try:
        roots = pr.select_roots(Lambda, blocks=blocks, strategy=strategy)
    except pr.InputError as error:
        assert strategy in ("minimax", "least-squares", "harmonic-ritz", "ideal", "numerical-range")
        assert "no useful roots" in str(error)  # noqa: PT017
        return
    factors = factors_from_roots(blocks, roots.tolist())
    assert len(factors) == len(blocks.split(","))


def test_largest_smallest_and_leja_are_what_they_say() -> None:
    assert pr.select_roots(VALUES, 2, "largest").tolist() == [3, 2.5 + 2j, 2.5 - 2j]
    assert pr.select_roots(VALUES, 1, "largest").tolist() == [2.5 + 2j, 2.5 - 2j]
    assert pr.select_roots(VALUES, 2, "smallest").tolist() == [0.5, 1, 3]
    assert pr.select_roots(VALUES, 3, "smallest").tolist() == [0.5, 1, 2 + 1j, 2 - 1j]
    # The largest modulus is first; then |z^2 - 5 z + 10.25| is 8 at 0.5, 6.25 at 1 and 4.25 at 3.
    assert pr.select_roots(VALUES, 2, "leja").tolist() == [0.5, 2.5 + 2j, 2.5 - 2j]
    # Times |z - 0.5| it is 3.1 at 1 and 10.6 at 3.
    assert set(pr.select_roots(VALUES, 3, "leja").tolist()) == {0.5, 3, 2.5 + 2j, 2.5 - 2j}


def test_leja_puts_the_next_root_where_q_is_largest() -> None:
    values = shifted(3).values
    four = pr.select_roots(values, 3, "leja")
    six = pr.select_roots(values, 5, "leja")
    fresh = [root for root in six if root not in four]
    assert len(fresh) == 2
    assert np.abs(pr.ResidualPolynomial(four)(fresh[0])) == pytest.approx(max_abs(four, values))


def test_ties_don_t_depend_on_rounding() -> None:
    """Of mirrored points, which are equally far, the one of larger modulus is chosen, for any order and rounding."""
    values = np.array([1, 9, 5, 3, 7.0])
    expected = pr.select_roots(values, 3, "leja").tolist()
    assert expected[:4] == [9, 1, 5, 7]
    for seed in range(3, 9):
        rng = np.random.default_rng(seed)
        noisy = rng.permutation(values) * (1 + 1e-14 * rng.standard_normal(5))
        np.testing.assert_allclose(pr.select_roots(noisy, 3, "leja"), expected, rtol=1e-12)
        drawn = pr.select_roots(noisy, 2, "random", seed=4)
        np.testing.assert_allclose(drawn, pr.select_roots(values, 2, "random", seed=4), rtol=1e-12)


def test_the_largest_imaginary_part_is_one_of_largest_modulus() -> None:
    """1 + 2i and 3 + 2i have the same imaginary part to rounding; 3 + 2i is chosen."""
    for noise in (1e-12, -1e-12):
        assert pr.select_roots([1 + 2j + noise * 1j, 1 - 2j - noise * 1j, 3 + 2j, 3 - 2j], 1, "complex")[0] == 3 + 2j


def test_parity_is_met_by_looking_ahead() -> None:
    """With one real eigenvalue three roots are a pair and this one, and four are two pairs, for any order."""
    values = np.array([5, 1 + 1j, 1 - 1j, 2 + 1j, 2 - 1j])
    for strategy in ("largest", "smallest", "leja", "random"):
        assert (pr.select_roots(values, 3, strategy).imag != 0).all()
        assert (pr.select_roots(values, 2, strategy) == 5).sum() == 1
    with pytest.raises(pr.InputError, match="conjugate pairs only, none of its eigenvalues is real: an even number"):
        pr.select_roots([1 + 1j, 1 - 1j, 2 + 1j, 2 - 1j], 2, "largest")
    two_pairs = [1 + 1j, 1 - 1j, 2 + 3j, 2 - 3j]
    with pytest.raises(
        pr.InputError, match="of which the spectrum has 2, and degree 4 has 5 roots; use degree 3 at most"
    ):
        pr.select_roots(two_pairs, 4, "complex")
    with pytest.raises(pr.InputError, match="odd number, and 'complex' chooses conjugate pairs; degree 1 or 3 fits"):
        pr.select_roots(values, 2, "complex")


def test_real_and_complex_choose_one_kind() -> None:
    Lambda = shifted(17)
    real = pr.select_roots(Lambda, 3, "real")
    assert (real.imag == 0).all()
    assert {Lambda.min_real, Lambda.max_real} <= set(real.real.tolist())
    pairs = pr.select_roots(Lambda, 3, "complex")
    assert (pairs.imag != 0).all()
    assert pairs[0] == Lambda.values[Lambda.values.imag.argmax()]
    fitted = pr.select_roots(Lambda, blocks="L,L,C", strategy="real")
    assert (fitted.imag == 0).all()
    with pytest.raises(
        pr.InputError, match="the blocks L,L,C can't hold the chosen roots, 2 conjugate pairs; leave the blocks out"
    ):
        pr.select_roots(Lambda, blocks="L,L,C", strategy="complex")


def test_extremal_keeps_pairs_on_request() -> None:
    Lambda = shifted(19)
    roots = pr.select_roots(Lambda, 3, "extremal", project=False)
    low = Lambda.values[Lambda.values.real.argmin()]
    high = Lambda.values[Lambda.values.real.argmax()]
    assert low in roots
    assert high in roots
    assert np.isin(roots, Lambda.values).all()
    assert not np.isin(pr.select_roots(Lambda, 3), Lambda.values).all()
    assert pr.select_roots([1 + 1j, 1 - 1j, 3, 2 + 2j, 2 - 2j], 2, project=False).tolist() == [3, 1 + 1j, 1 - 1j]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_chebyshev_on_an_interval(count: int) -> None:
    roots = pr.select_roots(np.linspace(0.5, 2, 7), count - 1, "chebyshev")
    expected = 1.25 + 0.75 * np.cos((2 * np.arange(1, count + 1) - 1) * np.pi / (2 * count))
    np.testing.assert_allclose(np.sort(roots.real), np.sort(expected), rtol=1e-14)
    assert (roots.imag == 0).all()


@pytest.mark.parametrize(("a", "b"), [(0.8, 0.3), (0.3, 0.8), (0.5, 0.5)])
def test_chebyshev_on_an_ellipse(a: float, b: float) -> None:
    """From points on an ellipse with semi-axes a and b around 2, its foci and its convergence factor are found."""
    angles = 2 * np.pi * np.arange(400) / 400
    points = 2 + a * np.cos(angles) + 1j * b * np.sin(angles)
    roots = pr.select_roots(points, 3, "chebyshev")
    offsets = np.sqrt(complex(a * a - b * b)) * np.cos((2 * np.arange(1, 5) - 1) * np.pi / 8)
    # Near a circle the foci depend sensitively on the ellipse.
    np.testing.assert_allclose(np.sort_complex(roots - 2), np.sort_complex(offsets), atol=2e-3)
    growth = (a + b) / (2 + np.sqrt(complex(4 - (a * a - b * b)))).real
    assert max_abs(roots, points) < 2.2 * growth**4


def test_least_squares_is_the_least_mean_square() -> None:
    """The minimum agrees with that of the normal equations, and nearby polynomials have a larger mean."""
    Lambda = shifted(23)
    roots = pr.select_roots(Lambda, 2, "least-squares")
    powers = np.stack([Lambda.values ** (k + 1) for k in range(3)], axis=-1)
    stacked = np.concatenate([powers.real, powers.imag])
    right = np.concatenate([np.ones(len(Lambda)), np.zeros(len(Lambda))])
    alphas = np.linalg.lstsq(stacked, right, rcond=None)[0]
    np.testing.assert_allclose(pr.ResidualPolynomial(roots).alphas, alphas, rtol=1e-8)


def test_least_squares_counts_multiplicity() -> None:
    """For one root on 1, 1, 1 and 3 the sum of (1 - t/lam)^2 is least at 1/lam = sum t / sum t^2 = 6/12."""
    assert pr.select_roots([1, 1, 1, 3], 0, "least-squares") == pytest.approx([2], rel=1e-12)
    assert pr.select_roots([1, 3], 0, "least-squares") == pytest.approx([10 / 4], rel=1e-12)


def test_minimax_beats_every_other_strategy() -> None:
    Lambda = shifted(29)
    best = max_abs(pr.select_roots(Lambda, 3, "minimax"), Lambda.values)
    for strategy in STRATEGIES:
        if strategy not in ("minimax", "given"):
            assert max_abs(pr.select_roots(Lambda, 3, strategy), Lambda.values) >= best * (1 - 1e-7)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_harmonic_ritz_is_gmres_on_the_operator(padding: str) -> None:
    """Its residual is the least one in the Krylov space of the dense matrix with the same start."""
    Lambda = shifted(31, padding=padding)
    A = dense_operator(Lambda.weight, Lambda.size, padding=padding)
    b = np.random.default_rng(5).standard_normal(len(A))
    roots = pr.select_roots(Lambda, 3, "harmonic-ritz", seed=5)
    r = b.astype(complex)
    for root in roots:
        r = r - A @ r / root
    K = np.stack([np.linalg.matrix_power(A, k) @ b for k in range(1, 5)], axis=-1)
    least = np.linalg.norm(b - K @ np.linalg.lstsq(K, b, rcond=None)[0])
    assert np.linalg.norm(r) == pytest.approx(least, rel=1e-8)


def test_harmonic_ritz_leaves_low_frequencies_and_the_null_space_out() -> None:
    Lambda = pr.eigenvalues(LAPLACIAN, 16)
    roots = pr.select_roots(Lambda, 3, "harmonic-ritz", region="high")
    assert (roots.real > 2).all()
    assert (roots.real < 8).all()
    assert max_abs(roots, Lambda.values[Lambda.is_high_frequency]) < 0.1
    everything = pr.select_roots(Lambda, 3, "harmonic-ritz")
    assert everything.real.min() > 0.05
    with pytest.raises(pr.InputError, match="'harmonic-ritz' needs the operator, eigenvalues alone don't determine it"):
        pr.select_roots(Lambda.values, 3, "harmonic-ritz")


def test_a_quarter_of_the_grid_is_a_high_frequency() -> None:
    """numpy's fftfreq rounds 49 of 196 to less than 1/4."""
    wave = np.cos(np.pi / 2 * np.arange(196))
    kept = high_frequency_part(wave, Convolution.of(LAPLACIAN, (1, 196)))
    assert kept == pytest.approx(wave, abs=1e-12)


def test_harmonic_ritz_needs_no_eigenvalues() -> None:
    """For a zero-padded operator too large for eigenvalues, roots and norm come from products with it."""
    K = shifted(31, channels=3).weight
    small = Convolution.of(K, 8, padding="zeros")
    known = pr.eigenvalues(K, 8, padding="zeros")
    expected = pr.select_roots(known, 3, "harmonic-ritz", seed=5)
    assert np.array_equal(pr.select_roots(small, 3, "harmonic-ritz", seed=5), expected)
    q = pr.ResidualPolynomial(expected)
    found = q.diagnose(small)
    assert found.norm == pytest.approx(q.diagnose(known).norm, rel=1e-9)
    assert (found.max_abs, found.damped, found.best, found.holds_zero) == (None, None, None, None)
    assert found.sentences() == [
        f"The 192 eigenvalues were not computed; one step multiplies a residual by {found.norm:.4g} at most."
    ]
    message = "'minimax' needs all eigenvalues, and a zero-padded operator with 192 unknowns has too many"
    with pytest.raises(pr.InputError, match=message):
        pr.select_roots(small, 3, "minimax")
    with pytest.raises(pr.InputError, match="the choice for blocks S needs all eigenvalues"):
        pr.select_roots(small, blocks="S,C", strategy="harmonic-ritz")
    assert pr.select_roots(small, blocks="C,C", strategy="harmonic-ritz").shape == (4,)
    with pytest.raises(pr.InputError, match="frequencies need eigenvalues, which were not computed"):
        pr.select_roots(small, 3, "harmonic-ritz", region="high")


def test_random_is_seeded() -> None:
    Lambda = shifted(37)
    assert np.array_equal(pr.select_roots(Lambda, 3, "random", seed=3), pr.select_roots(Lambda, 3, "random", seed=3))
    drawn = {tuple(pr.select_roots(Lambda, 3, "random", seed=seed)) for seed in range(2, 12)}
    assert len(drawn) == 10
    for strategy in ("random", "harmonic-ritz"):
        np.testing.assert_array_equal(
            pr.select_roots(Lambda, 3, strategy), pr.select_roots(Lambda, 3, strategy, seed=7)
        )
    assert all(np.isin(roots, Lambda.values).all() for roots in drawn)


def test_roots_by_hand_are_completed() -> None:
    assert pr.select_roots(VALUES, strategy="given", roots=[0.3, 0.1 + 0.2j]).tolist() == [0.3, 0.1 + 0.2j, 0.1 - 0.2j]
    both = pr.select_roots(VALUES, strategy="given", roots=[0.1 - 0.2j, 0.1 + 0.2j])
    assert both.tolist() == [0.1 + 0.2j, 0.1 - 0.2j]
    assert pr.select_roots(VALUES, strategy="given", roots=[2, 2, 2]).tolist() == [2, 2, 2]
    assert pr.select_roots(VALUES, strategy="given", roots=[1j, 1j]).tolist() == [1j, -1j, 1j, -1j]
    fitted = pr.select_roots(VALUES, blocks="C,L", strategy="given", roots=[0.3, 0.1 + 0.2j])
    assert fitted.tolist() == [0.1 + 0.2j, 0.1 - 0.2j, 0.3]
    for roots, message in (
        ([], "'given' needs finite roots"),
        ([np.nan], "'given' needs finite roots"),
        ([1e-14], "can't be a root: relative to the spectral radius 3.2 it is zero"),
    ):
        with pytest.raises(pr.InputError, match=message):
            pr.select_roots(VALUES, strategy="given", roots=roots)
    with pytest.raises(
        pr.InputError, match=r"given for degree 2 .3 roots with conjugates., and degree 3 was asked for, which has 4"
    ):
        pr.select_roots(VALUES, 3, "given", roots=[0.3, 0.1 + 0.2j])


def test_blocks_s_alone_work_on_the_square() -> None:
    """On [-b, -a] with [a, b] two symmetric pairs are the Chebyshev roots for the squares."""
    t = np.concatenate([np.linspace(1, 3, 101), -np.linspace(1, 3, 101)])
    roots = pr.select_roots(t, blocks="S,S", strategy="chebyshev")
    squares = 5 + 4 * np.cos(np.array([1, 3]) * np.pi / 4)
    np.testing.assert_allclose(np.sort(np.unique(np.abs(roots.real)) ** 2), np.sort(squares), rtol=1e-12)
    assert np.array_equal(np.sort(roots.real), np.sort(-roots.real))
    for strategy in ("minimax", "least-squares"):
        assert max_abs(pr.select_roots(t, blocks="S,S", strategy=strategy), t) < 0.6


def test_blocks_beside_fixed_ones_are_the_optimum() -> None:
    """S has the extreme real part, and a scan over all pairs finds none better than that of C."""
    Lambda = shifted(41)
    roots = pr.select_roots(Lambda, blocks="S,C", strategy="minimax")
    low = abs(Lambda.min_real)
    assert roots[:2].tolist() == [low, -low]
    reached = max_abs(roots, Lambda.values)
    for scale in (0.97, 1.03):
        for turn in (np.exp(0.03j), np.exp(-0.03j)):
            other = roots[2] * scale * turn
            assert max_abs([*roots[:2], other, other.conjugate()], Lambda.values) > reached


def test_high_frequencies_alone() -> None:
    Lambda = shifted(43)
    for strategy in ("extremal", "largest", "leja", "smallest", "random"):
        roots = pr.select_roots(Lambda, 3, strategy, region="high")
        assert np.isin(roots[roots.imag > 0], Lambda.values[Lambda.is_high_frequency]).all()
    with pytest.raises(pr.InputError, match="eigenvalues with zero padding have no frequency"):
        pr.select_roots(shifted(43, padding="zeros"), 1, region="high")
    with pytest.raises(pr.InputError, match="bare eigenvalues have no frequency"):
        pr.select_roots(Lambda.values, 1, region="high")
    with pytest.raises(pr.InputError, match="unknown region 'hihg': did you mean 'high'"):
        pr.select_roots(Lambda, 1, region="hihg")


def test_a_fresh_operator_has_no_useful_optimum(rng: np.random.Generator) -> None:
    """For a disc around 0 the least max |q| is 1, and the error has the value that is proven."""
    Lambda = pr.eigenvalues(rng.standard_normal((24, 24, 3, 3)) / 15, 16)
    for region in ("all", "high"):
        with pytest.raises(pr.InputError) as caught:
            pr.select_roots(Lambda, 3, "minimax", region=region)
        message = str(caught.value)
        assert (
            "'minimax' has no useful roots here: the least max|q| that 4 roots can reach is 0.9999 or more" in message
        )
        assert "an A shifted so that all eigenvalues are on one side of 0" in message
        assert "another strategy such as 'extremal'" in message
        assert ("the high frequencies alone" in message) == (region == "all")
    with pytest.raises(pr.InputError, match="not on one side of 0, and so Chebyshev polynomials don't damp"):
        pr.select_roots(Lambda, 3, "chebyshev")


def test_far_roots_are_no_reason_to_refuse() -> None:
    """With a point near 0 and one far away, roots outside the interval between them are accepted if they damp."""
    t = np.concatenate([np.linspace(0.9, 1.1, 50), [30 + 20j, 30 - 20j]])
    roots = pr.select_roots(t, 2, "minimax")
    assert np.abs(roots).max() > 20
    assert max_abs(roots, t) < 0.5


@pytest.mark.parametrize("strategy", ["least-squares", "minimax"])
def test_symmetric_spectra_have_no_odd_number_of_roots(strategy: str) -> None:
    t = np.concatenate([np.linspace(1, 3, 50), -np.linspace(1, 3, 50)])
    with pytest.raises(
        pr.InputError,
        match=r"with 3 roots has 2 only: its leading coefficient is zero.*symmetric to 0; degree 1 has these 2",
    ):
        pr.select_roots(t, 2, strategy)


def test_a_singular_hessenberg_matrix_is_said() -> None:
    """For a skew operator, with eigenvalues i sin theta, GMRES makes no progress at odd steps."""
    K = np.array([[0, 0, 0], [-1, 0, 1], [0, 0, 0.0]]).reshape(1, 1, 3, 3)
    with pytest.raises(
        pr.InputError, match="Hessenberg matrix of Arnoldi's method is singular, its leading coefficient is zero"
    ):
        pr.select_roots(pr.eigenvalues(K, 12), 2, "harmonic-ritz")


def test_options_belong_to_strategies() -> None:
    assert options_of("extremal") == ("project",)
    with pytest.raises(pr.InputError, match="the strategy 'leja' has no option 'seed'; it has none"):
        pr.select_roots(VALUES, 1, "leja", seed=3)
    with pytest.raises(pr.InputError, match="the strategy 'random' has no option 'roots'; its options are seed"):
        pr.select_roots(VALUES, 1, "random", roots=[1])
    for strategy in STRATEGIES.values():
        assert strategy.__doc__ is not None
        assert "References" in strategy.__doc__ or strategy.__name__ in ("random", "given")


def test_the_order_of_real_roots_starts_with_the_farthest() -> None:
    """Blocks L,L get the ends of the spectrum, in Leja order."""
    roots = pr.select_roots(np.linspace(0.5, 2, 60), 3, "minimax").real
    assert roots[0] == roots.max()
    assert roots[1] == roots.min()
