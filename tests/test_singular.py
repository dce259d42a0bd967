from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

import polyroots as pr
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.matrix import explicit_matrix, linear_operator
from polyroots.spectra.singular_values import (
    has_symbol,
    largest_singular_values,
    squared_frobenius_norm,
    summarize,
)

# Output and input channels of a group; height and width of the kernel.
CHANNELS = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
GEOMETRY = st.fixed_dictionaries(
    {
        "groups": st.integers(1, 3),
        "size": st.tuples(st.integers(1, 6), st.integers(1, 6)),
        "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "dilation": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "padding": st.sampled_from(["circular", "zeros"]),
    }
)
SEED = st.integers(0, 2**32 - 1)


def kernel_of(channels: tuple[int, ...], geometry: dict[str, Any], rng: np.random.Generator) -> NDArray[Any]:
    """Return a random kernel with these channels in each group."""
    m_out, *rest = channels
    return rng.standard_normal((geometry["groups"] * m_out, *rest))


@settings(max_examples=60, deadline=None)
@given(CHANNELS, GEOMETRY, SEED)
def test_singular_values_are_those_of_the_dense_operator(
    channels: tuple[int, ...], geometry: dict[str, Any], seed: int
) -> None:
    """Cases: any channels, groups, strides that divide the image or don't, dilation, kernels larger than the image."""
    K = kernel_of(channels, geometry, np.random.default_rng(seed))
    A = dense_operator(K, **geometry)
    expected = np.linalg.svd(A, compute_uv=False)
    sigma = pr.singular_values(K, **geometry)
    assert sigma.dtype == np.float64
    assert sigma.shape == (min(A.shape),)
    assert (np.diff(sigma) <= 0).all()
    np.testing.assert_allclose(sigma, expected, rtol=0, atol=1e-11 * np.abs(K).sum())


