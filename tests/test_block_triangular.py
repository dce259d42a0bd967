"""Zero-padded operators that are block triangular or tridiagonal: traces of powers, exact values, dense blocks."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from dense import dense_operator, matched_error
from hypothesis import given, settings, strategies as st

import polyroots as pr
from polyroots.spectra.block_triangular import _edge, _lengths, diagonal_blocks
from polyroots.spectra.convolution import Convolution


def line_values(b: float, a: float, c: float, n: int) -> list[complex]:
    """Return a + 2 sqrt(b c) cos(k pi / (n + 1)) from mpmath."""
    with mpmath.workdps(40):
        root = mpmath.sqrt(mpmath.mpc(mpmath.mpf(b) * mpmath.mpf(c)))
        return [complex(a + 2 * root * mpmath.cos(mpmath.pi * k / (n + 1))) for k in range(1, n + 1)]


@pytest.mark.parametrize(("taps", "n"), [([1, 0, 0.1], 5000), ([0.3, 2, 0.7], 301), ([1, 0.5, -2], 40), ([1, 1, 1], 1)])
def test_tridiagonal_lines_have_known_eigenvalues(taps: list[float], n: int) -> None:
    Lambda = pr.eigenvalues(np.array(taps).reshape(1, 1, 1, 3), (1, n), padding="zeros")
    b, a, c = taps
    expected = np.array(line_values(b, a, c, n))
    np.testing.assert_allclose(np.sort_complex(Lambda.values), np.sort_complex(expected), rtol=0, atol=1e-14)
    assert Lambda.errors.max() <= 1e-15 * np.abs(expected).max()


def test_the_ends_of_a_long_line_are_known() -> None:
    """[1, 0, 0.1] on 5,000 pixels has real eigenvalues up to 2 sqrt(0.1) cos(pi / 5001)."""
    found = pr.extreme_eigenvalues(np.array([1, 0, 0.1]).reshape(1, 1, 1, 3), (1, 5000), padding="zeros")
    top = 2 * np.sqrt(0.1) * np.cos(np.pi / 5001)
    assert found.is_exact
    assert (found.max_real, found.radius) == pytest.approx((top, top), rel=1e-14)
    assert (found.min_real, found.max_imag) == pytest.approx((-top, 0), rel=1e-14)


@pytest.mark.parametrize(("b", "c"), [(1, 0.1), (0.3, 0.7), (1, -0.5), (2, 2), (1, 0.999999)])
def test_conditions_of_lines_are_those_of_their_eigenvectors(b: float, c: float) -> None:
    """1 / |y* x| with the eigenvectors r^p sin(k p pi / (n + 1)) and r^-p sin, whose squares mpmath sums."""
    n = 20
    Lambda = pr.eigenvalues(np.array([b, 0.25, c]).reshape(1, 1, 1, 3), (1, n), padding="zeros")
    ratio = abs(Fraction(b) / Fraction(c))
    for k, condition in enumerate(Lambda.conditions, start=1):
        with mpmath.workdps(40):
            squares = [mpmath.sin(mpmath.pi * k * p / (n + 1)) ** 2 for p in range(1, n + 1)]
            powers = [(mpmath.mpf(ratio.numerator) / ratio.denominator) ** p for p in range(1, n + 1)]
            right = mpmath.fsum(power * square for power, square in zip(powers, squares, strict=True))
            left = mpmath.fsum(square / power for power, square in zip(powers, squares, strict=True))
            expected = float(mpmath.sqrt(right * left) / mpmath.fsum(squares))
        assert condition == pytest.approx(expected, rel=1e-7)


def test_the_condition_of_a_long_line_is_infinite() -> None:
    """It is of the order of 10^2500."""
    Lambda = pr.eigenvalues(np.array([1, 0, 0.1]).reshape(1, 1, 1, 3), (1, 5000), padding="zeros")
    assert np.isinf(Lambda.conditions).all()


def test_a_causal_kernel_repeats_the_operator_of_its_middle_column() -> None:
    """With the last column zero, the matrix is block triangular in columns; its blocks are those of the middle one."""
    K = np.random.default_rng(0).standard_normal((2, 2, 3, 3))
    K[:, :, :, 2] = 0
    Lambda = pr.eigenvalues(K, (10, 8), padding="zeros")
    column = np.linalg.eigvals(dense_operator(K[:, :, :, 1:2], (10, 1), padding="zeros"))
    assert matched_error(Lambda.values, np.tile(column, 8)) < 1e-12
    assert np.isinf(Lambda.conditions).all()
    assert Lambda.errors.max() < 1e-12
    # The dense solver loses twelve of its sixteen digits.
    assert matched_error(np.linalg.eigvals(dense_operator(K, (10, 8), padding="zeros")), np.tile(column, 8)) > 1e-5


@pytest.mark.parametrize(
    ("shape", "size", "taps"),
    [
        ((3, 3), (4, 6), [(0, 1), (1, 1), (2, 1), (1, 0)]),
        ((3, 3), (5, 4), [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2)]),
        ((3, 3), (5, 4), [(0, 2), (2, 0), (1, 1)]),
        ((5, 3), (6, 3), [(0, 2), (4, 0), (2, 1), (3, 2)]),
        ((5, 5), (7, 6), [(0, 2), (4, 2), (2, 2), (2, 4), (1, 3)]),
        ((1, 5), (3, 7), [(0, 0), (0, 4), (0, 2)]),
        ((3, 3), (3, 4), [(0, 1), (2, 1)]),
        ((5, 5), (2, 2), [(0, 0), (4, 4), (2, 2), (3, 2), (2, 0)]),
    ],
)
def test_taps_of_a_closed_half_plane_have_the_traces_of_the_dense_operator(
    shape: tuple[int, int], size: tuple[int, int], taps: list[tuple[int, int]]
) -> None:
    """Edges along the axes, diagonals and steps of a knight, gaps in the line, taps that reach out of the image."""
    rng = np.random.default_rng(31)
    K = np.zeros((2, 2, *shape))
    for y, x in taps:
        K[:, :, y, x] = rng.standard_normal((2, 2))
    assert len(diagonal_blocks(Convolution.of(K, size, padding="zeros"))) >= 1
    values = pr.eigenvalues(K, size, padding="zeros").values
    A = dense_operator(K, size, padding="zeros")
    assert len(values) == len(A)
    for power in range(1, 7):
        trace = np.trace(np.linalg.matrix_power(A, power))
        bound = 1e-12 * len(A) * np.linalg.norm(A, 2) ** power
        assert abs((values**power).sum() - trace) <= bound


@settings(max_examples=40, deadline=None)
@given(
    mask=st.lists(st.booleans(), min_size=9, max_size=9),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_taps_have_the_traces_of_the_dense_operator(
    mask: list[bool], size: tuple[int, int], dilation: tuple[int, int], seed: int
) -> None:
    K = np.random.default_rng(seed).standard_normal((2, 2, 3, 3)) * np.array(mask).reshape(3, 3)
    values = pr.eigenvalues(K, size, padding="zeros", dilation=dilation).values
    A = dense_operator(K, size, dilation, padding="zeros")
    blocks = diagonal_blocks(Convolution.of(K, size, padding="zeros", dilation=dilation))
    assert sum(block.copies * block.operator.shape[0] for block in blocks) == len(A)
    for power in range(1, 5):
        trace = np.trace(np.linalg.matrix_power(A, power))
        assert abs((values**power).sum() - trace) <= 1e-11 * len(A) * float(np.linalg.norm(A, 2)) ** power


def test_long_lines_beside_others_are_direct() -> None:
    """A causal kernel on 100x100 has lines of 100 pixels, also where 20,000 unknowns are too many for the matrix."""
    K = np.random.default_rng(37).standard_normal((2, 2, 3, 3))
    K[:, :, 2] = 0
    Lambda = pr.eigenvalues(K, 100, padding="zeros")
    line = np.linalg.eigvals(dense_operator(K[:, :, 1:2], (1, 100), padding="zeros"))
    assert len(Lambda) == 20_000
    assert Lambda.radius == pytest.approx(np.abs(line).max(), rel=1e-6)


def test_lines_of_coupled_channels_are_balanced() -> None:
    """Two channels of [1, 0, 0.1] in a rotated basis have its eigenvalues twice; LAPACK's radius is 0.71."""
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    K = np.einsum("ij,x->ijx", turn @ np.diag([1.0, 2.0]) @ turn.T, [1, 0, 0.1])[:, :, None, :]
    Lambda = pr.eigenvalues(K, (3, 64), padding="zeros")
    one = np.array(line_values(1, 0, 0.1, 64)).real
    expected = np.sort(np.tile(np.concatenate([one, 2 * one]), 3))
    np.testing.assert_allclose(np.sort(Lambda.values.real), expected, atol=1e-12)


