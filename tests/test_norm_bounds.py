"""Whether norms are at most a bound, for real and complex matrices in single and double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyroots as pr
from polyroots.polynomials.blocks import ComplexPair, Factor, Linear
from polyroots.polynomials.ideal import _Search
from polyroots.polynomials.norm_test import norms_at_most
from polyroots.polynomials.partial_products import _gain_of_vector, _most_amplified
from polyroots.polynomials.symbol_norms import SymbolNorms, _in_double, _in_single
from polyroots.spectra.nonnormality import SymbolBlocks, _farthest
from polyroots.spectra.operator_blocks import OperatorBlocks, restriction_to_range


@pytest.mark.parametrize("rows", [1, 5, 40, 130])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_norms_are_compared_as_singular_values_are(dtype: Any, rows: int) -> None:
    rng = np.random.default_rng(19)
    is_complex = np.issubdtype(dtype, np.complexfloating)
    real, imaginary = rng.standard_normal((2, 7, rows, rows))
    stack = (real + 1j * imaginary if is_complex else real).astype(dtype)
    norms = np.linalg.svd(stack.astype(np.complex128), compute_uv=False)[:, 0]
    for norm in norms:
        for bound in (norm * (1 - 1e-3), norm * (1 + 1e-3)):
            assert norms_at_most(bound, stack).tolist() == (norms <= bound).tolist()
    assert not norms_at_most(0.0, stack).any()
    assert norms_at_most(0.0, np.zeros_like(stack)).all()
    stack[2, 0, 0], stack[5, rows - 1, 0] = np.inf, np.nan
    assert norms_at_most(1e9, stack).tolist() == [True, True, False, True, True, False, True]


@pytest.mark.parametrize("rows", [3, 40])
def test_squares_that_overflow_are_no_bound(rows: int) -> None:
    """The norm is 1e200 times the number of rows, its square is beyond float64."""
    stack = np.full((1, rows, rows), 1e200)
    assert not norms_at_most(1e199 * rows, stack).any()


@pytest.mark.parametrize("rows", [3, 32])
@pytest.mark.parametrize("root", [1.0, 0.05])
def test_frequencies_where_products_exceed_a_bound_are_found(rows: int, root: float) -> None:
    """By singular values of all blocks; those of 32 rows are compared in single precision first."""
    rng = np.random.default_rng(23)
    K = rng.standard_normal((rows, rows, 3, 3)) / (20 * np.sqrt(rows))
    K[range(rows), range(rows), 1, 1] += 1
    factors = [Linear(root), Linear(1.1 * root)]
    norms = SymbolNorms(pr.Convolution.of(K, (4, 6)))
    blocks = norms.blocks.stack(np.arange(len(norms.blocks.ky)))
    one = np.eye(rows) - blocks / root
    two = one @ (np.eye(rows) - blocks / (1.1 * root))
    of_one, of_two = (np.linalg.norm(products, 2, axis=(1, 2)) for products in (one, two))
    assert (of_two.max() < 1) == (root == 1.0)
    assert norms.largest(factors) == pytest.approx(of_two.max(), rel=1e-12)
    least = np.array([of_two.argmin()])
    for counts, expected in (([1], of_one), ([2], of_two), ([1, 2], np.maximum(of_one, of_two))):
        position = int(np.delete(expected, least).argmax())
        for share in (0.5, 0.9999, 1.0001, 2.0):
            found = norms.above(factors, share * expected.max(), counts, least)
            assert bool(found) is (share < 1)
            if found:
                assert found[0][0] == pytest.approx(expected.max(), rel=1e-12)
                assert found[0][1] == position + (position >= least[0])


def test_a_real_block_is_filled_by_a_real_eigenvalue() -> None:
    """Beside a zero: the eigenvalue 2, rather than +- 3i, but not rather than +- 5i."""
    for imaginary, is_real in ((3.0, True), (5.0, False)):
        block = np.zeros((4, 4))
        block[0, 0], block[1, 2], block[2, 1] = 2, -imaginary, imaginary
        filled, rank = restriction_to_range(block, 1e-12)
        assert rank == 3
        assert np.isrealobj(filled) is is_real
        values = np.linalg.eigvals(filled)
        assert np.sort(np.abs(values)) == pytest.approx([2, *[2] * is_real, *[imaginary] * (3 - is_real)])


def test_the_frequencies_that_reach_farthest_are_looked_at_first(rng: np.random.Generator) -> None:
    Lambda = pr.eigenvalues(rng.standard_normal((3, 3, 3, 3)), (6, 5))
    blocks = SymbolBlocks(Lambda.convolution)
    for phi in (0.0, 1.0, -2.0):
        found = _farthest(blocks, phi, Lambda.values)
        values = np.linalg.eigvals(blocks.stack(np.arange(len(blocks.ky))))
        reach = (np.cos(phi) * values.real + np.sin(phi) * values.imag).max(axis=1)
        assert found.tolist() == sorted(range(len(reach)), key=lambda k: -reach[k])[:8]


def test_single_precision_is_enough_where_its_errors_are_small() -> None:
    """A twentieth of the margin of 1e-3 times the bound; errors are those of numpy's product in single precision."""
    rng = np.random.default_rng(29)
    K = rng.standard_normal((32, 32, 3, 3)) / 100
    K[range(32), range(32), 1, 1] += 1
    norms, near = SymbolNorms(pr.Convolution.of(K, (4, 6))), np.array([0, 3])
    A = norms.blocks.stack(near)
    for root in (1.0, 0.1, 0.01):
        factors: list[Factor] = [Linear(root), ComplexPair(root, 0.3 * root)]
        exact = [np.eye(32) - A / root]
        exact.append(exact[0] @ (np.eye(32) - (2 * root * A - A @ A) / (1.09 * root**2)))
        size = max(np.linalg.norm(product, axis=(1, 2)).max() for product in exact)
        assert norms._single_is_enough(0.5 * size, factors, [1, 2], near)
        # Rounding errors of single precision are at least 1e-9 of the product, and 1e-5 at most.
        assert not norms._single_is_enough(1e-9 * size / 5e-5, factors, [1, 2], near)
    for bound in (0.0, np.inf, -1.0):
        assert not norms._single_is_enough(bound, [Linear(1.0)], [1], near)


