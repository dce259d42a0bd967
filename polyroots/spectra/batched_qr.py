"""Eigenvalues of stacks of small matrices: complex ones several at once by a compiled kernel, the others by LAPACK.

The kernel (_batched_qr.c) is built when polyroots is installed. Without a compiler it is left out, and LAPACK does all.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Inexact

#: Vector instructions, the best first, in the order of the C enumeration.
Instructions = Literal["avx512", "avx2", "baseline"]

#: Sizes of a stack are multiples of it where they can be: the matrices of a vector in double precision.
LANES = 8

# The time of a vector of matrices grows faster with their order than LAPACK's, as they leave the caches: from these
# orders on it pays for as many matrices only. See BENCHMARKS.md.
_LEAST_COUNT = ((128, 1), (256, 3), (512, 6))


def eigvals(stack: Inexact[np.ndarray, "*stack n n"]) -> Inexact[np.ndarray, "*stack n"]:
    """Return the eigenvalues of each matrix of a stack; as numpy's `eigvals`, but complex ones faster.

    complex64 is solved in single precision. The result for a matrix does not depend on the others, and on the same
    processor it is the same to the last bit.

    Parameters
    ----------
    stack : (..., n, n) real or complex array

    Returns
    -------
    (..., n) array
        Of the type of the stack; complex if a real matrix has complex eigenvalues.

    Raises
    ------
    LinAlgError
        If LAPACK does not converge for a matrix, or one isn't finite.
    """
    n = stack.shape[-1]
    count = stack.size // n**2 if n else 0
    if not np.iscomplexobj(stack) or not _pays(n, count) or best_instructions() is None:
        return _lapack(stack)
    matrices = np.ascontiguousarray(stack).reshape(count, n, n)
    values, is_left = in_lanes(matrices)
    if is_left.any():
        values[is_left] = _lapack(matrices[is_left])
    return values.reshape(stack.shape[:-1])


def in_lanes(
    matrices: Inexact[np.ndarray, "count n n"], instructions: Instructions | None = None
) -> tuple[Inexact[np.ndarray, "count n"], Any]:
    """Return what the compiled kernel finds.

    Parameters
    ----------
    matrices : (count, n, n) complex128 or complex64 array, C-contiguous
    instructions : ``"avx512"``, ``"avx2"`` or ``"baseline"``, optional
        By default the best that this processor has.

    Returns
    -------
    values : (count, n) array
        Of the type of the matrices.
    is_left : (count,) bool
        Which matrices LAPACK has to solve: those that it would permute before it begins, and those that don't converge.

    Raises
    ------
    MemoryError
        Without memory for n x n vectors.
    """
    best = best_instructions()
    kernel = _library()
    assert kernel is not None
    assert best is not None
    count, n = matrices.shape[:2]
    values = np.empty((count, n), matrices.dtype)
    is_left = np.zeros(count, bool)
    failed = kernel(
        matrices.ctypes.data,
        count,
        n,
        values.ctypes.data,
        is_left.ctypes.data,
        matrices.dtype == np.complex128,
        get_args(Instructions).index(instructions or best),
    )
    if failed:
        raise MemoryError(f"no memory for {LANES} complex matrices of order {n}")
    return values, is_left


@cache
def best_instructions() -> Instructions | None:
    """Return the best vector instructions of this processor that the kernel uses; None if it was not built."""
    path = _path()
    return None if path is None else get_args(Instructions)[ctypes.CDLL(str(path)).polyroots_best_instructions()]


def _lapack(stack: Inexact[np.ndarray, "*stack n n"]) -> Inexact[np.ndarray, "*stack n"]:
    """Return numpy's eigenvalues in the precision of the stack; numpy itself computes in double precision."""
    values = np.linalg.eigvals(stack)
    return values.astype(stack.dtype, copy=False) if np.iscomplexobj(stack) else values


def _pays(n: int, count: int) -> bool:
    """Return whether the kernel is faster than LAPACK."""
    return n > 1 and any(n <= order and count >= least for order, least in _LEAST_COUNT)


def _path() -> Path | None:
    """Return the file of the compiled kernel."""
    paths = [Path(__file__).with_name(f"_batched_qr{suffix}") for suffix in EXTENSION_SUFFIXES]
    return next((path for path in paths if path.exists()), None)


@cache
def _library() -> Callable[..., int] | None:
    """Return the kernel. ctypes releases the interpreter's lock while it runs."""
    path = _path()
    if path is None:
        return None
    kernel = ctypes.CDLL(str(path)).polyroots_eigenvalues
    pointer, integer = ctypes.c_void_p, ctypes.c_long
    kernel.argtypes = [pointer, integer, integer, pointer, pointer, ctypes.c_int, ctypes.c_int]
    kernel.restype = ctypes.c_int
    return kernel
