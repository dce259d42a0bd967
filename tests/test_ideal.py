"""Ideal GMRES polynomials, against closed forms, a semidefinite program and the dense matrix."""

from __future__ import annotations

import importlib
from math import comb
from typing import Any

import clarabel
import numpy as np
import pytest
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.sparse import csc_array
from spectra import shifted

import polyroots as pr
from polyroots.polynomials import ideal, minimax
from polyroots.polynomials.lower_bound import proven_norm_bound
from polyroots.polynomials.target import Target
from polyroots.spectra import OperatorBlocks, eigenvalues_of

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)


def jordan(n: int, value: float = 1.0) -> NDArray[Any]:
    return value * np.eye(n) + np.diag(np.ones(n - 1), 1)


def as_convolution(A: NDArray[Any]) -> pr.Convolution:
    return pr.Convolution.of(A.reshape(*A.shape, 1, 1), 1)


def polynomial_of(A: NDArray[Any], roots: NDArray[Any]) -> NDArray[Any]:
    """Return q(A) as a product over roots."""
    q: NDArray[Any] = np.eye(len(A), dtype=complex)
    for root in roots:
        q = q @ (np.eye(len(A)) - A / root)
    return q


def norm_of(A: NDArray[Any], roots: NDArray[Any]) -> float:
    return float(np.linalg.norm(polynomial_of(A, roots), 2))


def by_semidefinite_program(A: NDArray[Any], count: int) -> float:
    """Minimise t with [[t, q(A)], [q(A)^T, t]] positive semidefinite, for a real matrix A."""
    n = len(A)
    rows, columns = np.tril_indices(2 * n)[::-1]
    weights = np.where(rows == columns, 1.0, np.sqrt(2))

    def packed(power: NDArray[Any]) -> NDArray[Any]:
        full = np.zeros((2 * n, 2 * n))
        full[:n, n:], full[n:, :n] = power, power.T
        return weights * full[rows, columns]

    powers = [np.linalg.matrix_power(A / np.linalg.norm(A, 2), k) for k in range(count + 1)]
    # The cone holds b - G x for x = (c, t), q(A) = I - sum c_k A^k.
    G = np.stack([*(packed(power) for power in powers[1:]), -weights * (rows == columns)], axis=1)
    settings_ = clarabel.DefaultSettings()
    settings_.verbose = False
    settings_.max_threads = 1
    settings_.tol_gap_abs = settings_.tol_gap_rel = settings_.tol_feas = 1e-9
    cost = np.eye(count + 1)[count]
    cones = [clarabel.PSDTriangleConeT(2 * n)]
    empty = csc_array((count + 1, count + 1))
    solver = clarabel.DefaultSolver(empty, cost, csc_array(G), packed(powers[0]), cones, settings_)
    return float(solver.solve().obj_val)


def gmres_residual(A: NDArray[Any], b: NDArray[Any], steps: int) -> float:
    """Return the least norm of b - sum c_k A^k b over that of b."""
    K = [b / np.linalg.norm(b)]
    for _ in range(steps):
        K.append(A @ K[-1])
        K[-1] /= np.linalg.norm(K[-1])
    Q = np.linalg.qr(np.stack(K[1:], axis=1))[0]
    r = K[0] - Q @ (Q.T @ K[0])
    return float(np.linalg.norm(r - Q @ (Q.T @ r)))


@pytest.mark.parametrize("n", [2, 3, 6, 10])
def test_the_last_step_on_a_jordan_block_is_landaus_constant(n: int) -> None:
    """For the eigenvalue 1 the least norm with n - 1 roots is 1 / sum_k (binom(2k, k) / 4^k)^2, k < n.

    q(J) is a triangular Toeplitz matrix of the coefficients at 1, and its norm that of the best extension to a bounded
    function on the disc; E. Landau's constants are the largest sums of n coefficients of functions bounded by 1 there.
    """
    best = ideal(OperatorBlocks(as_convolution(jordan(n))), n - 1)
    exact = 1 / sum((comb(2 * k, k) / 4**k) ** 2 for k in range(n))
    assert best.value == pytest.approx(exact, rel=2e-7)
    assert exact * (1 - 2e-7) <= best.bound <= exact
    roots = pr.select_roots(eigenvalues_of(as_convolution(jordan(n))), n - 2, "ideal")
    assert norm_of(jordan(n), roots) == pytest.approx(exact, rel=2e-7)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_causal_kernel_has_a_power_where_the_roots_divide_the_pixels(count: int) -> None:
    """A = 1 - 0.9 E with a shift E of 16 pixels: (1 - t)^n has the norm 0.9^n, and no q less if n divides 16."""
    kernel = np.array([-0.9, 1.0, 0.0]).reshape(1, 1, 1, 3)
    Lambda = pr.eigenvalues(kernel, (1, 16), padding="zeros")
    proven = pr.ResidualPolynomial([1] * count).diagnose(Lambda, certificates=["ideal"]).certificates
    assert proven.norm == pytest.approx(0.9**count, rel=1e-12)
    assert proven.ideal == pytest.approx(0.9**count, rel=1e-7)
    roots = pr.select_roots(Lambda, count - 1, "ideal")
    A = dense_operator(kernel, (1, 16), padding="zeros")
    assert norm_of(A, roots) == pytest.approx(0.9**count, rel=1e-6)