def test_kernels_without_an_edge_are_their_own_block() -> None:
    operator = Convolution.of(np.ones((1, 1, 3, 3)), (4, 5), padding="zeros")
    (block,) = diagonal_blocks(operator)
    assert (block.operator, block.copies, block.is_coupled) == (operator, 1, False)


@pytest.mark.parametrize("size", [(4, 7), (1, 5), (6, 3)])
@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1), (-1, 2), (2, -1), (0, -3), (5, 5)])
def test_lines_along_a_step_are_those_that_are_walked(size: tuple[int, int], step: tuple[int, int]) -> None:
    H, W = size
    lengths, left = [], {(y, x) for y in range(H) for x in range(W)}
    while left:
        y, x = min(left)
        while (y - step[0], x - step[1]) in left:
            y, x = y - step[0], x - step[1]
        length = 0
        while (y, x) in left:
            left.remove((y, x))
            y, x, length = y + step[0], x + step[1], length + 1
        lengths.append(length)
    assert sorted(_lengths(size, np.array(step)).tolist()) == sorted(lengths)


@settings(max_examples=60, deadline=None)
@given(taps=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=5))
def test_an_edge_has_all_taps_on_one_side(taps: list[tuple[int, int]]) -> None:
    step = _edge(np.array(taps))
    others = [tap for tap in taps if tap != (0, 0)]

    def across(a: tuple[int, int]) -> list[int]:
        return [a[0] * x - a[1] * y for y, x in others]

    edges = [a for a in others if min(across(a)) >= 0 or max(across(a)) <= 0]
    if step is None:
        assert others
        assert not edges
    elif others:
        cross = across((int(step[0]), int(step[1])))
        assert min(cross) >= 0 or max(cross) <= 0
        # The step divides the taps on the edge, and no multiple of it does.
        on_edge = [tap for tap, side in zip(others, cross, strict=True) if side == 0]
        steps = [(y * step[0] + x * step[1]) / (step @ step) for y, x in on_edge]
        assert on_edge
        assert all(number == round(number) for number in steps)
        assert math.gcd(*(round(number) for number in steps)) == 1
