"""What a residual polynomial is to damp: the distinct non-zero points of a spectrum, with their shares of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import ArrayLike, NDArray

from polyroots.errors import InputError, unknown_name
from polyroots.spectra import DENSE_LIMIT, Convolution, Spectrum, as_array, cluster_labels, norm_bound

#: Relative to the spectral radius: what is closer to zero counts as zero, what is closer to the real axis as real, and
#: what is closer to each other as equal. A defective double eigenvalue is known to sqrt(eps) = 1.5e-8 only.
RESOLUTION = 1e-7

# Relative to the operator's norm: what LAPACK makes of zero.
_NOISE = 1e-14

REGIONS = ("all", "high")


@dataclass(frozen=True, eq=False)
class Target:
    """The part of a spectrum that is to be damped.

    Attributes
    ----------
    points : (n,) complex128
        Distinct eigenvalues in the closed upper half-plane: each one off the real axis stands for its conjugate, too.
    weights : (n,) float64
        Share of the eigenvalues that a point stands for, with its conjugate; the sum is 1.
    radius : float
        Spectral radius of the whole spectrum.
    count : int
        Eigenvalues to be damped, with multiplicity.
    null : int
        Relatively zero eigenvalues that are left out: q = 1 there, whatever the roots.
    region : ``"all"`` or ``"high"``
    spectrum : Spectrum or None
        None for bare eigenvalues, and for an operator alone.
    operator : Convolution or None
        None for bare eigenvalues, which don't determine it.
    """

    points: Complex128[np.ndarray, "n"]
    weights: Float64[np.ndarray, "n"]
    radius: float
    count: int
    null: int
    region: str
    spectrum: Spectrum | None
    operator: Convolution | None

    @classmethod
    def of(cls, spectrum: Spectrum | Convolution | ArrayLike, region: str = "all") -> Target:
        """Sort out a spectrum.

        Parameters
        ----------
        spectrum : Spectrum, Convolution or (N,) array_like of complex
            Of bare values those in the lower half-plane are reflected, as a real operator's are. An operator alone,
            too large for its eigenvalues, has no points; its radius is a bound.
        region : ``"all"`` or ``"high"``
            ``"high"`` leaves the low frequencies, some |theta| < pi / 2 in both directions, to a coarser grid.

        Raises
        ------
        InputError
            If there are no finite eigenvalues, all of them are zero, or the region is unknown or has none.
        """
        if region not in REGIONS:
            raise unknown_name("region", str(region), REGIONS)
        if isinstance(spectrum, Convolution):
            return cls._without_points(spectrum, region)
        known = spectrum if isinstance(spectrum, Spectrum) else None
        values = _complex(known.values if known else spectrum)
        if values.size == 0 or not np.isfinite(values).all():
            raise InputError("expected a spectrum of finite eigenvalues, got none or some that are not finite")
        radius = float(np.abs(values).max())
        if region == "high":
            if known is None:
                raise InputError(
                    "bare eigenvalues have no frequency: expected a Spectrum for the region 'high'; use the result of "
                    "eigenvalues, or the region 'all'"
                )
            values = values[known.is_high_frequency]
        # What rounding leaves of the eigenvalues of a zero operator is no spectrum.
        noise = 0.0 if known is None else _NOISE * norm_bound(known.convolution)
        is_null = np.abs(values) <= max(RESOLUTION * radius, noise)
        values = values[~is_null]
        if not len(values):
            raise InputError(
                "all eigenvalues are zero: q = 1 there whatever the roots, so there is nothing to damp"
                if radius <= noise or region == "all"
                else f"no eigenvalue of the region '{region}' is different from zero, so there is nothing to damp"
            )
        points, weights = merge(_upper(values), radius)
        operator = known.convolution if known else None
        return cls(points, weights, radius, len(values), int(is_null.sum()), region, known, operator)

    @classmethod
    def _without_points(cls, operator: Convolution, region: str) -> Target:
        operator.require_square("roots")
        if region != "all":
            raise InputError(
                f"{operator.name}: frequencies need eigenvalues, which were not computed; use region 'all'"
            )
        empty = np.empty(0)
        bound = norm_bound(operator)
        return cls(empty.astype(np.complex128), empty, bound, operator.shape[0], 0, region, None, operator)

    @property
    def tolerance(self) -> float:
        """Absolute distance below which numbers count as equal."""
        return RESOLUTION * self.radius

    @cached_property
    def is_real(self) -> NDArray[np.bool_]:
        """Mask of the points on the real axis."""
        return self.points.imag == 0

    @cached_property
    def distinct(self) -> int:
        """Number of distinct eigenvalues, conjugates counted: so many roots would damp all of it to zero."""
        return 2 * len(self.points) - int(self.is_real.sum())

    def require_points(self, who: str) -> None:
        """Raise InputError if the eigenvalues were not computed."""
        if not len(self.points):
            raise InputError(
                f"{who} needs all eigenvalues, and a zero-padded operator with {self.count:,} unknowns has too many "
                f"(limit {DENSE_LIMIT:,} a group); use circular padding, a smaller image, or 'harmonic-ritz'"
            )

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies in the convex hull of the eigenvalues.

        The set is symmetric to the real axis, so a line that separates it from 0 can be taken to be vertical.
        """
        low, high = self.points.real.min(initial=np.inf), self.points.real.max(initial=-np.inf)
        return bool(low <= self.tolerance and high >= -self.tolerance)

    @property
    def unit(self) -> float:
        """The power of two near the radius: dividing by it is exact, and squares are safe."""
        return 2.0 ** math.floor(math.log2(self.radius))

    def squared(self) -> Target:
        """The eigenvalues of (A / unit)^2."""
        radius = (self.radius / self.unit) ** 2
        if not len(self.points):
            return replace(self, radius=radius)
        points, weights = merge(_upper((self.points / self.unit) ** 2), radius, self.weights)
        return replace(self, points=points, weights=weights, radius=radius)

    def values_of(self, roots: Iterable[complex]) -> Complex128[np.ndarray, "n"]:
        """prod_i (1 - z / lambda_i) at the points z: the factors that are there already."""
        values = np.ones(len(self.points), dtype=np.complex128)
        for root in roots:
            values *= 1 - self.points / root
        return values


