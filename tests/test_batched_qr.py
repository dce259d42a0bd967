"""The kernel for stacks of eigenvalue problems: against LAPACK, known eigenvalues, and backward errors."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from dense import matched_error
from numpy.typing import NDArray

import polyroots as pr
from polyroots.spectra import eigvals, single_precision_error
from polyroots.spectra.batched_qr import Instructions, best_instructions, in_lanes

Matrices = NDArray[Any]
KINDS = ("random", "graded", "defective", "clustered", "embedded", "hermitian", "unitary", "scaled", "companion")

needs_kernel = pytest.mark.skipif(best_instructions() is None, reason="the kernel was not built")


def available() -> tuple[Instructions, ...]:
    """Return the instructions that this processor has, the best first."""
    best = best_instructions()
    names: tuple[Instructions, ...] = get_args(Instructions)
    return () if best is None else names[names.index(best) :]


def matrices(kind: str, count: int, n: int, rng: np.random.Generator) -> Matrices:
    """Return a stack of complex matrices of a kind that is hard in a way of its own."""

    def normal(*shape: int) -> Matrices:
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    N = normal(count, n, n) / np.sqrt(2 * n)
    if kind == "graded":  # entries from 1 to 1e-12
        d = np.logspace(0, -6, n)
        return d[:, None] * N * d
    Q = np.linalg.qr(normal(count, n, n))[0]
    if kind == "defective":  # one Jordan block, not in its triangular form
        J = np.diag(np.full(n, 0.5 + 0.25j)) + np.diag(np.ones(n - 1), 1)
        return Q @ J @ Q.conj().swapaxes(-1, -2)
    if kind == "clustered":  # eigenvalues within 1e-7 of each other
        T = np.triu(N, 1) + np.eye(n) * (1 + 1e-7 * normal(count, 1, n))
        return Q @ T @ Q.conj().swapaxes(-1, -2)
    if kind == "embedded":  # real matrices as complex ones
        return N.real + 0j
    if kind == "hermitian":
        return N + N.conj().swapaxes(-1, -2)
    if kind == "unitary":  # all of the same modulus: the QR algorithm without shifts would not converge
        return Q
    if kind == "scaled":  # unbalanced
        d = 10 ** rng.uniform(-6, 6, (count, n))
        return d[:, :, None] * N / d[:, None, :]
    if kind == "companion":  # of t^n = 1, filled a little so that it isn't permuted
        return np.roll(np.eye(n), 1, axis=0) + 1e-3 * N
    return N


def smallest_singular_values(stack: Matrices, values: Matrices) -> NDArray[Any]:
    """Return sigma_min(A - lambda I) for each value: the norm of the smallest perturbation that makes it exact."""
    n = stack.shape[-1]
    shifted = stack[:, None] - values[:, :, None, None] * np.eye(n)
    return np.linalg.svd(shifted, compute_uv=False)[..., -1]


def balanced(stack: Matrices) -> Matrices:
    """Return each matrix as LAPACK balances it."""
    from scipy.linalg import matrix_balance

    return np.stack([matrix_balance(A, permute=False)[0] for A in stack])


@needs_kernel
@pytest.mark.parametrize("n", [2, 3, 5, 16, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_backward_errors(kind: str, n: int, rng: np.random.Generator) -> None:
    """Each value is exact for a matrix that differs by a few ulps, and no worse than LAPACK's; the sum is the trace."""
    stack = matrices(kind, 11, n, rng)
    A = balanced(stack) if kind in {"scaled", "graded"} else stack
    norm = np.linalg.norm(A, 2, axis=(-2, -1))[:, None]
    by_lapack = smallest_singular_values(A, np.linalg.eigvals(stack)) / norm
    for instructions in available():
        values, is_left = in_lanes(stack, instructions)
        assert not is_left.any()
        errors = smallest_singular_values(A, values) / norm
        assert errors.max() < max(2e-15 * np.sqrt(n), 3 * by_lapack.max())
        traces = np.trace(A, axis1=1, axis2=2)
        assert (np.abs(values.sum(axis=1) - traces) <= 1e-14 * n * norm[:, 0]).all()


@needs_kernel
@pytest.mark.parametrize("n", [2, 7, 64])
@pytest.mark.parametrize("kind", ["random", "graded", "hermitian", "unitary", "embedded"])
def test_values_are_those_of_lapack(kind: str, n: int, rng: np.random.Generator) -> None:
    stack = matrices(kind, 9, n, rng)
    for instructions in available():
        values, is_left = in_lanes(stack, instructions)
        assert not is_left.any()
        for found, A in zip(values, stack, strict=True):
            expected = np.linalg.eigvals(A)
            assert matched_error(found, expected) < 1e-12


