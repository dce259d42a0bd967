from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dense import dense_operator, matched_error
from hypothesis import given, settings, strategies as st
from scipy.linalg import eig
from scipy.sparse.linalg import ArpackNoConvergence

import polyroots as pr
from polyroots.spectra import zero_padding as toeplitz
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.symbol_search import ENDS


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(1, 3),
    groups=st.integers(1, 2),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    seed=st.integers(0, 2**32 - 1),
)
def test_zero_padded_eigenvalues_are_those_of_the_dense_operator(
    m: int, groups: int, kernel: tuple[int, int], size: tuple[int, int], dilation: tuple[int, int], seed: int
) -> None:
    """The error is at most 1e-11 for well conditioned eigenvalues, and in proportion to the condition for others."""
    K = np.random.default_rng(seed).standard_normal((groups * m, m, *kernel))
    A = dense_operator(K, size, dilation, groups, "zeros")
    expected, left, right = eig(A, left=True, right=True)
    with np.errstate(divide="ignore"):
        condition = (1 / np.abs((left.conj() * right).sum(axis=0))).max()
    scale = np.abs(expected).max()
    bound = 1e-11 + 100 * np.finfo(float).eps * condition * np.linalg.norm(A) / max(scale, 1e-300)
    Lambda = pr.eigenvalues(K, size, padding="zeros", dilation=dilation, groups=groups)
    assert len(Lambda) == len(A)
    assert (Lambda.padding, Lambda.frequencies) == ("zeros", None)
    if bound < 1e-3:  # beyond that the dense solver's values are no reference
        assert matched_error(Lambda.values, expected) < bound
    # The trace is exact whatever the conditions are.
    assert abs(Lambda.values.sum() - np.trace(A)) <= 1e-11 * np.abs(A).sum()


def test_zero_padded_laplacian_is_known() -> None:
    """With a Dirichlet boundary the eigenvalues are 4 - 2 cos(i pi / (H + 1)) - 2 cos(j pi / (W + 1))."""
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)
    Lambda = pr.eigenvalues(K, (5, 7), padding="zeros")
    y, x = (2 * np.cos(np.arange(1, n + 1) * np.pi / (n + 1)) for n in (5, 7))
    expected = (4 - y[:, None] - x).ravel()
    assert matched_error(Lambda.values, expected.astype(complex)) < 1e-14
    np.testing.assert_allclose(Lambda.conditions, 1, rtol=1e-6)


def test_a_far_from_normal_operator_keeps_its_eigenvalues() -> None:
    """[1, 0, 0.1] on 64 pixels has the eigenvalues 2 sqrt(0.1) cos(k pi / 65); LAPACK gives the radius 0.714."""
    K = np.array([1, 0, 0.1]).reshape(1, 1, 1, 3)
    expected = 2 * np.sqrt(0.1) * np.cos(np.arange(1, 65) * np.pi / 65)
    direct = np.linalg.eigvals(dense_operator(K, (1, 64), padding="zeros"))
    assert np.abs(direct).max() > 0.7
    Lambda = pr.eigenvalues(K, (1, 64), padding="zeros")
    np.testing.assert_allclose(np.sort(Lambda.values.real), np.sort(expected), atol=1e-13)
    assert np.abs(Lambda.values.imag).max() == 0
    # x_p = 10^(-p/2) sin, y_p = 10^(p/2) sin: the operator's own condition is of the order 10^(63/2 - 2).
    assert 1e27 < Lambda.conditions.max() < 1e32
    assert Lambda.errors.max() < 1e-13


@pytest.mark.parametrize("small", [1e-7, 1e-10, 1e-14])
@pytest.mark.parametrize("axis", [0, 1])
def test_balancing_goes_as_far_as_it_must(small: float, axis: int) -> None:
    """Taps 1 and `small`, three pixels to both sides, have the radius 2 sqrt(small) cos(pi / (n + 1))."""
    K = np.zeros(7)
    K[[0, 6]] = 1, small
    K = K.reshape((1, 1, 7, 1) if axis == 0 else (1, 1, 1, 7))
    Lambda = pr.eigenvalues(K, (63, 1) if axis == 0 else (1, 63), padding="zeros")
    assert Lambda.radius == pytest.approx(2 * np.sqrt(small) * np.cos(np.pi / 22), rel=1e-11)


