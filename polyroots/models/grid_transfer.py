"""Restriction and prolongation to the next coarser level."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyroots.models.operator import Features
from polyroots.models.placement import make_place

Coarse = Float[Tensor, "batch coarse (height+1)//2 (width+1)//2"]


class Transition(nn.Module):
    """The authors' restriction and prolongation: u <- Pi u, r <- R relu(r).

    They write f' = R relu(f - A u) + A' Pi u; the residual f' - A' Pi u that it starts with is R relu(r).

    Parameters
    ----------
    fine, coarse : int
        Channels of the two levels; `coarse` is a multiple of `fine`.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.Pi = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, groups=fine, bias=False)
        self.R = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, groups=fine, bias=False)

    def forward(self, u: Features, r: Features) -> tuple[Coarse, Coarse]:
        """Return features and residual at half the resolution (rounded up)."""
        return self.Pi(u), self.R(torch.relu(r))


class FullTransition(nn.Module):
    """He and Xu's restriction and prolongation: u <- relu bn Pi u, r <- relu bn R r, with full convolutions.

    They write f' = relu bn R (f - A u) + A' u'; the residual f' - A' u' that it starts with is relu bn R r.

    Parameters
    ----------
    fine, coarse : int
        Channels of the two levels.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.Pi = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, bias=False)
        self.R = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, bias=False)
        self.after_Pi = make_place("bn-relu", coarse)
        self.after_R = make_place("bn-relu", coarse)

    def forward(self, u: Features, r: Features) -> tuple[Coarse, Coarse]:
        """Return features and residual at half the resolution (rounded up)."""
        return self.after_Pi(self.Pi(u)), self.after_R(self.R(r))
