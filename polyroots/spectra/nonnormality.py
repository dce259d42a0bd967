r"""How far a convolution is from normal, and what its eigenvalues therefore don't say.

For a normal A the eigenvalues say everything: ||q(A)|| = max |q(Lambda)|. Otherwise ||q(A)|| can be far larger, and
the numerical range, the pseudospectra and the norm itself tell the difference [1]_. With circular padding A is
unitarily equivalent to its symbol, block by block: the numerical range is the convex hull of the blocks', every norm is
the largest of theirs.

References
----------
.. [1] L. N. Trefethen, M. Embree, Spectra and Pseudospectra, Princeton 2005.
.. [2] C. R. Johnson, Numerical determination of the field of values of a general complex matrix, SIAM Journal on
   Numerical Analysis 15 (1978), 595-602.
.. [3] P. Henrici, Bounds for iterates, inverses, spectral variation and fields of values of non-normal matrices,
   Numerische Mathematik 4 (1962), 24-40.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, schur, solve_triangular
from scipy.sparse.linalg import LinearOperator

from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.lanczos import DENSE_IS_FASTER, largest_eigenvalue
from polyroots.spectra.matrix import explicit_matrix, linear_operator
from polyroots.spectra.singular_values import squared_frobenius_norm
from polyroots.spectra.spectrum import Spectrum, normalized_convolution
from polyroots.spectra.symbol_blocks import SymbolBlocks
from polyroots.threads import in_threads

# Relative to the operator's scale: how far the true support may lie beyond the reported one.
_RESOLUTION = 1e-12


@dataclass(frozen=True, eq=False)
class NumericalRange:
    """The numerical range {x* A x, |x| = 1}, a convex set that holds the spectrum, symmetric to the real axis.

    Attributes
    ----------
    angles : (n,) float64
        Directions phi in radians, from 0 in equal steps.
    support : (n,) float64
        The range lies in Re(exp(-i phi) z) <= support, and touches that line.
    points : (n,) complex128
        Where it touches: points of its boundary, whose polygon lies inside.
    """

    angles: Float64[np.ndarray, "n"]
    support: Float64[np.ndarray, "n"]
    points: Complex128[np.ndarray, "n"]

    @property
    def radius(self) -> float:
        """Numerical radius, max |z|: from inside, at the boundary points."""
        return float(np.abs(self.points).max())


def numerical_range(
    spectrum: Spectrum, angles: int = 64, *, every: int = 1, workers: int | None = None
) -> NumericalRange:
    """Boundary of the numerical range of the operator of a spectrum.

    In the direction phi the boundary is reached by the eigenvector of the largest eigenvalue of the Hermitian part of
    exp(-i phi) A (Johnson [2]_). Of most frequencies a Cholesky factorisation proves that they don't reach as far,
    which costs a tenth of their eigenvalues.

    Parameters
    ----------
    spectrum : Spectrum
    angles : int
        Number of directions, even.
    every : int
        With circular padding, look at every n-th frequency only: a range from inside, for large operators.
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Raises
    ------
    InputError
        If bare eigenvalues are given, `angles` is odd or below 4, or `every` is below 1.
    ConvergenceError
        If Lanczos' method fails on a large zero-padded operator.

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
        blocks = SymbolBlocks(operator, every)

        def solve(number: int) -> None:
            support[number], points[number] = _touch_blocks(blocks, phi[number], spectrum.values / scale)

        in_threads(solve, range(angles), workers)
        # Half of the frequencies were looked at, the other half mirrors them.
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


def departure_from_normality(spectrum: Spectrum) -> float:
    """Henrici's departure from normality in the Frobenius norm, relative: sqrt(|A|_F^2 - sum |lambda|^2) / |A|_F [3]_.

    0 for a normal operator, 1 for a nilpotent one. As a difference of squares it is known to 1e-7 only, 1e-3 from
    eigenvalues in single precision: what is smaller is returned as 0.

    Raises
    ------
    InputError
        If bare eigenvalues are given.
    """
    operator, scale = normalized_convolution(spectrum, "the departure from normality")
    total = squared_frobenius_norm(operator)
    if not total:
        return 0.0
    departure = 1 - float((np.abs(spectrum.values / scale) ** 2).sum()) / total
    rounding = 1e-14 if spectrum.values.dtype == np.complex128 else 1e-6
    return float(np.sqrt(departure)) if departure > rounding else 0.0


