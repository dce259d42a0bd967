"""Limits that decide which way is taken, each just within and just beyond; stubs leave out what would take long."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
from general import general
from numpy.typing import NDArray
from scipy.sparse import eye_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import polyroots as pr
from polyroots.polynomials.blocks import Linear, blocks_for_degree, join_blocks, parse_blocks
from polyroots.polynomials.ideal import _Search
from polyroots.polynomials.norm_test import norms_at_most
from polyroots.polynomials.operator_norm import OperatorNorm, norm_on_blocks
from polyroots.polynomials.partial_products import _most_amplified
from polyroots.polynomials.symbol_norms import SymbolNorms
from polyroots.spectra.batched_qr import _pays
from polyroots.spectra.block_triangular import diagonal_blocks
from polyroots.spectra.convolution import Convolution, power_of_two
from polyroots.spectra.grid_transfer import Harmonics
from polyroots.spectra.kronecker_sum import summands
from polyroots.spectra.matrix import fits
from polyroots.spectra.nonnormality import _smallest_singular_value, _tops, _touch_matrix
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.operator_spectrum import spectrum_or_operator
from polyroots.spectra.stencil import Stencil
from polyroots.spectra.symbol_search import SymbolSearch


def without_adjoint(n: int) -> LinearOperator:
    return LinearOperator((n, n), matvec=lambda x: x, dtype=np.float64)


@pytest.mark.parametrize(
    ("n", "least"), [(2, 1), (128, 1), (129, 3), (256, 3), (257, 6), (512, 6)], ids=lambda value: str(value)
)
def test_the_kernel_is_for_as_many_matrices_as_pay(n: int, least: int) -> None:
    """See BENCHMARKS.md: from 129 rows on for three, from 257 on for six."""
    assert _pays(n, least)
    assert not _pays(n, least - 1)


def test_the_kernel_is_for_matrices_of_2_to_512_rows() -> None:
    assert not any(_pays(n, 1000) for n in (0, 1, 513))


def test_matrices_up_to_the_size_of_4096_are_made() -> None:
    for size, is_made in (((64, 64), True), ((64, 65), False), ((1, 4096), True), ((1, 4097), False)):
        assert fits(Convolution.of(np.ones((1, 1, 3, 3)), size, padding="zeros")) is is_made


def never(*args: Any, **options: Any) -> None:
    raise RuntimeError("Lanczos' method is asked for")


@pytest.mark.parametrize(("n", "is_dense"), [(300, True), (301, False)])
def test_up_to_300_unknowns_dense_solvers_are_faster(n: int, is_dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("spectra.nonnormality", "polynomials.operator_norm", "polynomials.ideal"):
        monkeypatch.setattr(import_module(f"polyroots.{module}"), "largest_eigenvalue", never)
    line = Convolution.of(np.array([1.0, 2.0, 1.0]).reshape(1, 1, 1, 3), (1, n), padding="zeros")
    blocks = OperatorBlocks(line, is_regular=True)
    search = object.__new__(_Search)
    search.blocks, search.count, search.prior = blocks, 1, ()
    search.krylov = pr.polynomials.arnoldi(lambda x: 2 * x + np.arange(n), np.ones(n), 1)
    q = pr.ResidualPolynomial([3.0])
    ways = [
        lambda: _tops(np.eye(n)[None] + 0j),
        lambda: _touch_matrix(line, 0.0),
        lambda: _smallest_singular_value(np.eye(n) + 0j, 3.0),
        lambda: norm_on_blocks(blocks, q, blocks.scale),
        lambda: OperatorNorm(line).of(q),
        lambda: OperatorNorm(general(np.eye(n))).of(q),
        lambda: search._norms(np.array([1.0, -0.3]), blocks.numbers),
    ]
    for way in ways:
        if is_dense:
            way()
        else:
            with pytest.raises(RuntimeError, match="Lanczos"):
                way()
    assert general(without_adjoint(n)).has_norm is is_dense


def dense_or_not(A: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the method for an operator, without its eigenvalues."""
    module = import_module("polyroots.spectra.operator_spectrum")
    monkeypatch.setattr(module, "_of_blocks", lambda blocks, finest: (np.ones(1) + 0j, np.ones(1)))
    monkeypatch.setattr(module, "_ritz_values", lambda products, name, steps: (np.full(steps, 1 + 0j), np.ones(steps)))
    found: Any = pr.operator_eigenvalues(A)
    return f"{found.method} {len(found)}"


