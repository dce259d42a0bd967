"""The points of a spectrum that a residual polynomial is to damp: distinct and non-zero, weighted by multiplicity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex128, Float64, Int
from numpy.typing import ArrayLike

from polyroots.arguments import as_array
from polyroots.errors import InputError, unknown_name
from polyroots.polynomials.operator_norm import OperatorNorm
from polyroots.spectra import (
    DENSE_LIMIT,
    Convolution,
    GeneralOperator,
    OperatorBlocks,
    OperatorSpectrum,
    Spectrum,
    cluster_labels,
    norm_bound,
    power_of_two,
)

#: Relative to the spectral radius: the resolution of bare eigenvalues, whose operator and condition aren't known.
BARE = 1e-13

# Relative to the spectral radius: points are put in order by their rounded parts, so that rounding errors of the
# eigenvalues don't change it.
_ORDER = 1e-7

REGIONS = ("all", "high")


@dataclass(frozen=True, eq=False)
class Target:
    """The part of a spectrum that is to be damped.

    Attributes
    ----------
    points : (n,) complex128
        Distinct eigenvalues in the closed upper half-plane: each one off the real axis stands for its conjugate, too.
    weights : (n,) float64
        Share of the eigenvalues that each point and its conjugate stand for; the sum is 1.
    errors : (n,) float64
        Distance below which each point isn't told from another number: `Spectrum.resolution`, `BARE` times the radius
        for bare eigenvalues.
    radius : float
        Spectral radius of the whole spectrum.
    count : int
        Number of eigenvalues to be damped, with multiplicity.
    null : int
        Number of eigenvalues that aren't told from zero; they are left out because q = 1 there whatever the roots.
    region : ``"all"`` or ``"high"``
    spectrum : Spectrum, OperatorSpectrum or None
        None if the target was made from bare eigenvalues or from an operator.
    operator : Convolution, GeneralOperator or None
        None if the target was made from bare eigenvalues.
    """

    points: Complex128[np.ndarray, "n"]
    weights: Float64[np.ndarray, "n"]
    errors: Float64[np.ndarray, "n"]
    radius: float
    count: int
    null: int
    region: str
    spectrum: Spectrum | OperatorSpectrum | None
    operator: Convolution | GeneralOperator | None

    @classmethod
    def of(
        cls,
        spectrum: Spectrum | OperatorSpectrum | Convolution | GeneralOperator | ArrayLike,
        region: str = "all",
    ) -> Target:
        """Return the target of a spectrum.

        Parameters
        ----------
        spectrum : Spectrum, OperatorSpectrum, Convolution, GeneralOperator or (N,) array_like of complex
            Values in the lower half-plane are reflected into the upper one: q is real, and |q| is the same there. The
            target of an operator has no points, and a bound for its radius: it is meant for operators too large for
            their eigenvalues.
        region : ``"all"`` or ``"high"``
            ``"high"`` leaves out the low frequencies, |theta| < pi / 2 in both directions, which a coarser grid damps.

        Returns
        -------
        Target

        Raises
        ------
        InputError
            If there are no finite eigenvalues, all of them are zero, or the region is unknown or has none.
        """
        if region not in REGIONS:
            raise unknown_name("region", str(region), REGIONS)
        if isinstance(spectrum, Convolution | GeneralOperator):
            return cls._without_points(spectrum, region)
        known = spectrum if isinstance(spectrum, Spectrum | OperatorSpectrum) else None
        values = _complex(known.values if known else spectrum)
        if values.size == 0 or not np.isfinite(values).all():
            raise InputError("expected a spectrum of finite eigenvalues, got none or some that are not finite")
        radius = float(np.abs(values).max())
        errors = np.full(len(values), BARE * radius) if known is None else known.resolution
        if region == "high":
            if known is None:
                raise InputError(
                    "bare eigenvalues have no frequency: expected a Spectrum for the region 'high'; use the result of "
                    "eigenvalues, or the region 'all'"
                )
            values, errors = values[known.is_high_frequency], errors[known.is_high_frequency]
        is_null = np.abs(values) <= errors
        if is_null.all():
            raise InputError(
                "all eigenvalues are zero: q = 1 there whatever the roots, so there is nothing to damp"
                if region == "all"
                else f"no eigenvalue of the region '{region}' is different from zero, so there is nothing to damp"
            )
        points, errors, weights = merge(_upper(values[~is_null]), errors[~is_null])
        operator = known.operator if isinstance(known, OperatorSpectrum) else known.convolution if known else None
        count = len(values) - int(is_null.sum())
        return cls(points, weights, errors, radius, count, int(is_null.sum()), region, known, operator)

    @classmethod
    def _without_points(cls, operator: Convolution | GeneralOperator, region: str) -> Target:
        """Return the target of an operator whose eigenvalues are not computed."""
        operator.require_square("roots")
        if region != "all":
            raise InputError(
                f"{operator.name}: frequencies need eigenvalues, which were not computed; use region 'all'"
            )
        empty = np.empty(0)
        bound = operator.norm_bound if isinstance(operator, GeneralOperator) else norm_bound(operator)
        return cls(empty.astype(np.complex128), empty, empty, bound, operator.shape[0], 0, region, None, operator)

    @property
    def zero(self) -> float:
        """Modulus up to which a number is zero relative to the spectrum: the resolution of its best known points."""
        return float(self.errors.min(initial=BARE * self.radius))

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what is not known of the spectrum."""
        return tuple(self.spectrum.notes()) if isinstance(self.spectrum, OperatorSpectrum) else ()

    @property
    def has_norm(self) -> bool:
        """Whether norms of polynomials of the operator can be computed."""
        operator = self.operator
        return operator is not None and (not isinstance(operator, GeneralOperator) or operator.has_norm)

    @cached_property
    def norms(self) -> OperatorNorm:
        """Norms of polynomials of the operator; only for a target that has one."""
        assert self.operator is not None
        return OperatorNorm(self.operator)

    @property
    def are_ritz_values(self) -> bool:
        """Whether the points are Ritz values, fewer than the operator has eigenvalues."""
        return isinstance(self.spectrum, OperatorSpectrum) and not self.spectrum.is_complete

    @cached_property
    def is_real(self) -> Bool[np.ndarray, "n"]:
        """Mask of the points on the real axis."""
        return self.points.imag == 0

    @cached_property
    def distinct(self) -> int:
        """Number of distinct eigenvalues, conjugates counted: with as many roots q can vanish on all of them."""
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
        low, high = self.points.real - self.errors, self.points.real + self.errors
        return bool(low.min(initial=np.inf) <= 0 <= high.max(initial=-np.inf))

    @property
    def unit(self) -> float:
        """The power of two next below the radius: dividing by it is exact, and squares then don't overflow."""
        return power_of_two(self.radius)

    @cached_property
    def blocks(self) -> OperatorBlocks:
        """The blocks of the operator, without its null space.

        Raises
        ------
        InputError
            If the operator is unknown, or too large for its explicit matrix.
        """
        if self.operator is None:
            raise InputError(
                "the norm and the numerical range of A need the operator, eigenvalues alone don't determine them: "
                "expected a Spectrum; use the result of eigenvalues, or 'minimax'"
            )
        return OperatorBlocks(self.operator, self.region, is_regular=len(self.points) > 0 and not self.null)

    def squared(self) -> Target:
        """Return the target of (A / unit)^2."""
        radius = (self.radius / self.unit) ** 2
        if not len(self.points):
            return replace(self, radius=radius)
        scaled = self.points / self.unit
        # The first-order error of z^2, and that of its rounding.
        errors = 2 * np.abs(scaled) * (self.errors / self.unit) + BARE * np.abs(scaled) ** 2
        points, errors, weights = merge(_upper(scaled**2), errors, self.weights)
        return replace(self, points=points, weights=weights, errors=errors, radius=radius)

    def values_of(self, roots: Iterable[complex]) -> Complex128[np.ndarray, "n"]:
        """Return prod_i (1 - z / lambda_i) over some roots at the points z."""
        values = np.ones(len(self.points), dtype=np.complex128)
        for root in roots:
            values *= 1 - self.points / root
        return values