@needs_kernel
def test_known_eigenvalues() -> None:
    """The discrete Fourier transform has the eigenvalues 1, -1, i and -i; a circulant those of its first column's."""
    n = 24
    F = np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) / np.sqrt(n)
    c = np.exp(0.3j * np.arange(n) ** 2)
    circulant = np.stack([np.roll(c, k) for k in range(n)], axis=1)
    values, is_left = in_lanes(np.stack([F, circulant]))
    assert not is_left.any()
    multiplicities = {1: n // 4 + 1, -1: n // 4, -1j: n // 4, 1j: n // 4 - 1}
    assert matched_error(values[0], np.repeat(list(multiplicities), list(multiplicities.values()))) < 1e-14
    assert matched_error(values[1], np.fft.fft(c)) < 1e-13


@needs_kernel
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_a_matrix_does_not_depend_on_its_neighbours(dtype: type, rng: np.random.Generator) -> None:
    """The values are the same to the last bit alone, in other company, and in another order."""
    stack: Matrices = np.concatenate([matrices(kind, 5, 12, rng) for kind in KINDS]).astype(dtype)
    for instructions in available():
        values, _ = in_lanes(stack, instructions)
        order = rng.permutation(len(stack))
        np.testing.assert_array_equal(in_lanes(stack[order], instructions)[0], values[order])
        for index in (0, 17, 44):
            np.testing.assert_array_equal(in_lanes(stack[index : index + 1], instructions)[0][0], values[index])


@needs_kernel
@pytest.mark.parametrize("kind", KINDS)
def test_single_precision(kind: str, rng: np.random.Generator) -> None:
    stack: Matrices = matrices(kind, 19, 20, rng).astype(np.complex64)
    A = balanced(stack.astype(complex)) if kind in {"scaled", "graded"} else stack.astype(complex)
    norm = np.linalg.norm(A, 2, axis=(-2, -1))[:, None]
    for instructions in available():
        values, is_left = in_lanes(stack, instructions)
        assert not is_left.any()
        assert values.dtype == np.complex64
        errors = smallest_singular_values(A, values.astype(complex)) / norm
        assert errors.max() < 5e-6


@needs_kernel
@pytest.mark.parametrize("scale", [1e-307, 1e-150, 1e150, 1e305])
def test_extreme_scales(scale: float, rng: np.random.Generator) -> None:
    stack = matrices("random", 8, 6, rng)
    values, is_left = in_lanes(scale * stack)
    assert not is_left.any()
    for found, A in zip(values, stack, strict=True):
        assert matched_error(found / scale, np.linalg.eigvals(A)) < 1e-12


def test_what_lapack_permutes_is_left_to_it(rng: np.random.Generator) -> None:
    """The eigenvalues of a triangular matrix are its diagonal to the last bit, also of a nilpotent or zero one."""
    triangular = np.tril(matrices("random", 3, 8, rng))
    np.testing.assert_array_equal(np.sort(eigvals(triangular)), np.sort(np.diagonal(triangular, axis1=1, axis2=2)))
    nilpotent = np.diag(np.ones(7), -1)[None] + 0j
    assert not eigvals(np.concatenate([nilpotent, 0 * nilpotent])).any()
    if best_instructions() is not None:
        stack = np.concatenate([triangular, matrices("random", 6, 8, rng), nilpotent])
        assert in_lanes(stack)[1].tolist() == [True] * 3 + [False] * 6 + [True]


def test_stacks_of_every_shape_and_type(rng: np.random.Generator) -> None:
    stack = matrices("random", 12, 4, rng)
    np.testing.assert_array_equal(eigvals(stack.reshape(3, 2, 2, 4, 4)), eigvals(stack).reshape(3, 2, 2, 4))
    np.testing.assert_array_equal(eigvals(stack.swapaxes(1, 2)), eigvals(stack.swapaxes(1, 2).copy()))
    np.testing.assert_array_equal(eigvals(stack.real), np.linalg.eigvals(stack.real))
    np.testing.assert_array_equal(eigvals(stack[:, :1, :1]), stack[:, :1, 0])
    assert eigvals(stack[:0]).shape == (0, 4)
    assert eigvals(stack.astype(np.complex64)).dtype == np.complex64
    with pytest.raises(np.linalg.LinAlgError):
        eigvals(np.full((3, 4, 4), np.nan + 0j))


def test_without_the_kernel(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """LAPACK does all, in both precisions."""
    K = rng.standard_normal((6, 6, 3, 3))
    fast = pr.eigenvalues(K, 8)
    monkeypatch.setattr("polyroots.spectra.batched_qr.best_instructions", lambda: None)
    plain = pr.eigenvalues(K, 8)
    assert matched_error(fast.values, plain.values) < 1e-12
    single = pr.eigenvalues(K, 8, dtype=np.complex64)
    assert single.values.dtype == np.complex64
    assert matched_error(single.values, plain.values) < 1e-4


def test_the_error_of_single_precision_is_measured(rng: np.random.Generator) -> None:
    """At all frequencies of a small grid it is the largest distance from the eigenvalues in double precision."""
    K = rng.standard_normal((5, 5, 3, 3))
    single, double = pr.eigenvalues(K, 4, dtype=np.complex64), pr.eigenvalues(K, 4)
    distances = pr.spectra.moved(double, single)
    assert single_precision_error(single, 16) == pytest.approx(distances.max() / double.radius, rel=1e-2)
    assert 0 < single_precision_error(single, 5) <= single_precision_error(single, 16) < 1e-5
    with pytest.raises(pr.InputError, match="circular padding, got zeros"):
        single_precision_error(pr.eigenvalues(K, 4, padding="zeros"))
