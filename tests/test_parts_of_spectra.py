"""Parts of the package spectra on their own, each against a formula, a loop or a dense matrix."""

from __future__ import annotations

import math
from importlib import import_module
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from dense import dense_operator
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator

import polyroots as pr
from polyroots.spectra.convolution import Convolution, conjugate_grid, principal
from polyroots.spectra.grid_transfer import Harmonics
from polyroots.spectra.lanczos import DENSE_IS_FASTER
from polyroots.spectra.nonnormality import SymbolBlocks, _tops, support_of_blocks
from polyroots.spectra.operator_blocks import OperatorBlocks, restriction_to_range
from polyroots.spectra.operator_spectrum import OperatorSpectrum, _ritz_values
from polyroots.spectra.precision import single_precision_error
from polyroots.spectra.quantiles import Blocks
from polyroots.spectra.resolution import _has_neighbour
from polyroots.spectra.singular_values import largest_singular_values
from polyroots.spectra.zero_padding import arnoldi_eigenvalues


@pytest.mark.parametrize(("rows", "columns"), [(4, 6), (5, 3), (1, 2), (1, 1)])
def test_the_partner_of_a_frequency_is_its_negative(rows: int, columns: int) -> None:
    ky, kx, partner = conjugate_grid(rows, columns)
    assert list(zip(ky.tolist(), kx.tolist(), strict=True)) == list(product(range(rows), range(columns)))
    for here, there in enumerate(partner):
        assert (ky[here] + ky[there]) % rows == (kx[here] + kx[there]) % columns == 0


def test_principal_angles_are_in_the_half_open_interval() -> None:
    for n in (1, 2, 7, 8):
        k = np.arange(-2 * n, 2 * n)
        angles = principal(k, n)
        np.testing.assert_allclose(np.exp(1j * angles), np.exp(2j * np.pi * k / n), atol=1e-14)
        assert ((angles > -np.pi) & (angles <= np.pi)).all()
    assert principal(np.array([4, -4]), 8).tolist() == [np.pi, np.pi]


def test_a_shift_has_singular_values_of_one_and_full_stable_rank() -> None:
    shift = np.zeros((1, 1, 3, 3))
    shift[0, 0, 1, 2] = 1.0
    for k in (1, 3):
        found = largest_singular_values(Convolution.of(shift, (5, 6)), k)
        np.testing.assert_allclose(found.values, np.ones(k), rtol=1e-12)
        assert found.stable_rank == pytest.approx(30, rel=1e-12)
        assert found.converged.all()
        assert found.residuals.max() < 1e-12


def test_the_quantile_of_a_sample_counts_a_pair_for_all_pairs(rng: np.random.Generator) -> None:
    """Four pairs drawn of ten, each with six scores, and two frequencies alone with three scores each."""
    drawn, alone = np.sort(rng.integers(0, 9, (4, 6)) / 1.0, axis=1), np.sort(rng.integers(0, 9, 6) / 1.0)
    blocks = Blocks(drawn, alone, 2, 22)
    assert blocks.pairs == 10
    # Weights in units of 1 / 12: a score of a drawn pair stands for 10 / 4 pairs of two frequencies.
    scores = sorted([(value, 20 / 4 / 6) for value in drawn.ravel()] + [(value, 1 / 3) for value in alone])
    for level in (0.01, 0.3, 0.5, 0.77, 0.99):
        total, expected = 0.0, math.nan
        for value, weight in scores:
            total += weight
            if total >= level * 22 - 1e-9:
                expected = value
                break
        assert blocks.quantile(level) == expected
    assert Blocks(drawn[:0], alone, 2, 2).quantile(0.5) == alone[2]
    for t in (-1.0, 3.0, 9.0):
        assert blocks.share_alone(t) == pytest.approx(sum(value <= t for value in alone) / 3)
        assert blocks.shares(t).tolist() == pytest.approx(
            [sum(value <= t for value in row) / 6 for row in drawn.tolist()]
        )
    assert Blocks(drawn, alone[:0], 0, 20).share_alone(3.0) == 0
    turned = blocks.negative()
    assert (turned.drawn == -drawn[:, ::-1]).all()
    assert (turned.alone == -alone[::-1]).all()
    assert (turned.count_alone, turned.total) == (2, 22)


