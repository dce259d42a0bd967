"""The largest eigenvalue of a Hermitian operator that is given by its products with vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from polyroots.errors import ConvergenceError

#: Below so many unknowns a dense Hermitian solver is faster than Lanczos' method.
DENSE_IS_FASTER = 300


def largest_eigenvalue(A: LinearOperator, what: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The largest eigenvalue of a Hermitian operator and its vector."""
    start = np.random.default_rng(A.shape[0]).standard_normal(A.shape[0]).astype(A.dtype)
    if not A.matvec(start).any():  # the zero operator, which ARPACK doesn't take
        return np.zeros(1), start[:, None]
    try:
        return eigsh(A, k=1, which="LA", v0=start, tol=1e-11, ncv=min(A.shape[0], 40), maxiter=300)
    except ArpackError as error:
        raise ConvergenceError(f"{what} has not converged: Lanczos' method found no largest eigenvalue") from error
