"""Where batch norm and ReLU stand in a step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

Place = Literal["plain", "bn", "relu", "bn-relu"]


@dataclass(frozen=True)
class Placement:
    """The three places of a step u <- output(u + update(p(A) rho(r))).

    With every place plain, a step multiplies the residual by exactly q(A).

    Attributes
    ----------
    rho : what is done to the residual before the polynomial
    update : what is done to p(A) rho(r) before it is added to u
    output : what is done to u afterwards
    """

    rho: Place = "plain"
    update: Place = "plain"
    output: Place = "plain"


#: The paper's (*): u <- u + sigma bn p(A) sigma bn r.
REGULAR = Placement("bn-relu", "bn-relu", "plain")

#: The paper's (**): u <- sigma bn (u + p(A) sigma bn r).
OUTSIDE = Placement("bn-relu", "plain", "bn-relu")

#: The authors' for their q2, linear blocks alone: u <- sigma bn (u + p(A) bn r).
LINEAR_OUTSIDE = Placement("bn", "plain", "bn-relu")


def default_placements(blocks: Iterable[str]) -> tuple[Placement, ...]:
    """Return the authors' placement for each block of a sequence.

    Linear blocks alone take `LINEAR_OUTSIDE`; otherwise linear blocks and symmetric pairs take `REGULAR`, real pairs
    and conjugate pairs `OUTSIDE`.
    """
    blocks = tuple(blocks)
    if set(blocks) == {"L"}:
        return (LINEAR_OUTSIDE,) * len(blocks)
    return tuple(REGULAR if letter in "LS" else OUTSIDE for letter in blocks)


def make_place(place: Place, channels: int) -> nn.Module:
    """Make the module of one place."""
    if place == "plain":
        return nn.Identity()
    if place == "bn":
        return nn.BatchNorm2d(channels)
    if place == "relu":
        return nn.ReLU()
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
