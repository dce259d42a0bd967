"""Two-grid local Fourier analysis against explicit matrices and published factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

import polyroots as pr
from polyroots.spectra import orders
from polyroots.spectra.grid_transfer import rediscretised

FIVE_POINT = [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]
NINE_POINT = [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
MEHRSTELLEN = [[-1, -4, -1], [-4, 20, -4], [-1, -4, -1]]
FULL_WEIGHTING = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16

Matrix = NDArray[np.float64]


def residual_matrix(A: Matrix, roots: Any) -> Matrix:
    """Return q(A), factor by factor."""
    Q = np.eye(len(A), dtype=complex)
    for root in roots:
        Q = Q @ (np.eye(len(A)) - A / root)
    return Q.real


def explicit(
    A: Matrix, R: Matrix, P: Matrix, coarse: Matrix | None, roots: Any, pre: int = 1, post: int = 0
) -> tuple[float, float]:
    """Return spectral radius and norm of the two-grid matrix on the complement of the null space of A."""
    coarse = R @ A @ P if coarse is None else coarse
    q = residual_matrix(A, roots)
    T = (
        np.linalg.matrix_power(q, post)
        @ (np.eye(len(A)) - P @ np.linalg.pinv(coarse, rcond=1e-12) @ R @ A)
        @ np.linalg.matrix_power(q, pre)
    )
    _, sigma, Vh = np.linalg.svd(A)
    Q = Vh[sigma > 1e-12 * sigma[0]].T
    T = Q.T @ T @ Q
    return float(np.abs(np.linalg.eigvals(T)).max()), float(np.linalg.norm(T, 2))


def kernel(stencil: Any) -> NDArray[np.float64]:
    return np.array(stencil, dtype=float)[None, None]


@pytest.mark.parametrize(
    ("stencil", "root", "factors"),
    [
        # Stueben and Trottenberg 1982, Trottenberg, Oosterlee and Schueller 2001: omega-Jacobi with full weighting and
        # bilinear interpolation, 1 to 4 steps; omega = 4/5 and 1/2.
        (FIVE_POINT, 5, (0.600, 0.360, 0.216, 0.137)),
        (FIVE_POINT, 8, (0.750, 0.563, 0.422, 0.316)),
        # Bilinear finite elements with omega = 8/9, and the compact stencil of fourth order with omega = 10/11: up to
        # two steps the factor is the power of the smoothing factor, 1/3 and 5/11.
        (NINE_POINT, 9, (1 / 3, 1 / 9)),
        (MEHRSTELLEN, 22, (5 / 11, 25 / 121)),
    ],
)
def test_published_factors(stencil: Any, root: float, factors: tuple[float, ...]) -> None:
    q = pr.ResidualPolynomial([root])
    for steps, factor in enumerate(factors, 1):
        found = pr.two_grid(stencil, "full-weighting", "bilinear", "rediscretised", q, pre=steps, size=128)
        assert found.radius == pytest.approx(factor, abs=6e-4)
    assert (found.null, found.singular) == (1, 1)


def test_the_formula_of_the_model_problem() -> None:
    """The 4x4 matrix of the textbooks, with s = sin^2(theta / 2): full weighting has the symbol (1 - s)(1 - t)."""
    q, n, worst = pr.ResidualPolynomial([5]), 32, 0.0
    for ky in range(n // 2):
        for kx in range(n // 2):
            if ky == kx == 0:
                continue
            s, t = np.sin(np.pi * ky / n) ** 2, np.sin(np.pi * kx / n) ** 2
            harmonics = [(s, t), (s, 1 - t), (1 - s, t), (1 - s, 1 - t)]
            symbol = np.array([4 * (a + b) for a, b in harmonics])
            transfer = np.array([(1 - a) * (1 - b) for a, b in harmonics])
            # The coarse angle is twice that of the fine grid: sin^2(theta) = 4 s (1 - s). Re-discretised: over 4.
            coarse = 4 * s * (1 - s) + 4 * t * (1 - t)
            T = (np.eye(4) - np.outer(transfer, transfer * symbol) / coarse) @ np.diag((1 - symbol / 5) ** 4)
            worst = max(worst, float(np.abs(np.linalg.eigvals(T)).max()))
    found = pr.two_grid(FIVE_POINT, "full-weighting", "bilinear", "rediscretised", q, pre=4, size=n)
    assert found.radius == pytest.approx(worst, rel=1e-12)


@pytest.mark.parametrize("name", ["full-weighting", "half-weighting", "injection"])
@pytest.mark.parametrize("coarse", ["rediscretised", "galerkin"])
@pytest.mark.parametrize("stencil", [FIVE_POINT, NINE_POINT, [[0, -1, 0], [-0.1, 2.2, -0.1], [0, -1, 0]]])
def test_stencils_have_the_factor_and_the_norm_of_the_explicit_matrix(name: str, coarse: str, stencil: Any) -> None:
    size, half, roots = (8, 12), (4, 6), [2.5, 5 + 1j, 5 - 1j]
    restrictions: dict[str, Any] = {
        "full-weighting": FULL_WEIGHTING,
        "half-weighting": np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 8,
        "injection": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    }
    A = dense_operator(kernel(stencil), size)
    R = dense_operator(kernel(restrictions[name]), size, stride=2)
    P = 4 * dense_operator(kernel(FULL_WEIGHTING), size, stride=2).T
    smaller = dense_operator(kernel(stencil) / 4, half) if coarse == "rediscretised" else None
    q = pr.ResidualPolynomial(roots)
    for pre, post in ((1, 0), (0, 1), (2, 1), (0, 0)):
        found = pr.two_grid(stencil, name, "bilinear", coarse, q, pre=pre, post=post, size=size)
        radius, norm = explicit(A, R, P, smaller, roots, pre, post)
        assert found.radius == pytest.approx(radius, rel=1e-9)
        assert found.norm == pytest.approx(norm, rel=1e-9)
        assert found.null == 1


CHANNELS = st.tuples(st.integers(1, 3), st.integers(1, 3))
SIZES = st.tuples(st.sampled_from([2, 4, 6]), st.sampled_from([2, 4, 6]))
STEPS = st.tuples(st.integers(0, 2), st.integers(0, 2))
TAPS = st.tuples(st.integers(1, 4), st.integers(1, 4))


ROOTS = st.sampled_from([[1.5], [2.0, -3.0], [1 + 2j, 1 - 2j, 4.0]])
SEED = st.integers(0, 2**32 - 1)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(CHANNELS, SIZES, STEPS, TAPS, ROOTS, SEED)
def test_operators_with_channels_are_the_explicit_matrix(
    channels: tuple[int, int],
    size: tuple[int, int],
    steps: tuple[int, int],
    taps: tuple[int, int],
    roots: list[complex],
    seed: int,
) -> None:
    """Blocks are rectangular where the levels have different channels; kernels have any size."""
    rng = np.random.default_rng(seed)
    (c, d), half, (pre, post) = channels, (size[0] // 2, size[1] // 2), steps
    K, R, W, C = (rng.standard_normal(shape) for shape in ((c, c, 3, 3), (d, c, *taps), (d, c, 3, 3), (d, d, 3, 3)))
    A, q = dense_operator(K, size), pr.ResidualPolynomial(roots)
    dense = A, dense_operator(R, size, stride=2), dense_operator(W, size, stride=2).T
    for coarse, matrix in ((C, dense_operator(C, half)), ("galerkin", None)):
        found = pr.two_grid(K, R, W, coarse, q, pre=pre, post=post, size=size)
        radius, norm = explicit(*dense, matrix, roots, pre, post)
        # Rounding errors grow with the norm, by the condition of the coarse operator.
        inner = dense[1] @ A @ dense[2] if matrix is None else matrix
        if np.linalg.cond(inner) < 1e5:
            assert found.norm == pytest.approx(norm, rel=1e-9)
            assert found.radius == pytest.approx(radius, rel=1e-6, abs=1e-6 * norm)
            assert (found.null, found.singular) == (0, 0)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(CHANNELS, SIZES, st.integers(1, 3), SEED)
def test_the_factor_depends_on_the_sum_of_the_steps(
    channels: tuple[int, int], size: tuple[int, int], steps: int, seed: int
) -> None:
    """Spectral radii of S C and C S are the same; norms are those of one cycle and bound the radius."""
    rng = np.random.default_rng(seed)
    c, d = channels
    K = 0.2 * rng.standard_normal((c, c, 3, 3))
    K[range(c), range(c), 1, 1] += 1
    R, C = rng.standard_normal((d, c, 3, 3)), 0.2 * rng.standard_normal((d, d, 3, 3))
    C[range(d), range(d), 1, 1] += 2
    q = pr.ResidualPolynomial([0.8, 1.2])
    all_before = pr.two_grid(K, R, R, C, q, pre=steps, size=size)
    all_after = pr.two_grid(K, R, R, C, q, pre=0, post=steps, size=size)
    assert all_after.radius == pytest.approx(all_before.radius, rel=1e-6, abs=1e-6 * all_before.norm)
    for found in (all_before, all_after):
        assert found.radius <= found.norm * (1 + 1e-10)
        assert (found.radii <= found.norms * (1 + 1e-10)).all()


def test_groups_and_convolutions() -> None:
    """The networks' restrictions have one group a channel."""
    rng = np.random.default_rng(8)
    K, R, W, C = (rng.standard_normal(s) for s in ((3, 3, 3, 3), (6, 1, 3, 3), (6, 1, 3, 3), (6, 6, 3, 3)))
    size = (6, 4)
    restriction, transposed = (pr.Convolution.of(kernel, size, stride=2, groups=3) for kernel in (R, W))
    q = pr.ResidualPolynomial([4, 2])
    found = pr.two_grid(pr.Convolution.of(K, size), restriction, transposed, pr.Convolution.of(C, (3, 2)), q)
    radius, norm = explicit(
        dense_operator(K, size),
        dense_operator(R, size, groups=3, stride=2),
        dense_operator(W, size, groups=3, stride=2).T,
        dense_operator(C, (3, 2)),
        [4, 2],
    )
    assert found.radius == pytest.approx(radius, rel=1e-9)
    assert found.norm == pytest.approx(norm, rel=1e-9)
    layers = [torch.nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3, bias=False) for _ in range(2)]
    for layer, weight in zip(layers, (R, W), strict=True):
        layer.weight.data = torch.from_numpy(weight)
    again = pr.two_grid(K, layers[0], layers[1], C, q, size=size)
    assert again.radius == pytest.approx(found.radius, rel=1e-12)
    assert found.frequencies.shape == (len(found.radii), 2)
    assert np.abs(found.frequencies).max() <= np.pi / 2


