from __future__ import annotations

import numpy as np
import pytest
from dense import dense_operator, matched_error
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eig
from scipy.sparse.linalg import ArpackNoConvergence

import polyroots as pr
from polyroots import toeplitz
from polyroots.operators import Operator
from polyroots.search import ENDS


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(1, 3),
    groups=st.integers(1, 2),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_zero_padded_eigenvalues_are_those_of_the_dense_operator(m, groups, kernel, size, dilation, seed):
    """To 1e-11 where the eigenvalues are well conditioned, to what their condition allows elsewhere."""
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


def test_zero_padded_laplacian_is_known():
    """Dirichlet boundary: 4 - 2 cos(i pi / (H + 1)) - 2 cos(j pi / (W + 1))."""
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)
    Lambda = pr.eigenvalues(K, (5, 7), padding="zeros")
    y, x = (2 * np.cos(np.arange(1, n + 1) * np.pi / (n + 1)) for n in (5, 7))
    expected = (4 - y[:, None] - x).ravel()
    assert matched_error(Lambda.values, expected.astype(complex)) < 1e-14
    np.testing.assert_allclose(Lambda.conditions, 1, rtol=1e-6)


def test_a_far_from_normal_operator_keeps_its_eigenvalues():
    """One channel, [1, 0, 0.1] on 64 pixels: 2 sqrt(0.1) cos(k pi / 65). A general solver gives the radius 0.714."""
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


def test_one_sided_kernels_have_no_finite_balance():
    """The shift is nilpotent with zero padding; circular it is unitary."""
    K = np.zeros((1, 1, 3, 3))
    K[0, 0, 1, 2] = 1.0
    assert np.abs(pr.eigenvalues(K, (3, 9), padding="zeros").values).max() < 1e-12
    np.testing.assert_allclose(np.abs(pr.eigenvalues(K, (3, 9)).values), 1, rtol=1e-14)


def test_conditions_are_those_of_the_operator_itself(rng):
    """Not of the balanced one: with y* A = lambda y*, 1 / |y* x| from the dense matrix."""
    K = rng.standard_normal((2, 2, 3, 3))
    K[:, :, :, 2] *= 1.5
    A = dense_operator(K, (3, 4), padding="zeros")
    values, left, right = eig(A, left=True, right=True)
    expected = 1 / np.abs((left.conj() * right).sum(axis=0))
    Lambda = pr.eigenvalues(K, (3, 4), padding="zeros")
    for value, condition in zip(Lambda.values, Lambda.conditions, strict=True):
        assert condition == pytest.approx(expected[np.abs(values - value).argmin()], rel=1e-6)


@pytest.mark.parametrize("which", ["SR", "LR", "LI", "LM"])
def test_arnoldi_finds_the_ends(which, rng):
    K = rng.standard_normal((3, 3, 3, 3)) / 5
    operator = Operator.of(K, (11, 10), padding="zeros")
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


def test_what_has_not_converged_is_marked(monkeypatch, rng):
    """With one restart of a small basis Arnoldi can't get there: what it has so far comes with its residual."""
    K = rng.standard_normal((2, 2, 3, 3)) / 5
    monkeypatch.setattr(toeplitz, "_RESTARTS", 1)
    monkeypatch.setattr(toeplitz, "_BASIS", 10)
    monkeypatch.setattr(toeplitz, "_TOLERANCES", (1e-12, 1e-8, 10.0))
    found = toeplitz.arnoldi_eigenvalues(Operator.of(K, (20, 20), padding="zeros"), 2, "LR")
    assert len(found.values)
    assert not found.converged.any()
    assert (found.residuals > 1e-9).all()

    def never(*args, **options):
        raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr(toeplitz, "eigs", never)
    nothing = toeplitz.arnoldi_eigenvalues(Operator.of(K, (20, 20), padding="zeros"), 2, "LR")
    assert len(nothing.values) == 0
