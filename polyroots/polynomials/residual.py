"""The residual polynomial q and the smoothing polynomial p as products of factors with one or two roots.

A smoother u <- u + p(A) (f - A u) multiplies the residual by q(A), q(t) = 1 - t p(t) = prod_i (1 - t / lambda_i), so
q(0) = 1. *Degree* always means d, the degree of p; q has d + 1 roots. Both polynomials are applied factor by factor:
monomial coefficients lose their digits as the degree grows, factors in Leja order don't (`polyroots.polynomials.leja`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from polyroots.errors import InputError, PrecisionWarning
from polyroots.polynomials.blocks import ComplexPair, Linear, multiplied, pair_conjugates, require_relaxation_weight
from polyroots.polynomials.coefficients import alphas_of, coefficients_of, condition_of, roots_of
from polyroots.polynomials.diagnosis import Diagnosis, diagnose
from polyroots.polynomials.drawn import Drawn
from polyroots.polynomials.leja import extra_copies, leja_order, prominence
from polyroots.polynomials.linear_operator import operator_of
from polyroots.spectra import as_float64, spectrum_or_operator

# Above this condition float64 coefficients determine fewer than four digits of a root.
_ILL_CONDITIONED = 1e12


class ResidualPolynomial(Drawn):
    """The residual polynomial q(t) = prod_i (1 - t / lambda_i) with real coefficients, and p(t) = (1 - q(t)) / t.

    Parameters
    ----------
    roots : (d + 1,) array_like of complex
        Finite, non-zero, closed under conjugation, in any order; repeated roots are allowed.

    Raises
    ------
    InputError
        If there is no root, or one is zero, not finite or without its conjugate.

    See Also
    --------
    polyroots.select_roots : chooses the roots from a spectrum.

    Examples
    --------
    >>> q = ResidualPolynomial([1, 2, 1 + 1j, 1 - 1j])
    >>> q.degree
    3
    >>> print(q.alphas)
    [ 2.5  -2.5   1.25 -0.25]
    >>> print(q(0.0), q(1.0), q.p(0.0))
    1.0 0.0 2.5
    """

    def __init__(self, roots: ArrayLike) -> None:
        values = np.atleast_1d(np.asarray(roots, dtype=np.complex128)).ravel()
        if values.size == 0:
            raise InputError("a residual polynomial needs at least one root, got none")
        if not np.isfinite(values).all():
            raise InputError("the roots of a residual polynomial must be finite")
        if (values == 0).any():
            raise InputError("zero can't be a root of a residual polynomial: q(0) = 1")
        self._factors = leja_order(pair_conjugates(values))

    @property
    def factors(self) -> tuple[Linear | ComplexPair, ...]:
        """Factors of q in modified Leja order: real roots one by one, conjugate pairs together."""
        return self._factors

    @property
    def roots(self) -> Complex128[np.ndarray, "n"]:
        """Roots in modified Leja order, conjugates side by side, the one in the upper half-plane first."""
        return np.array([root for factor in self._factors for root in factor.roots], dtype=np.complex128)

    @property
    def degree(self) -> int:
        """Degree d of p; q has degree d + 1."""
        return len(self.roots) - 1

    @property
    def alphas(self) -> Float64[np.ndarray, "n"]:
        """Coefficients of p(t) = sum_i alpha_i t^i, for reading and for low degree; evaluation uses the factors.

        Those of high powers are products of reciprocal roots, which are 0 below the range of float64.

        Raises
        ------
        InputError
            If one overflows float64.
        """
        return alphas_of(self._factors)

    @property
    def root_conditions(self) -> Float64[np.ndarray, "n"]:
        """Relative condition of each of `roots` with respect to the coefficients alpha; infinite for a multiple root.

        Coefficients in float64 determine a root to a relative error of 1e-16 times its condition.
        """
        return condition_of(self.roots)

    @property
    def prominence(self) -> Float64[np.ndarray, "n"]:
        """Logarithm (base 10) of the product of factors prod_{i != j} |1 - lambda_j / lambda_i| at each of `roots`."""
        return prominence(self.roots)

    @classmethod
    def from_alphas(cls, alphas: Any) -> ResidualPolynomial:
        """Return q from the coefficients of p, such as those of a trained block.

        Parameters
        ----------
        alphas : (d + 1,) array_like or tensor of float
            p(t) = sum_i alpha_i t^i. Zeros at the end lower the degree.

        Returns
        -------
        ResidualPolynomial

        Raises
        ------
        InputError
            If a coefficient is not real and finite, or all are zero.

        Warns
        -----
        PrecisionWarning
            If float64 coefficients determine a root to fewer than four digits, as they do at high degree and for
            multiple roots.

        Examples
        --------
        >>> print(ResidualPolynomial.from_alphas([0.75, -0.125]).roots.real)
        [4. 2.]
        """
        q = cls(roots_of(as_float64(alphas, "the coefficients alpha of p").ravel()))
        worst = float(q.root_conditions.max())
        if worst > _ILL_CONDITIONED:
            warnings.warn(
                f"some of the {q.degree + 1} roots have the condition {worst:.1g}: coefficients alpha in float64 "
                "determine fewer than four of their digits; store the roots instead",
                PrecisionWarning,
                stacklevel=2,
            )
        return q

    def with_extra_copies(self) -> ResidualPolynomial:
        """Return q with its prominent roots repeated, so that rounding errors at them are damped.

        If the product of factors at a root exceeds 10^4, a copy is added for every 14 orders of magnitude above that
        [1]_. The degree grows by the number of copies.

        Returns
        -------
        ResidualPolynomial

        References
        ----------
        .. [1] M. Embree, J. A. Loe, R. B. Morgan, Polynomial preconditioned Arnoldi with stability control, SIAM
           Journal on Scientific Computing 43 (2021), A1-A25, section 3.

        Examples
        --------
        >>> q = ResidualPolynomial([0.1, 0.12, 0.14, 0.16, 0.18, 100])
        >>> print(q.prominence.round().max(), q.with_extra_copies().degree - q.degree)
        14.0 1
        """
        roots, scores = self.roots, self.prominence
        # Conjugates have equal products up to rounding: both take that of the first, so that they get as many copies.
        scores = np.where(roots.imag < 0, np.roll(scores, 1), scores)
        copies = [extra_copies(score) for score in scores]
        return type(self)(np.concatenate([roots, np.repeat(roots, copies)]))

    def relaxed(self, w: float) -> ResidualPolynomial:
        """Return q_w(t) = prod_i (1 - w t / lambda_i) = q(w t), with the roots lambda_i / w, moved along their rays.

        As damped Jacobi relaxes Jacobi: where q amplifies, q_w with a small w amplifies less, and damps less. With w
        above 1, over-relaxation, the roots move inwards. The coefficients of p become w^(i+1) alpha_i.

        Parameters
        ----------
        w : float
            Positive; 1 changes nothing.

        Returns
        -------
        ResidualPolynomial

        Raises
        ------
        InputError
            If w is not positive and finite.

        Examples
        --------
        Jacobi on a matrix of diagonal 4, and damped Jacobi with omega = 4/5:

        >>> print(ResidualPolynomial([4]).relaxed(0.8).roots)
        [5.+0.j]
        """
        return type(self)(relaxed_roots(self.roots, require_relaxation_weight(w)))

    def smooth(self, A: Any, f: Any, u: Any = None) -> Any:
        """Return u + p(A) (f - A u), one step of the smoother, factor by factor in Leja order and in real arithmetic.

        The residual is carried from factor to factor, so that d products with A are enough from u = 0, and d + 1 from
        another u.

        Parameters
        ----------
        A : callable, or anything with ``A @ x``
            A torch convolution, a scipy LinearOperator, a sparse or dense matrix, ...
        f : array or tensor
            The right-hand side; the result has its type and precision.
        u : array or tensor, optional
            The start; zero by default.

        Returns
        -------
        array or tensor
            A new one; f and u are not changed.

        Raises
        ------
        InputError
            If A can be neither called nor multiplied with, or a coefficient of p is beyond the range of float64.

        Examples
        --------
        >>> A, f = np.diag([1.0, 2.0, 4.0]), np.ones(3)
        >>> print(ResidualPolynomial([1, 4]).smooth(A, f))
        [1.   0.75 0.25]
        """
        product = _product(A)
        r = f if u is None else f - product(u)
        last = len(self._factors) - 1
        for index, coefficients in enumerate(coefficients_of(self._factors)):
            # A^k r serves the step with alpha_k, and after one more product with A the change of the residual.
            power, delta, change = r, None, None
            for place, coefficient in enumerate(coefficients):
                step = coefficient * power
                delta = step if delta is None else delta + step
                if index == last and place == len(coefficients) - 1:
                    break
                power = product(power)
                step = coefficient * power
                change = step if change is None else change + step
            u = delta if u is None else u + delta
            if index < last:
                r = r - change
        return u

    def diagnose(
        self,
        spectrum: Any,
        *,
        region: str = "all",
        size: int | tuple[int, ...] | None = None,
        certificates: Collection[str] = (),
    ) -> Diagnosis:
        """Return how well q damps a spectrum, and the best that as many roots can reach there.

        Parameters
        ----------
        spectrum : Spectrum, OperatorSpectrum, Convolution, (N,) array_like of complex, or operator
            Bare eigenvalues have no norm of q(A) and no smoothing factor; a `Convolution` alone has the norm only. Of
            other operators, see `polyroots.select_roots`, the eigenvalues are computed.
        region : ``"all"`` or ``"high"``
            Measure |q| on the whole spectrum, or on the high frequencies only.
        size : int or tuple of int, optional
            Of a stencil, a layer or a function, see `polyroots.as_operator`.
        certificates : collection of str
            What is to be proven of the norm of q(A), in `Diagnosis.certificates`: ``"ideal"`` the least norm that as
            many roots can reach, ``"numerical-range"`` an upper bound from the numerical range. They take seconds.

        Returns
        -------
        Diagnosis

        Raises
        ------
        InputError
            If there are no finite eigenvalues, all of them are zero, the region is unknown or has none, or a
            certificate is unknown, or needs the operator and there is none or one that is too large.

        Examples
        --------
        Damped Jacobi, omega = 4/5, on the 5-point Laplacian has the smoothing factor 3/5:

        >>> from polyroots.spectra import eigenvalues
        >>> K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
        >>> print(round(ResidualPolynomial([5]).diagnose(eigenvalues(K, 8)).smoothing_factor, 12))
        0.6
        """
        known = spectrum_or_operator(spectrum, size, needs_eigenvalues=True)
        return diagnose(self, known, region=region, certificates=certificates)

    def as_linear_operator(
        self, A: Any, which: str = "p", *, size: int | tuple[int, ...] | None = None
    ) -> LinearOperator:
        """Return p(A) or q(A) as scipy's LinearOperator, such as a preconditioner of CG or GMRES.

        Parameters
        ----------
        A : matrix, LinearOperator, Convolution, or another operator
            See `polyroots.as_operator`, also for `size`.
        which : ``"p"`` or ``"q"``
            p(A), an approximate inverse, takes d products with A; q(A) = I - A p(A) takes d + 1.

        Returns
        -------
        LinearOperator
            With the adjoint where that of A is known.

        Raises
        ------
        InputError
            If A is no square operator, there is no such polynomial, or a coefficient of p is beyond the range of
            float64.

        Examples
        --------
        >>> from scipy.sparse import diags_array
        >>> print(ResidualPolynomial([1, 4]).as_linear_operator(diags_array([1.0, 2, 4])) @ np.ones(3))
        [1.   0.75 0.25]
        """
        coefficients_of(self._factors)  # refuses those that p(A) and q(A) can't be computed with
        return operator_of(A, size, which, self.smooth, self._factors)

    def __call__(self, z: ArrayLike) -> Any:
        """Return q(z) in the shape of z: float64 for real z, complex128 for complex z.

        Parameters
        ----------
        z : array_like, any shape
        """
        z = np.asarray(z)
        q = np.ones_like(z, dtype=np.result_type(z, np.float64))
        for factor in self._factors:
            with np.errstate(over="ignore", invalid="ignore"):
                q = multiplied(q, factor(z))
        return q[()]

    def p(self, z: ArrayLike) -> Any:
        """Return p(z) = (1 - q(z)) / z in the shape of z, by a recurrence without a division, so z = 0 is allowed.

        Parameters
        ----------
        z : array_like, any shape

        Raises
        ------
        InputError
            If a coefficient of p is beyond the range of float64.
        """
        z = np.asarray(z)
        p = np.zeros_like(z, dtype=np.result_type(z, np.float64))
        q = np.ones_like(p)
        for factor, coefficients in zip(self._factors, coefficients_of(self._factors), strict=True):
            # 1 - z (p + q p_j) = (1 - z p)(1 - z p_j) with q = 1 - z p.
            p = p + q * sum(c * z**k for k, c in zip(factor.powers, coefficients, strict=True))
            q = q * factor(z)
        return p

    def __repr__(self) -> str:
        return f"ResidualPolynomial(degree {self.degree}, roots {np.array2string(self.roots, precision=4)})"


def relaxed_roots(roots: Complex128[np.ndarray, "n"], w: float) -> Complex128[np.ndarray, "n"]:
    """Return the roots over w; conjugates and symmetric pairs stay so to the last bit."""
    return np.array([complex(root.real / w, root.imag / w) for root in roots.tolist()], dtype=np.complex128)


def _product(A: Any) -> Callable[[Any], Any]:
    """Return the function x -> A x."""
    if callable(A):
        return A
    if not hasattr(A, "__matmul__"):
        raise InputError(f"expected an operator A to call or to multiply with (A @ x), got {type(A).__name__}")
    return lambda x: A @ x
