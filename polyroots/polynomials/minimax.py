r"""The best that a number of roots can reach: min over q of max |q| on a spectrum, with a proven lower bound.

The problem is convex in the coefficients of q. It is solved as a second-order cone program on a few points, to which
those are added where |q| is too large, until there is none. Any weights w on the points prove a lower bound,

    min_q max_j |q(z_j)|^2  >=  min_q sum_j w_j |q(z_j)|^2,   w >= 0,  sum w = 1,

a least-squares problem; with the program's own multipliers as weights both sides agree [1]_, [2]_.

References
----------
.. [1] C. L. Lawson, Contributions to the theory of linear least maximum approximations, thesis, UCLA 1961: the weights.
.. [2] A. Greenbaum, L. N. Trefethen, GMRES/CR and Arnoldi/Lanczos as matrix approximation problems, SIAM Journal on
   Scientific Computing 15 (1994), 359-368: the problem.
.. [3] P. J. Goulart, Y. Chen, Clarabel: an interior-point solver for conic programs with quadratic objectives, 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import clarabel
import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.sparse import csc_array

from polyroots.errors import ConvergenceError
from polyroots.polynomials.arnoldi import Krylov, arnoldi
from polyroots.polynomials.target import Target

# The gap between the value and its bound at which the search ends, and the largest that is called an optimum.
_GAP, _OPTIMAL = 1e-7, 1e-4
_ROUNDS = 60


@dataclass(frozen=True, eq=False)
class Minimax:
    """The best max |q| and what proves it.

    Attributes
    ----------
    value : float
        max |q| of the polynomial that was found.
    bound : float
        No polynomial with so many roots has a smaller max |q| on these points.
    krylov, coordinates : the polynomial, over the points in `unit`: its residual's coordinates in the basis
    unit : float
    """

    value: float
    bound: float
    krylov: Krylov
    coordinates: Float64[np.ndarray, "n+1"]
    unit: float


def minimax(target: Target, count: int, prior: Sequence[complex] = ()) -> Minimax:
    """Minimise max |q| over a spectrum.

    Parameters
    ----------
    target : Target
    count : int
        Number of roots to be chosen.
    prior : sequence of complex
        Further roots of q that are fixed.

    Raises
    ------
    ConvergenceError
        If value and bound don't meet.
    """
    fixed = target.values_of(prior)
    shares = np.sqrt(target.weights)
    points = target.points / target.unit
    krylov = arnoldi(lambda x: points * x, shares * fixed, count)
    if krylov.is_invariant:
        return Minimax(0.0, 0.0, krylov, krylov.residual(krylov.least()), target.unit)
    # q = fixed - Phi c with orthonormal columns of shares * Phi, so that c is as large as what it does.
    Q, R = np.linalg.qr(krylov.H)
    Phi = krylov.V @ Q / shares[:, None]
    c = krylov.beta * Q[0]
    best, bound = np.inf, 0.0
    chosen = _first(Phi, fixed - Phi @ c, count)
    for _ in range(_ROUNDS):
        current = fixed - Phi @ c
        scale = float(np.abs(current).max())
        if scale == 0:  # rounding has made it exact
            best = bound = 0.0
            break
        step, multipliers = _solve(current[chosen] / scale, Phi[chosen])
        bound = max(bound, _bound(fixed[chosen], Phi[chosen], multipliers))
        values = np.abs(fixed - Phi @ (c + scale * step))
        if values.max() < best:
            best, c = float(values.max()), c + scale * step
        if best <= bound * (1 + _GAP):
            break
        worst = np.argsort(-values)[: 4 * count + 4]
        fresh = np.setdiff1d(worst, chosen)
        if not len(fresh):
            break
        chosen = np.union1d(chosen, fresh)
    if best > bound + _OPTIMAL * max(bound, 1e-8):
        raise ConvergenceError(
            f"the best max|q| of {count} roots has not converged: between {bound:.6g} and {best:.6g}; "
            "use a lower degree, or another strategy"
        )
    y = np.linalg.solve(R, c)
    return Minimax(best, min(bound, best), krylov, krylov.residual(y), target.unit)


def _first(Phi: NDArray[np.complex128], q: NDArray[np.complex128], count: int) -> NDArray[np.intp]:
    """Points to begin with: those that determine the coefficients best, and those where |q| is largest."""
    real = np.vstack([Phi.real.T, Phi.imag.T])[: 2 * count]
    spread = qr(real, mode="r", pivoting=True)[1][: 2 * count]
    return np.union1d(spread, np.argsort(-np.abs(q))[: 4 * count + 4])


def _solve(q: NDArray[np.complex128], Phi: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minimise t, |q_j - (Phi c)_j| <= t; return c and the multipliers of the points, whose sum is 1."""
    points, n = Phi.shape
    # Each point is a cone (t, Re, Im), clarabel's A x + s = b with s in the cone and x = (c, t).
    A = np.zeros((points, 3, n + 1))
    A[:, 0, n] = -1.0
    A[:, 1, :n], A[:, 2, :n] = Phi.real, Phi.imag
    b = np.stack([np.zeros(points), q.real, q.imag], axis=-1)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solver = clarabel.DefaultSolver(
        csc_array((n + 1, n + 1)),
        np.eye(n + 1)[n],
        csc_array(A.reshape(-1, n + 1)),
        b.ravel(),
        [clarabel.SecondOrderConeT(3)] * points,
        settings,
    )
    # Short of the last digits it says so in its status; the bound tells how far the result can be trusted.
    solution = solver.solve()
    multipliers = np.maximum(np.asarray(solution.z).reshape(points, 3)[:, 0], 0.0)
    return np.asarray(solution.x)[:n], multipliers / multipliers.sum()


def _bound(q: NDArray[np.complex128], Phi: NDArray[np.complex128], weights: NDArray[np.float64]) -> float:
    """Lower bound by least squares with weights on some points."""
    roots = np.sqrt(weights)
    A = np.concatenate([roots[:, None] * Phi.real, roots[:, None] * Phi.imag])
    b = np.concatenate([roots * q.real, roots * q.imag])
    return float(np.linalg.norm(b - A @ np.linalg.lstsq(A, b, rcond=None)[0]))
