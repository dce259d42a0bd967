"""Whether norms are at most a bound, for real and complex matrices in single and double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyroots as pr
from polyroots.polynomials.blocks import Linear
from polyroots.polynomials.norm_test import norms_at_most
from polyroots.polynomials.symbol_norms import SymbolNorms
from polyroots.spectra.operator_blocks import restriction_to_range


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
