"""Whether norms are at most a bound, for real and complex matrices in single and double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from polyroots.polynomials.norm_test import norms_at_most


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
