"""Matrices, products with vectors and stencils of any dimension as operators, against dense matrices and formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator, matched_error
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, csr_matrix, diags_array, random_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator, gmres

import polyroots as pr
from polyroots.spectra.operator_spectrum import _of_blocks
from polyroots.spectra.stencil import Stencil


def laplacian(n: int) -> Any:
    """Tridiagonal [-1, 2, -1], with the eigenvalues of `sines`."""
    return diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n), dtype=float).tocsr()


def sines(n: int) -> NDArray[np.float64]:
    return 4 * np.sin(np.arange(1, n + 1) * np.pi / (2 * (n + 1))) ** 2


def star(dimensions: int, centre: complex = 0) -> NDArray[Any]:
    """Stencil of the Laplacian, 2 d in the centre, plus a shift."""
    K = np.zeros((3,) * dimensions, dtype=complex if isinstance(centre, complex) else float)
    for axis in range(dimensions):
        for side in (0, 2):
            K[tuple(side if a == axis else 1 for a in range(dimensions))] = -1
    K[(1,) * dimensions] = 2 * dimensions + centre
    return K


def sums(values: NDArray[np.float64], dimensions: int) -> NDArray[np.complex128]:
    """Eigenvalues of a Kronecker sum of equal parts."""
    total = np.zeros(1)
    for _ in range(dimensions):
        total = np.add.outer(total, values).ravel()
    return total.astype(complex)


KINDS = {
    "dense": lambda A: A,
    "list": lambda A: A.tolist(),
    "sparse": csr_array,
    "sparse matrix": csr_matrix,
    "coo": coo_array,
    "products": aslinearoperator,
    "tensor": lambda A: torch.from_numpy(A),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.usefixtures("types_unchecked")
def test_every_kind_has_the_eigenvalues_of_its_matrix(kind: str, is_complex: bool, rng: np.random.Generator) -> None:
    A = rng.standard_normal((30, 30)) + 12 * np.eye(30) + (1j * rng.standard_normal((30, 30)) if is_complex else 0)
    found = pr.operator_eigenvalues(KINDS[kind](A))
    assert isinstance(found, pr.OperatorSpectrum)
    assert (found.method, len(found), found.is_complete) == ("dense", 30, True)
    assert matched_error(found.values, np.linalg.eigvals(A).astype(complex)) < 1e-12
    roots = pr.select_roots(KINDS[kind](A), 3, "minimax")
    q = pr.ResidualPolynomial(roots)
    diagnosis = q.diagnose(KINDS[kind](A))
    assert diagnosis.max_abs == pytest.approx(np.abs(q(np.linalg.eigvals(A))).max(), rel=1e-9)
    Q = np.eye(30, dtype=A.dtype)
    for root in roots:
        Q = Q @ (np.eye(30) - A / root)
    assert diagnosis.norm == pytest.approx(np.linalg.norm(Q, 2), rel=1e-9)
    assert any("real coefficients" in sentence for sentence in diagnosis.sentences()) == is_complex


@pytest.mark.usefixtures("types_unchecked")
def test_functions_of_vectors_and_of_arrays() -> None:
    A = laplacian(24)
    expected = pr.select_roots(A, 3, "minimax")
    np.testing.assert_allclose(pr.select_roots(lambda x: A @ x, 3, "minimax", size=24), expected, rtol=1e-6)

    def on_grid(u: NDArray[Any]) -> NDArray[Any]:
        return 4 * u - sum(np.roll(u, shift, axis) for shift in (-1, 1) for axis in (0, 1))

    found = pr.operator_eigenvalues(on_grid, size=(4, 6))
    assert matched_error(found.values, pr.eigenvalues(star(2), (4, 6)).values) < 1e-12


@pytest.mark.parametrize(("dimensions", "n"), [(1, 12), (2, 6), (3, 5)])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_laplacians_have_their_formulas(dimensions: int, n: int, padding: str) -> None:
    along = sines(n) if padding == "zeros" else 4 * np.sin(np.arange(n) * np.pi / n) ** 2
    found = pr.operator_eigenvalues(star(dimensions), size=(n,) * dimensions, padding=padding)
    assert matched_error(found.values.astype(complex), sums(along, dimensions)) < 1e-13
    assert isinstance(found, pr.OperatorSpectrum) == (dimensions == 3)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_shifted_laplacians_of_helmholtz_are_complex(dimensions: int) -> None:
    """-Laplace u - (1 - i/2) k^2 u: the eigenvalues of the Laplacian minus the shift."""
    shift = 1.7 * (1 - 0.5j)
    found = pr.operator_eigenvalues(star(dimensions, -shift), size=(6,) * dimensions)
    expected = sums(4 * np.sin(np.arange(6) * np.pi / 6) ** 2, dimensions) - shift
    assert matched_error(found.values, expected) < 1e-13
    assert found.frequencies is not None
    by_frequency = (4 * np.sin(found.frequencies / 2) ** 2).sum(axis=1) - shift
    np.testing.assert_allclose(found.values, by_frequency, atol=1e-13)
    roots = pr.select_roots(star(dimensions, -shift), 3, "minimax", region="high", size=(6,) * dimensions)
    high = expected[found.is_high_frequency]
    assert np.abs(pr.ResidualPolynomial(roots)(high)).max() < 0.5 or dimensions == 1


@pytest.mark.parametrize(("shape", "size"), [((2, 2, 3, 2, 3), (3, 4, 2)), ((1, 1, 2, 3, 4), (3, 3, 5))])
def test_a_stencil_with_channels_has_the_eigenvalues_of_its_matrix(
    shape: tuple[int, ...], size: tuple[int, ...], rng: np.random.Generator
) -> None:
    K = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    A = Stencil.of(K, size, "circular", "A").matrix.toarray()
    found = pr.operator_eigenvalues(K, size)
    assert matched_error(found.values, np.linalg.eigvals(A)) < 1e-11


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (5, 1)])
def test_matrices_of_stencils_place_taps_as_convolutions_do(
    padding: str, kernel: tuple[int, int], rng: np.random.Generator
) -> None:
    K = rng.standard_normal((2, 2, *kernel))
    A = Stencil.of(K, (4, 3), padding, "A").matrix.toarray()
    np.testing.assert_allclose(A, dense_operator(K, (4, 3), padding=padding), atol=1e-15)


@pytest.mark.parametrize("is_complex", [False, True])
def test_harmonic_ritz_is_the_polynomial_of_gmres(is_complex: bool, rng: np.random.Generator) -> None:
    """The residual after as many steps as roots is that of scipy's GMRES, or of a real least-squares problem."""
    n, steps = 60, 4
    A = np.eye(n) * 3 + rng.standard_normal((n, n)) / 6 + (1j * rng.standard_normal((n, n)) / 6 if is_complex else 0)
    b = np.random.default_rng(7).standard_normal(n)
    b /= np.linalg.norm(b)
    q = pr.ResidualPolynomial(pr.select_roots(aslinearoperator(A), steps - 1, "harmonic-ritz", seed=7))
    r = b - A @ q.smooth(A, b)
    powers = np.stack([np.linalg.matrix_power(A, k) @ b for k in range(1, steps + 1)], axis=1)
    parts = [powers.real, powers.imag]
    y, *_ = np.linalg.lstsq(np.concatenate(parts), np.concatenate([b, 0 * b]))
    assert np.linalg.norm(r) == pytest.approx(float(np.linalg.norm(b - powers @ y)), rel=1e-8)
    if not is_complex:
        x, _ = gmres(A, b, restart=steps, maxiter=1, rtol=1e-30)
        assert np.linalg.norm(r) == pytest.approx(float(np.linalg.norm(b - A @ x)), rel=1e-8)


