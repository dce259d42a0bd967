"""Between the roots of q and the monomial coefficients alpha of p, q(t) = 1 - sum_i alpha_i t^(i+1).

Coefficients are for reading and for low degree. Roots are found from them in as many digits as it takes, so that what
error they have is that of the coefficients alone: their condition says how much that is [1]_.

References
----------
.. [1] J. H. Wilkinson, The evaluation of the zeros of ill-conditioned polynomials, Numerische Mathematik 1 (1959),
   150-166.
"""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import ArrayLike

from polyroots.errors import ConvergenceError, InputError
from polyroots.factors import Factor

# Binary digits of the roots, and of the arithmetic for each root: m equal roots are known to a share 1/m of its digits.
_BITS = 64
_STEPS = 5000


def alphas_of(factors: Sequence[Factor]) -> Float64[np.ndarray, "d+1"]:
    """Coefficients of p from the factors of q, multiplied out in their order."""
    q = np.ones(1)
    for factor in factors:
        p = np.zeros(max(factor.powers) + 1)
        p[list(factor.powers)] = factor.coefficients
        q = np.convolve(q, [1.0, *(-p)])
    return -q[1:]


def roots_of(alphas: ArrayLike) -> Complex128[np.ndarray, "d+1"]:
    """Roots of q(t) = 1 - sum_i alpha_i t^(i+1), closed under conjugation to the last bit.

    Raises
    ------
    InputError
        If the coefficients are not finite, or all zero: p = 0 has no roots.
    ConvergenceError
        If the iteration (Durand and Kerner's) doesn't end.
    """
    values = np.trim_zeros(np.atleast_1d(np.asarray(alphas, dtype=np.float64)).ravel(), "b")
    if not np.isfinite(values).all():
        raise InputError("the coefficients alpha of p must be finite, got NaN or infinite ones")
    if not len(values):
        raise InputError("p = 0 changes nothing and q = 1 has no roots: expected a coefficient alpha that is not zero")
    # The inverse roots s = 1 / t are the zeros of s^n - alpha_0 s^(n-1) - ... - alpha_(n-1), scaled to moduli around 1.
    n = len(values)
    exponent = round(np.log2(abs(values[-1])) / n)
    with mpmath.workprec(_BITS):
        q = [mpmath.mpf(1), *(-mpmath.ldexp(mpmath.mpf(float(a)), -exponent * k) for k, a in enumerate(values, 1))]
        try:
            inverse = mpmath.polyroots(q, maxsteps=_STEPS, extraprec=_BITS * n)
        except mpmath.libmp.libhyper.NoConvergence as error:
            raise ConvergenceError(
                f"the roots of {n} coefficients alpha have not converged; keep the roots themselves, or factors"
            ) from error
        unit = mpmath.mpf(2) ** -exponent
        roots = np.array([complex(unit / s) for s in inverse])
    return close_conjugates(roots, 1e-15)


def condition_of(roots: Complex128[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Relative condition of each root: its relative change over that of the coefficients alpha, each by itself.

    sum_i |alpha_i| |lambda|^(i+1) / (|lambda| |q'(lambda)|), infinite for a multiple root.
    """
    # In units of the root, where all terms are of the size of their effect.
    conditions = np.empty(len(roots))
    for k, root in enumerate(roots):
        scaled = roots / abs(root)
        q = np.ones(1, dtype=np.complex128)
        for other in scaled:
            q = np.convolve(q, [1.0, -1 / other])
        others = np.delete(scaled, k)
        slope = np.abs(np.prod(1 - scaled[k] / others)) if len(others) else 1.0
        with np.errstate(divide="ignore"):
            conditions[k] = np.abs(q[1:]).sum() / slope
    return conditions


def close_conjugates(roots: Complex128[np.ndarray, "n"], tolerance: float) -> Complex128[np.ndarray, "n"]:
    """Roots of a real polynomial, made exactly real or exactly conjugate to each other: reals first, ascending.

    Parameters
    ----------
    roots : (n,) complex
    tolerance : float
        Relative to its modulus, the imaginary part below which a root is real.

    Raises
    ------
    ConvergenceError
        If they are no roots of a real polynomial: more in one half-plane than in the other.
    """
    is_real = np.abs(roots.imag) <= tolerance * np.abs(roots)
    upper, lower = roots[~is_real & (roots.imag > 0)], roots[~is_real & (roots.imag < 0)]
    if len(upper) != len(lower):
        raise ConvergenceError("computed roots are not closed under conjugation; report it with the spectrum")
    upper = upper[np.lexsort((upper.imag, upper.real))]
    pairs = np.stack([upper, upper.conj()], axis=-1).ravel()
    return np.concatenate([np.sort(roots[is_real].real).astype(np.complex128), pairs])