def test_null_spaces_of_several_channels() -> None:
    """A graph Laplacian of channels, and a channel that A maps to zero: T leaves the null space as it is."""
    rng = np.random.default_rng(4)
    mix = np.array([[1.0, 0.5, 0], [0.2, 2, 0], [0, 0, 0]])
    K = mix[:, :, None, None] * np.array(FIVE_POINT, dtype=float)
    K[2, 2, 1, 1] = 0.0
    R, size, roots = rng.standard_normal((2, 3, 3, 3)), (4, 6), [5, 7]
    found = pr.two_grid(K, R, R, "galerkin", pr.ResidualPolynomial(roots), size=size)
    A, restriction = dense_operator(K, size), dense_operator(R, size, stride=2)
    radius, norm = explicit(A, restriction, restriction.T, None, roots)
    assert found.null == 4 * 6 + 2 == len(A) - np.linalg.matrix_rank(A)
    assert found.radius == pytest.approx(radius, rel=1e-8)
    assert found.norm == pytest.approx(norm, rel=1e-8)


def test_an_exact_smoother_and_an_exact_correction_end_in_one_cycle() -> None:
    """Roots at all eigenvalues: T = 0. Injection of the only harmonic there is, on a grid of one coarse pixel."""
    values = np.unique(pr.eigenvalues(kernel(FIVE_POINT), 4).values.real.round(12))
    q = pr.ResidualPolynomial(values[values > 0])
    assert pr.two_grid(FIVE_POINT, "full-weighting", "bilinear", "galerkin", q, size=4).norm < 1e-12
    without = pr.two_grid(FIVE_POINT, "full-weighting", "bilinear", "galerkin", q, pre=0, size=4)
    assert without.radius == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_factor_does_not_depend_on_the_scale(scale: float) -> None:
    K, plain = scale * np.array(FIVE_POINT), pr.ResidualPolynomial([5, 3])
    q = pr.ResidualPolynomial([5 * scale, 3 * scale])
    for coarse in ("rediscretised", "galerkin"):
        expected = pr.two_grid(FIVE_POINT, "full-weighting", "bilinear", coarse, plain, size=8)
        found = pr.two_grid(K, "full-weighting", "bilinear", coarse, q, size=8)
        assert found.radius == pytest.approx(expected.radius, rel=1e-12)
        assert found.norm == pytest.approx(expected.norm, rel=1e-12)