def test_harmonic_ritz_needs_a_product_for_each_root_and_no_adjoint() -> None:
    count = 0
    d = np.linspace(1, 3, 50_000)

    def product(x: NDArray[Any]) -> NDArray[Any]:
        nonlocal count
        count += 1
        return d * x

    A = LinearOperator((len(d), len(d)), matvec=product, dtype=float)
    q = pr.ResidualPolynomial(pr.select_roots(A, 3, "harmonic-ritz"))
    # For the roots, for measuring what they reach, and a few to estimate the norm.
    assert count <= 4 + 4 + 8
    # GMRES's residual is below that of the Chebyshev polynomial of [1, 3], 1 / T_4(2).
    b = np.random.default_rng(7).standard_normal(len(d))
    assert np.linalg.norm(q(d) * b) / np.linalg.norm(b) <= 1 / 97


def test_ritz_values_are_said_to_be_such() -> None:
    d = np.concatenate([np.linspace(1, 2, 2998), [3, 5]])
    A = diags_array([d], offsets=[0], shape=(3000, 3000)) + csr_array(([1e-3], ([0], [1])), shape=(3000, 3000))
    found = pr.operator_eigenvalues(A)
    assert isinstance(found, pr.OperatorSpectrum)
    assert (found.method, found.is_complete, len(found)) == ("arnoldi", False, 150)
    converged = found.values[found.converged]
    assert {3, 5} <= set(converged.real.round(9).tolist())
    assert np.abs(converged[:, None] - d).min(axis=1).max() < 1e-7
    assert (found.values.real >= 1 - 1e-5).all()
    assert "3,000 unknowns are too many for all eigenvalues: 150 Ritz values" in found.notes()[0]
    with pytest.warns(pr.PrecisionWarning, match="150 Ritz values of Arnoldi's method stand for them"):
        roots = pr.select_roots(A, 3, "minimax")
    diagnosis = pr.ResidualPolynomial(roots).diagnose(found)
    assert diagnosis.ritz_values
    sentences = " ".join(diagnosis.sentences())
    assert "4 roots damp all of the Ritz values" in sentences
    assert "on the Ritz values; none gets below" in sentences
    # The interval holds all but two eigenvalues.
    assert np.abs(pr.ResidualPolynomial(roots)(d)).max() == pytest.approx(diagnosis.max_abs, rel=1e-2)


