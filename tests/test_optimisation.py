"""The strategies that optimise: optimal roots in float64 that fit the blocks, or the reason why there are none."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from dense import dense_operator
from numpy.typing import NDArray
from scipy.optimize import differential_evolution
from spectra import max_abs, shifted

import polyroots as pr
from polyroots.polynomials.target import Target
from polyroots.roots.chebyshev_ellipse import best_ellipse
from polyroots.roots.fitting import RootRequest
from polyroots.roots.optimal import OptimisationProblem, optimise_roots
from polyroots.roots.select import choose_roots

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)


@pytest.mark.parametrize(
    ("values", "degree", "optimum"),
    [
        (np.logspace(-6, 0, 8), 6, 0.722846),
        (np.r_[np.linspace(0.01, 0.02, 50), 1], 7, 8.506e-6),
        (np.r_[np.linspace(0.01, 0.02, 50), 1], 10, 4.295e-8),
        (np.logspace(-3, 0, 60), 27, 0.142362),
        (np.logspace(-6, 0, 60), 30, 0.953804),
    ],
)
def test_steep_polynomials_keep_what_the_optimum_reaches(values: NDArray[Any], degree: int, optimum: float) -> None:
    """The last digit of the outermost root matters: in the first case it changes q by 374 at the eigenvalue 1."""
    assert max_abs(pr.select_roots(values, degree, "minimax"), values) == pytest.approx(optimum, rel=2e-3)


def test_least_squares_of_steep_polynomials() -> None:
    values = np.array([1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 0.5, 1])
    q = pr.ResidualPolynomial(pr.select_roots(values, 7, "least-squares"))
    assert np.sqrt((np.abs(q(values)) ** 2).mean()) < 0.0079


def test_what_float64_roots_cannot_reach_is_refused() -> None:
    """Roots in float64 whose max |q| isn't that of the optimum are an error."""
    target = Target.of([1, 2, 3])
    problem = OptimisationProblem("mine", RootRequest(2), target, target, 2)
    with pytest.raises(pr.InputError, match=r"'mine' can reach 0.1 here, but its roots in float64 only 0.5: some are"):
        problem.that_reach(0.1, lambda q: float(problem.sizes(q).max()), [1.5 + 0j, 6 + 0j], [4 + 0j, 3 + 0j])
    assert problem.that_reach(0.5, lambda q: float(problem.sizes(q).max()), [9 + 0j, 9 + 0j], [1 + 0j, 3 + 0j]) == [
        1,
        3,
    ]


def test_what_is_below_rounding_is_refused_with_a_degree_that_is_enough() -> None:
    for values in (1 + 1e-6 * np.arange(9), np.r_[0.76545 + 1e-6 * np.arange(15), 1.4487]):
        for strategy in ("minimax", "least-squares"):
            with pytest.raises(pr.InputError, match="so small that rounding hides its roots") as caught:
                pr.select_roots(values, 7, strategy)
            degree = int(re.search(r"degree (\d+) is enough", str(caught.value)).group(1))
            assert max_abs(pr.select_roots(values, degree, strategy), values) < 1e-7


def test_roots_below_rounding_are_lost() -> None:
    clusters = np.r_[1 + 1e-3 * np.linspace(-1, 1, 30), 3 + 1e-3 * np.linspace(-1, 1, 30)]
    with pytest.raises(
        pr.InputError, match=r"so small that rounding hides its roots; degree . is enough to get below 1e-08"
    ):
        pr.select_roots(clusters, 11, "minimax")


@pytest.mark.parametrize("strategy", ["least-squares", "minimax"])
def test_every_symmetry_is_said_with_the_degree_that_fits(strategy: str) -> None:
    """For three directions the best polynomials with four and five roots are that with three."""
    w = np.exp(2j * np.pi * np.arange(3) / 3)
    values = np.r_[w, 2 * w]
    for degree in (3, 4):
        with pytest.raises(pr.InputError, match=f"with {degree + 1} roots has 3 only.*degree 2 has these 3"):
            pr.select_roots(values, degree, strategy)
    assert max_abs(pr.select_roots(values, 2, strategy), values) < 0.9