def test_orders_of_stencils() -> None:
    """Rounding errors of 32 bits don't make an order 0; a sum of several orders has the lowest one."""
    biharmonic = np.zeros((5, 5))
    biharmonic[2] = biharmonic[:, 2] = [1, -8, 20, -8, 1]
    biharmonic[1, 1] = biharmonic[1, 3] = biharmonic[3, 1] = biharmonic[3, 3] = 2
    K = np.zeros((2, 2, 5, 5))
    K[0, 0], K[0, 1, 2, 2], K[1, 0, 2, 1:4] = biharmonic / 3, 1, [-1, 0, 1]
    K[1, 1, 1:4, 1:4] = np.array(FIVE_POINT, dtype=np.float32) / np.float32(3)
    A = pr.Convolution.of(K.astype(np.float32), 8)
    np.testing.assert_array_equal(orders(A), [[4, 0], [1, 2]])
    coarse = rediscretised(A)
    np.testing.assert_allclose(coarse.weight, A.weight / np.array([[16, 1], [2, 4]])[:, :, None, None])
    assert (coarse.size, coarse.name) == ((4, 4), "A, re-discretised")
    diagonal = np.eye(2)[:, :, None, None] * np.array(FIVE_POINT)
    assert rediscretised(pr.Convolution.of(diagonal, 8, name="A")).name == "A/4"
    for stencil, name in ((np.ones((3, 3)), "A"), (FIVE_POINT, "A/4"), (biharmonic, "A/16")):
        assert rediscretised(pr.Convolution.of(kernel(stencil), 8, name="A")).name == name
    for scale in (1e-30, 1e30):
        np.testing.assert_array_equal(orders(pr.Convolution.of(scale * K, 8)), [[4, 0], [1, 2]])
    with_mass = np.array(FIVE_POINT) + 0.1 * (np.arange(9) == 4).reshape(3, 3)
    assert orders(pr.Convolution.of(kernel(with_mass), 4)) == [[0]]


