"""Kernels, spectra and roots near the ends of float64's range, against scaled ones and exact values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

import polyroots as pr
from polyroots.polynomials.target import Target
from polyroots.spectra.operator_spectrum import OperatorSpectrum
from polyroots.text import floored

SCALES = [1e-310, 1e-200, 1e-160, 1e154, 1e200, 1e306]


def kernel() -> np.ndarray:
    K = np.random.default_rng(41).standard_normal((3, 3, 3, 3)) / 9
    K[range(3), range(3), 1, 1] += 1.5
    return K


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.slow
def test_roots_and_diagnosis_of_a_kernel_scale_with_it(scale: float, padding: str) -> None:
    """A kernel of 1e-310 has 13 digits, so that a scaled one agrees to these."""
    plain, scaled = (pr.eigenvalues(factor * kernel(), 5, padding=padding) for factor in (1, scale))
    for strategy in ("minimax", "harmonic-ritz", "extremal", "chebyshev"):
        expected = pr.select_roots(plain, 3, strategy)
        roots = pr.select_roots(scaled, 3, strategy)
        # Part by part: numpy's reciprocal of 1e-310 overflows.
        back = roots.real / scale + 1j * (roots.imag / scale)
        assert np.abs(back - expected).max() < 1e-6 * np.abs(expected).max()
        ours, theirs = (
            pr.ResidualPolynomial(values).diagnose(Lambda) for values, Lambda in ((roots, scaled), (expected, plain))
        )
        for name in ("max_abs", "rms", "norm", "best", "best_bound", "growth", "prominence"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-6), name
        assert ours.null == theirs.null == 0


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_henrici_of_a_triangular_matrix_at_any_scale(scale: float, padding: str) -> None:
    """[[1, 1], [0, -1]] has the squared norm 3 and the eigenvalues 1 and -1."""
    K = np.array([[1.0, 1], [0, -1]])[:, :, None, None] * scale
    Lambda = pr.eigenvalues(K, 3, padding=padding)
    assert pr.departure_from_normality(Lambda) == pytest.approx(np.sqrt(1 / 3), rel=1e-9)
    golden = (np.sqrt(5) + 1) / 2
    assert pr.singular_values(K, 3, padding=padding)[0] / scale == pytest.approx(golden, rel=1e-9)
    assert pr.numerical_range(Lambda, 8).support[0] / scale == pytest.approx(np.sqrt(5) / 2, rel=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_a_normal_operator_is_normal_at_any_scale(scale: float) -> None:
    laplacian = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])[None, None]
    Lambda = pr.eigenvalues(laplacian * scale, 9)
    assert pr.departure_from_normality(Lambda) == 0
    assert Target.of(Lambda).null == 1
    assert Lambda.radius / scale == pytest.approx(4 - 4 * np.cos(8 * np.pi / 9), rel=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("z", [1e300, 1e-300, 1.0, 1e-10, 1e4])
def test_roots_600_orders_of_magnitude_apart(z: float) -> None:
    """In rational arithmetic; q is zero at its roots, also where another factor overflows."""
    roots = [1e300, 1e-300]
    q = pr.ResidualPolynomial(roots)
    exact = (1 - Fraction(z) / Fraction(roots[0])) * (1 - Fraction(z) / Fraction(roots[1]))
    assert float(q(z)) == pytest.approx(float(exact), rel=1e-14)
    assert complex(q(complex(z))) == pytest.approx(complex(float(exact)), rel=1e-14)
    assert q.prominence == pytest.approx([600, 0], abs=1e-9)
    assert np.isfinite(q.alphas).all()
    found = q.diagnose([1.0, 2.0])
    assert found.copies == 43  # 600 - 4 orders of magnitude, 14 for each copy


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("roots", [[1e-320], [1e-200 + 1e-200j, 1e-200 - 1e-200j], [1e-110, 2e-110, 3e-110]])
def test_coefficients_that_overflow_are_said(roots: list[complex]) -> None:
    q = pr.ResidualPolynomial(roots)
    with pytest.raises(pr.InputError, match=r"coefficients alpha of p overflow float64: the smallest root has the mod"):
        _ = q.alphas
    assert np.abs(q(np.array(roots))).max() == 0
    if len(roots) < 3:
        for compute in (lambda: q.p(1.0), lambda: q.smooth(np.eye(2), np.ones(2))):
            with pytest.raises(pr.InputError, match="scale A, and the roots scale with it"):
                compute()
    else:
        # One by one their coefficients don't overflow.
        assert q.smooth(np.diag([1e-110, 3e-110]), np.array([1e-110, 3e-110])) == pytest.approx([1, 1], rel=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("roots", [[3e160 + 1e160j, 3e160 - 1e160j], [1.0, 1e200j, -1e200j]])
def test_coefficients_that_vanish_are_said(roots: list[complex]) -> None:
    """-1 / |lambda|^2 is below the range of float64, and p without it is another polynomial."""
    q = pr.ResidualPolynomial(roots)
    for compute in (lambda: q.p(1.0), lambda: q.smooth(np.eye(2), np.ones(2))):
        with pytest.raises(pr.InputError, match=r"vanish in float64: the largest root has the modulus .*; scale A"):
            compute()
    assert pr.ResidualPolynomial([1e200, 1.0]).p(0.0) == 1


@pytest.mark.parametrize("roots", [[1e-200 + 1e-200j, 1e-200 - 1e-200j], [1e200j, -1e200j]])
@pytest.mark.parametrize("which", ["p", "q"])
def test_polynomials_of_operators_need_their_coefficients(which: str, roots: list[complex]) -> None:
    with pytest.raises(pr.InputError, match="scale A, and the roots scale with it"):
        pr.ResidualPolynomial(roots).as_linear_operator(np.eye(2), which)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e155, 1e300])
def test_stencils_and_products_at_any_scale(scale: float) -> None:
    """The periodic 7-point Laplacian ends at 12; products with diag(1, 1, ..., 5, 5) have the Ritz values 1 to 5."""
    K = np.zeros((3, 3, 3))
    K[1, 1, [0, 2]] = K[1, [0, 2], 1] = K[[0, 2], 1, 1] = -scale
    K[1, 1, 1] = 6 * scale
    assert pr.operator_eigenvalues(K, size=4).radius / scale == pytest.approx(12, rel=1e-12)
    diagonal = np.repeat(np.arange(1.0, 6), 8) * scale
    A = LinearOperator((40, 40), matvec=lambda x: diagonal * x, rmatvec=lambda x: diagonal * x, dtype=np.float64)
    found = pr.operator_eigenvalues(A, steps=10)
    assert isinstance(found, OperatorSpectrum)
    assert np.sort(found.values.real) / scale == pytest.approx([1, 2, 3, 4, 5], rel=1e-9)
    # q(t) = 1 - t / 5 in units of the scale.
    q = pr.ResidualPolynomial([5 * scale])
    assert pr.residual_norm(pr.as_operator(A), q) == pytest.approx(0.8, rel=1e-12)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_products_that_are_not_finite_are_said(bad: float) -> None:
    A = LinearOperator((6, 6), matvec=lambda x: np.full_like(x, bad), dtype=np.float64)
    for steps in (None, 3):
        with pytest.raises(pr.InputError, match="products with A are NaN or infinite"):
            pr.operator_eigenvalues(A, steps=steps)


def test_bounds_are_rounded_down_at_any_scale() -> None:
    for value in (1.23456e-310, 9.87654e-5, 0.29, 0.99999, 1.0):
        text = Fraction(floored(value))
        assert text <= Fraction(value) < text * Fraction(1001, 1000)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [3e307, 1.7e308])
def test_a_spectrum_beyond_float64_is_said(scale: float) -> None:
    """A sum of nine such entries is an eigenvalue of the periodic operator."""
    message = r"with entries of up to \d\.\de\+30\d the spectrum exceeds .* 1\.8e\+308; divide the weights"
    for function in (pr.eigenvalues, pr.singular_values, pr.symbol):
        with pytest.raises(pr.InputError, match=message):
            function(np.full((1, 1, 3, 3), scale), 4)