def merge(
    points: Complex128[np.ndarray, "N"], radius: float, weights: Float64[np.ndarray, "N"] | None = None
) -> tuple[Complex128[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Merge points of the upper half-plane that are nearly equal, and put those that are nearly real on the axis.

    Nearly is `RESOLUTION` relative to the radius.

    Returns
    -------
    points : (n,) complex128
        Of each group of near-equal points the first one; from left to right, from the axis up.
    weights : (n,) float64
        The sums of their shares.
    """
    shares: NDArray[Any] = np.full(len(points), 1 / len(points)) if weights is None else weights
    points = np.where(np.abs(points.imag) <= RESOLUTION * radius, points.real + 0j, points)
    # In units of what counts as equal. A grid first: of 65,536 equal points the pairs could not be listed.
    units = points / radius / RESOLUTION
    _, first, cell = np.unique(np.round(units), return_index=True, return_inverse=True)
    group = cluster_labels(units[first], 1.0)
    count = group.max() + 1
    leader = np.full(count, len(points))
    np.minimum.at(leader, group, first)
    sums = np.bincount(group[cell.ravel()], weights=shares, minlength=count)
    # From left to right and from the axis up, but for rounding: whatever order the eigenvalues came in.
    units = np.round(units[leader])
    order = np.lexsort((units.imag, units.real))
    return points[leader[order]], sums[order]


def _complex(values: Any) -> NDArray[np.complex128]:
    try:
        return as_array(values).astype(np.complex128).ravel()
    except (TypeError, ValueError):
        raise InputError(f"expected a Spectrum or eigenvalues, got {type(values).__name__}") from None


def _upper(values: NDArray[Any]) -> NDArray[np.complex128]:
    return values.real + 1j * np.abs(values.imag)
