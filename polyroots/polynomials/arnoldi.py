r"""Residual polynomials from a Krylov space: Arnoldi's method, the least residual and the roots of its polynomial.

In the basis V of the Krylov space K_{n+1}(A, b), A V_n = V_{n+1} H with H upper Hessenberg, (n + 1) x n. Every
residual q(A) b with q(0) = 1 is V_{n+1} s with s = beta e_1 - H y. The q of least residual norm is the polynomial of
GMRES; its roots are the harmonic Ritz values of A [1]_. With A = diag(z), z the points of a spectrum, the same method
solves least-squares problems over the spectrum in an orthonormal basis [2]_.

References
----------
.. [1] R. W. Freund, Quasi-kernel polynomials and their use in non-Hermitian matrix iterations, Journal of
   Computational and Applied Mathematics 43 (1992), 135-158.
.. [2] P. D. Brubeck, Y. Nakatsukasa, L. N. Trefethen, Vandermonde with Arnoldi, SIAM Review 63 (2021), 405-415.
.. [3] S. Barnett, A companion matrix analogue for orthogonal polynomials, Linear Algebra and its Applications 12
   (1975): the confederate matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64, Inexact
from scipy.linalg import eig

from polyroots.errors import InputError
from polyroots.polynomials.coefficients import close_conjugates

# Relative to |A v|: a new direction of smaller norm is rounding, so the space is invariant.
_INVARIANT = 1e-12
# Relative to |s|: a smaller leading coordinate is rounding, so the polynomial has a root less.
_AT_INFINITY = 1e-6


@dataclass(frozen=True, eq=False)
class KrylovBasis:
    """A basis of K_{n+1}(A, b), orthonormal in the real inner product.

    Attributes
    ----------
    V : (N, n + 1) float64 or complex128
        The basis vectors in columns, the first of them b / beta.
    H : (n + 1, n) float64
        The upper Hessenberg matrix with A V_n = V_{n+1} H.
    beta : float
        Norm of b.
    """

    V: Inexact[np.ndarray, "N m"]
    H: Float64[np.ndarray, "m n"]
    beta: float

    @property
    def is_invariant(self) -> bool:
        """Whether some q with n roots makes the residual zero."""
        return bool(self.H[-1, -1] == 0)

    def roots_to_reach(self, value: float) -> int:
        """Return how many roots bring the norm of the residual below `value` times that of b; n if fewer don't."""
        right = np.zeros(len(self.H))
        right[0] = self.beta
        for count in range(1, self.H.shape[1]):
            H = self.H[: count + 1, :count]
            y = np.linalg.lstsq(H, right[: count + 1], rcond=None)[0]
            if np.linalg.norm(right[: count + 1] - H @ y) <= value * self.beta:
                return count
        return self.H.shape[1]

    def least(self) -> Float64[np.ndarray, "n"]:
        """Return the y of the residual with the least norm, as in GMRES."""
        right = np.zeros(len(self.H))
        right[0] = self.beta
        return np.linalg.lstsq(self.H, right, rcond=None)[0]

    def residual(self, y: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "m"]:
        """Return s = beta e_1 - H y, the coordinates of the residual in V."""
        s = -self.H @ y
        s[0] += self.beta
        return s

    def degree(self, s: Float64[np.ndarray, "m"]) -> int:
        """Return the number of roots of the polynomial with the coordinates s: n, or fewer if leading ones vanish."""
        return int(np.flatnonzero(np.abs(s) > _AT_INFINITY * np.linalg.norm(s))[-1])

    def roots(self, s: Float64[np.ndarray, "m"]) -> Complex128[np.ndarray, "n"]:
        """Return the roots of the polynomial with the coordinates s, closed under conjugation.

        All are NaN if s is so far below rounding that it doesn't determine them.
        """
        n = self.H.shape[1]
        H, h = self.H[:-1], self.H[-1, -1]
        if self.is_invariant:
            return close_conjugates(np.linalg.eigvals(H).astype(np.complex128), 1e-12)
        # The confederate matrix [3] has -h s / s_n in its last column. The pencil avoids dividing by a small s_n.
        left, right = H.copy(), np.eye(n)
        left[:, -1] = s[-1] * H[:, -1] - h * s[:-1]
        right[-1, -1] = s[-1]
        found = eig(left, right, right=False)
        if not np.isfinite(found).all():
            return np.full(n, np.nan, dtype=np.complex128)
        return close_conjugates(self._polished(found, s), 1e-12)

    def _polished(self, roots: Complex128[np.ndarray, "n"], s: Float64[np.ndarray, "m"]) -> Complex128[np.ndarray, "n"]:
        """Improve each root by Newton's method.

        The QZ algorithm is accurate relative to the largest root only, and a steep q needs the last digit of each.
        """
        distances = np.abs(roots[:, None] - roots)
        np.fill_diagonal(distances, np.inf)
        reach = 1e-3 * np.minimum(distances.min(axis=1), np.abs(roots))
        polished = roots
        with np.errstate(all="ignore"):
            for _ in range(3):
                q, slope = self._evaluate(polished, s)
                step = q / slope
                step = np.where(np.isfinite(step) & (np.abs(polished - step - roots) <= reach), step, 0)
                polished = polished - step
        return polished

    def _evaluate(
        self, z: Complex128[np.ndarray, "n"], s: Float64[np.ndarray, "m"]
    ) -> tuple[Complex128[np.ndarray, "n"], Complex128[np.ndarray, "n"]]:
        """Return q(z) and q'(z) by the Arnoldi recurrence."""
        basis = [np.full(len(z), 1 / self.beta, dtype=np.complex128)]
        slopes = [np.zeros(len(z), dtype=np.complex128)]
        for k in range(self.H.shape[1]):
            h = self.H[: k + 1, k]
            basis.append((z * basis[k] - np.tensordot(h, np.array(basis), 1)) / self.H[k + 1, k])
            slopes.append((basis[k] + z * slopes[k] - np.tensordot(h, np.array(slopes), 1)) / self.H[k + 1, k])
        return np.tensordot(s, np.array(basis), 1), np.tensordot(s, np.array(slopes), 1)