def test_what_does_not_fit_is_one_sentence() -> None:
    q, size = pr.ResidualPolynomial([5]), 8
    K = kernel(FIVE_POINT)

    def fails(fine: Any, R: Any, P: Any, coarse: Any, sentence: str, **options: Any) -> None:
        with pytest.raises(pr.InputError, match=sentence):
            pr.two_grid(fine, R, P, coarse, options.pop("q", q), **({"size": size} | options))

    FW, P = "full-weighting", "bilinear"
    fails(K, FW, P, "galerkin", r"even sizes, whose half is the coarse one, got 7x8", size=(7, 8))
    fails(K, FW, P, "galerkin", "no grid of its own: expected size", size=None)
    zeros = pr.Convolution.of(K, 8, padding="zeros")
    fails(zeros, FW, P, "galerkin", "needs circular padding, .* got padding 'zeros'", size=None)
    fails(pr.Convolution.of(K, 8), FW, P, "galerkin", "brings its grid: leave size out")
    fails(pr.Convolution.of(K, 8, stride=2), FW, P, "galerkin", "1 from 1 and stride 2x2", size=None)
    fails(np.ones((2, 3, 3, 3)), FW, P, "galerkin", "as many output as input channels and stride 1, got 2 from 3")
    fails(K, "full-weigting", P, "galerkin", "did you mean 'full-weighting'")
    fails(K, FW, "full-weighting", "galerkin", "unknown prolongation 'full-weighting': expected bilinear")
    fails(K, FW, P, "galerkinn", "unknown coarse operator")
    fails(K, pr.Convolution.of(K, 8), P, "galerkin", "expected a restriction with stride 2, .* got 1x1")
    fails(K, pr.Convolution.of(K, 6, stride=2), P, "galerkin", "fine grid of 8x8, got one on 6x6")
    fails(K, np.ones((1, 2, 3, 3)), P, "galerkin", "has the 1 channel of the fine grid as c, got 2")
    fails(K, np.ones((2, 1, 3, 3)), P, "galerkin", "same number of coarse channels, got 2 and 1")
    two = np.ones((2, 1, 3, 3))
    fails(K, two, two, K, "the 2 channels that the restriction makes, got 1 from 1")
    fails(K, FW, P, pr.Convolution.of(K, 8), "on half the grid, 4x4, got stride 1x1 on 8x8")
    fails(K, FW, P, "galerkin", "0 or more, got -1", pre=-1)
    for other in (scipy.sparse.csr_array(np.eye(64)), pr.as_operator(1j * np.array(FIVE_POINT), size=8)):
        fails(other, FW, P, "galerkin", r"expected a Convolution, .* got (csr_array|GeneralOperator)")
    fails(0 * K, FW, P, "galerkin", "the operator is zero")


def test_a_polynomial_is_asked_for(types_unchecked: None) -> None:
    with pytest.raises(pr.InputError, match="expected a ResidualPolynomial, got list"):
        pr.two_grid(FIVE_POINT, "full-weighting", "bilinear", "galerkin", [5], size=8)  # type: ignore[arg-type]


def test_a_cycle_that_overflows_has_an_infinite_factor() -> None:
    found = pr.two_grid(
        FIVE_POINT, "full-weighting", "bilinear", "galerkin", pr.ResidualPolynomial([1e-200]), pre=2, size=8
    )
    assert found.radius == found.norm == np.inf
    assert repr(found) == "TwoGrid(radius inf, norm inf, pre 2, post 0)"