@pytest.mark.parametrize("level", [0.2, 0.5, 0.9])
def test_the_end_of_an_interval_is_where_the_bets_have_won_enough(level: float, rng: np.random.Generator) -> None:
    """The capital of the module's formula, in a loop over the draws; the mean is what is left for those not drawn."""
    drawn, alone = np.sort(rng.random((40, 4)), axis=1), np.sort(rng.random(2))
    blocks, risk = Blocks(drawn, alone, 1, 121), 0.1
    stakes = blocks._stakes(level, risk)

    def wins(t: float) -> bool:
        # Sums of the shares over all pairs, if a share `level` of all scores were up to t.
        left, capital = (level * 121 - (alone <= t).mean()) / 2, 1.0
        for number, row in enumerate(drawn):
            share = (row <= t).mean()
            capital *= 1 + stakes[number] * (share - min(left / (60 - number), 1.0))
            if capital >= 1 / risk:
                return True
            left -= share
        return False

    expected = [t for t in sorted([*drawn.ravel(), *alone]) if wins(t)]
    assert blocks.upper_end(level, risk) == (expected[0] if expected else math.inf)
    assert blocks.upper_end(level, 1e-300) == math.inf
    assert len(expected) > 1


@pytest.mark.parametrize("pairs", [1000, 12])
def test_stakes_know_the_blocks_before_them(pairs: int) -> None:
    """Doubling numbers of blocks are known: the fourth stake is from two blocks, the fifth to eighth are from four."""
    drawn = np.sort(np.random.default_rng(3).random((11, 5)), axis=1)
    level, risk = 0.3, 1e-4
    stakes = Blocks(drawn, np.array([]), 0, 2 * pairs)._stakes(level, risk)
    for number in range(11):
        known = 0 if number == 0 else 2 ** int(math.log2(number))
        squares = level * (1 - level)
        if known:
            middle = np.sort(drawn[:known].ravel())[math.ceil(level * 5 * known) - 1]
            shares = (drawn[:known] <= middle).mean(axis=1)
            squares += ((shares - shares.mean()) ** 2).sum()
        expected = math.sqrt(2 * math.log(1 / risk) * (known + 1) / (11 * squares))
        # Of the pairs that are left, the mean can be 1 at most.
        largest = min(level * pairs / (pairs - number), 1.0)
        assert stakes[number] == pytest.approx(min(expected, 0.75 / largest), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("is_hermitian", [True, False])
def test_ritz_values_are_those_of_the_krylov_space(is_hermitian: bool, dtype: type, rng: np.random.Generator) -> None:
    """V* A V with the vectors that A was applied to, and |A x - theta x| over the norm of V* A V."""
    A: NDArray[Any] = rng.standard_normal((14, 14)).astype(dtype)
    if dtype is np.complex128:
        A = A + 1j * rng.standard_normal((14, 14))
    A = A + A.conj().T if is_hermitian else A
    applied = []

    def matvec(x: NDArray[Any]) -> NDArray[Any]:
        applied.append(x.ravel())
        return A @ x

    values, residuals = _ritz_values(LinearOperator((14, 14), matvec=matvec, dtype=np.dtype(dtype)), "A", 6)
    V = np.stack(applied, axis=1)
    assert V.shape == (14, 6)
    np.testing.assert_allclose(V.conj().T @ V, np.eye(6), atol=1e-13)
    H = V.conj().T @ A @ V
    expected, vectors = np.linalg.eig(H)
    nearest = np.abs(values[:, None] - expected).argmin(axis=1)
    np.testing.assert_allclose(values, expected[nearest], atol=1e-11)
    assert (values.imag == 0).all() == is_hermitian
    X = V @ vectors
    exact = np.linalg.norm(A @ X - expected * X, axis=0) / np.linalg.norm(H, 2)
    np.testing.assert_allclose(residuals, exact[nearest], rtol=1e-9)
    # All eigenvalues with as many steps as unknowns or more, and three of an A with three.
    for steps in (14, 50):
        values, residuals = _ritz_values(LinearOperator((14, 14), matvec=lambda x: A @ x, dtype=A.dtype), "A", steps)
        assert np.abs(values[:, None] - np.linalg.eigvals(A)).min(axis=1).max() < 1e-11
        assert residuals.max() < 1e-12
    three: NDArray[Any] = np.diag(np.repeat([1.0, 2.0, 5.0], [5, 5, 4])).astype(dtype)
    values, residuals = _ritz_values(LinearOperator((14, 14), matvec=lambda x: three @ x, dtype=A.dtype), "A", 9)
    assert np.sort(values.real).tolist() == pytest.approx([1, 2, 5], rel=1e-12)
    assert residuals.tolist() == [0, 0, 0]


def test_neighbours_are_nearer_than_the_coarsest_resolution() -> None:
    """Equal ones and mirrored ones are no neighbours; zero and the real axis are."""
    near = [1, 1 + 1e-8, 3 + 1e-8j, 1e-7, 9 + 2j, 9 + 2j + 1e-9]
    far = [2, 5, 5, 4 + 2j, 4 - 2j, 7, 7 + 1e-5, 6 + 1e-5j, -1e-5, 8 + 1e-14j]
    found = _has_neighbour(np.array([*near, *far], dtype=np.complex128), 1e-10, 1e-6)
    assert found.tolist() == [True] * len(near) + [False] * len(far)
    # A mirrored neighbour counts.
    assert _has_neighbour(np.array([4 + 2j, 4 - 2j + 1e-8, 20]), 1e-10, 1e-6).tolist() == [True, True, False]


@pytest.mark.parametrize("size", [(8, 12), (4, 2), (6, 10), (2, 2)])
def test_harmonics_are_four_and_their_lowest_is_the_angle(size: tuple[int, int], rng: np.random.Generator) -> None:
    harmonics = Harmonics(size)
    operator = Convolution.of(rng.standard_normal((2, 2, 3, 3)), size)
    strided = Convolution.of(rng.standard_normal((3, 2, 3, 3)), size, stride=2)
    every = np.arange(len(harmonics))
    symbols, half = harmonics.symbol(operator, every), harmonics.symbol(strided, every)
    assert harmonics.counts.sum() == size[0] * size[1] // 4
    for number, (count, theta) in enumerate(zip(harmonics.counts, harmonics.angles, strict=True)):
        assert np.abs(theta).max() <= np.pi / 2
        four = theta + np.pi * np.array(list(product((0, 1), repeat=2)))
        exact = operator.symbol_at_angles(four)[:, 0]
        assert {tuple(row) for row in exact.round(9).reshape(4, -1).tolist()} == {
            tuple(row) for row in symbols[number].round(9).reshape(4, -1).tolist()
        }
        # The conjugate set is the same one at 0 and pi / 2.
        is_own = (np.abs(np.sin(2 * theta)) < 1e-12).all()
        assert count == (1 if is_own else 2)
        mine = (2 * np.pi * np.stack([harmonics.ky, harmonics.kx])[:, number] / size).reshape(1, 2)
        np.testing.assert_allclose(half[number, 0], strided.symbol_at_angles(mine)[0, 0] / 2, atol=1e-12)
    tasks = harmonics.tasks(2)
    assert np.concatenate(tasks).tolist() == every.tolist()


def test_tasks_have_whole_vectors_of_matrices_up_to_512_rows() -> None:
    harmonics = Harmonics((64, 64))
    for rows, size in ((128, 8), (129, 1)):
        *first, last = map(len, harmonics.tasks(rows))
        assert set(first) == {size}
        assert sum(first) + last == len(harmonics) == 514


def test_the_support_of_blocks_is_attained_in_the_block_that_is_named(rng: np.random.Generator) -> None:
    operator = Convolution.of(rng.standard_normal((4, 2, 3, 3)), (5, 4), groups=2)
    for blocks in (SymbolBlocks(operator), OperatorBlocks(operator)):
        numbers = np.arange(len(blocks.ky)) if isinstance(blocks, SymbolBlocks) else blocks.numbers
        for phi in (0.0, 0.7, 2.0, -1.3):
            turned = np.exp(-1j * phi) * blocks.stack(numbers)
            tops = np.linalg.eigvalsh((turned + turned.conj().swapaxes(1, 2)) / 2)[:, -1]
            best = int(tops.argmax())
            expected = best // 2 if isinstance(blocks, SymbolBlocks) else best
            for first in (numbers[:0], numbers[[expected]], numbers[::3]):
                support, point, number = support_of_blocks(blocks, phi, first, 1e-12)
                assert support == pytest.approx(tops[best], rel=1e-12)
                assert (np.exp(-1j * phi) * point).real == pytest.approx(support, rel=1e-12)
                assert number == numbers[expected]


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_blocks_are_a_direct_sum_similar_to_the_matrix(padding: str, rng: np.random.Generator) -> None:
    K = rng.standard_normal((4, 2, 3, 3))
    blocks = OperatorBlocks(Convolution.of(K, (3, 4), groups=2, padding=padding), is_regular=True)
    A = dense_operator(K, (3, 4), groups=2, padding=padding) / blocks.scale
    stack = blocks.stack(blocks.numbers)
    x = rng.standard_normal(len(stack) * blocks.rows)
    for operator, matrices, matrix in ((blocks, stack, A), (blocks.squared(), stack @ stack, A @ A)):
        y = (matrices @ x.reshape(len(stack), -1, 1)).ravel()
        np.testing.assert_allclose(operator.product(x.astype(stack.dtype)), y, rtol=1e-12, atol=1e-12)
        norms = np.linalg.norm(matrices, 2, axis=(1, 2))
        # Of conjugate frequencies one is left out, with the same norm.
        assert norms.max() == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-12)
        assert norms.max() <= operator.norm_bound
    assert blocks.squared() is blocks.squared()
    assert (blocks.power, blocks.squared().power, blocks.nullity) == (1, 2, 0)


