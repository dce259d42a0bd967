"""The extreme eigenvalues of a convolution, computed without the others.

With circular padding the eigenvalues for images of any size are those of the same continuous symbol A^(theta). The
extremes are located on a coarse grid of frequencies and refined by a local search on the continuous symbol; the
eigenvalues are then computed at the image's own frequencies around them. The cost doesn't grow with the image. A second
grid between the points of the first checks the result, which remains an estimate: a peak narrower than the grid can be
missed.

With zero padding the explicit matrix is solved if it is small; Arnoldi's method finds the ends of a large one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex128, Float64, Int

from polyroots.arguments import whole
from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution
from polyroots.spectra.spectrum import Spectrum, eigenvalues_of
from polyroots.spectra.symbol_search import ENDS, SymbolSearch
from polyroots.spectra.zero_padding import arnoldi_eigenvalues, is_direct

_ARPACK_NAMES = {"min_real": "SR", "max_real": "LR", "max_imag": "LI", "radius": "LM"}

_EXACT = "All eigenvalues were computed."


@dataclass(frozen=True, eq=False)
class End:
    """The eigenvalues at one end of a spectrum, the outermost first.

    Attributes
    ----------
    values : (k,) complex128
    frequencies : (k, 2) float64 or None
        In radians; None with zero padding.
    residuals : (k,) float64
        |A x - lambda x| / |A| of Arnoldi's method; NaN where it wasn't used.
    conditions : (k,) float64
        Eigenvalue conditions 1 / |y* x|; NaN where they weren't computed.
    converged : (k,) bool
    supremum : float
        Estimate of the extreme value over the continuous symbol, that is over images of all sizes; NaN with zero
        padding, and if all eigenvalues were computed.
    """

    values: Complex128[np.ndarray, "k"]
    frequencies: Float64[np.ndarray, "k 2"] | None
    residuals: Float64[np.ndarray, "k"]
    conditions: Float64[np.ndarray, "k"]
    converged: Bool[np.ndarray, "k"]
    supremum: float = float("nan")


@dataclass(frozen=True, eq=False)
class Extremes:
    """The extreme eigenvalues at the four ends of a spectrum.

    Attributes
    ----------
    ends : mapping of str to End
        ``min_real``, ``max_real``, ``max_imag`` and ``radius``.
    is_exact : bool
        Whether all eigenvalues were computed; otherwise these are estimates.
    method : str
        A sentence about the method and its checks.
    k : int
        Requested number of eigenvalues at each end.
    """

    ends: Mapping[str, End]
    is_exact: bool
    method: str
    k: int

    def reached(self, end: str) -> float:
        """Return the real part, imaginary part or modulus of the outermost converged eigenvalue at an end, or NaN."""
        values = self.ends[end].values[self.ends[end].converged]
        if not len(values):
            return float("nan")
        outermost = float(ENDS[end](values).max())
        return (-outermost if end == "min_real" else outermost) + 0.0  # no -0.0

    @property
    def radius(self) -> float:
        """Spectral radius, the largest modulus."""
        return self.reached("radius")

    @property
    def min_real(self) -> float:
        """Smallest real part."""
        return self.reached("min_real")

    @property
    def max_real(self) -> float:
        """Largest real part."""
        return self.reached("max_real")

    @property
    def max_imag(self) -> float:
        """Largest imaginary part."""
        return self.reached("max_imag")


def extreme_eigenvalues(
    weight: Any,
    size: int | tuple[int, int],
    k: int = 1,
    *,
    padding: str = "circular",
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    workers: int | None = None,
) -> Extremes:
    """Return the eigenvalues of a convolution that are extreme in real part, imaginary part and modulus.

    Parameters
    ----------
    weight : (c, c // groups, kh, kw) or (kh, kw) array or tensor, any real dtype; or torch.nn.Conv2d
        The kernel; computed in float64.
    size : int or (H, W)
        The image in pixels; with circular padding the cost doesn't depend on it.
    k : int
        Number of eigenvalues at each end, counted with multiplicity except by Arnoldi's method. Both eigenvalues of a
        conjugate pair count, except at ``max_imag``.
    padding : ``"circular"`` or ``"zeros"``
    dilation : int or (int, int)
    groups : int
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    Extremes
        Exact if the operator is so small that all eigenvalues were computed. Values of Arnoldi's method that have not
        converged are marked.

    Raises
    ------
    InputError
        If the operator is not square, not finite, or size, k, dilation, groups or padding don't fit.

    See Also
    --------
    eigenvalues : all eigenvalues

    Examples
    --------
    >>> K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
    >>> found = extreme_eigenvalues(K, 1024, k=5)
    >>> print(round(found.max_real, 9), found.is_exact, len(found.ends["max_real"].values))
    8.0 False 5
    """
    convolution = Convolution.of(weight, size, dilation=dilation, groups=groups, padding=padding)
    return extreme_eigenvalues_of(convolution, k, workers=workers)


def extreme_eigenvalues_of(convolution: Convolution, k: int = 1, *, workers: int | None = None) -> Extremes:
    """Return the extreme eigenvalues of a `Convolution`; see `extreme_eigenvalues`.

    Raises
    ------
    InputError
        If the operator is not square, or k is not a whole number from 1 to that of its eigenvalues.
    """
    convolution.require_square("eigenvalues")
    k = _require_k(k, convolution.shape[0], convolution.name)
    if convolution.padding == "zeros":
        if not is_direct(convolution):
            return _by_arnoldi(convolution, k)
        return ends_of(eigenvalues_of(convolution), k)
    found = SymbolSearch(convolution, workers).run(k)
    ends = {}
    for name in ENDS:
        height = found.heights.get(name, float("nan"))
        supremum = -height if name == "min_real" else height
        ends[name] = _pick(name, found.values, found.frequencies, None, k, supremum)
    return Extremes(ends, is_exact=not found.method, method=found.method or _EXACT, k=k)


def _require_k(k: Any, unknowns: int, name: str) -> int:
    """Return k as an int; raise InputError unless it is a whole number with 1 <= k <= unknowns."""
    k = whole(k, f"{name}: k")
    if not 1 <= k <= unknowns:
        raise InputError(f"{name}: expected k from 1 to {unknowns:,}, the number of eigenvalues, got {k}")
    return k


def ends_of(spectrum: Spectrum, k: int) -> Extremes:
    """Return the extreme eigenvalues of a computed spectrum."""
    return Extremes(
        ends={name: _pick(name, spectrum.values, spectrum.frequencies, spectrum.conditions, k) for name in ENDS},
        is_exact=True,
        method=_EXACT,
        k=k,
    )


def _pick(
    name: str,
    values: Complex128[np.ndarray, "N"],
    frequencies: Float64[np.ndarray, "N 2"] | None,
    conditions: Float64[np.ndarray, "N"] | None,
    k: int,
    supremum: float = float("nan"),
) -> End:
    """Return the `k` outermost eigenvalues at an end."""
    outermost = _outermost(name, values, k)
    unknown = np.full(len(outermost), np.nan)
    return End(
        values=values[outermost],
        frequencies=None if frequencies is None else frequencies[outermost],
        residuals=unknown,
        conditions=unknown if conditions is None else conditions[outermost],
        converged=np.ones(len(outermost), dtype=bool),
        supremum=supremum,
    )


def _outermost(name: str, values: Complex128[np.ndarray, "N"], k: int) -> Int[np.ndarray, "m"]:
    """Return the positions of the `k` outermost values at an end; at ``max_imag`` one of each conjugate pair counts."""
    keep = np.flatnonzero(values.imag >= 0) if name == "max_imag" else np.arange(len(values))
    return keep[np.argsort(-ENDS[name](values[keep]), kind="stable")[:k]]


def _by_arnoldi(operator: Convolution, k: int) -> Extremes:
    ends = {}
    for name, which in _ARPACK_NAMES.items():
        # ARPACK returns both eigenvalues of a conjugate pair, of which one counts at `max_imag`.
        pairs = arnoldi_eigenvalues(operator, 2 * k if name == "max_imag" else k, which)
        outermost = _outermost(name, pairs.values, k)
        ends[name] = End(
            values=pairs.values[outermost],
            frequencies=None,
            residuals=pairs.residuals[outermost],
            conditions=pairs.conditions[outermost],
            converged=pairs.converged[outermost],
        )
    return Extremes(
        ends=ends,
        is_exact=False,
        method=(
            "Implicitly restarted Arnoldi: each residual was computed anew; an eigenvalue may have been missed, and a "
            "multiple one is usually found once."
        ),
        k=k,
    )
