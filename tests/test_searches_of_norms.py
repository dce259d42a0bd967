"""Which blocks, vectors and frequencies the searches for norms of polynomials look at, and how accurately."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from general import general
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator

import polyroots as pr
from polyroots.polynomials.arnoldi import arnoldi
from polyroots.polynomials.blocks import ComplexPair, Linear, _quotient
from polyroots.polynomials.ideal import _is_done, _Pairs, _Search
from polyroots.polynomials.operator_norm import OperatorNorm
from polyroots.polynomials.partial_products import _KnownFrequencies, _most_amplified
from polyroots.polynomials.symbol_norms import SymbolNorms
from polyroots.polynomials.target import Target
from polyroots.roots.fitting import RootRequest
from polyroots.roots.optimal import OptimisationProblem
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.operator_spectrum import OperatorSpectrum

BOTH_SIDES = [(0.85, True), (1.15, False)]


def search_of(matrices: NDArray[np.float64]) -> _Search:
    """Return a search whose polynomials of blocks are given matrices, one for each group of channels."""
    search = object.__new__(_Search)
    count, rows, _ = matrices.shape
    kernel = np.tile(np.eye(rows), (count, 1))[:, :, None, None]
    search.blocks = OperatorBlocks(Convolution.of(kernel, 1, groups=count), is_regular=True)
    search.count, search.prior, search.pairs = 2, (1.5,), _Pairs()
    search._apply = lambda s, stack, x: matrices[: len(stack)]  # type: ignore[method-assign]
    return search


def test_vectors_are_kept_near_the_largest_singular_value() -> None:
    """Those above 0.98 of it, three at most."""
    sizes = np.array([[1, 0.981, 0.979, 0.5], [2, 2, 2, 2], [3, 2.9395, 0, 0], [4, 3.93, 3.93, 3.93]])
    search = search_of(np.array([np.diag(row) for row in sizes]))
    norms, vectors = search._norms(np.ones(1), np.arange(4))
    assert norms.tolist() == [1, 2, 3, 4]
    assert [vectors[place].shape for place in range(4)] == [(4, 2), (4, 3), (4, 1), (4, 3)]


@pytest.mark.parametrize(("share", "is_within"), BOTH_SIDES)
def test_blocks_are_passed_over_up_to_1e_10_above_what_is_known(share: float, is_within: bool) -> None:
    search = search_of(np.diag([4.0 * (1 + share * 1e-10), 1.0])[None])
    norms, vectors = search._norms(np.ones(1), np.arange(1), 4.0)
    assert (norms[0] == 0, vectors == {}) == (is_within, is_within)


@pytest.mark.parametrize(("share", "is_light"), BOTH_SIDES)
def test_weights_up_to_1e_12_prove_nothing(share: float, is_light: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs: list[Any] = []
    module = import_module("polyroots.polynomials.lower_bound")
    monkeypatch.setattr(module, "proven_norm_bound", lambda *given: proofs.append(given) or 0.25)
    search = search_of(np.zeros((3, 2, 2)))
    search.pairs.numbers, search.pairs.vectors = [2, 0, 2], [np.array([1.0, k]) for k in range(3)]
    assert search._proven(np.array([4.0, share * 4e-12, 1.0])) == 0.25
    ((parts, count, prior),) = proofs
    assert (count, prior) == (2, (1.5,))
    assert len(parts) == (1 if is_light else 2)
    # Columns of a block are together, each times the root of its weight.
    np.testing.assert_allclose(parts[0][1], np.array([[2.0, 1.0], [0.0, 2.0]]), rtol=1e-15)
    np.testing.assert_array_equal(parts[0][0], np.eye(2))


def test_a_search_is_over_where_the_bound_is_met_or_nothing_is_damped() -> None:
    assert _is_done(0.5, 0.5 * (1 - 0.9e-7))
    assert not _is_done(0.5, 0.5 * (1 - 1.1e-7))
    assert not _is_done(0.5, 0.5 * (1 - 0.9e-7), 0.3)
    assert _is_done(1.5, 1 - 0.9e-9)
    assert not _is_done(1.5, 1 - 1.1e-9)


def test_the_frequencies_that_are_likely_get_more_steps(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Three steps at all frequencies, fifteen at the eight that are amplified most then, of which two are named."""
    norms = SymbolNorms(Convolution.of(rng.standard_normal((2, 2, 3, 3)), (6, 7)), workers=1)
    asked: list[tuple[int, int]] = []
    estimates = norms._estimates

    def counting(factors: Any, counts: Any, A: Any, steps: int) -> Any:
        asked.append((len(A), steps))
        return estimates(factors, counts, A, steps)

    monkeypatch.setattr(norms, "_estimates", counting)
    first = norms.most_amplified([Linear(2.0)], [1])
    assert sum(count for count, _ in asked[:-1]) == len(norms.blocks.ky)
    assert {steps for _, steps in asked[:-1]} == {3}
    assert asked[-1] == (8, 15)
    assert len(first) == 2
    # For the next polynomial the same eight are likely.
    norms.most_amplified([Linear(3.0)], [1])
    assert asked[-1] == (8, 15)
    assert len(asked) == 2 + len(norms._tasks)