def test_hermitian_matrices_are_dense_up_to_4096_unknowns_and_others_up_to_2048(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond there are 150 Ritz values."""
    assert dense_or_not(without_adjoint(2048), monkeypatch) == "dense 1"
    assert dense_or_not(without_adjoint(2049), monkeypatch) == "arnoldi 150"
    assert dense_or_not(eye_array(4096, format="csr"), monkeypatch) == "dense 1"
    assert dense_or_not(eye_array(4097, format="csr"), monkeypatch) == "arnoldi 150"


def zeros_for(search: SymbolSearch, symbols: Any, total: int) -> NDArray[np.complex128]:
    return np.zeros((total, search.operator.c_in), dtype=np.complex128)


@pytest.mark.parametrize(
    ("channels", "taps", "rows", "columns"),
    [(32, 3, 250, 250), (33, 3, 100, 100), (33, 5, 100, 100), (1, 13, 288, 288), (33, 7, 144, 144)],
)
def test_up_to_so_many_frequencies_all_are_solved(
    channels: int, taps: int, rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """62,500 of up to 32 channels, 10,000 of more, or four times as many as the coarse grid of 24 for two taps has."""
    monkeypatch.setattr(SymbolSearch, "_eigenvalues", zeros_for)
    K = np.zeros((channels, channels, taps, taps))
    assert SymbolSearch(Convolution.of(K, (rows, columns)), 1).run(1).method == ""
    assert "frequencies, refined" in SymbolSearch(Convolution.of(K, (rows, columns + 1)), 1).run(1).method


def test_symbols_have_16_million_entries_at_most() -> None:
    stencil, system = np.ones((3, 3)), np.ones((2, 2, 3, 3))
    assert Stencil.of(stencil, (4096, 4096), "circular", "A").size == (4096, 4096)
    assert Stencil.of(system, (2048, 2048), "circular", "A").channels == 2
    for array, size in ((stencil, (4096, 4097)), (system, (2048, 2049)), (np.ones((3, 3, 3)), (256, 256, 257))):
        with pytest.raises(pr.InputError, match="A: "):
            Stencil.of(array, size, "circular", "A")


def test_blocks_in_single_precision_take_256_mib_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping: WeakSet[SymbolNorms] = WeakSet()
    monkeypatch.setattr("polyroots.polynomials.symbol_norms._KEEPING", keeping)

    def norms(channels: int, size: tuple[int, int]) -> SymbolNorms:
        return SymbolNorms(Convolution.of(np.ones((channels, channels, 1, 3)), size))

    # A pair of complex64 matrices at 2 x 8192 / 2 + 1 frequencies of a line: 16 (8192 + 1) c^2 bytes.
    large, larger = norms(45, (1, 16384)), norms(46, (1, 16384))
    assert (large in keeping, larger in keeping) == (True, False)
    assert 16 * 8193 * 45**2 < 2**28 < 16 * 8193 * 46**2
    # What is left is for small ones: 16 9 c^2 bytes each.
    assert norms(4, (1, 16)) not in keeping or len(keeping) == 2
    small = norms(140, (1, 16))
    assert small in keeping
    assert norms(140, (1, 16)) not in keeping


def test_kept_blocks_have_the_size_that_is_counted(rng: np.random.Generator) -> None:
    norms = SymbolNorms(Convolution.of(rng.standard_normal((6, 3, 3, 3)), (5, 4), groups=2))
    pairs = [(norms._single(task), norms._square(task)) for task in range(len(norms._tasks))]
    assert norms._bytes == sum(matrices.nbytes for pair in pairs for matrices in pair)


@pytest.mark.parametrize(("rows", "is_small"), [(31, True), (32, False)])
def test_below_32_rows_matrices_are_compared_all_at_once(
    rows: int, is_small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    module = import_module("polyroots.polynomials.norm_test")
    monkeypatch.setattr(module, "_all_are_at_most_one", lambda stack: bool(calls.append(len(stack)) or True))
    assert norms_at_most(2.0, np.stack([np.eye(rows)] * 3)).tolist() == [True] * 3
    assert calls == [3] * is_small
    monkeypatch.setattr("polyroots.polynomials.partial_products.largest_eigenvalue", never)
    if is_small:
        assert _most_amplified(np.diag(np.arange(1.0, rows + 1)))[-1] == pytest.approx(1, abs=1e-12)
    else:
        with pytest.raises(RuntimeError, match="Lanczos"):
            _most_amplified(np.eye(rows))


def test_tasks_of_harmonics_fill_four_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 bytes for each entry of a matrix of four times as many rows; 30 rows have the 18 of 2^22 / (16 120^2)."""
    monkeypatch.setattr("polyroots.threads.usable_cores", lambda: 1)
    harmonics = Harmonics((512, 512))
    for rows, count in ((30, 24), (40, 16), (10, 168), (200, 1)):
        assert count - 8 < 2**22 / (16 * (4 * rows) ** 2) <= count or count == 1
        assert {len(task) for task in harmonics.tasks(rows)[:-1]} == {count}


def test_a_sequence_of_blocks_is_shortened_beyond_ten() -> None:
    assert join_blocks("L" * 10) == "L,L,L,L,L,L,L,L,L,L"
    assert join_blocks("LLLLLLLLCCC") == "L,L,L,L,L,L,L,L,... (11 blocks)"
    assert len(parse_blocks(["L"] * 1000)) == 1000
    assert len(blocks_for_degree(1999)) == 1001
    assert blocks_for_degree(0) == ("L",)
    for wrong in (lambda: parse_blocks(["L"] * 1001), lambda: blocks_for_degree(2000), lambda: blocks_for_degree(-1)):
        with pytest.raises(pr.InputError):
            wrong()


@pytest.mark.parametrize("size", [(1, 5), (5, 1)])
def test_taps_at_the_distance_of_the_image_read_nothing(size: tuple[int, int]) -> None:
    """A line of pixels has the taps along it only, with one block and no sum of two lines."""
    operator = Convolution.of(np.arange(1.0, 10).reshape(1, 1, 3, 3), size, padding="zeros")
    (block,) = diagonal_blocks(operator)
    assert block.operator.size == (1, 5)
    # From either end.
    assert sorted(block.operator.weight.ravel().tolist()) == ([4, 5, 6] if size[0] == 1 else [2, 5, 8])
    assert (block.copies, block.is_coupled) == (1, False)
    assert summands(operator) is None


def test_powers_of_two_end_at_the_smallest_normal_number() -> None:
    assert [power_of_two(size) for size in (1.0, 1.99, 2.0, 0.75)] == [1, 1, 2, 0.5]
    assert [power_of_two(2.0**-exponent) for exponent in (1021, 1022, 1023, 1074)] == [2.0**-1021] + [2.0**-1022] * 3


def test_weights_are_a_quarter_of_the_largest_number_at_most() -> None:
    """Four times the sum of the moduli is a number: eigenvalues and what is computed from them don't overflow."""
    for share, is_accepted in ((0.2499, True), (0.2501, False)):
        weight = np.array([[share / 2, -share / 2]]) * np.finfo(float).max
        if is_accepted:
            Convolution.of(weight, 4)
        else:
            with pytest.raises(pr.InputError, match="weight"):
                Convolution.of(weight, 4)
    for share, is_accepted in ((0.999, True), (1.001, False)):
        weight = np.array([[share / 2, -share / 2]]) * float(np.finfo(np.float32).max)
        if is_accepted:
            assert pr.eigenvalues(weight, 4, dtype=np.complex64).values.dtype == np.complex64
        else:
            with pytest.raises(pr.InputError, match="complex64"):
                pr.eigenvalues(weight, 4, dtype=np.complex64)


def test_norms_below_one_are_found_by_products() -> None:
    """|1 - 1 / 2| is the norm of q(A) = 1 - A / 2 for the identity."""
    n = 320
    identity = general(aslinearoperator(eye_array(n, format="csr")))
    assert OperatorNorm(identity).of(pr.ResidualPolynomial([2.0])) == pytest.approx(0.5, rel=1e-9)
    norm, vector = OperatorNorm(identity).by_products([Linear(2.0)])
    assert norm == pytest.approx(0.5, rel=1e-9)
    assert vector.shape == (n,)


@pytest.mark.parametrize(
    ("shape", "size", "grid"),
    [
        ((3,), 5, (5,)),
        ((3, 3), 5, (5, 5)),
        ((3, 3, 3), 5, (5, 5, 5)),
        ((2, 2, 3, 3), 5, (5, 5)),
        ((2, 2, 3, 3, 3), 5, (5, 5, 5)),
        ((2, 2, 3), (5,), (5,)),
        ((1, 3), (5, 6), (5, 6)),
    ],
)
def test_from_four_dimensions_on_two_are_for_channels(shape: Any, size: Any, grid: Any) -> None:
    stencil = Stencil.of(np.ones(shape), size, "circular", "A")
    assert (stencil.size, stencil.taps) == (grid, shape[-len(grid) :])
    assert stencil.channels == (shape[0] if len(shape) > len(grid) else 1)


def test_directions_are_even_and_four_at_least() -> None:
    Lambda = pr.eigenvalues(np.array([[1.0, 3.0, 0.5]]), (1, 6))
    assert pr.numerical_range(Lambda, 4, every=1).angles.tolist() == pytest.approx([0, np.pi / 2, np.pi, 1.5 * np.pi])
    for angles, every in ((2, 1), (5, 1), (4, 0)):
        with pytest.raises(pr.InputError, match=r"angles|every"):
            pr.numerical_range(Lambda, angles, every=every)


def test_numbers_in_a_row_are_eigenvalues_and_in_a_square_a_matrix() -> None:
    for values in ([1.0, 2.0], (1.0, 2.0), np.array([1.0, 2.0])):
        assert spectrum_or_operator(values, None, needs_eigenvalues=True) is values
    assert spectrum_or_operator(3.0, None, needs_eigenvalues=True) == 3.0
    for matrix in ([[1.0, 0.0], [0.0, 2.0]], np.diag([1.0, 2.0])):
        assert len(spectrum_or_operator(matrix, None, needs_eigenvalues=True)) == 2
    assert len(spectrum_or_operator(lambda x: 2 * x, 4, needs_eigenvalues=True)) == 4