def pseudospectrum(spectrum: Spectrum, points: ArrayLike, *, workers: int | None = None) -> NDArray[np.float64]:
    """Smallest singular value of z - A at each point z, which is 1 / |resolvent|.

    The epsilon-pseudospectrum is where it is at most epsilon; its contour lines are the levels to draw. Each point
    costs the singular values of the symbol at all frequencies.

    Parameters
    ----------
    spectrum : Spectrum
    points : array_like of complex, any shape
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    float64, shape of `points`

    Raises
    ------
    InputError
        If bare eigenvalues are given, or a zero-padded operator is too large for its matrix to be made.
    """
    operator, scale = normalized_convolution(spectrum, "the pseudospectrum")
    z = np.asarray(points, dtype=np.complex128) / scale
    if not np.isfinite(z).all():
        raise InputError("expected finite points of the plane for the pseudospectrum, got NaN or infinite ones")
    if operator.padding == "zeros":
        T = schur(explicit_matrix(operator), output="complex")[0]
        return np.array([scale * _smallest_singular_value(T, value) for value in z.ravel()]).reshape(z.shape)
    # The frequencies -theta have the conjugate symbols: half of them, at z and at its conjugate.
    both, where = np.unique(np.concatenate([z.ravel(), z.ravel().conj()]), return_inverse=True)
    smallest = np.full(len(both), np.inf)
    blocks, lock = SymbolBlocks(operator), Lock()

    def solve(chosen: NDArray[np.intp]) -> None:
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


def _touch_blocks(blocks: SymbolBlocks, phi: float, values: NDArray[Any]) -> tuple[float, complex]:
    """Support in the direction phi over the blocks, and the point where it is reached."""
    # Where eigenvalues lie far out, the numerical range does so too: a first bound from a few frequencies.
    H, W = blocks.operator.size
    by_frequency = values.reshape(H, W, -1)[blocks.ky, blocks.kx]
    reach = (np.exp(-1j * phi) * by_frequency).real.max(axis=1)
    farthest = np.argsort(-reach)[:8]
    scale = float(np.abs(blocks.operator.weight).sum(axis=(1, 2, 3)).max())
    support, block = -np.inf, np.zeros((blocks.rows, blocks.rows), dtype=np.complex128)
    for chosen in (farthest, *blocks.tasks()):
        stack = blocks.stack(chosen)
        hermitian = _hermitian_part(stack, phi)
        if support > -np.inf and _is_below(hermitian, support + _RESOLUTION * scale):
            continue
        tops = np.linalg.eigvalsh(hermitian)[:, -1]
        if tops.max() > support:
            support, block = float(tops.max()), stack[tops.argmax()]
    x = np.linalg.eigh(_hermitian_part(block, phi))[1][:, -1]
    return support, complex(x.conj() @ block @ x)


def _hermitian_part(stack: NDArray[Any], phi: float) -> NDArray[np.complex128]:
    rotated = np.exp(-1j * phi) * stack
    return (rotated + rotated.conj().swapaxes(-1, -2)) / 2


def _is_below(hermitian: NDArray[np.complex128], bound: float) -> bool:
    """Whether all eigenvalues of a stack of Hermitian matrices are below a bound: the differences are definite."""
    try:
        np.linalg.cholesky(bound * np.eye(hermitian.shape[-1]) - hermitian)
    except np.linalg.LinAlgError:
        return False
    return True


def _touch_matrix(operator: Convolution, phi: float) -> tuple[float, complex]:
    """Support of a zero-padded operator in the direction phi, and the point where it is reached."""
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
    return lambda u: A.matvec(np.ascontiguousarray(u.real)) + 1j * A.matvec(np.ascontiguousarray(u.imag))


def _smallest_singular_value(T: NDArray[np.complex128], z: complex) -> float:
    """Smallest singular value of z - T, T upper triangular: the inverse's largest, by Lanczos' method."""
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
