"""Eigenvalues of square operators of every kind: from the symbol or a dense solver, or Ritz values of Arnoldi's method.

Ritz values of an operator that is too large for a dense solver converge to the outer eigenvalues first [1]_. Those in
the interior are spread over the spectrum, but are no eigenvalues: what holds at all of them need not hold between them.

References
----------
.. [1] Y. Saad, Numerical Methods for Large Eigenvalue Problems, 2nd edition, SIAM 2011, chapter 6: Arnoldi's method,
   residuals of Ritz values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Complex128, Float64, Inexact
from scipy.sparse.linalg import LinearOperator

from polyroots.arguments import whole
from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.general_operator import GeneralOperator, as_operator
from polyroots.spectra.matrix import DENSE_LIMIT
from polyroots.spectra.spectrum import Spectrum, eigenvalues_of
from polyroots.spectra.values import EigenvalueSet, high_frequencies

Method = Literal["symbol", "dense", "arnoldi"]

#: Largest number of unknowns of operators that aren't Hermitian for a dense solver: half a minute.
DENSE_LIMIT_GENERAL = 2048
# Steps of Arnoldi's method, and entries of its basis: 1 GiB of float64.
_STEPS, _ENTRIES = 150, 2**27
# Relative to the norm: the residual of a converged Ritz value; a new direction that is rounding; a difference from a
# Hermitian matrix that is rounding; the coarsest resolution of an eigenvalue.
_CONVERGED, _INVARIANT, _HERMITIAN = 1e-8, 1e-12, 1e-12
_COARSEST = 1e-7


@dataclass(frozen=True, eq=False)
class OperatorSpectrum(EigenvalueSet):
    """The eigenvalues of a `GeneralOperator`, or Ritz values that stand for them.

    Attributes
    ----------
    values : (N,) complex128
        All eigenvalues with multiplicity, or fewer Ritz values (method ``"arnoldi"``).
    operator : GeneralOperator
    method : ``"symbol"``, ``"dense"`` or ``"arnoldi"``
        How they were computed.
    resolution : (N,) float64
        Distance below which each value isn't told from another number.
    residuals : (N,) float64 or None
        Of Ritz values: |A x - lambda x| / |A| with unit vectors x; a bound on the error if A is normal.

    See Also
    --------
    operator_eigenvalues : computes it
    """

    values: Complex128[np.ndarray, "N"]
    operator: GeneralOperator
    method: Method
    resolution: Float64[np.ndarray, "N"]
    residuals: Float64[np.ndarray, "N"] | None = None

    def __repr__(self) -> str:
        what = "Ritz values" if self.method == "arnoldi" else "eigenvalues"
        return f"OperatorSpectrum({len(self)} {what} of {self.operator!r}, {self.method}, radius {self.radius:.6g})"

    @property
    def is_complete(self) -> bool:
        """Whether the values are all eigenvalues."""
        return self.method != "arnoldi"

    @cached_property
    def converged(self) -> Bool[np.ndarray, "N"]:
        """Which values are eigenvalues: all, or the Ritz values with a residual below 1e-8 of the norm."""
        if self.residuals is None:
            return np.ones(len(self), dtype=bool)
        return self.residuals <= _CONVERGED

    @cached_property
    def frequencies(self) -> Float64[np.ndarray, "N d"] | None:
        """Frequency of each eigenvalue in radians, in (-pi, pi]; None unless they are those of a symbol."""
        if self.method != "symbol" or self.operator.stencil is None:
            return None
        return np.repeat(self.operator.stencil.frequencies(), self.operator.stencil.channels, axis=0)

    @cached_property
    def is_high_frequency(self) -> Bool[np.ndarray, "N"]:
        """Mask of the eigenvalues at high frequencies, |theta| >= pi / 2 along an axis.

        Raises
        ------
        InputError
            If the values have no frequencies.
        """
        stencil = self.operator.stencil
        if self.method != "symbol" or stencil is None:
            raise InputError(
                f"eigenvalues of {self.operator.kind} have no frequency; a stencil with circular padding has"
            )
        return np.repeat(high_frequencies(stencil.size).ravel(), stencil.channels)

    def notes(self) -> list[str]:
        """Return sentences on what is not known, or is otherwise than for convolutions."""
        lines = []
        if not self.is_complete:
            assert self.residuals is not None
            low, high = (self.residuals[end(self.values.real)] for end in (np.argmin, np.argmax))
            lines.append(
                f"{self.operator.shape[0]:,} unknowns are too many for all eigenvalues: {len(self)} Ritz values of "
                f"Arnoldi's method stand for them. {int(self.converged.sum())} have converged (residual below 1e-8 of "
                f"the norm); those of the smallest and largest real part have the residuals {low:.1g} and {high:.1g}. "
                "Between Ritz values |q| can be larger than at them"
            )
        if self.operator.is_complex and bool((np.abs(self.values.imag) > self.resolution).any()):
            lines.append(
                "A is complex: q, and the best polynomial that it is compared with, have real coefficients, so that "
                "|q| is the same at an eigenvalue and at its conjugate; complex coefficients may do with half as many "
                "roots"
            )
        return lines


def operator_eigenvalues(
    A: Any, size: int | tuple[int, ...] | None = None, *, padding: str = "circular", steps: int | None = None
) -> Spectrum | OperatorSpectrum:
    """Return the eigenvalues of a square operator of any kind, or Ritz values if it is too large for all of them.

    - Stencils with circular padding: the eigenvalues of the symbol, for any number of dimensions.
    - Matrices, and operators whose products are known: a dense solver up to 4,096 unknowns if A is Hermitian, up to
      2,048 if it isn't; above, up to 150 steps of Arnoldi's method from a random start, whose outer Ritz values are
      eigenvalues, and whose inner ones are not (`OperatorSpectrum.converged`).
    - Real stencils in one and two dimensions, and ``torch.nn.Conv2d``: `eigenvalues`.

    Parameters
    ----------
    A, size, padding
        As for `as_operator`.
    steps : int, optional
        Take the Ritz values of so many steps of Arnoldi's method if A has more unknowns and no symbol: a product with A
        each, instead of a dense solver.

    Returns
    -------
    Spectrum or OperatorSpectrum
        A `Spectrum` for convolutions.

    Raises
    ------
    InputError
        If A is no square operator, its size is missing, steps is not positive, or products with it are not finite.

    Examples
    --------
    The eigenvalues of the 7-point Laplacian on a periodic grid lie between 0 and 12:

    >>> K = np.zeros((3, 3, 3)); K[1, 1, 1] = 6
    >>> for axis in range(3): K[tuple(np.roll([0, 1, 1], axis))] = K[tuple(np.roll([2, 1, 1], axis))] = -1
    >>> Lambda = operator_eigenvalues(K, size=8)
    >>> print(len(Lambda), Lambda.method, round(Lambda.min_real, 12) + 0, round(Lambda.max_real, 12))
    512 symbol 0.0 12.0
    """
    if steps is not None and whole(steps, "steps") < 1:
        raise InputError(f"steps: expected a whole number of at least 1, got {steps}")
    operator = as_operator(A, size, padding=padding)
    return eigenvalues_of(operator) if isinstance(operator, Convolution) else _eigenvalues(operator, steps)


def spectrum_or_operator(A: Any, size: int | tuple[int, ...] | None, *, needs_eigenvalues: bool) -> Any:
    """Return what roots can be chosen from: spectra and bare eigenvalues as they are, and operators with eigenvalues.

    Parameters
    ----------
    A : Spectrum, OperatorSpectrum, (N,) array_like of complex, or what `as_operator` takes
    size : int or tuple of int, optional
        As for `as_operator`.
    needs_eigenvalues : bool
        Otherwise an operator whose eigenvalues would have to be computed by a solver is returned as such.

    Returns
    -------
    Spectrum, OperatorSpectrum, array_like, Convolution or GeneralOperator
        A `Convolution` that is given as it is; an operator whose eigenvalues are not needed.

    Raises
    ------
    InputError
        If A is no square operator, its size is missing or given twice, or products with it are not finite.
    """
    if isinstance(A, EigenvalueSet):
        if size is not None:
            raise InputError(f"a spectrum has the size of its operator, and size {size} was given; leave it out")
        return A
    if size is None and _is_vector(A):
        return A
    operator = as_operator(A, size)
    operator.require_square("roots")
    if isinstance(operator, Convolution):
        # A convolution that `as_operator` has made has circular padding, and so a symbol.
        return operator if operator is A else eigenvalues_of(operator)
    return _eigenvalues(operator) if needs_eigenvalues or operator.has_symbol else operator


def _is_vector(A: Any) -> bool:
    """Return whether a value is a sequence of numbers, and no matrix."""
    if hasattr(A, "shape"):
        return len(A.shape) < 2
    return not callable(A) and (not hasattr(A, "__len__") or np.ndim(A) < 2)


def _eigenvalues(operator: GeneralOperator, steps: int | None = None) -> OperatorSpectrum:
    """Return the eigenvalues or Ritz values of an operator."""
    normalised, scale = operator.normalized()
    # Relative to the norm: rounding errors of the products, and of the symbol and LAPACK.
    finest = 8 * float(np.finfo(operator.products.dtype).eps)
    limit = steps or (DENSE_LIMIT if operator.is_hermitian else DENSE_LIMIT_GENERAL)
    has_symbol = operator.has_symbol
    blocks = normalised.blocks() if has_symbol or operator.shape[0] <= limit else None
    if blocks is None:
        values, residuals = _ritz_values(normalised.products, operator.name, steps or _STEPS)
        resolution = np.full(len(values), scale * finest * float(np.abs(values).max()))
        return OperatorSpectrum(values * scale, operator, "arnoldi", resolution, residuals)
    if not np.isfinite(blocks).all():
        raise _not_finite(operator.name)
    values, resolution = _of_blocks(blocks, finest)
    return OperatorSpectrum(values * scale, operator, "symbol" if has_symbol else "dense", resolution * scale)


def _not_finite(name: str) -> InputError:
    """Return the error for products that overflow or are not defined."""
    return InputError(f"{name}: products with A are NaN or infinite; expected an operator with finite products")


def _of_blocks(
    blocks: Inexact[np.ndarray, "k m m"], finest: float
) -> tuple[Complex128[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """Return the eigenvalues of blocks, one after another, and their resolution: rounding errors times conditions.

    `finest` is the share of the norm that rounding errors are.
    """
    norm = float(np.abs(blocks).sum(axis=2).max())
    if blocks.shape[1] == 1:
        values = blocks[:, 0, 0].astype(np.complex128)
        return values, np.full(len(values), finest * norm)
    if not np.abs(blocks - blocks.conj().swapaxes(1, 2)).max() > finest * norm:
        values = np.linalg.eigvalsh(blocks).ravel().astype(np.complex128)
        return values, np.full(len(values), finest * norm)
    found, right = np.linalg.eig(blocks)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            conditions = np.linalg.norm(np.linalg.inv(right), axis=2)
        except np.linalg.LinAlgError:
            # Parallel eigenvectors of a defective eigenvalue.
            conditions = np.full(found.shape, np.inf)
    coarsest = max(_COARSEST, finest) * norm
    resolution = np.clip(finest * norm * np.nan_to_num(conditions, nan=np.inf), finest * norm, coarsest)
    return found.ravel().astype(np.complex128), resolution.ravel()


def _ritz_values(
    A: LinearOperator, name: str, steps: int
) -> tuple[Complex128[np.ndarray, "m"], Float64[np.ndarray, "m"]]:
    """Return the Ritz values of Arnoldi's method from a random start, and their residuals relative to the norm."""
    n = A.shape[0]
    steps = min(steps, n, max(_ENTRIES // n, 20))
    generator, dtype = np.random.default_rng(n), A.dtype
    b = generator.standard_normal(n).astype(dtype)
    if dtype.kind == "c":
        b += 1j * generator.standard_normal(n)
    # Basis vectors in rows, which are contiguous in memory.
    V = np.zeros((steps + 1, n), dtype=np.result_type(dtype, np.float64))
    H = np.zeros((steps + 1, steps), dtype=V.dtype)
    V[0] = b / np.linalg.norm(b)
    for k in range(steps):
        w = A.matvec(V[k])
        size = float(np.linalg.norm(w))
        if not np.isfinite(size):
            raise _not_finite(name)
        for _ in range(2):
            h = (V[: k + 1] @ w.conj()).conj()
            w = w - h @ V[: k + 1]
            H[: k + 1, k] += h
        H[k + 1, k] = np.linalg.norm(w)
        if abs(H[k + 1, k]) <= _INVARIANT * size:
            steps = k + 1
            H[steps, k] = 0
            break
        V[k + 1] = w / H[k + 1, k]
    square, last = H[:steps, :steps], abs(H[steps, steps - 1])
    norm = float(np.linalg.norm(square, 2)) or 1.0
    if np.linalg.norm(square - square.conj().T) <= _HERMITIAN * norm * steps:
        values, vectors = np.linalg.eigh(square)
    else:
        values, vectors = np.linalg.eig(square)
    return values.astype(np.complex128), last * np.abs(vectors[-1]) / norm
