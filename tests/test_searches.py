"""Where searches begin, with what steps, and how often and how accurately they go on."""

from __future__ import annotations

import math
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import flint
import numpy as np
import pytest
from general import general
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator

from polyroots.polynomials import minimax
from polyroots.polynomials.arnoldi import arnoldi
from polyroots.polynomials.blocks import Linear
from polyroots.polynomials.cone_program import least_maximum
from polyroots.polynomials.ideal import ideal
from polyroots.polynomials.lower_bound import _in_rising_precision, _least, proven_lower_bound, proven_norm_bound
from polyroots.polynomials.partial_products import ProductsInNorm, ProductsOnPoints
from polyroots.polynomials.target import Target
from polyroots.roots.chebyshev_ellipse import Ellipse, _search, _starts, best_ellipse
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.extreme_eigenvalues import extreme_eigenvalues_of
from polyroots.spectra.kronecker_sum import summands
from polyroots.spectra.lanczos import largest_eigenvalue
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.operator_spectrum import _ritz_values
from polyroots.spectra.singular_values import largest_singular_values
from polyroots.spectra.zero_padding import arnoldi_eigenvalues, balance


def test_ellipses_are_looked_for_on_a_grid_around_and_beside_the_spectrum() -> None:
    """Nine centres between the ends, five beyond the middle; circles, and squared foci of 1e-3 to 1e3 of the size."""
    low, high, top = 1.0, 5.0, 0.5
    centres = [1 + j / 2 for j in range(9)] + [3 + 0.5 * 0.05 * 40 ** (j / 4) for j in range(5)]
    size = 2**2 + 0.5**2
    foci = [0.0] + [side * size * 10 ** (j / 2) for side in (1, -1) for j in range(-6, 7)]
    expected = {(round(centre, 9), float(f"{focus:.9g}")) for centre in centres for focus in foci}
    found = {(round(x[0], 9), float(f"{x[1]:.9g}")) for x in _starts(low, high, top)}
    assert found == expected
    # Those of a mirrored spectrum are mirrored.
    assert {(-centre, focus) for centre, focus in expected} == {
        (round(x[0], 9), float(f"{x[1]:.9g}")) for x in _starts(-high, -low, top)
    }
    assert {math.copysign(1, x[0]) for x in _starts(-0.1, 0.1 + 1e-9, 1.0)[9 * 27 :]} == {1.0}


def test_the_simplex_is_begun_anew_from_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 10, 3, 1 and 10 percent of each part, which counts as 0.1 at least."""
    begun: list[NDArray[Any]] = []

    def minimize(factor: Any, start: NDArray[Any], **given: Any) -> SimpleNamespace:
        assert given["method"] == "Nelder-Mead"
        assert (given["options"]["initial_simplex"][0] == start).all()
        begun.append(given["options"]["initial_simplex"] - start)
        return SimpleNamespace(x=start * [2.0, 1.0])

    monkeypatch.setattr("scipy.optimize.minimize", minimize)
    assert _search(lambda x: 0.0, np.array([-0.5, 0.02])).tolist() == [-8.0, 0.02]
    for number, share in enumerate((0.1, 0.03, 0.01, 0.1)):
        edges = [[0, 0], [share * 0.5 * 2**number, 0], [0, share * 0.1]]
        np.testing.assert_allclose(begun[number], edges, atol=1e-15)


def test_the_best_ellipse_of_a_disc_is_a_circle() -> None:
    circle = 3 + 2 * np.exp(2j * np.pi * np.arange(40) / 40)
    found = best_ellipse(circle[circle.imag >= 0])
    assert found.factor(circle) <= 2 / 3 * (1 + 1e-9)
    assert found.centre == pytest.approx(3, abs=1e-3)
    assert best_ellipse(np.array([1.0, 2.0, 5.0]) + 0j) == Ellipse(3.0, 4.0)


class Asked:
    """What ARPACK is asked for, with an answer after some refusals."""

    def __init__(self, refusals: int, dtype: type = np.float64) -> None:
        self.refusals, self.dtype = refusals, dtype
        self.options: list[dict[str, Any]] = []

    def __call__(self, A: Any, **options: Any) -> Any:
        self.options.append(options)
        if len(self.options) <= self.refusals:
            raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))
        n, k = A.shape[0], options["k"]
        return np.ones(k), np.eye(n, dtype=self.dtype)[:, :k]

    def all_of(self, name: str) -> list[Any]:
        return [options[name] for options in self.options]


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(("pixels", "k", "space"), [(400, 3, 80), (400, 20, 80), (400, 21, 84), (70, 3, 70)])
def test_eigenvalues_are_asked_for_with_falling_accuracy(
    pixels: int, k: int, space: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a Krylov space of 80 or four for each eigenvalue, up to 60 times; for conditions with four digits first."""
    operator = Convolution.of(np.array([1.0, 2, 1]).reshape(1, 1, 1, 3), (1, pixels), padding="zeros")
    asked = Asked(refusals=2, dtype=np.complex128)
    monkeypatch.setattr("polyroots.spectra.zero_padding.eigs", asked)
    found = arnoldi_eigenvalues(operator, k, "LM")
    assert asked.all_of("tol") == [1e-10, 1e-5, 1e-2, 1e-4]
    assert set(asked.all_of("ncv")) == {space}
    assert set(asked.all_of("maxiter")) == {60}
    assert set(asked.all_of("k")) == {k}
    assert len(found.values) == k
    # Half of the eigenvalues are asked for at most.
    arnoldi_eigenvalues(operator, pixels, "LM")
    assert asked.options[-1]["k"] == pixels // 2