def test_blocks_in_single_precision_are_kept_for_the_next_polynomial() -> None:
    rng = np.random.default_rng(37)
    norms = SymbolNorms(pr.Convolution.of(rng.standard_normal((32, 32, 3, 3)), (4, 6)))
    A, square = norms._single(0), norms._square(0)
    exact = norms.blocks.stack(norms._tasks[0])
    np.testing.assert_allclose(A, exact, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(square, exact @ exact, rtol=1e-3, atol=1e-2)
    assert norms._single(0) is A
    assert norms._square(0) is square


def test_only_the_products_that_are_asked_for_are_made(rng: np.random.Generator) -> None:
    """Of I - A / 2, and of its products with I + A / 3 and then with I - A / 5; the first two from A^2."""
    A = (rng.standard_normal((4, 33, 33)) + 1j * rng.standard_normal((4, 33, 33))) / 8
    factors, one = [Linear(2.0), Linear(-3.0), Linear(5.0)], np.eye(33)
    exact = [one - A / 2]
    exact += [exact[0] @ (one + A / 3), exact[0] @ (one + A / 3) @ (one - A / 5)]
    single = A.astype(np.complex64)
    for counts in ([1], [2], [3], [1, 3], [1, 2, 3]):
        found = list(_in_single(factors, single, single @ single, counts))
        assert len(found) == len(counts)
        for product, count in zip(found, counts, strict=True):
            np.testing.assert_allclose(product, exact[count - 1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_the_vector_that_a_matrix_amplifies_most(rows: int, scale: float, rng: np.random.Generator) -> None:
    matrix = rng.standard_normal((rows, rows)) + 1j * rng.standard_normal((rows, rows))
    matrix += 20 * rows**0.5 * np.outer(np.arange(rows) == 1, np.arange(rows) == 2)
    v = _most_amplified(scale * matrix)
    assert v.shape == (rows, 1)
    assert np.linalg.norm(v) == pytest.approx(1, rel=1e-12)
    assert np.linalg.norm(matrix @ v) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-4)
    matrix[0, 1] = np.nan
    assert np.linalg.norm(_most_amplified(matrix)) == pytest.approx(1, rel=1e-12)


def test_the_first_product_that_exceeds_a_bound_has_a_gain(rng: np.random.Generator) -> None:
    stack = rng.standard_normal((5, 4, 4)) + 0j
    factors: list[Factor] = [Linear(3.0), ComplexPair(1.0, 2.0)]
    first = np.eye(4) - stack / 3
    both = first @ (np.eye(4) - (2 * stack - stack @ stack) / 5)
    norms = [np.linalg.norm(products, 2, axis=(1, 2)) for products in (first, both)]
    assert norms[0].max() < norms[1].max()
    for bound, count in ((0.9 * norms[0].max(), 1), (0.9 * norms[1].max(), 2)):
        assert (norms[0].max() > bound) == (count == 1)
        found = _gain_of_vector(stack, factors, bound)
        assert found is not None
        assert found[0] == count
        assert found[1](1.0) == pytest.approx(norms[count - 1].max(), rel=1e-9)
        # Relaxed, the gain is that of the same vector: at most the norm of the relaxed product.
        relaxed = np.eye(4) - stack / 6
        relaxed = relaxed if count == 1 else relaxed @ (np.eye(4) - (stack - stack @ stack / 4) / 5)
        assert 0 < found[1](0.5) <= np.linalg.norm(relaxed, 2, axis=(1, 2)).max() * (1 + 1e-12)
    assert _gain_of_vector(stack, factors, 1.01 * norms[1].max()) is None


def test_polynomials_of_blocks_are_those_of_the_krylov_space(rng: np.random.Generator) -> None:
    """q(B) x, its norms and singular vectors, and R with |q(B) v| = |R s|, from products over roots."""
    K = rng.standard_normal((3, 3, 3, 3)) / 9
    K[range(3), range(3), 1, 1] += 2
    blocks = OperatorBlocks(pr.Convolution.of(K, (3, 4)), is_regular=True)
    search = _Search(blocks, 3, (1.5,))
    s = search.krylov.residual(search.krylov.least())
    stack = blocks.stack(blocks.numbers)
    q = np.broadcast_to(np.eye(3) + 0j, stack.shape)
    for root in [1.5, *search.krylov.roots(s)]:
        q = q @ (np.eye(3) - stack / root)
    x = rng.standard_normal((len(stack), 3, 2))
    np.testing.assert_allclose(search._apply(s, stack, x + 0j), q @ x, atol=1e-10)
    exact = np.linalg.norm(q, 2, axis=(1, 2))
    norms, vectors = search._norms(s, blocks.numbers)
    np.testing.assert_allclose(norms, exact, rtol=1e-8)
    known, some = search._norms(s, blocks.numbers, 2 * exact.max())
    assert (known.max(), some) == (0, {})
    places = np.argsort(-exact)[:2]
    search._add(places, blocks.numbers, vectors)
    for number, v, R in zip(search.pairs.numbers, search.pairs.vectors, search.pairs.factors, strict=True):
        assert number in blocks.numbers[places]
        assert np.linalg.norm(v) == pytest.approx(1, rel=1e-12)
        place = int(np.flatnonzero(blocks.numbers == number)[0])
        assert np.linalg.norm(R @ s) == pytest.approx(np.linalg.norm(q[place] @ v), rel=1e-8)
        assert np.linalg.norm(R @ s) >= 0.98 * exact[place] * (1 - 1e-9)
    largest, v = search._largest(s, stack[places[0]])
    assert largest == pytest.approx(exact.max(), rel=1e-8)
    assert np.linalg.norm(q[places[0]] @ v) == pytest.approx(exact.max(), rel=1e-6)


@pytest.mark.parametrize("order", ["LLL", "LLC", "LCL", "CLL", "L", "CC"])
def test_products_in_single_precision_are_those_of_the_first_factors(order: str, rng: np.random.Generator) -> None:
    stack = rng.standard_normal((2, 3, 3)) + 1j * rng.standard_normal((2, 3, 3))
    factors: list[Factor] = [
        Linear(2.0 + k) if letter == "L" else ComplexPair(1.0 + k, 2.0) for k, letter in enumerate(order)
    ]
    single = stack.astype(np.complex64)
    products = [np.broadcast_to(np.eye(3) + 0j, stack.shape)]
    for factor in factors:
        products.append(products[-1])
        for root in factor.roots:
            products[-1] = products[-1] @ (np.eye(3) - stack / root)
    every = list(range(1, len(order) + 1))
    for counts in (every, every[1:], every[-1:], every[:1]):
        expected = [products[count] for count in counts]
        found, double = list(_in_single(factors, single, single @ single, counts)), _in_double(factors, stack, counts)
        assert {matrices.dtype for matrices in found} <= {np.dtype(np.complex64)}
        for ours, theirs, product in zip(found, double, expected, strict=True):
            np.testing.assert_allclose(ours, product, atol=1e-4 * np.abs(product).max())
            np.testing.assert_allclose(theirs, product, atol=1e-12 * np.abs(product).max())