@pytest.mark.parametrize("is_complex", [False, True])
def test_on_its_range_a_matrix_has_its_nonzero_eigenvalues(is_complex: bool, rng: np.random.Generator) -> None:
    left, right = rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
    block = left @ right.T if not is_complex else left @ (right.T + 1j * rng.standard_normal((3, 6)))
    filled, rank = restriction_to_range(block, 1e-10)
    assert rank == 3
    nonzero = np.linalg.eigvals(block)
    nonzero = nonzero[np.argsort(-np.abs(nonzero))[:3]]
    found = np.linalg.eigvals(filled)
    for value in nonzero:
        assert np.abs(found - value).min() < 1e-10
    assert np.abs(found[:, None] - nonzero).min(axis=1).max() < 1e-10
    full, rank = restriction_to_range(block + 9 * np.eye(6), 1e-10)
    assert rank == 6
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(full)), np.sort_complex(np.linalg.eigvals(block) + 9), rtol=1e-9
    )
    nothing, rank = restriction_to_range(np.zeros((2, 2)), 1e-10)
    assert (rank, np.abs(nothing).max()) == (0, 0)


def test_the_share_of_a_sample_has_serflings_error() -> None:
    """sqrt((1 - (n - 1) / N) log(2 / risk) / (2 n)) for n of N pairs, times their share of all frequencies."""
    sample = pr.sample_eigenvalues(np.array([[0.1, 0.7, 0.0], [0.4, 1.0, 0.2], [0.0, 0.3, 0.5]]), (8, 6), 7)
    N = (48 - 4) // 2
    assert (sample.pairs, sample.total, sample.solved, len(sample)) == (N, 48, 18, 18)
    for confidence in (0.5, 0.95):
        error = math.sqrt((1 - 6 / N) * math.log(2 / (1 - confidence)) / 14) * 2 * N / 48
        assert sample.share_error(confidence) == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e9])
