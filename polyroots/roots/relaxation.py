"""Relaxation: roots moved along their rays, outwards so that q amplifies no component much.

As damped Jacobi relaxes Jacobi, q_w(t) = prod (1 - w t / lambda_i) = q(w t). The roots of q_w are those of q over w,
and where q amplifies by M, q_w with a small w amplifies little: q_0 = 1. With w above 1, over-relaxation, the roots
move inwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from polyroots.errors import InputError, unknown_name
from polyroots.polynomials import (
    Factor,
    Gain,
    PartialProducts,
    ProductsInNorm,
    ProductsOnPoints,
    Target,
    divided,
    require_relaxation_weight as require_weight,
)
from polyroots.text import quoted
from polyroots.threads import one_blas_thread

#: The largest factor by which a level may amplify a residual with the relaxation "auto". By the study in
#: docs/results.md, networks train about equally well with bounds from 1.1 to 2, and worse without one.
BOUND = 2.0

#: What is bounded: the norms of the partial products, or their moduli on the spectrum.
Criterion = Literal["norm", "spectrum"]

Kind = Literal["none", "auto", "fixed"]

# Ratio of the weights that are tried until one meets the bound, and the accuracy to which it is refined.
_STEP = 2 ** (1 / 16)
_ACCURACY = 1e-4


@dataclass(frozen=True)
class Relaxation:
    """How roots are relaxed.

    Attributes
    ----------
    kind : ``"none"``, ``"auto"`` or ``"fixed"``
        ``"auto"``: by the largest weight w in (0, 1] for which no partial product of the blocks amplifies more than the
        bound, see `largest_weight`.
    number : float
        The bound of ``"auto"``, the weight w of the others.

    Notes
    -----
    ``str(relaxation)`` writes it as `Relaxation.parse` reads it.
    """

    kind: Kind
    number: float = 1.0

    def __str__(self) -> str:
        if self.kind == "fixed":
            return f"{self.number:.12g}"
        return f"auto:{self.number:.12g}" if self.kind == "auto" and self.number != BOUND else self.kind

    @classmethod
    def parse(cls, text: str | float) -> Relaxation:
        """Read ``none``, ``auto``, ``auto:BOUND`` or a weight.

        Raises
        ------
        InputError
            If it is none of these, the bound is not above 1, or the weight is not positive.

        Examples
        --------
        >>> Relaxation.parse("auto:1.5")
        Relaxation(kind='auto', number=1.5)
        >>> str(Relaxation.parse(0.25))
        '0.25'
        """
        kind, colon, rest = str(text).partition(":")
        try:
            number = float(rest if colon else kind)
        except ValueError:
            number = math.nan
        if not colon and not math.isnan(number):
            return cls("fixed", require_weight(number))
        if kind not in get_args(Kind) or kind == "fixed":
            if kind.replace(".", "").isalpha():
                raise unknown_name("relaxation", kind, ("none", "auto"))
            raise InputError(
                f"expected none, auto, auto:BOUND or a positive weight for relax, got {quoted(text)}",
                fields=("relax",),
            )
        if not colon:
            return cls(cast("Kind", kind), BOUND if kind == "auto" else 1.0)
        if kind == "none" or not 1 < number < math.inf:
            raise InputError(
                f"expected a relaxation such as auto:1.2 with a bound above 1, got {quoted(text)}", fields=("relax",)
            )
        return cls("auto", number)

    def weight(self, target: Target, factors: Sequence[Factor]) -> float:
        """Return the weight w for the factors of the blocks on one operator, in their order."""
        return largest_weight(target, factors, self.number) if self.kind == "auto" else self.number


#: The roots as the strategy chose them.
NOT_RELAXED = Relaxation("none")


def largest_weight(
    target: Target, factors: Sequence[Factor], bound: float = BOUND, criterion: Criterion | None = None
) -> float:
    """Return the largest w in (0, 1] for which no partial product prod_{i <= k} q_i(w A) amplifies more than a bound.

    The products are those that a level's residual is multiplied by after its first k blocks; a pair of roots is one
    factor. They are taken over the whole operator or spectrum, also where only a region is to be damped.

    Parameters
    ----------
    target : Target
    factors : sequence of Factor
        Of the blocks that share the operator, in their order.
    bound : float
        Above 1.
    criterion : ``"norm"`` or ``"spectrum"``, optional
        Bound the spectral norms of the products, or their moduli on the spectrum. The norm is the default where the
        operator is known: it holds for every residual, also where A is far from normal.

    Returns
    -------
    float
        It meets the bound, and a larger w within a relative distance of 1e-4 doesn't. From 1 downwards, the weight is
        lowered to that at which a vector (or the spectrum) that is amplified too much meets the bound, until there is
        none. What is bounded need not be monotone in w: these weights are looked for on a geometric grid, 16 for each
        factor of two, and refined by bisection. Larger ones that meet the bound can be missed between two points of
        the grid, which are 4 % apart.

    Raises
    ------
    InputError
        If the bound is not above 1, or the target has neither eigenvalues nor an operator whose norms are known.
    ConvergenceError
        If Lanczos' method fails on a large operator.
    """
    if not bound > 1:
        # q_w tends to q_0 = 1, which no weight gets below.
        raise InputError(f"expected a bound above 1 for what q may amplify, got {bound:g}", fields=("relax",))
    if criterion is None:
        criterion = "norm" if target.has_norm else "spectrum"
        if criterion == "spectrum" and not len(target.points):
            raise InputError(
                "the relaxation needs eigenvalues of A or products with its adjoint: give the LinearOperator an "
                "rmatvec, or use another strategy",
                fields=("relax",),
            )
    products: PartialProducts
    if criterion == "norm":
        products = ProductsInNorm(target.norms)
    else:
        products = ProductsOnPoints(target.points)
    w = 1.0
    with one_blas_thread():
        while gain := products.amplified(divided(factors, w), bound):
            w *= _weight_of(gain, bound)
    return w


def _weight_of(gain: Gain, bound: float) -> float:
    """Return the first weight from 1 downwards at which a gain meets a bound, less a little."""
    high, low = 1.0, 1 / _STEP
    while not gain(low) <= bound:
        high, low = low, low / _STEP
    while high > low * (1 + _ACCURACY / 5):
        middle = math.sqrt(low * high)
        if gain(middle) <= bound:
            low = middle
        else:
            high = middle
    # What is amplified most at this weight is amplified a little more than what the gain is of.
    return low * (1 - _ACCURACY / 2)
