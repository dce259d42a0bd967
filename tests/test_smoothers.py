"""Polynomials as preconditioners of scipy's Krylov methods, and as smoothers of pyamg's hierarchies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyamg
import pytest
from numpy.typing import NDArray
from pyamg.gallery import poisson, stencil_grid
from pyamg.relaxation.chebyshev import chebyshev_polynomial_coefficients
from pyamg.relaxation.smoothing import change_smoothers
from pyamg.util.linalg import approximate_spectral_radius
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg, gmres

import polyroots as pr

ROOTS = [1.5, 4, 2 + 1j, 2 - 1j]


def matrices(A: NDArray[Any], roots: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """q(A) as a product, and p(A) from its monomial coefficients."""
    Q = np.eye(len(A), dtype=complex)
    for root in roots:
        Q = Q @ (np.eye(len(A)) - A / root)
    alphas = -np.poly(roots)[::-1][1:] / np.prod(-np.asarray(roots))
    P = sum(alpha * np.linalg.matrix_power(A, k) for k, alpha in enumerate(alphas))
    return Q, P


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("kind", ["dense", "sparse", "products"])
def test_polynomials_are_linear_operators_with_adjoints(kind: str, is_complex: bool, rng: np.random.Generator) -> None:
    A: Any = (
        rng.standard_normal((20, 20)) / 3 + 2 * np.eye(20) + (1j * rng.standard_normal((20, 20)) if is_complex else 0)
    )
    given = A if kind == "dense" else csr_array(A)
    if kind == "products":
        given = LinearOperator((20, 20), matvec=lambda u: A @ u, rmatvec=lambda u: A.conj().T @ u, dtype=A.dtype)
    q = pr.ResidualPolynomial(ROOTS)
    for which, expected in zip("qp", matrices(A, ROOTS), strict=True):
        found = q.as_linear_operator(given, which)
        assert (found.shape, found.dtype) == ((20, 20), A.dtype)
        np.testing.assert_allclose(found @ np.eye(20), expected, atol=1e-10)
        np.testing.assert_allclose(found.H @ np.eye(20), expected.conj().T, atol=1e-10)
        u = rng.standard_normal(20)
        np.testing.assert_allclose(found.matvec(u), expected @ u, atol=1e-10)
        np.testing.assert_allclose(found.rmatvec(u), expected.conj().T @ u, atol=1e-10)


@pytest.mark.parametrize(("which", "products"), [("p", 3), ("q", 4)])
def test_products_are_counted(which: str, products: int) -> None:
    count = 0

    def product(u: NDArray[Any]) -> NDArray[Any]:
        nonlocal count
        count += 1
        return 2 * u

    A = LinearOperator((9, 9), matvec=product, dtype=float)
    P = pr.ResidualPolynomial(ROOTS).as_linear_operator(A, which)
    P.matvec(np.ones(9))
    assert count == products
    with pytest.raises(NotImplementedError):
        P.rmatvec(np.ones(9))


def test_what_is_no_polynomial_of_an_operator_is_refused() -> None:
    q = pr.ResidualPolynomial([1])
    with pytest.raises(pr.InputError, match="unknown polynomial 'r': expected"):
        q.as_linear_operator(np.eye(4), "r")
    with pytest.raises(pr.InputError, match="need as many output as input channels"):
        q.as_linear_operator(pr.Convolution.of(np.ones((2, 1, 3, 3)), 4))
    with pytest.raises(pr.InputError, match="expected a square matrix"):
        q.as_linear_operator(np.ones((4, 5)))


@pytest.mark.parametrize("degree", [1, 3, 7])
def test_cg_with_a_polynomial_takes_fewer_iterations_and_more_products(degree: int) -> None:
    """The condition of A p(A) bounds the iterations; products are d + 1 an iteration."""
    A = poisson((40, 40), format="csr")
    b = np.random.default_rng(1).standard_normal(1600)
    counts = []
    for M in (None, pr.ResidualPolynomial(pr.select_roots(A, degree, "minimax")).as_linear_operator(A)):
        residuals: list[float] = []
        x, info = cg(A, b, rtol=1e-8, M=M, callback=lambda x: residuals.append(0.0))  # noqa: B023
        assert info == 0
        assert np.linalg.norm(b - A @ x) <= 1e-7 * np.linalg.norm(b)
        counts.append(len(residuals))
    plain, preconditioned = counts
    assert preconditioned < plain < (degree + 1) * preconditioned


def test_restarted_gmres_with_a_polynomial_of_an_indefinite_helmholtz_operator() -> None:
    """-Laplace u - k^2 u with 20 points a wavelength: without p(A) the iteration stagnates, with it it doesn't."""
    K = np.array([[0, -1, 0], [-1, 4 - 0.1, -1], [0, -1, 0]])
    A = stencil_grid(K, (40, 40), format="csr")
    b = np.random.default_rng(2).standard_normal(1600)
    P = pr.ResidualPolynomial(pr.select_roots(A, 7, "harmonic-ritz")).as_linear_operator(A)
    x, info = gmres(A, b, rtol=1e-8, restart=50, maxiter=20)
    assert info != 0
    assert np.linalg.norm(b - A @ x) > 1e-3 * np.linalg.norm(b)
    x, info = gmres(A, b, rtol=1e-8, restart=50, maxiter=20, M=P)
    assert info == 0
    np.testing.assert_allclose(x, np.linalg.solve(A.toarray(), b), rtol=1e-4, atol=1e-4)


