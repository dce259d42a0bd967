"""Blocks, levels and the transitions between them: the multigrid part of the networks.

A level holds the features u and the residual r = f - A u. A is linear, so the residual is carried and never computed
anew: a step that changes u by delta changes r by -A delta.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyroots.errors import InputError
from polyroots.factors import BLOCKS, parse_blocks
from polyroots.models.placement import Placement, default_placements, make_place

Features = Float[Tensor, "batch channels height width"]


class PolyBlock(nn.Module):
    """One smoothing step u <- output(u + update(p(A) rho(r))), with the residual carried along.

    Parameters
    ----------
    letter : str
        ``"L"``, ``"R"``, ``"S"`` or ``"C"``: the powers of A in p, see `polyroots.factors.BLOCKS`.
    channels : int
    placement : Placement

    Attributes
    ----------
    alphas : (number of powers,) parameter
        Coefficients of p, trained without constraint; 1 and then zeros until they are set.
    """

    def __init__(self, letter: str, channels: int, placement: Placement) -> None:
        super().__init__()
        self.letter = letter
        self.powers = BLOCKS[letter].powers
        self.placement = placement
        self.alphas = nn.Parameter(torch.eye(len(self.powers))[0])
        self.rho = make_place(placement.rho, channels)
        self.update = make_place(placement.update, channels)
        self.output = make_place(placement.output, channels)

    def set_alphas(self, coefficients: Sequence[float]) -> None:
        """Set the coefficients of p, in the order of `powers`.

        Raises
        ------
        InputError
            If one is not finite in the precision of the network.
        """
        alphas = torch.tensor(coefficients, dtype=torch.float64).to(self.alphas)
        if not alphas.isfinite().all():
            raise InputError(
                f"coefficients {', '.join(f'{c:.3g}' for c in coefficients)} of block {self.letter} are beyond "
                f"{alphas.dtype}: the roots are too near to zero; scale the weights of A up"
            )
        with torch.no_grad():
            self.alphas.copy_(alphas)

    def forward(
        self, A: nn.Module, u: Features | None, r: Features, carry_residual: bool = True
    ) -> tuple[Features, Features | None]:
        """Return the new features and their residual.

        Parameters
        ----------
        A : module, (batch, channels, height, width) -> same
        u : features; None stands for zero and costs nothing
        r : residual f - A u
        carry_residual : bool
            False where the residual is not used afterwards: saves one application of A, and None is returned for it.
        """
        delta = self.update(self._p(A, self.rho(r)))
        new = self.output(delta if u is None else u + delta)
        if not carry_residual:
            return new, None
        if self.placement.output == "plain":
            change = delta
        else:
            change = new if u is None else new - u
        return new, r - A(change)

    def _p(self, A: nn.Module, s: Features) -> Features:
        """p(A) s."""
        total, power = None, 0
        for k, alpha in zip(self.powers, self.alphas, strict=True):
            while power < k:
                s, power = A(s), power + 1
            total = alpha * s if total is None else total + alpha * s
        assert total is not None
        return total

    def extra_repr(self) -> str:
        """Say what a printed module doesn't show by itself."""
        return f"{self.letter}, powers={self.powers}"


class Level(nn.Module):
    """One resolution level: a convolution A shared by a sequence of polynomial blocks.

    Parameters
    ----------
    channels : int
    blocks : str or sequence of str
        Letters such as ``"L,L,C"``.
    padding : str
        ``"zeros"`` or ``"circular"``, of A.
    placements : sequence of Placement, optional
        One for each block; by default the authors'.
    """

    def __init__(
        self,
        channels: int,
        blocks: str | Iterable[str],
        padding: Literal["zeros", "circular"] = "zeros",
        placements: Sequence[Placement] | None = None,
    ) -> None:
        super().__init__()
        letters = parse_blocks(blocks)
        self.A = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=False)
        self.blocks = nn.ModuleList(
            PolyBlock(letter, channels, placement)
            for letter, placement in zip(letters, placements or default_placements(letters), strict=True)
        )

    def forward(self, u: Features | None, r: Features, carry_residual: bool = True) -> tuple[Features, Features | None]:
        """Apply the blocks to (u, r); see `PolyBlock.forward`."""
        residual: Features | None = r
        for index, block in enumerate(self.blocks):
            last = index == len(self.blocks) - 1
            u, residual = block(self.A, u, residual, carry_residual or not last)
        assert u is not None
        return u, residual


class Transition(nn.Module):
    """Passage to the next coarser level: u <- Pi u, r <- R relu(r).

    The authors write f' = R relu(f - A u) + A' Pi u; the residual f' - A' Pi u that it starts with is R relu(r).

    Parameters
    ----------
    fine, coarse : int
        Channels of the two levels; `coarse` is a multiple of `fine`.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.Pi = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, groups=fine, bias=False)
        self.R = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, groups=fine, bias=False)

    def forward(
        self, u: Features, r: Features
    ) -> tuple[Float[Tensor, "batch coarse height/2 width/2"], Float[Tensor, "batch coarse height/2 width/2"]]:
        """Return features and residual at half the resolution (rounded up)."""
        return self.Pi(u), self.R(torch.relu(r))
