"""The least maximum of norms |g_j - Phi_j c| over c as a second-order cone program, and the lower bound of weights."""

from __future__ import annotations

import clarabel
import numpy as np
from jaxtyping import Float64
from scipy.sparse import csc_array


def least_maximum(
    g: Float64[np.ndarray, "k r"], Phi: Float64[np.ndarray, "k r n"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "k"]]:
    """Minimise t subject to |g_j - Phi_j c| <= t.

    Parameters
    ----------
    g : (k, r) float64
    Phi : (k, r, n) float64

    Returns
    -------
    c : (n,) float64
    multipliers : (k,) float64
        Of the k conditions; not negative, with the sum 1.

    References
    ----------
    P. J. Goulart, Y. Chen, Clarabel: an interior-point solver for conic programs with quadratic objectives, 2024.
    """
    k, r, n = Phi.shape
    # Clarabel takes A x + s = b with s in a product of cones: here x = (c, t) and a cone (t, g_j - Phi_j c) for each j.
    A = np.zeros((k, r + 1, n + 1))
    A[:, 0, n] = -1.0
    A[:, 1:, :n] = Phi
    b = np.concatenate([np.zeros((k, 1)), g], axis=1)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solver = clarabel.DefaultSolver(
        csc_array((n + 1, n + 1)),
        np.eye(n + 1)[n],
        csc_array(A.reshape(-1, n + 1)),
        b.ravel(),
        [clarabel.SecondOrderConeT(r + 1)] * k,
        settings,
    )
    # The solver's status isn't needed: the bound proves how good the result is, whether it has all digits or not.
    solution = solver.solve()
    multipliers = np.maximum(np.asarray(solution.z).reshape(k, r + 1)[:, 0], 0.0)
    return np.asarray(solution.x)[:n], multipliers / multipliers.sum()


def least_mean(
    g: Float64[np.ndarray, "k r"], Phi: Float64[np.ndarray, "k r n"], weights: Float64[np.ndarray, "k"]
) -> float:
    """Return the least root of the weighted mean of |g_j - Phi_j c|^2, a lower bound on the maximum, up to rounding."""
    roots = np.sqrt(weights)[:, None]
    A = (roots[:, :, None] * Phi).reshape(-1, Phi.shape[2])
    b = (roots * g).ravel()
    return float(np.linalg.norm(b - A @ np.linalg.lstsq(A, b, rcond=None)[0]))
