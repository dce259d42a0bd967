"""The least max |q| on a spectrum among all residual polynomials with n roots, with a proven lower bound.

The problem is convex in the coefficients of q. It is solved by exchange: a second-order cone program on a subset
of the points, to which the points with the largest |q| are added until the maximum over the subset is the maximum over
all points. Any weights w on the points prove a lower bound,

    min_q max_j |q(z_j)|^2  >=  min_q sum_j w_j |q(z_j)|^2,   w >= 0,  sum w = 1,

the value of a least-squares problem; with the multipliers of the cone program as weights both sides agree [1]_, [2]_.
The bound of the result is computed in ball arithmetic (`polyroots.polynomials.lower_bound`), so that it is a proof also
where the optimum is below the rounding errors of the search.

References
----------
.. [1] C. L. Lawson, Contributions to the theory of linear least maximum approximations, thesis, UCLA 1961: the weights.
.. [2] A. Greenbaum, L. N. Trefethen, GMRES/CR and Arnoldi/Lanczos as matrix approximation problems, SIAM Journal on
   Scientific Computing 15 (1994), 359-368: the problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64, Int
from scipy.linalg import qr

from polyroots.errors import ConvergenceError
from polyroots.polynomials.arnoldi import KrylovBasis, arnoldi
from polyroots.polynomials.cone_program import least_maximum, least_mean
from polyroots.polynomials.leja import log_distances
from polyroots.polynomials.target import Target
from polyroots.threads import one_blas_thread

#: A max |q| of at least this isn't told from 1, that of q = 1.
USELESS = 1 - 1e-9

#: A bound below this share of the value proves little about it.
CLOSE = 0.99

# Gaps between the value and its bound: at the first, relative to the distance from 0 and from 1, and at the second,
# relative to the value, the iteration ends; above the third, relative to the value, it has failed.
_GAP, _LEAST_GAP, _OPTIMAL = 1e-7, 1e-10, 1e-4
_ROUNDS = 60
# Values below this lose digits if q is computed as a difference of numbers near 1.
_SMALL = 1e-8


@dataclass(frozen=True, eq=False)
class Minimax:
    """A minimax polynomial, with a lower bound that proves how good it is.

    Attributes
    ----------
    value : float
        max |q| of the polynomial.
    bound : float
        A proven lower bound on max |q| of all polynomials with as many roots on these points.
    krylov : KrylovBasis
        The Krylov space of the points divided by `unit`.
    coordinates : (n + 1,) float64
        Coordinates of the polynomial in that basis; `KrylovBasis.roots` has its roots, divided by `unit`.
    unit : float
    """

    value: float
    bound: float
    krylov: KrylovBasis
    coordinates: Float64[np.ndarray, "m"]
    unit: float


def is_useless(value: float, bound: float) -> bool:
    """Return whether an optimum with its lower bound isn't told from 1.

    >>> is_useless(0.9999, 0.9999), is_useless(0.9999, 0.9997)
    (False, True)
    """
    return value >= USELESS or 1 - value <= value - bound


def is_closed(value: float, bound: float, share: float = 1.0) -> bool:
    """Return whether the gap between a value and its lower bound is small, or a share of that."""
    return value - bound <= share * max(_GAP * min(value, 1 - value), _LEAST_GAP * value)


def has_failed(value: float, bound: float) -> bool:
    """Return whether the gap between a value and its lower bound is so large that an iteration has failed."""
    return value > bound + _OPTIMAL * max(bound, _SMALL)


@one_blas_thread()
def minimax(target: Target, count: int, prior: Sequence[complex] = ()) -> Minimax:
    """Return the residual polynomial with the least max |q| over a spectrum.

    Parameters
    ----------
    target : Target
    count : int
        Number of roots to be chosen.
    prior : sequence of complex
        Further roots of q, which are fixed.

    Returns
    -------
    Minimax

    Raises
    ------
    ConvergenceError
        If the value stays more than 1e-4 above its bound.

    Examples
    --------
    One root between 1 and 3 is best at 2, where |1 - t / 2| is 1/2 at both ends:

    >>> best = minimax(Target.of([1, 3]), 1)
    >>> print(round(best.value, 6), round(best.bound, 6))
    0.5 0.5
    """
    fixed = target.values_of(prior)
    shares = np.sqrt(target.weights)
    points = target.points / target.unit
    krylov = arnoldi(lambda x: points * x, shares * fixed, count)
    if krylov.is_invariant:
        return Minimax(0.0, 0.0, krylov, krylov.residual(krylov.least()), target.unit)
    # q = fixed - Phi c. The columns of shares * Phi are orthonormal, so the problem for c is well scaled.
    Q, R = np.linalg.qr(krylov.H)
    Phi = krylov.V @ Q / shares[:, None]
    c = krylov.beta * Q[0]
    found = _exchange(fixed - Phi @ c, Phi, count)
    if found.value < _SMALL:
        # As a product over roots q has all digits where it is small, and corrections of the same size keep them.
        start = fixed * _leja_polynomial(points, count)
        c = (Phi.conj().T @ (shares**2 * (fixed - start))).real
        found = _exchange(start, Phi, count)
    best = found.value
    used = found.weights > 0
    from polyroots.polynomials.lower_bound import proven_lower_bound  # it needs FLINT

    bound = proven_lower_bound(
        points[used], found.weights[used], count, [complex(root) / target.unit for root in prior]
    )
    if has_failed(best, bound):
        raise ConvergenceError(
            f"the minimax polynomial with {count} roots has not converged: its max|q| lies between {bound:.6g} and "
            f"{best:.6g}; use a lower degree, or another strategy"
        )
    y = np.linalg.solve(R, c + found.change)
    # Rounding can make the maximum smaller than it is.
    return Minimax(max(best, bound), bound, krylov, krylov.residual(y), target.unit)


@dataclass(frozen=True, eq=False)
class _Exchanged:
    """The result of the exchange.

    Attributes
    ----------
    value : float
        max |q|.
    change : (n,) float64
        Coordinates c of the change Phi c that was subtracted from the start.
    weights : (N,) float64
        The weights that give the best lower bound.
    """

    value: float
    change: Float64[np.ndarray, "n"]
    weights: Float64[np.ndarray, "N"]


def _exchange(q: Complex128[np.ndarray, "N"], Phi: Complex128[np.ndarray, "N n"], count: int) -> _Exchanged:
    """Minimise max |q - Phi c|, from the values q of a polynomial at the points."""
    best, bound = np.inf, 0.0
    change, weights = np.zeros(Phi.shape[1]), np.zeros(len(q))
    chosen = _first_points(Phi, q, count)
    for _ in range(_ROUNDS):
        scale = float(np.abs(q).max())
        if scale == 0:
            # Rounding has made the residual zero at all points.
            return _Exchanged(0.0, change, weights)
        step, multipliers = _solve(q[chosen] / scale, Phi[chosen])
        estimate = scale * _lower_bound(q[chosen] / scale, Phi[chosen], multipliers)
        if estimate > bound:
            bound = estimate
            weights = np.zeros(len(q))
            weights[chosen] = multipliers
        trial = q - scale * (Phi @ step)
        values = np.abs(trial)
        if values.max() < best:
            best, q, change = float(values.max()), trial, change + scale * step
        if is_closed(best, bound):
            break
        worst = np.argsort(-values)[: 4 * count + 4]
        fresh = np.setdiff1d(worst, chosen)
        if not len(fresh):
            break
        chosen = np.union1d(chosen, fresh)
    return _Exchanged(best, change, weights)


def _leja_polynomial(points: Complex128[np.ndarray, "N"], count: int) -> Complex128[np.ndarray, "N"]:
    """Return the values of prod (1 - z / lambda) at the points z, with Leja points of theirs as roots lambda."""
    roots: list[complex] = []
    values = np.ones(len(points), dtype=np.complex128)
    while len(roots) < count:
        z = complex(points[np.argmax(log_distances(points, np.array([0j, *roots])))])
        if z.imag and len(roots) + 1 == count:
            # A conjugate pair is one too many.
            z = complex(abs(z))
        fresh = [z, z.conjugate()] if z.imag else [z]
        roots += fresh
        for root in fresh:
            values = values * ((root - points) / root)
    return values


def _first_points(
    Phi: Complex128[np.ndarray, "N n"], q: Complex128[np.ndarray, "N"], count: int
) -> Int[np.ndarray, "k"]:
    """Return the points to begin with: those that determine the coefficients best, and those with the largest |q|."""
    real = np.vstack([Phi.real.T, Phi.imag.T])
    spread = qr(real, mode="r", pivoting=True)[1][: 2 * count]
    return np.union1d(spread, np.argsort(-np.abs(q))[: 4 * count + 4])


def _solve(
    q: Complex128[np.ndarray, "k"], Phi: Complex128[np.ndarray, "k n"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "k"]]:
    """Minimise t subject to |q_j - (Phi c)_j| <= t; return c and the multipliers of the points, whose sum is 1."""
    return least_maximum(_parts(q), _parts(Phi))


def _lower_bound(
    q: Complex128[np.ndarray, "k"], Phi: Complex128[np.ndarray, "k n"], weights: Float64[np.ndarray, "k"]
) -> float:
    """Return the lower bound that weights on some points give, by least squares and up to rounding."""
    return least_mean(_parts(q), _parts(Phi), weights)


def _parts(z: Complex128[np.ndarray, "k *n"]) -> Float64[np.ndarray, "k 2 *n"]:
    """Return real and imaginary parts along a second axis."""
    return np.stack([z.real, z.imag], axis=1)
