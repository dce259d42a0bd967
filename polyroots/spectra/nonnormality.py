"""Numerical range, pseudospectra and departure from normality of convolutions.

For a normal A, ||q(A)|| = max |q(Lambda)|. Otherwise ||q(A)|| can be far larger; the numerical range, the pseudospectra
and the norm itself show by how much. With circular padding A is unitarily equivalent to the block diagonal matrix of
its symbol: its numerical range is the convex hull of the blocks' ranges, and its norm the largest of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Complex, Complex128, Float64, Inexact, Int
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, schur, solve_triangular
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.lanczos import DENSE_IS_FASTER, largest_eigenvalue
from polyroots.spectra.matrix import explicit_matrix, linear_operator
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.operator_spectrum import OperatorSpectrum
from polyroots.spectra.singular_values import squared_frobenius_norm
from polyroots.spectra.spectrum import Spectrum, normalized_convolution
from polyroots.spectra.symbol_blocks import SymbolBlocks
from polyroots.threads import in_threads

# Accuracy of the support function, relative to the operator's norm.
_RESOLUTION = 1e-12


@dataclass(frozen=True, eq=False)
class NumericalRange:
    """The numerical range {x* A x, |x| = 1}: convex, symmetric to the real axis, and a superset of the spectrum.

    Attributes
    ----------
    angles : (n,) float64
        Directions phi in radians, from 0 in equal steps.
    support : (n,) float64
        Support function: the largest Re(exp(-i phi) z) over the range.
    points : (n,) complex128
        Boundary points where these are attained; their polygon lies inside the range.
    """

    angles: Float64[np.ndarray, "n"]
    support: Float64[np.ndarray, "n"]
    points: Complex128[np.ndarray, "n"]

    @property
    def radius(self) -> float:
        """Lower bound of the numerical radius max |z|, attained at one of the boundary points."""
        return float(np.abs(self.points).max())


def numerical_range(
    spectrum: Spectrum | OperatorSpectrum, angles: int = 64, *, every: int = 1, workers: int | None = None
) -> NumericalRange:
    """Return boundary points of the numerical range of a spectrum's operator.

    The boundary point in the direction phi belongs to the eigenvector of the largest eigenvalue of the Hermitian part
    of exp(-i phi) A (Johnson). Most frequencies are ruled out by a Cholesky factorisation, at a tenth of the cost
    of their eigenvalues.

    Parameters
    ----------
    spectrum : Spectrum, or OperatorSpectrum of a real matrix
    angles : int
        Number of directions, even.
    every : int
        With circular padding, use every n-th frequency only, which gives a subset of the range; for large operators.
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    NumericalRange

    Raises
    ------
    InputError
        If bare eigenvalues are given, `angles` is odd or below 4, or `every` is below 1.
    ConvergenceError
        If Lanczos' method fails on a large zero-padded operator.

    See Also
    --------
    pseudospectrum, departure_from_normality

    References
    ----------
    C. R. Johnson, Numerical determination of the field of values of a general complex matrix, SIAM Journal on Numerical
    Analysis 15 (1978), 595-602.

    Examples
    --------
    A projection onto a skew line has an ellipse with the foci 0 and 1:

    >>> from polyroots.spectra import eigenvalues
    >>> K = np.array([[1.0, 1.0], [0.0, 0.0]]).reshape(2, 2, 1, 1)
    >>> W = numerical_range(eigenvalues(K, 4), angles=8)
    >>> print(W.support.round(4)[[0, 2, 4]])
    [1.2071 0.5    0.2071]
    """
    operator, scale = normalized_convolution(spectrum, "the numerical range")
    if angles < 4 or angles % 2:
        raise InputError(f"expected an even number of at least 4 angles, got {angles}")
    if every < 1:
        raise InputError(f"expected to look at every frequency, every=1, or at fewer, got every={every}")
    phi = 2 * np.pi * np.arange(angles) / angles
    support, points = np.empty(angles), np.empty(angles, dtype=np.complex128)

    if operator.padding == "circular":
        blocks, values = SymbolBlocks(operator, every), spectrum.values / scale
        resolution = _RESOLUTION * float(np.abs(operator.weight).sum(axis=(1, 2, 3)).max())

        def solve(number: int) -> None:
            first = _farthest(blocks, phi[number], values)
            support[number], points[number], _ = support_of_blocks(blocks, phi[number], first, resolution)

        in_threads(solve, range(angles), workers)
        # The other half of the frequencies has the conjugate symbols.
        mirror = -np.arange(angles) % angles
        is_mirrored = support[mirror] > support
        support, points = (
            np.where(is_mirrored, support[mirror], support),
            np.where(is_mirrored, points[mirror].conj(), points),
        )
    else:
        for number in range(angles // 2 + 1):
            support[number], points[number] = _touch_matrix(operator, phi[number])
            support[-number], points[-number] = support[number], points[number].conj()
    return NumericalRange(phi, support * scale, points * scale)


def departure_from_normality(spectrum: Spectrum | OperatorSpectrum) -> float:
    """Return Henrici's relative departure from normality, sqrt(|A|_F^2 - sum |lambda|^2) / |A|_F.

    It is 0 for a normal operator and 1 for a nilpotent one. The difference of squares has an accuracy of 1e-7, or 1e-3
    with eigenvalues in single precision; smaller values are returned as 0.

    Parameters
    ----------
    spectrum : Spectrum, or OperatorSpectrum of a real matrix

    Returns
    -------
    float

    Raises
    ------
    InputError
        If bare eigenvalues are given.

    See Also
    --------
    numerical_range, pseudospectrum

    References
    ----------
    P. Henrici, Bounds for iterates, inverses, spectral variation and fields of values of non-normal matrices,
    Numerische Mathematik 4 (1962), 24-40.

    Examples
    --------
    >>> from polyroots.spectra import eigenvalues
    >>> nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]]).reshape(2, 2, 1, 1)
    >>> departure_from_normality(eigenvalues(nilpotent, 4))
    1.0
    """
    operator, scale = normalized_convolution(spectrum, "the departure from normality")
    total = squared_frobenius_norm(operator)
    if not total:
        return 0.0
    departure = 1 - float((np.abs(spectrum.values / scale) ** 2).sum()) / total
    rounding = 1e-14 if spectrum.values.dtype == np.complex128 else 1e-6
    if spectrum.radius:
        # Eigenvalues below 1e-308 have fewer digits.
        rounding = max(rounding, 64 * float(np.spacing(spectrum.radius)) / spectrum.radius)
    return float(np.sqrt(departure)) if departure > rounding else 0.0


def pseudospectrum(
    spectrum: Spectrum | OperatorSpectrum, points: ArrayLike, *, workers: int | None = None
) -> Float64[np.ndarray, "*shape"]:
    """Return the smallest singular value of z - A at each point z, the reciprocal norm of the resolvent.

    The epsilon-pseudospectrum is the set where it is at most epsilon. Each point costs the singular values of the
    symbol at all frequencies.

    Parameters
    ----------
    spectrum : Spectrum, or OperatorSpectrum of a real matrix
    points : array_like of complex, any shape
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    float64, shape of `points`

    Raises
    ------
    InputError
        If bare eigenvalues or points that are not finite are given, or if a zero-padded operator is too large for
        dense solvers.

    See Also
    --------
    numerical_range, departure_from_normality

    References
    ----------
    L. N. Trefethen, M. Embree, Spectra and Pseudospectra, Princeton 2005.

    Examples
    --------
    For a normal A it is the distance to the spectrum, here to -1, +-i and 1:

    >>> from polyroots.spectra import eigenvalues
    >>> shift = np.zeros((1, 1, 3, 3)); shift[0, 0, 1, 2] = 1
    >>> print(pseudospectrum(eigenvalues(shift, (1, 4)), [0, 3]).round(12))
    [1. 2.]
    """
    operator, scale = normalized_convolution(spectrum, "the pseudospectrum")
    z = np.asarray(points, dtype=np.complex128) / scale
    if not np.isfinite(z).all():
        raise InputError("expected finite points for the pseudospectrum, got NaN or infinite ones")
    if operator.padding == "zeros":
        T = schur(explicit_matrix(operator), output="complex")[0]
        return np.array([scale * _smallest_singular_value(T, value) for value in z.ravel()]).reshape(z.shape)
    # The symbol at -theta is the conjugate one: half of the frequencies suffice, at z and at its conjugate.
    both, where = np.unique(np.concatenate([z.ravel(), z.ravel().conj()]), return_inverse=True)
    smallest = np.full(len(both), np.inf)
    blocks, lock = SymbolBlocks(operator), Lock()

    def solve(chosen: Int[np.ndarray, "F"]) -> None:
        nonlocal smallest
        stack, identity = blocks.stack(chosen), np.eye(blocks.rows)
        found = np.empty(len(both))
        for number, value in enumerate(both):
            found[number] = np.linalg.svd(value * identity - stack, compute_uv=False)[:, -1].min()
        with lock:
            smallest = np.minimum(smallest, found)

    in_threads(solve, blocks.tasks(workers), workers)
    here, mirrored = smallest[where].reshape(2, -1)
    return scale * np.minimum(here, mirrored).reshape(z.shape)


def support_of_blocks(
    blocks: SymbolBlocks | OperatorBlocks, phi: float, first: Int[np.ndarray, "_"], resolution: float
) -> tuple[float, complex, int]:
    """Return the support of the numerical range of a direct sum in one direction, and where it is attained.

    Parameters
    ----------
    blocks : SymbolBlocks or OperatorBlocks
    phi : float
        Direction in radians.
    first : (n,) int
        Numbers of blocks that are likely to reach far: most others are ruled out by a Cholesky factorisation then.
    resolution : float
        A block that reaches farther by less isn't looked at.

    Returns
    -------
    support : float
        The largest Re(exp(-i phi) z) over the range.
    point : complex
        The z where it is attained.
    number : int
        The one of `first` or of the tasks whose block has this point in its range.
    """
    support, point, number = -np.inf, 0j, -1
    for chosen in (first, *blocks.tasks()):
        if not len(chosen):
            continue
        stack = blocks.stack(chosen)
        hermitian = _hermitian_part(stack, phi)
        if support > -np.inf and _is_below(hermitian, support + resolution):
            continue
        tops, vectors = _tops(hermitian)
        place = int(tops.argmax())
        if tops[place] > support:
            x = vectors(place)
            support, point = float(tops[place]), complex(x.conj() @ stack[place] @ x)
            number = int(chosen[place * len(chosen) // len(stack)])
    return support, point, number


def _farthest(blocks: SymbolBlocks, phi: float, values: Complex[np.ndarray, "N"]) -> Int[np.ndarray, "n"]:
    """Return the positions of the frequencies whose eigenvalues reach farthest in a direction."""
    H, W = blocks.operator.size
    by_frequency = values.reshape(H, W, -1)[blocks.ky, blocks.kx]
    reach = (np.exp(-1j * phi) * by_frequency).real.max(axis=1)
    return np.argsort(-reach)[:8]


def _tops(
    hermitian: Complex128[np.ndarray, "F n n"],
) -> tuple[Float64[np.ndarray, "F"], Callable[[int], Complex128[np.ndarray, "n"]]]:
    """Return the largest eigenvalues of a stack of Hermitian matrices, and a function for their eigenvectors."""
    if hermitian.shape[-1] <= DENSE_IS_FASTER:
        return np.linalg.eigvalsh(hermitian)[:, -1], lambda place: np.linalg.eigh(hermitian[place])[1][:, -1]
    found = [largest_eigenvalue(aslinearoperator(matrix), "the numerical range") for matrix in hermitian]
    tops = np.array([float(top[0].real) for top, _ in found])
    return tops, lambda place: found[place][1][:, 0] / np.linalg.norm(found[place][1])


def _hermitian_part(stack: Inexact[np.ndarray, "*F n n"], phi: float) -> Complex128[np.ndarray, "*F n n"]:
    """Return the Hermitian part of exp(-i phi) A for each matrix A."""
    rotated = np.exp(-1j * phi) * stack
    return (rotated + rotated.conj().swapaxes(-1, -2)) / 2


def _is_below(hermitian: Complex128[np.ndarray, "F n n"], bound: float) -> bool:
    """Return whether all eigenvalues of a stack of Hermitian matrices are below a bound."""
    try:
        np.linalg.cholesky(bound * np.eye(hermitian.shape[-1]) - hermitian)
    except np.linalg.LinAlgError:
        return False
    return True


def _touch_matrix(operator: Convolution, phi: float) -> tuple[float, complex]:
    """Return the support of a zero-padded operator in the direction phi, and the point where it is attained."""
    n = operator.shape[0]
    turn = np.exp(-1j * phi)
    if n <= DENSE_IS_FASTER:
        A = explicit_matrix(operator)
        tops, vectors = eigh(_hermitian_part(A, phi), subset_by_index=[n - 1, n - 1])
        x = vectors[:, 0]
        return float(tops[0]), complex(x.conj() @ A @ x)
    product = _complex_product(linear_operator(operator))
    transposed = _complex_product(linear_operator(operator).T)
    hermitian = LinearOperator(
        (n, n),
        matvec=lambda u: (turn * product(u) + turn.conjugate() * transposed(u)) / 2,
        dtype=np.complex128,
    )
    tops, vectors = largest_eigenvalue(hermitian, f"the numerical range in the direction {phi:.3f}")
    x = vectors[:, 0] / np.linalg.norm(vectors[:, 0])
    return float(tops[0].real), complex(x.conj() @ product(x))


def _complex_product(A: LinearOperator) -> Callable[[NDArray[Any]], NDArray[np.complex128]]:
    """Return the product of a real operator with complex vectors."""
    return lambda u: A.matvec(np.ascontiguousarray(u.real)) + 1j * A.matvec(np.ascontiguousarray(u.imag))


def _smallest_singular_value(T: Complex128[np.ndarray, "n n"], z: complex) -> float:
    """Return the smallest singular value of z - T, T upper triangular, from the largest one of the inverse."""
    n = len(T)
    shifted = z * np.eye(n) - T
    if n <= DENSE_IS_FASTER:
        return float(np.linalg.svd(shifted, compute_uv=False)[-1])
    if (np.diagonal(shifted) == 0).any():
        return 0.0
    inverse = LinearOperator(
        (n, n),
        matvec=lambda u: solve_triangular(shifted, solve_triangular(shifted, u, trans="C")),
        dtype=np.complex128,
    )
    tops, _ = largest_eigenvalue(inverse, f"the pseudospectrum at {z:.4g}")
    return float(1 / np.sqrt(tops[0].real))