@pytest.mark.parametrize(
    ("values", "blocks"), [([1, 2], "S,S,S"), ([-1, 1], "S,S"), ([1, 2, 3], "S,L,L,L"), ([2], "L,S"), ([1, 2], "L,L,L")]
)
@pytest.mark.parametrize("strategy", ["minimax", "least-squares"])
def test_blocks_with_too_many_roots_are_said(values: list[int], blocks: str, strategy: str) -> None:
    with pytest.raises(pr.InputError, match=f"blocks {blocks} have more roots than are needed"):
        pr.select_roots(values, blocks=blocks, strategy=strategy)


def test_as_many_symmetric_pairs_as_squares_are_the_eigenvalues() -> None:
    assert pr.select_roots([1, 2], blocks="S,S", strategy="minimax").tolist() == [2, -2, 1, -1]
    found = pr.select_roots([1, 2, 3], blocks="S,C", strategy="minimax")
    assert max_abs(found, np.array([1, 2, 3])) == 0


def test_what_fixed_roots_spoil_is_not_said_of_the_degree() -> None:
    values = [1, 2, 3, 4 + 1j, 4 - 1j, 2 + 2j, 2 - 2j, 3 + 2j, 3 - 2j]
    with pytest.raises(
        pr.InputError, match=r"beside the 2 roots that the blocks L,L,S fix, the least max.q. that 2 roots"
    ):
        pr.select_roots(values, blocks="L,L,S", strategy="minimax")


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e200])
@pytest.mark.parametrize(
    "strategy", ["minimax", "least-squares", "chebyshev", "leja", "extremal", "largest", "smallest"]
)
@pytest.mark.parametrize("blocks", [None, "S,S"])
def test_the_scale_does_not_matter(scale: float, strategy: str, blocks: str | None) -> None:
    values = np.random.default_rng(3).uniform(1, 3, 40)
    ours = pr.select_roots(scale * values, 3, strategy, blocks)
    expected = pr.select_roots(values, 3, strategy, blocks)
    np.testing.assert_allclose(np.sort(ours / scale), np.sort(expected), rtol=1e-6)


@pytest.mark.parametrize("blocks", ["C,C", "S", "S,S", "S,S,S", "S,C"])
def test_harmonic_ritz_by_any_scale_of_the_operator(blocks: str) -> None:
    """The roots scale with A, although operator and spectrum are normalised by different powers of two."""
    Lambda = shifted(31)
    larger = pr.eigenvalues(37 * Lambda.weight, Lambda.size)
    expected = pr.select_roots(Lambda, blocks=blocks, strategy="harmonic-ritz")
    np.testing.assert_allclose(
        pr.select_roots(larger, blocks=blocks, strategy="harmonic-ritz"), 37 * expected, rtol=1e-7
    )


@pytest.mark.parametrize("others", [2, 3])
def test_several_symmetric_pairs_beside_the_last(others: int) -> None:
    """For complex squares the last S is optimal beside the others, which have roots at the rim; a scan agrees."""
    Lambda = shifted(47)
    choice = choose_roots(Lambda, None, "least-squares", ["S"] * (others + 1))
    assert choice.remarks == ("blocks S but the last have the roots of 'extremal'; 'least-squares' chose the others",)
    ends = pr.select_roots(Lambda, blocks=["S"] * others)
    assert np.array_equal(choice.roots[: 2 * others], ends)

    def rms(modulus: float) -> float:
        return np.sqrt((np.abs(pr.ResidualPolynomial([*ends, modulus, -modulus])(Lambda.values)) ** 2).mean())

    last = choice.roots[2 * others].real
    assert rms(last) <= min(rms(last * scale) for scale in (0.98, 0.995, 1.005, 1.02))


def test_squares_count_with_their_multiplicity() -> None:
    """For one S over 1, 1, 1 and 3, with the squares 1, 1, 1 and 9, the best 1/s is 12/84."""
    roots = pr.select_roots([1, 1, 1, 3], blocks="S", strategy="least-squares")
    assert roots == pytest.approx([np.sqrt(7), -np.sqrt(7)], rel=1e-12)


def ellipse_factor(points: NDArray[Any], centre: float, focus_squared: float) -> float:
    """Return the asymptotic convergence factor from the map of ellipses to circles."""
    focus = np.sqrt(complex(focus_squared))

    def joukowski(z: NDArray[Any]) -> NDArray[Any]:
        w = (z - centre) / focus
        return np.maximum(*(np.abs(w + sign * np.sqrt(w**2 - 1)) for sign in (1, -1)))

    return (joukowski(points) / joukowski(np.zeros(1)))[...].max()