def arnoldi(
    product: Callable[[Inexact[np.ndarray, "N"]], Inexact[np.ndarray, "N"]], b: Inexact[np.ndarray, "N"], steps: int
) -> KrylovBasis:
    """Return a basis of the Krylov space by Arnoldi's method with two orthogonalisations.

    The inner product is the real one, Re(x* y). With it H is real for points of the upper half-plane that stand for
    their conjugates as well.

    Parameters
    ----------
    product : callable
        x -> A x.
    b : (N,) float64 or complex128
        The vector that the space begins with.
    steps : int
        The number n of products with A. The method ends earlier if the space becomes invariant.

    Returns
    -------
    KrylovBasis

    Raises
    ------
    InputError
        If b is zero.
    """
    beta = float(np.linalg.norm(b))
    if beta == 0:
        raise InputError("Arnoldi's method needs a start other than zero: got a vector of zeros")
    V = np.zeros((len(b), steps + 1), dtype=b.dtype)
    H = np.zeros((steps + 1, steps))
    V[:, 0] = b / beta
    for k in range(steps):
        w = product(V[:, k])
        size = float(np.linalg.norm(w))
        for _ in range(2):
            h = (V[:, : k + 1].conj().T @ w).real
            w = w - V[:, : k + 1] @ h
            H[: k + 1, k] += h
        norm = float(np.linalg.norm(w))
        if norm <= _INVARIANT * size:
            return KrylovBasis(V[:, : k + 2], H[: k + 2, : k + 1], beta)
        H[k + 1, k] = norm
        V[:, k + 1] = w / norm
    return KrylovBasis(V, H, beta)
