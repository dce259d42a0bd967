"""Zero-padded operators with taps on the axes alone, against formulas and dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from dense import dense_operator, matched_error
from scipy.linalg import eig

import polyroots as pr


def cross(column: list[float], row: list[float]) -> np.ndarray:
    """Kernel with taps on the axes; the centre is that of the row."""
    K = np.zeros((len(column), len(row)))
    K[:, len(row) // 2] = column
    K[len(column) // 2] = row
    return K


def test_the_laplacian_has_its_formula_beyond_the_limit_of_dense_solvers() -> None:
    """4 - 2 cos(i pi / (H + 1)) - 2 cos(j pi / (W + 1)) at 128x96, all 12,288 of them, each with the condition 1."""
    Lambda = pr.eigenvalues(cross([-1, 0, -1], [-1, 4, -1]), (128, 96), padding="zeros")
    i, j = np.arange(1, 129)[:, None], np.arange(1, 97)
    expected = 4 * np.sin(i * np.pi / 258) ** 2 + 4 * np.sin(j * np.pi / 194) ** 2
    np.testing.assert_allclose(np.sort(Lambda.values.real), np.sort(expected.ravel()), rtol=0, atol=5e-15)
    assert not Lambda.values.imag.any()
    np.testing.assert_allclose(Lambda.conditions, 1)
    ends = pr.extreme_eigenvalues(cross([-1, 0, -1], [-1, 4, -1]), (128, 96), padding="zeros")
    assert ends.is_exact
    assert ends.max_real == pytest.approx(expected.max(), abs=1e-14)
    # Roots without Arnoldi's method, and their diagnosis.
    q = pr.ResidualPolynomial(pr.select_roots(Lambda, 3, "minimax"))
    assert np.abs(q(expected)).max() < 1


@pytest.mark.parametrize(
    ("column", "row", "size", "dilation"),
    [
        ([1, 0, 0.5], [0.3, 2, -0.7], (6, 7), 1),
        ([1, 0, 0], [0.3, 2, 0.7], (5, 6), 1),
        ([1, 0, 0.5], [0.3, 2, 0.6], (7, 9), 2),
        ([0.5, 1, 0, 0.2, 0.1], [0.3, 2, -0.7], (6, 5), 1),
        ([1, 0, 0.5], [0.3, 2, 0.7], (2, 2), (3, 1)),
        ([1, 0, 0.5], [0.3, 2, 0.7], (7, 4), (2, 1)),
    ],
)
def test_sums_are_those_of_the_dense_operator(
    column: list[float], row: list[float], size: tuple[int, int], dilation: int | tuple[int, int]
) -> None:
    K = cross(column, row)
    A = dense_operator(K[None, None], size, dilation=dilation, padding="zeros")
    Lambda = pr.eigenvalues(K, size, padding="zeros", dilation=dilation)
    tolerance = 1e-12 if 0 not in (column[0], column[-1]) else 1e-2
    assert matched_error(Lambda.values, np.linalg.eigvals(A).astype(complex)) < tolerance
    np.testing.assert_allclose(np.sum(Lambda.values), np.trace(A), rtol=1e-13)
    np.testing.assert_allclose(np.sum(Lambda.values**2), np.trace(A @ A), rtol=1e-12)


def test_conditions_are_those_of_the_dense_operator() -> None:
    K = cross([1.3, 0, 0.9], [0.3, 2, 0.4])
    A = dense_operator(K[None, None], (5, 6), padding="zeros")
    values, left, right = eig(A, left=True, right=True)
    dense = 1 / np.abs((left.conj() * right).sum(axis=0))
    Lambda = pr.eigenvalues(K, (5, 6), padding="zeros")
    for value, condition in zip(Lambda.values, Lambda.conditions, strict=True):
        assert condition == pytest.approx(dense[np.abs(values - value).argmin()], rel=1e-8)


def test_each_group_is_a_sum_of_its_own() -> None:
    K = np.stack([cross([-1, 0, -1], [-1, 4, -1]), cross([-1, 0, -2], [-0.5, 3, -1])])[:, None]
    Lambda = pr.eigenvalues(K, (80, 70), padding="zeros", groups=2)
    assert len(Lambda) == 2 * 80 * 70
    assert Lambda.values.real.sum() == pytest.approx(80 * 70 * 7, rel=1e-12)