def test_single_precision_is_compared_at_frequencies_spread_over_the_grid(
    scale: float, rng: np.random.Generator
) -> None:
    """The largest distance in each frequency and group from the eigenvalues of the dense symbol, over the radius."""
    K, size = scale * rng.standard_normal((4, 2, 3, 3)), (5, 4)
    single = pr.eigenvalues(K, size, groups=2, dtype=np.complex64)
    operator = Convolution.of(K, size, groups=2)
    exact = np.linalg.eigvals(operator.symbol_at(*np.divmod(np.arange(20), 4)))
    ours = single.values.reshape(20, 2, 2)
    distances = np.array(
        [
            max(min(np.abs(ours[k, g] - exact[k, g, order]).max() for order in ([0, 1], [1, 0])) for g in (0, 1))
            for k in range(20)
        ]
    )
    for count, chosen in ((1, [0]), (2, [0, 19]), (5, [0, 4, 9, 14, 19]), (20, range(20)), (99, range(20))):
        expected = distances[list(chosen)].max() / np.abs(exact).max()
        assert single_precision_error(single, count) == pytest.approx(expected, rel=1e-3)
    assert single_precision_error(pr.eigenvalues(0 * K, size, groups=2, dtype=np.complex64)) == 0


def test_ends_of_the_zero_operator_are_zero_and_known() -> None:
    zero = Convolution.of(np.zeros((2, 2, 3, 3)), (3, 4), padding="zeros")
    for k, count in ((3, 3), (50, 24)):
        pairs, sigma = arnoldi_eigenvalues(zero, k, "LM"), largest_singular_values(zero, k)
        for found in (pairs.values, pairs.errors, pairs.residuals, sigma.values, sigma.residuals):
            assert found.tolist() == [0] * count
        assert pairs.conditions.tolist() == [1] * count
        assert pairs.converged.tolist() == sigma.converged.tolist() == [True] * count
        assert sigma.stable_rank == 0


