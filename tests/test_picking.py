"""Roots that are eigenvalues: which of them are picked."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import polyroots as pr
from polyroots.roots.picking import _leaves_fillable
from polyroots.roots.select import choose_roots


def test_as_many_roots_as_points_are_the_points() -> None:
    values = [1, 2, 2, 3 + 1j, 3 - 1j]
    for strategy in ("least-squares", "minimax"):
        assert sorted(pr.select_roots(values, 3, strategy).tolist(), key=abs) == pytest.approx([1, 2, 3 + 1j, 3 - 1j])
    for strategy in ("least-squares", "minimax", "largest", "random", "extremal"):
        with pytest.raises(pr.InputError, match="degree 4 has 5 roots, but the spectrum has 4 distinct non-zero eig"):
            pr.select_roots(values, 4, strategy)


def test_equal_and_zero_candidates_are_one_and_none() -> None:
    near = [1, 1 + 1e-13, 1 - 1e-13, 3, 1e-14, 0]
    assert sorted(pr.select_roots(near, 1, "largest").real) == pytest.approx([1, 3])
    with pytest.raises(pr.InputError, match="the spectrum has 2 distinct"):
        pr.select_roots(near, 2, "leja")


def test_a_projected_root_near_zero_is_passed_over_and_said() -> None:
    """Of the real parts 0, 1 and 2, zero is no root, and a remark says that it was left out."""
    choice = choose_roots([3j, -3j, 1 + 1j, 1 - 1j, 2], blocks="L,L")
    assert choice.roots.tolist() == [1, 2]
    assert choice.remarks == ("the candidate 0 was left out: relative to the spectrum it is zero",)


def test_an_imaginary_spectrum_keeps_its_pairs() -> None:
    """All real parts are zero, so an even number of roots are pairs, and an odd one is an error."""
    choice = choose_roots([1j, -1j, 2j, -2j, 3j, -3j], 3)
    assert choice.blocks == ("C", "C")
    assert choice.remarks == ("too few real parts are different from zero: eigenvalues are chosen instead",)
    with pytest.raises(pr.InputError, match="blocks L,C need 1 distinct non-zero real parts, the spectrum has 0"):
        pr.select_roots([1j, -1j, 2j, -2j], 2)


@pytest.mark.parametrize(("reals", "pairs"), [(0, 2), (1, 2), (2, 1), (3, 0)])
def test_a_point_is_passed_over_if_the_others_cannot_make_up_the_number(reals: int, pairs: int) -> None:
    """The numbers of roots that the other points have together, by all their subsets."""
    points = np.array([1.0 + k for k in range(reals)] + [1j + k for k in range(pairs)], dtype=np.complex128)
    sizes = [1] * reals + [2] * pairs
    for left in range(1, sum(sizes) + 2):
        expected = []
        for index, size in enumerate(sizes):
            others = sizes[:index] + sizes[index + 1 :]
            sums = {sum(chosen) for n in range(len(others) + 1) for chosen in combinations(others, n)}
            expected.append(left - size in sums)
        assert _leaves_fillable(points, left).tolist() == expected