@pytest.mark.parametrize(("channels", "k", "space"), [(60, 3, 40), (60, 10, 40), (60, 11, 44), (30, 3, 30)])
def test_singular_values_are_asked_for_with_falling_accuracy(
    channels: int, k: int, space: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Convolution.of(np.eye(channels)[:, :, None, None], 1)
    asked = Asked(refusals=2)
    monkeypatch.setattr(import_module("polyroots.spectra.singular_values"), "eigsh", asked)
    found = largest_singular_values(operator, k)
    assert asked.all_of("tol") == [1e-12, 1e-6, 1e-2]
    assert set(asked.all_of("ncv")) == {space}
    assert found.values.tolist() == [1] * k
    assert found.converged.all()


@pytest.mark.parametrize(("n", "space"), [(41, 40), (40, 40), (7, 7)])
def test_one_largest_eigenvalue_is_asked_for(n: int, space: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(refusals=0)
    monkeypatch.setattr("polyroots.spectra.lanczos.eigsh", asked)
    identity = LinearOperator((n, n), matvec=lambda x: x, dtype=np.float64)
    for tolerance in (1e-11, 1e-3):
        largest_eigenvalue(identity, "it", *([] if tolerance == 1e-11 else [tolerance]))
        asked_for = {name: asked.options[-1][name] for name in ("k", "which", "tol", "ncv", "maxiter")}
        assert asked_for == {"k": 1, "which": "LA", "tol": tolerance, "ncv": space, "maxiter": 300}
    tops, vectors = largest_eigenvalue(LinearOperator((n, n), matvec=lambda x: 0 * x, dtype=np.float64), "it")
    assert (tops.tolist(), vectors.shape) == ([0.0], (n, 1))


def test_twice_as_many_values_are_asked_for_where_pairs_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, int] = {}

    def arnoldi_values(operator: Any, k: int, which: str) -> Any:
        asked[which] = k
        return found

    operator = Convolution.of(np.arange(9.0).reshape(3, 3), (4, 5), padding="zeros")
    found = arnoldi_eigenvalues(operator, 3, "LM")
    module = import_module("polyroots.spectra.extreme_eigenvalues")
    monkeypatch.setattr(module, "is_direct", lambda operator: False)
    monkeypatch.setattr(module, "arnoldi_eigenvalues", arnoldi_values)
    assert extreme_eigenvalues_of(operator, 3).is_exact is False
    assert asked == {"SR": 3, "LR": 3, "LI": 6, "LM": 3}


def test_arnoldis_method_takes_a_gibibyte_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^27 entries, or 20 vectors of more than 2^27 / 20; each product is a step."""
    shapes: list[tuple[int, int]] = []

    def zeros(shape: Any, **options: Any) -> None:
        shapes.append(shape)
        raise MemoryError

    monkeypatch.setattr("polyroots.spectra.operator_spectrum.np.zeros", zeros)
    monkeypatch.setattr(
        "polyroots.spectra.operator_spectrum.np.random.default_rng",
        lambda seed: SimpleNamespace(standard_normal=lambda n: np.ones(1)),
    )
    for n, steps, rows in ((2**20, 150, 129), (2**25, 150, 21), (2**20, 50, 51), (9, 50, 10)):
        with pytest.raises(MemoryError):
            _ritz_values(LinearOperator((n, n), matvec=lambda x: x, dtype=np.float64), "A", steps)
        assert shapes.pop() == (rows, n)


def test_an_invariant_space_has_as_many_columns_as_products() -> None:
    for values, count in (([2.0, 2.0, 2.0], 1), ([1.0, 3.0, 3.0], 2), ([1.0, 2.0, 4.0], 3)):
        krylov = arnoldi(np.diag(values).__matmul__, np.ones(3), 5)
        assert (krylov.V.shape, krylov.H.shape) == ((3, count + 1), (count + 1, count))
        assert krylov.is_invariant
        # The polynomial with all eigenvalues as roots is zero.
        assert krylov.roots_to_reach(1e-9) == count
        assert krylov.roots_to_reach(1.1) == 1
    # |1 - c t| on 1 and 3 is 1 / sqrt(5) of the start at best, for c = 2 / 5.
    pair = arnoldi(lambda x: np.array([1.0, 3.0]) * x, np.ones(2), 2)
    assert [pair.roots_to_reach(share / math.sqrt(5)) for share in (0.99, 1.01)] == [2, 1]


def test_what_is_reached_exactly_is_zero() -> None:
    """q(A) = 0 for a multiple of the identity: nothing is below, and nothing has to be proven."""
    blocks = OperatorBlocks(Convolution.of(np.full((1, 1), 3.0), 4))
    found = ideal(blocks, 2)
    assert (found.value, found.bound) == (0.0, 0.0)
    best = minimax(Target.of([2.0]), 1)
    assert (best.value, best.bound) == (0.0, 0.0)


def test_solvers_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    least_maximum(np.eye(3)[:, :1], np.ones((3, 1, 1)))
    assert capfd.readouterr() == ("", "")


def test_precision_is_doubled_until_the_ball_is_small() -> None:
    """128 bits and 16 for each root, four times; the bound is the next number below the root of the square."""
    for needed, count in ((1, 5), (3, 5), (4, 2), (5, 2)):
        bits: list[int] = []

        def least(bits: list[int] = bits, needed: int = needed) -> flint.arb | None:
            bits.append(flint.ctx.prec)
            return flint.arb(2) if len(bits) == needed else None

        found = _in_rising_precision(count, least)
        assert bits == [(128 + 16 * count) * 2**number for number in range(min(needed, 4))]
        if needed > 4:
            assert found == 0
        else:
            assert math.nextafter(math.sqrt(2), 0) >= found >= math.sqrt(2) * (1 - 1e-15)
    assert _in_rising_precision(1, lambda: flint.arb(0)) == 0


@pytest.mark.parametrize(("share", "is_small"), [(0.85, True), (1.15, False)])
def test_a_ball_is_small_with_a_billionth_of_its_middle(share: float, is_small: bool) -> None:
    for scale in (1.0, 100.0):
        square = flint.arb(4.0 * scale, 4.0 * scale * share * 1e-9)
        found = _least(flint.arb_mat([[square]]), flint.arb(2))
        assert (found is not None) is is_small
        if found is not None:
            assert float(found.mid()) == pytest.approx(2 * scale, rel=1e-12)
    assert _least(flint.arb_mat([[flint.arb(-1)]]), flint.arb(1)) is None
    assert _least(flint.arb_mat([[flint.arb(0)]]), flint.arb(1)) is None


def test_vectors_that_are_no_numbers_prove_nothing() -> None:
    """|1 - c| is zero for c = 1, and |v - c A v| is that of v where A v is orthogonal to v."""
    A, v = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[1.0], [0.0]])
    assert proven_norm_bound([(A, v)], 1) == pytest.approx(1, rel=1e-12)
    assert proven_norm_bound([(A, v), (A, v * np.nan)], 1) == 0
    assert proven_norm_bound([(np.eye(2), v)], 1) == 0
    assert proven_norm_bound([(np.eye(2), v)], 1, [2.0]) == 0


def test_points_without_weight_prove_nothing() -> None:
    """On 1 and 3 the least max of |1 - c t| is 1/2, with the weights 3/4 and 1/4."""
    points = np.array([1.0, 3.0, 0.01]) + 0j
    assert proven_lower_bound(points, np.array([0.75, 0.25, 0.0]), 1) == pytest.approx(0.5, rel=1e-12)
    assert proven_lower_bound(points, np.zeros(3), 1) == 0
    assert proven_lower_bound(points, np.array([0.75, np.inf, 0.0]), 1) == 0
    # Beside the fixed root 6: |1 - t / 6| at 1 and 3 is 5/6 and 1/2.
    fixed = proven_lower_bound(points, np.array([0.75, 0.25, 0.0]), 1, [6.0])
    u, v = np.array([5 / 6, 1 / 2]) * np.sqrt([0.75, 0.25]), np.array([5 / 6, 3 / 2]) * np.sqrt([0.75, 0.25])
    assert fixed == pytest.approx(np.linalg.norm(u - v * (u @ v) / (v @ v)), rel=1e-12)


def test_products_on_points_are_bounded_as_they_are() -> None:
    """|1 - t / 0.4| is 1.5 at 1, |1 - t / 0.25| is 3, and half of that and more with roots twice as far."""
    products = ProductsOnPoints(np.array([1.0 + 0j]))
    assert products.amplified([Linear(0.4)], 2.0) is None
    assert products.amplified([Linear(0.4)], 1.5) is None
    gain = products.amplified([Linear(0.25)], 2.0)
    assert gain is not None
    assert (gain(1.0), gain(0.5)) == (3.0, 1.0)
    # The second product is |(1 - 1 / 0.4) (1 - 1 / 0.25)| = 4.5; both count.
    both = products.amplified([Linear(0.4), Linear(0.25)], 4.0)
    assert both is not None
    assert both(1.0) == pytest.approx(4.5)
    for A in (np.diag([1.0, 1.0, 1.0, 1.0]), LinearOperator((400, 400), matvec=lambda x: x, rmatvec=lambda x: x)):
        norms = ProductsInNorm(Target.of(general(A)).norms)
        assert norms.amplified([Linear(0.4)], 2.0) is None
        for factors, norm in (([Linear(0.25)], 3.0), ([Linear(0.4), Linear(0.25)], 4.5)):
            found = norms.amplified(factors, 2.0)
            assert found is not None
            assert found(1.0) == pytest.approx(norm, rel=1e-9)


def test_lines_of_a_sum_have_the_dilation_of_their_axis() -> None:
    cross = np.array([[0.0, 1, 0], [2, 5, 3], [0, 4, 0]])
    found = summands(Convolution.of(cross, (9, 8), dilation=(2, 3), padding="zeros"))
    assert found is not None
    column, row = found
    assert (column.size, row.size) == ((1, 9), (1, 8))
    assert (column.dilation[1], row.dilation[1]) == (2, 3)
    assert column.weight.ravel().tolist() == [1, 0, 4]
    assert row.weight.ravel().tolist() == [2, 5, 3]


def test_circular_and_zero_operators_are_balanced_already() -> None:
    K = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    for operator in (Convolution.of(K, 4), Convolution.of(0 * K, 4, padding="zeros")):
        assert balance(operator) == (operator, (0.0, 0.0))
    # [1, 0, 100] has the smallest norm with both at 10.
    line = Convolution.of(np.array([[1.0, 0, 100]]), (1, 5), padding="zeros")
    balanced, (alpha, beta) = balance(line)
    np.testing.assert_allclose(balanced.weight.ravel(), [10, 0, 10], rtol=1e-5)
    assert (alpha, beta) == pytest.approx((0, -math.log(10)), rel=1e-5)
    # One-sided: as far as the bound of 40.
    _, (alpha, beta) = balance(Convolution.of(np.array([[0, 1.0, 2], [0, 0, 3], [0, 0, 0]]), 5, padding="zeros"))
    assert (alpha, beta) == pytest.approx((40, -40))
