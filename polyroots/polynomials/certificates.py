"""What is proven of the norm of q(A): the ideal polynomial's lower bound, and the numerical range's upper bound."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Complex128
from numpy.typing import ArrayLike

from polyroots.errors import ConvergenceError, unknown_name
from polyroots.polynomials.ideal import ideal
from polyroots.polynomials.minimax import CLOSE, is_useless
from polyroots.polynomials.operator_norm import FactoredPolynomial, norm_on_blocks
from polyroots.polynomials.range_polygon import CROUZEIX_PALENCIA, RangePolygon
from polyroots.polynomials.target import Target
from polyroots.text import ceiled, count_of, floored

#: What can be proven; the strategies of these names choose the best roots for it.
CERTIFICATES = ("ideal", "numerical-range")

T = TypeVar("T")


class PolynomialWithRoots(FactoredPolynomial, Protocol):
    """A residual polynomial with its factors, roots and values: `polyroots.ResidualPolynomial`."""

    @property
    def roots(self) -> Complex128[np.ndarray, "n"]:
        """The roots of q."""

    def __call__(self, z: ArrayLike) -> Any:
        """Return q(z)."""


@dataclass(frozen=True)
class Certificates:
    """Bounds on the norm of q(A) on what is to be damped: the region's frequencies, without the null space.

    Attributes
    ----------
    where : str
        The part of space, for sentences; empty if it is the whole.
    norm : float or None
        The norm of q(A) there; None if its computation failed.
    ideal, ideal_bound : float or None
        The least norm that a polynomial with as many roots was found to have, and a lower bound on the norm of all of
        them, proven in ball arithmetic for the computed symbols (or explicit matrices). None without ``"ideal"``, or if
        the search failed.
    range_max : float or None
        An upper bound of max |q| over the numerical range, computed with margins for rounding. None without
        ``"numerical-range"``, or if the computation failed.
    range_bound : float or None
        Crouzeix and Palencia's upper bound on the norm, 1 + sqrt(2) times `range_max`.
    range_holds_zero : bool or None
        Whether 0 lies in the numerical range, where q = 1.
    """

    where: str
    norm: float | None
    ideal: float | None = None
    ideal_bound: float | None = None
    range_max: float | None = None
    range_bound: float | None = None
    range_holds_zero: bool | None = None

    def sentences(self, count: int) -> list[str]:
        """Return sentences on the bounds; `count` is the number of roots of q."""
        norm, roots, lines = f"the norm of q(A){self.where}", count_of(count, "root"), []
        here = "" if self.norm is None else f"{norm[0].upper()}{norm[1:]} is {self.norm:.4g}: "
        if self.ideal is not None and self.ideal_bound is not None:
            if is_useless(self.ideal, self.ideal_bound):
                found = f"no polynomial with {roots} gets it below {floored(self.ideal_bound)} (proven)"
            elif self.ideal_bound < CLOSE * self.ideal:
                found = (
                    f"the ideal polynomial with {roots} reaches {self.ideal:.4g}; that none gets below "
                    f"{floored(self.ideal_bound)} is all that can be proven of so small a value in float64"
                )
            else:
                found = (
                    f"the ideal polynomial with {roots} reaches {self.ideal:.4g}, and none gets below "
                    f"{floored(self.ideal_bound)} (proven)"
                )
            lines.append(f"{here}{found if here else found[0].upper() + found[1:]}.")
        if self.range_max is not None and self.range_bound is not None:
            least = "" if self.norm is None else f"; it is {self.norm:.4g}"
            lines.append(
                f"Over the numerical range |q| is at most {ceiled(self.range_max)}, so {norm} is at most "
                f"{ceiled(self.range_bound)}, 1 + sqrt(2) times as much (Crouzeix and Palencia){least}."
            )
        if self.range_holds_zero:
            lines.append("0 lies in the numerical range, where q = 1: its bound is useless here, at least 1 + sqrt(2).")
        return lines


def certify(q: PolynomialWithRoots, target: Target, names: Collection[str]) -> Certificates:
    """Return what is proven of the norm of q(A).

    Parameters
    ----------
    q : ResidualPolynomial
    target : Target
    names : collection of str
        Names in `CERTIFICATES`.

    Returns
    -------
    Certificates

    Raises
    ------
    InputError
        If a name is unknown, or the target has no operator or one that is too large.
    """
    for name in names:
        if name not in CERTIFICATES:
            raise unknown_name("certificate", name, CERTIFICATES)
    blocks, count = target.blocks, len(q.roots)
    where = " on the high frequencies" if target.region == "high" else ""
    if blocks.nullity:
        where += " on the range of A" if not where else " and the range of A"
    found: dict[str, Any] = {}
    if "ideal" in names:
        best = unless_it_fails(lambda: ideal(blocks, count))
        if best is not None:
            found |= {"ideal": best.value, "ideal_bound": best.bound}
    if "numerical-range" in names:
        polygon = unless_it_fails(lambda: RangePolygon.of(blocks))
        if polygon is not None:
            largest = polygon.bound(q, count, blocks.scale)
            found |= {
                "range_max": largest,
                "range_bound": CROUZEIX_PALENCIA * largest,
                "range_holds_zero": polygon.holds_zero,
            }
    return Certificates(where, unless_it_fails(lambda: norm_on_blocks(blocks, q, blocks.scale)), **found)


def unless_it_fails(compute: Callable[[], T]) -> T | None:
    """Return a result, or None if its iteration fails: the rest of a diagnosis doesn't depend on it."""
    try:
        return compute()
    except ConvergenceError:
        return None
