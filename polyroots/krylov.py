r"""Residual polynomials from a Krylov space: Arnoldi's method, the smallest residual, and the roots of the result.

In the basis V of the Krylov space K_{n+1}(A, b), A V_n = V_{n+1} H with H upper Hessenberg, (n + 1) x n. Every
residual q(A) b with q(0) = 1 is V_{n+1} s with s = beta e_1 - H y. The one of least norm is GMRES's; its roots are the
harmonic Ritz values of A [1]_. With A = diag(z) on the points of a spectrum the same gives least squares over the
spectrum, in a basis that is as well conditioned as can be [2]_.

References
----------
.. [1] R. W. Freund, Quasi-kernel polynomials and their use in non-Hermitian matrix iterations, Journal of
   Computational and Applied Mathematics 43 (1992), 135-158.
.. [2] P. D. Brubeck, Y. Nakatsukasa, L. N. Trefethen, Vandermonde with Arnoldi, SIAM Review 63 (2021), 405-415.
.. [3] S. Barnett, A companion matrix analogue for orthogonal polynomials, Linear Algebra and its Applications 12
   (1975), 197-202: the confederate matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import NDArray
from scipy.linalg import eig

from polyroots.coefficients import close_conjugates
from polyroots.errors import InputError

# Relative to the operator: a smaller new direction is rounding, the space is invariant.
_INVARIANT = 1e-12
# Relative to the residual: a smaller leading part is rounding, and its root at infinity.
_AT_INFINITY = 1e-9


@dataclass(frozen=True, eq=False)
class Krylov:
    """A basis of K_{n+1}(A, b), orthonormal in the real inner product.

    Attributes
    ----------
    V : (N, n + 1)
        The basis, its first vector b / beta.
    H : (n + 1, n) float64
    beta : float
        Norm of b.
    """

    V: NDArray[Any]
    H: Float64[np.ndarray, "n+1 n"]
    beta: float

    @property
    def is_invariant(self) -> bool:
        """Whether some q with n roots makes the residual zero."""
        return bool(self.H[-1, -1] == 0)

    def least(self) -> Float64[np.ndarray, "n"]:
        """Coordinates y of the smallest residual, as in GMRES."""
        right = np.zeros(len(self.H))
        right[0] = self.beta
        return np.linalg.lstsq(self.H, right, rcond=None)[0]

    def residual(self, y: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n+1"]:
        """S = beta e_1 - H y: the residual's coordinates in V."""
        s = -self.H @ y
        s[0] += self.beta
        return s

    def roots(self, s: Float64[np.ndarray, "n+1"], why: str) -> Complex128[np.ndarray, "n"]:
        """Roots of the polynomial with the coordinates s.

        Parameters
        ----------
        s : (n + 1,) float64
        why : str
            For the error: under which circumstances the leading coefficient is zero.

        Raises
        ------
        InputError
            If the polynomial has fewer roots: one of them is at infinity.
        """
        n = self.H.shape[1]
        H, h = self.H[:-1], self.H[-1, -1]
        if self.is_invariant:
            return close_conjugates(np.linalg.eigvals(H).astype(np.complex128), 1e-12)
        if abs(s[-1]) <= _AT_INFINITY * np.linalg.norm(s):
            raise InputError(f"the best polynomial with {n} roots has fewer, the leading coefficient is zero: {why}")
        # The confederate matrix [3] has -h s / s_n in its last column. As a pencil nothing is divided by a small s_n.
        left, right = H.copy(), np.eye(n)
        left[:, -1] = s[-1] * H[:, -1] - h * s[:-1]
        right[-1, -1] = s[-1]
        return close_conjugates(eig(left, right, right=False), 1e-12)


def arnoldi(product: Callable[[NDArray[Any]], NDArray[Any]], b: NDArray[Any], steps: int) -> Krylov:
    """Arnoldi's method with two orthogonalisations, in the real inner product Re(x* y).

    That inner product makes H real for points of the upper half-plane that stand for their conjugates as well.

    Parameters
    ----------
    product : callable
        x -> A x.
    b : (N,) float64 or complex128
    steps : int
        n. It is cut short where the space becomes invariant.

    Raises
    ------
    InputError
        If b is zero.
    """
    beta = float(np.linalg.norm(b))
    if beta == 0:
        raise InputError("the start vector is zero: the factors that are there already damp everything to zero")
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
            return Krylov(V[:, : k + 2], H[: k + 2, : k + 1], beta)
        H[k + 1, k] = norm
        V[:, k + 1] = w / norm
    return Krylov(V, H, beta)
