"""Arnoldi's method, harmonic Ritz values and the roots of a residual polynomial."""

from __future__ import annotations

from typing import Any

import flint
import numpy as np
import pytest
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

import polyroots as pr
from polyroots.polynomials.arnoldi import arnoldi


def least_residual(A: NDArray[Any], b: NDArray[Any], count: int) -> float:
    """Return the norm of GMRES's residual from the Krylov space in monomials, with columns of unit length."""
    columns = [A @ b]
    for _ in range(count - 1):
        columns.append(A @ columns[-1] / np.linalg.norm(columns[-1]))
    K = np.stack(columns, axis=-1)
    return float(np.linalg.norm(b - K @ np.linalg.lstsq(K, b, rcond=None)[0]))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_the_roots_are_those_of_gmres_residual_polynomial(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = 2 * np.eye(12) + rng.standard_normal((12, 12)) / 3
    b = rng.standard_normal(12)
    krylov = arnoldi(lambda x: A @ x, b, count)
    np.testing.assert_allclose(A @ krylov.V[:, :-1], krylov.V @ krylov.H, atol=1e-12)
    np.testing.assert_allclose(krylov.V.T @ krylov.V, np.eye(count + 1), atol=1e-12)
    s = krylov.residual(krylov.least())
    roots = krylov.roots(s)
    # q(A) b, in products over the roots, is the least residual of the Krylov space.
    r = b.astype(complex)
    for root in roots:
        r = r - A @ r / root
    assert np.linalg.norm(r) == pytest.approx(least_residual(A, b, count), rel=1e-7)
    assert np.linalg.norm(s) == pytest.approx(np.linalg.norm(r), rel=1e-8)


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_the_number_of_roots_that_a_residual_needs_does_not_depend_on_its_length(length: float) -> None:
    """Residuals of GMRES with 1, 2, ... roots, from least squares in the Krylov space."""
    rng = np.random.default_rng(89)
    A = 2 * np.eye(12) + rng.standard_normal((12, 12)) / 3
    b = rng.standard_normal(12)
    b *= length / np.linalg.norm(b)
    krylov = arnoldi(lambda x: A @ x, b, 6)
    shares = [least_residual(A, b, count) / length for count in range(1, 7)]
    assert shares == sorted(shares, reverse=True)
    for count, share in enumerate(shares, 1):
        assert krylov.roots_to_reach(1.01 * share) == count
    assert krylov.roots_to_reach(0.5 * shares[-1]) == 6


def test_harmonic_ritz_values_by_their_definition() -> None:
    """Harmonic Ritz values satisfy (A V)^T A V x = theta (A V)^T V x."""
    rng = np.random.default_rng(83)
    A = 3 * np.eye(9) + rng.standard_normal((9, 9))
    krylov = arnoldi(lambda x: A @ x, rng.standard_normal(9), 4)
    AV = A @ krylov.V[:, :-1]
    expected = np.linalg.eigvals(np.linalg.solve(AV.T @ krylov.V[:, :-1], AV.T @ AV))
    ours = krylov.roots(krylov.residual(krylov.least()))
    np.testing.assert_allclose(np.sort_complex(ours), np.sort_complex(expected), rtol=1e-9)


def test_an_invariant_space_ends_the_method() -> None:
    A = np.diag([1.0, 2, 2, 5])
    krylov = arnoldi(lambda x: A @ x, np.ones(4), 4)
    assert krylov.H.shape == (4, 3)
    assert krylov.V.shape == (4, 4)
    assert krylov.is_invariant
    np.testing.assert_allclose(krylov.roots(krylov.residual(krylov.least())), [1, 2, 5], rtol=1e-12)


def test_a_singular_hessenberg_matrix_has_a_root_at_infinity() -> None:
    A = np.diag([-2.0, -1, 1, 2])
    krylov = arnoldi(lambda x: A @ x, np.ones(4), 3)
    s = krylov.residual(krylov.least())
    assert krylov.degree(s) == 2
    assert krylov.H[:-1].shape == (3, 3)


def test_points_of_the_upper_half_plane_stand_for_their_conjugates() -> None:
    """With the real inner product H is that of the real operator with both conjugates."""
    rng = np.random.default_rng(89)
    z = rng.standard_normal(6) + 1j * rng.standard_normal(6) + 3
    half = arnoldi(lambda x: z * x, np.ones(6, dtype=complex), 4)
    both = np.concatenate([z, z.conj()])
    full = arnoldi(lambda x: both * x, np.ones(12, dtype=complex), 4)
    np.testing.assert_allclose(half.H, full.H, atol=1e-12)


def test_a_start_of_zeros_is_said() -> None:
    with pytest.raises(pr.InputError, match="needs a start other than zero: got a vector of zeros"):
        arnoldi(lambda x: x, np.zeros(3), 2)


def test_the_basis_stays_orthonormal() -> None:
    """With eigenvalues over eight orders of magnitude one orthogonalisation is not enough."""
    values = np.logspace(-8, 0, 60)
    V = arnoldi(lambda x: values * x, np.ones(60), 20).V
    np.testing.assert_allclose(V.T @ V, np.eye(21), atol=1e-13)


def test_nearly_equal_eigenvalues_are_two() -> None:
    values = np.array([1, 2, 3, 3 + 1e-8])
    krylov = arnoldi(lambda x: values * x, np.ones(4), 3)
    assert not krylov.is_invariant
    assert 0 < krylov.H[3, 2] < 1e-7


def test_roots_have_the_digits_that_the_pencils_eigenvalues_lack() -> None:
    """The reference is the confederate matrix in 200 bits; without Newton's method the error would be 4e-14."""
    rng = np.random.default_rng(1)
    A = np.diag(rng.standard_normal(40) + 3)
    krylov = arnoldi(lambda x: A @ x, rng.standard_normal(40), 12)
    s = krylov.residual(krylov.least())
    with flint.ctx.workprec(200):
        confederate = flint.arb_mat(krylov.H[:-1].tolist())
        h, last = flint.arb(krylov.H[-1, -1]), flint.arb(s[-1])
        for row in range(12):
            confederate[row, 11] -= h * flint.arb(s[row]) / last
        expected = np.array([complex(value) for value in flint.acb_mat(confederate).eig()])
    np.testing.assert_allclose(np.sort_complex(krylov.roots(s)), np.sort_complex(expected), rtol=2e-15)


def harmonic_ritz_values(A: NDArray[Any], b: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the eigenvalues of H + h^2 H^-* e_n e_n^T, H and h from Arnoldi's method by Householder reflections."""
    columns, basis = [b], np.linalg.qr(b[:, None])[0]
    for _ in range(count):
        columns.append(A @ basis[:, -1])
        basis = np.linalg.qr(np.column_stack([basis, columns[-1]]))[0]
    hessenberg = basis.T @ A @ basis[:, :count]
    H, h = hessenberg[:count], hessenberg[count, count - 1]
    correction = np.zeros((count, count))
    correction[:, -1] = h**2 * np.linalg.solve(H.T, np.eye(count)[-1])
    return np.linalg.eigvals(H + correction)


@pytest.mark.parametrize("degree", [0, 1, 3, 7])
@pytest.mark.parametrize("taps", [[0, 1, 0.6], [0, 1, 3], [0.6, -2, 0]])
def test_a_defective_operator_has_the_polynomial_of_gmres(taps: list[float], degree: int) -> None:
    """One eigenvalue, but q(A) isn't zero with a root there: A is a Jordan block of 32 rows."""
    K = np.array(taps).reshape(1, 1, 1, 3)
    A = dense_operator(K, (1, 32), padding="zeros")
    b = np.random.default_rng(7).standard_normal(32)
    b /= np.linalg.norm(b)
    roots = pr.select_roots(pr.eigenvalues(K, (1, 32), padding="zeros"), degree, "harmonic-ritz")
    np.testing.assert_allclose(
        np.sort_complex(roots), np.sort_complex(harmonic_ritz_values(A, b, degree + 1)), rtol=1e-9
    )
    r = b.astype(complex)
    for root in roots:
        r = r - A @ r / root
    assert np.linalg.norm(r) == pytest.approx(least_residual(A, b, degree + 1), rel=1e-9)


def test_the_root_of_degree_0_is_the_one_that_is_known() -> None:
    """|b - A b / t| is least for t = |A b|^2 / (b^T A b), 1.4604 for the start with the documented seed."""
    Lambda = pr.eigenvalues(np.array([0, 1, 0.6]).reshape(1, 1, 1, 3), (1, 32), padding="zeros")
    b = np.random.default_rng(7).standard_normal(32)
    Ab = b + 0.6 * np.append(b[1:], 0)
    (root,) = pr.select_roots(Lambda, 0, "harmonic-ritz")
    assert root == pytest.approx(Ab @ Ab / (Ab @ b), rel=1e-12)
    assert root.real == pytest.approx(1.4604, abs=5e-5)


def test_a_krylov_space_with_too_few_dimensions_is_said() -> None:
    K = np.diag([1.0, 2, 2]).reshape(3, 3, 1, 1)
    Lambda = pr.eigenvalues(K, 4)
    assert sorted(pr.select_roots(Lambda, 1, "harmonic-ritz").real) == pytest.approx([1, 2], rel=1e-12)
    with pytest.raises(
        pr.InputError,
        match=r"'harmonic-ritz' has 2 roots here, and 4 are asked for: .* zero for the start b; use degree 1",
    ):
        pr.select_roots(Lambda, 3, "harmonic-ritz")


def test_newtons_method_moves_roots_by_thousandths_at_most() -> None:
    """Roots near those of q are improved, others stay where they are."""
    points = np.array([1.0, 2.0, 4.0])
    krylov = arnoldi(lambda x: points * x, np.ones(3) / np.sqrt(3), 2)
    s = krylov.residual(krylov.least())
    exact = krylov.roots(s)
    near = krylov._polished(exact * (1 + 1e-5), s)
    np.testing.assert_allclose(near, exact, rtol=1e-13)
    far = exact * 1.1
    np.testing.assert_array_equal(krylov._polished(far, s), far)
