r"""The few extreme eigenvalues of a convolution, without all the others.

With circular padding the eigenvalues of every image size lie on the same continuous symbol A^(theta). A coarse grid of
frequencies shows where its extremes are, a local search on the continuous symbol refines them, and the image's own
frequencies around them give the eigenvalues: the cost doesn't grow with the image. A second grid between the points of
the first checks the result. It remains an estimate: a peak narrower than the grid can be missed.

With zero padding the explicit matrix is solved where it is small; Arnoldi finds the ends of a large one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex128, Float64
from numpy.typing import NDArray

from polyroots.spectra.convolution import Convolution
from polyroots.spectra.singular_values import require_k
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
    residuals, conditions : (k,) float64
        |A x - lambda x| / |A| of Arnoldi's method, and 1 / |y* x|; NaN where not computed.
    converged : (k,) bool
    supremum : float
        With circular padding what the end reaches on the continuous symbol, so on any image (estimate); else NaN.
    """

    values: Complex128[np.ndarray, "k"]
    frequencies: Float64[np.ndarray, "k 2"] | None
    residuals: Float64[np.ndarray, "k"]
    conditions: Float64[np.ndarray, "k"]
    converged: Bool[np.ndarray, "k"]
    supremum: float = float("nan")


@dataclass(frozen=True, eq=False)
class Extremes:
    """The ends of a spectrum.

    Attributes
    ----------
    ends : name -> End
        ``min_real``, ``max_real``, ``max_imag`` and ``radius``.
    is_exact : bool
        Whether all eigenvalues were computed; else these are estimates.
    method : str
        How they were found and checked, a sentence.
    k : int
        Eigenvalues that were asked for at each end.
    """

    ends: Mapping[str, End]
    is_exact: bool
    method: str
    k: int

    def reached(self, end: str) -> float:
        """Real or imaginary part or modulus of the outermost converged eigenvalue of an end; NaN if there is none."""
        values = self.ends[end].values[self.ends[end].converged]
        if not len(values):
            return float("nan")
        outermost = float(ENDS[end](values).max()) + 0.0
        return -outermost if end == "min_real" else outermost

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
    """Estimate the extreme eigenvalues of a convolution: of real part, imaginary part and modulus.

    Parameters
    ----------
    weight : (c, c // groups, kh, kw) array or tensor, any real dtype
        The kernel; computed in float64.
    size : int or (H, W)
        The image in pixels; with circular padding its size doesn't decide the cost.
    k : int
        Eigenvalues at each end, with multiplicity but where Arnoldi's method finds them; conjugates count, but at the
        end of the imaginary part.
    padding : ``"circular"`` or ``"zeros"``
    dilation : int or (int, int)
    groups : int
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    Extremes
        Exact where the operator is so small that all eigenvalues were computed. An Arnoldi value that has not converged
        is marked, with its residual.

    Raises
    ------
    InputError
        If the operator is not square, not finite, or size, k, dilation, groups or padding don't fit.

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
    """Estimate the extreme eigenvalues of a checked convolution, as `extreme_eigenvalues` does."""
    convolution.require_square("eigenvalues")
    k = require_k(k, convolution.shape[0], convolution.name)
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


def ends_of(spectrum: Spectrum, k: int) -> Extremes:
    """Return the extremes of a spectrum that is known."""
    return Extremes(
        ends={name: _pick(name, spectrum.values, spectrum.frequencies, spectrum.conditions, k) for name in ENDS},
        is_exact=True,
        method=_EXACT,
        k=k,
    )


def _pick(
    name: str,
    values: NDArray[np.complex128],
    frequencies: NDArray[np.float64] | None,
    conditions: NDArray[np.float64] | None,
    k: int,
    supremum: float = float("nan"),
) -> End:
    """The `k` outermost of some eigenvalues."""
    if name == "max_imag":
        keep = np.flatnonzero(values.imag >= 0)
        k = min(k, len(keep))
    else:
        keep = np.arange(len(values))
    outermost = keep[np.argsort(-ENDS[name](values[keep]), kind="stable")[:k]]
    unknown = np.full(len(outermost), np.nan)
    return End(
        values=values[outermost],
        frequencies=None if frequencies is None else frequencies[outermost],
        residuals=unknown,
        conditions=unknown if conditions is None else conditions[outermost],
        converged=np.ones(len(outermost), dtype=bool),
        supremum=supremum,
    )


def _by_arnoldi(operator: Convolution, k: int) -> Extremes:
    ends = {}
    for name, which in _ARPACK_NAMES.items():
        # Conjugates come in pairs, and of a pair one is at the end of the imaginary part.
        pairs = arnoldi_eigenvalues(operator, 2 * k if name == "max_imag" else k, which)
        keep = np.flatnonzero(pairs.values.imag >= 0) if name == "max_imag" else np.arange(len(pairs.values))
        outermost = keep[np.argsort(-ENDS[name](pairs.values[keep]), kind="stable")[:k]]
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
            "Implicitly restarted Arnoldi: each residual was computed anew; an eigenvalue can have been missed, and a "
            "multiple one is found once, as a rule."
        ),
        k=k,
    )
