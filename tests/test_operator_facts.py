"""What is known of an operator beside its eigenvalues: its norms, whether it is Hermitian, what it is a sum of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from general import general
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator

import polyroots as pr
from polyroots.roots.picking import _first_of_the_best
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.general_operator import GeneralOperator, as_operator
from polyroots.spectra.kronecker_sum import summands
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.operator_spectrum import _of_blocks
from polyroots.spectra.stencil import Stencil


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
@pytest.mark.parametrize("is_complex", [False, True])
def test_hermitian_matrices_are_told_from_others(kind: Any, is_complex: bool, rng: np.random.Generator) -> None:
    A = rng.standard_normal((6, 6)) + 1j * is_complex * rng.standard_normal((6, 6))
    A = A if is_complex else A.real
    H = A + A.conj().T
    assert general(kind(H)).is_hermitian
    # Within rounding errors of the largest entry, and beyond them.
    eps = np.finfo(float).eps * np.abs(H).max()
    for share, expected in ((4, True), (16, False)):
        near = H.copy()
        near[0, 1] += share * eps
        assert general(kind(near)).is_hermitian is expected
    assert not general(kind(A)).is_hermitian
    assert not general(kind(A - A.conj().T)).is_hermitian


def test_the_zero_matrix_is_hermitian_and_products_are_not_known_to_be() -> None:
    assert general(np.zeros((5, 5))).is_hermitian
    assert not general(LinearOperator((5, 5), matvec=lambda x: x, dtype=np.float64)).is_hermitian


def test_the_bound_on_the_norm_is_that_of_row_and_column_sums(rng: np.random.Generator) -> None:
    A = rng.standard_normal((4, 4)) * np.array([1.0, 2.0, 30.0, 4.0])
    expected = np.sqrt(np.linalg.norm(A, 1) * np.linalg.norm(A, np.inf))
    for kind in (np.asarray, csr_array):
        assert general(kind(A)).norm_bound == pytest.approx(expected, rel=1e-14)
    # Channels that are coupled in one direction: row and column sums differ.
    kernel = rng.standard_normal((3, 3, 3, 2, 2)) * np.array([1.0, 20.0, 3.0])[:, None, None, None, None]
    stencil = Stencil(kernel, (3, 4, 5), "circular")
    dense = stencil.matrix.toarray()
    bound = np.sqrt(np.linalg.norm(dense, 1) * np.linalg.norm(dense, np.inf))
    assert stencil.norm_bound == pytest.approx(bound, rel=1e-14)
    assert np.linalg.norm(dense, 2) <= bound


def test_the_norm_of_products_is_estimated_from_below() -> None:
    """The power iteration of a diagonal matrix approaches its largest entry."""
    values = np.array([1.0, -2.0, 8.0, 0.5])
    found = general(LinearOperator((4, 4), matvec=lambda x: values * x.ravel(), dtype=np.float64)).norm_bound
    assert 8 * (1 - 1e-6) <= found <= 8 * (1 + 1e-15)
    assert general(LinearOperator((4, 4), matvec=lambda x: 0 * x, dtype=np.float64)).norm_bound == 1.0


def test_what_is_known_of_products() -> None:
    without = general(LinearOperator((2000, 2000), matvec=lambda x: x, dtype=np.float64))
    assert not any((without.has_adjoint, without.has_norm, without.has_symbol, without.is_complex))
    small = general(LinearOperator((4, 4), matvec=lambda x: x, dtype=np.float64))
    assert small.has_norm
    assert small.grid == small.shape[:1] == (4,)
    with_adjoint = general(LinearOperator((2000, 2000), matvec=lambda x: x, rmatvec=lambda x: x, dtype=np.complex128))
    assert with_adjoint.has_adjoint
    assert with_adjoint.has_norm
    assert with_adjoint.is_complex
    cube = as_operator(np.ones((2, 2, 2)), size=3)
    assert isinstance(cube, GeneralOperator)
    assert cube.has_symbol
    assert cube.grid == (3, 3, 3)
    assert cube.matrix is None
    bounded = as_operator(np.ones((2, 2, 2)), size=3, padding="zeros")
    assert isinstance(bounded, GeneralOperator)
    assert not bounded.has_symbol
    assert bounded.matrix.shape == (27, 27)


@pytest.mark.parametrize(
    ("kernel", "is_sum"),
    [
        ([[0, 1, 0], [2, 3, 4], [0, 5, 0]], True),
        ([[0, 1, 0], [0, 3, 0], [0, 5, 0]], False),
        ([[0, 0, 0], [2, 3, 4], [0, 0, 0]], False),
        ([[0, 1, 0], [0, 3, 4], [0, 0, 0]], True),
        ([[0, 0, 0], [2, 3, 0], [0, 5, 0]], True),
        ([[1, 1, 0], [2, 3, 4], [0, 5, 0]], False),
        ([[0, 0, 0], [0, 3, 0], [0, 0, 0]], False),
    ],
)
def test_taps_on_both_axes_are_a_kronecker_sum(kernel: list[list[float]], is_sum: bool) -> None:
    weight = np.array(kernel, dtype=float)[None, None]
    found = summands(Convolution.of(weight, (4, 5), padding="zeros", name="A"))
    assert (found is not None) is is_sum
    assert summands(Convolution.of(weight, (4, 5), padding="circular", name="A")) is None
    if found is not None:
        column, row = (np.asarray(pr.eigenvalues(part.weight, part.size, padding="zeros").values) for part in found)
        # The eigenvalues of a Kronecker sum are sums; their total is the trace, the centre tap at each pixel.
        assert (column[:, None] + row).sum() == pytest.approx(4 * 5 * kernel[1][1])
        assert (column.size, row.size) == (4, 5)


def test_of_equal_scores_the_point_of_largest_modulus_is_taken() -> None:
    points = np.array([1.0, -3.0, 2.0, 5.0])
    assert _first_of_the_best(np.array([7.0, 7.0, 7.0, 6.0]), points) == 1
    # Up to rounding: relative to a large score, absolutely to a small one.
    assert _first_of_the_best(np.array([1e6, 1e6 - 1e-9, 0.0, 0.0]), points) == 1
    assert _first_of_the_best(np.array([1e6, 1e6 - 1.0, 0.0, 0.0]), points) == 0
    for infinite in (-np.inf, np.inf):
        assert _first_of_the_best(np.full(4, infinite), points) == 3


def test_functions_on_one_point_and_with_complex_values_are_operators() -> None:
    one = as_operator(lambda x: 2 * x, 1)
    assert isinstance(one, GeneralOperator)
    assert one.shape == (1, 1)
    assert not one.is_complex
    turned = as_operator(lambda x: 1j * x, (1, 3))
    assert isinstance(turned, GeneralOperator)
    assert turned.shape == (3, 3)
    assert turned.is_complex
    np.testing.assert_array_equal(turned.products.matvec(np.arange(3.0)), 1j * np.arange(3))


def test_entries_that_are_no_numbers_are_counted() -> None:
    A = np.eye(4)
    A[0, 1], A[2, 3], A[3, 0] = np.nan, np.inf, -np.inf
    for kind, entries in ((np.asarray, 16), (csr_array, 7)):
        with pytest.raises(pr.InputError, match=f"A: 3 of {entries} entries of the matrix are NaN or infinite"):
            as_operator(kind(A))


def test_operators_fit_into_a_dense_matrix_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyroots.spectra.general_operator.DENSE_LIMIT", 5)
    A = np.triu(np.ones((5, 5)))
    np.testing.assert_array_equal(general(A).as_convolution().weight[:, :, 0, 0], A)
    for kind in (np.asarray, csr_array):
        with pytest.raises(pr.InputError, match="a real matrix of at most 5 unknowns"):
            general(kind(np.eye(6))).as_convolution()
    with pytest.raises(pr.InputError, match="a real matrix"):
        general(1j * A).as_convolution()


def test_grids_and_functions_on_one_point_and_on_none() -> None:
    line = as_operator(np.array([1.0, 4.0, 2.0]).reshape(1, 3, 1), size=(1, 5, 1))
    assert isinstance(line, GeneralOperator)
    assert line.shape == (5, 5)
    for size in (0, (0, 3), ()):
        with pytest.raises(pr.InputError, match="A: expected a size of at least 1"):
            as_operator(lambda x: x, size)
    with pytest.raises(pr.InputError, match="expected a stencil with as many dimensions as the grid"):
        as_operator(np.ones((2, 2, 2)), size=(3, 0, 3))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_blocks_are_hermitian_up_to_rounding_of_their_norm(scale: float, rng: np.random.Generator) -> None:
    half = rng.standard_normal((3, 4, 4)) + 1j * rng.standard_normal((3, 4, 4))
    H = scale * (half + half.conj().swapaxes(1, 2))
    finest, norm = 1e-15, np.abs(H).sum(axis=2).max()
    for share, is_hermitian in ((0.4, True), (40.0, False)):
        near = H.copy()
        near[1, 0, 1] += share * finest * norm
        values, resolution = _of_blocks(near, finest)
        assert (values.imag == 0).all() == is_hermitian
        assert values.shape == resolution.shape == (12,)
        np.testing.assert_allclose(np.sort(values.real), np.sort(np.linalg.eigvalsh(H).ravel()), rtol=1e-9)
        assert resolution.min() == pytest.approx(finest * norm, rel=0.5)
    one, resolution = _of_blocks(H[:, :1, :1], finest)
    np.testing.assert_array_equal(one, H[:, 0, 0])
    np.testing.assert_allclose(resolution, finest * np.abs(H[:, 0, 0]).max(), rtol=1e-15)


def test_blocks_of_the_high_frequencies_of_a_stencil_in_three_dimensions(rng: np.random.Generator) -> None:
    operator = as_operator(rng.standard_normal((3, 3, 3)), size=(4, 3, 2))
    assert isinstance(operator, GeneralOperator)
    every = OperatorBlocks(operator, is_regular=True)
    high = OperatorBlocks(operator, "high", is_regular=True)
    # Low frequencies have |theta| < pi / 2 in all directions.
    low = [
        number
        for number, k in enumerate(np.ndindex(4, 3, 2))
        if all(4 * min(i, n - i) < n for i, n in zip(k, (4, 3, 2), strict=True))
    ]
    assert low == [0]
    assert every.numbers.tolist() == list(range(24))
    assert high.numbers.tolist() == list(range(1, 24))
    np.testing.assert_array_equal(high.stack(high.numbers), every.stack(every.numbers)[1:])


def test_the_resolution_of_eigenvalues_scales_with_the_operator(rng: np.random.Generator) -> None:
    A = rng.standard_normal((8, 8))
    for kind, steps in ((A, None), (A + A.T, None), (csr_array(A), 4)):
        plain, large = (pr.operator_eigenvalues(factor * kind, steps=steps) for factor in (1.0, 2.0**20))
        np.testing.assert_allclose(large.values, 2.0**20 * plain.values, rtol=1e-12)
        np.testing.assert_allclose(large.resolution, 2.0**20 * plain.resolution, rtol=1e-9)
