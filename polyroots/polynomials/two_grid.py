r"""Two-grid local Fourier analysis: how fast smoothing and coarse-grid correction together reduce the error.

One cycle multiplies the error by

.. math:: T = q(A)^{\nu_2} (I - P A_c^+ R A) q(A)^{\nu_1},

a block-diagonal matrix in the basis of the Fourier modes, with one block of 4c rows for each set of four harmonics.
The smoothing factor is its estimate for an ideal coarse-grid correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Int

from polyroots.arguments import whole
from polyroots.errors import InputError
from polyroots.polynomials.operator_norm import FactoredPolynomial, factors_for
from polyroots.polynomials.products import apply_to
from polyroots.spectra import (
    Convolution,
    GeneralOperator,
    Harmonics,
    coarse_operator,
    eigvals,
    norm_bound,
    require_two_grid,
    transfer_of,
)
from polyroots.threads import in_threads

# Rounding errors of a symbol, in units of the number of channels times eps times the operator's norm.
_ROUNDING_ERRORS = 8


@dataclass(frozen=True, eq=False)
class TwoGrid:
    """Result of `two_grid`.

    Attributes
    ----------
    radii : (F,) float64
        Spectral radius of T for each set of four harmonics; conjugate sets are left out.
    norms : (F,) float64
        Spectral norm of T for each set.
    frequencies : (F, 2) float64
        (theta_y, theta_x) of the lowest harmonic of each set.
    null : int
        Number of null vectors of A, which no cycle changes; they are left out.
    singular : int
        Number of null vectors of the coarse operator: the correction leaves these components out.
    pre, post : int
        Number of smoothing steps before and after the correction.
    coarse : str
        The coarse operator: ``"R A P"`` for Galerkin's, ``"A/4"`` for the stencil of the Laplacian for twice the mesh
        size, or the name of a given one.
    """

    radii: Float64[np.ndarray, "F"]
    norms: Float64[np.ndarray, "F"]
    frequencies: Float64[np.ndarray, "F 2"]
    null: int
    singular: int
    pre: int
    post: int
    coarse: str

    @property
    def radius(self) -> float:
        """Spectral radius of T, the two-grid convergence factor; infinite if T overflows float64."""
        return float(self.radii.max())

    @property
    def norm(self) -> float:
        """Spectral norm of T, the largest factor by which one cycle multiplies an error."""
        return float(self.norms.max())

    def __repr__(self) -> str:
        return f"TwoGrid(radius {self.radius:.6g}, norm {self.norm:.6g}, pre {self.pre}, post {self.post})"


def two_grid(
    fine: Any,
    restriction: Any,
    prolongation: Any,
    coarse: Any,
    q: FactoredPolynomial,
    *,
    pre: int = 1,
    post: int = 0,
    size: int | tuple[int, int] | None = None,
) -> TwoGrid:
    """Return the two-grid convergence factor and norm of a smoother with a coarse-grid correction.

    One cycle multiplies the error by T = q(A)^post (I - P A_c^+ R A) q(A)^pre, computed exactly for the periodic grid:
    at each frequency of the coarse grid, T couples four harmonics of the fine one.

    Parameters
    ----------
    fine : Convolution, (c, c, kh, kw) or (kh, kw) array or tensor, or torch.nn.Conv2d
        The operator A: with its grid, or a kernel, the stencil of one channel or a layer, with `size`.
    restriction : str, (kh, kw) or (c_coarse, c, kh, kw) array or tensor, torch.nn.Conv2d, or Convolution
        R: ``"full-weighting"``, ``"half-weighting"`` or ``"injection"``; a stencil, which is applied to each channel; a
        kernel; or a convolution with stride 2 on the fine grid. The coarse pixel p reads around the fine pixel 2 p.
    prolongation : str, (kh, kw) or (c_coarse, c, kh, kw) array or tensor, torch.nn.Conv2d, or Convolution
        P: ``"bilinear"``, or the transpose of such a convolution, with a kernel as ``torch.nn.ConvTranspose2d`` has it.
        Full weighting has 1/4 of the entries of bilinear interpolation.
    coarse : str, (c_coarse, c_coarse, kh, kw) or (kh, kw) array or tensor, torch.nn.Conv2d, or Convolution
        A_c: ``"galerkin"`` for R A P; ``"rediscretised"`` for the stencil of twice the mesh size, which is that of A
        over 2^m for a differential operator of order m, over 4 for the Laplacian; or an operator on half the grid.
    q : ResidualPolynomial
        One smoothing step multiplies the error by q(A).
    pre, post : int
        Number of smoothing steps before and after the correction. The factor depends on their sum only.
    size : int or (H, W), optional
        The fine grid, even, where `fine` is not a Convolution.

    Returns
    -------
    TwoGrid

    Raises
    ------
    InputError
        If a size is odd, the padding is not circular, or strides, grids or channels don't fit together.

    See Also
    --------
    ResidualPolynomial.diagnose : the smoothing factor, for an ideal coarse-grid correction.

    Notes
    -----
    A null vector v of A, such as the constants of a periodic Laplacian, stays as it is: T v = v because q(0) = 1. So T
    is taken modulo the null space of A, up to which A u = f determines u. Where A_c is singular its pseudo-inverse is
    used. Textbooks leave out all four harmonics of such a frequency; in the limit of fine grids both are the same.

    References
    ----------
    K. Stueben, U. Trottenberg, Multigrid methods: fundamental algorithms, model problem analysis and applications,
    Lecture Notes in Mathematics 960, 1982. U. Trottenberg, C. W. Oosterlee, A. Schueller, Multigrid, 2001, chapter 4.
    R. Wienands, W. Joppich, Practical Fourier Analysis for Multigrid Methods, 2005, chapter 6.

    Examples
    --------
    Damped Jacobi with omega = 4/5 on the 5-point Laplacian, q(t) = 1 - t/5, for which Stueben and Trottenberg give the
    factors 0.600 and 0.360 with one step and with two:

    >>> from polyroots.polynomials import ResidualPolynomial
    >>> K, q = [[0, -1, 0], [-1, 4, -1], [0, -1, 0]], ResidualPolynomial([5])
    >>> for steps in (1, 2):
    ...     print(round(two_grid(K, "full-weighting", "bilinear", "rediscretised", q, pre=steps, size=64).radius, 3))
    0.6
    0.36
    """
    cycle = _Cycle(_fine_operator(fine, size), restriction, prolongation, coarse, q)
    before, after = _steps(pre, "pre"), _steps(post, "post")
    count = len(cycle.harmonics)
    radii, norms = np.zeros(count), np.zeros(count)
    null, singular = np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)

    def solve(chosen: Int[np.ndarray, "_"]) -> None:
        A = cycle.harmonics.symbol(cycle.fine, chosen)
        T, singular[chosen] = cycle.error_propagation(A, chosen, before, after)
        null[chosen] = (np.linalg.svd(A, compute_uv=False) <= cycle.zero).sum(axis=(1, 2))
        is_plain = null[chosen] == 0
        plain = chosen[is_plain]
        radii[plain], norms[plain] = _radii_and_norms(T[is_plain])
        for index in np.flatnonzero(~is_plain):
            reduced = _modulo_null_space(T[index], A[index], cycle.zero)
            if reduced.size:
                radii[chosen[index]], norms[chosen[index]] = np.ravel(_radii_and_norms(reduced[None]))

    in_threads(solve, cycle.harmonics.tasks(cycle.fine.c_in))
    counts = cycle.harmonics.counts
    return TwoGrid(
        radii,
        norms,
        cycle.harmonics.angles,
        int(counts @ null),
        int(counts @ singular),
        pre=before,
        post=after,
        coarse="R A P" if cycle.coarse is None else cycle.coarse.name,
    )


class _Cycle:
    """The operators of a two-grid cycle, divided by powers of two near their largest entries.

    Attributes
    ----------
    scale : float
        Factor of the correction P A_c^+ R A of the divided operators.
    zero : float
        Singular values of the symbol of A up to this one are rounding errors.
    """

    def __init__(
        self, fine: Convolution, restriction: Any, prolongation: Any, coarse: Any, q: FactoredPolynomial
    ) -> None:
        require_two_grid(fine)
        R, P = transfer_of(restriction, fine, "restriction"), transfer_of(prolongation, fine, "prolongation")
        if R.c_out != P.c_out:
            raise InputError(
                f"expected restriction and prolongation with the same number of coarse channels, got {R.c_out} and "
                f"{P.c_out}"
            )
        if not fine.weight.any():
            raise InputError(f"{fine.name}: the operator is zero, so that no cycle changes an error")
        self.harmonics = Harmonics(fine.size)
        is_galerkin = isinstance(coarse, str) and coarse == "galerkin"
        given = None if is_galerkin else coarse_operator(coarse, fine, R.c_out)
        (self.fine, a), (self.R, r), (self.P, p) = fine.normalized(), R.normalized(), P.normalized()
        self.factors = factors_for(q, a)
        self.zero = _rounding(self.fine) * norm_bound(self.fine)
        if given is None:
            self.coarse, self.scale = None, 1.0
            self.coarse_zero = _rounding(self.fine) * norm_bound(self.R) * norm_bound(self.fine) * norm_bound(self.P)
        else:
            self.coarse, c = given.normalized()
            self.scale = a / c * r * p
            self.coarse_zero = _rounding(self.coarse) * norm_bound(self.coarse)

    def error_propagation(
        self, A: Complex128[np.ndarray, "F 4 c c"], chosen: Int[np.ndarray, "F"], pre: int, post: int
    ) -> tuple[Complex128[np.ndarray, "F n n"], Int[np.ndarray, "F"]]:
        """Return T for sets of harmonics with the symbol A, and the number of null vectors of the coarse operator."""
        F, _, c, _ = A.shape
        R, P = (self.harmonics.symbol(transfer, chosen) for transfer in (self.R, self.P))
        RA, P = R @ A, P.conj().swapaxes(2, 3)
        coarse = (RA @ P).sum(axis=1) if self.coarse is None else self._coarse_symbol(self.coarse, chosen)
        with np.errstate(over="ignore", invalid="ignore"):
            Q = apply_to(self.factors, A.reshape(-1, c, c)).reshape(A.shape)
            before, after = np.linalg.matrix_power(Q, pre), np.linalg.matrix_power(Q, post)
            inverse, singular = _pseudo_inverse(coarse, self.coarse_zero)
            left = (after @ P).reshape(F, 4 * c, -1)
            right = self.scale * (inverse[:, None] @ RA @ before).transpose(0, 2, 1, 3).reshape(F, -1, 4 * c)
            T = -(left @ right)
            for j in range(4):
                T[:, j * c : (j + 1) * c, j * c : (j + 1) * c] += after[:, j] @ before[:, j]
        return T, singular

    def _coarse_symbol(
        self, coarse: Convolution, chosen: Int[np.ndarray, "F"]
    ) -> Complex128[np.ndarray, "F coarse coarse"]:
        """Return the symbol of the coarse operator."""
        return coarse.full_symbol_at(self.harmonics.ky[chosen], self.harmonics.kx[chosen])


def _pseudo_inverse(
    stack: Complex128[np.ndarray, "F n n"], zero: float
) -> tuple[Complex128[np.ndarray, "F n n"], Int[np.ndarray, "F"]]:
    """Return the pseudo-inverses of matrices, and how many singular values of each are at most `zero`."""
    U, sigma, Vh = np.linalg.svd(stack)
    kept = sigma > zero
    inverse = np.where(kept, 1 / np.where(kept, sigma, 1), 0)
    return (Vh.conj().swapaxes(1, 2) * inverse[:, None, :]) @ U.conj().swapaxes(1, 2), (~kept).sum(axis=1)


def _modulo_null_space(
    T: Complex128[np.ndarray, "n n"], A: Complex128[np.ndarray, "4 c c"], zero: float
) -> Complex128[np.ndarray, "m m"]:
    """Return T on the quotient space by the null space of A, in an orthonormal basis of its complement."""
    _, sigma, Vh = np.linalg.svd(A)
    c = A.shape[1]
    Q = np.zeros((4, c, 4, c), dtype=np.complex128)
    for j in range(4):
        Q[j, :, j, :] = Vh[j].conj().T
    basis = Q.reshape(4 * c, 4 * c)[:, (sigma > zero).ravel()]
    return basis.conj().T @ T @ basis


def _radii_and_norms(
    stack: Complex128[np.ndarray, "F n n"],
) -> tuple[Float64[np.ndarray, "F"], Float64[np.ndarray, "F"]]:
    """Return spectral radii and spectral norms of matrices, infinite where an entry has overflowed."""
    radii, norms = np.full(len(stack), np.inf), np.full(len(stack), np.inf)
    finite = np.isfinite(stack).all(axis=(1, 2))
    radii[finite] = np.abs(eigvals(stack[finite])).max(axis=1)
    norms[finite] = np.linalg.svd(stack[finite], compute_uv=False)[:, 0]
    return radii, norms


def _rounding(operator: Convolution) -> float:
    """Return the rounding errors of an operator's symbol, relative to its norm."""
    return _ROUNDING_ERRORS * operator.c_in * float(np.finfo(float).eps)


def _fine_operator(given: Any, size: int | tuple[int, int] | None) -> Convolution:
    """Return the operator on the fine grid."""
    if isinstance(given, Convolution):
        if size is not None:
            raise InputError("a Convolution brings its grid: leave size out", fields=["size"])
        return given
    if isinstance(given, GeneralOperator) or hasattr(given, "tocsr"):
        raise InputError(
            "two-grid analysis needs a symbol with real entries: expected a Convolution, a kernel, a stencil (kh, kw) "
            f"or a torch.nn.Conv2d, got {type(given).__name__}"
        )
    if size is None:
        raise InputError(
            "a kernel or a stencil has no grid of its own: expected size, such as size=64", fields=["size"]
        )
    return Convolution.of(given, size, name="fine")


def _steps(value: Any, name: str) -> int:
    """Return a number of smoothing steps."""
    count = whole(value, name)
    if count < 0:
        raise InputError(f"expected {name} to be a number of smoothing steps, 0 or more, got {count}", fields=[name])
    return count
