"""The largest eigenvalue of a Hermitian operator from its products with vectors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Inexact
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from polyroots.errors import ConvergenceError

#: Number of unknowns below which a dense Hermitian solver is faster than Lanczos' method.
DENSE_IS_FASTER = 300


def largest_eigenvalue(
    A: LinearOperator, what: str, tolerance: float = 1e-11
) -> tuple[Inexact[np.ndarray, "1"], Inexact[np.ndarray, "n 1"]]:
    """Return the largest eigenvalue of a Hermitian operator, (1,), and its eigenvector, (n, 1).

    The eigenvalue is accurate to the tolerance times the norm, and usually to its square.

    Raises
    ------
    ConvergenceError
        If Lanczos' method fails; the message begins with `what`.
    """
    start = np.random.default_rng(A.shape[0]).standard_normal(A.shape[0]).astype(A.dtype)
    if not A.matvec(start).any():  # ARPACK rejects the zero operator
        return np.zeros(1), start[:, None]
    try:
        return eigsh(A, k=1, which="LA", v0=start, tol=tolerance, ncv=min(A.shape[0], 40), maxiter=300)
    except ArpackError as error:
        raise ConvergenceError(f"{what} has not converged: Lanczos' method found no largest eigenvalue") from error