@settings(max_examples=60, deadline=None)
@given(CHANNELS, GEOMETRY, SEED)
def test_explicit_and_matrix_free_operator(channels: tuple[int, ...], geometry: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    K = kernel_of(channels, geometry, rng)
    A = dense_operator(K, **geometry)
    operator = Convolution.of(K, **geometry)
    assert operator.shape == A.shape
    np.testing.assert_array_equal(explicit_matrix(operator) != 0, A != 0)
    np.testing.assert_allclose(explicit_matrix(operator), A, rtol=1e-13, atol=1e-13)
    product = linear_operator(operator)
    u, v = rng.standard_normal(A.shape[1]), rng.standard_normal(A.shape[0])
    np.testing.assert_allclose(product.matvec(u), A @ u, rtol=0, atol=1e-11)
    np.testing.assert_allclose(product.rmatvec(v), A.T @ v, rtol=0, atol=1e-11)
    assert squared_frobenius_norm(operator) == pytest.approx((A**2).sum(), rel=1e-12, abs=1e-12)


def test_the_frobenius_norm_of_a_long_line(rng: np.random.Generator) -> None:
    """A tap at the offset o reads N - |o| pixels of a line with zero padding, and N with circular padding."""
    N, K = 100_000, rng.standard_normal((2, 2, 1, 5))
    squares = (K**2).sum(axis=(0, 1, 2))
    circular, zeros = (Convolution.of(K, (1, N), padding=padding) for padding in ("circular", "zeros"))
    assert squared_frobenius_norm(circular) == pytest.approx(N * squares.sum(), rel=1e-12)
    read = N - np.abs(np.arange(-2, 3))
    assert squared_frobenius_norm(zeros) == pytest.approx(read @ squares, rel=1e-12)


def test_operator_is_torchs_with_same_padding(rng: np.random.Generator) -> None:
    """With stride 2 and a 3x3 kernel, as in restriction and prolongation, the padding is 1 on all sides."""
    K = rng.standard_normal((4, 2, 3, 3))
    u = rng.standard_normal((2, 7, 8))
    operator = Convolution.of(K, (7, 8), stride=2, padding="zeros")
    expected = torch.nn.functional.conv2d(torch.from_numpy(u)[None], torch.from_numpy(K), stride=2, padding=1)
    np.testing.assert_allclose(linear_operator(operator).matvec(u.ravel()), expected.numpy().ravel(), atol=1e-13)


def test_fold_has_the_factor_one_over_the_stride() -> None:
    """For the identity with stride 2, four frequencies are in one block, each with the factor 1/2."""
    K = np.zeros((1, 1, 3, 3))
    K[0, 0, 1, 1] = 3.0
    np.testing.assert_allclose(pr.singular_values(K, (6, 4), stride=2), np.full(6, 3.0), rtol=1e-14)


def test_sobel_is_known() -> None:
    """The symbol of [-1, 0, 1] x [1, 2, 1] has the modulus |2 sin x| (2 + 2 cos y)."""
    K = np.outer([1, 2, 1], [-1, 0, 1]).astype(float).reshape(1, 1, 3, 3)
    y, x = (2 * np.pi * np.arange(n) / n for n in (8, 6))
    expected = np.abs(2 * np.sin(x)) * (2 + 2 * np.cos(y))[:, None]
    sigma = pr.singular_values(K, (8, 6))
    np.testing.assert_allclose(sigma, np.sort(expected.ravel())[::-1], atol=1e-14)
    summary = summarize(sigma)
    assert summary.condition == math.inf
    assert summary.norm == pytest.approx(8 * np.sin(np.pi / 3), rel=1e-14)


def test_summary_is_that_of_the_matrix(rng: np.random.Generator) -> None:
    K = rng.standard_normal((3, 2, 3, 3))
    A = dense_operator(K, (4, 5))
    summary = summarize(pr.singular_values(K, (4, 5)))
    assert summary.norm == pytest.approx(np.linalg.norm(A, 2), rel=1e-12)
    # (60 x 40): the condition of the tall matrix.
    assert summary.condition == pytest.approx(np.linalg.cond(A), rel=1e-10)
    assert summary.stable_rank == pytest.approx((A**2).sum() / np.linalg.norm(A, 2) ** 2, rel=1e-12)
    low_rank = np.einsum("ik,kj->ij", rng.standard_normal((5, 2)), rng.standard_normal((2, 5))).reshape(5, 5, 1, 1)
    assert summarize(pr.singular_values(low_rank, 3)).condition == math.inf
    for scale in (1e-9, 1.0, 1e9):
        assert summarize(scale * np.array([2.0, 1.0, 1e-15])).condition == math.inf
        assert summarize(scale * np.array([2.0, 1.0, 2e-15])).condition == pytest.approx(1e15)
    zero = summarize(np.zeros(4))
    assert (zero.norm, zero.stable_rank) == (0.0, 0.0)


def test_norm_over_groups_is_the_maximum(rng: np.random.Generator) -> None:
    K = rng.standard_normal((6, 1, 3, 3))
    each = [pr.singular_values(K[i : i + 1], 5)[0] for i in range(6)]
    assert pr.singular_values(K, 5, groups=6)[0] == pytest.approx(max(each), rel=1e-13)


@pytest.mark.parametrize(("padding", "stride", "size"), [("zeros", 1, (9, 8)), ("circular", 2, (9, 7))])
def test_largest_are_found_without_the_matrix(
    padding: str, stride: int, size: tuple[int, int], rng: np.random.Generator
) -> None:
    K = rng.standard_normal((3, 2, 3, 3))
    A = dense_operator(K, size, padding=padding, stride=stride)
    found = largest_singular_values(Convolution.of(K, size, stride=stride, padding=padding), 4)
    expected = np.linalg.svd(A, compute_uv=False)
    assert found.converged.all()
    np.testing.assert_allclose(found.values, expected[:4], rtol=1e-9)
    assert found.stable_rank == pytest.approx((A**2).sum() / expected[0] ** 2, rel=1e-9)


def test_largest_of_odd_operators(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Operators may be zero, tiny, huge or wide; values that have not converged are marked."""
    assert largest_singular_values(Convolution.of(np.zeros((2, 2, 3, 3)), 50), 3).values.tolist() == [0, 0, 0]
    K = rng.standard_normal((2, 2, 3, 3))
    plain = largest_singular_values(Convolution.of(K, 9, padding="zeros"), 3).values
    for scale in (1e-170, 1e170):
        found = largest_singular_values(Convolution.of(K * scale, 9, padding="zeros"), 3)
        np.testing.assert_allclose(found.values / scale, plain, rtol=1e-9)
        assert found.converged.all()
    tall = rng.standard_normal((1100, 1, 3, 3))
    expected = np.linalg.svd(dense_operator(tall, (2, 2), padding="zeros"), compute_uv=False)
    np.testing.assert_allclose(pr.singular_values(tall, 2, padding="zeros"), expected, rtol=1e-11)
    found = largest_singular_values(Convolution.of(tall, 2, padding="zeros"), 9)
    np.testing.assert_allclose(found.values, expected[:3], rtol=1e-9)

    module = importlib.import_module("polyroots.spectra.singular_values")
    monkeypatch.setattr(module, "eigsh", lambda A, k, **options: (np.ones(k), np.eye(A.shape[0])[:, :k]))
    guessed = largest_singular_values(Convolution.of(K, 9, padding="zeros"), 3)
    assert not guessed.converged.any()
    assert math.isnan(guessed.stable_rank)


def test_what_needs_the_matrix_says_when_it_is_too_large() -> None:
    K = np.ones((2, 2, 3, 3))
    with pytest.raises(
        pr.InputError, match=r"a matrix of 20,000 x 20,000 is too large to be made, expected at most 4,096 x 4,096"
    ):
        pr.singular_values(K, 100, padding="zeros")
    with pytest.raises(pr.InputError, match="too large to be made"):
        pr.eigenvalues(K, 100, padding="zeros")
    with pytest.raises(pr.InputError, match="unknown padding 'zeroes': did you mean 'zeros'"):
        pr.singular_values(K, 100, padding="zeroes")


def test_single_precision_on_request(rng: np.random.Generator) -> None:
    K = rng.standard_normal((4, 3, 3, 3))
    for padding in ("circular", "zeros"):
        exact = pr.singular_values(K, 6, padding=padding, stride=2)
        single = pr.singular_values(K, 6, padding=padding, stride=2, dtype=np.float32)
        assert single.dtype == np.float32
        assert 1e-12 < np.abs(single - exact).max() < 1e-5 * exact[0]
    with pytest.raises(pr.InputError, match="float64 or float32, got dtype complex128"):
        pr.singular_values(K, 6, dtype=complex)


@pytest.mark.parametrize(("n", "stride", "expected"), [(6, 3, True), (6, 1, True), (6, 4, False), (5, 2, False)])
def test_strides_that_divide_the_image_have_a_symbol(n: int, stride: int, expected: bool) -> None:
    K = np.ones((2, 1, 3, 3))
    assert has_symbol(Convolution.of(K, (n, 6), stride=(stride, 2))) == expected
    assert has_symbol(Convolution.of(K, (6, n), stride=(2, stride))) == expected
    assert not has_symbol(Convolution.of(K, (n, 6), stride=(stride, 2), padding="zeros"))