def test_groups_are_balanced_by_themselves(rng: np.random.Generator) -> None:
    """Channels with large taps on opposite sides each have the radius 2 sqrt(0.1) cos(pi / 65)."""
    K = np.array([[1, 0, 0.1], [0.1, 0, 1]]).reshape(2, 1, 1, 3)
    exact = 2 * np.sqrt(0.1) * np.cos(np.pi / 65)
    for size in ((1, 64), (80, 64)):  # one tap along an axis: the lines of the image are independent
        Lambda = pr.eigenvalues(K, size, padding="zeros", groups=2)
        assert len(Lambda) == 2 * size[0] * size[1]
        assert Lambda.radius == pytest.approx(exact, rel=1e-13)
    K = rng.standard_normal((6, 2, 3, 3))
    each = [pr.eigenvalues(K[i : i + 2], (4, 5), padding="zeros").values for i in (0, 2, 4)]
    assert np.array_equal(pr.eigenvalues(K, (4, 5), padding="zeros", groups=3).values, np.concatenate(each))


@pytest.mark.parametrize("size", [(3, 9), (6, 7), (40, 60)])
def test_one_sided_kernels_have_the_eigenvalues_of_their_centre(
    size: tuple[int, int], rng: np.random.Generator
) -> None:
    """Causal taps, as of an even 2x2 kernel, make A block triangular, with the centre's eigenvalues for each pixel."""
    causal = rng.standard_normal((3, 3, 3, 3))
    causal[:, :, 2] = causal[:, :, 1, 2] = 0
    for K, centre in ((causal, causal[:, :, 1, 1]), (rng.standard_normal((3, 3, 2, 2)), None)):
        Lambda = pr.eigenvalues(K, size, padding="zeros")
        expected = np.linalg.eigvals(K[:, :, 0, 0] if centre is None else centre)
        assert len(Lambda) == 3 * size[0] * size[1]
        for value in expected:
            assert (np.abs(Lambda.values - value) < 1e-13 * np.abs(expected).max()).sum() == size[0] * size[1]
        assert np.isinf(Lambda.conditions).all()
    shift = np.zeros((1, 1, 3, 3))
    shift[0, 0, 1, 2] = 1.0
    assert (pr.eigenvalues(shift, size, padding="zeros").values == 0).all()
    np.testing.assert_allclose(np.abs(pr.eigenvalues(shift, (3, 9)).values), 1, rtol=1e-14)


def test_two_sided_kernels_are_not_taken_for_one_sided(rng: np.random.Generator) -> None:
    """The taps lie in no open half-plane: at three angles, or on a line through the centre."""
    for taps in ([(0, 0), (2, 2)], [(0, 1), (2, 0), (2, 2)], [(1, 0), (1, 2)]):
        K = np.zeros((2, 2, 3, 3))
        for y, x in taps:
            K[:, :, y, x] = rng.standard_normal((2, 2))
        A = dense_operator(K, (4, 5), padding="zeros")
        values = pr.eigenvalues(K, (4, 5), padding="zeros").values
        for power in (2, 3, 4):
            trace = np.trace(np.linalg.matrix_power(A, power))
            assert (values**power).sum() == pytest.approx(trace, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1e-140, 1e140, 1e300])
def test_scales_are_kept(scale: float, rng: np.random.Generator) -> None:
    K = rng.standard_normal((3, 3, 3, 3))
    plain, scaled = (pr.eigenvalues(kernel, (3, 4), padding="zeros") for kernel in (K, K * scale))
    assert matched_error(scaled.values / scale, plain.values) < 1e-11
    np.testing.assert_allclose(scaled.conditions, plain.conditions, rtol=1e-6)
    np.testing.assert_allclose(scaled.errors / scale, plain.errors, rtol=1e-6)
    operators = [Convolution.of(kernel, (9, 8), padding="zeros") for kernel in (K, K * scale)]
    few, few_scaled = (toeplitz.arnoldi_eigenvalues(operator, 3, "LM") for operator in operators)
    np.testing.assert_allclose(np.abs(few_scaled.values) / scale, np.abs(few.values), rtol=1e-9)
    assert few_scaled.converged.all()
    assert (few_scaled.errors >= 0).all()