def test_what_arpack_does_not_find_is_empty(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    def never(*args: Any, **options: Any) -> None:
        raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr("polyroots.spectra.zero_padding.eigs", never)
    monkeypatch.setattr(import_module("polyroots.spectra.singular_values"), "eigsh", never)
    operator = Convolution.of(rng.standard_normal((2, 2, 3, 3)), (5, 6), padding="zeros")
    pairs, sigma = arnoldi_eigenvalues(operator, 3, "LM"), largest_singular_values(operator, 3)
    for found in (pairs.values, pairs.conditions, pairs.errors, pairs.residuals, pairs.converged):
        assert found.shape == (0,)
    assert sigma.values.shape == sigma.residuals.shape == sigma.converged.shape == (0,)
    assert math.isnan(sigma.stable_rank)


def test_sampled_values_are_eigenvalues_at_their_frequencies(rng: np.random.Generator) -> None:
    """Also where the symbol repeats over the image: with dilations its period is 5 x 3."""
    operator = Convolution.of(rng.standard_normal((2, 2, 3, 3)), (10, 9), dilation=(2, 3))
    for count in (1, 3, 50):
        sample = pr.sample_eigenvalues(operator.weight, operator.size, count, dilation=(2, 3))
        assert sample.grid == (5, 3)
        steps = sample.frequencies * np.array(operator.size) / (2 * np.pi)
        np.testing.assert_allclose(steps, steps.round(), atol=1e-12)
        assert (np.abs(steps).max(axis=0) < [2.5, 1.5]).all()
        for theta, value in zip(sample.frequencies, sample.values, strict=True):
            block = operator.symbol_at_angles(theta[None])[0, 0]
            assert np.abs(np.linalg.eigvals(block) - value).min() < 1e-12
        again = pr.SpectrumSample.from_arrays(sample.to_arrays())
        assert (again.convolution.size, again.convolution.dilation, again.convolution.groups) == ((10, 9), (2, 3), 1)
        np.testing.assert_array_equal(again.values, sample.values)
        np.testing.assert_array_equal(again.frequencies, sample.frequencies)


def test_eigenvalues_by_group_are_those_of_each(rng: np.random.Generator) -> None:
    K = rng.standard_normal((6, 2, 3, 3))
    Lambda = pr.eigenvalues(K, (3, 4), groups=3)
    assert Lambda.per_group.shape == (3, 24)
    for number, values in enumerate(Lambda.per_group):
        alone = pr.eigenvalues(K[2 * number : 2 * number + 2], (3, 4)).values
        np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(alone), atol=1e-13)