def test_norms_are_found_to_the_digits_that_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven of a convolution, five of a general operator, six for the vector of a partial product."""
    asked: list[float] = []

    def largest(A: Any, what: str, tolerance: float = 1e-11) -> Any:
        asked.append(tolerance)
        return np.ones(1), np.ones((A.shape[0], 1))

    for module in ("operator_norm", "partial_products"):
        monkeypatch.setattr(import_module(f"polyroots.polynomials.{module}"), "largest_eigenvalue", largest)
    q, n = pr.ResidualPolynomial([3.0]), 301
    line = Convolution.of(np.array([1.0, 2.0, 1.0]).reshape(1, 1, 1, 3), (1, n), padding="zeros")
    products = LinearOperator((n, n), matvec=lambda x: x, rmatvec=lambda x: x, dtype=np.float64)
    for operator, norm in ((line, 1.0), (general(products), 1.0)):
        assert OperatorNorm(operator).of(q) == norm
    vector = _most_amplified(np.eye(40))
    assert asked == [1e-11, 1e-5, 1e-6]
    np.testing.assert_allclose(vector, np.full((40, 1), 40**-0.5), rtol=1e-14)


@pytest.mark.usefixtures("types_unchecked")
def test_what_was_exceeded_last_is_tested_first() -> None:
    """The products that had a gain before are tested alone; the others only where these don't exceed the bound."""
    tested: list[list[int]] = []

    class Symbol:
        blocks = SimpleNamespace(stack=lambda positions: np.ones((len(positions), 1, 1)))

        def most_amplified(self, factors: Any, counts: Any) -> NDArray[np.intp]:
            return np.array([0])

        def above(self, factors: Any, bound: float, counts: Any, near: Any) -> list[tuple[float, int]]:
            tested.append(list(counts))
            return []

    known = _KnownFrequencies(Symbol())  # type: ignore[arg-type]
    # |1 - 1 / 0.5| = 1 and |(1 - 1 / 0.5) (1 - 1 / 0.25)| = 3.
    factors = [Linear(0.5), Linear(0.25), Linear(0.5)]
    found = known.amplified(factors, 2.0)
    assert found is not None
    assert found(1.0) == 3.0
    assert known.amplified(factors, 4.0) is None
    assert tested == [[2], [1, 3]]