def test_errors_bound_what_is_wrong() -> None:
    """Balancing can't help for [1, 0, 0.3] and its mirror image in coupled channels; the estimates bound the errors."""
    K = np.zeros((2, 2, 1, 3))
    K[0, 0, 0], K[1, 1, 0], K[0, 1, 0, 1] = [1, 0, 0.1], [0.1, 0, 1], 1
    exact = 2 * np.sqrt(0.1) * np.cos(np.arange(1, 65) * np.pi / 65)  # block triangular in both channels
    Lambda = pr.eigenvalues(K, (1, 64), padding="zeros")
    distance = np.abs(Lambda.values[:, None] - exact).min(axis=1)
    assert distance.max() > 0.01
    assert (Lambda.errors >= distance / 10)[distance > 1e-6].all()


@pytest.mark.parametrize("size", [6, (7, 8), 11])
def test_multiple_eigenvalues_of_a_normal_operator_have_condition_one(
    size: int | tuple[int, int], rng: np.random.Generator
) -> None:
    laplacian = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)
    np.testing.assert_allclose(pr.eigenvalues(laplacian, size, padding="zeros").conditions, 1, rtol=1e-9)
    S = rng.standard_normal((6, 6, 1, 1))
    S = S + S.transpose(1, 0, 2, 3)
    np.testing.assert_allclose(pr.eigenvalues(S, size, padding="zeros").conditions, 1, rtol=1e-9)


def test_a_defective_eigenvalue_has_a_large_condition() -> None:
    """The double eigenvalue has one eigenvector, and a general solver separates it by sqrt(eps)."""
    K = np.array([[1.0, 50.0], [0.0, 1.0]]).reshape(2, 2, 1, 1)
    assert pr.eigenvalues(K, 3, padding="zeros").conditions.min() > 1e7


def test_arnoldi_and_multiple_eigenvalues() -> None:
    laplacian = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)
    found = toeplitz.arnoldi_eigenvalues(Convolution.of(laplacian, 30, padding="zeros"), 6, "LR")
    np.testing.assert_allclose(found.conditions, 1, rtol=1e-3)
    assert found.converged.all()
    # Residuals are relative to the bound sqrt(8 * 8) of the norm, errors are absolute.
    np.testing.assert_allclose(found.errors, 8 * found.residuals, rtol=1e-3)


def test_arnoldi_does_not_take_pseudospectrum_for_eigenvalues() -> None:
    """Coupled channels with taps on opposite sides have residuals of 1e-11 far from all eigenvalues."""
    K = np.zeros((2, 2, 1, 3))
    K[0, 0, 0], K[1, 1, 0], K[0, 1, 0, 1] = [1, 0, 0.1], [0.1, 0, 1], 1
    found = toeplitz.arnoldi_eigenvalues(Convolution.of(K, (1, 60), padding="zeros"), 2, "LM")
    assert found.residuals.max() < 1e-9
    assert np.abs(found.values).min() > 0.7 > 2 * np.sqrt(0.1)
    assert not found.converged.any()


def test_arnoldi_needs_a_condition_that_its_residual_allows() -> None:
    """A condition of 1.6e9 and a residual of 3e-11 leave two digits of the value, which counts as not converged."""
    K = np.random.default_rng(3).standard_normal((2, 2, 3, 3)) / 5
    found = toeplitz.arnoldi_eigenvalues(Convolution.of(K, 30, padding="zeros"), 2, "LM")
    assert found.residuals.max() < 1e-9
    assert np.isfinite(found.conditions).all()
    assert found.errors.min() > 1e-6 * np.abs(found.values).max()
    assert not found.converged.any()


def test_zero_operator() -> None:
    zero = Convolution.of(np.zeros((2, 2, 3, 3)), 50, padding="zeros")
    found = toeplitz.arnoldi_eigenvalues(zero, 3, "SR")
    assert found.converged.all()
    assert (found.values == 0).all()


def test_conditions_are_those_of_the_operator_itself(rng: np.random.Generator) -> None:
    """Conditions are 1 / |y* x| with the eigenvectors of the dense matrix, not of the balanced one."""
    K = rng.standard_normal((2, 2, 3, 3))
    K[:, :, :, 2] *= 1.5
    A = dense_operator(K, (3, 4), padding="zeros")
    values, left, right = eig(A, left=True, right=True)
    expected = 1 / np.abs((left.conj() * right).sum(axis=0))
    Lambda = pr.eigenvalues(K, (3, 4), padding="zeros")
    for value, condition in zip(Lambda.values, Lambda.conditions, strict=True):
        assert condition == pytest.approx(expected[np.abs(values - value).argmin()], rel=1e-6)


