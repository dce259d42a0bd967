"""The monomial coefficients alpha of p from the roots of q and back, q(t) = 1 - sum_i alpha_i t^(i+1).

Coefficients are meant for reading and for low degree. The roots of given coefficients are computed to all digits of
float64, so that their only error is the rounding of the coefficients; the condition of a root bounds that error [1]_.

References
----------
.. [1] J. H. Wilkinson, The evaluation of the zeros of ill-conditioned polynomials, Numerische Mathematik 1 (1959),
   150-166.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64

from polyroots.errors import ConvergenceError, InputError
from polyroots.polynomials.blocks import Factor

# Working precision in bits: 53 would lose the small one of real and imaginary part, and digits of the conditions.
_BITS = 80


def alphas_of(factors: Sequence[Factor]) -> Float64[np.ndarray, "n"]:
    """Return the coefficients of p, multiplied out from the factors of q in their order.

    Raises
    ------
    InputError
        If one overflows float64.
    """
    q = np.ones(1)
    for factor in factors:
        p = np.zeros(max(factor.powers) + 1)
        p[list(factor.powers)] = factor.coefficients
        with np.errstate(over="ignore", invalid="ignore"):
            q = np.convolve(q, [1.0, *(-p)])
    if not np.isfinite(q).all():
        raise _out_of_range("overflow", "smallest", min(_moduli(factors)))
    return -q[1:]


def coefficients_of(factors: Sequence[Factor]) -> list[tuple[float, ...]]:
    """Return the coefficients of p of each factor by itself.

    Raises
    ------
    InputError
        If one is beyond the range of float64.
    """
    coefficients = [factor.coefficients for factor in factors]
    if not all(np.isfinite(values).all() for values in coefficients):
        raise _out_of_range("overflow", "smallest", min(_moduli(factors)))
    # In exact arithmetic the coefficient of the highest power is never zero; alpha0 is for imaginary roots.
    if min(abs(values[-1]) for values in coefficients) < np.finfo(np.float64).tiny:
        raise _out_of_range("vanish in", "largest", max(_moduli(factors)))
    return coefficients


def _moduli(factors: Sequence[Factor]) -> list[float]:
    """Return the moduli of the roots of factors."""
    return [abs(root) for factor in factors for root in factor.roots]


def _out_of_range(what: str, which: str, modulus: float) -> InputError:
    """Return the error for coefficients that are too large or too small for float64."""
    return InputError(
        f"coefficients alpha of p {what} float64: the {which} root has the modulus {modulus:.3g}; scale A, and the "
        "roots scale with it"
    )


def roots_of(alphas: Float64[np.ndarray, "alphas"]) -> Complex128[np.ndarray, "n"]:
    """Return the roots of q(t) = 1 - sum_i alpha_i t^(i+1), exactly closed under conjugation.

    Floating-point numbers are fractions, so FLINT isolates the roots of the exact polynomial, multiple ones by
    factorisation, to a proven relative accuracy.

    Raises
    ------
    InputError
        If the coefficients are not finite, all of them are zero, or a root overflows or underflows float64.
    """
    import flint

    values = np.trim_zeros(alphas, "b")
    if not np.isfinite(values).all():
        raise InputError("the coefficients alpha of p must be finite, got NaN or infinite ones")
    if not len(values):
        raise InputError("p = 0 changes nothing and q = 1 has no roots: expected a coefficient alpha that is not zero")
    exact = [flint.fmpq(*float(alpha).as_integer_ratio()) for alpha in values]
    with flint.ctx.workprec(_BITS):
        found: Any = flint.fmpq_poly([1, *(-alpha for alpha in exact)]).complex_roots()
        roots = np.array([complex(root) for root, multiplicity in found for _ in range(multiplicity)])
    if not np.isfinite(roots).all() or (roots == 0).any():
        raise InputError(
            "a root of these coefficients alpha overflows or underflows float64; scale A, and the roots scale with it"
        )
    return close_conjugates(roots, 0.0)


def condition_of(roots: Complex128[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Return the relative condition of each root under componentwise relative changes of the coefficients alpha.

    It is sum_i |alpha_i| |lambda|^(i+1) / (|lambda| |q'(lambda)|), infinite for a multiple root.
    """
    import flint

    conditions = np.empty(len(roots))
    # FLINT's exponents are unbounded: nothing overflows.
    with flint.ctx.workprec(_BITS + 2 * len(roots)):
        exact = [flint.acb(root.real, root.imag) for root in roots.tolist()]
        q = flint.acb_poly([1])
        for root in exact:
            q *= flint.acb_poly([1, -1 / root])
        for k, root in enumerate(exact):
            size = abs(root)
            terms = sum((abs(q[i]) * size**i for i in range(1, len(exact) + 1)), flint.arb(0))
            slope = flint.arb(1)
            for other in (*exact[:k], *exact[k + 1 :]):
                slope *= abs(1 - root / other)
            conditions[k] = np.inf if slope.contains(0) else float((terms / slope).mid())
    return conditions


def close_conjugates(roots: Complex128[np.ndarray, "n"], tolerance: float) -> Complex128[np.ndarray, "n"]:
    """Return computed roots of a real polynomial made exactly real or exactly conjugate to each other.

    Parameters
    ----------
    roots : (n,) complex128
    tolerance : float
        A root counts as real if its imaginary part is at most this times its modulus.

    Returns
    -------
    (n,) complex128
        Real roots in ascending order, then conjugate pairs.

    Raises
    ------
    ConvergenceError
        If one half-plane has more roots than the other: these are no roots of a real polynomial.
    """
    is_real = np.abs(roots.imag) <= tolerance * np.abs(roots)
    upper, lower = roots[~is_real & (roots.imag > 0)], roots[~is_real & (roots.imag < 0)]
    if len(upper) != len(lower):
        raise ConvergenceError(
            "the computed roots are not closed under conjugation; please report this with the spectrum"
        )
    upper = upper[np.lexsort((upper.imag, upper.real))]
    pairs = np.stack([upper, upper.conj()], axis=-1).ravel()
    return np.concatenate([np.sort(roots[is_real].real).astype(np.complex128), pairs])