@pytest.mark.parametrize("value", [0.8, 1.0, 1.7])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_jordan_blocks_have_the_value_of_the_semidefinite_program(value: float, count: int) -> None:
    A = jordan(5, value)
    best = ideal(OperatorBlocks(as_convolution(A)), count)
    assert best.value == pytest.approx(by_semidefinite_program(A, count), rel=1e-6)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_convolutions_have_the_value_of_the_semidefinite_program(padding: str, count: int) -> None:
    """The program is for the whole dense matrix, and knows nothing of frequencies."""
    K = np.random.default_rng(8).standard_normal((2, 2, 3, 3)) / 5
    K[range(2), range(2), 1, 1] += 2
    Lambda = pr.eigenvalues(K, (2, 3), padding=padding)
    A = dense_operator(K, (2, 3), padding=padding)
    expected = by_semidefinite_program(A, count)
    roots = pr.select_roots(Lambda, count - 1, "ideal")
    assert norm_of(A, roots) == pytest.approx(expected, rel=1e-6)
    proven = pr.ResidualPolynomial(roots).diagnose(Lambda, certificates=["ideal"]).certificates
    assert proven.norm == pytest.approx(norm_of(A, roots), rel=1e-12)
    assert expected * (1 - 1e-6) <= proven.ideal_bound <= proven.ideal


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_double_singular_value_at_the_optimum_is_no_obstacle(count: int) -> None:
    """Two equal channels, mixed by a rotation, make every singular value of every symbol double."""
    k = np.random.default_rng(4).standard_normal((3, 3)) / 6
    k[1, 1] += 1
    cos, sin = np.cos(0.7), np.sin(0.7)
    turn = np.array([[cos, -sin], [sin, cos]])
    K = np.einsum("ij,yx->ijyx", np.eye(2), k) + np.einsum("ij,yx->ijyx", turn, np.roll(k, 1, axis=1) / 4)
    best = ideal(OperatorBlocks(pr.Convolution.of(K, (2, 3))), count)
    assert best.value == pytest.approx(by_semidefinite_program(dense_operator(K, (2, 3)), count), rel=1e-6)
    assert best.bound >= best.value * (1 - 1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_for_a_normal_operator_it_is_minimax(count: int) -> None:
    K = np.random.default_rng(3).standard_normal((1, 1, 3, 3)) / 4
    K[0, 0, 1, 1] += 1.5
    Lambda = pr.eigenvalues(K, (6, 7))
    best, expected = ideal(Target.of(Lambda).blocks, count), minimax(Target.of(Lambda), count)
    assert best.value == pytest.approx(expected.value, rel=3e-7)
    assert best.bound == pytest.approx(expected.value, rel=3e-7)
    found = np.sort_complex(pr.select_roots(Lambda, count - 1, "ideal"))
    np.testing.assert_allclose(found, np.sort_complex(pr.select_roots(Lambda, count - 1, "minimax")), rtol=1e-3)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    count=st.integers(1, 5),
    padding=st.sampled_from(["circular", "zeros"]),
    is_grouped=st.booleans(),
)
def test_the_norm_is_between_what_gmres_and_minimax_reach(
    seed: int, channels: int, size: tuple[int, int], count: int, padding: str, is_grouped: bool
) -> None:
    """GMRES from any start is below it, max |q| of the minimax polynomial as well, and that polynomial's norm above."""
    rng = np.random.default_rng(seed)
    groups = channels if is_grouped else 1
    K = rng.standard_normal((channels, channels // groups, 3, 3)) / (4 * np.sqrt(channels))
    K[range(channels), np.arange(channels) % (channels // groups), 1, 1] += 1.5
    Lambda = pr.eigenvalues(K, size, groups=groups, padding=padding)
    A = dense_operator(K, size, groups=groups, padding=padding)
    target = Target.of(Lambda)
    best = ideal(target.blocks, count)
    assert best.bound <= best.value
    for _ in range(5):
        assert gmres_residual(A, rng.standard_normal(len(A)), count) <= best.value * (1 + 1e-9) + 1e-12
    if target.distinct <= count:
        return
    least = minimax(target, count).bound
    assert least <= best.value * (1 + 1e-9)
    try:
        spectral = pr.select_roots(Lambda, count - 1, "minimax")
    except pr.InputError as error:
        assert least > 0.999, str(error)  # noqa: PT017
        return
    assert best.value <= norm_of(A, spectral) * (1 + 1e-6) + 1e-8
    try:
        roots = pr.select_roots(Lambda, count - 1, "ideal")
    except pr.InputError as error:
        # Every q is 0, or rounding hides the roots; or none is below 1.
        assert best.value < 1e-7 or best.bound > 0.999, str(error)  # noqa: PT017
        return
    assert np.array_equal(np.sort_complex(roots), np.sort_complex(roots.conj()))
    assert norm_of(A, roots) == pytest.approx(best.value, rel=0.011, abs=1e-8)
    # No other polynomial is below the bound.
    for _ in range(5):
        other = roots * (1 + 0.05 * rng.standard_normal())
        assert norm_of(A, other) >= best.bound * (1 - 1e-12)


def test_the_null_space_is_left_out() -> None:
    """Of the periodic Laplacian only the constant mode is; q(A) is taken on the rest of the dense matrix's space."""
    Lambda = pr.eigenvalues(LAPLACIAN, 8)
    roots = pr.select_roots(Lambda, 2, "ideal")
    assert np.sort(roots.real) == pytest.approx(np.sort(pr.select_roots(Lambda, 2, "minimax").real), rel=1e-4)
    proven = pr.ResidualPolynomial(roots).diagnose(Lambda, certificates=["ideal"]).certificates
    assert proven.where == " on the range of A"
    assert proven.norm == pytest.approx(np.abs(pr.ResidualPolynomial(roots)(Lambda.values[1:])).max(), rel=1e-12)
    assert "The norm of q(A) on the range of A is" in proven.sentences(3)[0]


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_a_singular_operator_is_restricted_to_its_range(padding: str) -> None:
    """On one pixel A is its 3 x 3 matrix, of rank 2: the program is for U* A U with a basis U of the range."""
    rng = np.random.default_rng(12)
    A = rng.standard_normal((3, 2)) @ rng.standard_normal((2, 3)) / 4
    A = A + np.diag([1.0, 1.0, 0.0]) @ A  # of rank 2 still
    U = np.linalg.svd(A)[0][:, :2]
    inside = U.T @ A @ U
    inside = inside if np.trace(inside) > 0 else -inside
    operator = pr.Convolution.of((A if np.trace(A) > 0 else -A).reshape(3, 3, 1, 1), 1, padding=padding)
    blocks = Target.of(eigenvalues_of(operator)).blocks
    assert blocks.nullity == 1
    assert ideal(blocks, 1).value == pytest.approx(by_semidefinite_program(inside, 1), rel=1e-6)


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_region_of_high_frequencies_has_a_value_of_its_own(dilation: int) -> None:
    """The program is for the dense matrix on the high frequencies; with a dilation symbols repeat over the image."""
    K = np.random.default_rng(6).standard_normal((1, 1, 3, 3)) / 3
    K[0, 0, 1, 1] += 2
    Lambda = pr.eigenvalues(K, 4, dilation=dilation)
    fourier = np.fft.ifft2(np.eye(16).reshape(16, 4, 4)).reshape(16, 16) * 4
    ky, kx = np.divmod(np.arange(16), 4)
    high = fourier[(np.isin(ky, (1, 2, 3))) | np.isin(kx, (1, 2, 3))].T
    real = np.linalg.svd(np.hstack([high.real, high.imag]))[0][:, :15]
    inside = real.T @ dense_operator(K, (4, 4), dilation) @ real
    best = ideal(Target.of(Lambda, "high").blocks, 2)
    assert best.value == pytest.approx(by_semidefinite_program(inside, 2), rel=1e-6)
    roots = pr.select_roots(Lambda, 1, "ideal", region="high")
    assert norm_of(inside, roots) == pytest.approx(best.value, rel=1e-6)


def test_blocks_that_fix_roots_leave_the_others_ideal() -> None:
    Lambda = shifted(11, channels=2, size=4)
    A = dense_operator(Lambda.weight, (4, 4))
    roots = pr.select_roots(Lambda, blocks="S,C", strategy="ideal")
    assert roots[0] == -roots[1]
    a, b = roots[2].real, abs(roots[2].imag)
    least = min(
        norm_of(A, np.array([*roots[:2], *np.roots([1, -2 * (a + x), (a + x) ** 2 + b**2 + y])]))
        for x in np.linspace(-0.1, 0.1, 9)
        for y in np.linspace(-0.1, 0.1, 9)
    )
    assert norm_of(A, roots) <= least * (1 + 1e-9)


def test_blocks_of_symmetric_pairs_are_ideal_in_the_square() -> None:
    """Eigenvalues around 1 and -1, far from normal: one symmetric pair against the program for A^2."""
    A = np.block([[jordan(2, 2.0), np.zeros((2, 2))], [np.zeros((2, 2)), -jordan(2, 2.5)]])
    roots = pr.select_roots(eigenvalues_of(as_convolution(A)), blocks="S", strategy="ideal")
    assert roots[0] == -roots[1]
    assert norm_of(A, roots) == pytest.approx(by_semidefinite_program(A @ A, 1), rel=1e-6)


@pytest.mark.slow
def test_large_zero_padded_operators_take_lanczos_method() -> None:
    """With 324 unknowns the norms come from products; the dense ones are the oracle."""
    K = np.random.default_rng(2).standard_normal((1, 1, 3, 3)) / 4
    K[0, 0, 1, 1] += 1.5
    Lambda = pr.eigenvalues(K, 18, padding="zeros")
    roots = pr.select_roots(Lambda, 2, "ideal")
    A = dense_operator(K, (18, 18), padding="zeros")
    proven = pr.ResidualPolynomial(roots).diagnose(Lambda, certificates=["ideal"]).certificates
    assert proven.norm == pytest.approx(norm_of(A, roots), rel=1e-9)
    assert proven.ideal_bound <= norm_of(A, roots) <= proven.ideal_bound * (1 + 1e-6)
    assert norm_of(A, roots) <= norm_of(A, pr.select_roots(Lambda, 2, "minimax")) * (1 + 1e-9)


def test_an_operator_without_eigenvalues_is_enough() -> None:
    """A convolution has roots without its eigenvalues, the same up to rounding."""
    Lambda = shifted(31, channels=3, size=5)
    found = pr.select_roots(Lambda.convolution, 3, "ideal")
    np.testing.assert_allclose(found, pr.select_roots(Lambda, 3, "ideal"), rtol=1e-9)


@pytest.mark.parametrize("scale", [2.0**-664, 2.0**498])
def test_a_power_of_two_as_scale_changes_no_bit(scale: float) -> None:
    K = shifted(31, channels=3, size=5).weight
    expected = pr.select_roots(pr.eigenvalues(K, 5), 2, "ideal")
    np.testing.assert_array_equal(pr.select_roots(pr.eigenvalues(K * scale, 5), 2, "ideal"), expected * scale)


@pytest.mark.parametrize("scale", [1e-200, 1e150])
def test_the_scale_doesnt_matter(scale: float) -> None:
    """The norm is the same to its gap of 1e-7; rounding may change roots by more, since the least norm is flat."""
    K = shifted(31, channels=3, size=5).weight
    A = dense_operator(K, (5, 5))
    expected = pr.select_roots(pr.eigenvalues(K, 5), 2, "ideal")
    found = pr.select_roots(pr.eigenvalues(K * scale, 5), 2, "ideal") / scale
    assert norm_of(A, found) == pytest.approx(norm_of(A, expected), rel=1e-7)


@pytest.mark.parametrize("is_complex", [False, True])
def test_matrices_and_complex_stencils_have_ideal_roots(is_complex: bool) -> None:
    """A complex matrix M is the real one of its real and imaginary part, with the same norms of real polynomials."""
    rng = np.random.default_rng(14)
    A = np.eye(5) * 1.5 + rng.standard_normal((5, 5)) / 4
    real = A
    if is_complex:
        A = A + 1j * rng.standard_normal((5, 5)) / 5
        real = np.block([[A.real, -A.imag], [A.imag, A.real]])
    roots = pr.select_roots(csc_array(A), 2, "ideal")
    assert norm_of(A, roots) == pytest.approx(by_semidefinite_program(real, 3), rel=1e-6)
    assert norm_of(A, roots) <= norm_of(A, pr.select_roots(csc_array(A), 2, "minimax")) * (1 + 1e-9)
    proven = pr.ResidualPolynomial(roots).diagnose(csc_array(A), certificates=["ideal"]).certificates
    assert proven.norm == pytest.approx(norm_of(A, roots), rel=1e-12)
    stencil = np.array([0.2 + 0.1j, 1.5 + 0.2j * is_complex, -0.3j]) if is_complex else np.array([0.2, 1.5, -0.3])
    found = pr.select_roots(stencil, 1, "ideal", size=(8,))
    values = np.exp(2j * np.pi * np.outer(np.arange(8), [-1, 0, 1]) / 8) @ stencil
    least = pr.ResidualPolynomial(pr.select_roots(values, 1, "minimax"))
    assert np.abs(pr.ResidualPolynomial(found)(values)).max() == pytest.approx(np.abs(least(values)).max(), rel=1e-6)


def test_errors_say_what_to_do() -> None:
    fresh = pr.eigenvalues(np.random.default_rng(7).standard_normal((8, 8, 3, 3)), 8)
    with pytest.raises(pr.InputError, match=r"least max\|q\|, and with it the norm of q\(A\), that 4 roots can reach"):
        pr.select_roots(fresh, 3, "ideal")
    with pytest.raises(
        pr.InputError, match=r"least norm of q\(A\) that 4 roots can reach is 0\.99.* or more \(proven\)"
    ):
        pr.select_roots(fresh.convolution, 3, "ideal")
    with pytest.raises(pr.InputError, match="eigenvalues alone don't determine them: expected a Spectrum"):
        pr.select_roots([1, 2, 3], 1, "ideal")
    large = pr.Convolution.of(np.ones((1, 1, 3, 3)), 80, padding="zeros")
    with pytest.raises(pr.InputError, match=r"6,400 unknowns are too many .* use circular padding"):
        pr.select_roots(large, 1, "ideal")
    with pytest.raises(
        pr.InputError, match=r"'ideal' has 2 roots here, and 3 are asked for: with these q\(A\) is zero"
    ):
        pr.select_roots(eigenvalues_of(as_convolution(jordan(2))), 2, "ideal")
    with pytest.raises(pr.InputError, match="did you mean 'ideal'"):
        pr.ResidualPolynomial([1]).diagnose(fresh, certificates=["idael"])


def test_a_search_that_ends_too_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("polyroots.polynomials.ideal")
    monkeypatch.setattr(module, "_SWEEPS", 1)
    Lambda = shifted(31, channels=3, size=5)
    with pytest.raises(pr.ConvergenceError, match=r"the ideal polynomial with 4 roots has not converged: .* use"):
        pr.select_roots(Lambda, 3, "ideal")
    proven = pr.ResidualPolynomial([1]).diagnose(Lambda, certificates=["ideal"]).certificates
    assert proven.ideal is None
    assert proven.norm > 0


def test_the_proven_bound_holds_for_any_vectors() -> None:
    """Bad vectors prove less, never more; prior roots count."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, 4)) / 4 + np.eye(4)
    best = ideal(OperatorBlocks(as_convolution(A)), 2)
    for _ in range(20):
        assert 0 < proven_norm_bound([(A, rng.standard_normal((4, 3)))], 2) <= best.value
    with_prior = proven_norm_bound([(A, rng.standard_normal((4, 3)))], 1, [1.3])
    assert best.bound * 0 < with_prior <= min(norm_of(A, np.array([1.3, root])) for root in np.linspace(0.5, 2, 200))
    # q with as many roots as vectors have components is zero on them.
    assert proven_norm_bound([(A, rng.standard_normal((4, 1)))], 4) == 0
    assert proven_norm_bound([], 2) == 0


def test_a_small_norm_is_proven_to_all_digits() -> None:
    """For I + E / 4, E a Jordan block, six roots reach 1e-7; the bound is not lost in rounding."""
    A = np.eye(8) + np.diag(np.full(7, 0.25), 1)
    best = ideal(OperatorBlocks(as_convolution(A)), 6)
    assert best.value < 1e-3
    assert best.value * (1 - 1e-6) <= best.bound <= best.value
