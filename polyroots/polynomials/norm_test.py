"""Whether spectral norms of many matrices are at most a bound, by Cholesky factorisations."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import CFUNCTYPE, byref, c_char, c_double, c_float, c_int, c_void_p, py_object, pythonapi
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Inexact
from scipy.linalg import cython_blas, cython_lapack

#: Where matrices have fewer rows, the calls of a factorisation take longer than the factorisation.
LEAST_ROWS = 32


def norms_at_most(bound: float, stack: Inexact[np.ndarray, "k c c"]) -> Bool[np.ndarray, "k"]:
    """Return for each matrix M whether its spectral norm is at most a bound, up to rounding.

    It is if I - M* M / bound^2 is positive definite, which a Cholesky factorisation decides, more than ten times faster
    than singular values could be computed. Of small matrices all are factorised together, and only if that fails
    singular values are computed.

    Parameters
    ----------
    bound : float
        At least 0.
    stack : (k, c, c) real or complex, single or double precision

    Returns
    -------
    (k,) bool
        False for a matrix that is not finite.
    """
    rows = stack.shape[-1]
    if bound == 0:
        return np.logical_not(np.any(stack, axis=(-2, -1), keepdims=True))[:, 0, 0]
    # Squares of the norms would overflow sooner than those of their ratios to the bound.
    unit = stack.real.dtype.type(bound)
    if rows < LEAST_ROWS:
        with np.errstate(over="ignore", invalid="ignore"):
            stack = stack / unit
        if _all_are_at_most_one(stack):
            return np.ones(len(stack), dtype=bool)
        is_finite = np.isfinite(stack).all(axis=(-2, -1))
        norms = np.linalg.svd(np.where(is_finite[:, None, None], stack, 0), compute_uv=False)[:, 0]
        found: Bool[np.ndarray, "k"] = is_finite & (norms <= 1)
        return found
    # One matrix after the other, in arrays that stay in the cache. Real numbers are divided faster than complex ones.
    ratio, gap = np.empty((2, rows, rows), dtype=stack.dtype)
    is_below = np.empty(len(stack), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for number, matrix in enumerate(np.ascontiguousarray(stack)):
            np.divide(matrix.view(unit.dtype), unit, out=ratio.view(unit.dtype))
            is_below[number] = _is_at_most_one(ratio, gap)
    return is_below


def _all_are_at_most_one(stack: Inexact[np.ndarray, "k c c"]) -> bool:
    """Return whether the norms of all matrices are at most 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        gap = -(stack @ stack.conj().swapaxes(-1, -2))
    diagonal = np.einsum("...ii->...i", gap)
    if not np.isfinite(diagonal).all():
        return False
    diagonal += 1
    try:
        np.linalg.cholesky(gap)
    except np.linalg.LinAlgError:
        return False
    return True


def _is_at_most_one(matrix: Inexact[np.ndarray, "c c"], gap: Inexact[np.ndarray, "c c"]) -> bool:
    """Return whether the norm of a matrix is at most 1; the second array is overwritten."""
    update, factorise, real = _routines(matrix.dtype.char)
    n, lower, plain, info = c_int(len(matrix)), c_char(b"L"), c_char(b"N"), c_int()
    alpha, beta = real(-1), real(0)
    # In the order of Fortran the matrix is its transpose, so that this is the lower half of -(M* M)^T.
    a, c, of_n = matrix.ctypes.data, gap.ctypes.data, byref(n)
    update(byref(lower), byref(plain), of_n, of_n, byref(alpha), a, of_n, byref(beta), c, of_n)
    diagonal = np.einsum("ii->i", gap)
    # The squared norm of a column is at least as large as what else is in it.
    if not np.isfinite(diagonal).all():
        return False
    diagonal += 1
    factorise(byref(lower), of_n, c, of_n, byref(info))
    return info.value == 0


@cache
def _routines(kind: str) -> tuple[Callable[..., None], Callable[..., None], Any]:
    """Return the update by a product with the adjoint, the Cholesky factorisation and the type of real numbers.

    scipy offers them to compiled code. Its functions for Python would keep the interpreter's lock, so that several
    threads run one after the other.
    """
    letter = {"f": "s", "d": "d", "F": "c", "D": "z"}[kind]
    update = f"{letter}herk" if letter in "cz" else f"{letter}syrk"
    real = c_float if letter in "sc" else c_double
    return _function(cython_blas, update, 10), _function(cython_lapack, f"{letter}potrf", 5), real


def _function(module: ModuleType, name: str, count: int) -> Callable[..., None]:
    """Return a function of BLAS or LAPACK with a number of parameters, all of them addresses."""
    capsule = py_object(module.__pyx_capi__[name])
    kind = CFUNCTYPE(c_void_p, py_object)(("PyCapsule_GetName", pythonapi))(capsule)
    address = CFUNCTYPE(c_void_p, py_object, c_void_p)(("PyCapsule_GetPointer", pythonapi))(capsule, kind)
    return CFUNCTYPE(None, *[c_void_p] * count)(address)
