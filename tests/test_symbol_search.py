"""The steps of the search for extreme eigenvalues of a symbol, each against its definition."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from polyroots.spectra.convolution import Convolution
from polyroots.spectra.symbol_search import ENDS, SymbolSearch, _around, _newton_step, _without_dilation

STENCIL = np.array(list(product((-1.0, 0.0, 1.0), repeat=2)))


def searched(K: NDArray[np.float64], size: tuple[int, int], **options: Any) -> SymbolSearch:
    return SymbolSearch(Convolution.of(K, size, **options), workers=1)


def test_newtons_step_is_to_the_maximum_of_a_quadratic(rng: np.random.Generator) -> None:
    """f = c + g z + z Q z / 2 has its maximum at -Q^-1 g."""
    heights, expected = [], []
    for scale in (1e-6, 1.0, 1e6):
        for _ in range(10):
            half = rng.standard_normal((2, 2))
            Q, g = -half @ half.T - 0.1 * np.eye(2), rng.standard_normal(2)
            heights.append(scale * (3 + STENCIL @ g + np.einsum("ni,ij,nj->n", STENCIL, Q, STENCIL) / 2))
            expected.append(-np.linalg.solve(Q, g))
    np.testing.assert_allclose(_newton_step(np.array(heights)), expected, rtol=1e-7, atol=1e-7)


def test_newtons_step_is_zero_where_there_is_no_maximum() -> None:
    """Flat directions are left out; valleys, saddles and slopes without an end have no step at all."""
    y, x = STENCIL.T
    flat, valley, saddle, slope, plane, other = (
        1 - (x - 0.25) ** 2,
        1 + y**2 + x**2 + x,
        y**2 - x**2 + 0.1 * y + 0.5 * x,
        1 - x**2 + x + 0.1 * y,
        np.ones(9),
        1 - (y + x - 0.5) ** 2,
    )
    found = _newton_step(np.stack([flat, valley, saddle, slope, plane, other]))
    expected = np.array([[0, 0.25], [0, 0], [0, 0], [0, 0], [0, 0], [0.25, 0.25]])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_around_an_index_are_its_eight_neighbours() -> None:
    found = _around(np.array([[4, 7], [0, 0]]))
    expected = {(4 + y, 7 + x) for y in (-1, 0, 1) for x in (-1, 0, 1)} | set(product((-1, 0, 1), repeat=2))
    assert len(found) == len(expected) == 18
    assert set(map(tuple, found.tolist())) == expected


@pytest.mark.parametrize(
    ("kernel", "size", "dilation"),
    [((3, 3), (8, 9), (3, 2)), ((3, 5), (12, 10), (8, 3)), ((2, 3), (6, 7), (2, 4)), ((1, 3), (5, 6), (1, 6))],
)
def test_a_smaller_image_without_dilation_has_the_same_symbols(
    kernel: tuple[int, int], size: tuple[int, int], dilation: tuple[int, int], rng: np.random.Generator
) -> None:
    operator = Convolution.of(rng.standard_normal((2, 2, *kernel)), size, dilation=dilation)
    reduced, inverse = _without_dilation(operator)
    # Odd kernels lose their dilation; those of even length are not centred.
    assert [d == 1 for k, d in zip(kernel, reduced.dilation, strict=True) if k % 2] == [True] * sum(
        k % 2 for k in kernel
    )
    assert reduced.period == operator.period
    for n, taps, period in zip(reduced.size, kernel, operator.period, strict=True):
        assert n == period or taps % 2 == 0
    k = np.stack(np.divmod(np.arange(np.prod(reduced.size)), reduced.size[1]))
    there = k * np.array(inverse)[:, None] % np.array(operator.period)[:, None]
    np.testing.assert_allclose(reduced.symbol_at(*k), operator.symbol_at(*there), atol=1e-12)
    # The indices of one period, each of them once.
    once = k[:, (k < np.array(reduced.period)[:, None]).all(axis=0)] * np.array(inverse)[:, None]
    once %= np.array(operator.period)[:, None]
    assert len(np.unique(once, axis=1).T) == np.prod(operator.period)


def test_grids_are_spread_over_the_period_and_lie_between_each_other(rng: np.random.Generator) -> None:
    for k, size, shape in ((3, (240, 101), (24, 24)), (7, (400, 95), (72, 72)), (3, (10, 300), (10, 24))):
        search = searched(rng.standard_normal((1, 1, k, k)), size)
        assert search.shape == shape
        for axis, (n, m) in enumerate(zip(size, shape, strict=True)):
            first, second = (np.unique(search._image_grid(shift)[:, axis]) for shift in (0.0, 0.5))
            assert first[0] == 0
            assert len(first) == m
            spacings = np.diff(np.append(first, n))
            assert np.abs(spacings - n / m).max() < 1
            if n >= 2 * m:
                assert np.abs(second - (first + spacings / 2)).max() <= 1
        assert len(search._image_grid(0.0)) == shape[0] * shape[1]


def test_starts_are_the_highest_peaks_of_the_grid(rng: np.random.Generator) -> None:
    search = searched(rng.standard_normal((2, 2, 5, 5)), (150, 144))
    grid = search._theta(search._image_grid(0.0))
    np.testing.assert_allclose(np.exp(1j * grid), np.exp(2j * np.pi * search._image_grid(0.0) / [150, 144]), atol=1e-12)
    assert np.abs(grid).max() <= np.pi
    coarse = search._solve(grid)
    rows, columns = search.shape
    for name, measure in ENDS.items():
        height = measure(coarse).max(axis=1).reshape(rows, columns)
        peaks = [
            (height[y, x], y * columns + x)
            for y, x in product(range(rows), range(columns))
            if height[y, x] == max(height[(y + a) % rows, (x + b) % columns] for a, b in _around(np.zeros((1, 2), int)))
        ]
        assert len(peaks) > 6
        found = search._starts(name, coarse)
        expected = grid[[number for _, number in sorted(peaks, reverse=True)[:6]]]
        # Mirrored peaks are equal up to rounding, so that either of them can be among the six.
        ours, theirs = (np.sort(measure(search._solve(theta)).max(axis=1)) for theta in (found, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert {tuple(theta) for theta in found} <= {tuple(grid[number]) for _, number in peaks}


def test_refined_peaks_are_those_of_the_continuous_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 - 2 cos y - 2 cos x + i (sin x + sin(y) / 2)."""
    K = np.zeros((1, 1, 3, 3))
    K[0, 0, 1], K[0, 0, :, 1] = [-1.5, 0, -0.5], [-1.25, 4, -0.75]
    search = searched(K, (240, 240))
    calls = []
    solve = search._solve
    monkeypatch.setattr(search, "_solve", lambda theta: calls.append(len(theta)) or solve(theta))
    starts = np.array([[0.2, -0.1], [3.0, 2.9], [1.4, 1.5], [-1.6, 1.3]])
    for name, number, (y, x), height in (
        ("max_real", 1, (np.pi, np.pi), 8.0),
        ("min_real", 0, (0, 0), 0.0),
        ("max_imag", 2, (np.pi / 2, np.pi / 2), 1.5),
    ):
        calls.clear()
        where, heights = search._refine(name, starts[[number]])
        distance = (where[0] - (y, x) + np.pi) % (2 * np.pi) - np.pi
        assert np.abs(distance).max() < 1e-6
        assert heights[0] == pytest.approx(height, abs=1e-12)
        # At a smooth maximum the spacing pi / 24 is divided by 4 until it is below 1e-6, after a step or two.
        assert len(calls) <= 2 * 11 + 1
    # Several starts at once are as each alone.
    together = search._refine("radius", starts)
    for number in (0, 3):
        alone = search._refine("radius", starts[[number]])
        np.testing.assert_allclose(together[1][number], alone[1][0], rtol=1e-12)


