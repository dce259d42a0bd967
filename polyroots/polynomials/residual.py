r"""The residual polynomial q and the smoothing polynomial p, in factors of one or two real or conjugate roots.

A smoother u <- u + p(A) (f - A u) multiplies the residual by q(A), q(t) = 1 - t p(t) = prod_i (1 - t / lambda_i), so
q(0) = 1. *Degree* always means d, the degree of p; q then has d + 1 roots. Everything stays in factors: monomial
coefficients lose their digits as the degree grows, factors in Leja order don't (`polyroots.polynomials.leja`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import ArrayLike, NDArray

from polyroots.errors import InputError, PrecisionWarning
from polyroots.polynomials.blocks import BLOCKS, PAIRING_TOLERANCE, ComplexPair, Linear
from polyroots.polynomials.coefficients import alphas_of, condition_of, roots_of
from polyroots.polynomials.diagnosis import Diagnosis, diagnose
from polyroots.polynomials.leja import extra_copies, leja_order, prominence
from polyroots.spectra import Spectrum

# Roots of a larger condition have fewer than four digits that the coefficients in float64 determine.
_ILL_CONDITIONED = 1e12


class ResidualPolynomial:
    """The residual polynomial q(t) = prod_i (1 - t / lambda_i) with real coefficients, and p(t) = (1 - q(t)) / t.

    Parameters
    ----------
    roots : (d + 1,) array_like of complex
        Finite, non-zero, closed under conjugation, in any order; repeated roots are allowed.

    Raises
    ------
    InputError
        If there is no root, or one is zero, not finite or without its conjugate.

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
        self._factors = leja_order(_pair_conjugates(values))

    @property
    def factors(self) -> tuple[Linear | ComplexPair, ...]:
        """Factors of q in modified Leja order: real roots one by one, conjugate pairs together."""
        return self._factors

    @property
    def roots(self) -> Complex128[np.ndarray, "d+1"]:
        """Roots in modified Leja order, conjugates side by side, the one in the upper half-plane first."""
        return np.array([root for factor in self._factors for root in factor.roots], dtype=np.complex128)

    @property
    def degree(self) -> int:
        """Degree d of p; q has degree d + 1."""
        return len(self.roots) - 1

    @property
    def alphas(self) -> Float64[np.ndarray, "d+1"]:
        """Coefficients of p(t) = sum_i alpha_i t^i: for reading and for low degree, evaluation uses the factors."""
        return alphas_of(self._factors)

    @property
    def root_conditions(self) -> Float64[np.ndarray, "d+1"]:
        """Relative condition of each of `roots` with respect to the coefficients alpha; infinite for a multiple root.

        The roots of coefficients in float64 are known to 1e-16 times their condition.
        """
        return condition_of(self.roots)

    @property
    def prominence(self) -> Float64[np.ndarray, "d+1"]:
        """Log10 of the product of factors prod_{i != j} |1 - lambda_j / lambda_i| at each of `roots`."""
        return prominence(self.roots)

    @classmethod
    def from_alphas(cls, alphas: Any) -> ResidualPolynomial:
        """Make q from the coefficients of p, such as those of a trained block.

        Parameters
        ----------
        alphas : (d + 1,) array_like or tensor of float
            p(t) = sum_i alpha_i t^i. Zeros at the end lower the degree.

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
        q = cls(roots_of(alphas))
        worst = float(q.root_conditions.max())
        if worst > _ILL_CONDITIONED:
            warnings.warn(
                f"some of the {q.degree + 1} roots have the condition {worst:.1g}: coefficients alpha in float64 "
                "determine fewer than four of their digits; keep roots or factors instead",
                PrecisionWarning,
                stacklevel=2,
            )
        return q

    def with_extra_copies(self) -> ResidualPolynomial:
        """Repeat the roots that are too prominent, so that rounding errors at them are damped.

        Where the product of factors at a root exceeds 10^4, a copy is added for every 14 orders of magnitude above
        that (Embree, Loe, Morgan 2021, see `polyroots.polynomials.leja`). The degree grows by the number of copies.

        Examples
        --------
        >>> q = ResidualPolynomial([0.1, 0.12, 0.14, 0.16, 0.18, 100])
        >>> print(q.prominence.round().max(), q.with_extra_copies().degree - q.degree)
        14.0 1
        """
        roots, scores = self.roots, self.prominence
        # Conjugates have equal products up to rounding: one of a pair decides for both.
        scores = np.where(roots.imag < 0, np.roll(scores, 1), scores)
        copies = [extra_copies(score) for score in scores]
        return type(self)(np.concatenate([roots, np.repeat(roots, copies)]))

    def smooth(self, A: Any, f: Any, u: Any = None) -> Any:
        """Smooth: u + p(A) (f - A u), factor by factor in Leja order, in real arithmetic.

        The residual is carried from factor to factor, so that d applications of A are enough from u = 0, and d + 1
        from another u.

        Parameters
        ----------
        A : callable, or anything with ``A @ x``
            A torch convolution, a scipy LinearOperator, a sparse or dense matrix, ...
        f : array or tensor
            The right-hand side; its type and precision are the result's.
        u : array or tensor, optional
            The start; zero if it is left out.

        Returns
        -------
        array or tensor
            New; f and u stay as they were.

        Raises
        ------
        InputError
            If A can't be applied.

        Examples
        --------
        >>> A, f = np.diag([1.0, 2.0, 4.0]), np.ones(3)
        >>> print(ResidualPolynomial([1, 4]).smooth(A, f))
        [1.   0.75 0.25]
        """
        product = _product(A)
        r = f if u is None else f - product(u)
        last = len(self._factors) - 1
        for index, factor in enumerate(self._factors):
            # Powers of A on the residual: each serves the step, and one application later the new residual.
            power, delta, change = r, None, None
            for place, coefficient in enumerate(factor.coefficients):
                step = coefficient * power
                delta = step if delta is None else delta + step
                if index == last and place == len(factor.coefficients) - 1:
                    break
                power = product(power)
                step = coefficient * power
                change = step if change is None else change + step
            u = delta if u is None else u + delta
            if index < last:
                r = r - change
        return u

    def diagnose(self, spectrum: Spectrum | ArrayLike, *, region: str = "all") -> Diagnosis:
        """Say how well q damps a spectrum, and what any polynomial of its degree could reach.

        Parameters
        ----------
        spectrum : Spectrum or (N,) array_like of complex
            Of bare eigenvalues the norm of q(A) and the smoothing factor are unknown.
        region : ``"all"`` or ``"high"``
            Damp the whole spectrum, or the high frequencies only.

        Returns
        -------
        Diagnosis

        Examples
        --------
        Damped Jacobi, omega = 4/5, on the 5-point Laplacian has the smoothing factor 3/5:

        >>> from polyroots.spectra import eigenvalues
        >>> K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
        >>> print(round(ResidualPolynomial([5]).diagnose(eigenvalues(K, 8)).smoothing_factor, 12))
        0.6
        """
        return diagnose(self, spectrum, region=region)

    def __call__(self, z: ArrayLike) -> Any:
        """Evaluate q(z), elementwise; real for real z."""
        z = np.asarray(z)
        q = np.ones_like(z, dtype=np.result_type(z, np.float64))
        for factor in self._factors:
            q = q * factor(z)
        return q

    def p(self, z: ArrayLike) -> Any:
        """Evaluate p(z) = (1 - q(z)) / z, elementwise, without the division: z = 0 is allowed."""
        z = np.asarray(z)
        p = np.zeros_like(z, dtype=np.result_type(z, np.float64))
        q = np.ones_like(p)
        for factor in self._factors:
            # 1 - z (p + q p_j) = (1 - z p)(1 - z p_j) with q = 1 - z p.
            p = p + q * sum(c * z**k for k, c in zip(factor.powers, factor.coefficients, strict=True))
            q = q * factor(z)
        return p

    def __repr__(self) -> str:
        return f"ResidualPolynomial(degree {self.degree}, roots {np.array2string(self.roots, precision=4)})"


def roots_of_block(letter: str, alphas: Sequence[float]) -> list[complex]:
    """Roots of a block's factor of q, derived from its coefficients in the order of its powers.

    Raises
    ------
    InputError
        If all coefficients are zero: the block does nothing.
    """
    powers = BLOCKS[letter].powers
    coefficients = [0.0] * (max(powers) + 1)
    for power, alpha in zip(powers, alphas, strict=True):
        coefficients[power] = alpha
    roots: list[complex] = ResidualPolynomial.from_alphas(coefficients).roots.tolist()
    return roots


def polynomial_of_blocks(blocks: Iterable[tuple[str, Sequence[float]]]) -> ResidualPolynomial:
    """Return the residual polynomial of blocks that share an A, each given as in `roots_of_block`.

    Raises
    ------
    InputError
        If all coefficients of a block are zero.
    """
    return ResidualPolynomial([root for letter, alphas in blocks for root in roots_of_block(letter, alphas)])


def _product(A: Any) -> Callable[[Any], Any]:
    """Products with A."""
    if callable(A):
        return A
    if not hasattr(A, "__matmul__"):
        raise InputError(f"expected an operator A to call or to multiply with (A @ x), got {type(A).__name__}")
    return lambda x: A @ x


def _pair_conjugates(roots: NDArray[np.complex128]) -> list[Linear | ComplexPair]:
    """Real roots as Linear, the others in conjugate pairs."""
    tolerance = PAIRING_TOLERANCE * np.abs(roots)
    real = np.abs(roots.imag) <= tolerance
    factors: list[Linear | ComplexPair] = [Linear(float(root.real)) for root in roots[real]]
    lower = list(roots[~real & (roots.imag < 0)])
    for root in roots[~real & (roots.imag > 0)]:
        distance = [abs(root.conj() - other) for other in lower]
        nearest = int(np.argmin(distance)) if distance else -1
        if nearest < 0 or distance[nearest] > PAIRING_TOLERANCE * abs(root):
            raise InputError(f"the roots must be closed under conjugation: {root:g} is without its conjugate")
        lower.pop(nearest)
        factors.append(ComplexPair(float(root.real), float(root.imag)))
    if lower:
        raise InputError(f"the roots must be closed under conjugation: {lower[0]:g} is without its conjugate")
    return factors