@pytest.mark.parametrize("seed", range(11, 16))
def test_no_other_ellipse_is_better(seed: int) -> None:
    """No ellipse on a fine grid of centres and foci has a smaller asymptotic factor."""
    rng = np.random.default_rng(seed)
    points = 3 + rng.uniform(-1, 1, 12) + 1j * rng.uniform(0, 2, 12)
    ours = best_ellipse(points)
    reached = ellipse_factor(points, ours.centre, ours.focus_squared)
    assert ours.factor(points) == pytest.approx(reached, rel=1e-9)
    others = [ellipse_factor(points, c, f) for c in np.linspace(2, 4.5, 41) for f in np.linspace(-4.03, 1.5, 57)]
    assert reached <= min(others) * (1 + 1e-6)


@pytest.mark.parametrize("seed", [11, 47])
def test_the_best_ellipse_beside_zero_is_found(seed: int) -> None:
    """Points near 0 and near the imaginary axis, where a kink stops a single simplex search 1e-4 above the minimum.

    The minimum comes from grids of centres and foci, each finer one around the best of the one before.
    """
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 60))
    points = 10 ** rng.uniform(-3, 0, count) * np.exp(1j * rng.uniform(0, 1.5, count))
    ours = best_ellipse(points)
    reached = ellipse_factor(points, ours.centre, ours.focus_squared)
    centre, focus_squared, width = 0.5, 0.01, np.array([0.4, 1.0])
    best = 1.0
    grid = np.linspace(-1, 1, 15)
    for _ in range(10):
        found = min(
            (ellipse_factor(points, c, f), c, f)
            for c in centre + width[0] * grid
            for f in focus_squared + width[1] * grid
        )
        best, (_, centre, focus_squared), width = min(best, found[0]), found, width / 3
    assert best < 1
    assert reached <= best + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("points", [[1 + 1j, 2 + 0.5j, 3], [1 + 2j, 1.2 + 0.1j, 5 + 1j], [-0.1 + 3j, -4 + 3j, -2]])
def test_the_best_ellipse_does_not_depend_on_the_scale(points: list[complex]) -> None:
    """A search that begins at a circle stays there at some scales; the minimum is a differential evolution's."""
    z = np.array(points)
    side = np.sign(z.real[0])
    bounds = [(0.1, 8), (-400, 100)]
    least = differential_evolution(
        lambda x: ellipse_factor(z, side * x[0], x[1]), bounds, seed=1, tol=1e-10, popsize=40, maxiter=500
    )
    for scale in (1, 3, 7.7, 1e-5, 1e-150, 1e150):
        ours = best_ellipse(z * scale)
        assert ours.centre / scale == pytest.approx(side * least.x[0], rel=1e-4)
        reached = ellipse_factor(z, ours.centre / scale, ours.focus_squared / scale**2)
        assert reached <= least.fun * (1 + 1e-9)


def test_chebyshev_of_scaled_spectra_has_scaled_roots() -> None:
    """17 roots for an ellipse with the factor 0.66869117, on whose rim all three points are."""
    z = np.array([1 - 1j, 2 - 0.5j, 3])
    plain = pr.select_roots(z, 16, "chebyshev")
    for scale in (7.7, 1e120):
        scaled = pr.select_roots(z * scale, 16, "chebyshev")
        np.testing.assert_allclose(scaled / scale, plain, rtol=1e-6)
        assert max_abs(scaled, z * scale) == pytest.approx(0.66869117**17, rel=1e-6)


def test_points_inside_of_the_hull_do_not_change_the_ellipse() -> None:
    rng = np.random.default_rng(53)
    rim = 4 + 2 * np.exp(1j * np.linspace(0, np.pi, 40))
    inside = 4 + 1.9 * rng.uniform(0, 1, 500) * np.exp(1j * rng.uniform(0, np.pi, 500))
    some, all_points = best_ellipse(rim), best_ellipse(np.concatenate([rim, inside]))
    assert some.factor(rim) == pytest.approx(0.5, rel=1e-3)  # r / c of the circle
    assert all_points.factor(rim) == pytest.approx(some.factor(rim), rel=1e-9)


def test_the_null_space_is_left_out_of_the_start() -> None:
    """Only two of three hundred channels are not zero: a start in the range lies in them, others hardly do."""
    K = np.zeros((300, 300, 1, 1))
    K[0, 0], K[1, 1] = 2, 2.2
    (root,) = pr.select_roots(pr.eigenvalues(K, 1), 0, "harmonic-ritz")
    assert 2 < root.real < 2.2