@pytest.mark.slow
def test_a_hermitian_matrix_of_2500_unknowns_has_all_its_eigenvalues() -> None:
    A = laplacian(2500)
    found = pr.operator_eigenvalues(A)
    assert (len(found), np.abs(np.sort(found.values.real) - sines(2500)).max() < 1e-12) == (2500, True)


@pytest.mark.parametrize("is_complex", [False, True])
def test_the_norm_of_large_operators_needs_products_with_the_adjoint(is_complex: bool) -> None:
    generator = np.random.default_rng(5)
    A = random_array((400, 400), density=0.02, rng=generator) + 2 * diags_array([np.ones(400)], offsets=[0])
    A = (A * (1 + 0.3j) if is_complex else A).tocsr()
    q = pr.ResidualPolynomial([1.5, 2.5, 2 + 1j, 2 - 1j])
    dense = A.toarray()
    Q = np.eye(400)
    for root in q.roots:
        Q = Q @ (np.eye(400) - dense / root)
    assert q.diagnose(A).norm == pytest.approx(np.linalg.norm(Q, 2), rel=1e-6)
    alone = LinearOperator(A.shape, matvec=lambda x: A @ x, dtype=A.dtype)
    assert q.diagnose(alone).norm is None
    with pytest.raises(pr.InputError, match="the norm of q\\(A\\) of 400 unknowns needs products with the adjoint"):
        pr.residual_norm(pr.as_operator(alone), q)


def test_roots_of_a_matrix_are_relaxed_by_its_norm(rng: np.random.Generator) -> None:
    A = np.triu(rng.standard_normal((40, 40)), 1) / 2 + np.diag(np.linspace(1, 2, 40))
    q = pr.ResidualPolynomial(pr.select_roots(A, 0, "largest", relax="auto"))
    assert np.linalg.norm(np.eye(40) - A / q.roots[0].real, 2) == pytest.approx(2, rel=1e-3)


def test_without_the_adjoint_roots_are_relaxed_on_the_spectrum() -> None:
    A = LinearOperator((500, 500), matvec=lambda x: np.linspace(1, 2, 500) * x, dtype=float)
    # |1 - 2 w| is at most 2 up to w = 1, and |1 - 4 w| up to 3/4.
    (root,) = pr.select_roots(-A, 0, "largest", relax="auto")
    assert root == -2
    q = pr.select_roots(pr.operator_eigenvalues(A), 0, "given", roots=[0.5], relax="auto")
    np.testing.assert_allclose(q, 0.5 / 0.75, rtol=1e-3)
    with pytest.raises(pr.InputError, match="the relaxation needs eigenvalues of A or products with its adjoint"):
        pr.select_roots(A, 3, "harmonic-ritz", relax="auto")


def test_a_real_matrix_has_what_convolutions_have(rng: np.random.Generator) -> None:
    A = rng.standard_normal((12, 12))
    Lambda = pr.operator_eigenvalues(A)
    henrici = np.sqrt(np.linalg.norm(A) ** 2 - (np.abs(np.linalg.eigvals(A)) ** 2).sum())
    assert pr.departure_from_normality(Lambda) == pytest.approx(henrici / np.linalg.norm(A), rel=1e-9)
    with pytest.raises(pr.InputError, match="expected a convolution, or a real matrix of at most 4,096 unknowns"):
        pr.departure_from_normality(pr.operator_eigenvalues(A + 1j * np.eye(12)))


