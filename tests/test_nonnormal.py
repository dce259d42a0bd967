from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.linalg import schur
from scipy.sparse.linalg import ArpackNoConvergence

import polyroots as pr
from polyroots.spectra import Spectrum
from polyroots.spectra.lanczos import DENSE_IS_FASTER
from polyroots.spectra.nonnormality import _smallest_singular_value

CASES = [
    ("circular", 3, 1, (4, 5), 1),
    ("circular", 4, 2, (5, 6), 1),
    ("circular", 2, 1, (6, 4), 2),
    ("circular", 2, 2, (3, 4), 1),
    ("zeros", 2, 1, (4, 5), 1),
    ("zeros", 4, 2, (10, 9), 1),  # more than 300 unknowns: Lanczos
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}-{case[3][0]}x{case[3][1]}-{case[4]}")
def example(request: pytest.FixtureRequest, rng: np.random.Generator) -> tuple[Spectrum, NDArray[Any]]:
    """Return a spectrum and the dense matrix of its operator."""
    padding, c, groups, size, dilation = request.param
    K = rng.standard_normal((c, c // groups, 3, 3))
    Lambda = pr.eigenvalues(K, size, padding=padding, groups=groups, dilation=dilation)
    return Lambda, dense_operator(K, size, dilation, groups, padding)


def hermitian_part_of(block: NDArray[Any], phi: float) -> NDArray[Any]:
    return (np.exp(-1j * phi) * block + np.exp(1j * phi) * block.conj().T) / 2


def hermitian_part(A: NDArray[Any], phi: float) -> NDArray[Any]:
    return (np.exp(-1j * phi) * A + np.exp(1j * phi) * A.T) / 2


def test_numerical_range_is_that_of_the_matrix(example: tuple[Spectrum, NDArray[Any]]) -> None:
    Lambda, A = example
    W = pr.numerical_range(Lambda, 12)
    scale = np.linalg.norm(A, 2)
    for phi, support, point in zip(W.angles, W.support, W.points, strict=True):
        assert support == pytest.approx(np.linalg.eigvalsh(hermitian_part(A, phi))[-1], abs=float(1e-9 * scale))
        assert (np.exp(-1j * phi) * point).real == pytest.approx(support, abs=float(1e-9 * scale))
    # The range is symmetric to the real axis and contains the spectrum.
    np.testing.assert_allclose(W.support[1:], W.support[:0:-1], rtol=1e-9)
    reach = (np.exp(-1j * W.angles[:, None]) * Lambda.values).real.max(axis=1)
    assert (reach <= W.support + 1e-10 * scale).all()
    assert W.radius <= scale * (1 + 1e-12)


def test_numerical_range_of_a_normal_operator_is_the_hull_of_its_spectrum() -> None:
    K = np.zeros((1, 1, 1, 3))
    K[0, 0, 0] = [0.5, 0.0, 2.0]  # normal, as every circular operator with one channel; the spectrum is an ellipse
    W = pr.numerical_range(pr.eigenvalues(K, (1, 400)), 40)
    np.testing.assert_allclose(W.support, np.hypot(2.5 * np.cos(W.angles), 1.5 * np.sin(W.angles)), rtol=1e-4)


def test_departure_is_that_of_the_schur_form(example: tuple[Spectrum, NDArray[Any]]) -> None:
    Lambda, A = example
    T = schur(A, output="complex")[0]
    expected = np.linalg.norm(np.triu(T, 1)) / np.linalg.norm(A)
    assert pr.departure_from_normality(Lambda) == pytest.approx(expected, abs=1e-7)


def test_departure_of_normal_nilpotent_and_zero_operators() -> None:
    shift = np.zeros((1, 1, 1, 3))
    shift[0, 0, 0, 2] = 1.0
    assert pr.departure_from_normality(pr.eigenvalues(shift, (1, 9))) == 0
    assert pr.departure_from_normality(pr.eigenvalues(shift, (1, 9), padding="zeros")) == 1
    assert pr.departure_from_normality(pr.eigenvalues(0 * shift, (1, 9))) == 0
    slightly = np.array([[1.0, 1e-4], [0.0, 1.0]]).reshape(2, 2, 1, 1)
    assert pr.departure_from_normality(pr.eigenvalues(slightly, 2)) == pytest.approx(7.07e-5, rel=1e-3)
    # A normal operator, in single precision.
    assert pr.departure_from_normality(pr.eigenvalues(shift, (1, 9), dtype=np.complex64)) == 0


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("scale", [1e-200, 1e150])
def test_scales_change_nothing(padding: str, scale: float, rng: np.random.Generator) -> None:
    K = rng.standard_normal((4, 4, 3, 3))
    plain, scaled = (pr.eigenvalues(kernel, (9, 9), padding=padding) for kernel in (K, K * scale))
    assert scaled.radius / scale == pytest.approx(plain.radius, rel=1e-10)
    assert pr.departure_from_normality(scaled) == pytest.approx(pr.departure_from_normality(plain), rel=1e-7)
    np.testing.assert_allclose(
        pr.numerical_range(scaled, 8).support / scale, pr.numerical_range(plain, 8).support, rtol=1e-9
    )
    z = np.array([3.0, 1 + 2j])
    np.testing.assert_allclose(pr.pseudospectrum(scaled, z * scale) / scale, pr.pseudospectrum(plain, z), rtol=1e-8)
    q = pr.ResidualPolynomial([2.0, -3.0, 1 + 2j, 1 - 2j])
    q_scaled = pr.ResidualPolynomial(np.array([2.0, -3.0, 1 + 2j, 1 - 2j]) * scale)
    assert pr.residual_norm(scaled, q_scaled) == pytest.approx(pr.residual_norm(plain, q), rel=1e-9)


def test_the_zero_operator_and_a_zero_polynomial() -> None:
    zero = pr.eigenvalues(np.zeros((1, 1, 3, 3)), (1, 400), padding="zeros")
    assert np.abs(pr.numerical_range(zero, 4).support).max() == 0
    identity = np.ones((1, 1, 1, 1))
    assert pr.residual_norm(pr.eigenvalues(identity, (1, 400), padding="zeros"), pr.ResidualPolynomial([1.0])) == 0


def test_the_support_is_reached_to_rounding() -> None:
    """The kernel's support at pi / 2 is attained at another frequency than its outermost eigenvalue."""
    e = 0.20005
    K = np.array([[[0.1, 0, 0.1], [-e, 2 * e, -e]], [[0, 0, 0], [0.1, 0, 0.1]]])[:, :, None, :]
    Lambda = pr.eigenvalues(K, (1, 64))
    blocks = pr.symbol(K, (1, 64)).reshape(-1, 2, 2)
    for phi, support in zip(
        *(getattr(pr.numerical_range(Lambda, 4), name) for name in ("angles", "support")), strict=True
    ):
        both = [hermitian_part_of(block, angle) for block in blocks for angle in (phi, -phi)]
        assert support == pytest.approx(max(np.linalg.eigvalsh(H)[-1] for H in both), abs=1e-12)


def test_pseudospectrum_is_that_of_the_matrix(example: tuple[Spectrum, NDArray[Any]], rng: np.random.Generator) -> None:
    Lambda, A = example
    z = rng.standard_normal((2, 3)) + 1j * rng.standard_normal((2, 3))
    z[0, 0] = z[0, 0].real
    found = pr.pseudospectrum(Lambda, z)
    assert found.shape == (2, 3)
    for point, value in zip(z.ravel(), found.ravel(), strict=True):
        expected = np.linalg.svd(point * np.eye(len(A)) - A, compute_uv=False)[-1]
        assert value == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_pseudospectrum_vanishes_on_the_spectrum(example: tuple[Spectrum, NDArray[Any]]) -> None:
    Lambda, _ = example
    assert pr.pseudospectrum(Lambda, Lambda.values[:3]).max() < 1e-7


def test_norm_of_q_is_that_of_the_matrix(example: tuple[Spectrum, NDArray[Any]]) -> None:
    Lambda, A = example
    q = pr.ResidualPolynomial(pr.select_roots(Lambda, 3))
    Q = np.eye(len(A))
    for root in q.roots:
        Q = Q @ (np.eye(len(A)) - A / root)
    norm = pr.residual_norm(Lambda, q)
    assert norm == pytest.approx(np.linalg.norm(Q, 2), rel=1e-9)
    assert norm >= np.abs(q(Lambda.values)).max() * (1 - 1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), degree=st.integers(0, 9))
def test_norm_of_q_is_the_largest_value_of_q_for_a_normal_operator(seed: int, degree: int) -> None:
    """The symbol of a symmetric kernel is Hermitian, so the norm of q(A) is max |q| over the eigenvalues."""
    K = np.random.default_rng(seed).standard_normal((3, 3, 3, 3))
    K = K + K.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    Lambda = pr.eigenvalues(K, (5, 4))
    assert pr.departure_from_normality(Lambda) < 1e-6
    distinct = np.unique(np.round(Lambda.values.real, 9))
    q = pr.ResidualPolynomial(distinct[np.linspace(0, len(distinct) - 1, degree + 1).astype(int)])
    assert pr.residual_norm(Lambda, q) == pytest.approx(np.abs(q(Lambda.values)).max(), rel=1e-9)


def test_small_q_on_the_spectrum_is_not_a_small_norm() -> None:
    """The symbol is near a Jordan block: its eigenvalues are roots of q, and yet q(A) is far from zero."""
    K = np.array([[1.0, 50.0], [0.0, 1.0]]).reshape(2, 2, 1, 1)
    Lambda = pr.eigenvalues(K, 4)
    q = pr.ResidualPolynomial([1.0])
    assert np.abs(q(Lambda.values)).max() < 1e-12
    assert pr.residual_norm(Lambda, q) == pytest.approx(50)


@pytest.mark.usefixtures("types_unchecked")
def test_bare_eigenvalues_are_not_enough() -> None:
    q = pr.ResidualPolynomial([1.0])
    calls: tuple[tuple[Any, tuple[Any, ...]], ...] = (
        (pr.numerical_range, ()),
        (pr.departure_from_normality, ()),
        (pr.pseudospectrum, (0.0,)),
        (pr.residual_norm, (q,)),
    )
    for function, arguments in calls:
        with pytest.raises(
            pr.InputError, match="eigenvalues alone don't determine it: expected a Spectrum, got ndarra"
        ):
            function(np.ones(3, dtype=complex), *arguments)
    Lambda = pr.eigenvalues(np.ones((1, 1, 1, 1)), 2)
    with pytest.raises(pr.InputError, match="expected finite points"):
        pr.pseudospectrum(Lambda, np.nan)
    with pytest.raises(pr.InputError, match="expected a ResidualPolynomial, got list"):
        pr.residual_norm(Lambda, cast(Any, [1.0, 2.0]))
    with pytest.raises(pr.InputError, match="even number of at least 4 angles, got 7"):
        pr.numerical_range(pr.eigenvalues(np.ones((1, 1, 1, 1)), 2), 7)


def test_a_failed_iteration_is_an_error(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    def never(*args: Any, **options: Any) -> None:
        raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr("polyroots.spectra.lanczos.eigsh", never)
    Lambda = pr.eigenvalues(rng.standard_normal((4, 4, 3, 3)), 9, padding="zeros")
    with pytest.raises(pr.ConvergenceError, match=r"the norm of q\(A\) has not converged"):
        pr.residual_norm(Lambda, pr.ResidualPolynomial([1.0]))


def test_a_part_of_the_frequencies_gives_a_range_from_inside(rng: np.random.Generator) -> None:
    Lambda = pr.eigenvalues(rng.standard_normal((3, 3, 3, 3)), 16)
    every, some = pr.numerical_range(Lambda, 16), pr.numerical_range(Lambda, 16, every=3)
    assert (some.support <= every.support + 1e-12).all()
    assert (some.support > 0.9 * every.support).all()
    with pytest.raises(pr.InputError, match="got every=0"):
        pr.numerical_range(Lambda, 16, every=0)


@pytest.mark.parametrize(("padding", "size"), [("circular", 6), ("zeros", 6), ("zeros", 20)])
def test_a_norm_beyond_float64_is_infinite(padding: str, size: int) -> None:
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)
    q = pr.ResidualPolynomial(np.full(200, 1e-3))
    assert pr.residual_norm(pr.eigenvalues(K, size, padding=padding), q) == np.inf


@pytest.mark.parametrize("at", [0.0, 1.0])
@pytest.mark.parametrize("n", [3, DENSE_IS_FASTER + 3])
def test_the_smallest_singular_value_of_a_diagonal_matrix(n: int, at: float) -> None:
    """An eigenvalue of T is z itself or lies at the distance 1; the others are farther away."""
    z = 2.0 - 1j
    found = _smallest_singular_value(np.diag(z - at - 2.0 * np.arange(n)), z)
    assert found == pytest.approx(at, rel=1e-12, abs=1e-15)