def test_along_an_axis_with_one_tap_nothing_moves() -> None:
    K = np.array([1.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    where, heights = searched(K, (7, 300))._refine("max_real", np.array([[0.3, 0.2]]))
    np.testing.assert_allclose(where, [[0.3, 0.0]], atol=1e-6)
    assert heights[0] == pytest.approx(2.5, abs=1e-12)


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 4)])
def test_each_frequency_or_its_conjugate_is_solved_once(size: tuple[int, int], rng: np.random.Generator) -> None:
    K = rng.standard_normal((2, 2, 3, 3))
    search = searched(K, size)
    everything = np.array(list(product(range(size[0]), range(size[1]))))
    assert search._add(everything[[1, 2]])
    assert search._add(everything)
    assert not search._add(everything + np.array(size))
    known = set(map(tuple, search.known.tolist()))
    assert len(known) == len(search.known)
    for y, x in everything.tolist():
        mirrored = (-y % size[0], -x % size[1])
        assert ((y, x) in known) + (mirrored in known) == 1 + (mirrored == (y, x))
    exact = np.linalg.eigvals(search.original.symbol_at(*search.known.T)[:, 0])
    np.testing.assert_allclose(np.sort_complex(search.values), np.sort_complex(exact), atol=1e-12)
    assert (search.values[(search.known == -search.known % size).all(axis=1)].imag.sum(axis=1) == 0).all()


def test_a_value_has_as_many_frequencies_as_it_has_copies() -> None:
    """With taps two and three pixels apart the symbol has a period of 4 x 2 on an image of 8 x 6."""
    K = np.random.default_rng(5).standard_normal((2, 2, 3, 3))
    operator = Convolution.of(K, (8, 6), dilation=(2, 3))
    assert operator.period == (4, 2)
    for k in (1, 3, 50):
        search = SymbolSearch(operator, workers=1)
        values, theta = search.run(k).values, search.run(k).frequencies
        copies = min(k, 2) * min(k, 3)
        assert len(values) == len(theta) == 4 * 2 * 2 * min(k, copies)
        assert len({(*row, value) for row, value in zip(theta.round(9).tolist(), values, strict=True)}) == len(values)
        for value, angle in zip(values, theta, strict=True):
            assert np.abs(np.linalg.eigvals(operator.symbol_at_angles(angle[None])[0, 0]) - value).min() < 1e-12