def test_eigenvalues_of_a_defective_matrix_are_not_told_apart() -> None:
    """A Jordan block's eigenvalues are known to sqrt(eps) only: they count as one."""
    A = np.eye(2) + np.array([[0, 1], [0, 0]])
    A = np.kron(np.diag([1.0, 2, 3]), A)
    q = pr.ResidualPolynomial(pr.select_roots(A, 2, "minimax"))
    np.testing.assert_allclose(np.sort(q.roots.real), [1, 2, 3], rtol=1e-6)


def test_products_in_single_precision_have_its_resolution() -> None:
    """Eigenvalues that single precision doesn't tell apart count as one, and those near zero as zero."""
    generator = np.random.default_rng(8)
    Q, _ = np.linalg.qr(generator.standard_normal((60, 60)))
    A = (Q @ np.diag(np.repeat([0, 1.0, 2, 4], 15)) @ Q.T).astype(np.float32)
    found = pr.operator_eigenvalues(LinearOperator((60, 60), matvec=lambda x: A @ x, dtype=np.float32))
    q = pr.ResidualPolynomial(pr.select_roots(found, 2, "minimax"))
    np.testing.assert_allclose(np.sort(q.roots.real), [1, 2, 4], rtol=1e-5)
    assert q.diagnose(found).null == 15


def test_a_layer_and_its_size() -> None:
    torch.manual_seed(9)
    layer = torch.nn.Conv2d(3, 3, 3, padding=1)
    expected = pr.select_roots(pr.eigenvalues(layer, 6), 3, "extremal")
    np.testing.assert_array_equal(pr.select_roots(layer, 3, "extremal", size=6), expected)


@pytest.mark.parametrize(
    ("A", "size", "message"),
    [
        (np.ones((3, 3)), None, r"a 3x3 array without a size could be a stencil or a matrix: give size=\(H, W\)"),
        (np.ones((3, 4)), None, r"A: expected a square matrix, got shape \(3, 4\)"),
        (np.ones((4, 4, 3)), None, r"an array of shape \(4, 4, 3\), which is no matrix needs a size"),
        (csr_array(np.ones((3, 4))), None, r"expected a square matrix, got shape \(3, 4\)"),
        (csr_array(np.eye(3)), 3, "a csr_array has a size of its own, and size 3 was given; leave it out"),
        (np.full((4, 4), np.nan), None, "A: 16 of 16 entries of the matrix are NaN or infinite"),
        (np.ones((6, 6)), 6, "a 6 x 6 array with the size 6 could be a matrix or a stencil"),
        (np.ones((3, 3, 3)), (4, 4), r"got shape \(3, 3, 3\) on the grid 4x4"),
        (np.full((3, 3, 3), np.inf), 4, "expected a stencil of finite numbers"),
        (lambda x: x, None, "a function needs a size"),
        (lambda x: x[:-1], 5, r"maps an array of shape \(5,\) to finite numbers of the same shape, got shape \(4,\)"),
        (lambda x: x, 0, "expected a size of at least 1, got 0"),
        (torch.nn.Linear(3, 3), 3, "expected an array, a tensor or a torch.nn.Conv2d, got Linear"),
        (torch.nn.Conv2d(3, 3, 3, padding=1), None, "a Conv2d needs a size"),
        (torch.nn.Conv2d(3, 2, 3, padding=1), 4, "^weight: eigenvalues need as many output as input channels"),
        ("A", None, "expected a square matrix .dense or sparse., a scipy LinearOperator"),
        (star(3), (64, 512, 1024), "the symbol of the stencil has 33,554,432 entries, at most 16,777,216"),
    ],
)
@pytest.mark.usefixtures("types_unchecked")
def test_what_is_no_operator_is_refused(A: Any, size: Any, message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        pr.operator_eigenvalues(A, size)


def test_a_spectrum_has_its_size() -> None:
    with pytest.raises(pr.InputError, match="a spectrum has the size of its operator, and size 4 was given"):
        pr.select_roots(pr.eigenvalues(star(2), 4), 1, size=4)


def test_the_resolution_is_the_condition_times_rounding_errors() -> None:
    """[[1, x], [0, 2]] has the eigenvectors (1, 0) and (x, 1), with the condition sqrt(1 + x^2)."""
    for x in (0.5, 3.0, 1000.0):
        values, resolution = _of_blocks(np.array([[[1.0, x], [0.0, 2.0]]]), 1e-14)
        np.testing.assert_allclose(values, [1, 2], rtol=1e-12)
        np.testing.assert_allclose(resolution, 1e-14 * max(1 + x, 2) * np.sqrt(1 + x**2), rtol=1e-10)
    # Blocks of one row are normal; the norm is that of the largest one.
    np.testing.assert_allclose(_of_blocks(np.array([[[3.0]], [[-50.0]]]), 1e-14)[1], 50e-14)