def test_an_optimum_at_zero_is_refused() -> None:
    """A root of an optimiser that is zero relative to the spectrum is an error."""
    with pytest.raises(pr.InputError, match="'mine' has a root at 2e-13, which is zero relative to the spectrum"):
        optimise_roots(Target.of([1, 2, 3]), RootRequest(1), lambda problem: [2e-13], "mine")
    assert optimise_roots(Target.of([1, 2, 3]), RootRequest(1), lambda problem: [4e-13], "mine").roots == [4e-13]


def test_zero_on_the_edge_is_in_the_hull() -> None:
    """An imaginary spectrum has zero in its hull, also with rounding errors in its real parts."""
    for values in ([0.0, 1, 2, 1j, -1j], np.exp(0.5j * np.pi) * np.linspace(1, 2, 5)):
        assert pr.ResidualPolynomial([1]).diagnose(values).holds_zero


@pytest.mark.usefixtures("types_unchecked")
def test_what_is_no_number_is_said() -> None:
    for options, message in (
        ({"degree": 2.5}, "degree: expected a whole number, got 2.5"),
        ({"degree": "3"}, "degree: expected a whole number, got '3'"),
        ({"blocks": 5}, "expected a block sequence such as L,L,C, got 5"),
        ({"strategy": "random", "seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"strategy": "given", "roots": "ab"}, "expected roots as real or complex numbers, got 'ab'"),
    ):
        with pytest.raises(pr.InputError, match=message):
            pr.select_roots([1, 2, 3, 4], **options)
    with pytest.raises(pr.InputError, match="expected a Spectrum or eigenvalues, got str"):
        pr.select_roots("ab")


def test_given_conjugates_need_not_be_exact() -> None:
    ours = pr.select_roots([1, 2], strategy="given", roots=[1 + 1j, 1 - 1.0000000000001j])
    assert ours.tolist() == [1 + 1j, 1 - 1j]
    assert pr.select_roots([1, 2], strategy="given", roots=[1 + 1e-17j]).tolist() == [1]


@pytest.mark.parametrize("degree", [0, 1, 2, 4, 10])
def test_chebyshev_beside_the_imaginary_axis(degree: int) -> None:
    """With foci far above the centre the roots are exactly conjugate, and the middle one is real."""
    roots = pr.select_roots([1e-4 + 1j], degree, "chebyshev")
    assert np.array_equal(np.sort_complex(roots), np.sort_complex(roots.conj()))
    assert (roots.real == roots.real[0]).all()
    assert roots.real[0] == pytest.approx(1e-4, rel=1e-5)
    assert (roots.imag == 0).sum() == (degree + 1) % 2


def test_a_zero_operator_has_no_spectrum_but_rounding(rng: np.random.Generator) -> None:
    K = rng.standard_normal((2, 2, 3, 3))
    K -= K.mean((2, 3), keepdims=True)
    with pytest.raises(pr.InputError, match="all eigenvalues are zero"):
        pr.select_roots(pr.eigenvalues(K, 1), 1)


def test_advice_for_conjugate_pairs_works() -> None:
    values = [1 + 1j, 1 - 1j, 2 + 1j, 2 - 1j, 5, 6]
    with pytest.raises(pr.InputError, match="odd number, and 'complex' chooses conjugate pairs; degree 1 or 3 fits"):
        pr.select_roots(values, 2, "complex")
    for degree in (4, 5):
        with pytest.raises(
            pr.InputError, match=r"of which the spectrum has 2, and degree . has . roots; use degree 3 at"
        ):
            pr.select_roots(values, degree, "complex")
    assert len(pr.select_roots(values, 3, "complex")) == 4
    with pytest.raises(pr.InputError, match="of which the spectrum has none"):
        pr.select_roots([1, 2, 3], 1, "complex")


@pytest.mark.parametrize("region", ["all", "high"])
def test_a_mean_that_is_a_little_below_one_is_reached(region: str, rng: np.random.Generator) -> None:
    """The least root mean square of |q| on a disc of 6,144 eigenvalues, from the normal equations of monomials."""
    Lambda = pr.eigenvalues(rng.standard_normal((24, 24, 3, 3)) / 15, 16)
    z = Lambda.values[Lambda.is_high_frequency] if region == "high" else Lambda.values
    powers = (z[:, None] / Lambda.radius) ** np.arange(1, 5)
    c = np.linalg.lstsq((powers.conj().T @ powers).real, powers.sum(axis=0).real)[0]
    least = np.sqrt((np.abs(1 - powers @ c) ** 2).mean())
    assert 0.998 < least < 1
    q = pr.ResidualPolynomial(pr.select_roots(Lambda, 3, "least-squares", region=region))
    assert np.sqrt((np.abs(q(z)) ** 2).mean()) == pytest.approx(least, rel=1e-10)


@pytest.mark.parametrize("strategy", ["minimax", "chebyshev"])
def test_a_slow_smoother_is_one(strategy: str) -> None:
    """The periodic Laplacian at 128x128: Chebyshev's polynomial reaches 1 / T_4 on [2 - 2 cos(pi / 64), 8]."""
    Lambda = pr.eigenvalues(LAPLACIAN, 128)
    low = 2 - 2 * np.cos(np.pi / 64)
    exact = 1 / np.cosh(4 * np.arccosh((8 + low) / (8 - low)))
    found = pr.ResidualPolynomial(pr.select_roots(Lambda, 3, strategy)).diagnose(Lambda)
    assert found.max_abs is not None
    assert 1 - found.max_abs == pytest.approx(1 - exact, rel=1e-4)
    assert found.best_bound is not None
    assert found.best_bound <= exact
    sentence = "The best polynomial with 4 roots reaches max|q| = 0.9904; none gets below 0.9904 (proven)."
    assert sentence in found.sentences()


def test_roots_far_from_the_optimum_are_no_optimum() -> None:
    """Near 1 a measure is compared with the optimum's distance from 1: of 0.99 a hundredth more would be 1."""
    target = Target.of([1, 2])
    problem = OptimisationProblem("mine", RootRequest(1), target, target, 1)
    measure = iter([0.9905, 0.99005])
    with pytest.raises(pr.InputError, match=r"'mine' can reach 0\.99 here, but its roots in float64 only 0\.9905"):
        problem.that_reach(0.99, lambda q: next(measure), [5 + 0j])
    assert problem.that_reach(0.99, lambda q: next(measure), [5 + 0j]) == [5]


def test_imaginary_roots_are_none_of_a_symmetric_pair() -> None:
    """The squares are -1 and -4, so that the best s is negative."""
    with pytest.raises(pr.InputError, match="'least-squares' chooses imaginary roots here, which blocks S can't hold"):
        pr.select_roots([1j, -1j, 2j, -2j], blocks="S", strategy="least-squares")


def test_harmonic_ritz_beside_a_symmetric_pair_is_gmres_after_it() -> None:
    """The free roots of S,C have the least residual norm of r = (1 - A^2 / s^2) b in the span of A r and A^2 r."""
    Lambda = shifted(31)
    A = dense_operator(Lambda.weight, Lambda.size)
    b = np.random.default_rng(5).standard_normal(len(A))
    roots = pr.select_roots(Lambda, blocks="S,C", strategy="harmonic-ritz", seed=5)
    assert roots[0] == -roots[1]
    assert roots[0].imag == 0
    r = b - A @ (A @ b) / roots[0].real ** 2
    K = np.stack([A @ r, A @ (A @ r)], axis=-1)
    least = np.linalg.norm(r - K @ np.linalg.lstsq(K, r, rcond=None)[0])
    first = r - A @ r / roots[2]
    assert np.linalg.norm(first - A @ first / roots[3]) == pytest.approx(least, rel=1e-9)


def test_harmonic_ritz_for_the_last_symmetric_pair_is_gmres_after_the_others() -> None:
    """The squares of all three would be complex; 1 / s^2 of the last is the least-squares coefficient of A^2 r."""
    Lambda = shifted(47)
    A = dense_operator(Lambda.weight, Lambda.size)
    r = np.random.default_rng(5).standard_normal(len(A))
    roots = pr.select_roots(Lambda, blocks="S,S,S", strategy="harmonic-ritz", seed=5).real
    assert np.array_equal(roots[:4], pr.select_roots(Lambda, blocks="S,S").real)
    for root in roots[[0, 2]]:
        r = r - A @ (A @ r) / root**2
    image = A @ (A @ r)
    assert 1 / roots[4] ** 2 == pytest.approx((image @ r) / (image @ image), rel=1e-9)