def merge(
    points: Complex128[np.ndarray, "N"],
    errors: Float64[np.ndarray, "N"],
    weights: Float64[np.ndarray, "N"] | None = None,
) -> tuple[Complex128[np.ndarray, "n"], Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Merge points of the upper half-plane that aren't told apart, and put those nearly real on the axis.

    Parameters
    ----------
    points : (N,) complex128
    errors : (N,) float64
        The distance from the axis below which a point is real, and, rounded up to a power of two, from
        another point below which they are one.
    weights : (N,) float64, optional
        By default all points have the same weight.

    Returns
    -------
    points : (n,) complex128
        The first point of each cluster, in the order of their real parts, then of their imaginary parts.
    errors : (n,) float64
        The largest of each cluster.
    weights : (n,) float64
        The sum of the weights in each cluster.
    """
    shares = np.full(len(points), 1 / len(points)) if weights is None else weights
    points = np.where(np.abs(points.imag) <= errors, points.real + 0j, points)
    # Divided by a power of two, so that squares of distances neither overflow nor vanish.
    unit = power_of_two(float(np.abs(points).max()))
    widths = 2.0 ** np.ceil(np.log2(np.maximum(errors / unit, np.finfo(float).eps)))
    # Rounding merges equal points first: all pairs of 65,536 of them don't fit into memory.
    units = points / unit
    cells = np.stack([np.round(units.real / widths), np.round(units.imag / widths), widths], axis=-1)
    first, cell = _distinct_rows(cells)
    group = cluster_labels(units[first], widths[first])
    count = group.max() + 1
    leader = np.full(count, len(points))
    np.minimum.at(leader, group, first)
    of_point = group[cell]
    sums, largest = np.bincount(of_point, weights=shares, minlength=count), np.zeros(count)
    np.maximum.at(largest, of_point, errors)
    rounded = np.round(units[leader] / _ORDER)
    order = np.lexsort((rounded.imag, rounded.real))
    return points[leader[order]], largest[order], sums[order]


def _distinct_rows(rows: Float64[np.ndarray, "N k"]) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "N"]]:
    """Return the positions of the first of equal rows, in the order of the rows, and the number of each row's first.

    The result is that of numpy's unique, which takes four times as long.
    """
    order = np.lexsort(rows.T[::-1])
    is_new = np.append(True, (np.diff(rows[order], axis=0) != 0).any(axis=1))
    number = np.empty(len(rows), dtype=np.intp)
    number[order] = np.cumsum(is_new) - 1
    return order[is_new], number


def _complex(values: Any) -> Complex128[np.ndarray, "N"]:
    """Return eigenvalues as a vector, or raise InputError."""
    try:
        return as_array(values).astype(np.complex128).ravel()
    except (TypeError, ValueError):
        raise InputError(f"expected a Spectrum or eigenvalues, got {type(values).__name__}") from None


def _upper(values: Complex128[np.ndarray, "N"]) -> Complex128[np.ndarray, "N"]:
    """Return values with those of the lower half-plane reflected into the upper one."""
    return values.real + 1j * np.abs(values.imag)
