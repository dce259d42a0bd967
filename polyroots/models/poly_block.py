"""A polynomial block by itself, for other people's networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from torch import nn

from polyroots.errors import InputError
from polyroots.factors import require_degree
from polyroots.models.level import blocks_and_factors, placements_of
from polyroots.models.operator import ConvOperator, Features, Init, Padding
from polyroots.models.placement import Placement, make_place, once_a_level
from polyroots.models.step import PolyStep
from polyroots.roots import choose_roots
from polyroots.spectrum import eigenvalues


class PolyBlock(nn.Module):
    """A residual block x <- output(q(A) x), with one convolution A whatever the degree of q.

    Each factor of q(A) = I - A p(A) is a step x <- x - A update(p(A) rho(x)): multigrid's smoother as the residual sees
    it, and a ResNet's block with shared weights. It keeps the shape, and takes the place of blocks that do.

    Parameters
    ----------
    channels : int
    roots : sequence of complex, or str
        Roots of q, conjugates are completed; or the name of a strategy in `polyroots.strategies.STRATEGIES` that
        chooses them from the spectrum of the freshly drawn A.
    size : int or (H, W), optional
        Image size in pixels that a strategy takes the spectrum at; the block itself works at any.
    degree : int, optional
        Degree d of p, for a strategy: d + 1 roots; by default 3.
    blocks : str or sequence of str, optional
        Letters such as ``"L,L,C"``; by default those that the roots ask for.
    placement : str or Placement
        Of batch norm and ReLU, see `polyroots.models.Placement`; by default relu bn q(A) x, where the roots mean what
        the theory says. An output that is done once is done at the end.
    padding : ``"zeros"`` or ``"circular"``
        Of A.
    A_init : ``"shifted"`` or ``"kaiming"``
        How A is drawn, see `polyroots.models.operator.ConvOperator`: by default with its eigenvalues in the disc around
        1 of radius 1/2, so that roots there damp something.
    alphas_are_trained : bool
        Whether the coefficients are trained, or stay as they are.

    Attributes
    ----------
    A : ConvOperator
    blocks : ModuleList of the steps

    Raises
    ------
    InputError
        If the roots don't fit the blocks, or a strategy has no size or finds no roots.

    Examples
    --------
    >>> import torch
    >>> block = PolyBlock(16, roots=[0.7, 1.0 + 0.3j])
    >>> block(torch.ones(2, 16, 8, 8)).shape
    torch.Size([2, 16, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        roots: Sequence[complex] | str,
        *,
        size: int | tuple[int, int] | None = None,
        degree: int | None = None,
        blocks: str | Iterable[str] | None = None,
        placement: str | Placement = "smoother",
        padding: Padding = "zeros",
        A_init: Init = "shifted",
        alphas_are_trained: bool = True,
    ) -> None:
        super().__init__()
        self.A = ConvOperator(channels, padding, A_init)
        if isinstance(roots, str):
            if size is None:
                raise InputError(f"the strategy '{roots}' needs the size of the image that A's spectrum is taken at")
            choice = choose_roots(eigenvalues(self.A.weight, size, name="A"), degree, roots, blocks)
            letters, factors = blocks_and_factors(choice.blocks, choice.roots.tolist())
        else:
            letters, factors = blocks_and_factors(blocks, roots)
            require_degree(degree, letters)
        placements = placements_of(letters, placement)
        self.blocks = nn.ModuleList()
        for letter, factor, place in zip(letters, factors, placements, strict=True):
            step = PolyStep(letter, channels, place, alphas_are_trained)
            step.set_alphas(factor.coefficients)
            self.blocks.append(step)
        self.output = make_place(once_a_level(placements).output, channels)

    def forward(self, x: Features) -> Features:
        """Return output(q(A) x), of the shape of x: (batch, channels, height, width)."""
        for step in cast("Iterable[PolyStep]", self.blocks):
            x = step.output(x - self.A(step.delta(self.A, x)))
        result: Features = self.output(x)
        return result