def heights_of(monkeypatch: pytest.MonkeyPatch, search: SymbolSearch, height: Any) -> list[NDArray[np.float64]]:
    """Let the symbol's largest real part be a function of the frequencies, which are listed as they are solved."""
    solved: list[NDArray[np.float64]] = []

    def solve(theta: NDArray[np.float64]) -> NDArray[np.complex128]:
        solved.append(theta)
        return np.stack([height(theta), height(theta) - 1], axis=1) + 0j

    monkeypatch.setattr(search, "_solve", solve)
    return solved


def test_where_nothing_is_higher_the_stencil_shrinks_and_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a factor of 4 and by one radian each time, from half of the spacing of the coarse grid to 1e-6."""
    search = searched(np.ones((2, 2, 3, 3)), (240, 120))
    solved = heights_of(monkeypatch, search, lambda theta: np.full(len(theta), 7.0))
    starts = np.array([[0.5, -1.0], [2.0, 0.25]])
    where, heights = search._refine("max_real", starts)
    np.testing.assert_array_equal(where, starts)
    assert heights.tolist() == [7, 7]
    half = np.pi / 24
    # The step is below 1e-6 after ten times; each time there are a stencil and Newton's point, which is the centre.
    count = int(np.ceil(np.log(half / 1e-6) / np.log(4)))
    assert len(solved) == 2 * count + 1
    for number in range(count):
        turn = np.array([[np.cos(number), np.sin(number)], [-np.sin(number), np.cos(number)]])
        expected = starts[:, None, :] + STENCIL @ turn * half / 4**number
        np.testing.assert_allclose(solved[2 * number].reshape(2, 9, 2), expected, atol=1e-14)
        np.testing.assert_allclose(solved[2 * number + 1], starts, atol=1e-14)


def test_a_slope_without_an_end_is_climbed_thirty_times(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searched(np.ones((2, 2, 3, 3)), (240, 240))
    solved = heights_of(monkeypatch, search, lambda theta: theta[:, 1])
    where, heights = search._refine("max_real", np.zeros((1, 2)))
    assert len(solved) == 2 * 30 + 1
    # Each time the farthest of the turned stencil is taken, at least as far as its side.
    assert heights[0] == where[0, 1] >= 30 * np.pi / 24


@pytest.mark.parametrize(("distance", "moved", "shrinks"), [(0.4, 0.4, True), (0.6, 0.6, False), (3.0, 1.5, False)])
def test_newtons_step_is_taken_up_to_one_and_a_half(
    distance: float, moved: float, shrinks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In units of the stencil's spacing, which shrinks if the maximum was nearer than half of it."""
    half = np.pi / 24
    search = searched(np.ones((2, 2, 3, 3)), (240, 240))
    solved = heights_of(monkeypatch, search, lambda theta: -(theta[:, 0] ** 2) - (theta[:, 1] - distance * half) ** 2)
    search._refine("max_real", np.zeros((1, 2)))
    np.testing.assert_allclose(solved[1], [[0, moved * half]], atol=1e-12)
    spacing = np.linalg.norm(solved[2].reshape(9, 2) - [0, moved * half], axis=1).max() / np.sqrt(2)
    assert spacing == pytest.approx(half / 4 if shrinks else half, rel=1e-9)


def test_around_refined_maxima_the_images_frequencies_are_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searched(np.ones((2, 2, 3, 3)), (400, 300))
    where = np.array([[1.1, 2.05], [-0.7, 3.0]])
    monkeypatch.setattr(search, "_eigenvalues", lambda symbols, total: np.zeros((total, 2), dtype=complex))
    monkeypatch.setattr(search, "_refine", lambda name, starts: (where, np.array([8.0, 9.0])))
    monkeypatch.setattr(search, "_grow", lambda k: None)
    found = search.run(1)
    assert set(found.heights.values()) == {9.0}
    known = set(map(tuple, search.known.tolist()))
    for place in where * [400, 300] / (2 * np.pi):
        for step in STENCIL:
            here, there = (tuple((sign * (place.round() + step) % [400, 300]).tolist()) for sign in (1, -1))
            assert here in known or there in known
    # Beside them the two coarse grids, of which mirrored ones are solved once.
    assert 24 * 24 <= len(known) <= 2 * 24 * 24 + 18


def test_neighbours_of_the_outermost_are_solved_200_times_at_most() -> None:
    """2 cos(x) from its minimum on: each time one frequency higher, of which the mirrored one is the same."""
    search = searched(np.array([1.0, 0, 1]).reshape(1, 1, 1, 3), (1, 1000))
    search._add(np.array([[0, 500]]))
    search._grow(1)
    assert sorted(search.known[:, 1].tolist()) == list(range(300, 501))
    near = searched(np.array([1.0, 0, 1]).reshape(1, 1, 1, 3), (1, 1000))
    near._add(np.array([[0, 30]]))
    near._grow(1)
    assert near.known[:, 1].min() == 0