@pytest.mark.parametrize("which", ["SR", "LR", "LI", "LM"])
def test_arnoldi_finds_the_ends(which: str, rng: np.random.Generator) -> None:
    K = rng.standard_normal((3, 3, 3, 3)) / 5
    operator = Convolution.of(K, (11, 10), padding="zeros")
    everything = pr.eigenvalues(K, (11, 10), padding="zeros")
    measure = ENDS[{"SR": "min_real", "LR": "max_real", "LI": "max_imag", "LM": "radius"}[which]]
    found = toeplitz.arnoldi_eigenvalues(operator, 4, which)
    assert found.converged.all()
    assert found.residuals.max() < 1e-9
    key = np.abs if which == "LI" else lambda x: x
    outermost = np.sort(key(measure(everything.values)))[::-1]
    np.testing.assert_allclose(np.sort(key(measure(found.values)))[::-1], outermost[: len(found.values)], atol=1e-8)
    for value, condition in zip(found.values, found.conditions, strict=True):
        nearest = np.abs(everything.values - value).argmin()
        assert condition == pytest.approx(everything.conditions[nearest], rel=0.05)


def test_what_has_not_converged_is_marked(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """With one restart of a small basis Arnoldi doesn't converge, and its values are marked, with their residuals."""
    K = rng.standard_normal((2, 2, 3, 3)) / 5
    monkeypatch.setattr(toeplitz, "_RESTARTS", 1)
    monkeypatch.setattr(toeplitz, "_BASIS", 10)
    monkeypatch.setattr(toeplitz, "_TOLERANCES", (1e-12, 1e-8, 10.0))
    found = toeplitz.arnoldi_eigenvalues(Convolution.of(K, (20, 20), padding="zeros"), 2, "LR")
    assert len(found.values)
    assert not found.converged.any()
    assert (found.residuals > 1e-9).all()

    def never(*args: Any, **options: Any) -> None:
        raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr(toeplitz, "eigs", never)
    nothing = toeplitz.arnoldi_eigenvalues(Convolution.of(K, (20, 20), padding="zeros"), 2, "LR")
    assert len(nothing.values) == 0


def test_a_zero_column_stays_zero() -> None:
    """The scaling of the columns is D = diag(1, e)."""
    vectors = np.array([[3.0, 0.0], [4.0, 0.0]])
    expected = np.array([3, 4 * np.e]) / np.hypot(3, 4 * np.e)
    found = toeplitz._unit(vectors, np.array([0.0, 1.0]))
    np.testing.assert_allclose(found, np.stack([expected, [0, 0]], axis=1), rtol=1e-15)


def test_conditions_are_those_of_both_similar_matrices(rng: np.random.Generator) -> None:
    """With A = D B D^-1, the conditions of B and of A are 1 / |y* x| with the eigenvectors of each."""
    B, log_d = rng.standard_normal((7, 7)), rng.uniform(-3, 3, 7)
    values, left, right = eig(B, left=True, right=True)
    found = toeplitz._conditions(values, left, right, log_d, 0.0)
    for matrix, conditions in zip((B, np.exp(log_d[:, None] - log_d) * B), found, strict=True):
        own_values, own_left, own_right = eig(matrix, left=True, right=True)
        own = 1 / np.abs((own_left.conj() * own_right).sum(axis=0))
        nearest = np.abs(values[:, None] - own_values).argmin(axis=1)
        np.testing.assert_allclose(conditions, own[nearest], rtol=1e-9)


def test_the_condition_of_a_multiple_eigenvalue_is_the_norm_of_its_projector(rng: np.random.Generator) -> None:
    """Also where left and right vectors of one space are orthogonal in pairs; alone each would be infinite."""
    X, log_d = rng.standard_normal((5, 5)), rng.uniform(-1, 1, 5)
    Y = np.linalg.inv(X).T
    values = np.array([2.0, 2.0, 2.0 + 1e-9, -1.0, 4.0]) + 0j
    left = Y[:, [1, 2, 0, 3, 4]] / np.linalg.norm(Y[:, [1, 2, 0, 3, 4]], axis=0)
    right = X / np.linalg.norm(X, axis=0)
    found = toeplitz._conditions(values, left, right, log_d, 1e-6)
    for scaling, conditions in zip((0 * log_d, log_d), found, strict=True):
        d = np.exp(scaling)[:, None]
        for members in ([0, 1, 2], [3], [4]):
            P = (d * X[:, members]) @ (Y[:, members] / d).T
            np.testing.assert_allclose(conditions[members], np.linalg.norm(P, 2), rtol=1e-9)
    # They aren't one eigenvalue if they have to be closer together.
    assert (toeplitz._conditions(values, left, right, log_d, 1e-12)[0][:3] > 1e12).all()


def test_balancing_is_a_similarity_after_which_no_other_is_smaller(rng: np.random.Generator) -> None:
    """B = D^-1 A D. At the least Frobenius norm the squared taps have no moment along either axis."""
    K = rng.standard_normal((2, 2, 3, 5)) * np.exp(np.linspace(-2, 2, 3))[:, None] * np.exp(np.linspace(1, -2, 5))
    operator = Convolution.of(K, (4, 6), padding="zeros")
    balanced, exponents = toeplitz.balance(operator)
    d = np.exp(toeplitz._positions(operator, exponents))
    A, B = (dense_operator(part.weight, (4, 6), padding="zeros") for part in (operator, balanced))
    np.testing.assert_allclose(B, A * d / d[:, None], rtol=1e-9)
    squares = (balanced.weight**2).sum(axis=(0, 1))
    for axis, offsets in enumerate(operator.offsets):
        assert abs(squares.sum(axis=1 - axis) @ offsets) < 1e-5 * squares.sum()
    assert np.linalg.norm(B) < 0.9 * np.linalg.norm(A)
    # The norm of taps on one side falls without end, up to the bound on the scaling; circular operators stay.
    one_sided = Convolution.of(np.array([1.0, 0, 0, 0, 0]).reshape(1, 1, 1, 5), (1, 9), padding="zeros")
    assert toeplitz.balance(one_sided)[1] == pytest.approx((0.0, 40.0))
    assert toeplitz.balance(replace(operator, padding="circular"))[1] == (0.0, 0.0)


def test_sums_of_lines_have_products_of_conditions_and_sums_of_errors() -> None:
    """Taps [b, a, c] on both axes: eigenvectors are products, so that norms and inner products are."""
    K = np.zeros((1, 1, 3, 3))
    K[0, 0, :, 1], K[0, 0, 1] = [2.0, 0, 0.5], [0.3, 1.0, 0.7]
    Lambda = pr.eigenvalues(K, (4, 5), padding="zeros")
    column, row = (
        np.diag(np.full(n - 1, b), -1) + np.diag(np.full(n - 1, c), 1) for n, b, c in ((4, 2, 0.5), (5, 0.3, 0.7))
    )
    lines = [eig(line, left=True, right=True) for line in (column, row)]
    values = np.add.outer(*(line[0] for line in lines)).ravel() + 1
    conditions = [1 / np.abs((left.conj() * right).sum(axis=0)) for _, left, right in lines]
    expected = np.multiply.outer(*conditions).ravel()
    assert matched_error(Lambda.values, values) < 1e-13
    nearest = np.abs(Lambda.values[:, None] - values).argmin(axis=1)
    np.testing.assert_allclose(Lambda.conditions, expected[nearest], rtol=1e-9)
    # Each line's values are known to a rounding error of its radius.
    radii = [np.abs(line[0] + shift).max() for line in lines for shift in (0, 0.5, 1)]
    assert (
        np.finfo(float).eps * (radii[0] + radii[3])
        <= Lambda.errors.max()
        <= np.finfo(float).eps * (radii[2] + radii[5])
    )


def test_clusters_are_of_at_least_two() -> None:
    values = np.array([5.0, 1.0, 1.0 + 1e-9, 3.0, 5.0 + 1e-9j, 1.0 - 1e-9])
    assert sorted(sorted(cluster.tolist()) for cluster in toeplitz._clusters(values, 1e-6)) == [[0, 4], [1, 2, 5]]
    assert toeplitz._clusters(values, 0.0) == []
    assert toeplitz._clusters(values, 1e-12) == []