@pytest.mark.parametrize(("share", "is_noise"), BOTH_SIDES)
def test_a_residual_of_1e_13_of_the_start_is_rounding(share: float, is_noise: bool) -> None:
    target = Target.of([1.0, 2.0, 4.0])
    problem = OptimisationProblem("least-squares", RootRequest(2), target, target, 2)
    krylov = arnoldi(lambda x: np.array([1.0, 2.0, 4.0]) * x, np.full(3, 2.0), 2)
    s = share * 1e-13 * krylov.beta * np.array([0.6, 0.8, 0.0])
    with pytest.raises(pr.InputError, match="so small that rounding hides its roots" if is_noise else "has 1 only"):
        problem.roots(krylov, s, 1.0)
    # Without rounding the roots are those of the polynomial, times the unit.
    roots = problem.roots(krylov, krylov.residual(krylov.least()), 8.0)
    exact = krylov.roots(krylov.residual(krylov.least()))
    np.testing.assert_allclose(np.sort(np.real(roots)), 8 * np.sort(exact.real), rtol=1e-12)


def test_quotients_of_any_size_are_exact() -> None:
    """Powers of two beside them change no digit, whether the numbers are plain, huge or tiny."""
    for size in (0.5, 1.0, 3.0, 2.0**1010, -(2.0**1023), 2.0**-1010, 2.0**-1074, -(2.0**-1030)):
        for share in (0.0, 1.0, -0.75, 2.0**-30, 1.5):
            if abs(size * share) not in (0.0, np.inf) or share == 0:
                assert _quotient(size * share, size) == (size * share) / size
    # A number that is far from its divisor.
    assert Linear(0.5)(1e300) == 1 - 2e300
    assert Linear(4.0)(np.array([4 + 1e-300j]))[0] == -0.25e-300j
    assert ComplexPair(3.0, 4.0)(np.array([3 + 4j, 3 - 4j])).tolist() == [0, 0]
    assert ComplexPair(3.0, 4.0)(0.0) == 1


def test_of_norms_above_a_bound_those_near_the_largest_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within half of a thousandth; those that are known to be large are left out."""
    norms = SymbolNorms(Convolution.of(np.ones((1, 3)), (1, 16)), workers=1)
    sizes = 4.0 * (1 - np.array([0.45e-3, 0.55e-3, 0, 0.2, 0.45e-3, 0, 0.3, 0.9, 0.1]))
    assert len(norms.blocks.ky) == len(sizes)
    # |1 - a| is the size for a = 1 - size.
    monkeypatch.setattr(norms.blocks, "stack", lambda chosen: (1 - sizes[chosen])[:, None, None] + 0j)
    found = norms.above([Linear(1.0)], 1.0, [1], np.array([5]))
    assert [position for _, position in found] == [2, 0, 4]
    assert [norm for norm, _ in found] == pytest.approx(sizes[[2, 0, 4]].tolist(), rel=1e-12)
    assert norms.above([Linear(1.0)], 4.1, [1], np.array([5])) == []


def test_newtons_method_stays_within_a_thousandth_of_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 0.6e-3: one is taken, a second one would end beyond; of steps of 0.3e-3 three are."""
    krylov = arnoldi(lambda x: np.array([1.0, 2.0, 4.0]) * x, np.ones(3), 2)
    for step, taken in ((0.6e-3, 1), (0.3e-3, 3), (1.1e-3, 0), (np.nan, 0)):
        for sign in (1, -1):
            monkeypatch.setattr(
                type(krylov),
                "_evaluate",
                lambda self, z, s, step=sign * step: (np.full(len(z), step + 0j), np.ones(len(z)) + 0j),
            )
            found = krylov._polished(np.array([1.0, 2.0]) + 0j, np.ones(3))
            moved = np.nan_to_num(sign * taken * step)
            np.testing.assert_allclose(found, np.array([1.0, 2.0]) - moved, rtol=1e-12)


def test_values_within_their_resolution_of_the_axis_are_real() -> None:
    A = np.diag([1.0, 2.0 + 1j, 3.0])
    found = pr.operator_eigenvalues(csr_array(A))
    assert isinstance(found, OperatorSpectrum)
    for imag, words in ((0.5, True), (0.25, False), (0.125, False)):
        turned = replace(found, values=np.array([1 - 1j * imag, 2, 3]), resolution=np.full(3, 0.25))
        assert any("A is complex" in note for note in turned.notes()) is words