def test_gmres_with_a_polynomial_of_a_complex_operator(rng: np.random.Generator) -> None:
    A = rng.standard_normal((50, 50)) / 10 + 2 * np.eye(50) + 0.5j * np.diag(rng.random(50))
    b = rng.standard_normal(50) + 1j * rng.standard_normal(50)
    P = pr.ResidualPolynomial(pr.select_roots(A, 3, "minimax")).as_linear_operator(A)
    steps = []
    for M in (None, P):
        seen: list[float] = []
        x, info = gmres(A, b, rtol=1e-10, restart=50, maxiter=2, M=M, callback=seen.append, callback_type="pr_norm")
        assert info == 0
        np.testing.assert_allclose(x, np.linalg.solve(A, b), rtol=1e-7, atol=1e-8)
        steps.append(len(seen))
    assert steps[1] < steps[0] / 2


def hierarchy(A: Any, symmetry: str = "symmetric") -> Any:
    # pyamg draws the start of its power iterations from numpy's global generator.
    np.random.seed(5)  # noqa: NPY002
    return pyamg.smoothed_aggregation_solver(A, symmetry=symmetry, max_coarse=20)


def residuals_of(levels: Any, b: NDArray[Any], **options: Any) -> list[float]:
    found: list[float] = []
    levels.solve(b, tol=1e-8, residuals=found, maxiter=60, **options)
    return found


@pytest.mark.parametrize("degree", [3, 6])
def test_a_cycle_with_the_roots_of_pyamgs_chebyshev_is_pyamgs(degree: int) -> None:
    """The same polynomials, by Horner's rule or by factors, give the same residual after each cycle."""
    A = poisson((30, 30), format="csr")
    b = np.random.default_rng(3).standard_normal(900)
    levels = hierarchy(A)
    polynomials = []
    for level in levels.levels[:-1]:
        rho = approximate_spectral_radius(level.A)
        alphas = -chebyshev_polynomial_coefficients(rho / 30, 1.1 * rho, degree)[:-1][::-1]
        polynomials.append(pr.ResidualPolynomial.from_alphas(alphas))
    change_smoothers(levels, ("chebyshev", {"degree": degree}), ("chebyshev", {"degree": degree}))
    theirs = residuals_of(levels, b)
    assert pr.change_smoothers(levels, polynomials=polynomials) == polynomials
    np.testing.assert_allclose(residuals_of(levels, b), theirs, rtol=1e-6, atol=1e-12)


def test_minimax_smoothers_take_no_more_cycles_than_pyamgs_on_the_same_share() -> None:
    A = poisson((60, 60), format="csr")
    b = np.random.default_rng(4).standard_normal(3600)
    levels = hierarchy(A)
    for lower_bound in (1 / 30, 0.2):
        options = {"degree": 3, "lower_bound": lower_bound}
        change_smoothers(levels, ("chebyshev", options), ("chebyshev", options))
        theirs = len(residuals_of(levels, b))
        smoothers = pr.change_smoothers(levels, degree=2, above=lower_bound)
        assert {q.degree for q in smoothers} == {2}
        assert len(residuals_of(levels, b)) <= theirs
    # The cycle is symmetric, as CG needs it.
    assert residuals_of(levels, b, accel="cg")[-1] < 1e-8 * np.linalg.norm(b) * 10


def test_smoothers_of_a_complex_spectrum_converge_where_chebyshevs_interval_does_not() -> None:
    """Upwind convection: the eigenvalues are complex, and the polynomial of a real interval amplifies some."""
    n, diffusion = 60, 1e-3
    K = diffusion * n * np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])
    K[1, 0], K[0, 1], K[1, 1] = K[1, 0] - 1, K[0, 1] - 0.5, K[1, 1] + 1.5
    A = stencil_grid(K, (n, n), format="csr")
    b = np.random.default_rng(6).standard_normal(n * n)
    levels = hierarchy(A, "nonsymmetric")
    change_smoothers(levels, ("chebyshev", {"degree": 3}), ("chebyshev", {"degree": 3}))
    assert residuals_of(levels, b)[-1] > np.linalg.norm(b)
    pr.change_smoothers(levels, degree=2)
    assert residuals_of(levels, b)[-1] <= 1e-8 * np.linalg.norm(b)


@pytest.mark.parametrize(
    ("levels", "options", "message"),
    [
        (object(), {}, "expected a hierarchy of pyamg with levels that have a matrix A, got object"),
        (SimpleNamespace(levels=[]), {}, "got SimpleNamespace"),
        (None, {"above": 1}, r"above: expected a share of the spectral radius in \[0, 1\), got 1"),
        (None, {"polynomials": []}, "expected a polynomial for each of the 2 levels but the coarsest, got 0"),
        (None, {"strategy": "harmonic-ritz"}, "level 0 of the hierarchy: 'harmonic-ritz' needs the operator"),
    ],
)
@pytest.mark.usefixtures("types_unchecked")
def test_bad_hierarchies_and_options_are_refused(levels: Any, options: dict[str, Any], message: str) -> None:
    if levels is None:
        levels = SimpleNamespace(levels=[SimpleNamespace(A=poisson((12, 12), format="csr"))] * 3)
    with pytest.raises(pr.InputError, match=message):
        pr.change_smoothers(levels, **options)
