"""What counts as zero and as equal among computed eigenvalues: known spectra, and mpmath where they aren't."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import convolve2d

import polyroots as pr
from polyroots.polynomials.target import Target, _distinct_rows
from polyroots.spectra import cluster_labels
from polyroots.spectra.clusters import distances_to_nearest
from polyroots.spectra.matrix import explicit_matrix, fits
from polyroots.spectra.resolution import resolution_of

STENCIL = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])


def one_pixel(A: Any) -> pr.Spectrum:
    """Return the spectrum of a matrix as a 1x1 convolution on one pixel."""
    return pr.eigenvalues(np.asarray(A, dtype=float)[:, :, None, None], 1)


def test_small_eigenvalues_of_the_biharmonic_are_not_zero() -> None:
    """They are (4 - 2 cos x - 2 cos y)^2: one is zero, and the next 5.7e-9 of the radius."""
    Lambda = pr.eigenvalues(convolve2d(STENCIL, STENCIL)[None, None], 256)
    target = Target.of(Lambda)
    cosine = 2 * np.cos(2 * np.pi * np.arange(256) / 256)
    exact = ((4 - cosine[:, None] - cosine) ** 2).ravel()
    assert target.null == 1
    assert np.sort(target.points.real)[0] == pytest.approx(np.sort(exact)[1], rel=1e-6)
    root = 64.0
    found = pr.ResidualPolynomial([root]).diagnose(Lambda)
    assert 1 - found.max_abs == pytest.approx(np.sort(exact)[1] / root, rel=1e-6)


def test_eigenvalues_of_a_small_perturbation_of_the_identity_are_distinct() -> None:
    """Those of I + 1e-6 N are 1 + 1e-6 times those of N, which 10 digits tell apart."""
    rng = np.random.default_rng(11)
    N = rng.standard_normal((8, 8, 3, 3)) / np.sqrt(72)
    K = 1e-6 * N
    K[range(8), range(8), 1, 1] += 1
    target, expected = Target.of(pr.eigenvalues(K, 16)), Target.of(pr.eigenvalues(N, 16))
    assert target.distinct == expected.distinct == 8 * 256
    np.testing.assert_allclose(target.weights, 1 / len(target.points) * np.where(target.is_real, 0.5, 1), rtol=0.1)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_defective_eigenvalue_is_one(padding: str, value: float) -> None:
    """A computed double eigenvalue of a Jordan block, in a random basis, is split by sqrt(eps)."""
    rng = np.random.default_rng(13)
    X = rng.standard_normal((3, 3))
    M = X @ np.array([[value, 1, 0], [0, value, 0], [0, 0, 3]]) @ np.linalg.inv(X)
    Lambda = pr.eigenvalues(M[:, :, None, None], 2, padding=padding)
    assert np.abs(Lambda.values - value).min() > 1e-10
    target = Target.of(Lambda)
    assert target.distinct == (1 if value == 0 else 2)
    assert target.null == (8 if value == 0 else 0)


@pytest.mark.parametrize("gap", [1e-3, 1e-5])
def test_the_resolution_bounds_the_errors_of_nearly_defective_eigenvalues(gap: float) -> None:
    """The reference is mpmath's with 60 digits, of the matrix in float64; LAPACK's error grows as 1 / gap."""
    rng = np.random.default_rng(17)
    errors, bounds = [], []
    for _ in range(30):
        X = np.linalg.qr(rng.standard_normal((4, 4)))[0]
        M = X @ np.array([[1, 1, 0, 0], [0, 1 + gap, 0, 0], [0, 0, 2, 1], [0, 0, 0, -2]]) @ X.T
        Lambda = one_pixel(M)
        with mpmath.workdps(60):
            exact = np.array([complex(value) for value in mpmath.eig(mpmath.matrix(M.tolist()))[0]])
        nearest = np.abs(Lambda.values[:, None] - exact).min(axis=1)
        # Only eigenvalues with others nearby have a condition.
        bounds.append(resolution_of(Lambda.values, Lambda.convolution, Lambda.errors))
        errors.append(nearest)
    assert (np.array(errors) <= np.array(bounds) + 1e-13 / gap).all()


def test_normal_blocks_have_the_resolution_of_their_norm() -> None:
    """Of a symmetric matrix with eigenvalues 1e-10 apart, which float64 tells apart, and of one 1e-16 apart."""
    rng = np.random.default_rng(19)
    X = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    for gap, distinct in ((1e-10, 5), (1e-16, 4)):
        M = X @ np.diag([1, 1 + gap, 2, 3, 4.0]) @ X.T
        target = Target.of(one_pixel((M + M.T) / 2))
        assert target.distinct == distinct
        assert target.errors.max() < 1e-12


def test_single_precision_has_its_own_resolution() -> None:
    K = STENCIL[None, None]
    double, single = (pr.eigenvalues(K, 64, dtype=dtype) for dtype in (np.complex128, np.complex64))
    ratio = float(np.finfo(np.float32).eps / np.finfo(np.float64).eps)
    np.testing.assert_allclose(single.resolution, ratio * double.resolution, rtol=1e-12)
    assert Target.of(single).null == 1


@pytest.mark.parametrize("scale", [2.0**-900, 2.0**1000])
def test_the_resolution_scales_with_the_operator(scale: float) -> None:
    rng = np.random.default_rng(23)
    K = rng.standard_normal((3, 3, 3, 3))
    K -= K.mean(axis=(2, 3), keepdims=True)
    plain, scaled = pr.eigenvalues(K, 6), pr.eigenvalues(K * scale, 6)
    np.testing.assert_allclose(scaled.resolution / scale, plain.resolution, rtol=1e-12)
    assert Target.of(scaled).null == Target.of(plain).null == 3


def test_clusters_of_values_with_widths_of_their_own() -> None:
    """The larger width counts, in brute force over all pairs and chains."""
    rng = np.random.default_rng(29)
    values = rng.random(60) + 1j * rng.random(60)
    widths = rng.choice([0.01, 0.08, 0.2], 60, p=[0.5, 0.4, 0.1])
    linked = np.abs(values[:, None] - values) <= np.maximum(widths[:, None], widths)
    reached: NDArray[Any] = linked
    for _ in range(6):
        reached = (reached.astype(int) @ reached.astype(int)) > 0
    labels = cluster_labels(values, widths)
    np.testing.assert_array_equal(labels[:, None] == labels, reached)


@pytest.mark.parametrize("width", [0.0, 1e-9, 1e-3, 0.02, 5.0])
def test_distances_to_the_nearest_value(width: float, rng: np.random.Generator) -> None:
    """Of points in a square, on both axes and in pairs across them; those within the width in brute force."""
    square = rng.standard_normal(80) + 1j * rng.standard_normal(80)
    values = np.concatenate([square, square[:9] + 1e-9j, rng.standard_normal(40), 1j * rng.standard_normal(40)])
    values = np.append(values, values[[3, 100]])
    apart = np.abs(values[:, None] - values)
    np.fill_diagonal(apart, np.inf)
    nearest, found = apart.min(axis=1), distances_to_nearest(values, width)
    within = nearest <= width
    np.testing.assert_allclose(found[within], nearest[within], rtol=1e-12, atol=0)
    assert (found[~within] >= nearest[~within] * (1 - 1e-12)).all()
    assert distances_to_nearest(values[:1], width).tolist() == [np.inf]
    assert not len(distances_to_nearest(values[:0], width))


def test_distinct_rows_are_those_of_numpy(rng: np.random.Generator) -> None:
    rows = rng.integers(-2, 3, (60, 3)).astype(np.float64)
    for chosen in (rows, rows[:1], np.where(rows == 0, -0.0, rows)):
        _, first, cell = np.unique(chosen, axis=0, return_index=True, return_inverse=True)
        found = _distinct_rows(chosen)
        assert found[0].tolist() == first.tolist()
        assert found[1].tolist() == cell.ravel().tolist()


def test_known_errors_are_the_resolution_with_a_factor() -> None:
    """Between rounding errors of the norm and what a defective eigenvalue has; errors that are NaN are none."""
    operator = pr.Convolution.of(np.ones((1, 1, 1, 1)), (1, 4), padding="zeros")
    errors = np.array([1e-20, 1e-9, 1.0, np.nan])
    found = resolution_of(np.ones(4, dtype=np.complex128), operator, errors)
    finest, eps = found[0], np.finfo(np.float64).eps
    assert eps < finest < 100 * eps
    assert 1e-9 < found[1] < 100e-9
    assert found[2] == pytest.approx(1e-7, rel=1e-6)
    assert found[3] == finest
    np.testing.assert_allclose(resolution_of(np.ones(4) + 0j, operator, errors / 2)[1], found[1] / 2, rtol=1e-12)


def test_of_many_eigenvalues_only_the_nearly_defective_ones_are_coarse() -> None:
    """The condition of the eigenvalues 3 +- d of [[3, 1], [d^2, 3]] is (1 + d^2) / (2 d), that of others is 1."""
    d = 1.5e-7
    for pair, own in (([0, 1], 2), ([1, 2], 0)):  # a third channel has other eigenvalues
        K = np.zeros((3, 3, 3, 3))
        K[pair[0], pair[0], 1, 1] = K[pair[1], pair[1], 1, 1] = 3
        K[pair[0], pair[1], 1, 1], K[pair[1], pair[0], 1, 1] = 1, d**2
        K[own, own, 1, :] = [0.3, 0.1, 0.2]
        Lambda = pr.eigenvalues(K, 8)
        is_pair = np.abs(Lambda.values - 3) < 1e-3
        assert is_pair.sum() == 2 * 64
        finest = Lambda.resolution[~is_pair].max()
        np.testing.assert_allclose(Lambda.resolution[~is_pair], finest, rtol=1e-6)
        np.testing.assert_allclose(Lambda.resolution[is_pair] / finest, (1 + d**2) / (2 * d), rtol=0.3)


def test_the_largest_matrix_that_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyroots.spectra.matrix.DENSE_LIMIT", 16)
    for size, is_made in (((4, 4), True), ((4, 5), False)):
        operator = pr.Convolution.of(np.ones((1, 1, 3, 3)), size, padding="zeros")
        assert fits(operator) is is_made
        if is_made:
            assert explicit_matrix(operator).shape == (16, 16)
        else:
            with pytest.raises(pr.InputError, match="a matrix of 20 x 20 is too large to be made"):
                explicit_matrix(operator)