def test_tops_of_large_matrices_are_those_of_small_ones(rng: np.random.Generator) -> None:
    n = DENSE_IS_FASTER + 1
    stack = np.stack([np.diag(np.linspace(-3, top, n)) for top in (1.0, 2.0)]) + 0j
    v = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    stack = stack + 5 * np.outer(v, v.conj()) / np.linalg.norm(v) ** 2
    tops, vectors = _tops(stack)
    np.testing.assert_allclose(tops, np.linalg.eigvalsh(stack)[:, -1], rtol=1e-10)
    for place in (0, 1):
        x = vectors(place)
        assert x.shape == (n,)
        assert np.linalg.norm(x) == pytest.approx(1, rel=1e-12)
        np.testing.assert_allclose(stack[place] @ x, tops[place] * x, atol=1e-5)


def test_ritz_values_are_said_to_be_few() -> None:
    A = np.diag(np.arange(1.0, 41)) + np.diag(np.ones(39), 1)
    one, every, many = (pr.operator_eigenvalues(A, steps=steps) for steps in (1, None, 25))
    assert isinstance(one, OperatorSpectrum)
    assert isinstance(every, OperatorSpectrum)
    assert isinstance(many, OperatorSpectrum)
    assert (len(one), one.method, one.is_complete) == (1, "arnoldi", False)
    assert 1 < one.values[0].real < 40
    assert repr(one).startswith("OperatorSpectrum(1 Ritz values of GeneralOperator(40 x 40, float64, a dense matrix)")
    assert repr(every).startswith("OperatorSpectrum(40 eigenvalues of")
    assert every.is_complete
    assert every.converged.all()
    assert every.residuals is None
    assert many.residuals is not None
    assert many.converged.tolist() == (many.residuals <= 1e-8).tolist()
    ends = many.residuals[[many.values.real.argmin(), many.values.real.argmax()]]
    (note,) = many.notes()
    assert f"{(many.residuals <= 1e-8).sum()} have converged" in note
    assert f"have the residuals {ends[0]:.1g} and {ends[1]:.1g}. " in note


def test_distances_of_zero_padded_spectra_are_those_of_the_best_matching(rng: np.random.Generator) -> None:
    K = rng.standard_normal((1, 1, 3, 3))
    a, b = (pr.eigenvalues(kernel, (2, 3), padding="zeros") for kernel in (K, K + 0.1))
    least = min(
        (np.abs(a.values - b.values[list(order)]) for order in permutations(range(6))),
        key=lambda distances: (distances**2).sum(),
    )
    np.testing.assert_allclose(pr.spectra.moved(a, b), least, rtol=1e-12)
